#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A clock that is set while the gateway runs: nothing is thrown away, no session ends, and readings are dated when they can
be."""

import os

import faults
from clock_bench import DAY, YEARS, ClockScenario
from gateway_bench import main


class Jumps(ClockScenario):
    OFFSET = 0

    def test_a_clock_that_is_set_back_and_forth(self):
        self.synchronise()
        self.start_agent()
        status = self.wait_online()
        self.assertEqual((status["clock"]["state"], status["clock"]["service"]), ("synchronised", "timesyncd"))
        self.assert_now(self.wait_packs(3)[-1].base_time)
        # The good time is on the disk.
        self.wait("the saved time", lambda: os.path.exists(self.agent.state + "/last-time"))

        # Two years ahead by hand: the mark is from before, and counts no more.
        self.set_clock(YEARS)
        self.wait_clock("waiting for synchronisation")
        ahead = self.wait_new_pack(lambda p: p.base_time and p.base_time > self.world.now() + YEARS / 2)
        self.assertEqual(self.wait_event("clock-set")["clock"], "unconfirmed")
        # Two years back from there, and two more: behind what was certain before.
        self.set_clock(-YEARS)
        self.wait_clock("suspect")
        undated = self.wait_new_pack(lambda p: p.clock == "suspect")
        self.assertGreater(undated.seq, ahead.seq)

        # What is read without a broker waits in the spool, and is dated when the clock is right.
        self.broker.kill()
        self.wait_offline()
        polls = self.agent.device()["polls"]
        self.wait("readings in the outage", lambda: self.agent.device()["polls"] >= polls + 20)
        newest = max(self.subscriber.numbers())
        self.synchronise()
        status = self.wait_clock("synchronised")
        self.assertEqual(status["clock"]["jumps"], 3)
        self.broker.start()
        self.wait_online()
        packs = self.wait_drained()
        waited = [p for p in packs if p.seq > newest]
        self.assertGreater(len(waited), 20)
        for pack in waited:
            self.assertIsNone(pack.clock)
            self.assert_now(pack.base_time)
        event = self.wait_event("clock-repaired")
        self.assert_now(undated.boot_time + event["offset_ms"] / 1000)
        self.assert_promise(packs)
        # One session before the outage, and one after: nobody hangs up because of a clock.
        self.assertEqual(self.agent.said().count("event: Connected to the broker"), 2)
        faults.told("F13",
                    f"two years ahead, four back, right again: {len(packs)} packs in order, those that waited dated, no session ended")

    def test_what_nobody_vouched_for_is_dated_anew_while_it_waits(self):
        # Two days ahead, which no floor tells.
        self.set_clock(2 * DAY)
        self.broker.kill()
        self.start_agent()
        self.wait("an identity", lambda: self.agent.status()["identity"]["state"] != "none", 60)
        self.assertEqual(self.clock_status()["state"], "waiting for synchronisation")
        self.wait("readings", lambda: self.agent.device()["polls"] >= 20)
        self.synchronise()
        self.wait_clock("synchronised")
        self.broker.start()
        self.wait_online()
        packs = self.wait_drained()
        self.assertGreater(len(packs), 20)
        for pack in packs:
            self.assert_now(pack.base_time)
        self.assert_promise(packs)


if __name__ == "__main__":
    main()
