#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker is killed for ten seconds: everything that was read arrives, once or more, in order."""

import time

from gateway_bench import Scenario, main


class Outage(Scenario):
    def waiting(self):
        spool = self.agent.status()["spool"]
        return spool["memory_packs"] + spool["disk_packs"]

    def read_counter(self):
        """The device's own counter, read now: a value that is in one pack only."""
        code, out, error = self.agent.ctl("read", "boiler/polls")
        self.assertEqual(code, 0, error)
        return int(float(out.split()[2]))

    def test_what_is_read_while_the_broker_is_away_arrives(self):
        self.agent.start()
        self.wait_online()
        self.wait_packs(5)
        self.broker.kill()
        status = self.wait_offline()
        self.assertGreater(status["link"]["failures"], 0)
        begin, before, read = time.monotonic(), self.waiting(), []
        while time.monotonic() - begin < 9:
            read.append(self.read_counter())
            time.sleep(1)
        status = self.agent.status()
        self.assertIn(status["link"]["state"], ("offline", "connecting"))
        self.assertRegex(status["link"]["error"], r"^localhost:\d+: .*(refused|closed|reset|ended)")
        self.assertGreater(self.waiting(), before + 30)
        self.assertGreater(status["spool"]["disk_packs"], 30, "the link is down: what is read goes to the disk")
        self.assertIsNotNone(status["spool"]["oldest"])
        self.broker.start()
        self.wait_online()
        packs = self.wait_drained()
        self.assert_promise(packs)
        self.assertTrue(any(p.stream == "replay" for p in packs))
        arrived = {p.values.get("polls") for p in packs}
        self.assertEqual([v for v in read if v not in arrived], [])
        self.wait("an empty spool", lambda: self.waiting() < 10)

    def test_killed_in_the_outage_it_loses_a_commit_interval_at_most(self):
        self.agent.start()
        self.wait_online()
        self.wait_packs(5)
        self.broker.kill()
        self.wait_offline()
        time.sleep(2)
        polls = self.agent.device()["polls"]
        self.agent.kill()
        self.agent.start()
        self.wait("readings of the second start", lambda: self.agent.device()["polls"] >= 5)
        self.broker.start()
        self.wait_online()
        self.wait("both epochs", lambda: len({p.epoch for p in self.subscriber.packs()}) == 2)
        packs = self.wait_drained()
        self.assert_promise(packs)
        first, second = sorted({p.epoch for p in packs})
        self.assertEqual(second, first + 1)
        # Five readings a second; the commit interval is one.
        self.assertGreaterEqual(len({p.seq for p in packs if p.epoch == first}), polls - 6)


if __name__ == "__main__":
    main()
