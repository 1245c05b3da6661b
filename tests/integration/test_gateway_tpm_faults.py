#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every way in which a TPM says no for a while, under a session that stands: named, told once, no key made, all heals."""

import os

import faults
from gateway_bench import main
from tpm_bench import FAILURE, LOAD, LOCKOUT, RETRY, TESTING
from tpm_scenario import TpmScenario


class TpmFaults(TpmScenario):
    def test_busy_locked_and_failed(self):
        for state, words, code, command in (("busy", "busy until", RETRY, 0), ("busy", "testing itself", TESTING, LOAD),
                                            ("locked", "locked after too many", LOCKOUT, LOAD),
                                            ("failed", "failure mode", FAILURE, 0)):
            with self.subTest(state, code=hex(code)):
                self.trouble(state, words, lambda c=code, k=command: self.proxy.answers(c, k), self.proxy.heal)
        self.as_before()
        faults.told("F27", "busy and self-test under a session: named, told once, the session stands, heals by itself")
        faults.told("F31", "failure mode under a session: named, the session stands, no key made")

    def test_locked_out_by_others(self):
        """Wrong passwords of another program lock its keys; ours are exempt, and that is seen."""
        self.tools.lock_out()
        self.wait("a counter", lambda: self.agent.status()["tpm"]["lockout_counter"] == 3)
        self.assertEqual(self.agent.status()["tpm"]["state"], "ok")
        self.reconnects()
        self.tools.run("tpm2_dictionarylockout", "-c")
        self.as_before()
        faults.told("F26", "locked out by another program: our keys sign, the counter is in the status")

    def test_full_of_other_programs_keys(self):
        foreign = []

        def flush():
            self.assertEqual(self.tools.transients(), foreign, "they are left alone")
            self.tools.flush()
        self.trouble("full", "no room for another key", lambda: foreign.extend(self.tools.fill()), flush)
        self.assertEqual(len(foreign), 3)
        self.as_before()
        faults.told("F32", f"{len(foreign)} slots full of other programs' keys: told, theirs left alone, heals")

    def test_the_node_goes_and_comes_back(self):
        def gone():
            for name in ("/p", "/p.ctrl"):
                os.rename(self.tpm.dir + name, self.tpm.dir + name + ".gone")

        def back():
            for name in ("/p", "/p.ctrl"):
                os.rename(self.tpm.dir + name + ".gone", self.tpm.dir + name)
        self.trouble("away", r"check \[tpm\] tcti", gone, back)
        self.as_before()
        faults.told("F31", "device node gone and back: told once, the session stands")


if __name__ == "__main__":
    main()
