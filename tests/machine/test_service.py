# SPDX-License-Identifier: Apache-2.0
"""The service as systemd has it: enrolled by claim with a key from the TPM, reloaded, watched over."""

import faults
from scenes import FINE, System

# Stops one thread as long as this runs: PTRACE_SEIZE, PTRACE_INTERRUPT.
HOLD = """
my ($pid, $name) = @ARGV;
for my $task (glob "/proc/$pid/task/*") {
	open my $comm, "<", "$task/comm" or die $!;
	next if <$comm> ne "$name\n";
	my ($tid) = $task =~ /([0-9]+)$/;
	syscall(117, 0x4206, $tid + 0, 0, 0) == 0 && syscall(117, 0x4207, $tid + 0, 0, 0) == 0 or die $!;
	sleep;
}
die "no thread $name";
"""


class Enrolment(System):
    SNAPSHOT = "installed"
    SPOILS = True   # the TPM has a key then

    def setUp(self):
        super().setUp()
        self.config = self.world.config()

    def test_from_a_claim_to_readings_with_a_key_that_stays_in_the_tpm(self):
        others = len(self.world.cloud.issued())
        self.world.give(self.machine)
        self.config["enrolment.aws-fleet"]["forget-claim"] = "yes"
        self.start()
        self.wait_fine()
        self.wait_packs(3)
        pack = self.packs("boiler")[-1]
        status = self.ask("status")
        self.assertEqual((pack.units["temperature"], pack.clock), ("Cel", None))
        self.assertTrue(pack.base_name.startswith(status["id"] + ":boiler:"), pack.base_name)
        self.assertEqual((status["tpm"]["state"], status["tpm"]["key"], status["identity"]["generation"]), ("ok", "usable", 1))
        self.assertEqual([c["status"] for c in self.world.cloud.issued()[others:]], ["ACTIVE"])
        self.assert_no_key_on_the_disk()
        self.wait("the claim to be forgotten", lambda: self.ask("status")["claim"]["state"] == "forgotten")
        self.assertEqual(self.machine.run("ls /var/lib/tidegate/claim"), "")

    def assert_no_key_on_the_disk(self):
        """A blob that only this TPM can load, under the parent that the configuration names."""
        found = self.machine.run("grep -rl 'PRIVATE KEY' /var/lib/tidegate /etc/tidegate").split()
        kinds = {self.machine.run(["grep", "-h", "BEGIN.*PRIVATE", path]).strip() for path in found if "/claim/" not in path}
        self.assertEqual(kinds, {"-----BEGIN TSS2 PRIVATE KEY-----"})
        self.assertIn("0x81000001", self.machine.run("tpm2_getcap handles-persistent"))
        self.assertEqual(self.machine.run("stat -c %U:%a /var/lib/tidegate").strip(), "tidegate:700")


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


class Watchdog(System):
    def watchdog_bit(self):
        return self.messages(r"^tidegate\.service: Watchdog timeout")

    def test_restarts_an_agent_of_which_a_thread_hangs(self):
        self.drop_in("WatchdogSec=8s")
        self.go_online()
        self.wait_packs(2)
        before = self.unit("MainPID", "NRestarts")
        self.machine.write("/root/hold.pl", HOLD)
        self.machine.run(f"systemd-run --quiet --unit=hold perl /root/hold.pl {before['MainPID']} spool")
        self.excuse(r"tidegate.*(dumped|core|ABRT|abort|atchdog)|[Dd]umped core|tidegate.service.*failed")
        self.wait_status_text(r"^enrolled; link \w+; 1 of 1 devices ok; \d+ packs wait; stuck: spool$", 120)
        self.wait("systemd's patience to end", self.watchdog_bit, 120)
        # A thread does not end as long as somebody traces it.
        self.machine.run("systemctl stop hold.service")
        self.wait("another agent", lambda: self.unit("MainPID")["MainPID"] not in ("0", before["MainPID"]), 120)
        self.wait_fine()
        self.assertEqual(int(self.unit("NRestarts")["NRestarts"]), int(before["NRestarts"]) + 1)
        self.wait_drained()
        faults.told("F40", "systemd ends an agent with a stuck thread, which its status had named, and starts another: online again")
