#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision shows the EST stand-in who it is: each scheme, each credential, and what a server must never see.

usage: test_provision_est_auth.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import os

from est_bench import EstProvision
from provision_bench import main, run


class Credentials(EstProvision):
    def schemes(self):
        """The schemes that were shown, in order, with what was thought of each."""
        return [(e["scheme"], e.get("algorithm"), e["good"]) for e in self.est.events("auth")]

    def setUp(self):
        super().setUp()
        self.addCleanup(self.nothing_was_said_too_early)

    def nothing_was_said_too_early(self):
        """No password before it was asked for: a connection's first request has none. None in what was told or kept."""
        if self.est.events("request"):
            self.assertIsNone(self.est.events("request")[0]["authorization"])
        self.assert_no_password()

    def enrolled(self, *arguments):
        _, result = self.enrol(*arguments)
        self.assert_enrolled(result)

    def refused(self, status, words=""):
        failed = self.failure()
        self.assertEqual((failed["class"], failed["status"]), ("refused", status), failed)
        self.assertIn(words, failed["text"])
        self.assertEqual(self.est.events("issued"), [])
        return failed


class Passwords(Credentials):
    def test_basic(self):
        self.enrolled()
        self.assertEqual(self.schemes(), [("basic", None, True)])
        # The request was complete without, and was sent again with the password.
        posts = self.est.events("request", operation="simpleenroll")
        self.assertEqual([e["authorization"] for e in posts], [None, "basic"])
        self.assertEqual({e["authorization"] for e in self.est.events("request", method="GET")}, {None})

    def test_digest(self):
        for scheme, algorithm in (("digest", "MD5"), ("digest-plain", "MD5"), ("digest-sha256", "SHA-256")):
            for http2 in (False, True):
                with self.subTest(scheme, http2=http2):
                    self.est.mark()
                    self.est.set(http_auth=scheme, http2=http2)
                    _, result = self.enrol("--again")
                    self.assertEqual(result["result"], "enrolled")
                    self.assertEqual(self.schemes(), [("digest", algorithm, True)])

    def test_digest_comes_before_basic_whatever_the_order(self):
        for offered in ("basic digest-sha256", "digest basic", "bearer basic digest"):
            with self.subTest(offered):
                self.est.mark()
                self.est.set(http_auth=offered)
                self.enrol("--again")
                [(scheme, _, good)] = self.schemes()
                self.assertEqual((scheme, good), ("digest", True))

    def test_a_wrong_password(self):
        for scheme in ("basic", "digest", "digest-sha256"):
            with self.subTest(scheme):
                self.est.mark()
                self.est.set(http_auth=scheme)
                self.est.write_password("wrong")
                failed = self.refused(401)
                self.assertIn("password-file", failed["text"])
                # Once: a password that is wrong is not tried until the account is locked.
                self.assertEqual([good for _, _, good in self.schemes()], [False])

    def test_no_scheme_and_an_unknown_one(self):
        for offered in ("", "bearer"):
            with self.subTest(offered):
                self.est.mark()
                self.est.set(http_auth=offered)
                self.refused(401)
                self.assertEqual(self.schemes(), [])

    def test_none_is_shown_where_none_is_asked_for(self):
        self.est.set(require="none")
        self.enrolled()
        self.assertEqual(self.schemes(), [])

    def test_none_where_none_is_configured(self):
        self.configure(credential="none")
        failed = self.refused(401)
        self.assertIn("username", failed["text"])

    def test_a_password_for_one_certificate(self):
        self.est.set(one_time=True)
        self.enrolled()
        self.promote()
        # The renewal needs no password, and the file may be gone by then.
        os.unlink(self.est.path("password"))
        self.est.mark()
        _, result = self.enrol("renew")
        self.assertEqual(result["result"], "renewed")
        self.assertEqual(self.schemes(), [])

    def test_a_spent_password(self):
        self.est.set(one_time=True)
        self.enrolled()
        failed = self.failure("--again")
        self.assertEqual((failed["class"], failed["status"]), ("refused", 401))

    def test_a_one_time_password_outlives_a_wait(self):
        self.est.set(one_time=True, pending=1)
        self.postponed()
        self.enrolled()

    def test_a_password_from_the_credentials_directory(self):
        os.mkdir(self.dir + "/credentials")
        os.rename(self.est.path("password"), self.dir + "/credentials/est-password")
        self.configure(**{"password-file": "est-password"})
        os.environ["CREDENTIALS_DIRECTORY"] = self.dir + "/credentials"
        self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        self.enrolled()

    def test_password_files_that_are_none(self):
        for text in ("two\nlines", None):
            with self.subTest(text):
                if text is None:
                    os.unlink(self.est.path("password"))
                else:
                    self.est.write_password(text)
                failed = self.failure()
                self.assertEqual(failed["class"], "local")
                self.assertIn("password-file", failed["text"])
                self.assertEqual(self.est.events("tls"), [])

    def test_attributes_for_the_authorised_only(self):
        self.est.set(protect_csrattrs=True, csrattrs="binding", binding="required")
        self.enrolled()

    def test_a_failed_proof_of_possession_is_no_question_for_a_password(self):
        self.est.set(binding="required")    # and csrattrs does not say so
        failed = self.refused(401, "Proof of Possession Mismatch.")
        self.assertNotIn("correct horse", failed["text"])
        self.assertEqual([good for _, _, good in self.schemes()], [True])


