#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events for the cloud outlive a kill and a full spool, come before readings, and come once."""

import json
import os
import re

import faults
from gateway_bench import Scenario, main, read_text


class Events(Scenario):
    EVERY = "50ms"

    def spool(self):
        return self.agent.status()["spool"]

    def offline_from_now(self):
        self.wait_online()
        self.wait_packs(3)
        self.broker.kill()
        self.wait_offline()

    def damage(self):
        """What only the next start finds."""
        with open(self.agent.state + "/spool.db", "wb") as file:
            file.write(os.urandom(32 * 1024))

    def online_again(self):
        self.broker.start()
        # Whoever reloads does not wait for the end of a back-off.
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_online(90)

    def test_an_event_outlives_two_kills_and_comes_before_readings(self):
        self.agent.start()
        self.offline_from_now()
        self.agent.kill()
        self.damage()
        self.agent.start()
        self.wait("an event in the file", lambda: self.spool()["events_stored"] == self.spool()["events"] == 1)
        kept = self.agent.ask({"cmd": "spool"})["data"]["kept_as"]
        self.agent.kill()
        self.agent.start()
        self.wait("the event of the start before", lambda: self.spool()["events"] == 1)
        self.wait("rows on the disk", lambda: self.spool()["disk_packs"] >= 20)
        self.assertEqual(self.subscriber.events(), [])
        before = len(read_text(self.broker.log))
        self.online_again()
        self.wait("the event", self.subscriber.events)
        self.wait_drained()
        event, = self.subscriber.events("spool-damaged")
        self.assertEqual(event["file"], kept)
        # How many of either depends on what the log still had.
        self.assertLessEqual({"rescued", "lost"}, event.keys())
        self.assertTrue(event["id"] and event["time"])
        # The first of the session, behind the status document, as the broker has seen it.
        topics = re.findall(r"Received PUBLISH from .*'tidegate/[0-9a-f]+/([^']+)'", read_text(self.broker.log)[before:])
        self.assertIn("boiler", topics)
        self.assertEqual(topics[:2], ["status", "status/events"])
        self.wait("a spool without events", lambda: self.spool()["events"] + self.spool()["events_stored"] == 0)
        # And it is not told again.
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.wait_online()
        self.wait_packs(len(self.subscriber.numbers()) + 20)
        self.assertEqual(len(self.subscriber.events()), 1)
        self.assertEqual(self.agent.stop(), 0)

    def test_one_event_tells_of_all_that_was_dropped(self):
        self.config["spool"] = {"max-size": "64K", "memory": "64K"}
        self.config["device boiler"]["every"] = "10ms"
        self.config["mqtt"]["rate-limit"] = "none"
        self.write_config()
        self.agent.start()
        self.offline_from_now()
        dropped = self.wait("drops", lambda: self.spool()["dropped"] > 100 and self.spool()["dropped"], 60)
        # What was dropped before a kill is told after it, too.
        self.agent.kill()
        self.agent.start()
        self.wait("more drops", lambda: self.spool()["dropped"] > dropped + 20, 60)
        self.assertEqual(self.spool()["events"], 0)
        self.assertGreater(self.spool()["gaps"], 0)
        self.online_again()
        event = self.wait("the event", lambda: self.subscriber.events("readings-dropped"), 40)[0]
        gaps = [json.loads(payload) for _, topic, payload in self.subscriber.messages() if '"_gap"' in payload]
        told = {pack[0]["v"]: next(r["v"] for r in pack if r["n"] == "_gap") for pack in gaps}
        self.assertEqual(event["packs"], event["total"])
        self.assertEqual(event["total"], self.spool()["dropped"])
        self.assertEqual(sum(told.values()), event["total"])
        self.assertEqual(len(self.subscriber.events()), 1)
        faults.told("F17", f"max-size reached offline: {event['total']} packs dropped, all of them in gap records and in one event")
        self.assertEqual(self.agent.stop(), 0)

    def test_the_spool_tells_about_itself(self):
        self.config["spool"] = {"durability": "normal"}
        self.write_config()
        self.agent.start()
        self.offline_from_now()
        self.wait("rows on the disk", lambda: self.spool()["disk_packs"] >= 3)
        code, out, error = self.agent.ctl("spool")
        self.assertEqual((code, error), (0, ""))
        self.assertRegex(out, r"(?m)^waiting +\d+ packs in memory \(.*\), \d+ on disk \(.* of 256.*\)$")
        self.assertRegex(out, r"(?m)^oldest +2\d{3}-")
        self.assertRegex(out, r"(?m)^durability +normal: .* 11\.0 s .* checkpoint$")
        self.assertRegex(out, r"(?m)^when full +drop-oldest; .* 30 d go, too$")
        code, out, error = self.agent.ctl("--json", "spool")
        self.assertEqual(json.loads(out)["loss_window_ms"], 11000)
        self.assertEqual(self.agent.ctl("spool", "--aside")[:2], (0, "Nothing was set aside.\n"))
        self.assertEqual(self.agent.ctl("status", "--aside")[0], 2)
        self.assertRegex(self.agent.ctl("status")[1], r"(?m)^spool +.*durability\s+normal")
        self.assertEqual(self.agent.stop(), 0)


if __name__ == "__main__":
    main()
