#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision and the answers of the EST stand-in: good ones in every form, and everything else.

usage: test_provision_est_answers.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import time

import faults
from est_bench import EstProvision
from provision_bench import main


class Answers(EstProvision):
    def enrolled(self, **settings):
        self.est.set(**settings)
        _, result = self.enrol("--again")
        self.assertEqual(result["result"], "enrolled")
        self.assert_no_password()

    def fails(self, class_, words=".", status=None, order=None):
        """One run that fails, with a fault @order where there is one; the key is kept for the next."""
        if order:
            self.est.fault(**order)
        failed = self.failure()
        self.assertEqual(failed["class"], class_, failed)
        if status is not None:
            self.assertEqual(failed["status"], status)
        self.assertRegex(failed["text"], words)
        self.assertNotIn("correct horse", self.everything)
        return failed

    def answered(self, class_, status, words=".", operation="simpleenroll", **order):
        """A run that fails as an operation is answered with a status."""
        return self.fails(class_, words, status, {"name": "status", "operation": operation, "status": status, **order})

    def spoilt(self, words, how, operation="simpleenroll", **order):
        """A run that fails as the body of an answer is broken."""
        return self.fails("bad-answer", words, None, {"name": "body", "operation": operation, "how": how, **order})

    def works_again(self):
        self.est.ask("clear")
        key = self.pending_key()
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)


class Good(Answers):
    def test_each_layout(self):
        for layout in self.est.ask("faults")["layouts"]:
            with self.subTest(layout):
                self.enrolled(layout=layout)
                self.assertEqual(self.read("candidate/chain.pem").count("BEGIN CERTIFICATE"), 2)

    def test_content_types(self):
        for kind in ("application/pkcs7-mime", "application/pkcs7-mime; smime-type=certs-only",
                     'Application/PKCS7-MIME;smime-type="certs-only"; name=x.p7c', "application/pkcs7-mime ; charset=utf-8"):
            with self.subTest(kind):
                self.enrolled(certs_type=kind, cacerts_type=kind)

    def test_chains_in_any_order_and_with_extras(self):
        wanted = None
        for chain in ("leaf", "full", "root", "reversed", "extras"):
            with self.subTest(chain):
                self.enrolled(chain=chain)
                found = self.read("candidate/chain.pem")
                self.assertEqual(found.count("BEGIN CERTIFICATE"), 2)
                end = found.index("-----END CERTIFICATE-----")
                wanted = wanted or found[end:]
                self.assertEqual(found[end:], wanted)       # behind the leaf the issuing authority, without the root

    def test_no_attributes_in_each_way(self):
        for kind in ("none", "404", "501", "empty", "MAA="):
            with self.subTest(kind):
                self.est.mark()
                self.enrolled(csrattrs=kind)
                self.assertEqual(self.est.events("csr")[0]["extensions"], {})

    def test_attributes_that_can_be_honoured(self):
        self.enrolled(csrattrs="wishes")
        [csr] = self.est.events("csr")
        # keyUsage critical, extKeyUsage
        self.assertEqual(csr["extensions"].get("2.5.29.15"), True)
        self.assertIn("2.5.29.37", csr["extensions"])
        self.est.mark()
        self.enrolled(csrattrs="p256")
        self.assertEqual((self.est.events("csr")[0]["key"], self.est.events("csr")[0]["hash"]), ("ec-secp256r1", "sha256"))

    def test_attributes_that_cannot_be_honoured(self):
        for kind in ("rsa", "p384", "example"):
            with self.subTest(kind):
                self.est.mark()
                self.est.set(csrattrs=kind)
                self.fails("refused", "csrattrs: .*P-256")
                self.assertEqual(self.est.events("csr"), [])


class Waiting(Answers):
    def test_the_same_request_again_with_each_form_of_the_time(self):
        for form, seconds in (("90", 90), ("imf:3600", 3600), ("rfc850:3600", 3600), ("asctime:3600", 3600), ("", 600), ("0", 60),
                              ("999999999", 86400), ("soon", 600), ("-5", 600)):
            with self.subTest(form):
                self.est.set(pending=-1, retry_after=form)
                self.assertIn("approve", self.postponed()["text"])
                self.assertAlmostEqual(self.journal()["error"]["retry_at"], time.time() + seconds, delta=30)
        # Ten times the same: key, request, and nothing issued.
        self.assertEqual(len({e["sha256"] for e in self.est.events("csr")}), 1)
        self.est.set(pending=0)
        self.works_again()
        self.assertEqual(len({e["sha256"] for e in self.est.events("csr")}), 1)
        faults.told("F16", "202 with 9 forms of Retry-After: kept within 1 min to 24 h, the same key and request each time")

    def test_a_bound_request_is_made_anew_for_the_same_key(self):
        self.est.set(pending=1, csrattrs="binding", binding="required")
        self.postponed()
        self.works_again()
        csrs = self.est.events("csr")
        self.assertEqual((len({e["key_sha256"] for e in csrs}), len({e["challenge"] for e in csrs}) > 1), (1, True))

    def test_the_servers_words_are_told(self):
        self.est.fault("status", operation="simpleenroll", status=202, text="ask Alice", headers={"Retry-After": "61"})
        self.assertIn("ask Alice", self.postponed()["text"])


