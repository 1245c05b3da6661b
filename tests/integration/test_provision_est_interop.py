#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision against the EST stand-in as the servers that are known: what they take, want and refuse.

usage: test_provision_est_interop.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from est_bench import EstProvision, EstServer
from provision_bench import main

import connect_proxy        # est_bench has made the stand-ins importable
from est import der


def der_of(pem):
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)


class Interop(EstProvision):
    def renewed(self, *arguments):
        """Makes the candidate current and renews it; the result."""
        self.promote()
        self.est.mark()
        _, result = self.enrol("renew", *arguments)
        self.assertEqual((result["result"], result["generation"]), ("renewed", 2))
        self.assert_no_password()
        return result

    def same_names(self):
        """Subject and alternative names of the renewed certificate's request are the old ones, byte for byte."""
        old = der_of(self.read("current/chain.pem"))
        [csr] = self.est.events("csr")
        self.assertEqual(csr["subject_der"], der.certificate_subject(old).hex())
        self.assertEqual(csr["san_der"], der.certificate_san(old).hex())

    def versions(self):
        return {e["version"] for e in self.est.events("request")}

    def names(self, host="gw.example"):
        return {"enrolment": f"subject = CN=gw-1,O=Example\ndns-name = {host}"}


class Requests(Interop):
    """How a request is encoded, and that the strictest servers take it."""

    def test_the_body_is_one_that_every_known_server_takes(self):
        for profile in ("libest", "globalsign", "rfc"):
            with self.subTest(profile):
                self.est.mark()
                self.est.set(profile=profile)
                _, result = self.enrol("--again")
                self.assertEqual(result["result"], "enrolled")
                asked = [e for e in self.est.events("request") if e["operation"] == "simpleenroll" and e["body"]["bytes"]]
                self.assertTrue(asked)
                for request in asked:
                    body = request["body"]
                    self.assertEqual((body["longest"], body["final_newline"], body["crlf"], body["blanks"], body["armour"]),
                                     (64, True, False, False, False))
                    self.assertEqual((request["type"], request["expect"]), ("application/pkcs10", None))
                    self.assertEqual(request["transfer_encoding"], "base64")
                self.assertEqual(self.est.events("refused", stage="http"), [])


class Libest(Interop):
    """cisco/libest: TLS 1.2, Digest without an algorithm, no label, no alternative names, tls-unique where it is told to."""

    def setUp(self):
        super().setUp()
        self.est.set(profile="libest")

    def test_enrols_and_renews_without_the_names_that_it_dropped(self):
        self.configure(**self.names())
        _, result = self.enrol()
        self.assert_enrolled(result)
        [csr] = self.est.events("csr")
        self.assertIn(b"gw.example", bytes.fromhex(csr["san_der"]))
        self.assertEqual({e["version"] for e in self.est.events("tls")}, {"TLSv1.2"})
        self.assertEqual(self.est.events("auth")[-1]["algorithm"], "MD5")
        # Certificate and password.
        self.renewed()
        self.same_names()
        self.assertEqual(self.est.events("csr")[0]["san_der"], "")
        [asked] = [e for e in self.est.events("answer", operation="simplereenroll") if e["status"] == 200]
        self.assertEqual(asked["status"], 200)
        self.assertTrue(self.est.events("auth")[-1]["good"])

    def test_wants_the_connection_in_the_request(self):
        self.est.set(csrattrs="binding", binding="required")
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertTrue(self.est.events("binding")[-1]["good"])
        self.renewed()
        self.assertTrue(self.est.events("binding")[-1]["good"])

    def test_approves_by_hand(self):
        self.est.set(pending=1, retry_after="3600")
        self.assertEqual(self.postponed()["step"], "issued")
        key = self.pending_key()
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len({e["sha256"] for e in self.est.events("csr")}), 1)

    def test_knows_no_label(self):
        self.configure(label="plant-3")
        failed = self.failure()
        self.assertEqual(failed["class"], "refused")
        self.assertEqual(failed["status"], 404)


