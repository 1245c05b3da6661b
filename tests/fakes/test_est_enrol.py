#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the EST stand-in: the operations, and requests that a good client never sends and that must be refused."""

import base64
import os
import ssl
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402

from aws_iot import certs  # noqa: E402
from est import der  # noqa: E402
from est.pki import to_der  # noqa: E402
from est_client import PKCS10, Client, WithServer, basic, certificates, request, wrap  # noqa: E402

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def life(certificate):
    """Seconds, whichever names this version of the library has for the two dates."""
    dates = [getattr(certificate, n + "_utc", None) or getattr(certificate, n) for n in ("not_valid_after", "not_valid_before")]
    return (dates[0] - dates[1]).total_seconds()


class Operations(WithServer):
    def test_cacerts_holds_the_root_and_what_issues(self):
        status, headers, body = self.get("cacerts")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/pkcs7-mime"))
        self.assertEqual([c.subject for c in certificates(body)],
                         [certs.name("EST Stand-in Root"), certs.name("EST Stand-in Issuing CA 1")])

    def test_enrols_the_subject_names_and_key_that_are_asked_for(self):
        key = certs.new_key()
        data = request(key, "pump-7", names=("pump-7.example", "pump.example"))
        status, headers, body = self.post(wrap(data))
        self.assertEqual((status, headers["Content-Type"]), (200, "application/pkcs7-mime; smime-type=certs-only"))
        [made] = certificates(body)
        self.assertEqual(made.public_key().public_numbers(), key.public_key().public_numbers())
        self.assertEqual(der.certificate_subject(to_der(made)), der.request_subject(data))
        self.assertEqual(der.certificate_san(to_der(made)), der.request_san(data))
        self.assertTrue(der.request_san(data))
        [csr] = self.server.events("csr")
        self.assertEqual((csr["subject"], csr["key"], csr["hash"]), ("CN=pump-7", "ec-secp256r1", "sha256"))
        self.assertEqual(self.server.events("issued")[0]["key_sha256"], csr["key_sha256"])

    def test_renews_for_the_certificate_with_its_own_names(self):
        key, _, credential = self.enrolled()
        for new in (key, certs.new_key()):
            status, _, body = self.post(wrap(request(new)), "simplereenroll", credential, None)
            self.assertEqual(status, 200, body)
            self.assertEqual(certificates(body)[0].public_key().public_numbers(), new.public_key().public_numbers())

    def test_paths_and_methods(self):
        self.assertEqual(self.get("cacerts", label="plant-3")[0], 200)
        for operation, label, status in (("cacerts", "plant-4", 404), ("nothing", None, 404), ("simpleenroll", None, 405),
                                         ("serverkeygen", None, 501), ("fullcmc", "plant-3", 501)):
            with self.subTest(operation):
                self.assertEqual(self.get(operation, label)[0], status)
        self.server.set(labels="*")
        self.assertEqual(self.get("cacerts", label="any")[0], 200)

    def test_attributes(self):
        self.assertEqual(self.get("csrattrs")[0], 204)
        for setting, wanted in (("404", 404), ("501", 501), ("MAA=", 200), ("example", 200), ("!", 200)):
            self.server.set(csrattrs=setting)
            self.assertEqual(self.get("csrattrs")[0], wanted)

    def test_a_rollover_links_the_roots_both_ways(self):
        self.server.ask("rollover", same_name=True)
        pool = {n: x509.load_pem_x509_certificate(p.encode()) for n, p in self.server.ask("pool")["pool"].items()}
        self.assertEqual(pool["root-1"].subject, pool["root-2"].subject)
        for leaf, anchor in (("old-with-new-2", "root-2"), ("new-with-old-2", "root-1")):
            for name in (leaf, anchor):
                with open(self.server.path(name + ".crt"), "w", encoding="ascii") as file:
                    file.write(certs.cert_pem(pool[name]))
            subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", self.server.path(anchor + ".crt"),
                            self.server.path(leaf + ".crt")], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(pool["new-with-old-2"].public_key().public_numbers(), pool["root-2"].public_key().public_numbers())
        with Client(self.server) as client:
            self.assertEqual(len(certificates(client.ask("GET", "cacerts")[2])), 6)
        # From the next certificate of its own on, who trusts only the old root does not get in.
        self.server.ask("server", generation=2)
        with self.assertRaises(ssl.SSLCertVerificationError), Client(self.server):
            pass
        with Client(self.server, anchors=self.server.path("ca-2.pem")) as client:
            self.assertEqual(client.ask("GET", "cacerts")[0], 200)


