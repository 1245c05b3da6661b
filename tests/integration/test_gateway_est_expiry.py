#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The EST server is away for longer than the certificate lives: then the bootstrap credential, where that is allowed."""

import faults
from est_gateway_bench import EstScenario
from gateway_bench import main


class Expires(EstScenario):
    SERVER = {"life": 14, "backdate": 0}
    ROTATION = {"renew-at": "50%", "on-expiry": "hold"}

    def let_it_expire(self):
        """Renewal fails up to the end; then the gateway is off for a while."""
        self.start_agent()
        self.wait_generation(1)
        self.wait_packs(5)
        self.est.ask("down")
        self.wait("a failed renewal", lambda: self.enrolment()["failures"] > 0)
        self.assertEqual(self.enrolment()["error"]["class"], "retry")
        self.wait("the end", lambda: self.agent.status()["identity"]["expired"], 40)
        self.wait("the alarms", lambda: "event: The certificate has expired" in self.agent.said())
        self.assertIn("event: The certificate runs out, and its renewal fails", self.agent.said())
        # A session that stands is not judged again; that of the next start is.
        self.agent.stop()
        self.est.set(life=86400)
        self.est.ask("up")
        self.est.mark()
        self.start_agent()

    def test_the_bootstrap_credential_follows_where_the_configuration_says_so(self):
        self.let_it_expire()
        self.wait("an hour of rest", lambda: (self.enrolment()["next_s"] or 0) > 1800)
        # One attempt may have begun in the last second of the certificate.
        found = self.wait_enrolment("waiting", credential="current")
        self.assertEqual((found["error"]["class"], found["reason"]), ("refused", "expired"))
        self.assertIn("expired", found["error"]["text"])
        self.assertEqual(self.est.enrolments("simpleenroll"), [])

        self.config["rotation"]["on-expiry"] = "claim"
        self.write_config()
        self.est.mark()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_generation(2, 60)
        # The old certificate was shown once more; what helped was the password.
        self.assertTrue(self.est.events("refused", stage="tls"))
        self.assertEqual(self.est.enrolments("simpleenroll")[-1]["authorization"], "basic")
        self.assertEqual(self.est.issued()[-1]["operation"], "simpleenroll")
        self.assertFalse(self.agent.status()["identity"]["expired"])
        self.assertEqual(self.enrolment()["credential"], "claim")
        self.assert_promise(self.wait_drained())
        self.assert_no_password()
        faults.told("F14",
                    "expired while off: the old one tried once, then an hour of rest; with on-expiry = claim enrolled anew by password")


if __name__ == "__main__":
    main()
