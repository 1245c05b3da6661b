#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An authority that looks at each request first: the same request of the same key, however often the agent starts anew."""

from est_gateway_bench import EstScenario
from gateway_bench import main


class Waits(EstScenario):
    SERVER = {"pending": -1, "retry_after": "3600"}

    def asked(self):
        """The digests of the keys of all requests so far."""
        return [e["key_sha256"] for e in self.est.events("pending")]

    def test_the_wait_is_kept_and_the_request_stays_the_same(self):
        self.start_agent()
        found = self.wait_enrolment("pending")
        self.assertIsNone(found["error"])
        self.assertEqual(found["failures"], 0)
        self.assertEqual(found["pending"]["asked"], 1)
        self.assertTrue(3500 < found["next_s"] < 3900, found["next_s"])
        self.assertEqual(self.agent.said().count("event: The enrolment waits for the authority's approval"), 1)
        files = self.pending_files()
        self.assertTrue(all(files.values()), files)

        # Ended in order, and killed: neither asks again before its time, nor waits for longer.
        for end in (self.agent.stop, self.agent.kill):
            end()
            self.start_agent()
            found = self.wait_enrolment("pending")
            # The hour of the server, and a spread that is drawn anew.
            self.assertTrue(3500 < found["next_s"] < 3900, found["next_s"])
            self.assertEqual(found["attempts"], 0)
            self.assertTrue(found["pending"]["text"])
        self.assertEqual(len(self.asked()), 1)

        # A reload with the same server neither; the operator may ask whenever it makes sense to.
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.assertEqual(len(self.asked()), 1)
        code, out, error = self.agent.ctl("enroll", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("pending", out)
        self.assertIn("waits for the authority's approval", error)
        self.assertIn("asks again in", error)
        _, screen, _ = self.agent.ctl("status")
        self.assertIn("pending", screen)
        self.assertIn("next question in", screen)
        self.assertEqual(len(self.asked()), 2)
        self.assertEqual(self.pending_files(), files)

        self.est.set(pending=0)
        code, out, error = self.agent.ctl("enroll", "--wait")
        self.assertEqual(code, 0, out + error)
        self.wait_generation(1)
        self.wait_packs(3)
        [issued] = self.est.issued()
        self.assertEqual(set(self.asked()), {issued["key_sha256"]})
        self.assertIsNone(self.enrolment()["pending"])
        self.assertEqual(self.enrolment()["state"], "settled")
        # Whatever was asked for was asked for with one key and one request.
        self.assertEqual(len({e["sha256"] for e in self.est.events("csr") if "sha256" in e}), 1)

    def test_a_renewal_waits_beside_a_session_that_goes_on(self):
        self.est.set(pending=0)
        self.start_agent()
        self.wait_generation(1)
        self.wait_settled()
        self.est.set(pending=-1, retry_after="imf:1800")
        code, _, error = self.agent.ctl("renew", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("Generation 1 stays in use", error)
        # An order that reaches nobody changes nothing about that.
        self.est.ask("down")
        code, _, error = self.agent.ctl("renew", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("retry", error)
        self.est.ask("up")
        self.agent.kill()
        self.start_agent()
        self.wait_generation(1)
        # Though it is far from due, the renewal that was ordered is not forgotten.
        found = self.wait_enrolment("pending")
        self.assertTrue(1700 < found["next_s"] < 2000, found["next_s"])
        self.est.set(pending=0)
        self.agent.ctl("renew")
        self.wait_generation(2)
        self.assertEqual(self.est.issued()[-1]["operation"], "simplereenroll")
        self.assert_promise(self.wait_drained())

    def test_a_server_that_is_overloaded_is_left_alone(self):
        self.est.fault("status", operation="simpleenroll", status=503, headers={"Retry-After": "1200"}, count=-1)
        self.start_agent()
        found = self.wait_enrolment("waiting")
        self.assertEqual((found["error"]["class"], found["error"]["status"]), ("retry", 503))
        self.assertTrue(1100 < found["next_s"] < 1300, found["next_s"])
        self.agent.stop()
        self.start_agent()
        found = self.wait_enrolment("waiting")
        self.assertTrue(1000 < found["next_s"] < 1300, found["next_s"])


if __name__ == "__main__":
    main()
