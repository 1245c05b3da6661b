#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One agent with a device of every type that needs no kernel of its own; the others are in the machine."""

import os
import sys
import time

from bus_bench import BUILD, BusScenario, main, read_text
from gateway_bench import Modbus
from test_bus_mqtt import LocalBroker
from test_bus_serial import Talker, sentence

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
from modbus_line import Line  # noqa: E402

QUICK = {"every": "200ms", "backoff": "300ms"}
HEARD = {"gather": "50ms", "backoff": "300ms"}
TREE = {
    "class/hwmon/hwmon3/name": "lm75", "class/hwmon/hwmon3/temp1_input": "-4500", "class/hwmon/hwmon3/in1_input": "3300",
    "bus/iio/devices/iio:device0/name": "ads1015", "bus/iio/devices/iio:device0/in_voltage0_raw": "617",
    "bus/iio/devices/iio:device0/in_voltage0_scale": "2.0", "bus/w1/devices/28-0316a2794b21/temperature": "23125",
}
# What a program says of a reading's time is that time, as long as it is not more than an hour back.
TOLD_AGO = {"pump/flow": 600.25, "counter/pulses": 20.5}


class EveryType(BusScenario):
    def setUp(self):
        super().setUp()
        self.wanted = {}  # DEVICE/POINT -> (value, unit); no value where it is the number of what was said
        self.said, self.told = [], {}
        self.simulated()
        self.programs()
        self.chips()
        self.modbus()
        self.speakers()

    def want(self, name, kind, device, points, bus_keys, **keys):
        """@points: name -> (read, value, unit, other keys)."""
        self.add_bus(name, kind, **bus_keys)
        self.add_device(device, name, {p: {"read": read, **({"unit": unit} if unit else {}), **more}
                                       for p, (read, _, unit, more) in points.items()}, **keys)
        self.wanted.update({f"{device}/{p}": what[1:3] for p, what in points.items()})

    # --- devices -----------------------------------------------------------------------------------------------------

    def simulated(self):
        self.want("sim", "sim", "tank", {"level": ("constant 215", 21.5, "m", {"scale": 0.1}),
                                         "pump": ("constant yes", True, "", {}),
                                         "mode": ("text \"off season\"", "off season", "", {})}, {}, **QUICK)

    def programs(self):
        now = time.time()
        self.told = {point: now - ago for point, ago in TOLD_AGO.items()}
        once = self.program("once", f"echo 'flow 125 l/s {self.told['pump/flow']:.6f}'\necho 'state running'\n")
        kept = self.program("kept", f"echo $$ >>{self.path('pids')}\nwhile echo 'pulses=4 {self.told['counter/pulses']:.6f}'; "
                                    "do sleep 0.2; done\n")
        self.want("print", "exec", "pump", {"flow": ("flow", 12.5, "l/s", {"scale": 0.1}),
                                            "state": ("state", "running", "", {})}, {}, command=once, timeout="10s", **QUICK)
        self.want("run", "exec", "counter", {"pulses": ("pulses", 4, "count", {})}, {}, command=kept, mode="running", **HEARD)

    def program(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def chips(self):
        root = {"root": self.path("sys")}
        for name, text in TREE.items():
            os.makedirs(os.path.dirname(self.path("sys/" + name)), exist_ok=True)
            with open(self.path("sys/" + name), "w", encoding="ascii") as file:
                file.write(text + "\n")
        self.want("hwmon", "hwmon", "cabinet", {"temperature": ("temp1", -4.5, "Cel", {}), "supply": ("in1", 3.3, "V", {})},
                  root, chip="lm75", **QUICK)
        self.want("iio", "iio", "battery", {"voltage": ("in_voltage0", 12.34, "V", {"scale": 10})}, root, chip="ads1015", **QUICK)
        self.want("w1", "w1", "inlet", {"temperature": ("temperature", 23.125, "Cel", {})}, root, id="28-0316a2794b21", **QUICK)

    def modbus(self):
        server = self.part(Modbus(self.dir, "tcp"))
        self.want("tcp", "modbus-tcp", "boiler", {"energy": ("holding 12 int64", -9007199254740993, "", {}),
                                                  "level": ("holding 41", 46.6, "m", {"scale": 0.01})},
                  {"host": "127.0.0.1", "port": server.port}, **QUICK)
        line = Line(BUILD + "/tests/fakes/modbus-line", "rtu", "--link", self.path("adapter"))
        self.addCleanup(line.close)
        line("unit", 7)
        line("set", 7, "holding", 20, "41ac", "0000")
        self.want("rtu", "modbus-rtu", "meter", {"level": ("holding 20 float32", 21.5, "m", {}),
                                                 "depth": ("holding 20 float32", -21.5, "m", {"scale": -1}),
                                                 "count": ("input 6 int16", ~706, "", {})},
                  {"port": self.path("adapter"), "baud": 9600}, unit=7, timeout="2s", **QUICK)

    def speakers(self):
        self.talker = self.part(Talker(self.path("gps")))
        self.want("gps", "serial", "receiver", {"latitude": ("RMC latitude", 48.1173, "lat", {}),
                                                "air": ("XDR id=AIR", None, "Cel", {})},
                  {"port": self.talker.path, "framing": "nmea0183"}, **HEARD)
        self.broker = self.part(LocalBroker(self.dir))
        self.want("home", "mqtt", "kitchen", {"power": ("/power", None, "W", {}), "open": ("/open bool", True, "", {})},
                  {"host": "127.0.0.1", "port": self.broker.port, "username": "gw", "password_file": self.broker.password},
                  topic="zigbee2mqtt/kitchen", **HEARD)

    def speak(self):
        """Those that are not asked say how often they have spoken."""
        number = len(self.said)
        self.said.append(time.time())
        self.talker.say(sentence("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W") +
                        sentence(f"WIXDR,C,{number},C,AIR"))
        self.broker.say("zigbee2mqtt/kitchen", f'{{"power": {number}, "open": true}}')

    # --- what arrives ------------------------------------------------------------------------------------------------

    def wait_for_all(self, since, count=2):
        """Until each point has come so often, more than the @since that the watch had."""
        missing = set(self.wanted)

        def arrived():
            self.speak()
            missing.difference_update([p for p in missing if len(self.watcher.values(p)) >= since.get(p, 0) + count])
            return not missing
        try:
            self.wait("every point", arrived, 60)
        except AssertionError as error:
            raise AssertionError(f"missing: {sorted(missing)}; {error}") from None

    def counts(self):
        return {point: len(self.watcher.values(point)) for point in self.wanted}

    def judge(self, point, begin, end):
        """Every sample of a point, not only the first."""
        value, unit = self.wanted[point]
        samples = self.watcher.samples(point)
        for s in samples:
            self.assertEqual((s["quality"], s["unit"]), ("good", unit), f"{point}: {s}")
            at = s["time_us"] / 1e6
            if point in self.told:
                self.assertAlmostEqual(at, self.told[point], delta=1, msg=point)
            else:
                self.assertTrue(begin <= at <= end, f"{point}: {begin} {at} {end}")
            if value is None:
                # Not before it was said.
                self.assertGreaterEqual(at, self.said[int(s["value"])] - 0.01, point)
            elif isinstance(value, float):
                self.assertAlmostEqual(s["value"], value, 4, point)
            else:
                self.assertEqual((s["value"], type(s["value"])), (value, type(value)), point)
        times = [s["time_us"] for s in samples]
        if point not in self.told:
            self.assertEqual(times, sorted(set(times)), f"{point}: each reading has a time of its own")

    def judge_all(self, begin):
        end = time.time() + 0.01
        for point in self.wanted:
            self.judge(point, begin, end)
        status = self.status()
        self.assertEqual({d["name"]: d["health"] for d in status["devices"]},
                         {point.split("/")[0]: "ok" for point in self.wanted})
        self.assertEqual({b["name"]: b["state"] for b in status["buses"]},
                         {name[4:]: "up" for name in self.config if name.startswith("bus ")})

    def test_every_point_arrives_over_a_reload_and_all_is_stopped_soon(self):
        begin = time.time() - 0.01
        self.start()
        self.watcher = self.watch()
        self.wait_for_all({})
        self.judge_all(begin)

        # A configuration that is refused changes nothing.
        self.config["bus sim"]["nonsense"] = "yes"
        self.write_config()
        self.assertIn("nonsense", self.refused("reload"))
        self.wait_for_all(self.counts())
        self.judge_all(begin)

        # With one more device, and another unit, all others go on.
        del self.config["bus sim"]["nonsense"]
        self.config["point tank/level"]["unit"] = "Cel"
        self.want("more", "sim", "added", {"x": ("constant 7", 7, "", {})}, {}, **QUICK)
        self.reload()
        self.wanted.pop("tank/level")
        self.wait_for_all(self.counts())
        self.wait("the other unit", lambda: self.watcher.samples("tank/level")[-1]["unit"] == "Cel")
        self.judge_all(begin)

        before = time.monotonic()
        self.stop()
        took = time.monotonic() - before
        print(f"stopped within {took:.2f} s")
        self.assertLess(took, 5)
        for pid in read_text(self.path("pids")).split():
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "a program has outlived the agent")


if __name__ == "__main__":
    main()
