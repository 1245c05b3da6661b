# SPDX-License-Identifier: Apache-2.0
"""The package from its installation to its purge, on a running system, as an operator sees it."""

import os
import sqlite3

from gateway import (HERE, REPOSITORY, Booted, World, apt, configure, enrol, index_repository, install, repacked, show, state, status,
                     status_text, wait_for, wait_online, waiting)

import gateway_bench
from faults import told

NEWER = "99.0"      # of what the repository gets, above every version that the package will have
STATE = "/var/lib/tidegate"


class Life(Booted):
    """One gateway, from a bare Debian on."""

    STAGE = "bare"

    def generation(self):
        return self.gateway.run("readlink", f"{STATE}/identity/current").out.strip()

    def epoch(self):
        return max(self.numbers()) >> 32

    def numbers(self):
        return World.site.subscriber.numbers()

    # --- installed ---------------------------------------------------------------------------------------------------

    def test_10_an_installation_leaves_an_enabled_service_that_is_skipped(self):
        said = install(self.gateway)
        self.assertNotIn("warning", said.lower())
        self.assertEqual(self.gateway.run("systemctl", "is-enabled", "tidegate.service", "tidegate.socket").out, "enabled\nenabled\n")
        for unit in ("tidegate.service", "tidegate.socket"):
            self.assert_shows(unit, ActiveState="inactive", ConditionResult="no")
        self.assertEqual(self.gateway.run("systemctl", "is-system-running").out, "running\n")
        self.assertIn("was not met", self.gateway.run("systemctl", "status", "tidegate", check=False).out)
        self.fails(1, "/run/tidegate-control.sock", "tidegate", "status")

    def test_11_a_boot_without_configuration_skips_it_too(self):
        self.gateway.off()
        self.gateway.boot()
        self.mark = ""
        self.assertEqual(self.gateway.run("systemctl", "is-system-running").out, "running\n")
        self.assert_shows(ActiveState="inactive", ConditionResult="no")

    def test_12_the_shipped_example_leads_to_a_session(self):
        configure(self.gateway)
        self.assertIn("ok, 2 buses", self.gateway.run("tidegate", "check").out)
        enrol(self.gateway)
        # Its device behind 192.0.2.20 is not there.
        line = wait_for(self.gateway, "its line", lambda: "online" in status_text(self.gateway) and status_text(self.gateway))
        self.assertRegex(line, r"^enrolled; link online; 1 of 2 devices ok \(boiler: .*192\.0\.2\.20 .*\); \d+ packs wait$")
        self.assertEqual(self.gateway.run("systemctl", "is-system-running").out, "running\n")
        self.assertEqual(self.gateway.run("find", f"{STATE}/claim", "-type", "f").out, "")     # forget-claim = yes

    # --- reload ------------------------------------------------------------------------------------------------------

    def test_20_a_reload_takes_a_good_configuration(self):
        pid = show(self.gateway, "MainPID")
        self.gateway.shell("sed -i 's/every = 100ms/every = 150ms/' /etc/tidegate/conf.d/sim.conf; systemctl reload tidegate")
        self.assert_shows(MainPID=pid, ActiveState="active")
        self.assertIn("150ms", self.gateway.shell("tidegate check --dump | grep -A3 'device sensor'").out)

    def test_21_a_reload_refuses_a_bad_one_and_keeps_the_old(self):
        pid = show(self.gateway, "MainPID")
        self.gateway.shell("echo 'evry = 1s' >>/etc/tidegate/conf.d/boiler.conf")
        done = self.gateway.run("systemctl", "reload", "tidegate", check=False)
        self.assertNotEqual(done.code, 0, done)
        said = self.said("-u", "tidegate.service")
        self.assertIn("boiler.conf:", said)
        self.assertIn("evry", said)
        self.assert_shows(MainPID=pid, ActiveState="active")
        self.assertEqual(status(self.gateway)["link"]["state"], "online")
        self.gateway.shell("sed -i /^evry/d /etc/tidegate/conf.d/boiler.conf; systemctl reload tidegate")

    # --- upgrade, downgrade ------------------------------------------------------------------------------------------

    def test_30_an_upgrade_under_traffic_loses_nothing(self):
        repacked(World.deb, NEWER)
        index_repository()
        pid, generation, epoch = show(self.gateway, "MainPID"), self.generation(), self.epoch()
        before = len(self.numbers())
        # What it must not lose: the broker is away while the package changes.
        World.site.broker.stop()
        self.addCleanup(lambda: World.site.broker.listens() or World.site.broker.start())
        wait_for(self.gateway, "readings that wait", lambda: waiting(self.gateway) > 5)
        apt(self.gateway, "update")
        apt(self.gateway, "install", "tidegate")
        self.assertEqual(self.gateway.run("dpkg-query", "-W", "-f", "${Version}", "tidegate").out, NEWER)
        self.assert_shows(ActiveState="active", NRestarts="0")
        self.assertNotEqual(show(self.gateway, "MainPID"), pid)
        self.assertGreater(waiting(self.gateway), 5)
        World.site.broker.start()
        wait_online(self.gateway)
        self.assertEqual(self.generation(), generation)
        wait_for(self.gateway, "readings of the new one", lambda: self.epoch() == epoch + 1)
        wait_for(self.gateway, "what waited to arrive",
                 lambda: waiting(self.gateway) < 5 and not gateway_bench.Scenario.holes(self.numbers()))
        told("F43", f"the package upgraded on a booted system under traffic, the broker away: {len(self.numbers()) - before} packs "
                    "more, none missing, same identity")

    def test_31_a_downgrade_with_an_older_spool_format_is_refused_and_said(self):
        apt(self.gateway, "install", "--reinstall", "tidegate")
        self.gateway.run("systemctl", "stop", "tidegate.socket", "tidegate.service")
        spool = self.gateway.path(f"{STATE}/spool.db")
        base = sqlite3.connect(spool)
        schema = base.execute("PRAGMA user_version").fetchone()[0]
        base.execute(f"PRAGMA user_version = {schema + 1}")
        base.execute("UPDATE counter SET value = ? WHERE name = 'schema'", (schema + 1,))
        base.commit()
        base.close()
        self.gateway.shell(f"chown -R tidegate: {STATE}; chmod 600 {STATE}/spool.db*")
        with open(spool, "rb") as file:
            before = file.read()
        apt(self.gateway, "install", "--allow-downgrades", f"tidegate={World.version}")
        wait_for(self.gateway, "the refusal", lambda: state(self.gateway) == "failed", 20)
        self.wanted = {"tidegate.service"}
        self.assert_shows(ExecMainStatus="78", NRestarts="0")
        for word in (f"schema {schema + 1} is newer than this program's {schema}", "install the newer version again"):
            self.assertIn(word, self.said("-u", "tidegate.service"))
            self.assertIn(word, status_text(self.gateway))
        with open(spool, "rb") as file:
            self.assertEqual(file.read(), before)
        told("F43", "a package of an older schema refuses the spool, says so in systemctl status and changes not a byte of it")
        # The other way that it names.
        self.gateway.shell(f"mkdir /root/aside; mv {STATE}/spool.db* /root/aside; systemctl start tidegate")
        self.wanted = set()
        wait_online(self.gateway)

    # --- removal -----------------------------------------------------------------------------------------------------

    def test_40_a_removal_stops_it_and_keeps_the_state(self):
        pid, generation = show(self.gateway, "MainPID"), self.generation()
        apt(self.gateway, "remove", "tidegate")
        self.assertFalse(self.gateway.exists(f"/proc/{pid}"))
        self.assertFalse(self.gateway.exists("/run/tidegate-control.sock"))
        for unit in ("tidegate.service", "tidegate.socket"):
            self.assertEqual(show(self.gateway, "LoadState", unit), "not-found")
        self.assertEqual(self.generation(), generation)
        self.assertTrue(self.gateway.exists("/etc/tidegate/tidegate.conf"))
        self.assertEqual(self.gateway.run("systemctl", "is-system-running").out, "running\n")

    def test_41_installed_again_from_a_file_it_goes_on(self):
        generation = self.generation()
        self.gateway.shell(f"cp {REPOSITORY}/{os.path.basename(World.deb)} /root/tidegate.deb; cd /root; "
                           "apt-get -q -y --no-install-recommends install ./tidegate.deb")
        wait_online(self.gateway)
        self.assertEqual(self.generation(), generation)
        self.assert_shows("tidegate.socket", ActiveState="active")

    def test_42_a_purge_leaves_the_user_alone_and_says_what_the_tpm_keeps(self):
        said = apt(self.gateway, "purge", "tidegate")
        for path in ("/etc/tidegate", STATE, "/run/tidegate", "/run/tidegate-control.sock", "/etc/apparmor.d/usr.sbin.tidegated",
                     "/etc/apparmor.d/local/usr.sbin.tidegated",
                     "/etc/systemd/system/multi-user.target.wants/tidegate.service",
                     "/etc/systemd/system/sockets.target.wants/tidegate.socket"):
            self.assertFalse(self.gateway.exists(path), path)
        self.assertIn("0x81000001", said)
        self.assertIn("tpm2_evictcontrol -C o -c 0x81000001", said)
        self.assertTrue(self.gateway.run("getent", "passwd", "tidegate").out)
        self.assertEqual(self.gateway.run("systemctl", "is-system-running").out, "running\n")
        self.gateway.run("systemctl", "daemon-reload")


