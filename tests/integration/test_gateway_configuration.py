#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad configuration is named and refused, good configuration is taken over; readings go on through both."""

import os
import re
import signal
import sqlite3

import faults
from gateway_bench import Modbus, Scenario, main

COMPLAINT = r"{}:\d+: "


class Configuration(Scenario):
    def begin(self):
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)

    def goes_on(self):
        before = len(self.subscriber.numbers())
        self.wait_packs(before + 3)

    def spoil(self):
        """One wrong line; returns its number."""
        with open(self.agent.conf, "a", encoding="utf-8") as file:
            file.write("[mqtt]\nkeepalive = 3s\n")
        with open(self.agent.conf, encoding="utf-8") as file:
            return len(file.read().splitlines())

    def test_does_not_start_on_a_bad_file(self):
        line = self.spoil()
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 78)
        self.assertIn(f"{self.agent.conf}:{line}: ", said)
        self.assertRegex(said, "did you mean .?keep-alive")
        self.assertFalse(os.path.exists(self.agent.state), "refused before anything is made")
        self.write_config()
        extra = self.dir + "/etc/conf.d/50-extra.conf"
        with open(extra, "w", encoding="utf-8") as file:
            file.write("[device kettle]\nbus = nowhere\n")
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 78)
        self.assertRegex(said, COMPLAINT.format(re.escape(extra)))
        os.unlink(extra)
        os.chmod(self.agent.conf, 0o666)
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 78)
        self.assertIn(self.agent.conf, said)
        os.unlink(self.agent.conf)
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 78)
        self.assertIn(self.agent.conf, said)
        faults.told("F20", "no start on a bad file: exit 78 with file and line, nothing made")

    def test_does_not_start_on_the_spool_of_a_newer_version(self):
        self.begin()
        self.agent.stop()
        spool = self.agent.state + "/spool.db"
        db = sqlite3.connect(spool)
        db.execute("PRAGMA user_version = 900")
        db.execute("UPDATE counter SET value = 900 WHERE name = 'schema'")
        db.commit()
        db.close()
        with open(spool, "rb") as file:
            before = file.read()
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 78, "a restart would change nothing")
        self.assertRegex(said, "cannot start: .*newer.*: install the newer version again")
        with open(spool, "rb") as file:
            self.assertEqual(file.read(), before)
        faults.told("F43", "no start on the spool of a newer version: exit 78, the file left alone")

    def test_a_bad_reload_is_refused_and_the_running_configuration_stays(self):
        self.begin()
        before = self.agent.status()
        line = self.spoil()
        code, _, error = self.agent.ctl("reload")
        self.assertEqual(code, 78)
        self.assertIn(f"{self.agent.conf}:{line}: ", error)
        self.goes_on()
        at = len(self.agent.said())
        self.agent.process.signal(signal.SIGHUP)
        self.wait("the complaint", lambda: f"{self.agent.conf}:{line}: " in self.agent.said()[at:])
        self.goes_on()
        after = self.agent.status()
        self.assertEqual(after["link"]["connects"], before["link"]["connects"])
        self.assertEqual([d["name"] for d in after["devices"]], ["boiler"])
        self.assert_promise(self.wait_drained())
        faults.told("F20", "reload of a bad file refused, the running configuration and its session stay")

    def test_a_good_reload_takes_over_and_loses_nothing(self):
        self.begin()
        connects = self.agent.status()["link"]["connects"]
        self.config["point boiler/extra"] = {"read": "holding 41 uint16"}
        self.write_config()
        code, out, error = self.agent.ctl("reload")
        self.assertEqual((code, error), (0, ""))
        self.assertIn("reloaded", out)
        self.wait("the new point", lambda: self.subscriber.packs()[-1].values.get("extra") == 0x1234)
        self.assertEqual(self.agent.status()["link"]["connects"], connects, "a session that is right is left alone")

        tank = self.part(Modbus(self.dir, "tank"))
        self.add_device("tank", tank, {"level": "holding 42 int16"})
        del self.config["point boiler/extra"]
        self.write_config()
        self.agent.process.signal(signal.SIGHUP)
        self.wait("the new device", lambda: self.subscriber.packs("tank"))
        self.wait("the point to go", lambda: "extra" not in self.subscriber.packs("boiler")[-1].values)
        packs = self.subscriber.packs()
        self.assertEqual(len({p.epoch for p in packs}), 1)
        self.wait("what is still on its way", lambda: self.complete() and len(self.subscriber.packs("tank")) > 5)
        self.assert_in_order(self.subscriber.packs())

        # What the session is made of makes a new one.
        self.config["mqtt"]["keep-alive"] = "40s"
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait("another session", lambda: self.agent.status()["link"]["connects"] > connects)
        self.wait_online()
        self.goes_on()
        self.wait("what is still on its way", self.complete)
        self.assert_in_order(self.subscriber.packs())

    def complete(self):
        return self.holes(self.subscriber.numbers()) == []


if __name__ == "__main__":
    main()
