# SPDX-License-Identifier: Apache-2.0
"""Chips with drivers of the kernel: hwmon, IIO and 1-Wire, all behind the same I2C adapter."""

from bench import Scenario, full, wait_for

W1 = "/sys/bus/w1/devices"


class Sysfs(Scenario):
    def setUp(self):
        super().setUp()
        self.bus_of_chips = self.bridge()

    def chip(self, *words):
        self.bus_of_chips.ask("chip", *words)

    def add_lm75(self, **keys):
        self.bus_of_chips.bind("lm75", 0x48)
        self.add_bus("chips", "hwmon")
        self.add_device("cabinet", "chips", {"temperature": {"read": "temp1", "unit": "Cel"}}, chip="lm75",
                        **{"every": "500ms", "backoff": "1s", **keys})

    def start(self):
        super().start()
        self.watched = self.watch()

    def becomes(self, point, seconds=60, **what):
        """Conversions and a slow host take their time, so nothing is asked for at once."""
        self.wait(f"{point} to be {what}", lambda: what.items() <= dict(*self.watched.samples(point)[-1:]).items(), seconds)

    def test_a_thermometer_is_read_lost_and_found_again(self):
        self.add_lm75()
        self.chip("0x48", "celsius", 37.5)
        self.start()
        self.wait_health("cabinet", "ok")
        self.becomes("cabinet/temperature", value=37.5, unit="Cel", quality="good")
        self.chip("0x48", "celsius", -12.5)
        self.becomes("cabinet/temperature", value=-12.5)

        self.bus_of_chips.ask("away", "0x48")
        self.becomes("cabinet/temperature", quality="bad")
        self.bus_of_chips.ask("there", "0x48")
        self.becomes("cabinet/temperature", value=-12.5)

        self.bus_of_chips.end()
        self.wait_health("cabinet", "dead")
        self.bus_of_chips = self.bridge()
        self.bus_of_chips.bind("lm75", 0x48)    # with another number, as the kernel likes
        self.becomes("cabinet/temperature", value=25)

    @full
    def test_a_converter_gives_volts(self):
        self.bus_of_chips.bind("ads1015", 0x49)
        self.add_bus("converters", "iio")
        self.add_device("tank", "converters", {"level": {"read": "in_voltage0", "unit": "V"},
                                               "spare": {"read": "in_voltage3", "scale": 1000, "unit": "mV"}},
                        chip="ads1015", every="500ms")
        self.chip("0x49", "input", 0, 1234)
        self.chip("0x49", "input", 3, -250)
        self.start()
        self.becomes("tank/level", value=1.234)
        self.becomes("tank/spare", value=-250)

    @full
    def test_thermometers_on_one_wire(self):
        self.bus_of_chips.bind("ds2482", 0x18)
        wait_for("both to be found", lambda: len(self.machine.run(f"ls {W1}").split()) == 3, 120)
        self.add_bus("wires", "w1")
        for name, number in ("inlet", "000000000001"), ("outlet", "0000001a2b3c"):
            self.add_device(name, "wires", {"temperature": {"read": "temperature", "unit": "Cel"}}, id="28-" + number,
                            every="2s", backoff="2s")
        self.chip("0x18", 1, "celsius", -7.25)
        self.start()
        self.becomes("inlet/temperature", value=21.5)
        self.becomes("outlet/temperature", value=-7.25)
        self.chip("0x18", 0, "celsius", 85)
        self.chip("0x18", 1, "spoilt", 1)
        for name in ("inlet", "outlet"):
            self.becomes(name + "/temperature", quality="bad", seconds=120)
