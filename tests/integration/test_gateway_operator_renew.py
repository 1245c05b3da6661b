#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`tidegate renew` as an operator sees it: step by step to the end of the probation, or to the step that failed and why;
and what is told, unasked, when renewals fail until the certificate runs out."""

import json
import os
import pty
import re
import signal
import subprocess

from gateway_bench import BUILD, main
from rotation_bench import RotationScenario

STEPS = ["key", "csr", "request", "issued", "registered", "verified", "written"]


def told(out):
    """The first word behind the time of each line."""
    return [re.fullmatch(r"\[ *[0-9.]+ s\] (\w+) +\S.*", line)[1] for line in out.splitlines()]


class Renew(RotationScenario):
    ROTATION = {"probation": "5s"}      # long enough to be seen on a busy machine

    def setUp(self):
        super().setUp()
        self.start_agent()
        self.wait_generation(1)
        self.wait("readings", lambda: len(self.numbers()) >= 3)

    def start_waiting(self, **options):
        process = subprocess.Popen([BUILD + "/agent/tidegate", "--socket", self.agent.socket, "renew", "--wait"],
                                   text=True, **options)
        self.addCleanup(process.kill)
        return process

    def assert_events(self, *texts):
        """What the journal is told, in this order and once each."""
        said = self.agent.said()
        self.assertEqual([said.count(f"event: {text}") for text in texts], [1] * len(texts))
        places = [said.index(f"event: {text}") for text in texts]
        self.assertEqual(places, sorted(places))

    def history(self):
        """number: (state, reason) of each generation."""
        return {g["number"]: (g["state"], g["reason"])
                for g in json.loads(self.agent.ctl("identity", "--history", "--json")[1])}

    def test_each_step_is_told_up_to_the_end_of_the_probation(self):
        code, out, error = self.agent.ctl("renew", "--wait")
        self.assertEqual((code, error), (0, ""))
        self.assertEqual(told(out), STEPS + ["trial", "promotion", "probation", "done"])
        self.assertEqual({n: state for n, (state, _) in self.history().items()}, {2: "current", 1: "retired"})
        self.assert_events("A new identity is there", "The broker took the certificate", "The next identity is there",
                           "The broker took the new certificate")
        status = self.agent.status()
        self.assertEqual((status["rotation"]["current"], status["rotation"]["probation"]), (2, False))
        self.assertEqual(status["identity"]["standing"], "good")
        self.assertRegex(status["enrolment"]["next"], r"\d{4}-\d\d-\d\dT")
        self.assertEqual(status["enrolment"]["reason"], "max-age")
        self.assertIn("(max-age)", self.agent.ctl("status")[1])

        code, out, error = self.agent.ctl("renew", "--wait", "--json")
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, error), (0, ""))
        self.assertEqual([e["step"] for e in events if e["event"] == "step"], STEPS)
        self.assertEqual([(e["event"], e["generation"]) for e in events if e["event"] != "step"],
                         [("trial", 3), ("promoted", 3), ("probation", 3), ("done", 3)])
        self.assertEqual(sorted(e["elapsed_ms"] for e in events), [e["elapsed_ms"] for e in events])
        self.assert_nothing_lost()

    def test_a_refusal_by_the_service_names_the_step(self):
        self.cloud.ask("hook", verdict="refuse")
        code, out, error = self.agent.ctl("renew", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("the renewal failed at step 'registered', refused: ", error)
        self.assertIn("provisioning hook", error)
        self.assertIn("Generation 1 stays in use", error)
        self.assertIn("The next attempt is in ", error)
        screen = self.agent.ctl("status")[1]
        self.assertRegex(screen, r"(?m)^renewal +waiting, 1 failure in a row")
        self.assertRegex(screen, "step registered refused: ")
        self.cloud.ask("hook", verdict="allow")
        self.assertEqual(self.agent.ctl("renew", "--wait")[0], 0)
        self.assertNotIn("renewal  ", self.agent.ctl("status")[1])

    def test_a_refusal_by_the_broker_names_the_trial(self):
        self.cloud.ask("fault", name="connack", code=5, certificate="next", count=-1)
        code, out, error = self.agent.ctl("renew", "--wait")
        self.assertEqual((code, told(out)[-2:]), (1, ["trial", "failed"]), out + error)
        self.assertIn("the renewal failed at step 'trial': ", error)
        self.assertRegex(error, "refused|not authorised|not authorized")
        self.assertIn("Generation 1 stays in use", error)
        state, reason = self.history()[2]
        self.assertEqual(state, "rejected")
        self.assertTrue(reason)
        self.assert_events("The broker took the certificate", "The next identity is there", "The new certificate is given up")
        self.assertRegex(self.agent.ctl("status")[1], "step trial refused: ")

    def test_a_second_order_is_told_of_the_first(self):
        self.config["rotation"]["probation"] = "1h"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        waiting = self.start_waiting(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out = ""
        while "probation" not in out:
            line = waiting.stdout.readline()
            self.assertTrue(line, out)
            out += line
        self.assertTrue(self.agent.status()["rotation"]["probation"])
        self.assertRegex(self.agent.ctl("status")[1], "on probation")
        code, nothing, error = self.agent.ctl("renew")
        self.assertEqual((code, nothing), (1, ""))
        self.assertIn("on trial or on probation already", error)
        waiting.send_signal(signal.SIGINT)
        rest, error = waiting.communicate(timeout=30)
        self.assertEqual((waiting.returncode, told(out + rest)[-1]), (1, "probation"))
        self.assertIn("the renewal goes on without you", error)

    def test_on_a_terminal_there_is_a_line_that_lives(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        waiting = self.start_waiting(stdout=theirs)
        os.close(theirs)
        screen = b""
        try:
            while chunk := os.read(ours, 4096):
                screen += chunk
        except OSError:
            pass        # the other side has closed the terminal
        self.assertEqual(waiting.wait(60), 0, screen)
        self.assertIn(b"\r\x1b[K[", screen)
        self.assertIn(b"on probation ...", screen)
        # Nothing of it is left in front of what stays.
        for line in screen.replace(b"\r\n", b"\n").split(b"\n"):
            self.assertNotIn(b"...", line.rpartition(b"\x1b[K")[2])


class RunsOut(RotationScenario):
    LIFE = 15

    def test_a_certificate_that_runs_out_is_told_once_each_way(self):
        self.start_agent()
        self.wait_generation(1)
        self.cloud.stop()
        self.wait("the end", lambda: self.agent.status()["identity"]["expired"], 40)
        self.wait("what is told", lambda: "event: The certificate has expired" in self.agent.said())
        self.assertEqual(self.agent.said().count("event: The certificate runs out, and its renewal fails"), 1)
        self.assertEqual(self.agent.said().count("event: The certificate has expired"), 1)
        screen = self.agent.ctl("status")[1]
        self.assertRegex(screen, "(?m)^ +expired: it was valid until ")
        self.assertRegex(screen, r"step \w+ retry: ")


if __name__ == "__main__":
    main()
