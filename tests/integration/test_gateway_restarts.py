#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ten restarts, half of them by kill -9: the claim is used once, no number repeats, no private key lies about."""

import os
import re

from cryptography.hazmat.primitives import serialization

from gateway_bench import Scenario, main

RESTARTS = 10
PEM_KEY = re.compile(rb"-----BEGIN (?!TSS2 )[A-Z ]*PRIVATE KEY-----")
# How PKCS #8, SEC1 and PKCS #1 begin behind their outermost header.
DER_KEY = re.compile(rb"\x02\x01\x00\x30.{1,3}\x06[\x03\x05\x07\x09]|\x02\x01\x01\x04[\x14-\x48]|\x02\x01\x00\x02\x82",
                     re.DOTALL)


def private_keys(data):
    """How many private keys there are in these bytes, in PEM or in DER at any place."""
    found = len(PEM_KEY.findall(data))
    for match in DER_KEY.finditer(data):
        for header in (2, 3, 4):
            begin = match.start() - header
            if begin < 0 or data[begin] != 0x30:
                continue
            length = data[begin + 1] if header == 2 else int.from_bytes(data[begin + 2:begin + header], "big")
            try:
                serialization.load_der_private_key(data[begin:begin + header + length], None)
                found += 1
            except (ValueError, TypeError):
                pass
    return found


class Restarts(Scenario):
    def keys_below(self, *folders):
        return {os.path.join(folder, name): count
                for top in folders for folder, _, names in os.walk(top) for name in names
                if os.path.isfile(os.path.join(folder, name))
                and (count := private_keys(self.bytes_of(os.path.join(folder, name))))}

    @staticmethod
    def bytes_of(path):
        with open(path, "rb") as file:
            return file.read()

    def test_the_search_for_private_keys_would_find_one(self):
        pem = self.bytes_of(self.cloud.path("claim.key"))
        key = serialization.load_pem_private_key(pem, None)
        self.assertEqual(private_keys(b"noise" + pem), 1)
        for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
            der = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
            self.assertGreaterEqual(private_keys(b"\x30\x82" + der + b"noise"), 1, form)
        self.assertEqual(self.keys_below(self.cloud.dir).get(self.cloud.path("claim.key")), 1)
        self.assertEqual(private_keys(b"-----BEGIN TSS2 PRIVATE KEY-----"), 0)

    def test_ten_restarts(self):
        os.environ["TMPDIR"] = temporary = self.dir + "/tmp"
        self.addCleanup(os.environ.pop, "TMPDIR")
        os.makedirs(temporary)
        epochs = []
        for n in range(RESTARTS + 1):
            last = max(self.subscriber.numbers(), default=0)
            self.agent.start()
            self.wait_online()
            self.wait("new packs", lambda: len([s for s in self.subscriber.numbers() if s > last]) >= 3)
            epochs.append(max(self.subscriber.numbers()) >> 32)
            if n == RESTARTS:
                self.assert_promise(self.wait_drained())
            if n % 2:
                self.agent.kill()
            else:
                self.assertEqual(self.agent.stop(), 0)
        self.assertEqual(epochs, sorted(set(epochs)), "the epoch is raised by every start")

        # One certificate was issued, by one session of the claim, at the first start.
        [certificate] = self.cloud.issued()
        claim = next(c for c in self.cloud.ask("status")["certificates"] if c["origin"] == "claim")
        self.assertEqual(len(self.cloud.events("connect", certificate=claim["id"])), 1)
        self.assertEqual(len(self.cloud.events("provisioning", api="create")), 1)
        self.assertEqual(os.listdir(self.agent.state + "/identity/generations"), ["000001"])
        self.assertEqual(certificate["status"], "ACTIVE")

        # All that the gateway wrote: the key is nowhere but in the TPM's own wrapping.
        self.assertEqual(self.keys_below(self.agent.state, self.agent.run, self.dir + "/etc", temporary), {})
        self.assertIn(b"TSS2 PRIVATE KEY", self.bytes_of(self.agent.state + "/identity/current/key.pem"))
        self.assertEqual(private_keys(self.agent.said().encode()), 0)


if __name__ == "__main__":
    main()
