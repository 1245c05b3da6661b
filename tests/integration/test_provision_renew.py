#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision renew against swtpm and the AWS IoT stand-in: a new generation beside the current one, and every way it may fail.

usage: test_provision_renew.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time

from provision_bench import STEPS, Provision, main, run, wait_for


class Renewal(Provision):
    """Each test begins with a gateway that has enrolled and whose identity is current."""

    def setUp(self):
        super().setUp()
        self.enrol()
        self.promote()
        self.base = self.read("current/bundle.pem")

    def configure(self, rotation="", **changes):
        super().configure(**{"rotation-template": "tidegate-rotation", **changes})
        with open(self.dir + "/tidegate.conf", "a", encoding="utf-8") as file:
            file.write(f"\n[rotation]\n{rotation}\n")

    def renew(self, *arguments):
        steps, result = self.enrol("renew", *arguments)
        self.assert_untouched()
        return steps, result

    def refusal(self, *arguments):
        """The step that failed in a renewal that must fail; the current identity is what it was."""
        failed = self.failure("renew", *arguments)
        self.assert_untouched()
        self.assertFalse(os.path.lexists(self.state + "/identity/candidate"))
        return failed

    def assert_untouched(self):
        self.assertEqual(self.read("current/bundle.pem"), self.base)

    def assert_renewed(self, result, generation=2):
        self.assertEqual(result["result"], "renewed")
        self.assertEqual(result["generation"], generation)
        self.assertEqual(os.readlink(self.state + "/identity/candidate"), f"generations/{generation:06}")
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()

    def test_makes_a_candidate_with_the_current_certificate_and_leaves_the_current_one(self):
        steps, result = self.renew()
        self.assertEqual([s["step"] for s in steps], STEPS)
        self.assert_renewed(result)
        old, new = (json.loads(self.read(slot + "/manifest")) for slot in ("current", "candidate"))
        self.assertEqual(new["thing"], old["thing"])
        self.assertNotEqual(new["certificate_id"], old["certificate_id"])
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        # By its own certificate, under the client id for renewals, on the template for renewals.
        [session] = self.cloud.events("connect", certificate=old["certificate_id"])
        self.assertEqual(session["client"], old["thing"] + "-renew")
        [call] = self.cloud.events("provisioning", api="register", certificate=old["certificate_id"])
        self.assertEqual((call["template"], call["outcome"]), ("tidegate-rotation", "accepted"))
        # The thing has two certificates now, both of them active.
        self.assertEqual([(c["status"], list(c["things"])) for c in self.cloud.issued()], [("ACTIVE", [old["thing"]])] * 2)

    def test_tells_people_what_is_renewed(self):
        text = run(*self.command("renew")).stdout
        self.assertRegex(text, r"(?m)^renewing generation 1 with its own certificate$")
        for step in STEPS:
            self.assertRegex(text, rf"(?m)^{step} +done +\d+\.\d\d\d s")
        self.assertRegex(text, "renewed: generation 2, CN=AWS IoT Certificate")

    def test_the_template_of_the_enrolment_is_used_where_there_is_no_other(self):
        self.configure(**{"rotation-template": None})
        # The shipped policy of a gateway allows the template for renewals only.
        self.assertIn("policy?", self.refusal()["text"])
        policy = self.cloud.gateway_policy(rotation_template="tidegate-fleet")
        self.cloud.ask("policy", name="TidegateGateway", document=policy)
        self.assert_renewed(self.renew()[1])

    def test_by_claim_on_order(self):
        _, result = self.renew("--credential", "claim")
        self.assert_renewed(result)
        self.assertEqual([c["template"] for c in self.cloud.events("provisioning", api="register")], ["tidegate-fleet"] * 2)
        self.assertEqual({c["client"][:6] for c in self.cloud.events("connect")}, {"enrol-"})

    # --- whether there is something to renew -----------------------------------------------------------

    def test_nothing_is_renewed_while_a_candidate_is_on_trial(self):
        self.renew()
        candidate = self.read("candidate/bundle.pem")
        for more in ((), ("--again",), ("--credential", "claim")):
            steps, result = self.renew(*more)
            self.assertEqual((steps, result["result"], result["generation"]), ([], "present", 2))
        self.assertEqual(self.read("candidate/bundle.pem"), candidate)
        self.assertEqual(len(self.cloud.issued()), 2)

    def test_without_an_identity_it_says_what_to_do(self):
        for there in ("candidate", None):
            with self.subTest(there):
                link = self.state + "/identity/current"
                if there:
                    os.rename(link, f"{self.state}/identity/{there}")
                else:
                    os.unlink(self.state + "/identity/candidate")
                failed = self.failure("renew")
                self.assertIn("enrol first", failed["text"])
                self.assertEqual(failed["class"], "local")
                self.assertFalse(os.path.exists(self.state + "/identity/pending"))

    def test_wrong_usage_is_refused(self):
        for wrong in (["renew", "--credential", "other"], ["renew", "--client-id", "x"], ["renew", "enrol"],
                      ["--credential", "current"], ["enrol", "--credential", "current"], ["renewal"]):
            done = subprocess.run(self.command(*wrong), capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)

    # --- keys ------------------------------------------------------------------------------------------

    def test_without_rekey_the_key_stays(self):
        self.configure(rotation="rekey = no")
        _, result = self.renew()
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        self.assertNotEqual(self.read("candidate/chain.pem"), self.read("current/chain.pem"))

    def test_the_packaged_provider_renews_too_where_it_can(self):
        for rekey in ("yes", "no"):
            self.configure(tpm="openssl-provider = tpm2\n", rotation=f"rekey = {rekey}")
            done = subprocess.run(self.command("--json", "renew"), capture_output=True, text=True, timeout=120, check=False)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            self.assert_untouched()
            if done.returncode:
                self.assertRegex(lines[-2]["text"], "1\\.3\\.0|not installed|tpm2")
                continue
            self.assertEqual(lines[-1]["result"], "renewed")
            self.assertEqual(self.read("candidate/key.pem") == self.read("current/key.pem"), rekey == "no")
            os.unlink(self.state + "/identity/candidate")

    def test_a_changed_rekey_counts_at_once(self):
        current = self.read("current/key.pem")
        self.cloud.ask("hook", verdict="refuse")
        self.refusal()
        new = self.pending_key()
        self.assertNotEqual(new, current)
        self.configure(rotation="rekey = no")
        self.refusal()
        self.assertEqual(self.pending_key(), current)
        self.configure(rotation="rekey = yes")
        self.refusal()
        self.assertNotEqual(self.pending_key(), current)
        self.cloud.ask("hook", verdict="packaged")
        self.assert_renewed(self.renew()[1])

    def test_a_lost_key_is_renewed_by_claim_and_not_kept(self):
        self.configure(rotation="rekey = no")
        self.tpm.replace()
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"]), ("request", "local"))
        self.assertIn("the key of generation 1", failed["text"])
        _, result = self.renew("--credential", "claim")
        self.assert_renewed(result)
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))

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
                    "connack 7": {"name": "connack", "code": 7}, "closed": {"name": "connect-drop"}}
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

    def test_refused_under_its_own_id_it_is_not_the_client_id(self):
        self.cloud.ask("fault", name="connack", code=5)
        self.assertEqual(self.refusal("--client-id", "own")["class"], "refused")

    def test_a_certificate_that_is_not_active_any_more(self):
        [certificate] = self.cloud.issued()
        self.cloud.ask("certificate", id=certificate["id"], status="INACTIVE")
        self.assertIn(self.refusal()["class"], ("refused", "retry", "id-refused"))
        self.assert_renewed(self.renew("--credential", "claim")[1])

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

    # --- cuts, and orders that change -----------------------------------------------------------------

    def test_killed_after_each_step_it_goes_on_with_the_same_key(self):
        for number, step in enumerate(STEPS, 2):
            with self.subTest(step=step):
                helper = subprocess.Popen(self.command("--json", "renew"), stdout=subprocess.PIPE, text=True)
                for line in helper.stdout:
                    if json.loads(line).get("step") == step:
                        break
                helper.kill()
                helper.wait()
                helper.stdout.close()
                pending = self.state + "/identity/pending/key.pem"
                key = self.pending_key() if os.path.exists(pending) else None
                _, result = self.renew()
                if step != "written":
                    self.assert_renewed(result, number)
                self.assertIn(result["result"], ("renewed", "present"))
                self.assertIn(key, (None, self.read("candidate/key.pem")))
                self.assertFalse(os.path.exists(self.state + "/identity/pending"))
                os.unlink(self.state + "/identity/candidate")

    def test_another_order_takes_over_nothing_but_the_key(self):
        self.cloud.ask("hook", verdict="refuse")
        self.refusal()
        key, first = self.pending_key(), self.journal()["certificate_id"]
        self.refusal("--credential", "claim")
        self.assertEqual(self.pending_key(), key)
        journal = self.journal()
        self.assertEqual((journal["credential"], journal["attempts"]), ("claim", 1))
        self.assertNotEqual(journal["certificate_id"], first)
        self.cloud.ask("hook", verdict="packaged")
        self.assert_renewed(self.renew()[1])
        self.assertEqual(self.read("candidate/key.pem"), key)

    def cut_before_the_end(self):
        """A renewal whose generation is written while the journal still says otherwise, as after a power cut in between."""
        self.cloud.ask("hook", verdict="refuse")
        self.refusal()
        pending, kept = self.state + "/identity/pending", self.dir + "/pending"
        shutil.copytree(pending, kept)
        self.cloud.ask("hook", verdict="packaged")
        self.assert_renewed(self.renew()[1])
        shutil.copytree(kept, pending)
        journal = self.journal()
        journal.update(step="verified", token="")
        with open(pending + "/journal", "w", encoding="utf-8") as file:
            json.dump(journal, file)

    def test_cut_before_its_end_it_finds_the_generation_written(self):
        self.cut_before_the_end()
        candidate = self.read("candidate/bundle.pem")
        self.assertEqual(self.renew()[1]["result"], "present")
        self.assertEqual(self.read("candidate/bundle.pem"), candidate)
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assertEqual(len(self.cloud.issued()), 2)

    def test_cut_before_the_generation_counted_it_is_written_again(self):
        self.cut_before_the_end()
        written = self.read("candidate/bundle.pem")
        os.unlink(self.state + "/identity/candidate")
        self.assert_renewed(self.renew()[1], 3)
        self.assertEqual(self.read("candidate/bundle.pem"), written)
        self.assertEqual(len(self.cloud.issued()), 2)

    def test_what_was_promoted_after_a_cut_is_not_renewed_with_itself(self):
        self.cut_before_the_end()
        self.promote()
        self.base = self.read("current/bundle.pem")
        _, result = self.renew()
        self.assert_renewed(result, 3)
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        self.assertNotEqual(self.read("candidate/chain.pem"), self.read("current/chain.pem"))

    def test_the_next_renewal_is_of_the_new_generation(self):
        for number in (2, 3):
            self.assert_renewed(self.renew()[1], number)
            self.promote()
            self.base = self.read("current/bundle.pem")
        self.assertEqual(len(self.cloud.issued()), 3)

    # --- local trouble ---------------------------------------------------------------------------------

    def test_a_tpm_that_is_away_is_noted_and_nothing_is_asked_for(self):
        self.tpm.cut()
        failed = self.refusal()
        self.assertEqual((failed["step"], failed["class"]), ("key", "local"))
        self.assertEqual((self.journal()["kind"], self.journal()["error"]["step"]), ("renew", "key"))
        self.tpm.start()
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assert_renewed(self.renew()[1])


if __name__ == "__main__":
    main(__doc__)
