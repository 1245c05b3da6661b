# SPDX-License-Identifier: Apache-2.0
"""Roots and issuing authorities, their rollover (RFC 4210 section 4.4), the factory, and what has been issued.

A generation is a root and an issuing authority below it. A rollover adds one, with the two certificates that lead from
either root to the other; the new root may have a name of its own or the old one's. The factory is somebody else's authority:
its certificates are claims, good for a first enrolment.
"""

import datetime
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from aws_iot import certs

from . import der

ROOT, ISSUING = "EST Stand-in Root", "EST Stand-in Issuing CA"
STRINGS = {"printable": _ASN1Type.PrintableString, "utf8": _ASN1Type.UTF8String}
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
USAGES = {"client": [CLIENT], "server": [SERVER], "both": [SERVER, CLIENT], "none": None}


def to_der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def digest(certificate):
    return hashlib.sha256(to_der(certificate)).hexdigest()


def load_or_make(path, make):
    if not os.path.exists(path):
        make().save(path)
    return certs.Authority.load(path)


def cross(signer, subject):
    """@subject's name and key under @signer's signature."""
    return signer.issue(subject.certificate.public_key(), subject=subject.certificate.subject, ca=True,
                        key_usage=certs.usage(key_cert_sign=True, crl_sign=True))


class Generation:
    """@previous is the one before it; None for the first. What is in @directory already is taken from there."""

    def __init__(self, directory, number, root_name, previous=None):
        def path(what):
            return os.path.join(directory, f"{what}-{number}.pem")

        self.number = number
        self.root = load_or_make(path("root"), lambda: certs.Authority.create(certs.name(root_name)))
        self.issuing = load_or_make(path("issuing"), lambda: certs.Authority.create(
            certs.name(f"{ISSUING} {number}"), self.root, path_length=0))
        self.links = {}
        if previous:
            for name, make in (("old-with-new", lambda: cross(self.root, previous.root)),
                               ("new-with-old", lambda: cross(previous.root, self.root))):
                file = path(name)
                if not os.path.exists(file):
                    with open(file, "w", encoding="ascii") as out:
                        out.write(certs.cert_pem(make()))
                with open(file, "rb") as held:
                    self.links[f"{name}-{number}"] = x509.load_pem_x509_certificate(held.read())


class Pki:
    """@directory holds the keys. Not for several threads at a time: the server's lock is held."""

    def __init__(self, directory):
        self.directory = directory
        self.generations = [Generation(directory, 1, ROOT)]
        while os.path.exists(os.path.join(directory, f"root-{len(self.generations) + 1}.pem")):
            self.add(ROOT)
        self.factory = load_or_make(os.path.join(directory, "factory.pem"),
                                    lambda: certs.Authority.create(certs.name("Factory Root")))
        self.line = load_or_make(os.path.join(directory, "factory-line.pem"),
                                 lambda: certs.Authority.create(certs.name("Factory Line 7"), self.factory, path_length=0))
        self.issued = []

    def add(self, root_name):
        self.generations.append(Generation(self.directory, len(self.generations) + 1, root_name, self.generations[-1]))

    @property
    def newest(self):
        return self.generations[-1]

    def begin_anew(self):
        """Forgets every rollover."""
        for g in self.generations[1:]:
            for what in ("root", "issuing", "old-with-new", "new-with-old"):
                os.unlink(os.path.join(self.directory, f"{what}-{g.number}.pem"))
        del self.generations[1:]

    def rollover(self, same_name=False):
        self.add(ROOT if same_name else f"{ROOT} G{len(self.generations) + 1}")

    def pool(self):
        """All certificates of authorities, by the names that `cacerts` may be set to."""
        found = {}
        for g in self.generations:
            found |= {f"root-{g.number}": g.root.certificate, f"issuing-{g.number}": g.issuing.certificate, **g.links}
        return found

    def cacerts(self, wanted):
        pool = self.pool()
        if wanted == "auto":
            # The newest first, as RFC 7030 has it: the current root, what is below it, and the older ones.
            names = sorted(pool, key=lambda n: -int(n.rpartition("-")[2]))
            return [pool[n] for n in names]
        return [pool[n] for n in wanted.split()]

    def anchors(self):
        """What client certificates may lead to: roots only, so that who leaves its chain out is not known."""
        return [g.root.certificate for g in self.generations] + [self.factory.certificate]

    def issuer_of(self, certificate):
        """The generation that issued it, or None."""
        for g in self.generations:
            if certificate.issuer == g.issuing.certificate.subject:
                return g
        return None

    # --- issuing --------------------------------------------------------------------------------------

    @staticmethod
    def subject(request, config):
        if config.subject != "asked":
            return certs.name(config.subject)
        kind = STRINGS.get(config.strings)
        if kind is None:
            return request.csr.subject
        return x509.Name(x509.RelativeDistinguishedName(
            x509.NameAttribute(a.oid, a.value, kind if len(a.value) > 2 else a._type) for a in rdn)
            for rdn in request.csr.subject.rdns)

    @staticmethod
    def alternative_names(request, config):
        if config.sans == "drop":
            return []
        if config.sans == "asked":
            raw = request.san
            return [x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, raw)] if raw else []
        asked = []
        if request.san:
            asked = list(request.csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        return [x509.SubjectAlternativeName(asked + [x509.DNSName(config.sans)])]

    def certificate(self, request, config, key=None):
        """One for @request, or with its names for another key."""
        begin = certs.now() - datetime.timedelta(seconds=config.backdate)
        end = certs.now() + datetime.timedelta(seconds=config.life)
        return self.newest.issuing.issue(key or request.key, subject=self.subject(request, config), not_before=begin,
                                         not_after=end, eku=USAGES[config.extended_usage],
                                         extra=self.alternative_names(request, config))

    def issue(self, request, config, operation):
        made = self.certificate(request, config)
        entry = {"sha256": digest(made), "serial": f"{made.serial_number:x}", "subject": made.subject.rfc4514_string(),
                 "subject_der": der.certificate_subject(to_der(made)).hex(), "key_sha256": request.key_digest,
                 "operation": operation, "generation": self.newest.number, "revoked": False, "pem": certs.cert_pem(made)}
        self.issued.append(entry)
        return made, entry

    def known(self, subject):
        return any(e["subject_der"] == subject.hex() and not e["revoked"] for e in self.issued)

    def claim(self, common_name, life=10 * 365 * 86400.0):
        """A key and a chain of the factory's, as PEM texts."""
        key = certs.new_key()
        end = certs.now() + datetime.timedelta(seconds=life)
        made = self.line.issue(key.public_key(), subject=certs.name(common_name), eku=[CLIENT], not_after=end)
        return certs.key_pem(key), (certs.cert_pem(made) + certs.cert_pem(self.line.certificate)).encode()

    def server(self, hosts, number=None, life=0):
        """Key and certificate for the server, and the authorities that lead from it to its root."""
        generation = self.generations[number - 1] if number else self.newest
        key, made = generation.issuing.issue_server(hosts, certs.now() + datetime.timedelta(seconds=life) if life else None)
        return certs.key_pem(key), made, generation
