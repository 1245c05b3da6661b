#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From nothing to readings with any EST server, and on to the next certificate while they flow."""

from est_gateway_bench import EstScenario
from gateway_bench import main


class Enrols(EstScenario):
    EVERY = "100ms"
    SERVER = {"life": 20, "backdate": 0}
    ROTATION = {"renew-at": "50%"}

    def test_a_password_once_and_then_the_key_in_the_tpm(self):
        self.start_agent()
        status = self.wait_generation(1)
        self.assertEqual(status["identity"]["method"], "est")
        self.assertEqual(status["identity"]["subject"], f"CN={status['id']}")
        self.assertGreaterEqual(self.chain_length(1), 2, "the broker knows nothing but the root")
        # The next one shall last, and the password shall be of no use for it.
        self.est.set(life=86400, password="another", reenroll_http=False)
        before = len(self.subscriber.numbers())
        self.wait_packs(before + 10)
        self.wait_generation(2, 40)
        self.wait_settled()
        count = len(self.subscriber.numbers())
        self.wait_packs(count + 10)
        self.assert_promise(self.wait_drained())

        # It was the certificate itself that asked, and over the session of readings nothing was said.
        [first] = self.est.enrolments("simpleenroll")[-1:]
        [second] = self.est.enrolments("simplereenroll")
        self.assertIsNone(first["certificate"])
        self.assertIn(status["id"], str(second["certificate"]))
        self.assertIsNone(second["authorization"])
        old, new = self.certificate_of(1), self.certificate_of(2)
        self.assertEqual(old.subject.public_bytes(), new.subject.public_bytes())
        keys = [issued["key_sha256"] for issued in self.est.issued()]
        self.assertEqual(len(set(keys)), 2, "a new key for the new certificate")
        self.assertEqual(self.fingerprint_of(2), self.est.issued()[-1]["sha256"])
        self.assertEqual(self.subscriber.events("certificate-retired")[0]["new"]["fingerprint"], self.fingerprint_of(2))
        enrolment = self.agent.status()["enrolment"]
        self.assertEqual((enrolment["state"], enrolment["kind"], enrolment["credential"], enrolment["own_client_id"]),
                         ("settled", "renew", "current", False))
        self.assert_no_password()

    def test_a_refusal_is_told_in_the_servers_words_and_costs_no_reading(self):
        self.start_agent()
        self.wait_generation(1)
        self.wait_settled()
        self.est.fault("status", operation="simplereenroll", status=403, count=-1)
        code, _, error = self.agent.ctl("renew", "--wait", seconds=60)
        self.assertEqual(code, 1)
        self.assertIn("refused", error)
        self.assertIn("403", error)
        self.assertIn("Generation 1 stays in use", error)
        self.assertEqual(self.agent.status()["link"]["state"], "online")
        self.est.ask("clear")
        self.est.set(life=86400)
        code, out, error = self.agent.ctl("renew", "--wait", seconds=60)
        self.assertEqual(code, 0, out + error)
        self.assert_promise(self.wait_drained())


if __name__ == "__main__":
    main()
