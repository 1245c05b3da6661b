#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rotation as the TPM sees it: two programs at it at once, keys that come and go, and power that fails under them.

There is no resource manager here: what either program leaves in the TPM stays there, and three slots are all there is.
$TIDEGATE_ROTATIONS says how many rotations make a row (5 when it is not set).
"""

import os

from gateway_bench import main, read_text
from rotation_bench import RotationScenario, say
from tpm_bench import CREATE, CREATE_PRIMARY, LOAD, SIGN, Proxy, Tools

ROTATIONS = int(os.environ.get("TIDEGATE_ROTATIONS", "5"))
GROWTH_KIB, SANITIZED_GROWTH_KIB = 1024, 16384


class TpmRotation(RotationScenario):
    ROTATION = {"probation": "1s", "on-key-lost": "claim"}

    def setUp(self):
        super().setUp()
        self.proxy = self.part(Proxy(self.tpm.dir))
        self.tools = Tools(self.tpm.tcti, self.tpm.dir)
        self.config["tpm"] = {"tcti": self.proxy.tcti, "timeout": "2s"}
        self.write_config()
        self.start_agent()
        self.wait_generation(1)
        self.keep_alive = 50

    def at_rest(self):
        """Nothing of ours is loaded, no wrong password was counted, one key is persistent."""
        self.wait("slots that are free", lambda: self.tools.transients() == [], 10)
        self.assertEqual(self.tools.lockout_counter(), 0)
        self.assertEqual(self.tools.run("tpm2_getcap", "handles-persistent").stdout.split(), ["-", "0x81000001"])

    def measure(self):
        pid = self.agent.process.pid
        lines = dict(line.split(":", 1) for line in read_text(f"/proc/{pid}/status").splitlines())
        return int(lines["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(lines["Threads"])

    def new_session(self):
        """The agent signs, whatever the helper does at that moment."""
        self.keep_alive += 1
        self.config["mqtt"]["keep-alive"] = f"{self.keep_alive}s"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)

    def rotate(self, number):
        """From generation @number to the next; the agent reconnects while the helper makes its key."""
        created = self.proxy.seen(CREATE)
        self.renew()
        self.wait("a key under way", lambda: self.proxy.seen(CREATE) > created)
        self.new_session()
        self.wait_generation(number + 1)

    def order_until(self, number):
        """An order that failed is the operator's to repeat; until it has led to generation @number."""
        def there():
            status = self.agent.status()
            if status["enrolment"]["error"] and status["enrolment"]["state"] != "running":
                self.agent.ctl("renew")
            return status["identity"]["generation"] == number
        self.wait(f"generation {number}", there, 60)
        self.wait_generation(number)

    def test_many_in_a_row_leave_nothing_behind(self):
        sizes, keys = [], {self.key_of(1)}
        for number in range(1, ROTATIONS + 1):
            self.rotate(number)
            keys.add(self.key_of(number + 1))
            self.wait_retired(number)
            self.assertIn("key.pem", self.files_of(number + 1))
            self.at_rest()
            sizes.append(self.measure())
        self.assertEqual(len(keys), ROTATIONS + 1)
        self.assertEqual(len(self.cloud.issued()), ROTATIONS + 1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()
        self.assert_identity_is_one(ROTATIONS + 1)
        rss, files, threads = zip(*sizes)
        say(f"{ROTATIONS} rotations: resident {rss[0]} KiB at first, {max(rss)} at most, {rss[-1]} in the end; files "
            f"{min(files)}..{max(files)}, threads {min(threads)}..{max(threads)}; slots free, lockout counter 0")
        sanitized = "asan" in read_text(f"/proc/{self.agent.process.pid}/maps")
        # The first of them warm up what is kept.
        self.assertLessEqual(rss[-1] - rss[min(2, len(rss) - 1)], SANITIZED_GROWTH_KIB if sanitized else GROWTH_KIB, rss)
        self.assertLessEqual(max(files[2:]) - min(files[2:]), 3, files)
        self.assertLessEqual(max(threads) - min(threads), 2, threads)

    def test_the_key_before_stays_through_probation(self):
        self.config["rotation"]["probation"] = "8s"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.rotate(1)
        self.assertIn("key.pem", self.files_of(1))
        self.assertIn("key.pem", self.files_of(2))
        self.assertNotEqual(self.key_of(1), self.key_of(2))
        self.wait_retired(1)
        self.at_rest()
        self.assert_nothing_lost()

    def test_killed_under_both(self):
        """kill -9 of the TPM while it makes, loads and uses the new key, and while both programs sign."""
        for number, command in enumerate((CREATE, LOAD, SIGN, CREATE_PRIMARY), 1):
            with self.subTest(hex(command)):
                seen = self.proxy.seen(command)
                # The TPM has done it, and nobody hears of it: then the power fails.
                self.proxy.order("close", command, times=1)
                self.renew()
                self.wait("the command", lambda c=command, s=seen: self.proxy.seen(c) > s)
                self.tpm.kill()
                self.new_session()
                self.tpm.start()
                self.order_until(number + 1)
                self.wait_retired(number)
                self.at_rest()
                self.assertEqual(len(self.cloud.issued()), number + 1, "one certificate for one rotation")
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_frozen_when_it_is_time(self):
        """The renewal waits for the TPM; the session does not."""
        status = self.agent.status()
        self.tpm.freeze()
        self.renew()
        failed = self.wait("a failure", lambda: self.agent.status()["enrolment"]["error"])
        self.assertEqual(failed["class"], "local")
        self.assertRegex(failed["text"], "the TPM has not answered for")
        now = self.agent.status()
        self.assertEqual((now["link"]["state"], now["link"]["connects"]), ("online", status["link"]["connects"]))
        self.assertEqual(now["identity"]["generation"], 1)
        self.tpm.thaw()
        self.order_until(2)
        self.wait_retired(1)
        self.assertEqual(len(self.cloud.issued()), 2)
        # What the TPM did for the helper that had ended by then stays, where there is no resource manager.
        self.tools.flush()
        self.at_rest()
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()


if __name__ == "__main__":
    main()
