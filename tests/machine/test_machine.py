# SPDX-License-Identifier: Apache-2.0
"""The machine itself: what other scenarios stand on, seen with Debian's own tools, and the package as apt leaves it."""

import subprocess

from bench import Scenario, full, wait_for


class TheMachine(Scenario):
    @full
    def test_chips_on_the_i2c_bus_answer_the_kernel(self):
        bridge = self.bridge()
        bridge.ask("chip", "0x48", "celsius", 37.5)
        device = bridge.bind("lm75", 0x48)
        self.assertEqual(self.machine.run(f"cat {device}/hwmon/hwmon*/temp1_input"), "37500\n")
        self.assertEqual(self.machine.run(f"i2ctransfer -y {bridge.adapter} w2@0x44 0x24 0 r3").split(), ["0x66", "0x66", "0x93"])
        self.assertNotEqual(self.machine.try_run(f"i2ctransfer -y {bridge.adapter} w1@0x50 0 r1").returncode, 0)

    @full
    def test_lines_of_the_gpio_chip_are_driven_from_both_sides(self):
        bridge = self.bridge()
        bridge.ask("line", 3, 1)
        self.assertEqual(self.machine.run(f"gpioget {bridge.gpio} 3 4"), "1 0\n")
        self.machine.run(f"gpioset {bridge.gpio} 5=1")
        self.assertEqual((bridge.output(5), bridge.output(3)), (1, None))

    @full
    def test_a_frame_goes_from_one_can_controller_to_the_other(self):
        self.machine.run("for c in can0 can1; do ip link set $c type can bitrate 250000 && ip link set $c up; done")
        with subprocess.Popen(self.machine.ssh("candump -L -n 1 -T 20000 can1"), stdout=subprocess.PIPE, text=True) as dump:
            wait_for("the frame", lambda: self.machine.run("cansend can0 18FEF100#0102030405060708") or dump.poll() is not None)
            self.assertIn("can1 18FEF100#0102030405060708", dump.stdout.read())

    @full
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

    @full
    def test_the_tpm_has_a_resource_manager_and_the_rights_of_debian(self):
        self.assertEqual(self.machine.run("stat -c '%n %U:%G %a' /dev/tpm0 /dev/tpmrm0").splitlines(),
                         ["/dev/tpm0 tss:root 660", "/dev/tpmrm0 tss:tss 660"])
        self.machine.run("tpm2_getrandom --hex 8")


class ThePackage(Scenario):
    FRESH = True

    def test_it_is_enabled_and_waits_for_its_configuration(self):
        self.assertEqual(self.machine.run("dpkg-query -W -f '${db:Status-Abbrev}' tidegate"), "ii ")
        self.assertEqual(self.machine.run("systemctl is-enabled tidegate.service tidegate.socket"), "enabled\nenabled\n")
        found = self.unit("ActiveState", "ConditionResult", "Result")
        self.assertEqual(found, {"ActiveState": "inactive", "ConditionResult": "no", "Result": "success"})
        self.assertEqual(self.machine.run("systemctl is-system-running"), "running\n")

    def test_it_starts_under_systemd_with_the_tpm_and_says_so(self):
        self.add_bus("signals", "sim")
        self.add_device("boiler", "signals", {"temperature": "constant 40"}, every="1s")
        self.start()
        self.wait_health("boiler", "ok")
        self.assertIn("no identity yet", self.wait_status_text("1 of 1 devices ok"))
        self.assertEqual(self.machine.run("ps -o user= -p $(systemctl show -P MainPID tidegate)").strip(), "tidegate")
        self.wait("the TPM", lambda: self.ask("status")["tpm"]["state"] == "ok")


class TheFilter(Scenario):
    """The unit's filter refuses with EPERM, of which the kernel tells nobody: here it kills, and the kernel tells."""

    SNAPSHOT = "enrolled"
    KILLS = "/run/systemd/system/tidegate.service.d/kills.conf"

    def test_the_agent_makes_no_system_call_that_is_filtered(self):
        self.machine.write(self.KILLS, "[Service]\nSystemCallErrorNumber=kill\n")
        self.machine.run("systemctl daemon-reload")
        self.start()
        self.assertEqual(self.unit("SystemCallErrorNumber")["SystemCallErrorNumber"], "2147483646")
        generation = self.wait_online()["identity"]["generation"]
        self.machine.run("tidegate renew")
        self.wait("another generation", lambda: self.wait_online()["identity"]["generation"] > generation, 120)
        self.machine.run("systemctl reload tidegate.service && systemctl restart tidegate.service")
        self.wait_online()
        self.stop()


class TheJudge(Scenario):
    """What it is there for, it must see."""

    PROFILE = "profile reader /run/reader { /{usr/,}lib/** mr, /etc/ld.so.* r, /run/reader mr, }"

    def assert_seen(self, what, command):
        self.machine.try_run(command)
        wait_for(f"a complaint of {what}", lambda: any(what in text for text in self.judge.complaints()))
        self.excuse("")

    def test_it_sees_a_failed_unit(self):
        self.assert_seen("a failed unit: broken.service", "systemd-run --quiet --wait --unit=broken false")

    def test_it_sees_a_dumped_core(self):
        self.assert_seen("a dumped core", "systemd-run --quiet --wait -p LimitCORE=0 sh -c 'kill -SEGV $$$$'")

    def test_it_sees_a_denial_by_seccomp(self):
        self.assert_seen("a denial by seccomp", "systemd-run --quiet --wait -p SystemCallFilter=~mkdirat mkdir /run/denied")

    def test_it_sees_a_denial_by_apparmor(self):
        self.machine.write("/run/reader.profile", self.PROFILE)
        self.assert_seen("a denial by AppArmor", "cp /bin/cat /run/reader && apparmor_parser -r /run/reader.profile && "
                                                 "/run/reader /etc/hostname; apparmor_parser -R /run/reader.profile")

    def test_it_sees_nothing_where_nothing_is(self):
        self.assertEqual(self.judge.complaints(), [])
