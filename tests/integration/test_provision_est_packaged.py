#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with Debian's tpm2-openssl: a key in the TPM shows who asks while another is asked for.

usage: test_provision_est_packaged.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]

The TPM has three places for loaded keys and no resource manager, and one of them is the agent's.
"""

import os
import subprocess
import unittest

from est_bench import EstProvision
from provision_bench import main
from tpm_bench import Tools, packaged_version


@unittest.skipIf(packaged_version() < (1, 3, 0), "tpm2-openssl is missing or older than 1.3.0")
class Packaged(EstProvision):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tools = Tools(cls.tpm.tcti, cls.tpm.dir)

    def setUp(self):
        super().setUp()
        # What the agent has there while the helper runs.
        self.tools.run("tpm2_createprimary", "-Q", "-C", "n", "-G", "ecc", "-c", "agent.ctx")
        self.taken = self.tools.transients()
        self.addCleanup(self.tools.flush)
        self.assertEqual(len(self.taken), 1)

    def configure(self, tpm="", **others):
        super().configure(tpm=f"openssl-provider = tpm2\n{tpm}", **others)

    def assert_slots(self):
        self.assertEqual(self.tools.transients(), self.taken)

    def first(self):
        self.assert_enrolled(self.enrol()[1])
        self.assert_slots()

    def renew(self, generation):
        self.est.mark()
        _, result = self.enrol("renew")
        self.assertEqual((result["result"], result["generation"]), ("renewed", generation))
        self.assertEqual(self.est.event("issued")["operation"], "simplereenroll")
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        self.assert_slots()
        self.assert_no_secrets()

    def use_as_claim(self):
        """The certificate that is there and its key become the operator's claim."""
        for name, own in (("chain.pem", "claim.pem"), ("key.pem", "claim.key")):
            with open(f"{self.dir}/{own}", "w", encoding="ascii") as file:
                file.write(self.read("candidate/" + name))
            os.chmod(f"{self.dir}/{own}", 0o600)
        self.configure(credential="none", certificate=self.dir + "/claim.pem", key=self.dir + "/claim.key")

    def test_a_claim_in_the_tpm_and_renewals(self):
        self.first()
        self.use_as_claim()
        self.est.mark()
        self.assert_enrolled(self.enrol("--again")[1], 2)
        self.assertEqual(self.est.event("issued")["operation"], "simpleenroll")
        self.assertNotIn(None, {e["certificate"] for e in self.est.events("tls")})
        self.assert_slots()
        for generation in (3, 4):
            self.promote()
            self.renew(generation)

    def test_requests_that_are_bound_to_their_connection(self):
        # That was made with one key and stands while the other signs: there the agent's is one too many.
        self.tools.flush()
        self.taken = []
        self.est.set(csrattrs="binding", binding="required")
        self.first()
        self.use_as_claim()
        self.assert_enrolled(self.enrol("--again")[1], 2)
        self.assert_slots()
        self.promote()
        self.renew(3)

    def test_a_renewal_that_waits_for_approval_is_resumed(self):
        self.first()
        self.promote()
        self.est.set(pending=1)
        self.postponed("renew")
        self.assert_slots()
        key = self.pending_key()
        self.renew(2)
        self.assertEqual(self.read("candidate/key.pem"), key)

    def test_without_another_key(self):
        self.configure(more="[rotation]\nrekey = no")
        self.first()
        self.promote()
        self.assertEqual(self.enrol("renew")[1]["result"], "renewed")
        self.assertEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        self.assert_slots()

    def test_the_check_leaves_nothing_behind(self):
        self.first()
        done = subprocess.run(self.command("--check"), capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_slots()


if __name__ == "__main__":
    main(__doc__)