class Refusals(Answers):
    def test_statuses_with_words(self):
        # Two requests, as the password comes with the second.
        self.est.set(require="none")
        for status, class_ in ((400, "refused"), (403, "refused"), (404, "refused"), (422, "refused"), (501, "refused"), (408, "retry"),
                               (429, "retry"), (500, "retry"), (502, "retry"), (503, "retry"), (504, "retry")):
            with self.subTest(status):
                self.answered(class_, status, "simpleenroll.*device is not on the list",
                              text="device is not on the list\x1b[31m\n" + "x" * 1000)
                self.assertNotIn("\x1b", self.everything)
                self.assertNotIn("x" * 300, self.everything)
        self.works_again()
        faults.told("F16", "11 HTTP statuses told apart as refused or to be tried again, with the words of the service")

    def test_a_busy_servers_time_is_kept(self):
        self.est.set(require="none")
        for status in (429, 503):
            self.answered("retry", status, headers={"Retry-After": "1200"})
            self.assertAlmostEqual(self.journal()["error"]["retry_at"], time.time() + 1200, delta=30)

    def test_redirections_are_not_followed(self):
        self.est.set(require="none")
        for status in (301, 303, 308):
            for operation in ("cacerts", "simpleenroll"):
                with self.subTest(status, operation=operation):
                    self.est.mark()
                    self.answered("refused", status, "/elsewhere", operation,
                                  headers={"Location": f"https://127.0.0.1:{self.est.port}/elsewhere"})
                    self.assertNotIn("/elsewhere", {e["path"] for e in self.est.events("request")})

    def test_bodies_that_are_no_text(self):
        self.est.set(require="none")
        for kind, text in (("application/pkcs7-mime; smime-type=CMC-response", "MIIB0AYJKoZIhvcNAQcC\n"),
                           ("text/html", "<html><body>No</body></html>"), ("", "")):
            self.answered("refused", 403, type=kind, text=text)

    def test_each_broken_body(self):
        self.est.set(require="none")
        for how in self.est.ask("faults")["bodies"]:
            with self.subTest(how):
                self.spoilt("simpleenroll", how)
        self.works_again()
        faults.told("F16",
                    f"{len(self.est.ask('faults')['bodies'])} broken bodies refused, the next attempt succeeds with the same key")

    def test_broken_bodies_of_cacerts(self):
        for how in ("empty", "html", "garbage", "half-base64", "null-signed", "no-certificates"):
            with self.subTest(how):
                self.est.mark()
                self.spoilt("cacerts", how, "cacerts")
                self.assertEqual(self.est.events("csr"), [])
        self.spoilt("cacerts.*text/html", "html", "cacerts", type="text/html")

    def test_wrong_content_types(self):
        self.est.set(require="none")
        for kind in ("text/plain", "text/html; charset=utf-8", "application/json", "application/pkcs7-mimex"):
            with self.subTest(kind):
                self.est.set(certs_type=kind)
                self.fails("bad-answer", "simpleenroll.*" + kind.partition(";")[0])

    def test_answers_that_end_early(self):
        self.est.set(require="none")
        for http2 in (True, False):
            self.est.set(http2=http2)
            # For ever, as what was closed before a word of an answer is tried once more at once.
            for fault in ({"name": "cut", "bytes": 100}, {"name": "drop"}, {"name": "drop-after"}):
                with self.subTest(fault["name"], http2=http2):
                    self.fails("retry", "simpleenroll", None, {"operation": "simpleenroll", "count": -1, **fault})
                self.est.ask("clear")
        self.works_again()

    def test_a_cut_of_an_answer_without_a_length(self):
        # The older libcurl takes it for the end, and what came is half of a message.
        self.est.set(require="none", transfer="close", http2=False)
        for operation in ("cacerts", "simpleenroll"):
            self.est.fault("cut", operation=operation, bytes=400)
            failed = self.failure()
            self.assertIn(failed["class"], ("retry", "bad-answer"))
            self.assertIn(operation, failed["text"])
        self.works_again()

    def test_what_is_no_http(self):
        self.est.set(require="none", http2=False)
        for text in ("SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 banana\r\n\r\n", "\r\n\r\n\r\n"):
            self.fails("bad-answer", "cacerts", None, {"name": "raw", "text": text})

    def test_connections_that_do_not_come_about(self):
        for name in ("accept-drop", "tls-drop", "tls-end"):
            for http2 in (True, False):
                self.est.set(http2=http2)
                with self.subTest(name, http2=http2):
                    self.fails("retry", "localhost", None, {"name": name, "count": -1})
                self.est.ask("clear")
        self.est.ask("down")
        self.addCleanup(self.est.ask, "up")
        self.fails("retry", "localhost")

    def test_certificates_that_are_not_as_they_should_be(self):
        for settings, words in (({"extended_usage": "server"}, "client"), ({"life": -60}, "it ended"),
                                ({"subject": "Somebody else"}, "subject")):
            with self.subTest(settings):
                self.est.ask("reset")
                self.est.set(**settings)
                failed = self.failure()
                self.assertRegex(failed["text"].lower(), words)


if __name__ == "__main__":
    main(__doc__)
