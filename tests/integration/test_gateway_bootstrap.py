#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""When the certificate alone does not help any more: refused for good, not active yet, expired, and back to the claim or not."""

import os
import shutil
import time

from gateway_bench import main, read_text
from rotation_bench import RotationScenario

HOUR = 3600


class Standing(RotationScenario):
    """What the broker thinks of the certificate."""

    def standing(self):
        return self.identity().get("standing")

    def claims(self):
        """Certificates that were asked for with the claim."""
        return [e for e in self.record.all("provisioning", api="create", outcome="accepted")
                if e["client"].startswith("enrol-")]

    def enrol_and_start_again(self):
        """The claim is used once an hour at most, as far as a run of the agent remembers: so in another run."""
        self.start_agent()
        self.wait_generation(1)
        self.assertEqual(self.agent.stop(), 0)
        self.start_agent()
        self.wait_generation(1)

    def refuse(self, number):
        """The broker's own word, which counts at once."""
        self.cloud.ask("fault", name="connack", code=5, count=-1, certificate=self.id_of(number))
        self.cloud.ask("disconnect", client=self.agent.status()["id"])

    def assert_held(self):
        """At most one try an hour, and no new certificate."""
        self.wait("the state refused", lambda: self.standing() == "refused", 90)
        self.assertIn(self.agent.status()["link"]["state"], ("offline", "connecting"))
        next_s = self.wait("the next try", lambda: self.agent.status()["link"]["next_s"])
        self.assertGreater(next_s, HOUR - 120)
        self.assertLessEqual(next_s, HOUR + 600)
        self.assertEqual(len(self.cloud.issued()), 1)
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("refused", out)


class RefusedForGood(Standing):
    def test_it_holds_and_comes_back_when_it_is_wanted_again(self):
        self.start_agent()
        self.wait_generation(1)
        self.refuse(1)
        self.assert_held()
        time.sleep(3)
        self.assertEqual(len(self.record.all("fault", name="connack")), 1)
        # Told by an operator that all is well again, it takes a start, and not an hour.
        self.cloud.ask("clear")
        self.assertEqual(self.agent.stop(), 0)
        self.start_agent()
        self.wait_generation(1)
        self.assert_nothing_lost_over_starts()

    def assert_nothing_lost_over_starts(self):
        self.wait("readings of the second start", lambda: len({p.epoch for p in self.taken()}) == 2)
        self.assert_nothing_lost()