class Refused(WithServer):
    """Planted mistakes: each is refused, and nothing is issued."""

    def setUp(self):
        super().setUp()
        self.key = certs.new_key()

    def test_a_request_that_its_key_has_not_signed(self):
        data = bytearray(request(self.key))
        data[-1] ^= 1
        self.refused(self.post(wrap(bytes(data))), 400, "signature of the request")
        self.server.set(profile="globalsign")
        self.refused(self.post(wrap(bytes(data))), 400, "400 invalid PKCS10 certificate signing request signature")

    def test_a_wrong_content_type(self):
        body = wrap(request(self.key))
        for kind, status in (("application/octet-stream", 415), ("application/pkcs7-mime", 415), ("", 415)):
            self.refused(self.post(body, kind=kind), status)
        self.server.set(profile="libest")
        self.refused(self.post(body, kind="text/plain"), 400, "Invalid or corrupted pkcs10 request")
        self.assertEqual(self.server.events("csr"), [])

    def test_a_body_that_is_no_request(self):
        for body in (b"", b"{}", wrap(b"\x30\x03\x02\x01\x01"), wrap(request(self.key)[:-9]), request(self.key)):
            self.refused(self.post(body), 400)

    def test_keys_that_nobody_certifies(self):
        for key in (rsa.generate_private_key(65537, 1024),):
            self.refused(self.post(wrap(request(key))), 400, "keys of this kind")

    def encodings(self):
        data = request(self.key)
        return {"64 LF": wrap(data), "76 LF": wrap(data, 76), "76 CRLF": wrap(data, 76, "\r\n"),
                "open": wrap(data, last=False), "one line": wrap(data, 9999, last=False), "one line LF": wrap(data, 9999),
                "blanks": b"".join(b" " + line + b"\n" for line in wrap(data).splitlines()),
                "armour": b"-----BEGIN CERTIFICATE REQUEST-----\n" + wrap(data) + b"-----END CERTIFICATE REQUEST-----\n"}

    def table(self, refused, words):
        for name, body in self.encodings().items():
            with self.subTest(name):
                self.server.mark()
                answer = self.post(body)
                if name in refused:
                    self.refused(answer, 400, words)
                else:
                    self.assertEqual(answer[0], 200, answer[2])

    def test_the_encodings_that_libest_refuses(self):
        self.server.set(profile="libest", http_auth="basic")
        self.table({"one line", "armour"}, "Invalid or corrupted pkcs10 request")

    def test_the_encodings_that_globalsign_refuses(self):
        self.server.set(profile="globalsign")
        self.table({"blanks", "armour"}, "400 invalid base64 encoding")

    def test_the_encodings_that_rfc_8951_allows(self):
        self.table({"armour"}, "the body is not base64")

    def test_changed_names_on_renewal(self):
        key, _, credential = self.enrolled()
        self.server.mark()
        other_kind = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw", x509.name._ASN1Type.PrintableString)])
        for changed in (request(key, "gw2"), request(key, names=()), request(key, names=("gw2.example",)),
                        request(key, names=("gw.example", "more.example")), request(key, other_kind)):
            self.refused(self.post(wrap(changed), "simplereenroll", credential, None), 403, "must be identical")

    def test_renewal_without_the_certificate(self):
        body = wrap(request(self.key))
        self.refused(self.post(body, "simplereenroll"), 403, "that is to be renewed")
        self.refused(self.post(body, "simplereenroll", self.claim()), 403, "that is to be renewed")

    def test_a_chain_without_its_intermediate(self):
        key, made, _ = self.enrolled()
        alone = self.keep("alone", key, made)
        self.server.mark()
        with self.assertRaises(OSError):
            self.post(wrap(request(key)), "simplereenroll", alone, None)
        self.assertEqual(self.server.event("refused", stage="tls")["reason"], "unable to get local issuer certificate")

    def test_a_revoked_certificate(self):
        key, made, credential = self.enrolled()
        self.server.ask("revoke", serial=f"{made.serial_number:x}")
        self.server.mark()
        self.refused(self.post(wrap(request(key)), "simplereenroll", credential, None), 403, "revoked")

    def test_expectations_that_libest_does_not_know(self):
        self.server.set(profile="libest", http_auth="basic")
        self.refused(self.post(wrap(request(self.key)), Expect="100-continue"), 400)
        self.server.set(profile="rfc")
        self.assertEqual(self.post(wrap(request(self.key)), Expect="100-continue")[0], 200)


