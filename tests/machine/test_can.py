# SPDX-License-Identifier: Apache-2.0
"""Signals and parameter groups between two CAN controllers, and interfaces that fall, are unplugged and come back."""

import faults
from bench import Scenario, full

ENGINE = {"speed": {"read": "pgn=61444 24|16@1+", "scale": 0.125, "unit": "1/min"},
          "coolant": {"read": "pgn=65262 0|8@1+", "offset": -40, "unit": "Cel"},
          "vin": "pgn=65260 start=0 text"}
CONTROLLER = {"temperature": {"read": "id=496 start=0 length=16 order=little signed", "scale": 0.01, "unit": "Cel"},
              "pressure": {"read": "id=496 23|16@0+", "unit": "Pa"}, "closed": "id=496 32|1@1+",
              "phase-2": {"read": "id=0x4b0 8|16@1+ mux=0|4@1:2", "scale": 0.1, "unit": "V"}}
# VIN 1GATE567890123456 in a broadcast of three packets: 17 bytes and the asterisk that ends it.
VIN = ["18ECFF00#20120003FFECFE00", "18EBFF00#0131474154453536", "18EBFF00#0237383930313233", "18EBFF00#033435362AFFFFFF"]
FILE = "[can]\nbit-rate = 250k\n"


class CanScenario(Scenario):
    """Both controllers have files, and so a bit rate."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.machine.try_run, "systemctl stop 'tidegate-can@*'; rm -rf /etc/tidegate/can; "
                        "ip link set can0 down; ip link set can1 down")

    def up(self, **files):
        """can0 and can1 as their files say."""
        for name, text in ({"can0": FILE, "can1": FILE} | files).items():
            self.machine.write(f"/etc/tidegate/can/{name}.conf", text)
        self.machine.run("systemctl restart tidegate-can@can0 tidegate-can@can1")

    def add_engine(self, interface):
        self.add_bus("genset", "can", interface=interface)
        self.add_device("engine", "genset", ENGINE, source=0, gather="100ms", stale_after="0s")
        self.add_device("controller", "genset", CONTROLLER, gather="100ms", stale_after="0s")

    def send(self, interface, *frames):
        self.machine.run("; ".join(f"cansend {interface} {frame}" for frame in frames))

    def send_until(self, interface, frame, what, condition):
        """What is sent before the gateway listens is lost, as on any bus."""
        def sent():
            self.send(interface, frame)
            return condition()
        self.wait(what, sent)

    def link(self, name):
        """What `ip` says of an interface in detail."""
        return self.machine.run(f"ip -details link show {name}")


class Can(CanScenario):
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

        # What the engine does not know.
        self.send("can1", "0CF00400#FFFFFFFFFFFFFFFF")
        self.wait("a bad speed", lambda: watch.samples("engine/speed")[-1]["quality"] == "bad")
        self.assertIn("not available", watch.samples("engine/speed")[-1]["reason"])

    def test_an_interface_that_goes_down_comes_back(self):
        self.up()
        self.add_engine("can0")
        self.start()
        watch = self.watch()
        self.send_until("can1", "4B0#020A00", "a value", lambda: watch.values("controller/phase-2") == [1])
        self.machine.run("ip link set can0 down")
        self.wait_health("controller", "dead")
        self.assertIn("down", self.device("controller")["error"])
        self.wait_status_text(r"0 of 2 devices ok \((engine|controller): can0 ")
        self.machine.run("ip link set can0 up")
        self.send_until("can1", "4B0#021400", "a value again", lambda: watch.values("controller/phase-2")[-1] == 2)
        self.wait_health("controller", "ok")

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


class Rate(CanScenario):
    """Interfaces that udev and systemd bring up with the bit rate in their files."""

    def setUp(self):
        super().setUp()
        # The one that is replugged, as the bus has it.
        self.slot = self.machine.run("basename $(readlink -f /sys/class/net/can0/device)").strip()
        self.driver = self.machine.run("readlink -f /sys/class/net/can0/device/driver").strip()

    def unplug(self):
        self.machine.run(f"echo {self.slot} >{self.driver}/unbind; udevadm settle")

    def plug(self):
        self.machine.run(f"echo {self.slot} >{self.driver}/bind; udevadm settle")

    def unit_of(self, name, *properties):
        out = self.machine.run(f"systemctl show 'tidegate-can@{name}.service' " + " ".join("-p " + p for p in properties))
        return dict(line.split("=", 1) for line in out.splitlines())

    def wait_unit(self, name, state):
        self.wait(f"tidegate-can@{name} to be {state}", lambda: self.unit_of(name, "ActiveState")["ActiveState"] == state)

    def said(self, name):
        return self.machine.run(f"journalctl -q --no-pager -o cat --after-cursor='{self.judge.cursor}' "
                                f"-u 'tidegate-can@{name}.service'")

    def test_an_interface_is_up_with_its_rate_again_when_it_was_unplugged(self):
        self.up(can0="[can]\nbit-rate = 250000\nsample-point = 75%\nrestart-after = 300ms\n")
        for word in ("bitrate 250000", "sample-point 0.750", "restart-ms 300", ",UP"):
            self.assertIn(word, self.link("can0"))
        self.assertIn("restart-ms 500", self.link("can1"))
        self.add_engine("can0")
        self.start()
        watch = self.watch()
        self.send_until("can1", "4B0#020A00", "a value", lambda: watch.values("controller/phase-2") == [1])
        self.unplug()
        self.wait_health("controller", "dead")
        self.wait_unit("can0", "inactive")
        self.plug()
        self.wait_unit("can0", "active")
        self.assertIn("bitrate 250000", self.link("can0"))
        self.send_until("can1", "4B0#021400", "a value again", lambda: watch.values("controller/phase-2")[-1] == 2)
        self.wait_health("controller", "ok")

    def test_a_file_that_is_wrong_fails_once_with_its_line(self):
        self.excuse(r"tidegate-can(@can0\.service|\[\d+\]: can: )")
        self.machine.write("/etc/tidegate/can/can0.conf", "[can]\nbitrate = 250k\n")
        self.unplug()
        self.plug()
        self.wait_unit("can0", "failed")
        unit = self.unit_of("can0", "NRestarts", "ExecMainStatus")
        self.assertEqual(unit, {"NRestarts": "0", "ExecMainStatus": "78"})
        self.assertIn("/etc/tidegate/can/can0.conf:2: unknown key 'bitrate'; did you mean 'bit-rate'?", self.said("can0"))
        self.assertIn("state DOWN", self.link("can0"))
        self.add_engine("can0")
        self.start()
        error = self.wait("what is wrong", lambda: self.bus("genset")["error"])
        self.assertIn("is down: is its bit rate in /etc/tidegate/can/can0.conf?", error)
        self.up()
        self.wait("the bus", lambda: not self.bus("genset")["error"])

    @full
    def test_what_the_controller_cannot_do_is_said(self):
        self.excuse(r"tidegate-can(@can0\.service|\[\d+\]: can: )")
        self.machine.write("/etc/tidegate/can/can0.conf", "[can]\nbit-rate = 250k\ndata-bit-rate = 1M\n")
        self.assertNotEqual(self.machine.try_run("systemctl start tidegate-can@can0").returncode, 0)
        self.assertIn("the controller cannot do what the file asks for", self.said("can0"))
        self.assertIn("state DOWN", self.link("can0"))

    @full
    def test_an_interface_without_a_file_is_not_touched(self):
        self.unplug()
        self.plug()
        self.assertEqual(self.said("can0"), "")
        self.assertIn("state DOWN", self.link("can0"))
        # Asked for all the same it is skipped, which is no failure.
        self.machine.run("systemctl start tidegate-can@can0")
        unit = self.unit_of("can0", "ActiveState", "ConditionResult")
        self.assertEqual(unit, {"ActiveState": "inactive", "ConditionResult": "no"})

    @full
    def test_an_interface_of_somebody_else_is_left_alone(self):
        network = "/etc/systemd/network/70-can.network"
        self.machine.write(network, "[Match]\nName=can0\n[CAN]\nBitRate=125K\n")
        self.addCleanup(self.machine.try_run, f"rm {network}; networkctl reload")
        self.machine.run("networkctl reload")
        self.unplug()
        self.plug()
        self.wait("networkd", lambda: "bitrate 125000" in self.link("can0") and ",UP" in self.link("can0"))
        self.machine.write("/etc/tidegate/can/can0.conf", FILE)
        self.machine.run("systemctl start tidegate-can@can0")
        self.assertIn("something else has brought it up already, with 125000 bit/s", self.said("can0"))
        self.assertIn("bitrate 125000", self.link("can0"))

    @full
    def test_an_interface_may_have_a_name_of_its_own(self):
        link = "/etc/systemd/network/60-engine.link"
        self.machine.write(link, f"[Match]\nPath=*-pci-{self.slot}\n[Link]\nName=engine\n")
        self.machine.write("/etc/tidegate/can/engine.conf", FILE)
        self.addCleanup(lambda: (self.machine.try_run(f"rm {link}"), self.unplug(), self.plug()))
        self.unplug()
        self.plug()
        self.wait_unit("engine", "active")
        self.assertIn("bitrate 250000", self.link("engine"))
