#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision --check: what it finds, what it advises, and that it leaves everything as it was.

usage: test_provision_check.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import datetime
import json
import os
import subprocess

from provision_bench import Provision, main
from test_provision_manual import ByHand

STATES = ("ok", "warn", "fail")


class Checking:
    """Beside a bench for a method."""

    def check(self, status=0, *arguments):
        """The findings by what they are about; one that is there several times is as bad as the worst."""
        before = self.tree()
        done = subprocess.run(self.command("--check", "--json", *arguments), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(self.tree(), before)
        *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(last["result"], "failed" if status else "ok")
        for state in STATES:
            self.assertEqual(last[state], sum(line["state"] == state for line in lines))
        found = {}
        for line in lines:
            if line["check"] not in found or STATES.index(line["state"]) > STATES.index(found[line["check"]]["state"]):
                found[line["check"]] = line
        return found

    def tree(self):
        """Every file of the state directory, with its contents."""
        found = {}
        for folder, _, names in os.walk(self.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.join(folder, name)] = file.read()
        return found

    def fails(self, what, *words):
        """--check fails with this one finding, in one line for people; its advice too."""
        found = self.check(1)
        self.assertEqual([w for w, line in found.items() if line["state"] == "fail"], [what], found)
        done = subprocess.run(self.command("--check"), capture_output=True, text=True, timeout=120)
        [line] = [line for line in done.stdout.splitlines() if line.startswith("fail")]
        for word in (*words, found[what]["advice"]):
            self.assertIn(word, line)
        self.assertTrue(line.startswith(f"fail  {what}: "), line)
        return line


class Fleet(Checking, Provision):
    def test_a_gateway_that_is_well_fails_in_nothing(self):
        found = self.check()
        self.assertEqual(list(found), ["configuration", "state", "tpm", "clock", "identity", "request", "ca", "claim-certificate",
                                       "endpoint", "session", "last-attempt"])
        self.assertEqual(found["state"]["state"], "warn")
        self.assertFalse(os.path.exists(self.state))
        self.assertEqual(self.cloud.issued(), [])
        self.enrol()
        found = self.check()
        self.assertEqual({line["state"] for line in found.values()}, {"ok"})
        self.assertIn("generation 1", found["candidate"]["text"])

    def test_each_thing_that_is_wrong_is_named_and_what_to_do(self):
        os.makedirs(self.state)
        self.configure(**{"claim-key": "/nonexistent"})
        self.assertIn("/nonexistent", self.check(1)["claim-certificate"]["text"])
        self.configure(endpoint="nowhere.invalid")
        self.fails("endpoint", "the name nowhere.invalid is not found", "resolver")
        self.configure(port=1)
        self.fails("endpoint", "localhost port 1 cannot be connected to", "Connection refused", "firewall")
        self.configure(ca=self.cloud.dir + "/claim.key")
        self.assertIn("there is a private key in it", self.check(1)["ca"]["text"])
        self.configure()
        self.cloud.ask("fault", name="reply-error", api="create", statusCode=503)
        self.failure()
        line = self.fails("last-attempt", "failed at step issued (retry)", "503")
        self.assertIn("tried again by itself", line)

    def test_a_tpm_that_is_away_is_the_one_failure(self):
        os.makedirs(self.state)
        self.tpm.cut()
        try:
            self.fails("tpm", "tcti of [tpm]", "group tss")
        finally:
            self.tpm.start()

    def test_a_renewal_would_show_the_current_certificate(self):
        self.configure(**{"rotation-template": "tidegate-rotation"})
        self.enrol()
        self.promote()
        # What the first enrolment needed may be gone.
        self.configure(**{"rotation-template": "tidegate-rotation", "claim-key": "/nonexistent"})
        found = self.check()
        self.assertEqual(found["session"]["state"], "ok")
        self.assertEqual(found["claim-certificate"]["state"], "warn")

    def test_without_a_method_there_is_little_to_look_at(self):
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n")
        found = self.check()
        self.assertEqual(found["configuration"]["state"], "warn")
        self.assertNotIn("endpoint", found)


class Hand(Checking, ByHand):
    def test_what_waits_and_what_was_refused_is_told(self):
        os.makedirs(self.state)
        self.assertEqual({line["state"] for line in self.check().values()}, {"ok"})
        self.ask()
        found = self.check()["last-attempt"]
        self.assertEqual(found["state"], "warn")
        self.assertIn("a request waits since", found["text"])
        self.refused(self.shop.path("root.pem"))
        line = self.fails("last-attempt", "failed at step issued (bad-answer)", "none of the 1 certificates")
        self.assertIn("bring the right file with --install", line)

    def test_a_ca_that_cannot_be_used_is_named(self):
        os.makedirs(self.state)
        self.configure(ca=self.dir + "/missing.pem")
        self.fails("ca", "missing.pem", "tidegate must be able to read it")

    def test_an_identity_that_ends_soon_wants_a_request(self):
        self.ask()
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = ((now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (-90, 10))
        self.shop.sign_by_ca(self.request, "-startdate", begin, "-enddate", end)
        self.install(self.shop.chain("device.pem", "issuing.pem"))
        self.promote()
        found = self.check()["identity"]
        self.assertEqual((found["state"], found["advice"]), ("warn", "have a new request signed: --csr"))
        self.assertRegex(found["text"], r"ends \d{4}-\d\d-\d\d, and (89|90)% of its life are over")


if __name__ == "__main__":
    main(__doc__)
