# SPDX-License-Identifier: Apache-2.0
"""One gateway with a device of every type at once. Only SPI is not there, as the machine has no controller of it."""

import subprocess

from bench import die_with_parent, wait_for
from test_can import CanScenario
from wires import Gps, Meter, TcpMeter

METER = "/dev/tidegate/tty-METER"                # by its number
GPS = "/dev/tidegate/tty-*-usb-0:2:*"             # in the second port
DROP_IN = "/etc/systemd/system/tidegate.service.d/programs.conf"     # what the sandbox lets an exec bus execute
PROGRAM = "#!/bin/sh\necho \"flow 12.5 l/s\"\necho \"state running\"\n"


class Broker:
    """mosquitto on the host, which the machine reaches through its own loopback."""

    def __init__(self, machine):
        self.port = machine.free_port()
        with open(machine.path("mosquitto.conf"), "w", encoding="ascii") as conf:
            conf.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.popen = subprocess.Popen(["mosquitto", "-c", machine.path("mosquitto.conf")], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_for("mosquitto", lambda: self.publish("there", "1"))

    def publish(self, topic, message):
        return subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-m", message],
                              capture_output=True, timeout=30).returncode == 0

    def end(self):
        self.popen.terminate()
        self.popen.wait(30)


class Everything(CanScenario):
    def setUp(self):
        super().setUp()
        self.wanted = {}    # DEVICE/POINT -> (value, unit)
        self.sources = []   # what makes those speak that are not asked

    def want(self, bus, kind, device, points, bus_keys, **keys):
        """@points: name -> (read, value, unit)."""
        self.add_bus(bus, kind, **bus_keys)
        self.add_device(device, bus, {p: {"read": read, **({"unit": unit} if unit else {})}
                                      for p, (read, _, unit) in points.items()}, **keys)
        self.wanted.update({f"{device}/{p}": (value, unit) for p, (_, value, unit) in points.items()})

    def chips(self):
        # Of the GPIO chip that goes at the end of the test while a line of it is held.
        self.excuse(r"kernel: Call trace:")
        bridge = self.bridge()
        bridge.bind("lm75", 0x48)
        bridge.bind("ads1015", 0x49)
        bridge.bind("ds2482", 0x18)
        bridge.ask("chip", "0x48", "celsius", 37.5)
        bridge.ask("chip", "0x49", "input", 0, 1234)
        bridge.ask("line", 2, 1)
        wait_for("the 1-Wire sensors", lambda: len(self.machine.run("ls /sys/bus/w1/devices").split()) == 3, 120)
        self.want("hwmon", "hwmon", "cabinet", {"temperature": ("temp1", 37.5, "Cel")}, {}, chip="lm75", every="1s")
        self.want("iio", "iio", "tank", {"level": ("in_voltage0", 1.234, "V")}, {}, chip="ads1015", every="1s")
        self.want("w1", "w1", "inlet", {"temperature": ("temperature", 21.5, "Cel")}, {}, id="28-000000000001", every="5s")
        self.want("gpio", "gpio", "cellar", {"water": ("line 2 edge=both", True, "")}, {"chip": "cp2112_gpio"}, every="1s")
        self.want("i2c", "i2c", "registers", {"mode": ("write 10 read 1 uint8", 0x2A, "")},
                  {"adapter": f"/dev/i2c-{bridge.adapter}"}, address="0x40", every="1s")

    def wires(self):
        self.up()
        self.want("can", "can", "engine", {"closed": ("id=0x1f0 0|1@1+", True, ""), "speed": ("pgn=61444 24|16@1+", 20000, "")},
                  {"interface": "can0"}, source=0, gather="100ms")
        self.sources.append(lambda: self.machine.run("cansend can1 1F0#01; cansend can1 0CF00400#FFFFFF204EFFFFFF"))
        self.part(Meter(self.machine, 1, {0: 0x41AC, 1: 0}))
        gps = self.part(Gps(self.machine))
        wait_for("the adapters", lambda: self.machine.try_run(f"test -e {METER} && ls {GPS}").returncode == 0)
        self.want("rtu", "modbus-rtu", "meter", {"level": ("holding 0 float32", 21.5, "m")}, {"port": METER},
                  unit=1, every="1s", timeout="400ms")
        self.want("serial", "serial", "gps", {"latitude": ("RMC latitude", 48.1173, "lat")},
                  {"port": self.machine.run(f"ls {GPS}").strip(), "framing": "nmea0183"})
        self.sources.append(gps.fix)

    def peers(self):
        meter, broker = self.part(TcpMeter({0: 0x41AC, 1: 0})), self.part(Broker(self.machine))
        for port in meter.port, broker.port:
            self.machine.reach(port)
        self.want("tcp", "modbus-tcp", "boiler", {"level": ("holding 0 float32", 21.5, "m")},
                  {"host": "127.0.0.1", "port": meter.port}, unit=1, every="1s")
        self.want("mqtt", "mqtt", "kitchen", {"temperature": ("/temperature", 21.5, "Cel")},
                  {"host": "127.0.0.1", "port": broker.port}, topic="zigbee2mqtt/kitchen")
        self.sources.append(lambda: broker.publish("zigbee2mqtt/kitchen", '{"temperature": 21.5}'))

    def programs(self):
        self.machine.write("/usr/local/lib/tidegate/flow", PROGRAM, 0o755)
        self.machine.write(DROP_IN, "[Service]\nExecPaths=/usr/local/lib/tidegate /usr/bin/dash\n")
        self.addCleanup(self.machine.try_run, f"rm {DROP_IN}; systemctl daemon-reload")
        self.machine.run("systemctl daemon-reload")
        self.want("exec", "exec", "pump", {"flow": ("flow", 12.5, "l/s"), "state": ("state", "running", "")}, {},
                  command="/usr/local/lib/tidegate/flow", every="1s")
        self.want("sim", "sim", "wave", {"level": ("constant 5", 5, "m")}, {}, every="1s")

    def test_every_point_arrives_with_value_unit_quality_and_time(self):
        self.chips()
        self.wires()
        self.peers()
        self.programs()
        self.start()
        watch = self.watch()
        begin = float(self.machine.run("date +%s.%N"))

        missing = set(self.wanted)

        def arrived():
            for source in self.sources:
                source()
            missing.difference_update([p for p in missing if watch.values(p)])
            return not missing
        try:
            self.wait("every point", arrived, 120)
        except AssertionError as error:
            raise AssertionError(f"missing: {missing}; {error}") from None
        readings = watch.readings()
        end = float(self.machine.run("date +%s.%N"))
        for point, (value, unit) in self.wanted.items():
            good = next(s for s in watch.samples(point) if s["quality"] == "good")
            self.assertEqual(good["unit"], unit, point)
            if isinstance(value, float):
                self.assertAlmostEqual(good["value"], value, 4, point)
            else:
                self.assertEqual(good["value"], value, point)
        # What the gateway read first may be from just before the watch began.
        self.assertTrue(all(begin - 30 < watch.when(r) <= end for r in readings))
