#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bad-certificate matrix: every kind of wrong server, against the connection to the broker and to the EST server.

test_certificate_matrix.py PROBE HELPER [unittest arguments]: mqtt-probe and tidegate-provision.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from certificate_bench import LAST_WORDS, Pki, Server
from mqtt_bench import Probe
from provision_bench import Tpm

PROBE = HELPER = None
DAY_S = 86400
ISSUE_ASKS_FOR = 15
TLS_PEER, TLS_REFUSED = 3, 4


class Matrix:
    """What is the same for each protocol. The client's environment has a store of the system's with another authority in it."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="tidegate-matrix-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.pki = Pki(cls.dir)

    def check_refused(self, cell, server, text):
        """@text tells why, and the server has heard nothing but a ClientHello and the alert of a client that leaves."""
        self.assertRegex(text, cell.words, cell.title)
        self.assertTrue(server.accounts, cell.title)
        for account in server.accounts:
            self.assertEqual((account.data, account.handshake, account.certificate), (b"", False, False), cell.title)
            self.assertGreater(account.hello, 0, cell.title)
            self.assertLessEqual(account.raw - account.hello, LAST_WORDS, cell.title)

    def check_accepted(self, cell, server, expected):
        self.assertTrue(server.accounts[0].handshake, cell.title)
        self.assertTrue(server.accounts[0].certificate, cell.title)
        self.assertRegex(server.accounts[0].data, expected, cell.title)

    def refuse(self, cell):
        """Returns the words in which the client refused."""
        with Server(cell.wrong, self.pki, self.answer) as server:
            text = self.refusal(cell, cell.wrong, server.port)
            self.check_refused(cell, server, text)
            return text

    def accept(self, cell):
        with Server(cell.right, self.pki, self.answer) as server:
            self.acceptance(cell, cell.right, server.port)
            self.check_accepted(cell, server, self.FIRST)

    def each(self, what, cells):
        """Does @what with each cell, some at a time, and fails for all that fail."""
        with ThreadPoolExecutor(self.WORKERS) as pool:
            results = [(cell, pool.submit(what, cell)) for cell in cells]
        for cell, result in results:
            with self.subTest(cell.title):
                result.result()
        return {cell.title: result.result() for cell, result in results if not result.exception()}

    def test_each_wrong_server_is_refused_with_its_own_reason(self):
        self.assertEqual(len(self.pki.cells), ISSUE_ASKS_FOR)
        texts = self.each(self.refuse, self.pki.cells)
        for cell in self.pki.cells:
            self.assertEqual([title for title, text in texts.items() if re.search(cell.words, text)], [cell.title])

    def test_each_server_is_accepted_once_that_one_thing_is_right(self):
        self.each(self.accept, self.pki.cells)

    def test_other_ways_to_be_wrong(self):
        cells = self.pki.further_cells()
        self.each(self.refuse, cells)
        self.each(self.accept, cells)

    def test_the_authority_of_the_system_is_one_to_others(self):
        """Whoever asks OpenSSL for the system's store in this environment accepts what is refused here."""
        for cell in [c for c in self.pki.cells + self.pki.further_cells() if "system store" in c.title]:
            with Server(cell.wrong, self.pki, self.answer) as server:
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", server.address, "-verify_return_error",
                     "-verify_hostname", "localhost", "-brief"], env={**os.environ, **self.pki.environment}, timeout=30,
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("Verification: OK", done.stdout + done.stderr)


class Mqtt(Matrix, unittest.TestCase):
    """A session of lib/mqtt, as the agent and the helper make it."""

    FIRST = rb"^\x10.\x00\x04MQTT\x04"
    WORKERS = 4
    TRUST = "ca"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.device = cls.pki.write("device.pem", cls.pki.client.pem + cls.pki.client.key_pem())

    @staticmethod
    def answer(data):
        return b"\x20\x02\x00\x00" if data[0] >> 4 == 1 else b""

    def event(self, side, port):
        with Probe(PROBE, self.pki.environment, host=side.host, port=port, bundle=self.device, id="matrix",
                   future_s=DAY_S, **{self.TRUST: side.ca}) as probe:
            return probe.ok("connect").event()

    def refusal(self, cell, side, port):
        event = self.event(side, port)
        self.assertEqual(event.type, "CONNECT_FAILED", cell.title)
        self.assertEqual(event.cause, TLS_PEER if cell.error else TLS_REFUSED, event)
        self.assertEqual((event.code, event.notbefore), (cell.error or 0, 0), event)
        return event.text

    def test_anchors_of_an_enrolment_are_no_less_strict(self):
        """The broker's anchors as text, and no file of anchors at all: what is not in there is not looked for elsewhere."""
        cells = [c for c in self.pki.cells + self.pki.further_cells()
                 if re.search("system store|self-signed|missing|as anchor", c.title)]
        self.TRUST = "anchors"
        self.each(self.refuse, cells)
        self.each(self.accept, cells)

    def acceptance(self, cell, side, port):
        event = self.event(side, port)
        self.assertEqual(event.type, "CONNECTED", f"{cell.title}: {event}")


class Est(Matrix, unittest.TestCase):
    """The helper on its way to a certificate: with a client certificate, a password and a key in the TPM to lose."""

    FIRST = rb"^(GET /\.well-known/est/cacerts HTTP/1\.1\r\n|PRI \* HTTP/2)"
    WORKERS = 1  # a TPM simulator has one client at a time

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tpm = Tpm()
        cls.addClassCleanup(cls.tpm.close)
        for file, data in (("password", b"open sesame\n"), ("claim.key", cls.pki.client.key_pem())):
            os.chmod(cls.pki.write(file, data), 0o600)
        cls.pki.write("claim.pem", cls.pki.client.pem)
        # Whatever is done with the first answer: nobody gets past it.
        cls.environment = {**os.environ, **cls.pki.environment}

    @staticmethod
    def answer(data):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" if data.endswith(b"\r\n\r\n") else b""

    def failure(self, side, port):
        """Why an enrolment failed."""
        with tempfile.TemporaryDirectory(dir=self.dir) as place:
            with open(place + "/tidegate.conf", "w", encoding="utf-8") as file:
                file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n[enrolment]\nmethod = est\n[enrolment.est]\n"
                           f"url = https://{side.host}:{port}/.well-known/est\nca = {side.ca}\nusername = gateway\n"
                           f"password-file = {self.dir}/password\ncertificate = {self.dir}/claim.pem\n"
                           f"key = {self.dir}/claim.key\n")
            os.chmod(place + "/tidegate.conf", 0o640)
            done = subprocess.run([HELPER, "--config", place + "/tidegate.conf", "--state-dir", place + "/state",
                                   "--clock-synchronised", "--json"], env=self.environment, capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertNotIn("open sesame", done.stdout + done.stderr)
            self.assertFalse(os.path.exists(place + "/state/identity/candidate"))
            return [line for line in map(json.loads, done.stdout.splitlines()) if line.get("state") == "failed"][-1]["text"]

    def refusal(self, cell, side, port):
        return self.failure(side, port)

    def acceptance(self, cell, side, port):
        self.assertIn("404", self.failure(side, port), cell.title)


if __name__ == "__main__":
    PROBE, HELPER = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main(verbosity=2)
