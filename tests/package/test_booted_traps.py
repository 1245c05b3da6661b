# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with plausible units, shown not to with this one. Each was found on a real machine; most need a running
systemd to be seen."""

import re
import time

from gateway import (CONF, DROP_IN, Booted, World, drop_in, ended, install, show, state, status, status_text, wait_for,
                     wait_online, waiting)

SOCKET = "/run/tidegate-control.sock"
CURRENT = "/var/lib/tidegate/identity/current"
SLOW_START_S = 80      # less than the 90 s after which systemd stops waiting for a device


class Judge(Booted):
    """That which looks at the system after each test of all these."""

    STAGE = "bare"

    def ran(self, name, service):
        """A unit that has run to its end, after which the judge is asked."""
        self.begin()
        self.gateway.write(f"/run/systemd/system/{name}.service", f"[Service]\n{service}\n")
        self.gateway.shell(f"systemctl daemon-reload; systemctl start --wait {name} || true")

    def complains(self, pattern):
        with self.assertRaisesRegex(AssertionError, pattern):
            self.judge()

    def test_1_a_unit_that_failed_is_complained_of_unless_it_is_wanted(self):
        self.ran("false", "ExecStart=/bin/false")
        self.complains(r"false\.service")
        self.judge()                # it has been told
        self.ran("false", "ExecStart=/bin/false")
        self.wanted = {"false.service"}
        self.judge()
        self.complains(r"false\.service")       # wanted, and not failed
        self.wanted = set()

    def test_2_a_program_that_aborts_is_complained_of_also_when_it_was_started_again(self):
        self.ran("abort", "Type=oneshot\nRestart=on-failure\nRestartSec=0\n"
                          "ExecStart=/bin/sh -c 'test -e /run/aborted || { touch /run/aborted; kill -ABRT $$$$; }'")
        wait_for(self.gateway, "its good end", lambda: show(self.gateway, "Result", "abort.service") == "success"
                 and self.gateway.exists("/run/aborted") and state(self.gateway, "abort.service") == "inactive")
        self.assertEqual(self.gateway.run("systemctl", "list-units", "--failed", "--no-legend").out, "")
        self.complains(r"status=6/ABRT|Failed with result '(signal|core-dump)'")
        self.allowed = "ABRT|Failed with result '(signal|core-dump)'"
        self.judge()


class Unconfigured(Booted):
    STAGE = "bare"

    def test_1_an_installation_does_not_wait_for_a_network_that_never_comes(self):
        """A link that is down holds network-online.target up; who waits for it does so before conditions are judged."""
        self.gateway.write("/etc/systemd/system/never-online.service",
                           "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n"
                           "ExecStart=/bin/sleep infinity\n[Install]\nWantedBy=network-online.target\n")
        self.gateway.shell("systemctl daemon-reload; systemctl enable never-online")
        install(self.gateway)       # would not end
        self.gateway.run("systemctl", "start", "tidegate")
        self.assert_shows(ActiveState="inactive", ConditionResult="no")
        self.assertNotIn("tidegate", self.gateway.run("systemctl", "list-jobs").out)

    def test_2_a_client_does_not_make_the_socket_fail_while_nothing_is_configured(self):
        self.gateway.run("systemctl", "start", "tidegate.socket")
        self.assert_shows("tidegate.socket", ActiveState="inactive", ConditionResult="no")
        for _ in range(5):
            self.fails(1, SOCKET, "tidegate", "status")
        # Made by hand, past the condition, it would be triggered; and the start of the service skipped each time.
        self.assert_shows(ActiveState="inactive", Result="success")

    def test_3_each_group_of_the_service_is_there(self):
        """A single one that is missing is 216/GROUP."""
        groups = show(self.gateway, "SupplementaryGroups").split()
        self.assertGreater(len(groups), 4)
        for group in groups:
            self.gateway.run("getent", "group", group)
        drop_in(self.gateway, "[Service]\nSupplementaryGroups=no-such-group\nRestart=no\n[Unit]\nConditionPathExists=\n")
        self.gateway.run("systemctl", "start", "tidegate", check=False)
        wait_for(self.gateway, "216/GROUP", lambda: show(self.gateway, "ExecMainStatus") == "216", 20)
        self.wanted = {"tidegate.service"}
        self.gateway.shell(f"rm {DROP_IN}/test.conf; systemctl stop tidegate.socket; systemctl daemon-reload")


class Enrolled(Booted):
    """A gateway that was configured, rebooted, and is online."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        wait_online(cls.gateway)

    def setUp(self):
        self.addCleanup(self.back)      # runs after the judge, who would not see what failed otherwise
        super().setUp()

    def back(self):
        """To what the package has, online."""
        self.gateway.shell(f"if [ -e {DROP_IN}/test.conf ]; then rm {DROP_IN}/test.conf; systemctl daemon-reload; systemctl stop tidegate; "
                           "fi; systemctl reset-failed; systemctl start tidegate")
        wait_online(self.gateway)

    def socket_of(self):
        return self.gateway.run("stat", "-c", "%U:%G %a %F", SOCKET).out.strip()

    def test_01_the_socket_keeps_its_owner_over_starts_stops_and_restarts(self):
        for verb in ("restart", "stop", "start"):
            self.gateway.run("systemctl", verb, "tidegate.service")
            self.assertEqual(self.socket_of(), "root:tidegate 660 socket", verb)
            self.assert_shows("tidegate.socket", ActiveState="active")
        self.gateway.run("systemctl", "stop", "tidegate.service")
        # Whoever asks starts it.
        self.assertEqual(self.gateway.run("tidegate", "status", check=False).code, 0)
        self.assert_shows(ActiveState="active")

    def test_02_only_the_group_may_operate(self):
        self.gateway.shell("useradd --system stranger; useradd --system -G tidegate technician")
        done = self.gateway.run("setpriv", "--reuid=stranger", "--regid=stranger", "--init-groups", "tidegate", "status", check=False)
        self.assertEqual(done.code, 1)
        self.assertIn("ermission denied", done.out)
        self.gateway.run("setpriv", "--reuid=technician", "--regid=technician", "--init-groups", "tidegate", "status")

    def test_03_a_bad_configuration_is_no_more_starts_than_clients_that_ask(self):
        self.gateway.shell(f"echo 'endpiont = x' >>{CONF}")
        self.gateway.run("systemctl", "stop", "tidegate.service")
        clients = [self.gateway.start("tidegate", "status") for _ in range(3)]
        for client in clients:
            self.assertEqual(ended(client), 1)
            client.stdout.close()
        wait_for(self.gateway, "the end", lambda: state(self.gateway) == "failed", 20)
        starts = len(re.findall(r"Starting tidegate.service", self.said("-u", "tidegate.service")))
        # The clients that had come wait for one start and are turned away; one that came later asks for another.
        self.assertLessEqual(starts, len(clients), self.said("-u", "tidegate.service"))
        self.assertGreaterEqual(starts, 1)
        self.assert_shows(ExecMainStatus="78", NRestarts="0", Result="exit-code")
        self.assert_shows("tidegate.socket", ActiveState="active")
        self.assertIn("endpiont", self.said("-u", "tidegate.service"))
        self.assertEqual(status_text(self.gateway), 'configuration refused, see "tidegate check"')
        self.gateway.shell(f"sed -i /^endpiont/d {CONF}; systemctl start tidegate")      # without reset-failed
        self.assert_shows(ActiveState="active")

    def test_04_a_reload_runs_inside_the_sandbox_and_a_shell_would_not(self):
        self.gateway.run("systemctl", "reload", "tidegate")
        drop_in(self.gateway, "[Service]\nExecReload=\nExecReload=/bin/kill -HUP $MAINPID\n")
        self.assertNotEqual(self.gateway.run("systemctl", "reload", "tidegate", check=False).code, 0)
        self.assertIn("203/EXEC", self.said())
        self.assert_shows(ActiveState="active")

    def test_05_the_helper_is_executed_in_the_sandbox(self):
        self.gateway.shell(f"sed -i '/^\\[rotation\\]/a probation = 2s' {CONF}; systemctl reload tidegate")
        # It waits for the end of the probation, which is two minutes otherwise.
        self.assertIn("generation 2 is in use", self.gateway.run("tidegate", "renew", "--wait").out)
        self.assertTrue(self.gateway.run("readlink", CURRENT).out.strip().endswith("2"))

    def clock_service(self):
        now = status(self.gateway)
        return now["clock"]["service"] if now else "no status"

    def test_07_timedate1_is_asked_over_dbus(self):
        """Whose word counts more than timesyncd's mark, which speaks when there is no answer."""
        self.gateway.shell("mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized")
        drop_in(self.gateway, "[Service]\nInaccessiblePaths=/run/dbus\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_for(self.gateway, "the mark alone", lambda: self.clock_service() == "timesyncd")
        self.gateway.shell(f"rm {DROP_IN}/test.conf; systemctl daemon-reload; systemctl restart tidegate")
        says = self.gateway.run("busctl", "get-property", "org.freedesktop.timedate1", "/org/freedesktop/timedate1",
                                "org.freedesktop.timedate1", "NTPSynchronized").out.strip()
        answer = {"b true": "timedate1", "b false": None}[says]
        wait_for(self.gateway, "the answer", lambda: self.clock_service() == answer)
        self.gateway.run("rm", "/run/systemd/timesync/synchronized")

    def test_08_credentials_plain_sealed_and_missing(self):
        secrets = "tidegate.owner-auth", "tidegate.est-password"
        pid = show(self.gateway, "MainPID")
        self.assertEqual(self.credentials(pid), [])
        self.gateway.shell(f"mkdir -p /etc/credstore /etc/credstore.encrypted; printf plain-secret >/etc/credstore/{secrets[1]}; "
                           f"printf sealed-secret | systemd-creds encrypt --with-key=host --name={secrets[0]} - "
                           f"/etc/credstore.encrypted/{secrets[0]}")
        drop_in(self.gateway, f"[Service]\nLoadCredential={secrets[1]}:/etc/credstore/{secrets[1]}\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        pid = show(self.gateway, "MainPID")
        self.assertEqual(self.credentials(pid), sorted(secrets))
        for name, text in zip(secrets, ("sealed-secret", "plain-secret")):
            self.assertEqual(self.gateway.read(f"/run/credentials/tidegate.service/{name}"), text)
        # Sealed to another name it is refused, and the service with it: better than going on without a secret that is meant.
        self.gateway.shell(f"rm {DROP_IN}/test.conf /etc/credstore/*; systemctl daemon-reload; "
                           f"printf x | systemd-creds encrypt --with-key=host --name=other - /etc/credstore.encrypted/{secrets[0]}")
        self.gateway.run("systemctl", "restart", "tidegate", check=False)
        self.assertIn("243/CREDENTIALS", self.said())
        self.gateway.shell("rm /etc/credstore.encrypted/*")

    def credentials(self, pid):
        environment = self.gateway.shell(f"tr '\\0' '\\n' </proc/{pid}/environ").out
        where = re.search(r"CREDENTIALS_DIRECTORY=(\S+)", environment)
        return sorted(self.gateway.run("ls", where[1]).out.split()) if where else []

    def test_09_a_stopped_agent_is_aborted_and_restarted(self):
        self.allowed = r"watchdog|dumped|signal"
        drop_in(self.gateway, "[Service]\nWatchdogSec=5s\nRestartSec=1s\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        pid = show(self.gateway, "MainPID")
        self.gateway.run("kill", "-STOP", pid)
        wait_for(self.gateway, "another process", lambda: show(self.gateway, "MainPID") not in (pid, "0"), 30)
        self.assertIn("Watchdog timeout", self.said())
        self.assertIn("status=6/ABRT", self.said())
        wait_online(self.gateway)
        self.assertNotEqual(show(self.gateway, "NRestarts"), "0")

    def test_10_without_a_tpm_it_starts_at_once_and_says_so(self):
        World.site.tpm.kill()
        try:
            begin = time.monotonic()
            self.gateway.run("systemctl", "restart", "tidegate")
            self.assertLess(time.monotonic() - begin, SLOW_START_S)
            self.assert_shows(ActiveState="active")
            wait_for(self.gateway, "the line", lambda: "TPM" in status_text(self.gateway))
            wait_for(self.gateway, "readings", lambda: waiting(self.gateway) > 3)
        finally:
            World.site.tpm.start()
        wait_online(self.gateway)

    def test_11_no_number_of_failures_ends_the_restarts(self):
        drop_in(self.gateway, "[Service]\nRestartSec=100ms\n")
        for _ in range(8):
            pid = show(self.gateway, "MainPID")
            self.allowed = "signal"
            self.gateway.run("kill", "-KILL", pid)
            wait_for(self.gateway, "another process", lambda: show(self.gateway, "MainPID") not in (pid, "0"), 20)
        wait_for(self.gateway, "the last start", lambda: state(self.gateway) == "active")
        self.assert_shows(NRestarts="8")
        wait_online(self.gateway)

    def test_12_addresses_that_are_not_allowed_are_denied(self):
        if self.gateway.run("systemd-run", "--quiet", "--wait", "--pipe", "-p", "IPAddressDeny=any", "python3", "-c",
                            f"import socket; socket.create_connection(('127.0.0.1', {World.site.broker.port}), 2)",
                            check=False).code == 0:
            self.skipTest("this kernel has no BPF for cgroups")
        drop_in(self.gateway, "[Service]\nIPAddressDeny=any\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_for(self.gateway, "no session", lambda: (status(self.gateway) or {"link": {"error": None}})["link"]["error"])
        drop_in(self.gateway, "[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost\n")
        self.gateway.run("systemctl", "restart", "tidegate")
        wait_online(self.gateway)
