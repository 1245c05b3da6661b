#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A clock that is wrong from the start, and nobody who would set it: the gateway enrols, connects and renews in time."""

import faults
from clock_bench import DAY, YEARS, ClockScenario, iso
from gateway_bench import main


class Behind(ClockScenario):
    def test_two_years_behind_and_ntp_blocked_for_ever(self):
        self.renew_broker(days_old=7)
        self.start_agent()
        self.wait_online()
        status = self.wait_floor("own certificate", "broker's certificate")
        clock = status["clock"]
        self.assertEqual(clock["state"], "suspect")
        self.assert_now(iso(clock["floor"]), delta=600)
        self.assertEqual(len(self.cloud.issued()), 1)
        # What was written and what is shown goes by the time that is known, not by the clock.
        self.assert_now(iso(status["identity"]["made"]), delta=600)
        left = (iso(status["identity"]["not_after"]) - self.world.now()) / DAY
        self.assertAlmostEqual(status["identity"]["days_left"], left, delta=1)
        self.assertEqual(status["link"]["connects"], 1)
        self.assertIn("event: The clock cannot be believed", self.agent.said())

        undated = self.wait_packs(5)[-1]
        self.assertEqual((undated.base_time, undated.clock, undated.boot), (None, "suspect", clock["boot"]))

        # A person sets the clock: nobody vouches for it, but it is no longer behind what is known.
        self.set_clock(0)
        status = self.wait_clock("waiting for synchronisation")
        dated = self.wait_new_pack(lambda p: p.clock is None)
        self.assert_now(dated.base_time)
        event = self.wait_event("clock-repaired")
        self.assertEqual((event["boot"], event["clock"]), (undated.boot, "unconfirmed"))
        self.assertAlmostEqual(event["step_ms"], YEARS * 1000, delta=60000)
        # The event dates what went out before, and so does the status document.
        self.assert_now(undated.boot_time + event["offset_ms"] / 1000)
        self.assertAlmostEqual(status["clock"]["offset_ms"], event["offset_ms"], delta=60000)
        self.assertIn("event: The clock can be believed again", self.agent.said())
        self.assertEqual(self.agent.status()["link"]["connects"], 1)
        self.assert_promise(self.wait_drained())
        faults.told("F13",
                    "two years behind, no NTP: enrolled once, connected, packs marked as undated, dated when the clock was set")

    def test_a_broker_that_is_younger_than_all_that_the_gateway_knows(self):
        self.set_clock(0)
        self.start_agent()
        self.wait_online()
        before = self.wait_packs(3)
        self.agent.stop()
        # Weeks in its box, and then an empty battery.
        self.world.set(self.world.offset + 25 * DAY)
        self.renew_broker(days_old=7)
        self.set_clock(-YEARS)
        self.start_agent()
        self.wait_online()
        status = self.wait_floor("broker's certificate")
        self.assertEqual(status["clock"]["state"], "suspect")
        self.assertAlmostEqual(iso(status["clock"]["floor"]), self.world.now() - 7 * DAY, delta=600)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assertGreater(len(self.wait_drained()), len(before))
        self.agent.stop()
        # What was proved outlives the next power cut: it was saved at once.
        self.start_agent()
        status = self.wait_online()
        self.assertEqual(status["clock"]["floor_source"], "saved time")
        self.assert_promise(self.wait_drained())

    def test_it_renews_in_time(self):
        self.config["enrolment.aws-fleet"]["rotation-template"] = "tidegate-rotation"
        self.config["enrolment.aws-fleet"]["parameter.SerialNumber"] = "%i"
        self.config["rotation"] = {"max-age": "12s", "jitter": "0%", "probation": "2s"}
        self.write_config()
        self.start_agent()
        self.wait_online()
        status = self.wait("a new generation", lambda: (s := self.wait_online())["identity"]["generation"] >= 2 and s, 60)
        self.assertEqual(status["clock"]["state"], "suspect")
        self.assert_now(iso(status["identity"]["made"]), delta=600)
        self.assertLessEqual(len(self.cloud.issued()), 3)
        self.assert_promise(self.wait_drained())

    def test_1970_and_decades_ahead(self):
        self.set_clock(100 - self.world.now())
        self.start_agent()
        self.wait_online()
        status = self.wait_floor("own certificate", "broker's certificate")
        self.assertEqual(status["clock"]["state"], "suspect")
        self.agent.stop()
        # What a clock chip makes of an empty battery: by this time every certificate has expired.
        self.set_clock(40 * 365 * DAY)
        self.start_agent()
        status = self.wait_online()
        self.assertEqual(status["clock"]["state"], "suspect")
        self.assert_now(iso(status["clock"]["believed"]), delta=600)
        self.assertIsNone(self.wait_packs(5)[-1].base_time)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assert_promise(self.wait_drained())
        faults.told("F13", "1970, then 40 years ahead: suspect both times, connected, one certificate in all")


if __name__ == "__main__":
    main()
