#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TPM that is silent, reset or killed in the middle of a handshake: that costs the handshake, and nothing else."""

import faults
from gateway_bench import main
from tpm_bench import SIGN
from tpm_scenario import TpmScenario


class TpmHangs(TpmScenario):
    def test_reset_under_a_session(self):
        """What was loaded is gone, and nobody needs to know; but firmware or kernel have to start it up."""
        ctrl = self.tpm.socket + ".ctrl"
        for _ in range(3):
            self.tools.run("swtpm_ioctl", "-i", "--unix", ctrl)
            self.tools.run("tpm2_startup", "-c")
            self.reconnects()
        self.assertEqual(self.agent.status()["tpm"]["state"], "ok")
        self.assertEqual(self.events("The TPM"), 0)
        self.trouble("failed", "not started up", lambda: self.tools.run("swtpm_ioctl", "-i", "--unix", ctrl),
                     lambda: self.tools.run("tpm2_startup", "-c"))
        self.as_before()
        faults.told("F29", "three resets under a session: reconnected each time, same key, one certificate in all")

    def test_an_answer_that_never_comes_costs_a_handshake(self):
        before = self.threads()
        self.proxy.order("hang", SIGN, times=1)
        self.ask_for_a_session()
        self.wait("a link that blames the TPM", lambda: "not answer" in (self.agent.status()["link"]["error"] or ""))
        # Nothing heals that one answer; a later attempt has a thread of its own, and a signature.
        self.connects = self.wait_online()["link"]["connects"]
        self.tpm_state("ok")
        self.assertLessEqual(self.threads(), before + 2)
        # The key that the lost answer was about stays loaded until that thread wakes up: no resource manager here.
        self.tools.flush()
        self.as_before()

    def test_attempts_against_a_hung_tpm_do_not_pile_up(self):
        self.tpm.freeze()
        self.tpm_state("hung", "has not answered")
        self.session_stands()
        before = self.threads()
        for _ in range(12):
            failures = self.agent.status()["link"]["failures"]
            self.ask_for_a_session()
            self.wait("an attempt", lambda f=failures: self.agent.status()["link"]["failures"] > f)
        # One for each thread that was left behind, and what Paho has for its moment.
        self.assertLessEqual(self.threads(), before + 4, "threads that hang are few")
        self.assertIsNone(self.agent.status()["stuck"], "a TPM that hangs is no reason to restart the agent")
        polls = self.agent.device()["polls"]
        self.wait("polls", lambda: self.agent.device()["polls"] > polls + 5)
        self.tpm.thaw()
        self.connects = self.wait_online()["link"]["connects"]
        self.tpm_state("ok")
        # Those that were left behind wake up and end.
        self.wait("threads that end", lambda: self.threads() <= before)
        self.assertEqual(self.events("has not answered"), 1, "told once")
        self.assertEqual(self.events("The TPM answers again"), 1, "told once")
        self.as_before()
        faults.told("F28", f"frozen for 12 handshakes: session and polls go on, no threads pile up ({before} before and after)")

    def test_killed_in_the_middle_of_signatures(self):
        """kill -9 under one handshake after the other; no lockout, no leak."""
        for _ in range(6):
            seen = self.proxy.seen(SIGN)
            self.ask_for_a_session()
            self.wait("a signature", lambda s=seen: self.proxy.seen(SIGN) > s)
            self.tpm.kill()
            self.tpm.start()
        self.tpm_state("ok")
        self.connects = self.wait_online()["link"]["connects"]
        self.as_before()
        faults.told("F04", "kill -9 under six signatures in a row: lockout counter 0, no key left behind, reconnected")


if __name__ == "__main__":
    main()
