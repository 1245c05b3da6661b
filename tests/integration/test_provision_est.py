#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with method = est against swtpm and the EST stand-in: the main line, resuming, trust and renewal.

usage: test_provision_est.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time

from est_bench import EstProvision, EstServer
from provision_bench import STEPS, main, run


def certificates(pem):
    return re.findall("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", pem, re.S)


def shown(pem, *what):
    return run("openssl", "x509", "-noout", *what, input=pem).stdout.strip()


class Est(EstProvision):
    def operations(self):
        return [e["operation"] for e in self.est.events("request")]

    def requests(self):
        """The signing requests that the server has seen, as digests."""
        return [e["sha256"] for e in self.est.events("csr")]

    def roots(self, slot="candidate"):
        """Fingerprints of what a generation trusts."""
        pem = self.read(slot + "/anchors.pem")
        return [shown(c, "-fingerprint", "-sha256").split("=")[1].replace(":", "").lower() for c in certificates(pem)]

    def assert_chain(self, slot="candidate", length=2):
        """The chain is whole but for the root, and leads to what the generation trusts."""
        chain = certificates(self.read(slot + "/chain.pem"))
        self.assertEqual(len(chain), length)
        files = [self.dir + "/" + name for name in ("anchors.pem", "rest.pem", "leaf.pem")]
        for path, text in zip(files, (self.read(slot + "/anchors.pem"), "".join(chain[1:]), chain[0])):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        run("openssl", "verify", "-no-CApath", "-no-CAstore", "-purpose", "sslclient", "-CAfile", files[0], "-untrusted",
            files[1], files[2])
        self.assertEqual(self.read(slot + "/bundle.pem"), self.read(slot + "/chain.pem") + self.read(slot + "/key.pem"))

    def configure(self, enrolment="subject = CN=gw-7", **changes):
        super().configure(enrolment=enrolment, **changes)


