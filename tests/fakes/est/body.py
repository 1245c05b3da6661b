# SPDX-License-Identifier: Apache-2.0
"""A request's body: its base64, as strictly as the profile wants it, and what the signing request in it says."""

import base64
import binascii
import hashlib
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AttributeOID

from . import der

LIBEST_WORDS = "Invalid or corrupted pkcs10 request"
# What is said of a body that is not base64, not a request, not signed by its own key
WORDS = {
    "libest": (LIBEST_WORDS, LIBEST_WORDS, LIBEST_WORDS),
    "globalsign": ("invalid base64 encoding", "malformed PKCS10 certificate signing request",
                   "invalid PKCS10 certificate signing request signature"),
    "rfc": ("the body is not base64", "the body is not a certification request", "the signature of the request is not valid"),
}


class BadBody(Exception):
    """A body that the server does not take; the words go into the answer of status 400."""


def layout(body):
    """What a body looks like, for the record."""
    lines = body.split(b"\n")
    return {"bytes": len(body), "lines": body.count(b"\n"), "longest": max(len(line.rstrip(b"\r")) for line in lines),
            "crlf": b"\r\n" in body, "final_newline": body.endswith(b"\n"),
            "blanks": any(line[:1] in (b" ", b"\t") for line in lines), "armour": b"-----BEGIN" in body}


def decode(body, profile):
    """The DER that is in a body. The rules per profile are the rows of est_server.py's table."""
    words = WORDS[profile][0]
    if profile == "libest" and b"\n" not in body:
        raise BadBody(words)
    try:
        decoded = base64.b64decode(re.sub(rb"[\r\n]" if profile == "globalsign" else rb"[ \t\r\n]", b"", body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadBody(words) from error
    if not decoded:
        raise BadBody(words)
    return decoded


class Request:
    """A signing request. Raises BadBody unless it is whole, signed by its own key, and of a kind that anybody signs."""

    def __init__(self, data, profile="rfc"):
        self.der = data
        _, words, unsigned = WORDS[profile]
        try:
            self.csr = x509.load_der_x509_csr(data)
            self.key = self.csr.public_key()
            valid = self.csr.is_signature_valid
            self.subject = der.request_subject(data)
            self.san = der.request_san(data)
            self.hash = self.csr.signature_hash_algorithm
            self.extensions = {e.oid.dotted_string: e.critical for e in self.csr.extensions}
        except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
            raise BadBody(words) from error
        if not valid:
            raise BadBody(unsigned)
        if isinstance(self.key, rsa.RSAPublicKey) and self.key.key_size < 2048 or \
                not isinstance(self.key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
            raise BadBody("keys of this kind are not certified here")

    @property
    def challenge(self):
        """The challengePassword, or None."""
        try:
            return self.csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value.decode("ascii", "replace")
        except x509.AttributeNotFound:
            return None

    @property
    def key_digest(self):
        return hashlib.sha256(self.key.public_bytes(serialization.Encoding.DER,
                                                    serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    def facts(self):
        """For the record. A channel binding is no secret."""
        key = f"ec-{self.key.curve.name}" if isinstance(self.key, ec.EllipticCurvePublicKey) else f"rsa-{self.key.key_size}"
        return {"sha256": hashlib.sha256(self.der).hexdigest(), "subject": self.csr.subject.rfc4514_string(),
                "subject_der": self.subject.hex(), "san_der": self.san.hex(), "key": key, "key_sha256": self.key_digest,
                "hash": self.hash.name if self.hash else None, "challenge": self.challenge,
                "extensions": self.extensions}
