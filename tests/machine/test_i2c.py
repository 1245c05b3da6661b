# SPDX-License-Identifier: Apache-2.0
"""Chips without a driver of the kernel, through /dev/i2c-N."""

import faults
from bench import Scenario, full

RULE = "/etc/udev/rules.d/70-site.rules"


class I2c(Scenario):
    def setUp(self):
        super().setUp()
        self.adapter = self.bridge()
        self.add_bus("i2c", "i2c", adapter=f"/dev/i2c-{self.adapter.adapter}")

    def add(self, name, address, points, **keys):
        self.add_device(name, "i2c", points, address=hex(address), **{"every": "500ms", "backoff": "1s", **keys})

    def test_values_of_three_chips(self):
        self.add("thermometer", 0x48, {"temperature": {"read": "write 00 read 2 int16 shift=5", "scale": 0.125, "unit": "Cel"}})
        self.add("climate", 0x44, {
            "temperature": {"read": "write 24 00 delay=16ms read 6 crc8 uint16", "scale": 0.00267033, "offset": -45, "unit": "Cel"},
            "humidity": {"read": "write 24 00 delay=16ms read 6 crc8 uint16 at=2", "scale": 0.00152590, "unit": "%RH"}})
        self.add("registers", 0x40, {"all": "write 10 read 1 uint8", "bit": "write 10 read 1 bool bit=3"})
        self.adapter.ask("chip", "0x48", "celsius", -12.5)
        self.start()
        self.assertEqual(self.value("thermometer/temperature"), -12.5)
        climate = self.read("climate")
        self.assertAlmostEqual(climate["temperature"]["value"], 25, 1)
        self.assertAlmostEqual(climate["humidity"]["value"], 50, 1)
        self.assertEqual((self.value("registers/all"), self.value("registers/bit")), (0x2A, True))
        self.adapter.ask("chip", "0x44", "spoilt", 1)
        self.wait("the wrong CRC", lambda: "checksum" in self.read("climate")["humidity"].get("reason", ""))
        self.adapter.ask("chip", "0x44", "spoilt", 0)
        self.wait_health("climate", "ok")

    def test_a_chip_that_is_away_harms_no_other(self):
        self.add("registers", 0x40, {"all": "write 10 read 1 uint8"})
        self.add("thermometer", 0x48, {"temperature": "write 00 read 2 int16 shift=5"})
        self.start()
        self.wait_health("thermometer", "ok")
        self.adapter.ask("away", "0x48")
        self.wait_health("thermometer", "dead")
        self.assertIn("no device at 0x48", self.device("thermometer")["error"])
        self.assertEqual(self.value("registers/all"), 0x2A)
        self.adapter.ask("there", "0x48")
        self.wait_health("thermometer", "ok")
        faults.told("F37", "a chip that does not answer: told as bad, the other chip read on, back when it is there")

    @full
    def test_a_chip_of_the_kernel_is_left_alone(self):
        """Also where the adapter goes by a name of the site."""
        self.machine.write(RULE, 'SUBSYSTEM=="i2c-dev", ATTR{name}=="CP2112*", SYMLINK+="tidegate/chips"\n')
        self.addCleanup(self.machine.try_run, f"rm {RULE}; udevadm control --reload")
        self.machine.run("udevadm control --reload; udevadm trigger --action=change --settle --subsystem-match=i2c-dev")
        self.config["bus i2c"]["adapter"] = "/dev/tidegate/chips"
        self.adapter.bind("lm75", 0x48)
        self.add("thermometer", 0x48, {"temperature": "write 00 read 2 int16 shift=5"})
        self.start()
        self.wait_health("thermometer", "dead")
        self.assertIn("the kernel's driver lm75 has 0x48", self.device("thermometer")["error"])

    @full
    def test_probing_lists_who_answers(self):
        self.start()
        table = self.ask("probe", "i2c")
        text = str(table)
        for address in ("0x40", "0x44", "0x48"):
            self.assertIn(address, text)
        self.assertNotIn("0x50", text)

    def test_the_adapter_is_unplugged_and_back(self):
        self.add("registers", 0x40, {"all": "write 10 read 1 uint8"})
        self.start()
        self.wait_health("registers", "ok")
        self.adapter.end()
        self.wait_health("registers", "dead")
        self.adapter = self.bridge()
        self.wait_health("registers", "ok")
        faults.told("F37", "I2C adapter unplugged and back: dead with the reason, then found again")
