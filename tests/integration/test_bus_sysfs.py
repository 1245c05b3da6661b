#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Chips behind the kernel's own drivers: hwmon, IIO and 1-Wire, in a tree as sysfs has it."""

import os
import shutil

from bus_bench import BusScenario, main


class Sysfs(BusScenario):
    def setUp(self):
        super().setUp()
        self.root = self.path("sys")
        for folder in ("class/hwmon", "bus/iio/devices", "bus/w1/devices"):
            os.makedirs(f"{self.root}/{folder}")

    def put(self, name, text):
        path = f"{self.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def lm75(self, number, value):
        """As the kernel makes it: the class has links into the tree of devices."""
        chip = f"devices/i2c-1/1-0048/hwmon/hwmon{number}"
        self.put(f"{chip}/name", "lm75\n")
        self.put(f"{chip}/temp1_input", value)
        os.symlink("../../../1-0048", f"{self.root}/{chip}/device")
        os.symlink(f"../../{chip}", f"{self.root}/class/hwmon/hwmon{number}")

    def unplug(self, number):
        os.unlink(f"{self.root}/class/hwmon/hwmon{number}")
        shutil.rmtree(f"{self.root}/devices/i2c-1/1-0048")

    def configure(self):
        self.lm75(2, "21500\n")
        self.put("bus/iio/devices/iio:device0/name", "bmp280\n")
        self.put("bus/iio/devices/iio:device0/in_pressure_input", "101.325\n")
        self.put("bus/w1/devices/28-0316a2794b21/temperature", "23125\n")
        for kind in ("hwmon", "iio", "w1"):
            self.add_bus(kind, kind, root=self.root)
        quick = {"every": "100ms", "backoff": "300ms"}
        self.add_device("cabinet", "hwmon", {"t": {"read": "temp1", "unit": "Cel"}}, chip="lm75", **quick)
        self.add_device("air", "iio", {"p": {"read": "in_pressure", "unit": "Pa", "scale": "0.5"}}, chip="bmp280", **quick)
        self.add_device("inlet", "w1", {"t": {"read": "temperature", "unit": "Cel"}}, id="28-0316a2794b21", **quick)

    def test_values_arrive_with_unit_and_scale(self):
        self.configure()
        self.start()
        for point, value, unit in (("cabinet/t", 21.5, "Cel"), ("air/p", 50662.5, "Pa"), ("inlet/t", 23.125, "Cel")):
            device, name = point.split("/")
            sample = self.read(device)[name]
            self.assertEqual((sample["quality"], sample["unit"]), ("good", unit), point)
            self.assertAlmostEqual(sample["value"], value, msg=point)

    def test_a_chip_that_is_unplugged_is_dead_until_it_is_back(self):
        self.configure()
        self.start()
        self.wait_health("cabinet", "ok")
        self.unplug(2)
        self.wait_health("cabinet", "dead")
        self.assertIn("no hwmon chip called lm75", self.wait(
            "the reason", lambda: "called" in self.device("cabinet")["error"] and self.device("cabinet")["error"]))
        self.assertEqual(self.device("air")["health"], "ok")
        self.lm75(5, "-4000\n")
        self.wait_health("cabinet", "ok")
        self.assertEqual(self.value("cabinet/t"), -4)

    def test_a_damaged_answer_is_bad_and_never_a_number(self):
        self.configure()
        self.put("bus/w1/devices/28-0316a2794b21/temperature", "85000\n")
        self.start()
        self.assertIn("power-on", self.read("inlet")["t"]["reason"])
        watch = self.watch("inlet")
        self.put("bus/w1/devices/28-0316a2794b21/temperature", "84937\n")
        self.wait("a number", lambda: watch.values("inlet/t"))
        self.assertEqual(set(watch.values("inlet/t")), {84.937})


if __name__ == "__main__":
    main()
