#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Enrolment that is refused, cut off or answered with nonsense: told step by step, retried, never half taken."""

import os

from gateway_bench import Scenario, main, read_text


class RefusedEnrolment(Scenario):
    def enrolment(self):
        return self.agent.status()["enrolment"]

    def wait_error(self, step, kind, seconds=30):
        def failed():
            error = self.enrolment()["error"]
            return error and (error["step"], error["class"]) == (step, kind) and error
        return self.wait(f"an error of step {step}, class {kind}", failed, seconds)

    def wait_idle(self):
        self.wait("the end of the attempt", lambda: self.enrolment()["state"] == "waiting")

    def enroll(self):
        """`tidegate enroll`, once an attempt that is under way is over."""
        self.wait_idle()
        code, out, error = self.agent.ctl("enroll")
        self.assertEqual((code, error), (0, ""))
        self.assertIn("started", out)

    def assert_spools(self):
        self.wait("readings that wait", lambda: self.agent.status()["spool"]["disk_packs"] >= 3)

    def test_the_hook_refuses_and_then_allows(self):
        self.cloud.ask("hook", verdict="refuse")
        self.agent.start()
        error = self.wait_error("registered", "refused")
        self.assertEqual((error["status"], error["code"]), (403, "AccessDenied"))
        self.assertIn("Access denied by the pre-provisioning hook", error["text"])
        self.wait_idle()
        status = self.agent.status()
        self.assertEqual(status["enrolment"]["step"], "issued")
        self.assertGreater(status["enrolment"]["next_s"], 60, "a refusal is not hammered at")
        self.assertEqual(status["identity"]["state"], "none")
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("step registered refused: ", out)
        self.assertIn("Access denied by the pre-provisioning hook", " ".join(out.split()))
        self.assert_spools()

        self.enroll()
        self.wait("another refusal", lambda: len(self.cloud.events("provisioning", api="register")) == 2)
        self.cloud.ask("hook", verdict="allow")
        self.enroll()
        self.wait_online()
        # The same certificate was registered in the end: no second one was asked for.
        self.assertEqual(len(self.cloud.events("provisioning", api="create")), 1)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assert_promise(self.wait_drained())
        code, _, error = self.agent.ctl("enroll")
        self.assertEqual(code, 1)
        self.assertIn("has an identity already", error)

    def test_the_service_is_down_and_comes(self):
        self.cloud.stop()
        self.agent.start()
        error = self.wait_error("request", "retry")
        self.assertIn("localhost", error["text"])
        self.wait("a second attempt by itself", lambda: self.enrolment()["attempts"] >= 2)
        self.assert_spools()
        self.cloud.start()
        self.wait_online(60)
        self.assert_promise(self.wait_drained())

    def test_certificates_that_are_not_ours_are_not_taken(self):
        self.cloud.ask("fault", name="certificate", how="other-key")
        self.agent.start()
        error = self.wait_error("issued", "bad-answer")
        self.assertIn("our key", error["text"])
        self.assertFalse(os.path.lexists(self.agent.state + "/identity/candidate"))
        self.assertFalse(os.path.lexists(self.agent.state + "/identity/current"))
        key = read_text(self.agent.state + "/identity/pending/key.pem")
        for how, word in (("expired", "ended"), ("garbage", "cannot be read")):
            self.cloud.ask("fault", name="certificate", how=how)
            self.enroll()
            self.wait(f"'{word}'", lambda: word in (self.enrolment()["error"] or {"text": ""})["text"])
            self.assertFalse(os.path.lexists(self.agent.state + "/identity/candidate"))
        self.assertEqual(self.cloud.events("provisioning", api="register"), [])
        self.enroll()
        self.wait_online()
        self.assertEqual(read_text(self.agent.state + "/identity/current/key.pem"), key)

    def test_claim_files_that_cannot_be_used_are_named(self):
        good = read_text(self.cloud.path("claim.key"))
        self.cloud.ask("issue", name="other")
        cut = self.dir + "/cut.key"
        with open(cut, "w", encoding="ascii") as file:
            file.write(good[:100])
        for number, path in enumerate((cut, self.cloud.path("other.key"), self.dir + "/missing.key")):
            with self.subTest(path):
                self.config["enrolment.aws-fleet"]["claim-key"] = path
                self.write_config()
                if number == 0:
                    self.agent.start()
                else:
                    self.wait_idle()
                    self.assertEqual(self.agent.ctl("reload")[0], 0)
                self.wait("its name", lambda: path in (self.enrolment()["error"] or {"text": ""})["text"])
                error = self.enrolment()["error"]
                self.assertEqual((error["step"], error["class"]), ("request", "local"))
        self.assertNotIn(good.splitlines()[1], self.agent.said())
        self.config["enrolment.aws-fleet"]["claim-key"] = self.cloud.path("claim.key")
        self.write_config()
        self.wait_idle()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_online()


if __name__ == "__main__":
    main()
