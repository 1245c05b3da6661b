# SPDX-License-Identifier: Apache-2.0
"""The cable is pulled out and plugged in again."""

from scenes import System


class Network(System):
    def test_readings_wait_on_the_disk_while_the_cable_is_out(self):
        self.go_online()
        self.wait_packs(4)
        before = self.ask("status")
        self.machine.world(False)
        self.addCleanup(self.machine.world, True)
        line = self.wait_status_text(r"^enrolled; link (offline|connecting) \(.+\); 1 of 1 devices ok; \d+ packs wait$", 90)
        arrived = len(self.world.subscriber.numbers())
        polls = self.device("boiler")["polls"]
        self.wait("a spool that grows", lambda: self.ask("status")["spool"]["disk_packs"] >= 12)
        self.wait("more readings", lambda: self.device("boiler")["polls"] > polls)
        self.assertEqual(len(self.world.subscriber.numbers()), arrived)
        self.assertRegex(line, r"not answer|timed out|unreachable|keep-alive|no route|is dead|lost", line)
        self.machine.world(True)
        self.wait_fine()
        self.wait_drained()
        self.wait("an empty spool", lambda: self.ask("status")["spool"]["disk_packs"] == 0)
        self.assertIn("replay", {p.stream for p in self.packs()})
        after = self.ask("status")
        self.assertEqual(after["identity"]["serial"], before["identity"]["serial"])
        self.assertEqual(self.unit("NRestarts")["NRestarts"], "0")
