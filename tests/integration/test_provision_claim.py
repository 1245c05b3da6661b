#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with a claim key that lives in the TPM: made elsewhere and imported with tpm2-tools, and every wrong one.

usage: test_provision_claim.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import subprocess

from provision_bench import Provision, main, run

PARENT = "0x81000001"


class ClaimInTheTpm(Provision):
    def setUp(self):
        super().setUp()
        # Makes the parent that the key is imported under.
        self.configure(**{"claim-key": "/nonexistent"})
        self.failure()

    def tool(self, name, *arguments):
        done = run("tpm2_" + name, *arguments, "-T", self.tpm.tcti, cwd=self.dir)
        # Without a resource manager what the tools leave stays.
        for kind in ("-t", "-s", "-l"):
            run("tpm2_flushcontext", kind, "-T", self.tpm.tcti)
        return done

    def encode(self, marked=True, parent=PARENT):
        """k.pub and k.priv as TSS2 PEM; -p marks them as a key without password in tpm2-tools up to 5.7."""
        for option in (["-p"], []):
            self.tool("encodeobject", *option, "-C", parent, "-u", "k.pub", "-r", "k.priv", "-o", "claim.tss.pem")
            listed = run("openssl", "asn1parse", "-in", self.dir + "/claim.tss.pem").stdout
            if (":0\n" not in listed and "BOOLEAN" in listed) == marked:
                break
        return self.dir + "/claim.tss.pem"

    def imported(self, *options, marked=True):
        self.tool("import", "-C", PARENT, "-G", "ecc", "-i", self.cloud.dir + "/claim.key", "-u", "k.pub", "-r", "k.priv",
                  *options)
        return self.encode(marked)

    def refused(self, key):
        """The text of the failure; the service has not been asked."""
        self.configure(**{"claim-key": key})
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("request", "local"))
        self.assertIn(f"claim-key {key}: ", failed["text"])
        self.assertEqual(self.cloud.events("connect"), [])
        return failed["text"]

    def test_an_imported_key_enrols_with_whatever_attributes(self):
        kinds = {"as tpm2-tools likes": (), "only to sign": ("-a", "sign|userwithauth"),
                 "like ours": ("-a", "sign|userwithauth|noda"), "for one scheme": ("-G", "ecc256:ecdsa-sha256")}
        for number, (kind, options) in enumerate(kinds.items(), 1):
            with self.subTest(kind):
                self.configure(**{"claim-key": self.imported(*options)})
                _, result = self.enrol("--again")
                self.assert_enrolled(result, number)
        self.promote()
        _, result = self.enrol("renew", "--credential", "claim")
        self.assertEqual(result["result"], "renewed")
        counters = self.tool("getcap", "properties-variable").stdout
        self.assertRegex(counters, r"TPM2_PT_LOCKOUT_COUNTER: 0x0\n")

    def test_a_key_with_a_password_is_refused_before_it_is_used(self):
        self.assertIn("has a password, or is marked so", self.refused(self.imported(marked=False)))
        lied = self.imported("-a", "sign|userwithauth|noda", "-p", "secret")
        self.assertIn("it has a password, which its file denies", self.refused(lied))

    def test_a_key_that_cannot_sign_for_us_is_refused_before_it_is_used(self):
        self.tool("create", "-C", PARENT, "-G", "ecc256:ecdsa-sha256:null", "-a",
                  "sign|restricted|userwithauth|fixedtpm|fixedparent|sensitivedataorigin", "-u", "k.pub", "-r", "k.priv")
        self.assertIn("do not allow plain signatures", self.refused(self.encode()))
        self.tool("create", "-C", PARENT, "-G", "rsa2048", "-u", "k.pub", "-r", "k.priv")
        self.assertIn("only EC P-256", self.refused(self.encode()))
        self.tool("create", "-C", PARENT, "-G", "ecc256", "-u", "k.pub", "-r", "k.priv")
        self.assertIn("is not of claim-key", self.failure_with(self.encode()))

    def failure_with(self, key):
        self.configure(**{"claim-key": key})
        return self.failure()["text"]

    def test_a_damaged_file_is_refused_before_it_is_used(self):
        path = self.imported()
        with open(path, encoding="utf-8") as file:
            text = file.read()
        body = text.splitlines()
        cases = {"cut": text[:200], "twice": text + text, "a digit": text.replace(body[3], body[3][::-1])}
        for name, damaged in cases.items():
            with self.subTest(name):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(damaged)
                self.assertNotIn(body[3], self.refused(path))

    def test_a_key_of_another_tpm_is_told_from_a_missing_parent(self):
        path = self.imported()
        self.tpm.replace()
        self.assertRegex(self.refused(path), "TPM")

    def test_the_packaged_provider_uses_it_too_where_it_can(self):
        path = self.imported()
        self.configure(tpm="openssl-provider = tpm2\n", **{"claim-key": path})
        done = subprocess.run(self.command("--json"), capture_output=True, text=True, timeout=120, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode == 0:
            self.assert_enrolled(lines[-1])
            # And what is wrong with it is known before the TPM is handed over.
            os.unlink(self.state + "/identity/candidate")
            wrong = self.imported(marked=False)
            self.configure(tpm="openssl-provider = tpm2\n", **{"claim-key": wrong})
            self.assertIn(wrong, self.failure()["text"])
            return
        self.assertRegex(lines[-2]["text"], "1\\.3\\.0|not installed|tpm2")


if __name__ == "__main__":
    main(__doc__)
