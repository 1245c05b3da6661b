# SPDX-License-Identifier: Apache-2.0
"""A certificate follows another under systemd: by an operator's word and by the schedule; the old key ends."""

import json

from scenes import System

# What a service that keeps the time tells the kernel, and timedate1 asks for: the clock's error is bounded. Without it the
# schedule waits for ten minutes, as it does on a gateway that has just started.
# By adjtimex() of status, largest and estimated error.
SYNCHRONISED = 'my $t = pack("L x4 q4 l x400", 0x1c, 0, 0, 0, 0, 0); syscall(171, $t) >= 0 or die $!'


class Rotation(System):
    SPOILS = True   # the kernel thinks that its clock is good

    def serial(self):
        return self.ask("status")["identity"]["serial"]

    def generations(self):
        """Those that have a key."""
        return [int(path.split("/")[-2]) for path in
                self.machine.run("ls -d /var/lib/tidegate/identity/generations/*/key.pem").split()]

    def wait_settled(self, least):
        """Until a generation is in use, and the only one that could be; its number."""
        def settled():
            status = self.ask("status")
            number = status["identity"]["generation"]
            return (status["enrolment"]["state"] == "settled" and status["identity"]["state"] == "current" and
                    not status["rotation"]["probation"] and number >= least and self.generations() == [number] and number)
        return self.wait(f"generation {least}", settled, 180)

    def schedule(self, age):
        self.config["rotation"]["max-age"] = age
        self.write_config()
        self.machine.run("systemctl reload tidegate.service")

    def test_by_word_and_by_schedule(self):
        self.machine.run(["perl", "-e", SYNCHRONISED])
        self.go_online()
        serials = [self.serial()]
        said = self.machine.run("tidegate renew --wait", seconds=180)
        self.assertRegex(said, r"generation 2")
        self.assertEqual(self.wait_settled(2), 2)
        serials.append(self.serial())

        # Nobody says a word. A slow machine may do it twice before it has read that it is enough.
        self.schedule("20s")
        self.wait("another generation", lambda: self.ask("status")["identity"]["generation"] > 2, 180)
        self.schedule("90d")
        number = self.wait_settled(3)
        serials.append(self.serial())
        self.assertEqual(len(set(serials)), 3)
        self.assertEqual(len(self.world.cloud.issued()), number)
        self.wait_fine()
        self.wait_drained()
        for event in "certificate-renewed", "certificate-retired":
            told = {(e["old"]["generation"], e["new"]["generation"]) for e in self.world.subscriber.events(event)}
            self.assertEqual(told, {(n, n + 1) for n in range(1, number)})
        history = json.loads(self.machine.run("tidegate identity --history --json"))
        self.assertEqual([g["state"] for g in history].count("retired"), number - 1, history)
        self.assertEqual(self.unit("NRestarts")["NRestarts"], "0")
