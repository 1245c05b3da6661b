#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TPM that was cleared, or is another one, is told apart from one in trouble; what follows is the configuration's."""

import os
import re
import shutil

import faults
from gateway_bench import main
from tpm_bench import clear
from tpm_scenario import TpmScenario


class TpmLost(TpmScenario):
    ON_KEY_LOST = "hold"

    def replace(self):
        """Another TPM at the same place; the old one's state is kept."""
        self.tpm.kill()
        shutil.move(self.tpm.dir + "/state", self.tpm.dir + "/kept")
        os.makedirs(self.tpm.dir + "/state")
        self.tpm.start()

    def is_lost(self, state, words):
        status = self.wait("a lost key", lambda: self.agent.status()["tpm"]["key"] == "lost" and self.agent.status())
        self.assertEqual(status["tpm"]["state"], state)
        self.assertRegex(status["tpm"]["error"], words)
        self.assertIn("tidegate enroll", status["tpm"]["advice"])
        self.assertIn("on-key-lost", status["tpm"]["advice"])
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertRegex(re.sub(r"\s+", " ", out), "TPM " + state + ".*tidegate enroll")
        return status

    def is_held(self, words):
        """The session that stands goes on, nothing is made anew, and it was told once."""
        self.session_stands(10)
        status = self.agent.status()
        self.assertEqual(status["identity"]["generation"], self.generation)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assertEqual(self.events(words), 1)
        return status

    def enrols_at_the_operators_word(self):
        code, _, error = self.agent.ctl("enroll")
        self.assertEqual((code, error), (0, ""))
        status = self.wait("a new identity", lambda: self.agent.status()["identity"].get("generation") == 2
                           and self.agent.status()["identity"]["state"].startswith("current") and self.agent.status(), 60)
        self.wait_online()
        self.tpm_state("ok")
        self.assertEqual(len(self.cloud.issued()), 2)
        self.assert_promise(self.wait_drained())
        return status

    def test_cleared(self):
        name = self.agent.status()["tpm"]["id"]
        clear(self.tools)
        status = self.is_lost("cleared", "was cleared")
        self.assertEqual(status["tpm"]["id"], name, "it is the same TPM")
        self.is_held("The TPM was cleared")
        # The first handshake that needs the key fails, and the readings wait.
        self.ask_for_a_session()
        self.wait("a spool that grows", lambda: self.agent.status()["spool"]["disk_packs"] > 5)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assertEqual(self.enrols_at_the_operators_word()["id"], name)
        self.assertEqual(self.events("The TPM was cleared"), 1)
        faults.told("F30", "cleared: told, readings wait, no certificate asked for until the operator says so")

    def test_replaced_and_put_back(self):
        status = self.agent.status()
        name, gateway = status["tpm"]["id"], status["id"]
        self.replace()
        status = self.is_lost("replaced", "another TPM than before")
        self.assertNotEqual(status["tpm"]["id"], name)
        # The session has the old key behind it, and goes on under the old name.
        self.assertEqual(self.is_held("another TPM than before")["id"], gateway)
        self.tpm.kill()
        shutil.rmtree(self.tpm.dir + "/state")
        shutil.move(self.tpm.dir + "/kept", self.tpm.dir + "/state")
        self.tpm.start()
        self.tpm_state("ok")
        self.reconnects()
        self.assertEqual(self.agent.status()["id"], gateway)
        self.as_before()
        faults.told("F30", "replaced and put back: told, same identity afterwards")

    def test_replaced_and_enrolled_anew(self):
        gateway = self.agent.status()["id"]
        self.replace()
        self.is_lost("replaced", "another TPM than before")
        status = self.enrols_at_the_operators_word()
        self.assertNotEqual(status["id"], gateway)
        self.assertEqual(status["id"], status["tpm"]["id"])
        self.assertEqual(status["link"]["client_id"], status["id"])
        # What was read before arrives as well.
        self.wait("packs under both names",
                  lambda: {p.base_name.split(":")[0] for p in self.subscriber.packs()} == {gateway, status["id"]})

    def claims(self, words):
        """Without a word of the operator: one new certificate, told once, and every reading arrives."""
        self.wait("a new identity", lambda: self.agent.status()["identity"].get("generation") == 2
                  and self.agent.status()["identity"]["state"].startswith("current"), 60)
        status = self.wait_online()
        self.tpm_state("ok")
        self.assertEqual(len(self.cloud.issued()), 2)
        self.assertEqual(self.events(words), 1)
        self.assertEqual(self.events("The TPM answers again"), 1)
        self.assert_promise(self.wait_drained())
        return status

    def forget_the_claim_that_was_used(self):
        """The claim is shown once an hour at most, and the agent that has just enrolled with it knows."""
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.connects = self.wait_online()["link"]["connects"]

    def set_claim(self):
        self.config["rotation"]["on-key-lost"] = "claim"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)

    def test_cleared_and_the_configuration_says_claim(self):
        gateway = self.agent.status()["id"]
        self.set_claim()
        self.forget_the_claim_that_was_used()
        clear(self.tools)
        self.assertEqual(self.claims("The TPM was cleared")["id"], gateway)

    def test_replaced_and_the_configuration_says_claim_later(self):
        self.forget_the_claim_that_was_used()
        self.replace()
        self.is_lost("replaced", "another TPM than before")
        self.is_held("another TPM than before")
        self.set_claim()
        status = self.claims("another TPM than before")
        self.assertEqual(status["id"], status["tpm"]["id"])

    def test_an_evicted_parent_is_put_back(self):
        self.tools.run("tpm2_evictcontrol", "-Q", "-c", "0x81000001")
        self.wait("a word", lambda: "putting it back" in self.agent.said() or not self.agent.status())
        self.tpm_state("ok")
        self.reconnects()
        self.as_before()
        faults.told("F33", "parent key evicted: put back, same key and certificate")


if __name__ == "__main__":
    main()
