#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A long outage is over: the backlog drains fast and in order, a rate limit holds, live readings keep their share, and a
start with a million packs waiting is as fast as one with none. For a build without a sanitizer, which keeps freed memory and
takes many times as long."""

import re
import subprocess
import time

import faults
from gateway_bench import BUILD, Scenario, main, wait_for

READINGS = 60           # of a pack in the backlog
PACKS = 3000
FLOOR = 10000           # readings/s; a quiet machine does twenty times that, and this one may not be quiet
LIMIT = 100             # messages/s
LIVE = 8                # devices that are read ten times a second: more than the share of live readings
SHARE = 0.2
MILLION = 1000000
STARTS = 2              # of each kind; the best one counts


def fill(state, packs, devices, readings):
    """The numbers of the first and the last pack."""
    done = subprocess.run([BUILD + "/tests/integration/fill-spool", state, str(packs), str(devices), str(readings)],
                          capture_output=True, text=True, check=True, timeout=120)
    first, last = re.fullmatch(r"first (\d+) last (\d+) bytes \d+\n", done.stdout).groups()
    return int(first), int(last)


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Anonymous: +(\d+) kB$", file.read(), re.M)[1])


class Drain(Scenario):
    EVERY = "100ms"

    def add_devices(self):
        for n in range(LIVE):
            self.add_device(f"live{n}", self.modbus, {"ramp": "holding 3 int16"})

    def begin(self, limit, packs, **link):
        """An identity, a backlog, and an agent that comes online with it: first and last number of the backlog."""
        self.config["mqtt"].update({"rate-limit": limit, **link})
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait_drained()
        self.assertEqual(self.agent.stop(), 0)
        numbers = fill(self.agent.state, packs, 10, READINGS)
        self.agent.start()
        self.wait("the first acknowledgement", lambda: self.acknowledged() > 0)
        return numbers

    def acknowledged(self):
        return self.agent.status()["spool"]["acknowledged"]

    def test_the_backlog_drains_fast_and_in_order(self):
        first, last = self.begin("none", PACKS, **{"in-flight": "256"})
        memory = memory_kib(self.agent.process.pid)
        begin, before = time.monotonic(), self.acknowledged()
        self.wait("the backlog to drain", lambda: self.agent.status()["spool"]["disk_packs"] <= 2 * LIVE, 120)
        took, packs = time.monotonic() - begin, self.acknowledged() - before
        grown = memory_kib(self.agent.process.pid) - memory
        rate = packs * READINGS / took
        self.assertGreater(packs, PACKS / 2, "it had drained before it was looked at")
        self.assertGreater(rate, FLOOR)
        self.assertLess(grown, 4096, "kB of memory for the backlog")
        self.wait("the last pack", lambda: last in self.subscriber.numbers())
        arrived = self.subscriber.packs()
        self.assert_in_order(arrived)
        backlog = [p for p in arrived if first <= p.seq <= last]
        self.assertEqual({p.seq for p in backlog}, set(range(first, last + 1)))
        for pack in backlog:
            self.assertEqual((pack.values["number"], pack.stream), (pack.seq - first, "replay"))
            self.assertEqual(len(pack.values), READINGS)
        live = [p for p in arrived if p.seq > last]
        self.assertTrue(any(p.stream == "live" for p in live))
        faults.told("F06", f"{PACKS} packs of {READINGS} readings drained at {rate:.0f} readings/s, memory {grown:+} kB")

    def test_a_rate_limit_holds_and_live_readings_keep_their_share(self):
        _, last = self.begin(f"{LIMIT}/s", PACKS)
        time.sleep(1)
        begin, before, seen = time.monotonic(), self.acknowledged(), len(self.subscriber.packs())
        time.sleep(8)
        sent, took = self.acknowledged() - before, time.monotonic() - begin
        # The limit holds for each second, and what is counted after the last one was sent before.
        self.assertLessEqual(sent, LIMIT * (took + 2))
        self.assertGreater(sent, LIMIT * took / 2, "so slow that no limit is seen")
        self.assertGreater(self.agent.status()["spool"]["disk_packs"], 0, "the backlog is too small for this test")
        arrived = self.subscriber.packs()[seen:]
        live = [p for p in arrived if p.seq > last and p.stream == "live"]
        self.assertGreaterEqual(len(live), (SHARE - 0.03) * len(arrived))
        self.assertGreater(len(arrived) - len(live), len(arrived) / 2, "the backlog starves")
        self.assert_in_order(self.subscriber.packs())
        faults.told("F06", f"backlog drains at {sent / took:.0f} messages/s of {LIMIT} allowed, "
                           f"{100 * len(live) / len(arrived):.0f} % of them live")


class Start(Scenario):
    CLOUD = False
    EVERY = "1s"

    def start_takes(self):
        """Seconds to the control socket, to the first reading; and the memory then, in kB."""
        begin = time.monotonic()
        self.agent.start()
        serves = time.monotonic() - begin
        wait_for("a reading", lambda: self.agent.device()["polls"] >= 1)
        polls = time.monotonic() - begin
        wait_for("the spool", lambda: self.agent.status()["spool"]["disk_packs"] >= 1)
        time.sleep(2)
        memory = memory_kib(self.agent.process.pid)
        self.assertEqual(self.agent.stop(), 0)
        return serves, polls, memory

    def test_with_a_million_packs_is_as_fast_as_with_none(self):
        none = [self.start_takes() for _ in range(STARTS)]
        fill(self.agent.state, MILLION, 100, 1)
        full = [self.start_takes() for _ in range(STARTS)]
        self.agent.start()
        self.assertGreater(self.agent.status()["spool"]["disk_packs"], MILLION)
        serves, polls, memory = ([min(times[i] for times in runs) for runs in (none, full)] for i in range(3))
        self.assertLess(serves[1], serves[0] + 0.3)
        self.assertLess(polls[1], polls[0] + 0.5)
        self.assertLess(memory[1], memory[0] + 1024)
        print(f"start with none / a million packs: socket {serves[0]:.2f} / {serves[1]:.2f} s, "
              f"first reading {polls[0]:.2f} / {polls[1]:.2f} s, memory {memory[0]} / {memory[1]} kB")


if __name__ == "__main__":
    main()
