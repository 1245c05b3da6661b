#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that answer wrongly, late or not at all: told in the payload with the reason, and nobody else suffers."""

import time

import faults
from gateway_bench import BOILER, Modbus, Scenario, main


class BadDevices(Scenario):
    def setUp(self):
        super().setUp()
        self.tank = self.part(Modbus(self.dir, "tank"))
        self.add_device("tank", self.tank, {"level": "holding 42 int16"})
        self.config["device boiler"].update({"timeout": "300ms", "retries": 0})
        self.config["point boiler/nothing"] = {"read": "holding 36 float32"}
        self.config["point boiler/endless"] = {"read": "holding 38 float32"}
        self.write_config()
        self.agent.start()
        self.wait_online()

    def next_pack(self, wanted, since):
        def arrived():
            return next((p for p in self.subscriber.packs("boiler") if p.seq > since and wanted(p)), None)
        return self.wait("a pack of the boiler", arrived, 20)

    def newest(self):
        return max(self.subscriber.numbers(), default=0)

    def goes_bad(self, command, reason):
        """All points of the boiler are bad for that reason; the tank is read as always; then all is well again."""
        since, begin, tank = self.newest(), time.monotonic(), len(self.subscriber.packs("tank"))
        self.modbus.say(command)
        pack = self.next_pack(lambda p: not p.values, since)
        # What has been bad all along is not told again.
        self.assertEqual(set(pack.bad) - {"nothing", "endless"}, set(BOILER))
        for text in pack.bad.values():
            self.assertRegex(text, "^bad: .*" + reason)
        code, out, error = self.agent.ctl("read", "boiler/temperature")
        self.assertEqual((code, error), (1, ""))
        self.assertRegex(out, "boiler/temperature +bad: .*" + reason)
        code, out, _ = self.agent.ctl("--json", "read", "boiler/temperature")
        self.assertEqual(code, 1)
        self.assertIn('"quality":"bad"', out)
        device = self.agent.device()
        self.assertIn(device["health"], ("dead", "degraded"))
        self.assertRegex(device["error"], reason)
        # Half of what five a second would give: nobody's clock is that bad.
        passed = time.monotonic() - begin
        self.wait("the tank", lambda: len(self.subscriber.packs("tank")) - tank >= passed * 5 / 2, 5)
        self.assertEqual(self.agent.device("tank")["failures"], 0)
        since = self.newest()
        self.modbus.say("fault none")
        pack = self.next_pack(lambda p: p.values, since)
        self.assertEqual(set(pack.values), set(BOILER))

    def test_each_kind_of_trouble_is_told_and_overcome(self):
        # Not a number is no value, and the points beside it are not concerned.
        # They are told once, and then rarely.
        pack = self.next_pack(lambda p: p.bad, 0)
        self.assertEqual((set(pack.values), set(pack.bad)), (set(BOILER), {"nothing", "endless"}))
        self.assertRegex(pack.bad["nothing"], "(?i)^bad: .*not a number")
        self.assertRegex(pack.bad["endless"], "(?i)^bad: .*(infinit|not a number|not finite)")
        self.assertEqual(self.agent.device()["health"], "degraded")
        for command, reason in (("fault exception 4", "(?i:exception|device failure)"),
                                ("fault silence", "(?i:timeout|timed out|no answer)"),
                                ("fault late 700", "(?i:timeout|timed out|no answer)"),
                                ("fault garbage", "."),
                                ("fault transaction", "."),
                                ("fault close", "(?i:closed|reset|connection)")):
            with self.subTest(command):
                self.goes_bad(command, reason)
        self.assert_promise(self.subscriber.packs())
        faults.told("F35",
                    "six kinds of trouble of one device: told as bad with the reason, the other device on time, overcome")

    def test_a_device_that_is_not_there_is_found_when_it_comes(self):
        since = self.newest()
        self.modbus.end()
        pack = self.next_pack(lambda p: not p.values, since)
        self.assertRegex(next(iter(pack.bad.values())), "(?i:refused|closed|reset|connect)")
        self.modbus.start()
        since = self.newest()
        self.next_pack(lambda p: p.values, since)
        self.assertIn("answers again", self.agent.said())


if __name__ == "__main__":
    main()