class Certificates(Credentials):
    def test_a_claim_whose_key_is_a_file(self):
        self.configure(credential="claim")
        self.enrolled()
        self.assertEqual({e["certificate"] for e in self.est.events("tls")}, {"CN=claim"})
        self.assertEqual(self.schemes(), [])

    def test_a_claim_whose_key_is_in_the_tpm(self):
        # The first certificate, made with a password, is the claim of the next.
        self.enrolled()
        for name, own in (("chain.pem", "claim.pem"), ("key.pem", "claim.key")):
            with open(f"{self.dir}/{own}", "w", encoding="ascii") as file:
                file.write(self.read("candidate/" + name))
            os.chmod(f"{self.dir}/{own}", 0o600)
        self.configure(credential="none", certificate=self.dir + "/claim.pem", key=self.dir + "/claim.key")
        self.est.mark()
        _, result = self.enrol("--again")
        self.assert_enrolled(result, 2)
        self.assertNotIn(None, {e["certificate"] for e in self.est.events("tls")})
        self.assertEqual(self.est.events("issued")[0]["operation"], "simpleenroll")

    def test_a_certificate_that_the_handshake_demands(self):
        self.est.set(client_certificate="required")
        failed = self.failure()
        self.assertRegex(failed["text"], "certificate")
        self.assertEqual(self.est.events("request"), [])
        self.configure(credential="claim")
        self.enrolled()

    def test_certificate_and_password(self):
        self.est.set(require="both")
        self.configure(credential="claim")
        self.refused(401)
        self.configure(credential="password")
        self.refused(403, "A client certificate is required")
        self.configure(credential="both")
        self.enrolled()
        self.assertEqual(self.schemes()[-1], ("basic", None, True))

    def test_a_claim_without_its_intermediate(self):
        leaf = self.est.read("claim.pem").partition("-----END CERTIFICATE-----\n")
        with open(self.dir + "/leaf.pem", "w", encoding="ascii") as file:
            file.write(leaf[0] + leaf[1])
        self.configure(credential="claim", certificate=self.dir + "/leaf.pem")
        failed = self.failure()
        self.assertRegex(failed["text"], "unknown|certificate")
        self.assertEqual(self.est.event("refused", stage="tls")["reason"], "unable to get local issuer certificate")

    def test_a_claim_of_another_key(self):
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.dir + "/other.key")
        self.configure(credential="claim", key=self.dir + "/other.key")
        failed = self.failure()
        self.assertIn("key", failed["text"])
        self.assertEqual(self.est.events("tls"), [])

    def test_a_renewal_shows_the_certificate_that_is_renewed(self):
        self.configure(credential="claim")
        self.enrolled()
        self.promote()
        [first] = self.est.events("issued")
        self.est.mark()
        _, result = self.enrol("renew")
        self.assertEqual(result["result"], "renewed")
        self.assertEqual({e["serial"] for e in self.est.events("tls")}, {first["serial"]})

    def test_a_renewal_of_a_revoked_certificate(self):
        self.enrolled()
        self.promote()
        self.est.ask("revoke", serial=self.est.events("issued")[0]["serial"])
        self.est.mark()
        failed = self.failure("renew")
        self.assertEqual((failed["class"], failed["status"]), ("refused", 403))
        self.assertIn("The certificate is revoked", failed["text"])


class BeforeTrust(Credentials):
    """What a server sees that is not the one which the operator means: a handshake, and no more."""

    def setUp(self):
        super().setUp()
        self.est.ask("claim", name="other", subject="other")

    def sees_nothing(self, **changes):
        for credential in ("password", "claim", "both"):
            with self.subTest(credential):
                self.est.mark()
                self.configure(credential=credential, **changes)
                failed = self.failure()
                self.assertEqual(self.est.events("request") + self.est.events("csr") + self.est.events("auth"), [])
                self.assertEqual({e["bytes"] for e in self.est.events("closed")} - {0}, set())
        return failed

    def test_a_server_of_another_authority(self):
        # A claim's last certificate is the factory's, whose root nobody here is below.
        self.sees_nothing(ca=self.est.path("other.pem"))

    def test_a_server_of_another_name(self):
        self.est.ask("server", hosts=["est.example"])
        failed = self.sees_nothing()
        self.assertIn("localhost", failed["text"])

    def test_a_fingerprint_that_is_not_there(self):
        for credential in ("password", "claim", "both"):
            with self.subTest(credential):
                self.est.mark()
                self.configure(credential=credential, ca=None, **{"ca-fingerprint": "sha256:" + "0" * 64})
                self.failure()
                # One question, without anything of ours in it.
                [asked] = self.est.events("request")
                self.assertEqual((asked["operation"], asked["method"], asked["authorization"], asked["certificate"]),
                                 ("cacerts", "GET", None, None))
                self.assertEqual([e["certificate"] for e in self.est.events("tls")], [None])

    def test_a_fingerprint_leads_to_a_connection_of_its_own(self):
        for credential in ("password", "both"):
            self.est.mark()
            self.configure(credential=credential, ca=None, **{"ca-fingerprint": "SHA256:" + self.est.fingerprint().upper()
                                                              if credential == "none" else "sha256:" + self.est.fingerprint()})
            _, result = self.enrol("--again")
            self.assertEqual(result["result"], "enrolled")
            first = self.est.events("tls")[0]
            self.assertIsNone(first["certificate"])
            [asked] = self.est.events("request", connection=first["connection"])
            self.assertEqual((asked["operation"], asked["authorization"], asked["body"]["bytes"]), ("cacerts", None, 0))
            self.assertEqual([e["operation"] for e in self.est.events("request")][:2], ["cacerts", "cacerts"])


if __name__ == "__main__":
    main(__doc__)
