#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Certificates of two minutes, against an enrolment service and broker that is down half of the time.

$TIDEGATE_HOUR seconds long (3 minutes when it is not set), with the seed $TIDEGATE_SEED (one of its own, told, when it is not
set). The stretches are such that the service is reachable for a fifth, at least, of every window between the time when a
renewal is due and the end of the certificate: then no certificate may end before the next one serves, no reading may be
lost, and the agent may not grow.
"""

import os
import random
import threading
import time

from gateway_bench import main, read_text
from rotation_bench import RotationScenario, say

SECONDS = int(os.environ.get("TIDEGATE_HOUR", "180"))
SEED = int(os.environ.get("TIDEGATE_SEED", str(random.randrange(1 << 31))))
LIFE = 120
WINDOW = LIFE / 3       # from renew-at = 66 % on
# Any window of 40 s meets either one stretch of being down, or a whole one of being up: 8 s of it are up.
STRETCH = (8, 24)
GROWTH_KIB = 2048       # of allocators, and of a spool that fills and empties
SANITIZED_GROWTH_KIB = 16384    # ASan keeps freed memory


class Weather(threading.Thread):
    """Takes the service down and up again, in stretches that follow from the seed."""

    def __init__(self, cloud, seed):
        super().__init__(daemon=True)
        self.cloud, self.random, self.over = cloud, random.Random(seed), threading.Event()
        self.down_s = self.up_s = 0.0

    def run(self):
        while not self.over.is_set():
            up, down = self.random.uniform(*STRETCH), self.random.uniform(*STRETCH)
            begin = time.monotonic()
            if self.over.wait(up):
                break
            self.up_s += time.monotonic() - begin
            self.cloud.ask("down", seconds=down)
            begin = time.monotonic()
            self.over.wait(down)
            self.down_s += time.monotonic() - begin
        self.cloud.ask("up")

    def stop(self):
        self.over.set()
        self.join(30)


class Hour(RotationScenario):
    LIFE = LIFE
    EVERY = "200ms"
    ROTATION = {"jitter": "5%", "probation": "10s"}

    def resident_kib(self):
        with open(f"/proc/{self.agent.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def lives(self):
        """(generation, end of life, time of the first session) of all that were issued and served."""
        found = {}
        for name in sorted(os.listdir(self.agent.state + "/identity/generations")):
            if not name.isdigit():
                continue    # one that is being written
            first = [e["time"] for e in self.record.all("connect", certificate=self.id_of(int(name)))]
            if first:
                found[int(name)] = (self.end_of(int(name)), min(first))
        return found

    def note_lives(self, known):
        known.update(self.lives())
        return known

    def watch(self, weather):
        """Until the time is over: what the agent takes, and every generation that came by."""
        sizes, known, end = [], {}, time.monotonic() + SECONDS
        while time.monotonic() < end:
            sizes.append(self.resident_kib())
            self.note_lives(known)
            time.sleep(5)
        weather.stop()
        return sizes, known

    def test_down_half_of_the_time(self):
        say(f"seed {SEED}, {SECONDS} s")
        self.start_agent()
        self.wait_generation(1)
        weather = Weather(self.cloud, SEED)
        weather.start()
        try:
            sizes, known = self.watch(weather)
        finally:
            weather.stop()
        self.assert_nothing_lost(120)
        self.assert_one_session_at_a_time()
        self.note_lives(known)
        numbers = sorted(known)
        self.assertGreaterEqual(len(numbers), int(SECONDS / LIFE))
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)), "each generation followed the one before")
        spare = [known[n][0] - known[n + 1][1] for n in numbers[:-1]]
        say(f"{len(numbers)} certificates, least time left at a change {min(spare):.1f} s; up {weather.up_s:.0f} s, down "
            f"{weather.down_s:.0f} s; {len(self.numbers())} readings, none lost; resident {sizes[0]} KiB at first, "
            f"{max(sizes)} at most, {sizes[-1]} in the end")
        self.assertGreater(min(spare), 0, "a certificate ended before the next one served")
        self.assert_flat(sizes)

    def assert_flat(self, sizes):
        """The second half takes no more than the first, but for what allocators do."""
        half = len(sizes) // 2
        sanitized = "asan" in read_text(f"/proc/{self.agent.process.pid}/maps")
        allowed = SANITIZED_GROWTH_KIB if sanitized else GROWTH_KIB
        self.assertLessEqual(max(sizes[half:]) - max(sizes[:half]), allowed, sizes)


if __name__ == "__main__":
    main()
