#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A clock that is ahead, which nothing that is certain contradicts: everything seems to have expired, until it is set right."""

import faults
from clock_bench import DAY, ClockScenario
from gateway_bench import main


class Ahead(ClockScenario):
    def test_ahead_of_all_certificates_until_the_clock_is_right(self):
        # 2050: what AWS issues has ended, the claim too, and a gateway can lie in its box for so long.
        self.set_clock(23 * 365 * DAY)
        self.start_agent()
        error = self.wait("a failure", lambda: self.agent.status()["enrolment"]["error"])
        self.assertRegex(error["text"], "expired|ended")
        self.wait("a second one", lambda: self.agent.status()["enrolment"]["failures"] >= 2, 60)
        self.synchronise()
        self.wait_online()
        self.assertEqual(len(self.cloud.issued()), 1)
        # The same for the broker alone.
        self.set_clock(3 * 365 * DAY)
        self.wait_clock("waiting for synchronisation")
        self.broker.kill()
        self.broker.start()
        self.wait("a refusal", lambda: "has expired" in (self.agent.status()["link"]["error"] or ""))
        self.wait("a long pause", lambda: (self.agent.status()["link"]["next_s"] or 0) >= 7, 90)
        self.synchronise()
        self.wait_online(5)
        self.assert_promise(self.wait_drained())
        faults.told("F13",
                    "2050, then three years ahead: certificates seem expired and none is thrown away; online when the clock is right")


if __name__ == "__main__":
    main()
