# SPDX-License-Identifier: Apache-2.0
"""The machine itself: what other scenarios stand on, seen with Debian's own tools and no gateway."""

import subprocess

from bench import Scenario, wait_for


class TheMachine(Scenario):
    def test_chips_on_the_i2c_bus_answer_the_kernel(self):
        bridge = self.bridge()
        bridge.ask("chip", "0x48", "celsius", 37.5)
        device = bridge.bind("lm75", 0x48)
        self.assertEqual(self.machine.run(f"cat {device}/hwmon/hwmon*/temp1_input"), "37500\n")
        self.assertEqual(self.machine.run(f"i2ctransfer -y {bridge.adapter} w2@0x44 0x24 0 r3").split(), ["0x66", "0x66", "0x93"])
        self.assertNotEqual(self.machine.try_run(f"i2ctransfer -y {bridge.adapter} w1@0x50 0 r1").returncode, 0)

    def test_lines_of_the_gpio_chip_are_driven_from_both_sides(self):
        bridge = self.bridge()
        bridge.ask("line", 3, 1)
        self.assertEqual(self.machine.run(f"gpioget {bridge.gpio} 3 4"), "1 0\n")
        self.machine.run(f"gpioset {bridge.gpio} 5=1")
        self.assertEqual((bridge.output(5), bridge.output(3)), (1, None))

    def test_a_frame_goes_from_one_can_controller_to_the_other(self):
        self.machine.run("for c in can0 can1; do ip link set $c type can bitrate 250000 && ip link set $c up; done")
        with subprocess.Popen(self.machine.ssh("candump -L -n 1 -T 20000 can1"), stdout=subprocess.PIPE, text=True) as dump:
            wait_for("the frame", lambda: self.machine.run("cansend can0 18FEF100#0102030405060708") or dump.poll() is not None)
            self.assertIn("can1 18FEF100#0102030405060708", dump.stdout.read())

    def test_a_usb_serial_adapter_comes_and_goes(self):
        wires = self.machine.plug("meter")
        self.wait_for_adapter(1)
        self.machine.run("stty -F /dev/serial/by-id/*METER* raw -echo && echo hello >/dev/serial/by-id/*METER*")
        wires.settimeout(30)
        self.assertEqual(wires.recv(5), b"hello")
        wires.close()
        self.wait_for_adapter(0)

    def wait_for_adapter(self, count):
        wait_for(f"{count} adapters", lambda: len(self.machine.run("ls /dev/serial/by-id 2>/dev/null || true").split()) == count)
