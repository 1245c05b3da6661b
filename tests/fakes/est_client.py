# SPDX-License-Identifier: Apache-2.0
"""What the tests of the EST stand-in need: the stand-in as a process, and a client that may do everything wrong."""

import base64
import http.client
import os
import re
import ssl
import sys
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from aws_iot import certs

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
from est_bench import EstServer         # noqa: E402

PKCS10 = "application/pkcs10"
CHALLENGE = x509.oid.AttributeOID.CHALLENGE_PASSWORD
PASSWORD = "correct horse"


def wrap(data, columns=64, end="\n", last=True):
    text = base64.b64encode(data).decode()
    body = end.join(text[i:i + columns] for i in range(0, len(text), columns))
    return (body + (end if last else "")).encode()


def basic(user="gateway", password=PASSWORD):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(key, subject="gw", names=("gw.example",), challenge=None, algorithm=None):
    """A signing request as DER; @subject is a common name or an x509.Name."""
    subject = certs.name(subject) if isinstance(subject, str) else subject
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
    if challenge is not None:
        builder = builder.add_attribute(CHALLENGE, challenge.encode())
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Client:
    """One connection. @credential is the path of a chain and its key, or None; @strict tells a cut from an end."""

    def __init__(self, server, credential=None, anchors=None, version=None, strict=False):
        context = ssl.create_default_context(cafile=anchors or server.path("ca.pem"))
        if version:
            context.minimum_version = context.maximum_version = version
        if credential:
            context.load_cert_chain(*credential)
        self.strict = strict
        if strict:
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.http = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=20)

    def __enter__(self):
        self.http.connect()
        self.http.sock.suppress_ragged_eofs = not self.strict
        return self

    def __exit__(self, *_):
        self.http.close()

    def binding(self):
        return base64.b64encode(self.http.sock.get_channel_binding("tls-unique")).decode()

    def ask(self, method, operation, body=None, label=None, **headers):
        """Status, headers and body of an answer."""
        path = "/.well-known/est/" + (f"{label}/" if label else "") + operation
        self.http.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.http.getresponse()
        return answer.status, answer.headers, answer.read()

    def enrol(self, body, operation="simpleenroll", kind=PKCS10, **headers):
        return self.ask("POST", operation, body, Content_Type=kind, **headers)


def certificates(body):
    """What a certs-only answer holds, read by OpenSSL."""
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(re.sub(rb"\s|-----[A-Z0-9 ]+-----", b"", body)))


class WithServer(unittest.TestCase):
    """One stand-in for a class; settings and faults do not outlive a test."""

    SETTINGS = {}

    @classmethod
    def setUpClass(cls):
        cls.server = EstServer(**cls.SETTINGS)
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.server.ask("reset")
        self.server.mark()

    def post(self, body, operation="simpleenroll", credential=None, authorization=basic(), **options):
        """One request on a connection of its own."""
        headers = {"Authorization": authorization} if authorization else {}
        with Client(self.server, credential) as client:
            return client.enrol(body, operation, **headers, **options)

    def get(self, operation, label=None):
        with Client(self.server) as client:
            return client.ask("GET", operation, label=label)

    def keep(self, name, key, *chain):
        """A credential in files."""
        paths = self.server.path(name + ".pem"), self.server.path(name + ".key")
        with open(paths[0], "w", encoding="ascii") as file:
            file.write("".join(certs.cert_pem(c) for c in chain))
        with open(paths[1], "wb") as file:
            file.write(certs.key_pem(key))
        return paths

    def issuing(self, number=1):
        return x509.load_pem_x509_certificate(self.server.read(f"issuing-{number}.pem").encode())

    def claim(self):
        return self.server.path("claim.pem"), self.server.path("claim.key")

    def enrolled(self, name="gw", **options):
        """Key, certificate and credential of a gateway that has enrolled."""
        key = certs.new_key()
        status, _, body = self.post(wrap(request(key, name, **options)))
        self.assertEqual(status, 200, body)
        [made] = certificates(body)
        return key, made, self.keep(name, key, made, self.issuing())

    def refused(self, answer, status, words=""):
        self.assertEqual(answer[0], status, answer[2])
        self.assertIn(words.encode(), answer[2])
        self.assertEqual(self.server.events("issued"), [])
