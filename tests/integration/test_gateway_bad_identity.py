#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Key files that are cut, garbage or another TPM's: named in the status, readings wait, and all heals with the file."""

import os
import re
import shutil

import faults
from gateway_bench import Scenario, main, read_text


class BadIdentity(Scenario):
    def setUp(self):
        super().setUp()
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.agent.stop(), 0)
        self.current = self.agent.state + "/identity/generations/000001"
        self.good = self.dir + "/good"
        shutil.copytree(self.current, self.good)

    def spoil(self, name, data):
        os.chmod(self.current, 0o700)
        path = f"{self.current}/{name}"
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(data)

    def refuses(self, words):
        """No session, the reason in the status, and readings go to the disk."""
        self.agent.start()
        self.wait("readings on the disk", lambda: self.agent.status()["spool"]["disk_packs"] >= 3)
        self.assertNotEqual(self.agent.status()["link"]["state"], "online")
        # The handshake that tells may still be under way.
        self.wait("the reason in the status",
                  lambda: re.search(words, " ".join(self.agent.ctl("status")[1].split())))
        self.assertEqual(self.agent.stop(), 0)

    def bring_back(self):
        """As from a backup of the state directory."""
        shutil.rmtree(self.current)
        shutil.copytree(self.good, self.current)
        link = self.agent.state + "/identity/current"
        if not os.path.lexists(link):
            os.symlink("generations/000001", link)

    def test_files_that_are_cut_or_garbage(self):
        self.config["enrolment"] = {"method": "none"}
        del self.config["enrolment.aws-fleet"]
        self.write_config()
        bundle = read_text(self.good + "/bundle.pem").encode()
        key = bundle.index(b"-----BEGIN TSS2")
        cut, noise = bundle[:key + 80], os.urandom(500)
        for files in ({"bundle.pem": cut, "key.pem": bundle[key:-60]}, {"bundle.pem": b"", "chain.pem": noise},
                      {"manifest": b'{"version":1,"number"'}):
            with self.subTest(list(files)):
                for name, data in files.items():
                    self.spoil(name, data)
                words = "generation 000001: .*(fit|missing|damaged|manifest|JSON|file)"
                self.refuses(words)
                self.assertRegex(self.agent.said(), words)
                self.bring_back()
        self.agent.start()
        self.wait_online()
        self.assert_promise(self.wait_drained())
        faults.told("F21", "identity cut, empty or garbage: no session, the reason in status, readings go to the disk")

    def test_one_damaged_file_is_made_good_from_the_others(self):
        for name in ("bundle.pem", "key.pem", "chain.pem"):
            self.spoil(name, os.urandom(500))
            self.agent.start()
            self.wait_online()
            self.assertEqual(self.agent.stop(), 0)
            self.assertEqual(read_text(f"{self.current}/{name}"), read_text(f"{self.good}/{name}"))
        self.assertRegex(self.agent.said(), "was damaged, using generation 1: generation 000001: ")
        self.assertEqual(len(self.cloud.issued()), 1)
        faults.told("F21", "each of three identity files as garbage: made good from the others, one certificate in all")

    def test_with_a_claim_it_enrols_again_and_says_why(self):
        self.spoil("bundle.pem", b"garbage")
        self.spoil("key.pem", b"garbage")
        self.agent.start()
        self.wait_online()
        self.assertRegex(self.agent.said(), "identity cannot be used: generation 000001: ")
        self.assertEqual(self.agent.status()["identity"]["generation"], 2)
        self.assert_promise(self.wait_drained())
        self.assertEqual(len(self.cloud.issued()), 2)

    def test_a_key_of_another_tpm(self):
        self.tpm.kill()
        shutil.move(self.tpm.dir + "/state", self.tpm.dir + "/kept")
        os.makedirs(self.tpm.dir + "/state")
        self.tpm.start()
        self.refuses("TPM cleared or replaced, or key of another TPM")
        self.agent.start()
        # Not at the first word: only when the TPM has said it twice.
        self.wait("the new TPM", lambda: self.agent.status()["tpm"]["key"] == "lost")
        status = self.agent.status()["tpm"]
        self.assertEqual(status["state"], "replaced")
        self.assertIn("tidegate enroll", status["advice"])
        self.assertIn("another TPM than before", self.agent.said())
        # The advice can be followed.
        code, _, error = self.agent.ctl("enroll")
        self.assertEqual((code, error), (0, ""))
        self.wait("another identity", lambda: self.agent.status()["identity"].get("generation") == 2)
        self.wait_online()
        self.wait("a TPM that is well", lambda: self.agent.status()["tpm"]["state"] == "ok", 45)
        self.assert_promise(self.wait_drained())


if __name__ == "__main__":
    main()
