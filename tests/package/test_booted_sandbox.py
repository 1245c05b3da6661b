# SPDX-License-Identifier: Apache-2.0
"""The sandbox as the kernel keeps it, and the drop-ins that the package documents."""

import os
import re

from gateway import EXAMPLES, Booted, World, show, wait_for, wait_online

HERE = os.path.dirname(os.path.abspath(__file__))
PROBE = "/opt/probe-sandbox.py"
# Exposure with each drop-in, as `systemd-analyze security` says; without any it is 1.5.
SCORES = {"no-can": 1.3, "ip-allow-list": 1.4, "strict-tpm": 1.5, "large-memory": 1.5, "state-partition": 1.5,
          "long-watchdog": 1.5, "exec-programs": 1.5, "weights": 1.5, "plain-credential": 1.5}
ERRORS = {"EPERM", "EACCES", "EROFS", "ENOENT", "EAFNOSUPPORT", "ENOSYS", "EINVAL"}


class Sandbox(Booted):
    """The service's own settings, around a program that tries things."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(HERE + "/probe-sandbox.py", encoding="utf-8") as file:
            cls.gateway.write(PROBE, file.read())
        cls.gateway.run("systemctl", "stop", "tidegate.socket", "tidegate")

    def probe(self, without=()):
        """What the probe says, in the unit as shipped but for the lines that begin with one of @without."""
        unit = self.gateway.run("systemctl", "cat", "tidegate.service").out
        lines = [line for line in unit.splitlines() if not line.startswith(without)]
        lines += ["[Service]", "Type=oneshot", "Restart=no", "ExecReload=", "WatchdogSec=0", "ExecPaths=/usr/bin/python3",
                  f"ExecStart=\nExecStart=/usr/bin/python3 {PROBE} 1 {World.site.tpm.socket}"]
        self.gateway.write("/run/systemd/system/probe.service", "\n".join(lines) + "\n")
        self.gateway.run("systemctl", "daemon-reload")
        done = self.gateway.run("systemctl", "start", "probe", check=False)
        said = self.said("-u", "probe.service", "-o", "cat")
        self.assertEqual(done.code, 0, said)
        found = dict(re.findall(r"(?m)^([A-Za-z/ -]+): (\w+)$", said))
        refused, needed = said.split("--- needed")[0], said.split("--- needed")[1]
        names = [set(re.findall(r"(?m)^([A-Za-z/ -]+): \w+$", part)) for part in (refused, needed)]
        return found, *names

    def test_1_what_it_must_not_is_refused_and_what_it_needs_works(self):
        found, refused, needed = self.probe()
        self.assertGreaterEqual(len(refused), 24)
        self.assertGreaterEqual(len(needed), 13)
        self.assertEqual({n: found[n] for n in refused if found[n] not in ERRORS}, {})
        self.assertEqual({n: found[n] for n in needed if found[n] != "ok"}, {})

    def test_2_the_probe_sees_the_sandbox_go(self):
        """So that a refusal above is this sandbox's, and no other cause's."""
        settings = {"MemoryDenyWriteExecute=": "W and X", "ProtectSystem=": "write /var", "ProtectProc=": "see a process of root",
                    "NoExecPaths=": "execute from the state", "RestrictSUIDSGID=": "set-user-id file",
                    "ProtectHome=": None}
        found, _, _ = self.probe(without=tuple(settings))
        self.assertEqual({n: found[n] for n in settings.values() if n and n not in ("write /var",) and found[n] != "ok"}, {})
        self.assertNotEqual(found["write /var"], "EROFS")


class DropIns(Booted):
    """Each that the package has among its examples: judged by systemd, scored, and the service runs with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        wait_online(cls.gateway)

    def tearDown(self):
        self.gateway.shell("rm -rf /etc/systemd/system/tidegate.service.d; systemctl daemon-reload; umount /var/lib/tidegate "
                           "2>/dev/null || true")

    def take(self, name):
        self.gateway.shell(f"mkdir -p /etc/systemd/system/tidegate.service.d; cp {EXAMPLES}/drop-ins/{name}.conf "
                           "/etc/systemd/system/tidegate.service.d/; systemctl daemon-reload")

    def test_1_all_of_them_are_known_here(self):
        self.assertEqual(sorted(self.gateway.run("ls", f"{EXAMPLES}/drop-ins").out.split()), sorted(f"{n}.conf" for n in SCORES))

    def test_2_each_is_valid_and_has_the_score_that_is_written_down(self):
        found = {}
        for name in SCORES:
            self.take(name)
            said = self.gateway.run("systemd-analyze", "verify", "--man=no", "tidegate.service", check=False)
            self.assertEqual((said.code, said.out), (0, ""), name)
            score = self.gateway.run("systemd-analyze", "security", "--no-pager", "tidegate.service").out.splitlines()[-1]
            found[name] = float(re.search(r"tidegate.service: ([0-9.]+)", score)[1])
            self.tearDown()
        self.assertEqual(found, SCORES)

    def test_3_both_tighter_ones_together_are_1_2(self):
        self.take("no-can")
        self.take("ip-allow-list")
        self.assertIn("tidegate.service: 1.2 ", self.gateway.run("systemd-analyze", "security", "--no-pager", "tidegate.service").out)

    def test_4_the_service_gets_online_with_those_that_only_change_bounds(self):
        for name in ("no-can", "ip-allow-list", "large-memory", "long-watchdog", "weights"):
            self.take(name)
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_online(self.gateway)
        self.assert_shows(WatchdogUSec="5min", MemoryMax=str(192 << 20), CPUWeight="200")

    def test_5_a_plain_credential_is_taken_and_its_absence_keeps_it_from_starting(self):
        self.take("plain-credential")
        self.gateway.shell("mkdir -p /etc/credstore; echo secret >/etc/credstore/tidegate.est-password; systemctl restart tidegate")
        wait_online(self.gateway)
        self.gateway.shell("rm -r /etc/credstore")
        self.assertNotEqual(self.gateway.run("systemctl", "restart", "tidegate", check=False).code, 0)
        self.assertIn("243/CREDENTIALS", self.said())
        self.tearDown()
        self.gateway.run("systemctl", "restart", "tidegate")

    def test_6_the_state_on_a_partition_of_its_own(self):
        self.take("state-partition")
        self.gateway.run("systemctl", "stop", "tidegate.socket", "tidegate")
        self.assertNotEqual(self.gateway.run("systemctl", "start", "tidegate", check=False).code, 0)
        self.assert_shows(ActiveState="inactive", AssertResult="no")
        self.gateway.shell("mkdir /mnt/state; mount -t tmpfs -o mode=700 tmpfs /mnt/state; cp -a /var/lib/tidegate/. /mnt/state/; "
                           "mount --move /mnt/state /var/lib/tidegate || mount --bind /mnt/state /var/lib/tidegate; "
                           "systemctl start tidegate")
        wait_online(self.gateway)
        self.gateway.run("systemctl", "stop", "tidegate.socket", "tidegate")
        self.tearDown()
        self.gateway.run("systemctl", "start", "tidegate")

    def test_7_without_a_tpm_the_strict_one_does_not_start(self):
        self.take("strict-tpm")
        self.gateway.run("systemctl", "stop", "tidegate.socket", "tidegate")
        before = show(self.gateway, "ExecMainStartTimestampMonotonic")
        # A container has no device units: what waits 90 s elsewhere is told at once.
        self.fails(1, "A dependency job for tidegate.service failed", "systemctl", "start", "tidegate")
        self.assert_shows(ActiveState="inactive", ExecMainStartTimestampMonotonic=before)
        self.assertIn("dev-tpmrm0.device", self.said())
        self.gateway.shell("systemctl stop tidegate tidegate.socket")
        self.tearDown()
        self.gateway.run("systemctl", "start", "tidegate")

    def test_8_a_program_of_the_site_runs_where_it_is_allowed(self):
        self.gateway.write("/usr/local/lib/tidegate/level", "#!/bin/sh\necho 'level = 7'\n", 0o755)
        self.gateway.write("/etc/tidegate/conf.d/exec.conf", "[bus programs]\ntype = exec\n[device own]\nbus = programs\n"
                           "every = 1s\nbackoff = 1s\ntimeout = 10s\ncommand = /usr/local/lib/tidegate/level\n"
                           "[point own/level]\nread = level\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_for(self.gateway, "the refusal", lambda: re.search(r"Device own .*level does not start: Permission denied", self.said()))
        self.take("exec-programs")
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_for(self.gateway, "the program's value",
                 lambda: self.gateway.run("tidegate", "read", "own/level", check=False).code == 0)
        self.gateway.shell("rm /etc/tidegate/conf.d/exec.conf; systemctl reload tidegate")
        self.assertTrue(show(self.gateway, "MainPID"))
