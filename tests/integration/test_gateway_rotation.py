#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A certificate follows another on schedule: readings flow, nothing is lost, the old one ends here and in the cloud."""

import datetime
import os

from gateway_bench import Scenario, main, read_text
from rotation_bench import RotationScenario, say

GAP_MAX = 3.0           # seconds from the last publish on the old to the first on the new certificate


class OnSchedule(RotationScenario):
    LIFE = 24
    ROTATION = {"renew-at": "50%"}

    def rotate(self):
        """From the first generation to the end of its probation; everything that must hold of any rotation."""
        self.start_agent()
        self.wait_generation(1)
        self.wait("readings", lambda: len(self.numbers()) >= 20)
        old = self.id_of(1)
        self.keep_state()
        # The next one is not to be followed by a third.
        self.cloud.ask("set", name="certificate_life", value=86400)
        self.wait_generation(2, 40)
        self.wait_retired(1)
        new = self.id_of(2)
        self.wait("the event", lambda: self.events_told("certificate-retired"))
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()
        self.assert_identity_is_one(2)
        gap = self.gap(old, new)
        say(f"rotation: {gap:.3f} s from the last publish on the old to the first on the new certificate")
        self.assertLess(gap, GAP_MAX)
        return old, new

    def assert_told(self, old, new):
        for kind in ("certificate-renewed", "certificate-retired"):
            [told] = self.events_told(kind)
            self.assertEqual((told["old"]["certificate_id"], told["new"]["certificate_id"]), (old, new))
            self.assertEqual((told["old"]["generation"], told["new"]["generation"]), (1, 2))
            self.assertEqual(told["new"]["thing"], self.agent.status()["id"])
        order = [e["event"] for e in self.events_told()]
        self.assertLess(order.index("certificate-renewed"), order.index("certificate-retired"))

    def test_a_new_key_follows_and_the_old_one_is_gone_everywhere(self):
        old, new = self.rotate()
        self.assertNotEqual(self.key_of(1), self.key_of(2))
        self.assertEqual(self.files_of(1) & {"key.pem", "bundle.pem"}, set())
        self.assertLessEqual({"chain.pem", "manifest"}, self.files_of(1), "history stays")
        # Half of its life, and not much later.
        first, second = self.certificate_of(1), self.certificate_of(2)
        passed = second.not_valid_before - first.not_valid_before
        self.assertGreaterEqual(passed, datetime.timedelta(seconds=10))
        self.assertLess(passed, datetime.timedelta(seconds=20))
        # Renewals went over a connection of their own, under the certificate itself.
        for call in self.record.all("provisioning", issued=new):
            self.assertEqual((call["client"], call["certificate"]), (self.agent.status()["id"] + "-renew", old))
        self.assert_told(old, new)

        self.wait("the end of the old certificate in the cloud",
                  lambda: self.record.all("rule", deactivated=old))
        self.assertEqual(self.agent.stop(), 0)
        refusals = len(self.record.all("refused", certificate=old))
        self.start_from_kept_state()
        self.wait("a refusal of the copy that somebody kept",
                  lambda: len(self.record.all("refused", certificate=old, reason="INACTIVE")) > refusals)
        self.assertNotEqual(self.agent.status()["link"]["state"], "online")


class SameKey(OnSchedule):
    LIFE = 24
    ROTATION = {"renew-at": "50%", "rekey": "no"}
    test_a_new_key_follows_and_the_old_one_is_gone_everywhere = None

    def test_the_same_key_can_serve_again(self):
        old, new = self.rotate()
        self.assertEqual(self.key_of(1), self.key_of(2))
        self.assertNotEqual(old, new)
        self.assertEqual(self.files_of(1) & {"key.pem", "bundle.pem"}, set())
        self.assert_told(old, new)


class NoSecondClientId(RotationScenario):
    """A service that allows one client id a gateway: the session makes room for the helper."""

    def forbid_rotation_client(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "aws",
                               "thing-policy.json"), encoding="utf-8") as file:
            text = file.read()
        for name, value in (("@REGION@", "eu-central-1"), ("@ACCOUNT@", "123456789012"),
                            ("@ROTATION_TEMPLATE@", "tidegate-rotation")):
            text = text.replace(name, value)
        self.assertIn("}-renew", text)
        self.cloud.ask("policy", name="TidegateGateway", document=text.replace("}-renew", "}-forbidden"))

    def test_the_session_makes_room_and_comes_back(self):
        self.start_agent()
        self.wait_generation(1)
        self.wait("readings", lambda: len(self.numbers()) >= 10)
        self.forbid_rotation_client()
        self.renew()
        self.wait_generation(2, 90)
        self.wait_retired(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()
        self.assert_identity_is_one(2)
        client = self.agent.status()["id"]
        self.assertTrue(self.record.all("refused", stage="connect", client=client + "-renew", code=7))
        [register] = self.record.all("provisioning", api="register", template="tidegate-rotation")
        self.assertEqual((register["client"], register["outcome"]), (client, "accepted"))
        agent, helper = self.sessions()[:2]
        self.assertEqual(agent["reason"], "CLIENT_INITIATED_DISCONNECT")
        self.assertGreater(helper["begin"], agent["end"])


class OnMosquitto(Scenario):
    """The same with another broker, and with a subscriber of its own."""

    def test_an_ordered_renewal_loses_nothing(self):
        self.config["rotation"] = {"probation": "2s"}
        self.config["enrolment.aws-fleet"] |= {"rotation-template": "tidegate-rotation", "parameter.SerialNumber": "%i"}
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait_packs(5)
        code, out, error = self.agent.ctl("renew", "--wait", seconds=90)
        self.assertEqual(code, 0, out + error)
        self.wait("generation 2", lambda: self.agent.status()["identity"]["generation"] == 2)
        self.wait_online()
        count = len(self.subscriber.numbers())
        self.wait_packs(count + 5)
        self.assert_promise(self.wait_drained())
        self.assertNotIn("already connected", read_text(self.broker.log))


if __name__ == "__main__":
    main()
