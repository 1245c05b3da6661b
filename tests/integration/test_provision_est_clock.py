#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with method = est and a wrong clock: what a verified server proves of the time, and what it does not.

The server lives 300 days from now, so that all its certificates are younger than the day of the release, which is all
that a gateway out of its box knows of the time.

usage: test_provision_est_clock.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import struct
import time

from est_bench import EstProvision, EstServer
from provision_bench import main

DAY = 86400
WORLD = 300 * DAY
# Nothing of this machine's own time keeping is seen.
PRIVATE = "mount -t tmpfs tmpfs /run && if [ -d /var/lib/systemd ]; then mount -t tmpfs tmpfs /var/lib/systemd; fi && exec \"$@\""


class WrongClock(EstProvision):
    SERVER = {"backdate": 0, "server_life": 60 * DAY}
    OFFSET = -3 * 365 * DAY     # of the gateway's clock, to the server's

    @classmethod
    def setUpClass(cls):
        cls.shim = os.path.join(os.path.dirname(cls.helper), "..", "tests", "fakes", "libclock-shim.so")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.world = self.clock("world", WORLD)
        before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "TIDEGATE_CLOCK_FILE")}
        os.environ.update(LD_PRELOAD=self.shim, TIDEGATE_CLOCK_FILE=self.world)
        try:
            self.est = EstServer(**self.SERVER)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        self.addCleanup(self.est.close)
        self.configure(enrolment="subject = CN=gw-7")

    def clock(self, name, offset):
        """A file for the shim: the clock of those who have it is so much ahead of this machine's."""
        path = f"{self.dir}/{name}.clock"
        with open(path, "wb") as file:
            file.write(struct.pack("=q", int(offset * 1e6)))
        return path

    def command(self, *arguments):
        clock = self.clock("gateway", WORLD + self.OFFSET)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh", "env", f"LD_PRELOAD={self.shim}",
                "ASAN_OPTIONS=verify_asan_link_order=0", f"TIDEGATE_CLOCK_FILE={clock}", *super().command(*arguments)]

    def test_a_verified_server_says_what_time_it_is(self):
        _, result = self.enrol()
        self.assert_enrolled(result)
        made = json.loads(self.read("candidate/manifest"))["made"]
        self.assertAlmostEqual(made, time.time() + WORLD, delta=120)

    def test_without_a_date_its_certificate_does(self):
        self.est.set(date="none")
        _, result = self.enrol()
        self.assert_enrolled(result)
        manifest = json.loads(self.read("candidate/manifest"))
        # That began some time before; what is issued now begins later, and is no worse for it.
        self.assertGreater(manifest["made"], time.time() + WORLD - 2 * DAY)
        self.assertLess(manifest["made"], time.time() + WORLD + 120)

    def test_a_date_behind_the_end_of_its_own_certificate_counts_for_nothing(self):
        self.est.set(date=str(90 * DAY))
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertLess(json.loads(self.read("candidate/manifest"))["made"], time.time() + WORLD + 120)

    def test_what_begins_behind_the_end_of_its_own_server_is_not_taken(self):
        self.est.set(backdate=-59 * DAY, life=90 * DAY)
        self.assert_enrolled(self.enrol()[1])
        self.est.set(backdate=-61 * DAY, life=90 * DAY)
        failed = self.failure("--again")
        self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
        self.assertIn("it begins ", failed["text"])

    def test_waiting_times_count_on_the_gateways_believed_clock(self):
        self.est.set(pending=1, retry_after="imf:3600")
        self.enrol(status=1)
        self.assertAlmostEqual(self.journal()["error"]["retry_at"], time.time() + WORLD + 3600, delta=120)

    def test_who_knows_the_time_takes_nothing_from_the_future(self):
        self.OFFSET = -WORLD
        failed = self.failure("--clock-synchronised")
        self.assertEqual((failed["step"], failed["class"]), ("csr", "retry"))
        self.assertIn("not valid yet", failed["text"])
        self.assertEqual(self.est.events("request"), [])


if __name__ == "__main__":
    main(__doc__)
