#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator does about the identity, and is told: enrol and wait, look back, forget the claim."""

import json
import os
import re
import shutil
import signal
import subprocess

from gateway_bench import BUILD, Scenario, main, read_text

STEPS = ["key", "csr", "request", "issued", "registered", "verified", "written"]


class Operator(Scenario):
    def started_in_vain(self):
        """The agent with a service that refuses, and the attempt over."""
        self.cloud.ask("hook", verdict="refuse")
        self.agent.start()
        self.refused()

    def refused(self):
        self.wait("a refusal", lambda: self.agent.status()["enrolment"]["error"]
                  and self.agent.status()["enrolment"]["state"] == "waiting")

    def enrolled(self):
        self.agent.start()
        self.wait_online()

    @staticmethod
    def told(out):
        """The first word behind the time of each line."""
        return [re.fullmatch(r"\[ *[0-9.]+ s\] (\w+) +\S.*", line)[1] for line in out.splitlines()]

    # --- enroll --wait -----------------------------------------------------------------------------------------------

    def test_waiting_for_an_enrolment_tells_each_step_and_the_one_that_failed(self):
        self.started_in_vain()
        code, out, error = self.agent.ctl("enroll", "--wait")
        self.assertEqual(code, 1, out)
        self.assertIn("failed at step 'registered', refused: ", error)
        self.assertIn("provisioning hook", error)
        self.assertRegex(error, r"The next attempt is in \d+ \w+ \(.*\), or on order")
        self.assertEqual(self.told(out)[-1], "failed")

        code, out, error = self.agent.ctl("enroll", "--wait", "--json")
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, error), (1, ""))
        self.assertEqual({k: events[-1][k] for k in ("event", "step", "class")},
                         {"event": "failed", "step": "registered", "class": "refused"})
        self.assertTrue(events[-1]["text"] and events[-1]["advice"])

        self.cloud.ask("hook", verdict="allow")
        self.refused()
        code, out, error = self.agent.ctl("enroll", "--wait")
        self.assertEqual((code, error), (0, ""))
        self.assertEqual(self.told(out), STEPS + ["trial", "promotion", "done"])
        self.assertIn("generation 1 is in use", out)

        code, out, error = self.agent.ctl("enroll", "--wait")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("has an identity already", error)

        with_agent = self.agent.ctl("identity", "--history")
        self.assertRegex(with_agent[1], r"(?m)^ +1  current +20\d\d-\S+Z +\d{4}-\d\d-\d\d \.\. 2049-12-31  [0-9A-Fa-f]+$")
        self.agent.stop()
        self.assertEqual(self.agent.ctl("identity", "--history", "--state-dir", self.agent.state), with_agent)

    def test_an_interrupted_wait_leaves_the_enrolment_going(self):
        self.cloud.stop()
        self.agent.start()
        self.wait("a failure", lambda: self.agent.status()["enrolment"]["error"])
        self.cloud.start()
        # It waits for a broker that does not know the device's issuer, which takes as long as it takes.
        self.broker.stop()
        self.broker.start(knows_devices=False)
        waiting = subprocess.Popen([BUILD + "/agent/tidegate", "--socket", self.agent.socket, "enroll", "--wait"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        self.wait("a candidate", lambda: self.agent.status()["rotation"]["candidate"] == 1)
        waiting.send_signal(signal.SIGINT)
        out, error = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 1)
        self.assertIn("interrupted; the enrolment goes on without you", error)
        self.broker.stop()
        self.broker.start()
        self.wait_online()

    def test_the_wait_lives_through_a_restart_of_the_agent(self):
        self.started_in_vain()
        self.cloud.ask("hook", verdict="allow")
        self.broker.stop()
        waiting = subprocess.Popen([BUILD + "/agent/tidegate", "--socket", self.agent.socket, "enroll", "--wait"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        self.wait("a candidate", lambda: self.agent.status()["rotation"]["candidate"] == 1)
        self.agent.stop()
        self.agent.start()
        self.broker.start()
        out, error = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, error), (0, ""))
        self.assertIn("generation 1 is in use", out)

    def test_options_that_a_command_does_not_have_are_refused(self):
        for words in (("status", "--wait"), ("check", "--history"), ("identity", "--dump")):
            code, out, error = self.agent.ctl(*words)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(f"'{words[0]}' has no option {words[1]}", error)

    # --- the claim ---------------------------------------------------------------------------------------------------

    def forget(self, *arguments):
        return self.agent.ctl("forget-claim", "--config", self.agent.conf, "--state-dir", self.agent.state, *arguments)

    def move_claim(self):
        """To where it belongs, in the state directory."""
        claim = self.agent.state + "/claim"
        os.makedirs(claim, mode=0o700)
        for key, name in (("claim-certificate", "claim.pem"), ("claim-key", "claim.key")):
            shutil.copy(self.cloud.path(name), claim)
            self.config["enrolment.aws-fleet"][key] = f"{claim}/{name}"
        return claim

    def test_the_claim_goes_by_hand_when_it_is_of_no_more_use(self):
        claim = self.move_claim()
        self.config["rotation"] = {"on-refused": "claim"}
        self.write_config()
        code, out, error = self.forget()
        self.assertEqual((code, out), (1, ""))
        self.assertIn("with [rotation] on-refused = claim it may be needed again", error)
        del self.config["rotation"]
        self.write_config()
        code, out, error = self.forget()
        self.assertEqual((code, out), (1, ""))
        self.assertIn("no certificate of its own", error)
        self.assertEqual(sorted(os.listdir(claim)), ["claim.key", "claim.pem"])

        self.enrolled()
        self.agent.stop()               # it needs no agent
        code, out, error = self.forget()
        self.assertEqual((code, error), (0, ""))
        self.assertRegex(out, r"claim-key +\S+/claim.key: removed\nclaim-certificate +\S+/claim.pem: removed\n")
        self.assertIn("does not erase flash memory", out)
        self.assertEqual(os.listdir(claim), [])
        code, out, error = self.forget("--json")
        self.assertEqual((code, [(e["what"], e["gone"]) for e in json.loads(out)]),
                         (0, [("claim-key", True), ("claim-certificate", True)]))
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.agent.status()["claim"]["state"], "forgotten")

    def test_the_agent_forgets_the_claim_by_itself(self):
        claim = self.move_claim()
        self.config["enrolment.aws-fleet"]["forget-claim"] = "yes"
        self.write_config()
        self.enrolled()
        self.wait("no claim", lambda: os.listdir(claim) == [])
        self.assertEqual(self.agent.status()["claim"], {"state": "forgotten", "error": None})
        # And goes on without it.
        self.agent.stop()
        self.agent.start()
        self.wait_online()

    def test_a_claim_that_it_cannot_remove_is_told(self):
        # A directory in place of the file is as good as a read-only file system.
        self.enrolled()
        self.config["enrolment.aws-fleet"].update({"forget-claim": "yes", "claim-key": self.agent.state + "/not-a-key"})
        with open(self.agent.state + "/not-a-key", "w", encoding="ascii") as out:
            out.write("something else\n")
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait("a claim that stays", lambda: self.agent.status()["claim"]["state"] == "still present")
        self.assertIn("forget-claim' as root", self.agent.status()["claim"]["error"])
        self.assertIn("the claim is still present", self.agent.ctl("status")[1].replace("\n          ", " "))
        self.assertTrue(read_text(self.agent.state + "/not-a-key"))


if __name__ == "__main__":
    main()
