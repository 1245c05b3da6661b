# SPDX-License-Identifier: Apache-2.0
"""A gateway whose TPM sits behind a proxy, enrolled and online, and what has to hold whatever the TPM does to it."""

import os
import re

from gateway_bench import Scenario
from tpm_bench import Proxy, Tools


class TpmScenario(Scenario):
    ON_KEY_LOST = "claim"       # so that a fault which is taken for a loss costs a certificate, and is seen

    def setUp(self):
        super().setUp()
        self.proxy = self.part(Proxy(self.tpm.dir))
        self.tools = Tools(self.tpm.tcti, self.tpm.dir)
        self.config["tpm"] = {"tcti": self.proxy.tcti, "timeout": "1s"}
        self.config["rotation"] = {"on-key-lost": self.ON_KEY_LOST}
        self.write_config()
        self.agent.start()
        status = self.wait_online()
        self.connects = status["link"]["connects"]
        self.generation = status["identity"]["generation"]
        self.keep_alive = 50

    # --- what holds in every one of them -------------------------------------------------------------------------------

    def tpm_state(self, state, words=".", seconds=30):
        def found():
            tpm = self.agent.status()["tpm"]
            return tpm["state"] == state and re.search(words, tpm["error"] or "no error") and tpm
        return self.wait(f"the TPM to be {state}", found, seconds)

    def session_stands(self, packs=4):
        before = len(self.subscriber.numbers())
        self.wait_packs(before + packs)
        status = self.agent.status()
        self.assertEqual((status["link"]["state"], status["link"]["connects"]), ("online", self.connects))
        self.assertIsNone(status["stuck"])

    def events(self, words):
        return len(re.findall(rf"(?m)^event: .*{words}", self.agent.said()))

    def trouble(self, state, words, begin, end):
        """A fault that begins and ends under a session that stands."""
        lost, back = self.events(words), self.events("The TPM answers again")
        begin()
        tpm = self.tpm_state(state, words)
        self.assertIsNotNone(tpm["advice"])
        self.assertNotEqual(tpm["key"], "lost")
        self.session_stands()
        self.assertEqual(self.events(words), lost + 1, "told once")
        end()
        self.tpm_state("ok")
        self.assertEqual(self.events("The TPM answers again"), back + 1, "told once")
        self.assertIsNone(self.agent.status()["tpm"]["advice"])

    def as_before(self):
        """No key and no certificate was made, nothing was left in the TPM, and what was read has arrived."""
        self.session_stands()
        self.assertEqual(self.agent.status()["identity"]["generation"], self.generation)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assertFalse(os.path.exists(self.agent.state + "/identity/pending"))
        self.assertEqual(self.tools.lockout_counter(), 0)
        self.wait("slots that are free", lambda: self.tools.transients() == [], 10)
        self.assert_promise(self.wait_drained())

    def threads(self):
        return len(os.listdir(f"/proc/{self.agent.process.pid}/task"))

    def ask_for_a_session(self):
        """A new one at once, for which the TPM signs: the session that stands is not as the configuration wants it."""
        self.keep_alive += 1
        self.config["mqtt"]["keep-alive"] = f"{self.keep_alive}s"
        self.write_config()
        code, _, error = self.agent.ctl("reload")
        self.assertEqual(code, 0, error)

    def reconnects(self):
        self.ask_for_a_session()
        self.wait("a session", lambda: self.agent.status()["link"]["connects"] > self.connects, 30)
        self.connects = self.wait_online()["link"]["connects"]