class Binding(WithServer):
    """Proof of possession linked to the connection."""

    def test_tls_unique_is_compared(self):
        key = certs.new_key()
        with Client(self.server, version=TLS12) as client:
            body = wrap(request(key, challenge=client.binding()))
            self.assertEqual(client.enrol(body, Authorization=basic())[0], 200)
        self.server.mark()
        with Client(self.server, version=TLS12) as client:
            # That of the connection before.
            answer = client.enrol(body, Authorization=basic())
            self.refused(answer, 401, "Proof of Possession Mismatch.")
            self.assertEqual((answer[1]["Connection"], answer[1]["WWW-Authenticate"]), ("close", None))
        self.server.set(binding="ignore")
        self.assertEqual(self.post(body)[0], 200)

    def test_it_may_be_required(self):
        self.server.set(binding="required")
        key = certs.new_key()
        self.refused(self.post(wrap(request(key))), 401, "Proof of Possession Mismatch.")
        with Client(self.server, version=TLS12) as client:
            body = wrap(request(key, challenge=client.binding()))
            self.assertEqual(client.enrol(body, Authorization=basic())[0], 200)

    def test_tls_exporter_is_what_openssl_says_that_it_is(self):
        self.server.set(binding="required")
        with subprocess.Popen(
                ["openssl", "s_client", "-connect", f"localhost:{self.server.port}", "-tls1_3", "-CAfile", self.server.path("ca.pem"),
                 "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32", "-verify_return_error", "-ign_eof"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            line = b""
            while b"Keying material: " not in line:
                line = client.stdout.readline()
                self.assertTrue(line, "s_client has ended")
            found = bytes.fromhex(line.split(b": ")[1].strip().decode())
            body = wrap(request(certs.new_key(), challenge=base64.b64encode(found).decode()))
            client.stdin.write(f"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PKCS10}\r\n"
                               f"Authorization: {basic()}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                               + body)
            client.stdin.flush()
            answer = client.stdout.read()
        self.assertIn(b"HTTP/1.1 200 OK", answer, self.server.events("binding"))
        self.assertTrue(self.server.events("binding", good=True))


class Policy(WithServer):
    """What the authority makes of a request."""

    def certificate(self, **options):
        status, _, body = self.post(wrap(request(certs.new_key(), **options)))
        self.assertEqual(status, 200, body)
        return certificates(body)[0]

    def test_names_as_the_authority_wants_them(self):
        self.server.set(subject="Device")
        self.assertEqual(self.certificate().subject, certs.name("Device"))
        self.server.set(subject="asked", strings="printable", sans="drop")
        made = self.certificate(subject="gateway")
        self.assertEqual(der.certificate_subject(to_der(made))[11], 0x13)
        self.assertEqual(der.certificate_san(to_der(made)), b"")
        self.server.set(sans="added.example")
        names = self.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["gw.example", "added.example"])

    def test_life_and_usage(self):
        self.server.set(life=3600, backdate=60, extended_usage="none")
        made = self.certificate()
        self.assertEqual(life(made), 3660)
        with self.assertRaises(x509.ExtensionNotFound):
            made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)

    def test_a_request_is_put_off_as_often_as_it_is_told(self):
        self.server.set(pending=2, retry_after="7")
        key = certs.new_key()
        body = wrap(request(key))
        for _ in range(2):
            status, headers, _ = self.post(body)
            self.assertEqual((status, headers["Retry-After"]), (202, "7"))
        self.assertEqual(self.post(body)[0], 200)
        self.server.set(pending=-1)
        for form, wanted in (("imf:60", r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"), ("rfc850:60", r"\w+day, \d\d-\w{3}-\d\d [\d:]{8} GMT"),
                             ("asctime:60", r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}"), ("soon", "soon")):
            self.server.set(retry_after=form)
            self.assertRegex(self.post(body)[1]["Retry-After"], f"^{wanted}$")
        self.server.set(retry_after="")
        self.assertNotIn("Retry-After", self.post(body)[1])

    def test_curves_and_hashes(self):
        made = request(ec.generate_private_key(ec.SECP384R1()), algorithm=hashes.SHA384())
        self.assertEqual(self.post(wrap(made))[0], 200)
        [csr] = self.server.events("csr")
        self.assertEqual((csr["key"], csr["hash"]), ("ec-secp384r1", "sha384"))

    def test_globalsigns_labels(self):
        self.server.set(profile="globalsign")
        with Client(self.server) as client:
            self.assertEqual(client.ask("GET", "csrattrs")[2].strip(), b"MAA=")
            self.assertIn(b"MEEGCSqGSIb3DQEJBzAS", client.ask("GET", "csrattrs", label="csrattrs")[2])
            self.assertEqual(client.ask("GET", "cacerts", label="triggererrors")[0], 500)
            for name, wanted in (("Deferred", 202), ("Forbidden", 403), ("Unknown", 500)):
                body = wrap(request(certs.new_key(), "Trigger Error " + name))
                self.assertEqual(client.enrol(body, "triggererrors/simpleenroll")[0], wanted)


if __name__ == "__main__":
    unittest.main(verbosity=2)
