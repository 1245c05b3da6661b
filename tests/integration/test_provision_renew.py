#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision renew against swtpm and the AWS IoT stand-in: a new generation beside the current one, and every way it may fail.

usage: test_provision_renew.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import shutil
import unittest

from provision_bench import STEPS, Provision, main


class Renewal(Provision):
    """Each test begins with a gateway that has enrolled and whose identity is current."""

    def setUp(self):
        super().setUp()
        self.enrol()
        self.promote()
        self.base = self.read("current/bundle.pem")

    def configure(self, rotation="", **changes):
        super().configure(**{"rotation-template": "tidegate-rotation", **changes})
        with open(self.dir + "/tidegate.conf", "a", encoding="utf-8") as file:
            file.write(f"\n[rotation]\n{rotation}\n")

    def renew(self, *arguments):
        steps, result = self.enrol("renew", *arguments)
        self.assert_untouched()
        return steps, result

    def refusal(self, *arguments):
        """The step that failed in a renewal that must fail; the current identity is what it was."""
        failed = self.failure("renew", *arguments)
        self.assert_untouched()
        self.assertFalse(os.path.lexists(self.state + "/identity/candidate"))
        return failed

    def assert_untouched(self):
        self.assertEqual(self.read("current/bundle.pem"), self.base)

    def assert_renewed(self, result, generation=2):
        self.assertEqual(result["result"], "renewed")
        self.assertEqual(result["generation"], generation)
        self.assertEqual(os.readlink(self.state + "/identity/candidate"), f"generations/{generation:06}")
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()

    def test_makes_a_candidate_with_the_current_certificate_and_leaves_the_current_one(self):
        steps, result = self.renew()
        self.assertEqual([s["step"] for s in steps], STEPS)
        self.assert_renewed(result)
        old, new = (json.loads(self.read(slot + "/manifest")) for slot in ("current", "candidate"))
        self.assertEqual(new["thing"], old["thing"])
        self.assertNotEqual(new["certificate_id"], old["certificate_id"])
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))
        # By its own certificate, under the client id for renewals, on the template for renewals.
        [session] = self.cloud.events("connect", certificate=old["certificate_id"])
        self.assertEqual(session["client"], old["thing"] + "-renew")
        [call] = self.cloud.events("provisioning", api="register", certificate=old["certificate_id"])
        self.assertEqual((call["template"], call["outcome"]), ("tidegate-rotation", "accepted"))
        # The thing has two certificates now, both of them active.
        self.assertEqual([(c["status"], list(c["things"])) for c in self.cloud.issued()], [("ACTIVE", [old["thing"]])] * 2)


if __name__ == "__main__":
    main(__doc__)