class FirstEnrolment(Est):
    # --- the main line ---------------------------------------------------------------------------------

    def test_enrols_and_leaves_a_whole_candidate(self):
        steps, result = self.enrol()
        self.assertEqual([(s["step"], s["state"]) for s in steps], [(s, "done") for s in STEPS])
        self.assert_enrolled(result)
        self.assertEqual(self.operations(), ["cacerts", "csrattrs", "simpleenroll", "simpleenroll"])    # Basic asks twice
        self.assert_chain()
        self.assertEqual(self.roots(), [self.est.fingerprint()])
        manifest = json.loads(self.read("candidate/manifest"))
        self.assertEqual((manifest["method"], manifest["subject"]), ("est", "CN=gw-7"))
        # One connection has carried it all, and the request went out as strict servers want it.
        [request] = self.est.events("csr")
        self.assertEqual((request["key"], request["hash"], request["challenge"]), ("ec-secp256r1", "sha256", None))
        posts = self.est.events("request", operation="simpleenroll")
        self.assertEqual({p["connection"] for p in posts}, {posts[0]["connection"]})
        body = posts[0]["body"]
        self.assertEqual((body["longest"], body["final_newline"], body["crlf"], body["blanks"], body["armour"]),
                         (64, True, False, False, False))
        self.assertEqual((posts[0]["type"], posts[0]["transfer_encoding"], posts[0]["expect"]),
                         ("application/pkcs10", "base64", None))
        self.assertEqual([p["authorization"] for p in posts], [None, "basic"])

    def test_a_server_that_lets_anybody_in_needs_no_credential(self):
        self.est.set(require="none")
        self.configure(credential="none")
        self.assert_enrolled(self.enrol()[1])

    def test_a_second_run_finds_the_identity_and_again_makes_another(self):
        self.enrol()
        key = self.read("candidate/key.pem")
        steps, result = self.enrol()
        self.assertEqual((steps, result["result"], result["generation"]), ([], "present", 1))
        self.assert_enrolled(self.enrol("--again")[1], 2)
        self.assertNotEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(self.est.events("issued")), 2)

    def test_an_existing_certificate_is_shown(self):
        self.configure(credential="claim")
        self.assert_enrolled(self.enrol()[1])
        self.assertEqual({e["certificate"] for e in self.est.events("request")}, {"CN=claim"})

    def test_its_key_may_be_in_the_tpm(self):
        self.configure(credential="claim", key="/nonexistent")
        self.failure()      # makes the parent that the key is imported under
        parent, tcti = "0x81000001", ("-T", self.tpm.tcti)
        run("tpm2_import", "-C", parent, "-G", "ecc", "-i", self.est.path("claim.key"), "-u", "k.pub", "-r", "k.priv", *tcti,
            cwd=self.dir)
        for option in (["-p"], []):
            run("tpm2_flushcontext", "-t", *tcti)
            run("tpm2_encodeobject", *option, "-C", parent, "-u", "k.pub", "-r", "k.priv", "-o", "k.pem", *tcti, cwd=self.dir)
            listed = run("openssl", "asn1parse", "-in", self.dir + "/k.pem").stdout
            if ":0\n" not in listed and "BOOLEAN" in listed:
                break
        run("tpm2_flushcontext", "-t", *tcti)
        self.configure(credential="claim", key=self.dir + "/k.pem")
        self.assert_enrolled(self.enrol()[1])

    def test_the_password_may_be_one_of_systemds_credentials(self):
        os.rename(self.est.path("password"), self.dir + "/est-password")
        self.configure(**{"password-file": "est-password"})
        os.environ["CREDENTIALS_DIRECTORY"] = self.dir
        self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        self.assert_enrolled(self.enrol()[1])

    def test_the_user_may_be_the_gateway(self):
        self.configure()
        identity = run(*self.command("identity")).stdout.strip()
        self.est.set(username="gw-" + identity)
        self.configure(username="gw-%t")
        self.assert_enrolled(self.enrol()[1])

    def test_names_of_the_configuration_are_asked_for(self):
        self.configure(enrolment="subject = CN=gw-7,O=Plant\\, North\ndns-name = gw-7.example\ndns-name = gw.example")
        self.assert_enrolled(self.enrol()[1])
        leaf = self.read("candidate/chain.pem")
        self.assertIn("DNS:gw-7.example, DNS:gw.example", shown(leaf, "-ext", "subjectAltName"))

    def test_another_subject_is_taken_on_order_only(self):
        self.est.set(subject="chosen")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
        self.assertIn("its subject is not 'CN=gw-7'", failed["text"])
        self.configure(**{"accept-subject": "any"})
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(result["subject"], "CN=chosen")

    # --- what the operator has got wrong ---------------------------------------------------------------

    def test_what_is_wrong_with_a_file_is_said_before_anything_is_sent(self):
        with open(self.dir + "/empty.pem", "w", encoding="utf-8"):
            pass
        cases = {"ca": ({"ca": self.dir + "/none.pem"}, "No such file"),
                 "ca without a certificate": ({"ca": self.dir + "/empty.pem"}, "no certificate in there"),
                 "certificate": ({"credential": "claim", "certificate": self.dir + "/none.pem"}, "certificate .*No such file"),
                 "key": ({"credential": "claim", "key": self.dir + "/none.pem"}, "key .*No such file"),
                 "another key": ({"credential": "claim", "key": self.est.path("private/server.pem")}, "is not of key"),
                 "password-file": ({"password-file": self.dir + "/none"}, "password-file .*No such file")}
        for name, (changes, words) in cases.items():
            with self.subTest(name):
                self.configure(**changes)
                failed = self.failure()
                self.assertEqual(failed["class"], "local")
                self.assertRegex(failed["text"], words)
        self.assertEqual(self.est.events("request"), [])

    def test_a_wrong_password_is_refused_with_what_to_do(self):
        self.est.write_password("another")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"], failed["status"]), ("issued", "refused", 401))
        self.assertRegex(failed["text"], "simpleenroll: the server answered 401: .*username and password-file")
        self.assertNotIn("another", self.everything)
        self.configure(credential="none")
        self.assertIn("certificate, key", self.failure()["text"])
        self.est.write_password()
        self.configure()
        self.assert_enrolled(self.enrol()[1])

    # --- waiting for approval, and resuming ------------------------------------------------------------

    def test_a_pending_request_is_sent_again_as_it_is(self):
        self.est.set(pending=2, retry_after="imf:3600")
        for attempt in (1, 2):
            steps, result = self.enrol(status=1)
            self.assertEqual(result["result"], "pending")
            waiting = steps[-1]
            self.assertEqual((waiting["step"], waiting["state"], waiting["class"], waiting["status"]),
                             ("issued", "pending", "pending", 202))
            self.assertIn("Approval is awaited", waiting["text"])
            self.assertAlmostEqual(self.journal()["error"]["retry_at"], time.time() + 3600, delta=60)
            self.assertEqual(self.journal()["attempts"], attempt)
        key = self.pending_key()
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(set(self.requests())), 1)
        self.assertEqual(self.operations().count("csrattrs"), 1)

    def test_a_pending_request_is_made_anew_for_another_name(self):
        self.est.set(pending=2)
        self.enrol(status=1)
        key = self.pending_key()
        self.configure(enrolment="subject = CN=gw-8")
        steps, _ = self.enrol(status=1)
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key"])
        self.assertEqual(self.pending_key(), key)
        self.assertEqual([e["subject"] for e in self.est.events("csr")], ["CN=gw-7", "CN=gw-8"])

    def test_the_time_to_ask_again_outlives_a_failure_that_asks_nothing(self):
        self.est.set(pending=1, retry_after="7200")
        self.enrol(status=1)
        when = self.journal()["error"]["retry_at"]
        self.configure(ca=self.dir + "/none.pem")
        self.assertEqual(self.failure()["class"], "local")
        self.assertEqual(self.journal()["error"]["retry_at"], when)
        self.configure()
        self.assert_enrolled(self.enrol()[1])

    def test_a_busy_server_is_asked_again_when_it_says(self):
        self.est.fault("status", operation="simpleenroll", status=503, text="maintenance", headers={"Retry-After": "600"})
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"], failed["status"]), ("issued", "retry", 503))
        self.assertIn("maintenance", failed["text"])
        self.assertAlmostEqual(failed["retry_at"], time.time() + 600, delta=60)
        self.assert_enrolled(self.enrol()[1])

    def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_request(self):
        self.est.set(require="none")
        # For ever, as some versions of libcurl ask once more at once.
        self.est.fault("drop-after", operation="simpleenroll", count=-1)
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("issued", "retry"))
        self.est.ask("clear")
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])
        self.assert_enrolled(result)
        self.assertEqual(len(set(self.requests())), 1)

    def test_after_a_refusal_the_server_is_asked_what_it_wants(self):
        self.est.fault("status", operation="simpleenroll", status=400, text="a key usage is missing")
        failed = self.failure()
        self.assertEqual((failed["class"], failed["status"]), ("refused", 400))
        self.assertIn("a key usage is missing", failed["text"])
        key = self.pending_key()
        self.est.set(csrattrs="wishes")
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key"])
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertIn("2.5.29.15", self.est.event("csr")["extensions"])

    def test_killed_after_each_step_it_goes_on_with_the_same_key(self):
        for step in STEPS:
            with self.subTest(step=step):
                shutil.rmtree(self.state, ignore_errors=True)
                self.est.mark()
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
                if step != "written":
                    self.assert_enrolled(result)
                self.assertIn(result["result"], ("enrolled", "present"))
                self.assertIn(key, (None, self.read("candidate/key.pem")))
                self.assert_chain()
                if STEPS.index(step) >= STEPS.index("issued"):
                    self.assertEqual(len(self.est.events("issued")), 1)

    def cut_before_the_end(self):
        """What a power cut leaves when the certificate is there and the generation is not."""
        self.est.set(pending=1)
        self.enrol(status=1)
        pending, kept = self.state + "/identity/pending", self.dir + "/pending"
        shutil.copytree(pending, kept)
        _, result = self.enrol()
        self.assert_enrolled(result)
        chain = self.read("candidate/chain.pem")
        shutil.rmtree(self.state + "/identity/generations")
        os.unlink(self.state + "/identity/candidate")
        shutil.copytree(kept, pending)
        with open(pending + "/chain.pem", "w", encoding="utf-8") as file:
            file.write(chain)
        journal = self.journal()
        journal.update(step="issued", error=None)
        del journal["error"]
        with open(pending + "/journal", "w", encoding="utf-8") as file:
            json.dump(journal, file)
        self.est.mark()

    def test_what_was_issued_before_a_cut_is_not_asked_for_again(self):
        self.cut_before_the_end()
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr", "issued"])
        self.assert_enrolled(result)
        self.assertEqual(self.est.events("request"), [])
        self.assert_chain()

    def test_what_another_configuration_trusted_is_of_no_use(self):
        self.cut_before_the_end()
        shutil.copy(self.est.path("ca.pem"), self.dir + "/ca.pem")
        with open(self.dir + "/ca.pem", "a", encoding="utf-8") as file:
            file.write("# the operator has looked at it\n")
        self.configure(ca=self.dir + "/ca.pem")
        steps, result = self.enrol()
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])
        self.assert_enrolled(result)
        self.assertEqual(len(self.est.events("issued")), 1)

    def test_another_label_or_url_is_another_place(self):
        self.est.set(pending=-1)
        self.enrol(status=1)
        key = self.pending_key()
        self.configure(label="plant-3")
        steps, _ = self.enrol(status=1)
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key"])
        self.assertEqual((self.pending_key(), self.journal()["attempts"]), (key, 1))
        self.assertEqual({e["label"] for e in self.est.events("request")}, {None, "plant-3"})
        # The same one, written in another way.
        self.configure(label="plant-3", url=self.est.url[:self.est.url.index("/.well-known")] + "/")
        steps, _ = self.enrol(status=1)
        self.assertEqual([s["step"] for s in steps if s["state"] == "kept"], ["key", "csr"])

    # --- trust that begins with a fingerprint ----------------------------------------------------------

    def test_a_fingerprint_is_enough_to_begin_with(self):
        self.configure(ca=None, **{"ca-fingerprint": "SHA256:" + self.est.fingerprint().upper()})
        self.assert_enrolled(self.enrol()[1])
        self.assertEqual(self.roots(), [self.est.fingerprint()])
        first, *others = self.est.events("request")
        self.assertEqual((first["operation"], first["authorization"], first["certificate"]), ("cacerts", None, None))
        # Nothing else went over the connection that proved nothing.
        self.assertNotIn(first["connection"], [e["connection"] for e in others])
        self.assertEqual(others[0]["operation"], "cacerts")

    def test_no_certificate_is_shown_while_it_is_searched_for(self):
        self.configure(credential="claim", ca=None, **{"ca-fingerprint": "sha256:" + self.est.fingerprint()})
        self.assert_enrolled(self.enrol()[1])
        first, *others = self.est.events("request")
        self.assertEqual((first["certificate"], {e["certificate"] for e in others}), (None, {"CN=claim"}))

    def test_a_fingerprint_of_nobody_ends_it_there(self):
        self.configure(ca=None, **{"ca-fingerprint": "sha256:" + hashlib.sha256(b"").hexdigest()})
        failed = self.failure()
        self.assertEqual(failed["class"], "refused")
        self.assertIn(self.est.fingerprint(), failed["text"])
        self.assertEqual(self.operations(), ["cacerts"])

    def test_who_has_proved_nothing_does_not_say_when_to_ask_again(self):
        self.configure(ca=None, **{"ca-fingerprint": "sha256:" + self.est.fingerprint()})
        self.est.fault("status", operation="cacerts", status=503, headers={"Retry-After": "7200"})
        failed = self.failure()
        self.assertEqual((failed["class"], failed["status"], failed.get("retry_at")), ("retry", 503, None))
        self.assert_enrolled(self.enrol()[1])

    def test_an_unknown_authority_is_shown_nothing(self):
        self.configure(ca=self.est.path("claim.pem"))
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("csr", "retry"))
        self.assertRegex(failed["text"], "^cacerts: localhost")
        self.assertEqual(self.est.events("request"), [])

    # --- channel binding -------------------------------------------------------------------------------

    def bound(self, version, characters):
        [binding] = self.est.events("binding")
        self.assertTrue(binding["good"])
        self.assertEqual(len(binding["given"]), characters)
        self.assertEqual({e["version"] for e in self.est.events("tls", connection=binding["connection"])}, {version})

    def test_a_request_is_bound_to_its_connection(self):
        self.est.set(csrattrs="binding", binding="required")
        self.assert_enrolled(self.enrol()[1])
        self.bound("TLSv1.2", 16)

    def test_a_server_without_tls_12_gets_the_binding_of_13(self):
        self.est.set(csrattrs="binding", binding="required", tls_min="1.3")
        self.assert_enrolled(self.enrol()[1])
        self.bound("TLSv1.3", 44)

    def test_a_pending_bound_request_is_bound_anew(self):
        self.est.set(csrattrs="binding", binding="required", pending=1)
        self.enrol(status=1)
        key = self.pending_key()
        self.assert_enrolled(self.enrol()[1])
        self.assertEqual(self.read("candidate/key.pem"), key)
        first, second = self.est.events("csr")
        self.assertEqual(first["key_sha256"], second["key_sha256"])
        self.assertNotEqual(first["challenge"], second["challenge"])


