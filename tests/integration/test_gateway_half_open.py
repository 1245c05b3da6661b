#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections that are dead and do not say so: each is found within a keep-alive and a half, and nothing is lost by it.

--full: lines that fail in more ways.
"""

import re
import subprocess
import sys
import time
import unittest

import faults
import netns_bench
from gateway_bench import FAKES, Broker, Cloud, Scenario, Subscriber, main

sys.path.insert(0, FAKES)
from fault_proxy import FaultProxy  # noqa: E402
from hostile_broker import HostileBroker  # noqa: E402

FULL = "--full" in sys.argv and not sys.argv.remove("--full")
KEEP_ALIVE_S = 6
FOUND_S = KEEP_ALIVE_S * 1.5
# The link looks once a second, and what is asked here is asked now and then.
SLACK_S = 8
MESSAGE_MAX = 1024      # bytes of a reading on the wire, and more: what is only not acknowledged yet is no closed window


class Dead(Scenario):
    def make_line(self):
        """What comes between broker and agent; returns host and port for the agent."""
        raise NotImplementedError

    def first_link(self):
        host, port = self.make_line()
        return {"endpoint": host, "port": port, "ca": self.broker.ca, "keep-alive": f"{KEEP_ALIVE_S}s"}

    def link(self):
        return self.agent.status()["link"]

    def is_up(self):
        return self.link()["state"] == "online"

    def begin(self):
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)

    def found(self, fault, *arguments):
        """Injects the fault; seconds until the session is given up. Of what was sent meanwhile nothing counts as delivered."""
        sessions = self.link()["connects"]
        fault(*arguments)
        begun = time.monotonic()
        time.sleep(1)
        before = self.link()["acknowledged"]
        self.wait("the end of the session", lambda: not self.is_up() or self.link()["connects"] > sessions, 60)
        seconds = time.monotonic() - begun
        self.assertEqual(self.link()["acknowledged"], before)
        self.assertLess(seconds, FOUND_S + SLACK_S)
        return seconds

    def heal(self, mend):
        mend()
        self.wait("a session", self.is_up, 60)
        packs = self.wait_drained(60)
        self.assert_promise(packs)
        return packs


class FarAway(Dead):
    """The broker behind a cable."""

    def make_cloud(self):
        self.peer = self.part(netns_bench.Peer(self.dir))
        self.cloud = self.part(Cloud(self.dir))
        self.broker = self.part(Broker(self.dir, self.cloud, self.peer.address, self.peer.wrap,
                                       (self.peer.address, "localhost")))
        self.subscriber = self.part(Subscriber(self.dir, self.broker))

    def make_line(self):
        return self.peer.address, self.broker.port

    def test_a_peer_that_vanishes_is_found_though_readings_flow(self):
        self.begin()
        seconds = self.found(self.peer.cut)
        packs = self.heal(self.peer.mend)
        self.assertTrue(any(p.stream == "replay" for p in packs))
        faults.told("F08", f"half-open found {seconds:.0f} s after the cable was cut, keep-alive {KEEP_ALIVE_S} s; "
                           f"all {len({p.seq for p in packs})} packs arrived")

    def test_a_peer_that_vanishes_is_found_though_nothing_is_sent(self):
        self.config["device boiler"]["every"] = "1h"
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait("everything acknowledged", lambda: self.link()["published"] == self.link()["acknowledged"])
        self.found(self.peer.cut)
        self.heal(self.peer.mend)


class Line(Dead):
    """A line in between that does what it likes."""

    def make_line(self):
        # Small enough for windows to close; connections have what the listening socket was made with.
        for name in ("tcp_rmem", "tcp_wmem"):
            with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
                self.addCleanup(netns_bench.sysctl, f"ipv4/{name}", file.read().strip())
            netns_bench.sysctl(f"ipv4/{name}", "4096 4096 4096")
        self.proxy = self.part(FaultProxy(("127.0.0.1", self.broker.port)))
        return "localhost", self.proxy.port

    def unsent(self):
        """Bytes that the agent's kernel holds back."""
        done = subprocess.run(["ss", "-Htn", "dst", f"127.0.0.1:{self.proxy.port}"], capture_output=True, text=True,
                              timeout=30)
        return sum(int(re.split(r"\s+", line)[2]) for line in done.stdout.splitlines())

    def is_held_back(self):
        before = self.unsent()
        time.sleep(1)
        return before > MESSAGE_MAX and self.unsent() >= before

    def test_lines_that_lose_hold_back_and_dribble(self):
        self.begin()
        sent = self.proxy.records[-1].up
        lost = self.found(self.proxy.swallow, "down")
        # The broker had what was sent: that comes twice.
        self.assertGreater(self.proxy.records[0].up, sent)
        packs = self.heal(self.proxy.pass_on)
        twice = len(packs) - len({p.seq for p in packs})
        self.assertGreater(twice, 0)
        self.assertLessEqual(twice, 32)

        held = []

        def stall():
            self.proxy.stall("both")
            # Readings and status documents fill the window within seconds.
            self.wait("the window to close", self.is_held_back, 12)
            held.append(self.unsent())
        stalled = self.found(stall)
        self.heal(self.proxy.pass_on)

        dribbled = self.found(self.proxy.dribble, "down")
        self.heal(self.proxy.pass_on)

        faults.told("F10", f"window closed with {held[0]} bytes unsent, given up after {stalled:.0f} s; 1 byte/s after {dribbled:.0f} s, keep-alive "
                           f"{KEEP_ALIVE_S} s")
        faults.told("F11", f"all PUBACKs lost: given up after {lost:.0f} s, {twice} packs sent twice, in-flight 32")

    @unittest.skipUnless(FULL, "needs --full")
    def test_lines_that_lose_both_ways_and_end_half(self):
        self.begin()
        self.found(self.proxy.swallow, "both")
        self.heal(self.proxy.pass_on)
        self.found(self.proxy.stall, "down")
        self.heal(self.proxy.pass_on)
        for direction in ("down", "up", "both"):
            sessions = self.link()["connects"]
            self.proxy.half_close(direction)
            self.wait("another session", lambda n=sessions: self.link()["connects"] > n and self.is_up(), 60)
            self.heal(self.proxy.pass_on)


@unittest.skipUnless(FULL, "needs --full")
class Loris(Scenario):
    def test_a_broker_that_trickles_and_never_acknowledges_is_left(self):
        broker = HostileBroker("loris", self.broker.authority.issue("loris.pem", "localhost", sans=["localhost"], server=True))
        self.addCleanup(broker.stop)
        self.config["mqtt"].update({"port": broker.port, "keep-alive": "5s"})
        self.write_config()
        self.agent.start()
        self.wait("a session", lambda: self.agent.status()["link"]["connects"] == 1)
        self.wait("the end of it", lambda: self.agent.status()["link"]["connects"] > 1, 90)
        self.assertIn("does not answer", self.agent.said())


if __name__ == "__main__":
    netns_bench.isolate()
    main()
