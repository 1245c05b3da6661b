#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision renew against a service that refuses or answers with what is no good: the current identity stays as it was.

usage: test_provision_refused.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import socket
import ssl
import time

import faults
from provision_bench import Renewal, main, run, wait_for


class Refused(Renewal):
    # --- refusals --------------------------------------------------------------------------------------

    def test_a_refusal_by_the_hook_is_shown_and_resumed_with_the_same_certificate(self):
        self.cloud.ask("hook", verdict="refuse")
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"], failed["status"]), ("registered", "refused", 403))
        self.assertIn("RegisterThing refused: 403 AccessDenied: Access denied by the pre-provisioning hook", failed["text"])
        journal = self.journal()
        self.assertEqual((journal["kind"], journal["credential"], journal["base"]), ("renew", "current", 1))
        self.assertEqual((journal["step"], journal["error"]["class"]), ("issued", "refused"))
        key = self.pending_key()
        self.refusal()
        self.cloud.ask("hook", verdict="packaged")
        steps, result = self.renew()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr", "issued"])
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(self.cloud.issued()), 2)

    def test_the_hook_refuses_to_renew_for_another_gateway(self):
        self.configure(**{"parameter.SerialNumber": "another"})
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"], failed["status"]), ("registered", "refused", 403))

    def test_a_refused_client_id_is_told_apart_and_the_own_one_works(self):
        refusals = {"connack 2": {"name": "connack", "code": 2}, "connack 5": {"name": "connack", "code": 5},
                    "connack 7": {"name": "connack", "code": 7}, "closed, twice": {"name": "connect-drop", "count": 2}}
        for what, fault in refusals.items():
            with self.subTest(what):
                self.cloud.ask("fault", client="*-renew", **fault)
                failed = self.refusal()
                self.assertEqual((failed["step"], failed["class"]), ("request", "id-refused"))
                self.assertRegex(failed["text"], "rotation-client-id '[0-9a-f]{16}-renew'")
                self.assertEqual(self.journal()["error"]["class"], "id-refused")
        key = self.pending_key()
        # What is no verdict on the client id is none.
        self.cloud.ask("fault", name="connack", code=3)
        self.assertEqual(self.refusal()["class"], "retry")
        # The agent has left its session, and the helper has its client id.
        policy = self.cloud.gateway_policy()
        policy["Statement"][0]["Resource"].pop()
        self.cloud.ask("policy", name="TidegateGateway", document=policy)
        self.assertEqual(self.refusal()["class"], "id-refused")
        _, result = self.renew("--client-id", "own")
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        old = json.loads(self.read("current/manifest"))
        self.assertEqual([s["client"] for s in self.cloud.events("connect", certificate=old["certificate_id"])],
                         [old["thing"]])

    def test_closed_once_it_is_tried_once_more(self):
        self.cloud.ask("fault", name="connect-drop", client="*-renew")
        self.assert_renewed(self.renew()[1])

    def test_refused_under_its_own_id_it_is_not_the_client_id(self):
        self.cloud.ask("fault", name="connack", code=5)
        self.assertEqual(self.refusal("--client-id", "own")["class"], "refused")

    def test_a_certificate_that_is_not_active_any_more(self):
        [certificate] = self.cloud.issued()
        self.cloud.ask("certificate", id=certificate["id"], status="INACTIVE")
        self.assertIn(self.refusal()["class"], ("refused", "retry", "id-refused"))
        self.assert_renewed(self.renew("--credential", "claim")[1])

    def test_one_that_has_expired_is_refused_in_words(self):
        self.cloud.ask("set", name="certificate_life", value=15)
        self.assert_renewed(self.renew()[1])
        self.promote()
        self.base = self.read("current/bundle.pem")
        self.cloud.ask("set", name="certificate_life", value=0)
        wait_for(lambda: time.time() > self.not_after("current/chain.pem"))
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"]), ("request", "refused"))
        self.assertIn("certificate expired", failed["text"])
        self.assert_renewed(self.renew("--credential", "claim")[1], 3)

    def test_closed_without_a_word_in_the_handshake_is_for_a_retry(self):
        for fault in ("accept-drop", "tls-drop"):
            self.cloud.ask("fault", name=fault, count=4)
            self.assertIn(self.refusal()["class"], ("retry", "id-refused") if fault == "tls-drop" else ("retry",))
            self.cloud.ask("clear")

    def test_nobody_listening_and_no_answer_are_for_a_retry(self):
        self.cloud.ask("fault", name="reply-error", api="create", statusCode=429)
        self.assertEqual(self.refusal()["class"], "retry")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.configure(port=s.getsockname()[1])
            failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"]), ("request", "retry"))

    # --- hostile answers -------------------------------------------------------------------------------

    def test_a_certificate_that_is_no_good_is_refused_and_the_next_one_is_asked_for_with_the_same_key(self):
        reasons = {"other-key": "our key", "expired": "it ended", "future": "it begins", "short": "of its life",
                   "ca": "authority", "server-only": "clientAuth", "no-signature": "key usage", "broken-chain": "signature",
                   "many": "longer", "huge": "longer", "truncated": "cut short", "garbage": "cannot be read",
                   "empty": "no certificate", "again": "our key"}
        key = None
        for how, word in reasons.items():
            with self.subTest(how=how):
                self.cloud.ask("fault", name="certificate", how=how)
                failed = self.refusal("--clock-synchronised")
                self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
                self.assertIn(word, failed["text"])
                error = self.journal()["error"]
                self.assertEqual((error["class"], error["step"], error["text"]), ("bad-answer", "issued", failed["text"]))
                key = key or self.pending_key()
                self.assertEqual(self.pending_key(), key)
        self.assertEqual(self.cloud.events("provisioning", api="register", template="tidegate-rotation"), [])
        _, result = self.renew()
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def test_the_certificate_that_is_to_be_renewed_is_no_new_one(self):
        self.configure(rotation="rekey = no")
        self.cloud.ask("fault", name="certificate", how="again")
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
        self.assertIn("to be renewed", failed["text"])
        self.assert_renewed(self.renew()[1])

    def test_what_cannot_be_known_at_aws_is_left_to_the_broker(self):
        """The service chooses subject and issuer, and tells neither beforehand."""
        for number, how in enumerate(("other-subject", "other-issuer"), 2):
            self.cloud.ask("fault", name="certificate", how=how)
            self.assert_renewed(self.renew()[1], number)
            os.unlink(self.state + "/identity/candidate")

    def test_certificates_of_two_minutes_work_and_of_seconds_do_not(self):
        self.cloud.ask("set", name="certificate_life", value=120)
        self.assert_renewed(self.renew()[1])
        os.unlink(self.state + "/identity/candidate")
        self.cloud.ask("set", name="certificate_life", value=9)
        self.assertIn("of its life", self.refusal()["text"])

    def test_a_pending_certificate_whose_life_ran_out_is_asked_for_again(self):
        self.cloud.ask("set", name="certificate_life", value=12)
        self.cloud.ask("hook", verdict="refuse")
        self.refusal()
        key = self.pending_key()
        self.cloud.ask("set", name="certificate_life", value=0)
        self.cloud.ask("hook", verdict="packaged")
        wait_for(lambda: time.time() > self.not_after("pending/chain.pem") - 9)
        steps, result = self.renew()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def not_after(self, name):
        text = run("openssl", "x509", "-in", f"{self.state}/identity/{name}", "-noout", "-enddate").stdout
        return ssl.cert_time_to_seconds(text.strip().removeprefix("notAfter="))

    def test_answers_that_are_no_answers_are_refused(self):
        for api, step in (("create", "issued"), ("register", "registered")):
            for fault in ("reply-garbage", "reply-cut", "reply-wrong-types", "reply-oversized"):
                with self.subTest(api=api, fault=fault):
                    self.cloud.ask("fault", name=fault, api=api)
                    failed = self.refusal()
                    self.assertEqual((failed["step"], failed["class"]), (step, "bad-answer"))
        self.assert_renewed(self.renew()[1])
        faults.told("F16",
                    "garbage, cut, wrong types and oversized from fleet provisioning: refused, the next attempt succeeds")


if __name__ == "__main__":
    main(__doc__)
