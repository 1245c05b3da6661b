#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Failures that say nothing definite, topics that are denied, and what a refused or a waiting certificate looks like."""

import os
import time

from gateway_bench import main, read_text
from rotation_bench import RotationScenario

EVENTS = "*/status/events"


class Trial(RotationScenario):
    def first_session(self):
        self.start_agent()
        self.wait_generation(1)
        self.wait("readings", lambda: len(self.numbers()) >= 5)

    def link(self):
        return self.agent.status()["link"]

    def standing(self):
        return self.agent.status()["identity"].get("standing")

    def client(self):
        return self.agent.status()["id"]

    def connects(self, number):
        return len(self.record.all("tls", certificate=self.id_of(number)))

    def hurry(self):
        """An operator's reload ends the pause before the next try."""
        self.assertEqual(self.agent.ctl("reload")[0], 0)


class Indefinite(Trial):
    def test_closed_before_connack_counts_three_times(self):
        self.first_session()
        self.cloud.ask("fault", name="connect-drop", certificate="next", count=-1)
        self.renew()
        for tries in (1, 2):
            self.wait(f"try {tries}", lambda: os.path.isdir(f"{self.agent.state}/identity/generations/000002")
                      and self.connects(2) >= tries)
            # Current has the session again, and the candidate is kept for another try.
            back = self.wait("the way back", lambda: self.link()["state"] == "online" and self.link())
            self.assertEqual(back["identity"], "current")
            self.assertEqual(self.slots()["candidate"], 2)
            self.assertEqual(self.connects(2), tries)
            self.hurry()
        self.wait("the roll-back", lambda: self.slots()["candidate"] is None)
        self.wait_generation(1)
        self.assertEqual(self.connects(2), 3)
        [event] = self.wait("the event", lambda: self.events_told("certificate-rolled-back"))
        self.assertRegex(event["reason"], "before CONNACK")
        self.assert_identity_is_one(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_one_that_is_activated_late_is_taken(self):
        self.first_session()
        self.cloud.ask("fault", name="connect-drop", certificate="next", count=1)
        self.renew()
        self.wait("the way back", lambda: self.slots()["candidate"] == 2 and self.connects(2) >= 1
                  and self.link()["state"] == "online" and self.link()["identity"] == "current")
        self.hurry()
        self.wait_generation(2)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_no_answer_goes_back_after_one_attempt(self):
        self.first_session()
        self.cloud.ask("fault", name="connect-hang", certificate="next", count=-1)
        self.renew()
        self.wait("the attempt", lambda: self.slots()["candidate"] == 2 and self.connects(2) >= 1)
        self.wait("the way back", lambda: self.link()["state"] == "online" and self.link()["identity"] == "current", 60)
        self.assertEqual(self.slots()["candidate"], 2)
        self.assertEqual(self.connects(2), 1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()


class Probation(Trial):
    ROTATION = {"probation": "10m"}

    def test_a_network_that_fails_asks_the_old_one(self):
        self.config["mqtt"]["keep-alive"] = "5s"
        self.write_config()
        self.first_session()
        self.renew()
        self.wait_generation(2)
        self.assertEqual(self.slots()["previous"], 1)
        # The session ends by silence, then the new one alone does not get through.
        self.cloud.ask("fault", name="connect-drop", certificate=self.id_of(2), count=-1)
        self.cloud.ask("fault", name="ping-never", client=self.client(), count=-1)
        self.cloud.ask("fault", name="puback-never", certificate=self.id_of(2), count=-1)
        self.wait("the old one to be current", lambda: self.slots()["current"] == 1, 90)
        self.cloud.ask("clear")
        self.wait_generation(1)
        self.assertEqual(len(self.record.all("fault", name="connect-drop")), 2)
        [event] = self.wait("the event", lambda: self.events_told("certificate-rolled-back"))
        self.assertEqual((event["old"]["generation"], event["new"]["generation"]), (1, 2))
        self.assert_identity_is_one(1)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_a_restart_does_not_end_it(self):
        self.first_session()
        self.renew()
        self.wait_generation(2)
        self.assertEqual(self.agent.stop(), 0)
        self.start_agent()
        self.wait_generation(2)
        self.assertTrue(self.agent.status()["rotation"]["probation"])
        self.assertIn("key.pem", self.files_of(1))
        # And a drop still counts.
        self.cloud.ask("disconnect", client=self.client())
        self.wait("the old one to be current", lambda: self.slots()["current"] == 1)
        self.wait_generation(1)
        self.assert_identity_is_one(1)
        self.assert_nothing_lost()


class Events(Trial):
    ROTATION = {"probation": "4s"}

    def test_a_broker_that_denies_them_is_not_annoyed_for_ever(self):
        self.first_session()
        self.cloud.ask("fault", name="publish-deny", topic=EVENTS, count=-1)
        self.renew()
        self.wait_generation(2)
        # It is not held against the certificate, and the old key goes all the same.
        self.wait_retired(1, 100)
        self.wait_generation(2)
        self.assertLessEqual(len(self.record.all("fault", name="publish-deny")), 3)
        self.assertIn("giving this event up", self.agent.said())
        self.assert_identity_is_one(2)
        self.assert_nothing_lost()
        self.assert_one_session_at_a_time()

    def test_the_old_key_stays_until_the_event_is_acknowledged(self):
        self.first_session()
        self.renew()
        self.wait("the first event", lambda: self.events_told("certificate-renewed"))
        self.cloud.ask("fault", name="puback-drop-before", topic=EVENTS, count=1)
        self.wait("the event", lambda: self.events_told("certificate-retired"))
        self.assertIn("key.pem", self.files_of(1))
        self.wait_retired(1)
        told = self.events_told("certificate-retired")
        self.assertEqual(len(told), 2, "once without, once with its PUBACK")
        self.assertEqual(told[0], told[1])
        self.wait_generation(2)
        self.assert_nothing_lost()


class Standing(Trial):
    def link_cpu_s(self):
        """What the link's thread has had of the processor."""
        tasks = f"/proc/{self.agent.process.pid}/task"
        for task in os.listdir(tasks):
            if read_text(f"{tasks}/{task}/comm").strip() == "link":
                fields = read_text(f"{tasks}/{task}/stat").rsplit(")", 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.fail("the agent has no link thread")

    def assert_at_rest(self):
        """An hour is waited for, not spun through."""
        before, began = self.link_cpu_s(), time.monotonic()
        time.sleep(4)
        share = (self.link_cpu_s() - before) / (time.monotonic() - began)
        self.assertLess(share, 0.05, "the link's thread does not rest")

    def test_refused_is_tried_once_an_hour(self):
        self.first_session()
        self.assertEqual(self.standing(), "good")
        self.assertEqual(self.agent.stop(), 0)
        self.cloud.ask("fault", name="connack", code=5, count=-1)
        self.start_agent()
        self.wait("the standing", lambda: self.standing() == "refused")
        self.assertGreaterEqual(self.link()["next_s"], 3500)
        self.assertIn("refuses the current certificate", self.agent.said())
        self.wait("readings on the disk", lambda: self.agent.status()["spool"]["disk_packs"] > 0)
        self.assert_at_rest()
        self.cloud.ask("clear")
        self.hurry()
        self.wait_generation(1)
        self.wait("the standing to be told", lambda: self.standing() == "good")
        self.assert_nothing_lost()

    def test_closed_again_and_again_is_refused_too(self):
        self.first_session()
        client = self.client()
        self.assertEqual(self.agent.stop(), 0)
        self.cloud.ask("fault", name="connect-drop", client=client, count=-1)
        self.start_agent()
        self.wait("the standing", lambda: self.standing() == "refused", 60)
        self.assertEqual(len(self.record.all("fault", name="connect-drop")), 3)
        self.assertGreaterEqual(self.link()["next_s"], 3500)

    def test_a_first_one_that_is_not_active_yet_is_tried_until_it_is(self):
        # All but the helper, which the claim's certificate tells.
        self.cloud.ask("fault", name="tls-drop", certificate="next", count=3)
        self.start_agent()
        self.wait("the standing", lambda: self.standing() == "pending activation")
        self.assertEqual(self.slots(), {"current": None, "candidate": 1, "previous": None})
        self.assertIn("does not take the first certificate yet", self.agent.said())
        self.wait_generation(1)
        self.wait("the standing to be told", lambda: self.standing() == "good")
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assert_nothing_lost()


del Trial

if __name__ == "__main__":
    main()
