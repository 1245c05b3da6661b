#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTPS client with a key that is in a TPM, also in one that fails or hangs just when it is needed."""

import os
import subprocess
import sys
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
os.environ.setdefault("TIDEGATE_BUILD", os.path.dirname(os.path.dirname(PROGRAM or os.getcwd())))

from cryptography.hazmat.primitives import serialization        # noqa: E402
from http_bench import EIO, Files, Probe, Server, certs          # noqa: E402
from provision_bench import Tpm                                 # noqa: E402
from tpm_bench import FAILURE, SIGN, Proxy                      # noqa: E402


class KeyInTheTpm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files, cls.tpm = Files(), Tpm()
        key = cls.files.path("tpm.key")
        subprocess.run([PROGRAM, "tpm=" + cls.tpm.tcti, "newkey=" + key], check=True, timeout=60)
        with open(key + ".pub", "rb") as file:
            public = serialization.load_pem_public_key(file.read())
        cls.files.write("tpm.pem", certs.cert_pem(cls.files.ca.issue(public, subject=certs.name("in a TPM"))))

    @classmethod
    def tearDownClass(cls):
        cls.tpm.close()
        cls.files.close()

    def serve(self, tls):
        def answer(connection, _):
            names.append(connection.sock.getpeercert()["subject"])
            connection.answer(body=b"ok")
        names = []
        server = Server(self.files, None, tls=tls, client="ca.pem").serve(answer)
        server.names = names
        self.addCleanup(server.close)
        return server

    def client(self, server, tcti):
        probe = Probe(PROGRAM, tpm=tcti, url=server.url, anchors=self.files.path("ca.pem"), chain=self.files.path("tpm.pem"),
                      key=self.files.path("tpm.key"))
        self.addCleanup(probe.close)
        return probe

    def test_the_server_knows_us_by_it(self):
        for tls in ("1.2", "1.3"):
            server = self.serve(tls)
            said = self.client(server, self.tpm.tcti).get(server.url + "/")
            self.assertEqual((said["error"], said.get("status"), said["tls"]), (0, 200, "TLSv" + tls), said)
            self.assertEqual(server.names, [((("commonName", "in a TPM"),),)])

    def test_a_tpm_that_does_not_sign_is_blamed(self):
        """And not the server, the network, or nobody. When it is well again so are we."""
        proxy = Proxy(self.tpm.dir)
        self.addCleanup(proxy.end)
        for tls in ("1.2", "1.3"):
            for trouble in ("code", "hang"):
                server = self.serve(tls)
                client = self.client(server, proxy.tcti)
                proxy.order(trouble, SIGN, FAILURE)
                said = client.get(server.url + "/")
                proxy.heal()
                self.assertEqual((said["error"], said["stage"]), (EIO, "tls"), said)
                self.assertIn("our key cannot sign: TPM", said["text"])
                self.assertLess(said["ms"], 20000)
                self.assertEqual(server.names, [])
                if trouble == "code":
                    self.assertEqual(client.get(server.url + "/")["status"], 200)


if __name__ == "__main__":
    unittest.main()
