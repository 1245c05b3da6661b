#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision against swtpm and the AWS IoT stand-in: the whole enrolment, and every way it may be cut or refused.

usage: test_provision.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import shutil
import socket
import subprocess

from provision_bench import STEPS, Provision, main, run, wait_for


class Enrolment(Provision):
    # --- the main line ---------------------------------------------------------------------------------

    def test_enrols_and_leaves_a_whole_candidate(self):
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps], STEPS)
        self.assertEqual({s["state"] for s in steps}, {"done"})
        self.assert_enrolled(result)
        manifest = json.loads(self.read("candidate/manifest"))
        self.assertEqual(manifest["method"], "aws-fleet")
        self.assertEqual(manifest["thing"], result["thing"])
        self.assertEqual(manifest["not_after"], 2524607999)
        identity = run(*self.command("identity")).stdout.strip()
        self.assertRegex(identity, "^[0-9a-f]{16}$")
        self.assertEqual(manifest["tpm"], identity)
        self.assertEqual(manifest["thing"], identity)
        # What the service holds is active, and the claim's session is over.
        [certificate] = self.cloud.issued()
        self.assertEqual(certificate["status"], "ACTIVE")
        self.assertEqual(self.cloud.ask("status")["connections"], {})
        # The certificate's key is the one in key.pem, and nothing else on the disk has it.
        public = run("openssl", "x509", "-in", self.state + "/identity/candidate/chain.pem", "-noout", "-pubkey").stdout
        self.assertIn("BEGIN PUBLIC KEY", public)
        self.assertEqual(self.read("candidate/bundle.pem"),
                         self.read("candidate/chain.pem") + self.read("candidate/key.pem"))

    def test_a_second_run_finds_the_identity_and_makes_no_second_key(self):
        self.enrol()
        key = self.read("candidate/key.pem")
        steps, result = self.enrol()
        self.assertEqual((steps, result["result"], result["generation"]), ([], "present", 1))
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(self.cloud.issued()), 1)
        _, result = self.enrol("--again")
        self.assert_enrolled(result, 2)
        self.assertNotEqual(self.read("candidate/key.pem"), key)

    def test_tells_people_step_time_and_result(self):
        text = run(*self.command()).stdout
        for step in STEPS:
            self.assertRegex(text, rf"(?m)^{step} +done +\d+\.\d\d\d s")
        self.assertRegex(text, "enrolled: generation 1, CN=AWS IoT Certificate")

    def test_parameters_of_the_template_are_expanded(self):
        self.configure(**{"parameter.SerialNumber": "plant-%t"})
        _, result = self.enrol()
        self.assertRegex(result["thing"], "^plant-[0-9a-f]{16}$")

    # --- refusals --------------------------------------------------------------------------------------

    def test_a_refusal_by_the_hook_is_shown_verbatim_and_resumed_with_the_same_certificate(self):
        self.cloud.ask("hook", verdict="refuse")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"], failed["status"]), ("registered", "refused", 403))
        self.assertEqual(failed["code"], "AccessDenied")
        self.assertIn("Access denied by the pre-provisioning hook", failed["text"])
        journal = self.journal()
        self.assertEqual((journal["step"], journal["error"]["status"]), ("issued", 403))
        self.assertNotIn(journal["token"], self.everything)
        key = self.pending_key()
        self.cloud.ask("hook", verdict="allow")
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr", "issued"])
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(self.cloud.issued()), 1)

    def test_an_expired_token_asks_again_with_the_same_key(self):
        self.cloud.ask("hook", verdict="refuse")
        self.failure()
        key = self.pending_key()
        self.cloud.ask("hook", verdict="allow")
        journal = self.journal()
        # To the service the token has expired; the journal thinks that it is good.
        self.cloud.ask("delete-certificate", id=journal["certificate_id"])
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def test_a_token_that_the_journal_knows_to_be_old_is_not_tried(self):
        self.cloud.ask("hook", verdict="refuse")
        self.failure()
        key = self.pending_key()
        self.cloud.ask("hook", verdict="allow")
        journal = self.journal()
        journal["issued"] -= 3600
        with open(self.state + "/identity/pending/journal", "w", encoding="utf-8") as file:
            json.dump(journal, file)
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def test_throttling_and_failures_of_the_service_are_for_a_retry(self):
        for status in (429, 500, 503):
            self.cloud.ask("fault", name="reply-error", api="create", statusCode=status)
            failed = self.failure()
            self.assertEqual((failed["step"], failed["class"], failed["status"]), ("issued", "retry", status))

    def test_a_policy_that_forbids_the_topic_is_hinted_at(self):
        self.cloud.ask("fault", name="publish-deny")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("issued", "retry"))
        self.assertIn("policy?", failed["text"])
        self.cloud.ask("fault", name="suback-fail")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("request", "refused"))
        self.assertIn("policy?", failed["text"])

    def test_an_inactive_claim_is_refused_and_nobody_listening_is_retried(self):
        self.cloud.ask("certificate", id="claim", status="INACTIVE")
        failed = self.failure()
        self.assertEqual(failed["step"], "request")
        self.assertIn(failed["class"], ("refused", "retry"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.configure(port=s.getsockname()[1])
            failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("request", "retry"))

    # --- hostile answers -------------------------------------------------------------------------------

    def test_answers_that_are_no_answers_are_refused_and_the_next_one_counts(self):
        key = None
        for api, step in (("create", "issued"), ("register", "registered")):
            for fault in ("reply-garbage", "reply-empty", "reply-cut", "reply-wrong-types", "reply-deep",
                          "reply-oversized", "reply-duplicate-keys"):
                with self.subTest(api=api, fault=fault):
                    self.cloud.ask("fault", name=fault, api=api)
                    failed = self.failure()
                    self.assertEqual((failed["step"], failed["class"]), (step, "bad-answer"))
                    key = key or self.pending_key()
                    self.assertEqual(self.pending_key(), key)
        self.cloud.ask("fault", name="reply-unknown-fields", count=2)
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def test_missing_members_are_named(self):
        for member in ("certificatePem", "certificateOwnershipToken", "certificateId"):
            self.cloud.ask("fault", name="reply-missing", api="create", members=[member])
            self.assertIn(member, self.failure()["text"])
        self.cloud.ask("fault", name="reply-missing", api="register", members=["thingName", "deviceConfiguration"])
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(result["thing"], "")

    def test_a_certificate_that_is_no_good_is_refused_before_it_is_registered(self):
        reasons = {"truncated": "cut short", "other-key": "our key", "expired": "ended", "short": "of its life", "huge": "longer",
                   "many": "longer", "ca": "authority", "server-only": "clientAuth", "garbage": "cannot be read",
                   "empty": "no certificate"}
        for how, word in reasons.items():
            with self.subTest(how=how):
                self.cloud.ask("fault", name="certificate", how=how)
                failed = self.failure()
                self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
                self.assertIn(word, failed["text"])
        self.assertEqual(self.cloud.events("provisioning", api="register"), [])
        self.assertFalse(os.path.exists(self.state + "/identity/candidate"))

    def test_repeated_and_late_answers_are_not_taken_for_others(self):
        self.cloud.ask("fault", name="reply-twice", count=2)
        self.cloud.ask("fault", name="reply-before-puback", count=2)
        self.cloud.ask("fault", name="puback-twice", count=2)
        _, result = self.enrol()
        self.assert_enrolled(result)

    # --- cuts ------------------------------------------------------------------------------------------

    def test_a_connection_that_drops_around_an_answer_is_resumed_with_the_same_key(self):
        for api in ("create", "register"):
            for fault in ("reply-drop-before", "puback-drop-before", "puback-drop-after"):
                with self.subTest(api=api, fault=fault):
                    shutil.rmtree(self.state, ignore_errors=True)
                    topic = "*create-from-csr*" if api == "create" else "*provision/json"
                    self.cloud.ask("fault", name=fault, topic=topic)
                    failed = self.failure()
                    self.assertEqual(failed["class"], "retry")
                    key = self.pending_key()
                    _, result = self.enrol()
                    self.assert_enrolled(result)
                    self.assertEqual(self.read("candidate/key.pem"), key)

    def test_killed_after_each_step_it_goes_on_with_the_same_key(self):
        for step in STEPS:
            with self.subTest(step=step):
                shutil.rmtree(self.state, ignore_errors=True)
                helper = subprocess.Popen(self.command("--json"), stdout=subprocess.PIPE, text=True)
                for line in helper.stdout:
                    if json.loads(line).get("step") == step:
                        break
                helper.kill()
                helper.wait()
                helper.stdout.close()
                pending = self.state + "/identity/pending/key.pem"
                key = self.pending_key() if os.path.exists(pending) else None
                _, result = self.enrol()
                if step != "written":   # it was through but for the end of the journal, or with that
                    self.assert_enrolled(result)
                self.assertIn(result["result"], ("enrolled", "present"))
                self.assertIn(key, (None, self.read("candidate/key.pem")))
                self.assertFalse(os.path.exists(self.state + "/identity/pending"))
                self.assertEqual(len(os.listdir(self.state + "/identity/generations")), 1)

    def test_closed_standard_files_do_not_become_files_of_ours(self):
        for closed in (">&-", "<&- >&- 2>&-"):  # with the first the lock would be standard output
            done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *self.command("--json", "--again")], check=False,
                                  timeout=120)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(self.read("lock"), "")
            self.assertIn("TSS2 PRIVATE KEY", self.read("candidate/bundle.pem"))

    def test_root_does_not_work_in_the_directory_of_another_user(self):
        if os.geteuid() != 0:
            self.enrol()  # the owner may, which is all that can be asked here
            return
        os.mkdir(self.state)
        os.chown(self.state, 65534, 65534)
        self.assertIn("not as root", self.failure()["text"])
        self.assertEqual(os.listdir(self.state), [])

    def test_two_never_run_at_once(self):
        self.cloud.ask("fault", name="reply-late", seconds=3)
        first = subprocess.Popen(self.command("--json"), stdout=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.exists(self.state + "/identity/pending/request.pem"))
        self.assertIn("another enrolment is at work", self.failure()["text"])
        out, _ = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, out)

    # --- local trouble ---------------------------------------------------------------------------------

    def test_claim_files_that_cannot_be_used_are_named(self):
        def file(name, text):
            with open(f"{self.dir}/{name}", "w", encoding="utf-8") as out:
                out.write(text)
            return f"{self.dir}/{name}"

        with open(self.cloud.dir + "/claim.key", encoding="utf-8") as key:
            good = key.read()
        self.cloud.ask("issue", name="other")
        cases = {
            "truncated key": ("claim-key", file("cut.key", good[:120])),
            "empty key": ("claim-key", file("empty.key", "")),
            "certificate as key": ("claim-key", self.cloud.dir + "/claim.pem"),
            "key of another": ("claim-key", self.cloud.dir + "/other.key"),
            "missing key": ("claim-key", self.dir + "/missing.key"),
            "directory": ("claim-key", self.dir),
            "garbage certificate": ("claim-certificate", file("bad.pem", "-----BEGIN CERTIFICATE-----\nAA\n"
                                                              "-----END CERTIFICATE-----\n")),
            "key as certificate": ("claim-certificate", self.cloud.dir + "/claim.key"),
            "empty ca": ("ca", file("empty.pem", "")),
        }
        for name, (option, path) in cases.items():
            with self.subTest(name):
                self.configure(**{option: path})
                failed = self.failure()
                self.assertEqual((failed["step"], failed["class"]), ("request", "local"))
                self.assertIn(path, failed["text"])
                self.assertNotIn(good.splitlines()[1], self.everything)
        self.configure()
        _, result = self.enrol()
        self.assert_enrolled(result)

    def test_bad_configuration_ends_with_78_and_names_the_line(self):
        self.configure(templat="x")
        done = subprocess.run(self.command(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 78)
        self.assertRegex(done.stderr, r"tidegate\.conf:\d+: ")
        self.assertEqual(subprocess.run([self.helper, "--nonsense"], capture_output=True).returncode, 2)

    def test_a_method_without_what_it_needs_is_a_matter_of_configuration(self):
        for method, words in (("none", "nothing to enrol with"), ("manual", "[enrolment.manual]: ca is missing"),
                              ("est", "[enrolment.est]: url is missing"), ("scep", "unknown word")):
            self.configure(method=method)
            done = subprocess.run(self.command(), capture_output=True, text=True)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))

    def test_a_claim_key_in_the_tpm_works_and_one_of_another_tpm_is_named(self):
        self.enrol()
        claim = self.dir + "/claim"
        shutil.copytree(self.state + "/identity/generations/000001", claim)
        # The service takes this certificate for a claim from now on.
        [certificate] = self.cloud.issued()
        self.cloud.ask("delete-certificate", id=certificate["id"])
        with open(claim + "/chain.pem", encoding="utf-8") as file:
            self.cloud.ask("register-certificate", pem=file.read(), policies=["TidegateClaim"])
        shutil.rmtree(self.state)
        self.configure(**{"claim-certificate": claim + "/chain.pem", "claim-key": claim + "/key.pem"})
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.tpm.replace()
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("request", "local"))
        self.assertIn(claim + "/key.pem", failed["text"])

    def test_the_packaged_provider_is_used_or_refused_with_the_reason(self):
        self.configure(tpm="openssl-provider = tpm2\n")
        done = subprocess.run(self.command("--json"), capture_output=True, text=True, timeout=120)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode == 0:
            self.assert_enrolled(lines[-1])
            return
        self.assertEqual((lines[-2]["state"], lines[-2]["class"]), ("failed", "local"))
        self.assertRegex(lines[-2]["text"], "1\\.3\\.0|not installed|tpm2")

    def test_a_service_that_never_answers_ends_in_a_retry(self):
        self.cloud.ask("fault", name="reply-never", api="register")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("registered", "retry"))
        self.assertIn("no answer in time", failed["text"])

    def test_a_tpm_that_is_away_or_another_one(self):
        self.cloud.ask("hook", verdict="refuse")
        self.failure()
        key = self.pending_key()
        self.tpm.cut()
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("key", "local"))
        # The agent's status tells this from the journal; what the journal knew is still there.
        journal = self.journal()
        self.assertEqual((journal["step"], journal["error"]["step"]), ("issued", "key"))
        self.tpm.start()
        self.cloud.ask("hook", verdict="allow")
        self.tpm.replace()
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertNotEqual(self.read("candidate/key.pem"), key)
        # And an identity whose key is another TPM's is none.
        self.tpm.replace()
        _, result = self.enrol()
        self.assert_enrolled(result, 2)

    def test_a_damaged_journal_begins_anew_with_the_same_key(self):
        self.cloud.ask("hook", verdict="refuse")
        self.failure()
        key = self.pending_key()
        with open(self.state + "/identity/pending/journal", "w", encoding="utf-8") as file:
            file.write('{"version":1,"step":"iss')
        self.cloud.ask("hook", verdict="allow")
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)


if __name__ == "__main__":
    main(__doc__)
