#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The TPM goes away, by death and by silence: readings go on, the status says what to do, and it heals by itself."""

from gateway_bench import Scenario, main


class TpmAway(Scenario):
    def begin(self):
        self.config["tpm"]["timeout"] = "2s"
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)

    def wait_tpm(self, *states, seconds=40):
        return self.wait(f"the TPM to be {states}", lambda: self.in_state(states), seconds)

    def in_state(self, states):
        status = self.agent.status()
        return status["tpm"]["state"] in states and status

    def goes_on(self):
        """Readings arrive while nothing is asked of the TPM."""
        before = len(self.subscriber.numbers())
        self.wait_packs(before + 5)
        self.assertEqual(self.agent.status()["link"]["state"], "online")

    def breaks_the_session(self, words):
        """The broker comes again, but the handshake needs the TPM; then the readings wait."""
        self.broker.kill()
        self.broker.start()

        def blames_the_tpm():
            status = self.agent.status()
            return status["link"]["state"] != "online" and "TPM" in (status["link"]["error"] or "") and status
        status = self.wait("a link that blames the TPM", blames_the_tpm, 45)
        self.assertRegex(status["link"]["error"], words)
        before = status["spool"]["disk_packs"]
        polls = self.agent.device()["polls"]
        self.wait("a spool that grows", lambda: self.agent.status()["spool"]["disk_packs"] > before + 5)
        self.assertGreater(self.agent.device()["polls"], polls)

    def heals(self):
        self.wait_tpm("ok")
        self.wait_online(45)
        self.assert_promise(self.wait_drained())
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertNotIn("cannot reach the TPM", out)
        self.assertEqual(self.agent.stop(), 0)

    def test_killed_and_started_again(self):
        self.begin()
        self.tpm.kill()
        status = self.wait_tpm("away")
        self.assertRegex(status["tpm"]["error"], r"check \[tpm\] tcti")
        self.goes_on()
        self.breaks_the_session("TPM")
        self.tpm.start()
        self.heals()

    def test_frozen_and_thawed(self):
        self.begin()
        self.tpm.freeze()
        status = self.wait_tpm("hung")
        self.assertRegex(status["tpm"]["error"], "the TPM has not answered for")
        self.goes_on()
        self.breaks_the_session("not answer")
        self.assertIsNone(self.agent.status()["stuck"], "a TPM that hangs is no reason to restart the agent")
        self.tpm.thaw()
        self.heals()


if __name__ == "__main__":
    main()