class Enrolled(Est):
    """Each test begins with a gateway that has enrolled by password and whose identity is current."""

    def setUp(self):
        super().setUp()
        self.configure(enrolment="subject = CN=gw-7,O=Plant North\ndns-name = gw-7.example")
        self.enrol()
        self.promote()
        self.base = self.read("current/bundle.pem")
        self.est.mark()

    def renew(self, *arguments, generation=2, length=2):
        steps, result = self.enrol("renew", *arguments)
        self.assertEqual((result["result"], result["generation"]), ("renewed", generation))
        self.assertEqual(self.read("current/bundle.pem"), self.base)
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()
        self.assert_no_password()
        self.assert_chain(length=length)
        return steps

    def next(self):
        self.promote()
        self.base = self.read("current/bundle.pem")
        self.est.mark()


class Renewal(Enrolled):
    def test_renews_with_the_current_certificate_and_its_names_to_the_byte(self):
        self.configure(enrolment="subject = CN=another\ndns-name = another.example")
        self.renew()
        self.assertEqual(self.operations(), ["cacerts", "csrattrs", "simplereenroll"])
        [shows] = {e["certificate"] for e in self.est.events("request")}
        self.assertIn("CN=gw-7", shows)
        self.assertEqual({e["authorization"] for e in self.est.events("request")}, {None})
        old, new = (self.read(slot + "/chain.pem") for slot in ("current", "candidate"))
        for what in ("-subject", "-ext=subjectAltName"):
            self.assertEqual(shown(old, *what.split("=")), shown(new, *what.split("=")))
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))

    def test_names_of_whatever_strings_are_copied(self):
        self.est.set(strings="printable")
        self.renew()
        self.next()
        self.renew(generation=3)

    def test_another_name_than_the_current_one_is_taken_on_order_only(self):
        self.est.set(subject="chosen")
        failed = self.failure("renew")
        self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
        self.assertIn("CN=chosen", failed["text"])
        self.assertEqual(self.read("current/bundle.pem"), self.base)
        self.configure(**{"accept-subject": "any"})
        self.renew()

    def test_without_rekey_the_key_stays(self):
        self.configure(more="[rotation]\nrekey = no")
        self.renew()
        self.assertEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        self.assertNotEqual(self.read("candidate/chain.pem"), self.read("current/chain.pem"))

    def test_simpleenroll_may_be_what_the_server_renews_by(self):
        self.est.set(reenroll=False)
        failed = self.failure("renew")
        self.assertEqual((failed["class"], failed["status"]), ("refused", 501))
        self.assertIn("renew-by", failed["text"])
        self.configure(**{"renew-by": "simpleenroll"})
        self.renew()
        self.assertEqual(self.operations()[-1], "simpleenroll")

    def test_a_server_may_want_the_password_beside_the_certificate(self):
        self.est.set(reenroll_http=True)
        self.renew()
        self.next()
        # One that is gone by now is only missed where it is wanted.
        os.unlink(self.est.path("password"))
        self.assertEqual(self.failure("renew")["status"], 401)
        self.est.set(reenroll_http=False)
        self.renew(generation=3)

    def test_by_claim_on_order_with_the_names_of_the_configuration(self):
        self.configure(enrolment="subject = CN=gw-7")
        self.renew("--credential", "claim")
        self.assertEqual(self.operations()[-1], "simpleenroll")
        self.assertEqual(self.est.event("issued")["subject"], "CN=gw-7")
        self.assertEqual({e["certificate"] for e in self.est.events("request")}, {None})

    def test_a_renewal_that_waits_for_approval_is_resumed(self):
        self.est.set(pending=1)
        self.assertEqual(self.enrol("renew", status=1)[1]["result"], "pending")
        key = self.pending_key()
        self.renew()
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(set(self.requests())), 1)

    def test_a_binding_is_made_with_the_certificate_too(self):
        self.est.set(csrattrs="binding", binding="required")
        self.renew()
        self.assertTrue(self.est.event("binding")["good"])


