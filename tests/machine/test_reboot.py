# SPDX-License-Identifier: Apache-2.0
"""The machine boots again with readings that nobody has taken yet."""

from scenes import FINE, System


class Reboot(System):
    SPOILS = True

    def test_what_waits_survives_the_boot_and_the_gateway_comes_by_itself(self):
        self.add_source()
        self.go_online()
        self.wait_packs(4)
        before = self.ask("status")
        self.world.broker.kill()
        self.wait_status_text(r"^enrolled; link (offline|connecting) \(.+\)", 60)
        self.wait("a backlog", lambda: self.ask("status")["spool"]["disk_packs"] >= 10)
        # Enabled by the package, before it was configured.
        self.assertEqual(self.machine.run("systemctl is-enabled tidegate.service").strip(), "enabled")
        self.machine.reboot()
        self.source.connect(self.machine)
        self.world.broker.start()
        self.assertRegex(self.wait_fine(), FINE)
        self.wait_all_numbers()
        after = self.ask("status")
        for member in "id", "instance":
            self.assertEqual(after[member] == before[member], member == "id")
        self.assertEqual(after["identity"]["serial"], before["identity"]["serial"])
        self.assertEqual(len({p.epoch for p in self.packs()}), 2)
        self.assertEqual(self.machine.run("systemctl is-system-running").strip(), "running")