class RefusedAndClaimed(Standing):
    ROTATION = {"on-refused": "claim"}

    def test_with_leave_it_enrols_again(self):
        self.enrol_and_start_again()
        self.wait("readings", lambda: len(self.numbers()) >= 5)
        self.refuse(1)
        self.wait_generation(2, 120)
        self.assertEqual(len(self.claims()), 2)
        self.wait_retired(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()
        self.assertEqual(self.standing(), "good")


class PendingActivation(Standing):
    def test_the_first_connections_are_dropped(self):
        self.cloud.ask("fault", name="connect-drop", certificate="next", count=3)
        self.start_agent()
        self.wait("the state", lambda: self.standing() == "pending activation")
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("pending activation", out)
        self.wait_generation(1, 60)
        self.assertEqual(self.standing(), "good")
        self.assertEqual(len(self.cloud.issued()), 1, "no new key for it")
        self.assertEqual(len(self.record.all("fault", name="connect-drop")), 3)
        self.assert_nothing_lost()


class Expired(Standing):
    LIFE = 18
    ROTATION = {"renew-at": "50%"}

    def expire(self):
        """The enrolment service refuses every renewal until the certificate is over, and the broker then."""
        self.enrol_and_start_again()
        self.wait("readings", lambda: len(self.numbers()) >= 5)
        self.cloud.ask("fault", name="reply-error", api="create", count=-1, statusCode=500, errorCode="InternalFailure")
        self.wait("attempts to renew", lambda: len(self.record.all("fault", name="reply-error")) >= 2, 40)
        self.wait("the end of its life", lambda: time.time() > self.end_of(1), 40)
        self.cloud.ask("disconnect", client=self.agent.status()["id"])

    def test_held_it_keeps_spooling_and_says_so(self):
        self.expire()
        self.cloud.ask("clear")
        claims = len(self.claims())
        self.wait("a refusal in the handshake",
                  lambda: self.record.all("refused", stage="tls", reason="certificate has expired"))
        self.wait("the word", lambda: "expired" in self.agent.ctl("status")[1])
        time.sleep(4)
        self.assertEqual(len(self.claims()), claims)
        self.assertGreater(self.agent.status()["spool"]["disk_packs"], 5)


class ExpiredAndClaimed(Expired):
    ROTATION = {"renew-at": "50%", "on-expiry": "claim"}
    test_held_it_keeps_spooling_and_says_so = None

    def test_with_leave_it_goes_back_to_the_claim(self):
        self.expire()
        self.cloud.ask("set", name="certificate_life", value=3600)
        self.cloud.ask("clear")
        self.wait_generation(2, 120)
        self.assertGreaterEqual(len(self.claims()), 2)
        self.wait_retired(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()


class ForgottenClaim(Standing):
    def claim_files(self):
        section = self.config["enrolment.aws-fleet"]
        return [section["claim-certificate"], section["claim-key"]]

    def test_the_claim_goes_once_it_has_served(self):
        self.config["enrolment.aws-fleet"]["forget-claim"] = "yes"
        self.write_config()
        self.cloud.ask("fault", name="connect-drop", certificate="next", count=2)
        self.start_agent()
        self.wait("a certificate on trial", lambda: self.slots()["candidate"] == 1)
        self.assertTrue(all(os.path.exists(f) for f in self.claim_files()), "not before it is proved")
        self.wait_generation(1)
        self.wait("the end of the claim", lambda: not any(os.path.exists(f) for f in self.claim_files()), 60)
        # Renewals need none.
        self.renew()
        self.wait_generation(2)
        self.assert_nothing_lost()


class HookRefuses(Standing):
    def test_a_renewal_that_is_refused_is_not_hammered_at(self):
        self.start_agent()
        self.wait_generation(1)
        self.cloud.ask("hook", verdict="refuse")
        self.renew()
        error = self.wait("the refusal", lambda: self.agent.status()["enrolment"]["error"])
        self.assertEqual((error["step"], error["class"]), ("registered", "refused"))
        self.assertIn("Access denied by the pre-provisioning hook", error["text"])
        self.wait("the next try", lambda: self.next_attempt_s() > 60)
        time.sleep(2)
        self.assertEqual(len(self.record.all("provisioning", api="register", outcome="rejected")), 1)
        self.assertEqual(self.generation(), 1)
        self.cloud.ask("hook", verdict="packaged")
        self.renew()
        self.wait_generation(2)
        self.assertEqual(len(self.cloud.issued()), 2, "the certificate that waited was registered, no other one")
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()


class ClaimInTheTpm(Standing):
    """The claim's key is one that the TPM made: what is taken from the disk is of no use elsewhere."""

    def make_claim(self):
        """A gateway of its own enrols in the same TPM; its key and certificate are then declared a claim."""
        self.start_agent()
        self.wait_generation(1)
        self.assertEqual(self.agent.stop(), 0)
        claim = self.dir + "/claim"
        os.mkdir(claim)
        self.cloud.ask("delete-certificate", id=self.id_of(1))
        for name, file in (("key.pem", "claim.key"), ("chain.pem", "claim.pem")):
            os.rename(f"{self.agent.state}/identity/generations/000001/{name}", f"{claim}/{file}")
        self.cloud.ask("register-certificate", pem=read_text(claim + "/claim.pem"), policies=["TidegateClaim"])
        shutil.rmtree(self.agent.state + "/identity")
        self.config["enrolment.aws-fleet"] |= {"claim-certificate": claim + "/claim.pem",
                                               "claim-key": claim + "/claim.key"}

    def test_it_enrols_and_serves_again_after_expiry(self):
        self.make_claim()
        self.config["enrolment.aws-fleet"]["forget-claim"] = "yes"
        self.config["rotation"] |= {"on-refused": "claim", "on-expiry": "claim"}
        self.write_config()
        code, out, error = self.agent.ctl("check", self.agent.conf)
        self.assertEqual(code, 0, out + error)
        self.enrol_and_start_again()
        self.assertIn("TSS2 PRIVATE KEY", read_text(self.dir + "/claim/claim.key"), "wanted again, and of no use elsewhere")
        self.refuse(1)
        self.wait_generation(2, 120)
        self.assert_one_session_at_a_time()


if __name__ == "__main__":
    main()