class Rollover(Enrolled):
    """The same with a server of its own for each test, as a new root is there to stay."""

    def setUp(self):
        self.est = EstServer()
        self.addCleanup(self.est.close)
        super().setUp()

    def test_trust_follows_the_server_to_a_new_root(self):
        roots, number = [self.est.fingerprint()], 1
        for same_name in (False, True):
            with self.subTest(same_name=same_name):
                roots.append(self.est.ask("rollover", same_name=same_name)["root"])
                number += 1
                # The old root vouches for the new one, over a connection that the old one verifies. Its word goes along
                # in the chain, for a broker that does not know the new one yet.
                self.renew(generation=number, length=3)
                self.assertEqual(self.roots(), roots)
                self.next()
                # Now the server has a certificate of the new root only, which no file of the operator's names.
                self.est.ask("server")
                number += 1
                self.renew(generation=number, length=3)
                self.assertEqual(self.roots(), roots)
                self.next()

    def test_a_root_that_nobody_vouches_for_is_not_trusted(self):
        root = self.est.ask("rollover")["root"]
        # Nor is a certificate of an authority under it.
        self.est.set(cacerts="root-2 issuing-2 root-1 issuing-1")
        failed = self.failure("renew")
        self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
        text = subprocess.run(self.command("renew"), capture_output=True, text=True, check=False).stdout
        self.assertIn("vouched for by nobody", text)
        # The operator does.
        self.configure(**{"ca-fingerprint": "sha256:" + root})
        self.renew()
        self.assertEqual(self.roots(), [self.est.fingerprint(), root])

    def test_a_server_that_has_moved_is_found_by_a_new_fingerprint(self):
        root = self.est.ask("rollover")["root"]
        self.est.ask("server")
        self.est.set(cacerts="root-2 issuing-2")
        failed = self.failure("renew")
        self.assertEqual((failed["step"], failed["class"]), ("csr", "retry"))
        self.configure(**{"ca-fingerprint": "sha256:" + root})
        self.renew()
        self.assertEqual(self.roots(), [self.est.fingerprint(), root])


if __name__ == "__main__":
    main(__doc__)
