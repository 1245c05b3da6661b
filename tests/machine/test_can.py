# SPDX-License-Identifier: Apache-2.0
"""Signals and parameter groups between two CAN controllers, and interfaces that fall, vanish and come back."""

import faults
from bench import Scenario

ENGINE = {"speed": {"read": "pgn=61444 24|16@1+", "scale": 0.125, "unit": "1/min"},
          "coolant": {"read": "pgn=65262 0|8@1+", "offset": -40, "unit": "Cel"},
          "vin": "pgn=65260 start=0 text"}
CONTROLLER = {"temperature": {"read": "id=496 start=0 length=16 order=little signed", "scale": 0.01, "unit": "Cel"},
              "pressure": {"read": "id=496 23|16@0+", "unit": "Pa"}, "closed": "id=496 32|1@1+",
              "phase-2": {"read": "id=0x4b0 8|16@1+ mux=0|4@1:2", "scale": 0.1, "unit": "V"}}
# VIN 1GATE567890123456 in a broadcast of three packets: 17 bytes and the asterisk that ends it.
VIN = ["18ECFF00#20120003FFECFE00", "18EBFF00#0131474154453536", "18EBFF00#0237383930313233", "18EBFF00#033435362AFFFFFF"]


class Can(Scenario):
    def add_engine(self, interface):
        self.add_bus("genset", "can", interface=interface)
        self.add_device("engine", "genset", ENGINE, source=0, gather="100ms", stale_after="0s")
        self.add_device("controller", "genset", CONTROLLER, gather="100ms", stale_after="0s")

    def send(self, interface, *frames):
        self.machine.run("; ".join(f"cansend {interface} {frame}" for frame in frames))

    def up(self):
        self.machine.run("for c in can0 can1; do ip link set $c down && ip link set $c type can bitrate 250000 && "
                         "ip link set $c up; done")

    def send_until(self, interface, frame, what, condition):
        """What is sent before the gateway listens is lost, as on any bus."""
        def sent():
            self.send(interface, frame)
            return condition()
        self.wait(what, sent)

    def test_signals_arrive_with_value_unit_quality_and_time(self):
        self.up()
        self.add_engine("can0")
        self.start()
        watch = self.watch()
        begin = float(self.machine.run("date +%s.%N"))
        self.send_until("can1", "1F0#2EFB0BB801", "the temperature", lambda: watch.values("controller/temperature"))
        self.send("can1", "4B0#01FFFF", "4B0#021C09", "4B0#03FFFF", "0CF00400#FFFFFF204EFFFFFF", "18FEEE00#7BFFFFFFFFFFFFFF", *VIN)
        self.wait("the VIN", lambda: watch.values("engine/vin"))
        end = float(self.machine.run("date +%s.%N"))
        last = {p: (s["value"], s["unit"]) for p in ("controller/temperature", "controller/pressure", "controller/closed",
                                                    "controller/phase-2", "engine/speed", "engine/coolant", "engine/vin")
                for s in watch.samples(p)[-1:]}
        self.assertEqual(last, {"controller/temperature": (-12.34, "Cel"), "controller/pressure": (3000, "Pa"),
                                "controller/closed": (True, ""), "controller/phase-2": (233.2, "V"),
                                "engine/speed": (2500, "1/min"), "engine/coolant": (83, "Cel"),
                                "engine/vin": ("1GATE567890123456", "")})
        self.assertTrue(all(begin - 1 < watch.when(r) <= end for r in watch.readings() if r["device"] == "controller"))

    def test_what_the_engine_does_not_know_is_bad(self):
        self.up()
        self.add_engine("can0")
        self.start()
        watch = self.watch()
        self.send_until("can1", "0CF00400#FFFFFFFFFFFFFFFF", "the speed", lambda: watch.samples("engine/speed"))
        sample = watch.samples("engine/speed")[-1]
        self.assertEqual(sample["quality"], "bad", sample)
        self.assertIn("not available", sample["reason"])

    def test_an_interface_that_goes_down_comes_back(self):
        self.up()
        self.add_engine("can0")
        self.start()
        watch = self.watch()
        self.send_until("can1", "4B0#020A00", "a value", lambda: watch.values("controller/phase-2") == [1])
        self.machine.run("ip link set can0 down")
        self.wait_health("controller", "dead")
        self.assertIn("down", self.device("controller")["error"])
        self.machine.run("ip link set can0 up")
        self.send_until("can1", "4B0#021400", "a value again", lambda: watch.values("controller/phase-2")[-1] == 2)
        self.wait_health("controller", "ok")

    def test_an_interface_that_vanishes_comes_back(self):
        self.machine.run("ip link add vcan0 type vcan && ip link set vcan0 up")
        self.addCleanup(self.machine.try_run, "ip link del vcan0")
        self.add_engine("vcan0")
        self.start()
        watch = self.watch()
        self.send_until("vcan0", "4B0#020A00", "a value", lambda: watch.values("controller/phase-2") == [1])
        self.machine.run("ip link del vcan0")
        self.wait_health("controller", "dead")
        self.machine.run("ip link add vcan0 type vcan && ip link set vcan0 up")
        self.send_until("vcan0", "4B0#021400", "a value again", lambda: watch.values("controller/phase-2")[-1] == 2)

    def test_bus_off_is_told_and_over_with_the_restart(self):
        """The error frames of a controller, which the emulated ones never have a reason to make, on a virtual wire."""
        self.machine.run("ip link add vcan0 type vcan && ip link set vcan0 up")
        self.addCleanup(self.machine.try_run, "ip link del vcan0")
        self.add_engine("vcan0")
        self.start()
        watch = self.watch()
        self.send_until("vcan0", "4B0#020A00", "a value", lambda: watch.values("controller/phase-2") == [1])
        self.send("vcan0", "20000040#0000000000000000")
        self.wait_health("controller", "dead")
        self.assertIn("bus-off", self.device("controller")["error"])
        self.send("vcan0", "20000100#0000000000000000")
        self.send_until("vcan0", "4B0#021400", "a value again", lambda: watch.values("controller/phase-2")[-1] == 2)
        faults.told("F36", "bus-off told as bad with the reason, values again after the restart")