class Installed(Booted):
    """What has never been configured: looked at, and purged in each of the ways that its state can lie."""

    STAGE = "installed"

    def purge(self):
        return apt(self.gateway, "purge", "tidegate")

    def test_1_files_account_units_and_programs_are_as_promised(self):
        with open(HERE + "/installed.sh", encoding="utf-8") as file:
            print(self.gateway.shell(file.read()).out, end="")

    def test_2_a_purge_of_what_was_never_used_has_no_word_of_the_tpm(self):
        self.assertNotIn("evictcontrol", self.purge())

    def test_3_a_purge_of_a_state_that_is_elsewhere_takes_what_is_its_own(self):
        install(self.gateway)
        self.gateway.shell(f"rm -r {STATE}; mkdir -p /srv/place/identity/generations; echo theirs >/srv/place/theirs; "
                           f"chown -R tidegate /srv/place/identity; ln -s /srv/place {STATE}")
        self.gateway.write("/etc/tidegate/tidegate.conf", "[mqtt]\nkeep-alive = 10s\n[tpm]\n  parent = 0x81000002\n[gateway]\nid = a\n")
        self.assertIn("tpm2_evictcontrol -C o -c 0x81000002", self.purge())
        self.gateway.run("test", "!", "-L", STATE)
        self.assertFalse(self.gateway.exists("/srv/place/identity"))
        self.assertEqual(self.gateway.read("/srv/place/theirs"), "theirs\n")

    def test_4_a_purge_of_a_state_that_is_a_partition_empties_it(self):
        install(self.gateway)
        self.gateway.shell(f"mount -t tmpfs tmpfs {STATE}; mkdir {STATE}/identity; echo precious >{STATE}/spool.db")
        said = self.purge()
        self.assertIn("tpm2_evictcontrol -C o -c 0x81000001", said)
        self.assertIn(f"not removed: {STATE}", said)
        self.assertEqual(self.gateway.run("ls", "-A", STATE).out, "")
        self.gateway.run("umount", STATE)
        self.assertFalse(self.gateway.exists("/etc/tidegate"))
