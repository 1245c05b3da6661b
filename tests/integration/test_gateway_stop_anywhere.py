#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM at random points of everything that an agent does: it ends in five seconds, in order, and what was read is not lost.

    test_gateway_stop_anywhere.py [--full] [--rounds N] [--seed N] [--only MOMENT]

Each round brings the agent into one of the moments below, waits for a random time, and ends it. What it had read by then is
known from outside, by `tidegate watch`; at the end, when all is well again, each of those readings must have arrived.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

import faults
import gateway_bench
from bus_bench import Watch
from gateway_bench import BUILD, KEEP_LOADED, Process, Scenario, main, wait_for

sys.path.insert(0, gateway_bench.FAKES)
from fault_proxy import FaultProxy  # noqa: E402

PROMISED = 5            # seconds
BUSY = 2                # more that a machine with much else to do may take
EARLY = 0.1             # before that a program may not have said yet what it does with signals
BACKLOG = 1500
ENOSPC = 28
ONLINE = ["online"]
TRYING = ["connecting", "greeting"]


class Disk:
    """What tests/integration/sick-disk.c is told."""

    def __init__(self, path):
        self.path = path
        self.say()

    def say(self, delay_ms=0, error=0):
        mode = "r+b" if os.path.exists(self.path) else "wb"
        with open(self.path, mode) as file:
            file.write(struct.pack("=ii", delay_ms, error))

    def env(self):
        preload = KEEP_LOADED["LD_PRELOAD"] + " " + BUILD + "/tests/integration/libsick-disk.so"
        return {"LD_PRELOAD": preload, "TIDEGATE_DISK_FILE": self.path}


