# SPDX-License-Identifier: Apache-2.0
"""A machine without a clock chip, after a power cut: it starts at a date that is wrong and plausible, and is set later."""

import time

import faults
from scenes import FINE, System

NO_RTC = "initcall_blacklist=pl031_driver_init"
DAY = 86400


class NoChip(System):
    SPOILS = True

    def test_starts_in_the_past_and_dates_its_readings_when_the_clock_is_set(self):
        self.add_source()
        self.go_online()
        self.wait_packs(4)
        self.machine.world(False)
        self.wait_status_text(r"link (offline|connecting)", 90)
        self.wait("a backlog", lambda: self.ask("status")["spool"]["disk_packs"] >= 10)
        kept = self.source.number - 4   # what was read within a commit interval of the cut may go with it
        self.machine.restart(NO_RTC)
        self.source.connect(self.machine)
        self.assertNotEqual(self.machine.try_run("test -e /dev/rtc0").returncode, 0)
        clock = float(self.machine.run("date +%s"))
        self.assertLess(clock, time.time() - DAY, "systemd has a date for those who have none: that of its own release")
        self.assertGreater(clock, time.time() - 20 * 365 * DAY)

        self.assertIn("packs wait; clock suspect", self.wait_status_text(r"^enrolled; link online; 2 of 2 .*; clock suspect$", 120))
        status = self.ask("status")
        self.assertEqual((status["clock"]["state"], status["identity"]["generation"]), ("suspect", 1))
        self.wait("readings without a date", lambda: [p for p in self.packs("boiler") if p.clock == "suspect"])
        undated = [p for p in self.packs("boiler") if p.clock == "suspect"][-1]
        self.assertIsNone(undated.base_time)
        self.assertEqual(undated.boot, self.machine.boot_id().replace("-", ""))

        self.machine.set_clock()
        self.wait_status_text(FINE)
        self.wait("dated readings", lambda: self.packs("boiler")[-1].clock is None)
        self.assertAlmostEqual(self.packs("boiler")[-1].base_time, time.time(), delta=120)
        event = self.wait("the event", lambda: self.world.subscriber.events("clock-repaired"))[0]
        self.assertEqual(event["boot"], undated.boot)
        self.assertAlmostEqual(undated.boot_time + event["offset_ms"] / 1000, time.time(), delta=300)
        self.assert_nothing_lost(kept)
        faults.told("F13", "no clock chip: systemd's date, online and undated; dated when the clock was set, backlog kept")

    def assert_nothing_lost(self, kept):
        self.wait_drained()
        there = {int(p.values["number"]) for p in self.packs("plant") if "number" in p.values}
        self.assertEqual([n for n in range(1, kept + 1) if n not in there], [])