class Globalsign(Interop):
    """globalsign/est: HTTP/2, any label, names compared byte for byte, 76 columns and CRLF."""

    def setUp(self):
        super().setUp()
        self.est.set(profile="globalsign")

    def test_enrols_without_a_credential_and_renews_byte_for_byte(self):
        self.configure(credential="none", **self.names())
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(self.versions(), {"HTTP/2"})
        self.assertEqual({e["authorization"] for e in self.est.events("request")}, {None})
        self.renewed()
        self.same_names()
        self.assertEqual(self.versions(), {"HTTP/2"})
        self.assertEqual(self.est.events("issued")[0]["operation"], "simplereenroll")

    def test_renews_names_that_the_authority_wrote_in_its_own_way(self):
        # Rebuilt from text they would be UTF8Strings, and there would be no added name.
        self.est.set(strings="printable", sans="added.example")
        self.configure(credential="none", **self.names())
        self.enrol()
        self.renewed()
        self.same_names()
        self.assertIn(b"added.example", bytes.fromhex(self.est.events("csr")[0]["san_der"]))

    def test_any_label(self):
        self.configure(credential="none", label="some-plant")
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual({e["label"] for e in self.est.events("request")}, {"some-plant"})

    def test_attributes_that_want_another_curve_are_refused(self):
        # What its label "csrattrs" answers; as a label that is none by RFC 7030.
        self.est.set(csrattrs="example")
        self.configure(credential="none")
        failed = self.failure()
        self.assertEqual(failed["class"], "refused")
        self.assertRegex(failed["text"], "csrattrs.*P-256")
        self.assertEqual(self.est.events("csr"), [])

    def test_the_trouble_that_its_label_makes(self):
        self.configure(credential="none", label="triggererrors")
        failed = self.failure()
        self.assertEqual((failed["class"], failed["status"]), ("retry", 500))
        self.assertIn("cacerts: the server answered 500: 500 internal server error", failed["text"])

    def test_a_request_that_is_put_off(self):
        self.est.set(pending=1, retry_after="600")
        self.configure(credential="none")
        self.postponed()
        self.assertEqual(self.journal()["error"]["status"], 202)
        _, result = self.enrol()
        self.assert_enrolled(result)


class Others(Interop):
    """What else is known of servers in the field."""

    def test_the_chain_is_whole_though_only_the_leaf_was_sent(self):
        self.enrol()
        chain = self.read("candidate/chain.pem")
        self.assertEqual(chain.count("BEGIN CERTIFICATE"), 2)
        self.assertIn(self.est.read("issuing-1.pem").strip(), chain)
        # The server demands it, as only its root is known to it: the renewal's handshake is the proof.
        self.renewed()
        self.assertEqual(self.est.events("issued")[0]["operation"], "simplereenroll")

    def test_a_server_that_renews_by_simpleenroll_only(self):
        self.enrol()
        self.est.set(reenroll=False)
        self.promote()
        failed = self.failure("renew")
        self.assertEqual((failed["class"], failed["status"]), ("refused", 501))
        self.assertIn("renew-by", failed["text"])
        self.configure(**{"renew-by": "simpleenroll"})
        self.est.mark()
        _, result = self.enrol("renew")
        self.assertEqual(result["result"], "renewed")
        [issued] = self.est.events("issued")
        self.assertEqual(issued["operation"], "simpleenroll")

    def test_a_server_that_lets_known_ones_renew_by_simplereenroll_only(self):
        self.est.set(enroll_known=False)
        self.enrol()
        self.renewed()
        self.assertEqual(self.est.events("issued")[0]["operation"], "simplereenroll")

    def test_with_and_without_label(self):
        for label in (None, "plant-3"):
            self.configure(label=label)
            self.est.mark()
            self.enrol("--again")
            self.assertEqual({e["label"] for e in self.est.events("request")}, {label})

    def test_the_well_known_path_is_added_to_a_bare_url(self):
        for url in (f"https://localhost:{self.est.port}", f"https://localhost:{self.est.port}/", self.est.url + "/"):
            self.configure(url=url)
            _, result = self.enrol("--again")
            self.assertEqual(result["result"], "enrolled")

    def test_new_key_or_the_old_one(self):
        self.enrol()
        first = self.read("candidate/key.pem")
        self.renewed()
        self.assertNotEqual(self.read("candidate/key.pem"), first)
        self.promote()
        second = self.read("current/key.pem")
        self.configure(more="[rotation]\nrekey = no")
        self.est.mark()
        _, result = self.enrol("renew")
        self.assertEqual(result["result"], "renewed")
        self.assertEqual(self.read("candidate/key.pem"), second)
        self.same_names()


