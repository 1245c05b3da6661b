# SPDX-License-Identifier: Apache-2.0
"""The service as systemd has it: reloaded with good and bad configurations."""

import faults
from scenes import FINE, System


class Reload(System):
    def reload(self):
        return self.machine.try_run("systemctl reload tidegate.service")

    def test_takes_a_good_configuration_and_refuses_a_bad_one(self):
        self.go_online()
        before = self.unit("MainPID", "NRestarts")
        self.add_device("pump", "signals", {"on": "constant 1"}, every="1s")
        self.write_config()
        done = self.reload()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait("the new device", lambda: self.packs("pump"))
        self.assertIn("2 of 2 devices ok", self.wait_fine())

        self.excuse(r"tidegate\.conf:\d+: unknown key")
        self.config["device pump"]["evry"] = "2s"
        self.write_config()
        done = self.reload()
        self.assertNotEqual(done.returncode, 0, "systemctl must say that it was refused")
        self.wait("the reason in the journal",
                  lambda: self.messages(r"/etc/tidegate/tidegate\.conf:\d+: unknown key 'evry', did you mean 'every'"))
        self.assertRegex(self.status_text(), FINE)
        self.assertEqual(self.unit("MainPID", "NRestarts"), before)
        self.assertEqual(self.unit("ActiveState", "SubState"), {"ActiveState": "active", "SubState": "running"})
        self.wait_packs(4)
        self.wait_drained()
        faults.told("F20", "systemctl reload of a bad configuration fails with file and line, the service goes on with the old one")
