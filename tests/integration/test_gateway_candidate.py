#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker does not take the first certificate at once: the agent keeps trying, says why, and is promoted in the end."""

import os

from gateway_bench import Scenario, main


class Candidate(Scenario):
    def test_a_broker_that_does_not_know_the_authority_yet(self):
        self.broker.kill()
        self.broker.start(knows_devices=False)
        self.agent.start()

        def refused():
            status = self.agent.status()
            return status["link"]["failures"] >= 2 and status
        status = self.wait("two refusals", refused, 60)
        self.assertEqual(status["identity"]["state"], "candidate on trial")
        self.assertRegex(status["link"]["error"], "(?i)(certificate|refused|unknown|closed)")
        self.assertFalse(os.path.lexists(self.agent.state + "/identity/current"))
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("candidate on trial", out)
        self.assertIn(status["link"]["error"][:60], " ".join(out.split()))
        self.assertEqual(self.subscriber.packs(), [])

        self.broker.kill()
        self.broker.start()
        self.wait_online(60)
        self.wait("the word of its promotion", lambda: "it is current now" in self.agent.said())
        self.assertFalse(os.path.lexists(self.agent.state + "/identity/candidate"))
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assert_promise(self.wait_drained())


if __name__ == "__main__":
    main()
