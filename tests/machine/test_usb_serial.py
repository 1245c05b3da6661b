# SPDX-License-Identifier: Apache-2.0
"""A Modbus RTU unit behind a USB serial adapter, which is pulled out and plugged in again."""

import faults
from bench import Scenario, full, wait_for
from wires import Meter

PORT = "/dev/tidegate/tty-METER"
REGISTERS = {0: 215, 1: 0xFFFF, 10: 0x41AC, 11: 0x0000}     # 21.5 in single precision


class UsbScenario(Scenario):
    def setUp(self):
        super().setUp()
        self.add_bus("line", "modbus-rtu", port=PORT)
        self.add_device("meter", "line", {
            "level": {"read": "holding 0 uint16", "scale": 0.1, "unit": "m"}, "step": "holding 1 int16",
            "temperature": {"read": "holding 10 float32", "unit": "Cel"}}, unit=1, every="500ms", timeout="400ms", backoff="60s")
        self.add_device("gap", "line", {"nothing": "holding 99"}, unit=1, every="1s", timeout="400ms")

    def plug(self):
        """A meter, with the adapter that it hangs on."""
        self.meter = self.part(Meter(self.machine, 1, dict(REGISTERS)))
        wait_for("the adapter", lambda: self.machine.try_run(f"test -e {PORT}").returncode == 0)


class UsbSerial(UsbScenario):
    @full
    def test_registers_arrive_with_value_unit_and_quality(self):
        self.plug()
        self.start()
        self.wait_health("meter", "ok")
        got = self.read("meter")
        self.assertEqual([(got[p]["value"], got[p]["unit"], got[p]["quality"]) for p in ("level", "step", "temperature")],
                         [(21.5, "m", "good"), (-1, "", "good"), (21.5, "Cel", "good")])
        nothing = self.read("gap")["nothing"]
        self.assertEqual(nothing["quality"], "bad")
        self.assertIn("address", nothing["reason"])

    def test_it_is_back_within_five_seconds_of_being_plugged_in(self):
        self.plug()
        self.start()
        self.wait_health("meter", "ok")
        watch = self.watch("meter")
        self.meter.pull()
        self.wait_health("meter", "dead")
        self.assertNotEqual(self.device("meter")["error"], "")
        before = len(watch.values("meter/level"))
        self.plug()
        self.wait("values", lambda: len(watch.values("meter/level")) > before)
        self.wait_health("meter", "ok")
        # By the machine's own clock, from its kernel's new device on: how fast the host is does not count.
        plugged = float(self.machine.run(f"stat -L -c %.3Z {PORT}"))
        back = min(watch.when(r) for r in watch.readings()
                   if r["samples"][0]["quality"] == "good" and watch.when(r) > plugged)
        self.assertLess(back - plugged, 5)
        faults.told("F34", f"USB adapter pulled out and put back: values {back - plugged:.1f} s after the kernel had it again")


class LateDriver(UsbScenario):
    FRESH = True

    def test_the_first_adapter_may_come_after_the_service(self):
        """systemd looks up which devices are allowed when the service starts; before the driver is there, none is."""
        self.machine.run("grep -qw ttyUSB /proc/devices && grep -qw i2c /proc/devices")     # modules-load.d
        self.assertEqual(self.machine.run("lsmod | grep -c ftdi_sio || true").strip(), "0")
        self.start()
        self.wait_health("meter", "dead")
        self.wait_status_text(r"0 of 2 devices ok \((meter|gap): .* is not there")
        self.plug()
        self.wait_health("meter", "ok")
