#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker whose authority changes its root, and whom lib/mqtt then trusts: test_mqtt_anchors.py PROBE [unittest arguments]

Old and new root bear one name. Certificates are made with key identifiers and, as an old toolkit would, without.
"""

import os
import sys
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]

from mqtt_bench import DAY, Mosquitto, Probe, name, now, pem_cert, pem_key  # noqa: E402

PROBE = None
TLS_PEER, LOCAL = 3, 8


class Key:
    """A key and the names it goes by."""

    def __init__(self, cn):
        self.cn, self.private = cn, ec.generate_private_key(ec.SECP256R1())

    def certify(self, subject, ids=True, ca=True, sans=()):
        """A certificate for @subject, signed with this key."""
        public = subject.private.public_key()
        builder = (x509.CertificateBuilder().subject_name(name(subject.cn)).issuer_name(name(self.cn)).public_key(public)
                   .serial_number(x509.random_serial_number()).not_valid_before(now() - DAY).not_valid_after(now() + 30 * DAY)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
        if ids:
            builder = (builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
                       .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private.public_key()), False))
        if ca:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        else:
            usage = ExtendedKeyUsageOID.SERVER_AUTH if sans else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(s) for s in sans]), False)
        return builder.sign(self.private, hashes.SHA256())


class Rollover:
    IDS = True

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="tidegate-anchors-")
        cls.brokers = []
        old, new, server, device, stranger = (Key(cn) for cn in ("Plant Root", "Plant Root", "broker", "gw-7", "Stranger"))
        cls.certs = {
            "old": old.certify(old, cls.IDS), "new": new.certify(new, cls.IDS), "stranger": stranger.certify(stranger),
            "new-with-old": old.certify(new, cls.IDS), "old-with-new": new.certify(old, cls.IDS),
            "server-old": old.certify(server, cls.IDS, False, ["localhost"]),
            "server-new": new.certify(server, cls.IDS, False, ["localhost"]),
            "device-old": old.certify(device, cls.IDS, False), "device-new": new.certify(device, cls.IDS, False),
        }
        cls.server_key, cls.device_key = server.private, device.private
        # One broker before the change of its certificate, one after; both take devices of either root.
        cls.before = cls.broker("server-old")
        cls.after = cls.broker("server-new")

    @classmethod
    def tearDownClass(cls):
        for broker in cls.brokers:
            broker.stop()
        cls.temp.cleanup()

    @classmethod
    def file(cls, *names, key=None):
        """One PEM file of these certificates, the key behind them."""
        path = os.path.join(cls.temp.name, "+".join(names) + (".key" if key else "") + ".pem")
        with open(path, "wb") as out:
            out.write(b"".join(pem_cert(cls.certs[n]) for n in names) + (pem_key(key) if key else b""))
        return path

    @classmethod
    def broker(cls, *chain, ca=("old", "new")):
        broker = Mosquitto(cls.temp.name, cls.file(*ca), cls.file(*chain, key=cls.server_key))
        cls.brokers.append(broker)
        return broker

    def probe(self, broker, device=("device-old",), **options):
        return Probe(PROBE, port=broker.port, bundle=self.file(*device, key=self.device_key), id="gw-7", **options)

    def accepts(self, broker, **options):
        with self.probe(broker, **options) as p:
            e = p.ok("connect").event()
            self.assertEqual(e.type, "CONNECTED", e)
            self.assertEqual(p.ok("publish 1 tg/a x").event().type, "PUBLISHED")

    def refuses(self, broker, cause, *words, **options):
        with self.probe(broker, **options) as p:
            e = p.ok("connect").event()
            self.assertEqual((e.type, e.cause), ("CONNECT_FAILED", cause), e)
            for word in words:
                self.assertIn(word, e.text)

    def test_anchors_of_the_enrolment_are_enough(self):
        self.accepts(self.before, anchors=self.file("old"))
        self.refuses(self.before, TLS_PEER, anchors=self.file("stranger"))

    def test_a_broker_that_moves_on_is_trusted_once_the_new_root_is(self):
        self.refuses(self.after, TLS_PEER, anchors=self.file("old"))
        for anchors in (("old", "new"), ("new", "old"), ("new",)):
            with self.subTest(anchors=anchors):
                self.accepts(self.after, anchors=self.file(*anchors))
        # The one that has not moved yet stays trusted.
        self.accepts(self.before, anchors=self.file("old", "new"))
        self.accepts(self.before, anchors=self.file("new", "old"))

    def test_what_the_configuration_names_and_what_the_enrolment_brought_add_up(self):
        self.accepts(self.after, ca=self.file("old"), anchors=self.file("new"))
        self.accepts(self.before, ca=self.file("old"), anchors=self.file("new"))
        self.accepts(self.after, ca=self.file("stranger"), anchors=self.file("old", "new"))
        self.refuses(self.after, TLS_PEER, ca=self.file("stranger"), anchors=self.file("old"))

    def test_anchors_that_are_damaged_or_not_there_are_told_and_nothing_else_is_trusted(self):
        garbage = os.path.join(self.temp.name, "garbage.pem")
        with open(garbage, "w", encoding="ascii") as out:
            out.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        for ca in ({}, {"ca": self.file("old")}):
            self.refuses(self.before, LOCAL, "trust anchors of the enrolment", anchors=garbage, **ca)
        p = self.probe(self.before)
        self.assertTrue(p.ready.startswith("-22 no ca"), p.ready)
        self.assertEqual(p.quit(), 1)


class WithKeyIdentifiers(Rollover, unittest.TestCase):
    def test_a_device_of_the_new_root_suits_a_broker_of_both(self):
        self.accepts(self.after, device=("device-new",), anchors=self.file("new"))

    def test_a_broker_that_brings_the_tie_is_trusted_by_the_other_root(self):
        self.accepts(self.broker("server-new", "new-with-old"), anchors=self.file("old"))
        self.accepts(self.broker("server-old", "old-with-new"), anchors=self.file("new"))

    def test_a_device_that_brings_the_tie_is_taken_by_a_broker_of_the_other_root(self):
        behind = self.broker("server-old", ca=("old",))
        self.accepts(behind, device=("device-new", "new-with-old"), anchors=self.file("old"))
        self.refuses(behind, 4, device=("device-new",), anchors=self.file("old"))
        ahead = self.broker("server-new", ca=("new",))
        self.accepts(ahead, device=("device-old", "old-with-new"), anchors=self.file("new"))


class WithoutKeyIdentifiers(Rollover, unittest.TestCase):
    """A mosquitto that trusts both roots takes the first of the name, whoever signed; we do not."""

    IDS = False


if __name__ == "__main__":
    PROBE = sys.argv.pop(1)
    unittest.main(verbosity=2)
