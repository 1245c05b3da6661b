#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the EST stand-in with a client that nobody here has written: strongSwan's pki.

It speaks HTTP/1.1 and Basic, sends its request as one line, and 5.9.8 reads only answers of one line (6.0 others too), so that is the
layout here; that the other layouts are what they claim is test_est_answers.py's. Without `pki --est` (older than 5.9.8) there is
nothing to ask: exit 77, a skip and no pass.
"""

import os
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402

from aws_iot import certs  # noqa: E402
from est_client import WithServer, request  # noqa: E402

PKI = shutil.which("pki") or "/usr/bin/pki"


def has_est():
    try:
        done = subprocess.run([PKI, "--est", "--help"], capture_output=True, text=True, timeout=30)
    except OSError:
        return False
    return "--url" in done.stdout + done.stderr


class Oracle(WithServer):
    SETTINGS = {"layout": "one"}

    def pki(self, *arguments, url=None, status=0):
        done = subprocess.run([PKI, *arguments, "--url", url or f"https://127.0.0.1:{self.server.port}", "--cacert",
                               self.server.path("ca.pem")], capture_output=True, timeout=60, cwd=self.server.dir)
        self.assertEqual(done.returncode == 0, status == 0, done.stderr.decode())
        return done

    def request(self, key):
        with open(self.server.path("request.der"), "wb") as file:
            file.write(request(key))
        return "--in", self.server.path("request.der")

    def enrol(self, key, *arguments, **options):
        done = self.pki("--est", *self.request(key), "--outform", "pem", *arguments, **options)
        return x509.load_pem_x509_certificate(done.stdout)

    def test_takes_the_authorities(self):
        self.pki("--estca", "--caout", "got", "--force")
        found = set()
        for name in os.listdir(self.server.dir):
            if name.startswith("got"):
                with open(self.server.path(name), "rb") as file:
                    found.add(x509.load_der_x509_certificate(file.read()).subject.rfc4514_string())
        self.assertEqual(found, {"CN=EST Stand-in Root", "CN=EST Stand-in Issuing CA 1"})

    def test_enrols_and_renews(self):
        key = certs.new_key()
        made = self.enrol(key, "--userpass", "gateway:correct horse")
        self.assertEqual(made.public_key().public_numbers(), key.public_key().public_numbers())
        paths = self.keep("own", key, made)
        new = certs.new_key()
        renewed = self.enrol(new, "--cacert", self.server.path("issuing-1.pem"), "--cert", paths[0], "--key", paths[1])
        self.assertEqual(renewed.public_key().public_numbers(), new.public_key().public_numbers())
        self.assertEqual([e["operation"] for e in self.server.events("issued")], ["simpleenroll", "simplereenroll"])
        self.assertEqual({e["version"] for e in self.server.events("tls")}, {"TLSv1.2"})

    def test_waits_when_it_is_told_to(self):
        self.server.set(pending=1, retry_after="1")
        self.enrol(certs.new_key(), "--userpass", "gateway:correct horse", "--interval", "1")
        self.assertEqual([e["status"] for e in self.server.events("answer", operation="simpleenroll")], [202, 200])

    def test_is_refused_with_a_wrong_password(self):
        self.pki("--est", *self.request(certs.new_key()), "--userpass", "gateway:wrong", status=1)
        self.assertEqual(self.server.events("issued"), [])


if __name__ == "__main__":
    if not has_est():
        print("skipped: this strongswan-pki has no EST client")
        sys.exit(77)
    unittest.main(verbosity=2)
