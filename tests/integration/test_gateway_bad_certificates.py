#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The authority answers a renewal with a certificate that is of no use: it never becomes a candidate, or not for long."""

import os
import re

from gateway_bench import main, read_text
from rotation_bench import RotationScenario


class BadCertificates(RotationScenario):
    ROTATION = {"probation": "20s"}

    def setUp(self):
        super().setUp()
        self.start_agent()
        self.wait_generation(1)

    def error(self):
        return self.agent.status()["enrolment"]["error"] or {"text": "", "step": "", "class": ""}

    def wait_end(self):
        self.wait("the end of the attempt", lambda: self.agent.status()["enrolment"]["state"] != "running")

    def outcome(self, number):
        return read_text(f"{self.agent.state}/identity/generations/{number:06}/outcome")

    def newest(self):
        return max(int(n) for n in os.listdir(self.agent.state + "/identity/generations") if n.isdigit())

    def test_what_the_helper_sees_never_gets_to_the_broker(self):
        connects = len(self.record.all("connect", client=self.agent.status()["id"]))
        for how, word in (("other-key", "our key"), ("expired", "ended"), ("short", "ends|life"), ("future", "begins"),
                          ("ca", "authority|CA"), ("server-only", "(?i)client|usage"), ("many", "certificates|bytes|large"),
                          ("garbage", "cannot be read"), ("truncated", "cut short"), ("huge", "(?i)bytes|large|long"),
                          ("empty", "no certificate")):
            with self.subTest(how):
                self.cloud.ask("fault", name="certificate", how=how)
                calls = len(self.record.all("fault", name="certificate"))
                self.renew()
                self.wait("the answer", lambda: len(self.record.all("fault", name="certificate")) > calls)
                self.wait_end()
                self.assertRegex(self.error()["text"], word)
                self.assertEqual(self.generation(), 1)
                self.assertFalse(os.path.lexists(self.agent.state + "/identity/candidate"))
                self.assertGreater(self.next_attempt_s(), 0)
        # All that time the session was the same one.
        self.assertEqual(len(self.record.all("connect", client=self.agent.status()["id"])), connects)
        self.renew()
        self.wait_generation(2)
        self.wait_retired(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_one_that_lives_for_a_second(self):
        self.cloud.ask("set", name="certificate_backdate", value=0)
        self.cloud.ask("set", name="certificate_life", value=1)
        issued = len(self.cloud.issued())
        self.renew()
        self.wait("a certificate", lambda: len(self.cloud.issued()) > issued)
        self.wait_end()
        self.wait_generation(1)
        self.assertEqual(self.generation(), 1)
        self.assert_identity_is_one(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()
        self.cloud.ask("set", name="certificate_life", value=0)
        self.renew()
        self.wait_generation(2)


class BadToTheBroker(BadCertificates):
    SYNCHRONISED = False
    test_what_the_helper_sees_never_gets_to_the_broker = test_one_that_lives_for_a_second = None

    def is_back(self):
        """Online under the current certificate. One that was closed on without a word may be tried again later."""
        link = self.agent.status()["link"]
        return (link["state"], link["identity"], link["error"]) == ("online", "current", None)

    def test_what_only_the_broker_can_tell(self):
        """AWS's certificates carry its own subject and an issuer that no gateway knows, and a clock that nobody has
        confirmed may be behind: the broker judges these."""
        for how in ("future", "other-issuer", "other-subject"):
            with self.subTest(how):
                number, alerts = self.newest() + 1, len(self.record.all("refused", stage="tls"))
                self.cloud.ask("fault", name="certificate", how=how)
                self.renew()
                self.wait("a new certificate", lambda: self.newest() >= number)
                self.wait("a refusal by the broker", lambda: self.record.all("refused", certificate=self.id_of(number))
                          or len(self.record.all("refused", stage="tls")) > alerts)
                self.wait("the way back", self.is_back)
                self.assertEqual(self.generation(), 1)
                self.assertNotEqual(self.agent.status()["clock"]["state"], "suspect", "its dates prove nothing")
                self.assert_nothing_lost()
        self.assert_one_session_at_a_time()


if __name__ == "__main__":
    main()
