# SPDX-License-Identifier: Apache-2.0
"""Memory ends for the service, or for a program that it has started."""

import faults
from scenes import FINE, System


class Memory(System):
    def test_an_agent_that_is_killed_for_want_of_memory_comes_back_and_goes_on(self):
        self.add_source()
        self.go_online()
        self.world.broker.kill()
        self.wait_status_text(r"link (offline|connecting)", 60)
        self.wait("a backlog", lambda: self.ask("status")["spool"]["disk_packs"] >= 6)
        kept = self.source.number - 4   # those of the last commit interval may go with it
        self.excuse(r"oom|OOM|Call trace:|tidegate.service.*(killed|failed)")
        before = self.unit("MainPID", "NRestarts")
        # Less than its threads need, from now on.
        self.machine.run("systemctl set-property --runtime tidegate.service MemoryHigh=infinity MemoryMax=2M MemorySwapMax=0")
        self.wait("the kernel to kill it", lambda: self.unit("MainPID")["MainPID"] != before["MainPID"], 120)
        self.machine.run("systemctl set-property --runtime tidegate.service MemoryMax=96M")
        self.assertTrue(self.machine.run("journalctl -q -b --no-pager -k -o cat --grep 'Memory cgroup out of memory.*tidegated'"))
        self.world.broker.start()
        self.assertRegex(self.wait_fine(), FINE)
        self.assertGreater(int(self.unit("NRestarts")["NRestarts"]), int(before["NRestarts"]))
        self.wait_packs(4)
        there = {int(p.values["number"]) for p in self.packs("plant") if "number" in p.values}
        self.assertEqual([n for n in range(1, kept + 1) if n not in there], [])
        faults.told("F24", "MemoryMax= of systemd lowered under a backlog: killed, restarted, all that was on the disk arrived")

    def test_a_program_that_eats_memory_dies_alone(self):
        """OOMPolicy=continue: the kernel takes the largest, and systemd leaves the others. MemoryHigh= alone would make it slow."""
        self.drop_in("ExecPaths=/usr/bin/python3", "MemoryHigh=infinity")
        self.add_bus("programs", "exec")
        self.add_device("glutton", "programs", {"line": "line"}, command=f"/usr/bin/python3 -c \"'x' * {1 << 28}\"", every="2s",
                        timeout="60s")
        self.excuse(r"oom|OOM|Call trace:")
        self.start()
        pid = self.unit("MainPID")
        self.wait("the kernel to kill the program",
                  lambda: self.machine.try_run("journalctl -q -b --no-pager -k -o cat --grep 'Killed process.*python3'").stdout, 120)
        line = self.wait_status_text(r"^enrolled; link online; 1 of 2 devices ok \(glutton: .+\); \d+ packs wait$", 120)
        self.assertRegex(line, r"kill|signal")
        self.assertEqual(self.unit("MainPID"), pid)
        self.wait_packs(4)
