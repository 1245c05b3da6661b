#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packs for which the broker ends the connection, and brokers that end it for every pack."""

import json
import sqlite3
import sys

from gateway_bench import FAKES, Broker, Modbus, Pack, Scenario, main, read_text

import faults

sys.path.insert(0, FAKES)
from hostile_broker import HostileBroker  # noqa: E402


def is_reading(topic):
    return not topic.endswith(("/status", "/status/events"))


class Poison(Scenario):
    """The broker here decides by what is in a message. `tidegate reload` stands for patience: it ends a pause."""

    EVERY = "100ms"

    def setUp(self):
        super().setUp()
        certificate = self.broker.authority.issue("hostile.pem", "localhost", sans=["localhost"], server=True)
        self.hostile = HostileBroker("suback-1", certificate)
        self.addCleanup(self.hostile.stop)
        self.config["mqtt"].update({"port": self.hostile.port, "keep-alive": "5s"})
        self.killed = []
        self.tried = {}

    def add_devices(self):
        super().add_devices()
        self.other = self.part(Modbus(self.dir, "other"))
        self.add_device("meter", self.other, {"ramp": "holding 3 int16"})

    def packs(self):
        return [Pack(topic, payload.decode()) for topic, payload in list(self.hostile.acked) if is_reading(topic)]

    def kills_if(self, condition, verdict="kill"):
        def judge(topic, payload):
            if not is_reading(topic):
                return None
            pack = Pack(topic, payload.decode())
            self.tried[pack.seq] = self.tried.get(pack.seq, 0) + 1
            if condition(pack):
                self.killed.append(pack.seq)
                return verdict
            return None
        self.hostile.verdict = judge

    def go_on(self):
        """Ends the pause, if there is one."""
        if self.agent.status()["link"]["state"] == "offline":
            self.assertEqual(self.agent.ctl("reload")[0], 0)

    def spool(self):
        return self.agent.status()["spool"]

    def wait_patiently(self, what, condition, seconds=60):
        def step():
            self.go_on()
            return condition()
        return self.wait(what, step, seconds)

    def aside(self):
        """The numbers of what was set aside, once the agent has ended."""
        with sqlite3.connect(f"file:{self.agent.state}/spool.db?mode=ro", uri=True) as db:
            return {seq for seq, in db.execute("SELECT seq FROM aside")}

    def start_with_backlog(self, packs=60):
        """So many packs wait before the broker is there for the first time."""
        self.config["mqtt"]["endpoint"] = ""
        self.write_config()
        self.agent.start()
        self.wait("an identity", lambda: self.agent.status()["enrolment"]["state"] == "settled", 60)
        self.wait("a backlog", lambda: self.spool()["disk_packs"] >= packs)
        self.config["mqtt"]["endpoint"] = "localhost"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)

    def missing(self):
        return {epoch << 32 | n for epoch, n in self.holes({p.seq for p in self.packs()})}

    def stop_and_judge(self, bad):
        """All but the bad ones arrive, in order, and those are kept aside. Returns the numbers of all that have come."""
        polls = sum(d["polls"] for d in self.agent.status()["devices"])
        self.wait_patiently("the rest", lambda: len({p.seq for p in self.packs()}) >= polls - len(bad)
                            and self.missing() <= bad)
        self.assertEqual(self.agent.stop(), 0)
        self.assert_in_order(self.packs())
        self.assertEqual(self.missing(), bad)
        self.assertEqual(self.aside(), bad)
        return {p.seq for p in self.packs()}

    def test_one_pack_that_kills_the_connection_is_set_aside_and_all_others_arrive(self):
        bad = set()

        def is_the_one(pack):
            if not bad and pack.device == "boiler" and pack.number > 20:
                bad.add(pack.seq)
            return pack.seq in bad

        self.kills_if(is_the_one)
        self.start_with_backlog()
        self.wait_patiently("the pack to be set aside", lambda: self.spool()["set_aside"] == 1)
        self.wait_patiently("a session", lambda: self.agent.status()["link"]["state"] == "online")
        numbers = self.stop_and_judge(bad)
        self.assertLessEqual(len(self.killed), 8)
        faults.told("F45", f"one pack of {len(numbers) + 1} ended {len(self.killed)} sessions, then it was set aside; "
                           "all others arrived in order")

    def test_a_broker_that_kills_for_every_reading_costs_none_and_is_told_once(self):
        self.kills_if(lambda pack: True)
        self.start_with_backlog(packs=20)
        self.wait_patiently("the word", lambda: self.agent.status()["link"]["problem"], 90)
        self.assertIn("on every reading", self.agent.status()["link"]["problem"])
        ends = len(self.killed)
        # It goes on so for a while, and then the policy is mended.
        self.wait_patiently("three tries more", lambda: len(self.killed) >= ends + 3)
        spool = self.spool()
        self.assertEqual((spool["set_aside"], spool["held"], spool["dropped"]), (0, 0, 0))
        self.hostile.verdict = lambda topic, payload: None
        self.wait_patiently("readings", self.packs)
        numbers = self.stop_and_judge(set())
        self.assertEqual(self.agent.said().count("The broker takes no readings"), 1)
        events = [payload for topic, payload in self.hostile.acked if topic.endswith("/events") and b"readings-refused" in payload]
        self.assertEqual(len(events), 1)
        print(f"{len(self.killed)} sessions ended, {len(numbers)} readings arrived, none was lost", flush=True)

    def test_a_device_that_is_refused_is_kept_and_the_other_goes_on(self):
        self.kills_if(lambda pack: pack.device == "boiler")
        self.start_with_backlog(packs=20)
        self.wait_patiently("the word", lambda: self.spool()["refused_devices"] == 1, 150)
        ends = len(self.killed)
        self.assertLessEqual(ends, 40)

        def others():
            return len({p.seq for p in self.packs() if p.device == "meter"})
        self.wait_patiently("a session", lambda: self.agent.status()["link"]["state"] == "online")
        before = others()
        self.wait("the other device", lambda: others() >= before + 50)
        # That reload, and those before, stand for one try at most.
        self.assertLessEqual(len(self.killed), ends + 1)
        spool = self.spool()
        self.assertEqual((spool["refused_device"], spool["set_aside"], spool["dropped"]), ("boiler", 2, 0))
        self.assertEqual(self.agent.said().count("The broker takes nothing of a device"), 1)
        self.assertIn("1 devices of which the broker takes nothing, the last one is boiler", self.agent.ctl("spool")[1])
        events = [json.loads(payload) for topic, payload in list(self.hostile.acked)
                  if topic.endswith("/events") and b"device-refused" in payload]
        self.assertEqual([(e["device"], e["count"]) for e in events], [("boiler", 1)])

        # The policy is mended.
        self.hostile.verdict = lambda topic, payload: None
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_patiently("the device", lambda: self.spool()["refused_devices"] == 0)
        bad = {pack["seq"] for pack in json.loads(self.agent.ctl("--json", "spool", "--aside")[1])["aside"]}
        self.assertEqual(len(bad), 2)
        numbers = self.stop_and_judge(bad)
        print(f"every pack of one device ended the session, {len(self.killed)} times in all; {before + 50} packs of the other "
              f"arrived meanwhile, and all {len(numbers)} once the broker took it, but for 2 set aside", flush=True)

    def test_a_pack_that_is_never_acknowledged_is_set_aside(self):
        bad = set()

        def is_the_one(pack):
            if not bad and pack.device == "boiler" and pack.number > 20:
                bad.add(pack.seq)
            return pack.seq in bad

        self.kills_if(is_the_one, "mute")
        self.start_with_backlog()
        # Three keep-alives for each of seven sessions.
        self.wait_patiently("the pack to be set aside", lambda: self.spool()["set_aside"] == 1, 150)
        self.wait_patiently("a session", lambda: self.agent.status()["link"]["state"] == "online")
        numbers = self.stop_and_judge(bad)
        self.assertLessEqual(len(self.killed), 8)
        self.assertIn("does not answer to a message, but to later ones", self.agent.said())


