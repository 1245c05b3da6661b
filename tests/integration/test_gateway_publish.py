#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From nothing to readings at a subscriber: a key in the TPM, a certificate by claim, a session under it."""

import os
import re
import unittest

from gateway_bench import BOILER, Scenario, main, read_text


class Publish(Scenario):
    def test_from_nothing_to_five_moving_readings(self):
        self.agent.start()
        self.wait_online()
        self.wait_packs(5)
        packs = self.wait_drained()
        self.assert_promise(packs)
        for pack in packs:
            self.assertEqual(set(pack.values), set(BOILER))
            self.assertEqual(pack.bad, {})
            self.assertIn(pack.stream, ("live", "replay"))
            self.assertGreater(pack.base_time, 2 ** 28)
        for point in ("temperature", "return", "polls", "ramp"):
            self.assertGreaterEqual(len({p.values[point] for p in packs}), 4, point)
        status = self.agent.status()
        self.assertEqual({p.base_name for p in packs}, {status["id"] + ":boiler:"})
        self.assertEqual({p.topic for p in packs}, {f"tidegate/{status['id']}/boiler"})

        # The broker knows the device by its certificate, and by nothing else.
        self.assertRegex(read_text(self.broker.log), rf"as {status['id']} .*u'CN=AWS IoT Certificate'")
        # The service holds one certificate, active, of this gateway.
        [certificate] = self.cloud.issued()
        self.assertEqual(certificate["status"], "ACTIVE")
        self.assertEqual(list(certificate["things"]), [status["id"]])

        self.assertEqual(self.agent.stop(), 0)
        [first, *_, last] = self.subscriber.states()
        self.assertEqual(first["state"], "online")
        self.assertEqual(first["id"], status["id"])
        self.assertEqual((last["state"], last["reason"]), ("offline", "disconnected"))
        # What is retained is what a new subscriber gets.
        self.assertIn("offline", self.retained_status())

    def retained_status(self):
        import subprocess
        pem = self.broker.authority.issue("late.pem", "late")
        done = subprocess.run(["mosquitto_sub", "-h", "localhost", "-p", str(self.broker.port), "--cafile",
                               self.broker.ca, "--cert", pem, "--key", pem, "-i", "late", "-C", "1", "-W", "10", "-F",
                               "%r %p", "-t", "tidegate/+/status"], capture_output=True, text=True, check=True)
        self.assertTrue(done.stdout.startswith("1 "), done.stdout)
        return done.stdout

    def test_killed_it_leaves_its_will(self):
        self.agent.start()
        self.wait_online()
        self.assertIn('"online"', self.retained_status())
        self.agent.kill()
        self.wait("the will", lambda: self.subscriber.states()[-1]["state"] == "offline")
        self.assertEqual(self.subscriber.states()[-1]["reason"], "connection lost")

    def test_the_command_line_shows_and_reads(self):
        self.agent.start()
        self.wait_online()
        code, out, _ = self.agent.ctl("read", "boiler")
        self.assertEqual(code, 0)
        for point in BOILER:
            self.assertIn("boiler/" + point, out)
        code, out, _ = self.agent.ctl("read", "boiler/level")
        self.assertEqual((code, len(out.splitlines())), (0, 1))
        code, _, error = self.agent.ctl("read", "kettle")
        self.assertEqual(code, 2)
        self.assertIn("kettle", error)
        code, out, _ = self.agent.ctl("identity")
        self.assertEqual(code, 0)
        self.assertIn("CN=AWS IoT Certificate", out)
        self.assertTrue(re.search(r"generation +1", out), out)
        self.assertTrue(os.path.exists(self.agent.state + "/identity/current/key.pem"))


if __name__ == "__main__":
    main()
