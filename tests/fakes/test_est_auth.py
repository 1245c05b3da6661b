#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the EST stand-in: who may enrol, by which scheme, and what is recorded of it."""

import hashlib
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot import certs  # noqa: E402
from est_client import PASSWORD, Client, WithServer, basic, request, wrap  # noqa: E402

PATH = "/.well-known/est/simpleenroll"


def digest(challenge, user="gateway", password=PASSWORD, uri=PATH, count="00000001"):
    """The Authorization header that answers a challenge."""
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    algorithm = given.get("algorithm", "MD5")

    def of(*parts):
        return hashlib.new(algorithm.replace("SHA-", "sha").lower(), ":".join(parts).encode()).hexdigest()

    response = of(of(user, given["realm"], password), given["nonce"], count, "abcdef", "auth", of("POST", uri))
    named = f', algorithm={algorithm}' if "algorithm" in given else ""
    return (f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{uri}", qop=auth, nc={count}, '
            f'cnonce="abcdef", response="{response}"{named}')


class Authentication(WithServer):
    def setUp(self):
        super().setUp()
        self.body = wrap(request(certs.new_key()))

    def challenges(self):
        status, headers, _ = self.post(self.body, authorization=None)
        self.assertEqual(status, 401)
        return headers.get_all("WWW-Authenticate") or []

    def test_each_scheme_is_offered_in_order(self):
        self.server.set(http_auth="digest-sha256 digest basic bearer")
        self.assertEqual([c.partition(" ")[0] for c in self.challenges()], ["Digest", "Digest", "Basic", "Bearer"])
        self.server.set(http_auth="")
        self.assertEqual(self.challenges(), [])
        self.server.set(http_auth="digest-plain")
        self.assertRegex(self.challenges()[0], r'^Digest qop="auth", realm="estrealm", nonce="[0-9a-f]+"$')

    def test_basic(self):
        for header, status in ((basic(), 200), (basic(password="wrong"), 401), (basic(user="other"), 401), ("Basic !", 401),
                               ("Bearer " + PASSWORD, 401)):
            self.assertEqual(self.post(self.body, authorization=header)[0], status, header)
        self.assertEqual([e["good"] for e in self.server.events("auth")], [True, False, False, False, False])
        self.server.set(http_auth="digest")
        self.assertEqual(self.post(self.body)[0], 401)

    def test_digest(self):
        for scheme in ("digest", "digest-plain", "digest-sha256"):
            self.server.set(http_auth=scheme)
            [challenge] = self.challenges()
            header = digest(challenge)
            with self.subTest(scheme):
                self.assertEqual(self.post(self.body, authorization=header)[0], 200)
                # The same answer a second time, a wrong password, another path, another's nonce.
                for wrong in (header, digest(self.challenges()[0], password="wrong"), digest(challenge, uri="/other"),
                              digest(re.sub("nonce=\"..", "nonce=\"zz", challenge))):
                    self.assertEqual(self.post(self.body, authorization=wrong)[0], 401)
                self.assertEqual(self.post(self.body, authorization=digest(challenge, count="00000002"))[0], 200)
        self.server.set(http_auth="digest-sha256")
        [challenge] = self.challenges()
        self.assertEqual(self.post(self.body, authorization=digest(challenge.replace("SHA-256", "MD5")))[0], 401)

    def test_a_password_may_be_good_for_one_certificate(self):
        self.server.set(one_time=True, pending=1)
        self.assertEqual([self.post(self.body)[0] for _ in range(3)], [202, 200, 401])
        self.assertEqual(self.server.events("auth")[-1]["detail"], "the password is spent")

    def test_certificate_and_password_as_they_are_needed(self):
        key, _, own = self.enrolled()
        body = wrap(request(key))
        for need, nothing, password, claim, both in (("none", 200, 200, 200, 200), ("any", 401, 200, 200, 200), ("certificate", 403, 403, 200, 200),
                                                     ("http", 401, 200, 401, 200), ("both", 403, 403, 401, 200)):
            self.server.set(require=need)
            with self.subTest(need):
                self.assertEqual(self.post(body, authorization=None)[0], nothing)
                self.assertEqual(self.post(body)[0], password)
                self.assertEqual(self.post(body, credential=self.claim(), authorization=None)[0], claim)
                self.assertEqual(self.post(body, credential=self.claim())[0], both)
        self.server.set(require="certificate", cert_enrols="claim")
        self.assertEqual(self.post(body, credential=own)[0], 403)
        self.server.set(require="any", cert_enrols="any", enroll_known=False)
        self.assertEqual(self.post(body)[0], 403)

    def test_renewal_may_want_a_password_too_or_not_be_there(self):
        key, _, own = self.enrolled()
        body = wrap(request(key))
        self.server.set(reenroll_http=True)
        self.assertEqual(self.post(body, "simplereenroll", own, None)[0], 401)
        self.assertEqual(self.post(body, "simplereenroll", own)[0], 200)
        self.server.set(reenroll=False)
        self.assertEqual(self.post(body, "simplereenroll", own)[0], 501)

    def test_a_handshake_without_certificate_may_fail(self):
        self.server.set(client_certificate="required")
        with self.assertRaises(OSError):
            self.post(self.body)
        self.assertEqual(self.server.event("refused", stage="tls")["reason"], "PEER_DID_NOT_RETURN_A_CERTIFICATE")
        self.assertEqual(self.post(self.body, credential=self.claim(), authorization=None)[0], 200)

    def test_attributes_may_be_for_the_authorised_only(self):
        self.server.set(protect_csrattrs=True, csrattrs="binding")
        with Client(self.server) as client:
            self.assertEqual(client.ask("GET", "csrattrs")[0], 401)
            self.assertEqual(client.ask("GET", "csrattrs", Authorization=basic())[0], 200)


class Record(WithServer):
    def test_tells_what_came_on_a_connection_but_no_password(self):
        body = wrap(request(certs.new_key()))
        self.post(body)
        self.post(body, authorization=basic(password="correct hearse"))
        [asked, _] = self.server.events("request")
        self.assertEqual((asked["operation"], asked["authorization"], asked["version"]), ("simpleenroll", "basic", "HTTP/1.1"))
        self.assertEqual((asked["body"]["longest"], asked["body"]["final_newline"], asked["body"]["crlf"]), (64, True, False))
        text = self.server.read("events.jsonl")
        for secret in (PASSWORD, "correct hearse", basic().partition(" ")[2]):
            self.assertNotIn(secret, text)

    def test_tells_that_nothing_came_from_who_did_not_trust_it(self):
        with self.assertRaises(OSError), Client(self.server, anchors=self.server.path("claim.pem")):
            pass
        self.assertEqual(self.server.event("refused", stage="tls")["reason"], "TLSV1_ALERT_UNKNOWN_CA")
        self.assertEqual(self.server.events("request") + self.server.events("closed"), [])
        with Client(self.server):
            pass
        closed = self.server.event("closed")
        self.assertEqual((closed["requests"], closed["bytes"]), (0, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