class Connections(Interop):
    """Versions of TLS and HTTP, addresses, and the way there."""

    def enrolled_over(self, **settings):
        self.est.mark()
        self.est.set(**settings)
        _, result = self.enrol("--again")
        self.assertEqual(result["result"], "enrolled")
        self.assert_no_password()

    def test_each_version_of_tls_and_of_http(self):
        for low, high, version in (("1.2", "1.2", "TLSv1.2"), ("1.3", "1.3", "TLSv1.3")):
            for http2 in (True, False):
                with self.subTest(version, http2=http2):
                    self.enrolled_over(tls_min=low, tls_max=high, http2=http2)
                    self.assertEqual({e["version"] for e in self.est.events("tls")}, {version})
                    self.assertEqual(self.versions(), {"HTTP/2" if http2 else "HTTP/1.1"})

    def test_a_channel_binding_over_each_version_of_tls_and_of_http(self):
        for low, high, length in (("1.2", "1.3", 16), ("1.2", "1.2", 16), ("1.3", "1.3", 44)):
            for http2 in (True, False):
                with self.subTest(low, high=high, http2=http2):
                    self.enrolled_over(tls_min=low, tls_max=high, http2=http2, csrattrs="binding", binding="required")
                    self.assertEqual(len(self.est.events("csr")[-1]["challenge"]), length)
                    self.assertTrue(self.est.events("binding")[-1]["good"])

    def test_one_request_a_connection(self):
        self.enrolled_over(connection_close=True, http2=False)
        self.assertEqual({e["requests"] for e in self.est.events("closed")}, {1})

    def test_several_requests_go_over_one_connection(self):
        self.configure(credential="claim")
        self.enrolled_over()
        self.assertEqual(len(self.est.events("tls")), 1)

    def test_framings(self):
        for transfer in ("chunked", "close"):
            with self.subTest(transfer):
                self.enrolled_over(transfer=transfer, http2=False)

    def test_ipv6(self):
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            self.assertIn("00000000000000000000000000000001", file.read(), "no IPv6 on the loopback interface")
        server = EstServer(bind="::1", host="::1")
        self.addCleanup(server.close)
        self.configure(url=server.url, ca=server.path("ca.pem"))
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual(server.events("tls")[0]["peer"], "::1")
        self.assertEqual(server.events("request")[0]["host"], f"[::1]:{server.port}")

    def test_through_a_proxy(self):
        proxy = connect_proxy.ConnectProxy()
        self.addCleanup(proxy.close)
        self.configure(proxy=proxy.url)
        _, result = self.enrol()
        self.assert_enrolled(result)
        self.assertEqual({e["line"] for e in proxy.seen}, {f"CONNECT localhost:{self.est.port} HTTP/1.1"})
        self.assertNotIn("proxy-authorization", {h for e in proxy.seen for h in e["headers"]})
        self.assertNotIn("authorization", {h for e in proxy.seen for h in e["headers"]})

    def test_a_proxy_that_refuses(self):
        proxy = connect_proxy.ConnectProxy(refuse=403)
        self.addCleanup(proxy.close)
        self.configure(proxy=proxy.url)
        failed = self.failure()
        self.assertRegex(failed["text"], "proxy")
        self.assertEqual(self.est.events("tls"), [])

    def test_the_environments_proxies_are_not_asked(self):
        proxy = connect_proxy.ConnectProxy(refuse=502)
        self.addCleanup(proxy.close)
        names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        self.assertFalse([n for n in names if n in os.environ])
        done = subprocess.run(self.command("--json"), capture_output=True, text=True, timeout=120,
                              env={**os.environ, **dict.fromkeys(names, proxy.url)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["result"], "enrolled")
        self.assertEqual(proxy.seen, [])


if __name__ == "__main__":
    main(__doc__)
