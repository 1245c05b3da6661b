#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reload after reload under traffic, good and bad configuration in turn: nothing is lost, order holds, and what is refused
changes nothing.

    test_gateway_reload_storm.py [--full] [--seed N]
"""

import argparse
import contextlib
import random
import sys
import time

import faults
from bus_bench import Watch
from gateway_bench import Scenario, main, wait_for

BAD = [("mqtt", "keepalive", "3s"), ("spool", "max-size", "many"), ("spool", "durability", "perhaps"),
       ("device ghost", "bus", "nowhere"), ("mqtt", "rate-limit", "-1/s"), ("point steady/polls", "read", "holding")]


class Storm(Scenario):
    EVERY = "50ms"

    def setUp(self):
        self.random = random.Random(OPTIONS.seed)
        self.extra, self.seen, self.watch = set(), set(), None
        super().setUp()

    def add_devices(self):
        self.add_device("steady", self.modbus, {"polls": "holding 0 uint32"})

    # --- changes -----------------------------------------------------------------------------------------------------

    def change_device(self):
        name = f"extra{self.random.randrange(4)}"
        if name in self.extra:
            self.extra.remove(name)
            for section in [s for s in self.config if s == f"device {name}" or s == f"bus {name}-line"
                            or s.startswith(f"point {name}/")]:
                del self.config[section]
        else:
            self.extra.add(name)
            self.add_device(name, self.modbus, {"polls": "holding 0 uint32", "level": "holding 42 int16"})

    def change_point(self):
        if self.config.pop("point steady/more", None) is None:
            self.config["point steady/more"] = {"read": "holding 41 uint16"}

    def change_pace(self):
        self.config["device steady"]["every"] = self.random.choice(["20ms", "50ms", "80ms"])

    def change_rate(self):
        self.config["mqtt"]["rate-limit"] = self.random.choice(["none", "200/s", "500/s"])

    def change_window(self):
        self.config["mqtt"]["in-flight"] = str(self.random.choice([4, 32, 200]))

    def change_session(self):
        self.config["mqtt"]["keep-alive"] = self.random.choice(["10s", "20s", "30s"])

    def change_spool(self):
        self.config["spool"] = {"memory": self.random.choice(["64K", "1M", "8M"]),
                                "max-size": self.random.choice(["8M", "64M"]),
                                "commit-interval": self.random.choice(["0ms", "100ms", "1s"]),
                                "when-full": self.random.choice(["drop-oldest", "drop-newest"])}

    def change_durability(self):
        self.config.setdefault("spool", {})["durability"] = self.random.choice(["full", "normal"])

    CHANGES = [change_device, change_device, change_point, change_pace, change_rate, change_window, change_session,
               change_spool, change_durability]

    # --- what was read -----------------------------------------------------------------------------------------------

    def look(self):
        """What `tidegate watch` has shown until now counts; from now on another one looks, as a reload ends it."""
        if self.watch:
            self.watch.end()
            self.seen |= set(self.watch.values("steady/polls"))
        self.watch = Watch(self.agent, "steady")

    def missing(self):
        return self.seen - {p.values.get("polls") for p in self.subscriber.packs("steady")}

    # --- reloads -----------------------------------------------------------------------------------------------------

    def good(self):
        self.random.choice(self.CHANGES)(self)
        self.write_config()
        code, _, error = self.agent.ctl("reload")
        self.assertEqual((code, error), (0, ""))
        self.look()
        names = sorted({"steady"} | self.extra)
        self.wait(f"devices {names}", lambda: sorted(d["name"] for d in self.agent.status()["devices"]) == names, 10)

    def settled(self):
        """The status once no session is being changed any more, for the good reload before."""
        def same():
            before = self.wait_online()
            time.sleep(0.3)
            after = self.agent.status()
            return before["link"]["connects"] == after["link"]["connects"] and after
        return self.wait("a session that stays", same)

    def bad(self):
        section, key, value = self.random.choice(BAD)
        before = self.settled()
        with open(self.agent.conf, "a", encoding="utf-8") as file:
            file.write(f"[{section}]\n{key} = {value}\n")
        code, _, error = self.agent.ctl("reload")
        self.assertEqual(code, 78)
        self.assertRegex(error, rf"{self.agent.conf}:\d+: ")
        after = self.agent.status()
        self.assertEqual(*([d["name"] for d in s["devices"]] for s in (before, after)))
        self.assertEqual(*(s["link"]["connects"] for s in (before, after)), "a refused reload ends no session")

    def test_reloads_lose_nothing(self):
        rounds = 400 if OPTIONS.full else 40
        print(f"seed {OPTIONS.seed}, {rounds} reloads", flush=True)
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)
        self.look()
        for number in range(rounds):
            (self.bad if number % 4 == 3 else self.good)()
            time.sleep(self.random.random() * 0.3)
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.look()
        self.watch.end()
        self.assertGreater(len(self.seen), rounds / 2)
        with contextlib.suppress(AssertionError):
            wait_for("everything that was seen", lambda: not self.missing(), 20)
        self.assertEqual(self.missing(), set())
        self.wait("what is still on its way", lambda: self.holes(self.subscriber.numbers()) == [])
        self.assert_in_order(self.subscriber.packs())
        self.assertEqual(len({p.epoch for p in self.subscriber.packs()}), 1)
        status = self.agent.status()
        self.assertEqual((status["spool"]["dropped"], status["spool"]["set_aside"], status["spool"]["error"]), (0, 0, None))
        self.assertEqual(self.agent.stop(), 0)
        faults.told("F39", f"{rounds} reloads under traffic, a fourth of them refused: all {len(self.seen)} readings seen arrived in order, "
                           f"{status['link']['connects']} sessions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=39)
    OPTIONS, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    main()