class Anywhere(Scenario):
    EVERY = "50ms"

    def setUp(self):
        self.random = random.Random(OPTIONS.seed)
        self.read, self.watch, self.took = {}, None, {}   # read: value -> the moment that followed
        super().setUp()
        self.disk = Disk(self.dir + "/disk")

    def first_link(self):
        self.proxy = self.part(FaultProxy(("127.0.0.1", self.broker.port)))
        return {**super().first_link(), "port": self.proxy.port, "rate-limit": "none", "keep-alive": "10s"}

    def add_devices(self):
        self.add_device("boiler", self.modbus, {"polls": "holding 0 uint32"})

    # --- a round -----------------------------------------------------------------------------------------------------

    def go(self, wait=True):
        """The agent starts, and what it reads is written down."""
        self.agent.process = Process(self.agent.log, *self.agent.command(), env=self.disk.env())
        if wait:
            wait_for("the agent's control socket", self.agent.answers)
            self.watch = Watch(self.agent, "boiler")

    def wait_state(self, states):
        self.wait(" or ".join(states), lambda: self.agent.status()["link"]["state"] in states)

    def pause(self, most):
        time.sleep(self.random.random() * most)

    def terminate(self, moment):
        begin = time.monotonic()
        self.agent.process.signal(signal.SIGTERM)
        code = self.agent.process.wait(60)
        took = time.monotonic() - begin
        if self.watch:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.watch.popen.wait(2)
            self.watch.end()
            for value in self.watch.values("boiler/polls"):
                self.read[value] = moment
            self.watch = None
        self.assertLess(took, PROMISED + BUSY, moment)
        self.assertEqual(code, 0, moment)
        self.took.setdefault(moment, []).append(took)

    def missing(self):
        arrived = {p.values.get("polls") for p in self.subscriber.packs("boiler")}
        return {value: moment for value, moment in self.read.items() if value not in arrived}

    # --- moments: what comes before SIGTERM, and what makes all well again --------------------------------------------

    def starting(self):
        self.go(wait=False)
        time.sleep(EARLY)
        self.pause(0.3)
        yield

    def online(self):
        self.go()
        self.wait_state(ONLINE)
        self.pause(0.5)
        yield

    def connecting(self):
        """The broker's machine takes the connection and says nothing."""
        self.proxy.stall("down")
        self.go()
        self.wait_state(TRYING)
        self.pause(1)
        yield

    def greeting(self):
        """Somewhere between the first byte of the handshake and the first acknowledgement."""
        self.proxy.cut_after(self.random.randrange(1, 6000), "down", "stall")
        self.go()
        self.wait_state(TRYING + ONLINE)
        self.pause(0.5)
        yield

    def refused(self):
        self.proxy.refuse()
        self.go()
        self.pause(0.5)
        yield

    def draining(self):
        subprocess.run([BUILD + "/tests/integration/fill-spool", self.agent.state, str(BACKLOG), "10", "60"], check=True,
                       stdout=subprocess.DEVNULL)
        self.go()
        self.wait_state(ONLINE)
        self.pause(0.5)
        yield

    def stalled(self):
        self.go()
        self.wait_state(ONLINE)
        self.proxy.stall(self.random.choice(["up", "down", "both"]))
        self.pause(2)
        yield

    def slow_disk(self):
        self.proxy.refuse()
        self.go()
        self.disk.say(delay_ms=self.random.randrange(50, 800))
        self.pause(2)
        yield
        self.disk.say()

    def full_disk(self):
        """What the disk does not take the broker takes."""
        self.go()
        self.wait_state(ONLINE)
        self.disk.say(error=ENOSPC)
        self.pause(2)
        # One that is slower than the readings come cannot take them all at the end.
        self.wait("the broker to keep up", lambda: self.agent.status()["spool"]["in_flight"] <= 3)
        yield
        self.disk.say()

    def stuck_bus(self):
        self.go()
        self.modbus.say("fault silence")
        self.pause(1)
        yield
        self.modbus.say("fault none")

    def reloading(self):
        self.config["mqtt"]["keep-alive"] = self.random.choice(["10s", "11s", "12s"])
        self.config["spool"] = {"durability": self.random.choice(["full", "normal"])}
        self.write_config()
        self.go()
        self.pause(0.5)
        self.agent.process.signal(signal.SIGHUP)
        self.pause(0.1)
        yield

    def provisioning(self):
        """An identity is asked for, or was a moment ago."""
        moment = 0.1 + self.random.random()
        for name in ("current", "previous", "candidate"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.agent.state}/identity/{name}")
        self.go()
        time.sleep(moment)
        yield

    MOMENTS = [starting, online, connecting, greeting, refused, draining, stalled, slow_disk, full_disk, stuck_bus,
               reloading, provisioning]

    # --- the test ----------------------------------------------------------------------------------------------------

    def test_sigterm_anywhere(self):
        rounds = OPTIONS.rounds or (200 if OPTIONS.full else 12)
        moments = [m for m in self.MOMENTS if OPTIONS.only in (None, m.__name__)]
        print(f"seed {OPTIONS.seed}, {rounds} rounds", flush=True)
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.agent.stop(), 0)
        for number in range(rounds):
            moment = moments[number % len(moments)]
            steps = moment(self)
            next(steps)
            self.terminate(moment.__name__)
            next(steps, None)
            self.proxy.pass_on()
        self.agent.start()
        self.wait_online()
        self.wait("the spool to drain", lambda: self.agent.status()["spool"]["disk_packs"] == 0, 60)
        with contextlib.suppress(AssertionError):
            wait_for("every reading that was seen", lambda: not self.missing(), 10)
        self.assertEqual(self.missing(), {}, "readings that are lost, and before which end")
        self.assertGreater(len(self.read), rounds)
        self.assert_in_order(self.subscriber.packs())
        slowest = max(self.took, key=lambda name: max(self.took[name]))
        for name, times in self.took.items():
            print(f"{name:14} {len(times):3} times, at most {max(times):.2f} s", flush=True)
        faults.told("F38", f"SIGTERM at {rounds} points in {len(self.took)} states: exit 0 each time, in {max(self.took[slowest]):.1f} s "
                           f"at most ({slowest}); all {len(self.read)} readings arrived")

    def test_what_neither_the_disk_nor_the_broker_takes_is_told(self):
        self.go()
        self.wait_state(ONLINE)
        self.disk.say(error=ENOSPC)
        self.proxy.refuse()
        self.proxy.reset()
        self.wait("readings in memory", lambda: self.agent.status()["spool"]["memory_packs"] >= 20)
        begin = time.monotonic()
        self.assertEqual(self.agent.stop(), 1)
        self.assertLess(time.monotonic() - begin, PROMISED + BUSY)
        lost = re.search(r"(\d+) packs are lost, which neither the disk nor the broker has taken", self.agent.said())
        self.assertGreaterEqual(int(lost[1]), 1)
        self.watch.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=38)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only")
    OPTIONS, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    main()
