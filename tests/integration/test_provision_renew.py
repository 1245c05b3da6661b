#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision renew against swtpm and the AWS IoT stand-in: a new generation beside the current one, whatever cuts it short.

usage: test_provision_renew.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import shutil
import subprocess

from provision_bench import STEPS, Renewal, main, run


class Renew(Renewal):
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
        self.cloud.ask("hook", verdict="refuse")
        for _ in range(2):      # whose fault it is is told as well when the TPM was asked for a key that it has not
            self.assertEqual(self.refusal("--credential", "claim")["class"], "refused")
        key = self.pending_key()
        self.cloud.ask("hook", verdict="packaged")
        _, result = self.renew("--credential", "claim")
        self.assert_renewed(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertNotEqual(key, self.read("current/key.pem"))
        self.assertEqual(len(self.cloud.issued()), 2)

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

    def test_a_pending_renewal_of_a_generation_that_was_given_up_begins_anew_with_its_key(self):
        self.renew()
        identity = self.state + "/identity"
        first = self.base
        # Promoted, on probation, renewed in vain; then the broker drops it and the first one is back.
        os.rename(identity + "/current", identity + "/previous")
        os.rename(identity + "/candidate", identity + "/current")
        self.base = self.read("current/bundle.pem")
        self.cloud.ask("hook", verdict="refuse")
        self.refusal()
        key, certificate = self.pending_key(), self.journal()["certificate_id"]
        self.assertEqual(self.journal()["base"], 2)
        os.rename(identity + "/previous", identity + "/current")
        self.base = first
        self.cloud.ask("hook", verdict="packaged")
        steps, result = self.renew()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key"])
        self.assert_renewed(result, 3)
        self.assertEqual((result["base"], self.read("candidate/key.pem")), (1, key))
        self.assertNotEqual(json.loads(self.read("candidate/manifest"))["certificate_id"], certificate)

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