class LargePack(Scenario):
    """mosquitto, which ends the connection of who sends it more than max_packet_size."""

    LIMIT = 5000
    POINTS = 100

    def add_devices(self):
        super().add_devices()
        plant = self.part(Modbus(self.dir, "large"))
        # Polled once: one pack, which is too large.
        self.add_device("archive", plant, {f"{'a-very-long-name-of-a-point-in-the-archive-of-this-plant'}-{i}": "holding 3 int16"
                                           for i in range(self.POINTS)}, every="1h")

    def make_cloud(self):
        Broker.EXTRA = f"max_packet_size {self.LIMIT}\n"
        self.addCleanup(setattr, Broker, "EXTRA", "")
        super().make_cloud()

    def test_a_pack_that_is_too_large_for_mosquitto_is_set_aside(self):
        self.agent.start()

        def set_aside():
            if self.agent.status()["link"]["state"] == "offline":
                self.assertEqual(self.agent.ctl("reload")[0], 0)
            return self.agent.status()["spool"]["set_aside"] == 1
        self.wait("the pack to be set aside", set_aside, 90)
        self.wait_online()
        polls = self.agent.device("boiler")["polls"]
        self.wait("the others", lambda: len({p.seq for p in self.subscriber.packs("boiler")}) >= polls)
        self.assertEqual(self.subscriber.packs("archive"), [])
        self.assert_in_order(self.subscriber.packs("boiler"))
        event, = self.wait("the event", lambda: self.subscriber.events("pack-set-aside"))
        self.assertEqual((event["packs"], event["device"]), (1, "archive"))
        self.assertGreaterEqual(read_text(self.broker.log).count("oversize packet"), 1)


if __name__ == "__main__":
    if "--full" in sys.argv:
        sys.argv.remove("--full")
    else:
        del Poison.test_a_pack_that_is_never_acknowledged_is_set_aside  # two minutes
    main()
