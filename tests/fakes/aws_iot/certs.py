# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities, issuing, and the check of certificate signing requests.

Everything here is real X.509: the device's own checks, OpenSSL and another broker must be able to work
with what is issued. The spoilt certificates at the end are as real, and each is wrong in one way only.
"""

import datetime
import functools
import hashlib
import ipaddress
import os

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# What AWS writes into the certificates that it issues itself.
AWS_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AWS IoT Certificate")])
AWS_ISSUER = x509.Name([
    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME,
                       "Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US")])
AWS_EXPIRY = datetime.datetime(2049, 12, 31, 23, 59, 59)
BACKDATE = datetime.timedelta(minutes=2)    # so that a device whose clock is a little slow accepts it

CURVES = ("secp256r1", "secp384r1", "secp521r1")
RSA_SIZES = (2048, 3072)
HASHES = ("sha256", "sha384", "sha512")
# The ways in which spoil() can spoil a certificate.
SPOILT = ("truncated", "other-key", "expired", "short", "future", "huge", "many", "ca", "server-only", "no-signature",
          "other-issuer", "broken-chain", "other-subject", "again", "garbage", "empty")
PADDING_OID = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")


class BadRequest(Exception):
    """A certificate signing request that AWS would not sign."""


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def cert_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(der):
    """certificateId: SHA-256 over the DER form, as 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def certificate_id(certificate):
    return fingerprint(certificate.public_bytes(serialization.Encoding.DER))


def subject_text(der):
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """A key and its certificate that can sign others."""

    def __init__(self, key, certificate):
        self.key = key
        self.certificate = certificate

    @classmethod
    def create(cls, subject, parent=None, path_length=None):
        key = new_key()
        issuer = parent.certificate.subject if parent else subject
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now() - datetime.timedelta(days=1))
                   .not_valid_after(AWS_EXPIRY)
                   .add_extension(x509.BasicConstraints(True, path_length), critical=True)
                   .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if parent:
            builder = builder.add_extension(parent.key_identifier(), critical=False)
        return cls(key, builder.sign(parent.key if parent else key, hashes.SHA256()))

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            data = file.read()
        return cls(serialization.load_pem_private_key(data, None), x509.load_pem_x509_certificate(data))

    def save(self, path):
        """Key and certificate in one file, readable by its owner only."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(key_pem(self.key) + cert_pem(self.certificate).encode())

    def key_identifier(self):
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certificate.public_key())

    def issue(self, public_key, subject=AWS_SUBJECT, not_before=None, not_after=None, ca=False,
              eku=None, extra=(), key_usage=None):
        """A device certificate as AWS writes it: digitalSignature, not a CA, no extended usage."""
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.certificate.subject)
                   .public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(not_before or now() - BACKDATE)
                   .not_valid_after(not_after or AWS_EXPIRY)
                   .add_extension(self.key_identifier(), critical=False)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
                   .add_extension(x509.BasicConstraints(ca, None), critical=True)
                   .add_extension(key_usage or usage(digital_signature=True), critical=True))
        if eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(eku), critical=False)
        for extension in extra:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue_server(self, hosts, not_after=None):
        key = new_key()
        names = x509.SubjectAlternativeName([alternative_name(h) for h in hosts])
        return key, self.issue(key.public_key(), subject=name(hosts[0]), extra=(names,), not_after=not_after,
                               eku=[ExtendedKeyUsageOID.SERVER_AUTH])


def revocations(authority, ids, pems):
    """A revocation list of @authority, as PEM, with those of its certificates whose ids are named."""
    builder = (x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
               .last_update(now() - BACKDATE).next_update(now() + datetime.timedelta(days=1)))
    for id_ in ids:
        certificate = x509.load_pem_x509_certificate(pems[id_].encode())
        if certificate.issuer == authority.certificate.subject:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
                .revocation_date(now() - BACKDATE).build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def alternative_name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def usage(digital_signature=False, key_cert_sign=False, crl_sign=False):
    return x509.KeyUsage(digital_signature, False, False, False, False, key_cert_sign, crl_sign,
                         False, False)


def check_request(pem):
    """A signing request that is whole, signed by its own key, and of a kind that AWS signs."""
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        signature_hash = request.signature_hash_algorithm
        valid = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadRequest("the certificate signing request cannot be read") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise BadRequest(f"curve {key.curve.name} is not supported")
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in RSA_SIZES:
            raise BadRequest(f"RSA keys of {key.key_size} bits are not supported")
    else:
        raise BadRequest("only EC and RSA keys are supported")
    if signature_hash is None or signature_hash.name not in HASHES:
        raise BadRequest("the signature of the request must use SHA-256, SHA-384 or SHA-512")
    if not valid:
        raise BadRequest("the signature of the request is not valid")
    return request


def spoil(how, authority, public_key, used=""):
    """The PEM text of a certificate that is wrong in one way of SPOILT; `used` is the caller's own."""
    day = datetime.timedelta(days=1)
    middle = functools.cache(lambda: Authority.create(name("intermediate"), Authority.create(name("root"))))
    padding = x509.UnrecognizedExtension(PADDING_OID, b"\x04\x82\xea\x60" + bytes(60000))
    makers = {
        "truncated": lambda: cert_pem(authority.issue(public_key))[:400],
        "other-key": lambda: cert_pem(authority.issue(new_key().public_key())),
        "expired": lambda: cert_pem(authority.issue(public_key, not_before=now() - 2 * day,
                                                    not_after=now() - day)),
        # A second of life, which is not over before the gateway has looked at it.
        "short": lambda: cert_pem(authority.issue(public_key, not_before=now() + day / 8640,
                                                  not_after=now() + day / 8640 + datetime.timedelta(seconds=1))),
        "future": lambda: cert_pem(authority.issue(public_key, not_before=now() + 365 * day)),
        "huge": lambda: cert_pem(authority.issue(public_key, extra=(padding,))),
        "many": lambda: (cert_pem(authority.issue(public_key))
                         + cert_pem(authority.certificate) * 199),
        "ca": lambda: cert_pem(authority.issue(public_key, ca=True)),
        "server-only": lambda: cert_pem(authority.issue(public_key,
                                                        eku=[ExtendedKeyUsageOID.SERVER_AUTH])),
        "no-signature": lambda: cert_pem(authority.issue(public_key, key_usage=usage(crl_sign=True))),
        "other-issuer": lambda: cert_pem(Authority.create(AWS_ISSUER).issue(public_key)),
        # Name and key identifier of the issuer are right, the signature is not.
        "broken-chain": lambda: (cert_pem(Authority(new_key(), middle().certificate).issue(public_key))
                                 + cert_pem(middle().certificate)),
        "other-subject": lambda: cert_pem(authority.issue(public_key, subject=name("somebody else"))),
        "again": lambda: used,
        "garbage": lambda: ("-----BEGIN CERTIFICATE-----\n" + "A" * 1000
                            + "\n-----END CERTIFICATE-----\n"),
        "empty": lambda: "",
    }
    return makers[how]()
