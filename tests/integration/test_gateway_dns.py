#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""DNS that is dead, slow, wrong or late, and brokers that move.

In a network of the test's own, with a name server of its own.
"""

import sys
import tempfile
import threading
import time
import unittest

import faults
import netns_bench
from gateway_bench import BUILD, FAKES, Broker, Cloud, Scenario, Subscriber, main
from mqtt_bench import Authority, Mosquitto, Probe

sys.path.insert(0, FAKES)
from dns_server import DnsServer  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402

PROBE = BUILD + "/lib/mqtt/mqtt-probe"
NAME = "broker.test"
HELD_UP_S = 3           # a status that takes longer waits for something; a question to a dead server takes five
NONE, DNS, TCP = range(3)
# Two addresses of the loopback, and two of an interface.
OLD, NEW, FOUR, SIX = "127.0.0.2", "127.0.0.3", "10.77.9.1", "fd77::9:1"


def set_up_network(directory):
    netns_bench.bind_file(directory + "/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n", "/etc/resolv.conf")


def add_interface():
    netns_bench.run("ip", "link", "add", "out", "type", "veth", "peer", "name", "far")
    netns_bench.run("ip", "addr", "add", FOUR + "/24", "dev", "out")
    netns_bench.run("ip", "addr", "add", SIX + "/112", "dev", "out", "nodad")
    netns_bench.run("ip", "link", "set", "far", "up")
    netns_bench.run("ip", "link", "set", "out", "up")


def ipv6_only(on):
    """Whether the addresses that this machine has, but for its loopback, are all of IPv6."""
    netns_bench.run("ip", "addr", "del" if on else "add", FOUR + "/24", "dev", "out")


class Names(unittest.TestCase):
    """What a session makes of the answers."""

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="tg-dns-")
        cls.addClassCleanup(cls.temp.cleanup)
        cls.dns = DnsServer("127.0.0.1")
        cls.addClassCleanup(cls.dns.end)
        cls.ca = Authority(cls.temp.name)
        cls.server = cls.ca.issue("server.pem", "server", [NAME], server=True)
        cls.device = cls.ca.issue("device.pem", "device-1")
        cls.broker = Mosquitto(cls.temp.name, cls.ca.file, cls.server)
        cls.addClassCleanup(cls.broker.stop)

    def setUp(self):
        self.dns.mode, self.dns.delay = "answer", 0
        self.dns.names.clear()

    def listen(self, address):
        """The broker at another address, at its own port."""
        proxy = FaultProxy(("127.0.0.1", self.broker.port), address, self.broker.port)
        self.addCleanup(proxy.end)
        return proxy

    def attempt(self, **options):
        o = {"host": NAME, "port": self.broker.port, "ca": self.ca.file, "bundle": self.device, "id": "probe-1", **options}
        begun = time.monotonic()
        with Probe(PROBE, **o) as p:
            return p.ok("connect").event(seconds=60), time.monotonic() - begun

    def assert_connected(self, **options):
        e, seconds = self.attempt(**options)
        self.assertEqual(e.type, "CONNECTED", e)
        return seconds

    def test_a_name_with_one_address_leads_there_whichever_family_it_is(self):
        self.listen(SIX)
        for address in ("127.0.0.1", SIX):
            self.dns.answer(NAME, address)
            self.assert_connected()

    def test_a_connect_asks_once_for_each_family_as_the_library_itself_never_does(self):
        self.dns.answer(NAME, "127.0.0.1")
        before = self.dns.asked
        self.assert_connected()
        self.assertEqual(self.dns.asked - before, 2)

    def test_on_an_ipv6_only_machine_a_name_of_either_family_is_resolved(self):
        self.listen(SIX)
        ipv6_only(True)
        self.addCleanup(ipv6_only, False)
        self.dns.answer(NAME, "127.0.0.1", SIX)
        self.assert_connected()
        # The loopback is no reason for the resolver to think of IPv4.
        self.dns.answer(NAME, "127.0.0.1")
        self.assert_connected()

    def test_a_dead_address_costs_one_attempt_and_the_next_is_another(self):
        self.dns.answer(NAME, "127.0.0.1", OLD)
        ends = [self.attempt(pick=pick)[0] for pick in (0, 1)]
        self.assertEqual(sorted(e.type for e in ends), ["CONNECTED", "CONNECT_FAILED"])
        failed = next(e for e in ends if e.type == "CONNECT_FAILED")
        self.assertEqual(failed.cause, TCP)
        self.assertIn(f"({OLD}): Connection refused", failed.text)

    def test_a_slow_answer_is_waited_for_within_the_time(self):
        self.dns.answer(NAME, "127.0.0.1")
        self.dns.delay = 2
        self.assertGreater(self.assert_connected(), 2)

    def test_each_way_of_not_answering_is_told(self):
        for mode in ("nxdomain", "servfail", "garbage"):
            self.dns.mode = mode
            e, _ = self.attempt(timeout_ms=2000)
            self.assertEqual((e.type, e.cause), ("CONNECT_FAILED", DNS), e)
            self.assertIn(NAME, e.text)
        self.dns.mode = "answer"
        self.dns.answer(NAME)
        self.assertEqual(self.attempt(timeout_ms=2000)[0].cause, DNS)

    def test_where_the_broker_was_last_is_tried_when_dns_does_not_say(self):
        self.listen(NEW)
        for mode in ("nxdomain", "silent"):
            self.dns.mode = mode
            self.assertLess(self.assert_connected(last=NEW), 9)
            e, _ = self.attempt(last=OLD)
            self.assertEqual(e.cause, TCP)
            self.assertIn(f"({OLD}, where it was last: DNS does not resolve the name): Connection refused", e.text)
        # But what DNS says comes first.
        self.dns.mode = "answer"
        self.dns.answer(NAME, NEW)
        self.assert_connected(last=OLD)


class Watch(threading.Thread):
    """Asks for the status again and again: how long the longest answer took, and how the readings went on."""

    def __init__(self, scenario):
        super().__init__(daemon=True)
        self.scenario, self.longest, self.asked, self.stopping = scenario, 0, 0, False
        self.begun, self.polls = time.monotonic(), scenario.agent.device()["polls"]
        self.start()

    def run(self):
        while not self.stopping:
            begun = time.monotonic()
            self.scenario.agent.status()
            self.longest = max(self.longest, time.monotonic() - begun)
            self.asked += 1
            time.sleep(0.1)

    def end(self):
        """Polls a second."""
        self.stopping = True
        self.join(60)
        polls = self.scenario.agent.device()["polls"] - self.polls
        return polls / (time.monotonic() - self.begun)


class Moves(Scenario):
    def make_cloud(self):
        self.dns = self.part(DnsServer("127.0.0.1"))
        self.cloud = self.part(Cloud(self.dir))
        self.broker = self.part(Broker(self.dir, self.cloud, names=("localhost", NAME)))
        self.subscriber = self.part(Subscriber(self.dir, self.broker))
        self.places = {a: self.part(FaultProxy(("127.0.0.1", self.broker.port), a, self.broker.port)) for a in (OLD, NEW, SIX)}

    def first_link(self):
        self.dns.answer(NAME, OLD)
        return {"endpoint": NAME, "port": self.broker.port, "ca": self.broker.ca}

    def vanish(self, place):
        self.places[place].refuse()
        self.places[place].reset()

    def wait_at(self, place):
        begun = time.monotonic()
        self.wait(f"a session at {place}",
                  lambda: self.places[place].count() and self.agent.status()["link"]["state"] == "online", 90)
        return time.monotonic() - begun

    def test_the_broker_is_found_where_it_has_gone_and_the_readings_do_not_wait(self):
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.places[OLD].count(), 1)
        watch = Watch(self)

        self.dns.answer(NAME, NEW)
        self.vanish(OLD)
        moved = self.wait_at(NEW)

        # Nobody says any more where it is, and the connection ends.
        self.dns.mode = "silent"
        before = self.dns.asked
        self.places[NEW].reset()
        self.wait("a question", lambda: self.dns.asked > before, 60)
        dead = self.wait_at(NEW)
        self.assertIn("where the broker was last", self.agent.said())

        ipv6_only(True)
        self.addCleanup(ipv6_only, False)
        self.dns.mode = "answer"
        self.dns.answer(NAME, SIX)
        self.vanish(NEW)
        six = self.wait_at(SIX)

        rate = watch.end()
        self.assertGreater(watch.asked, 50)
        self.assertLess(watch.longest, HELD_UP_S)
        # Five a second are wanted.
        self.assertGreater(rate, 4)
        self.assert_promise(self.wait_drained())
        faults.told("F07", f"DNS silent: back at the last address {dead:.0f} s after it was asked; status within "
                           f"{watch.longest * 1000:.0f} ms, {rate:.1f} of 5 polls/s")
        faults.told("F42", f"address changed, online after {moved:.0f} s; then an IPv6 address only, after {six:.0f} s")


if __name__ == "__main__":
    netns_bench.isolate()
    with tempfile.TemporaryDirectory(prefix="tg-dns-") as temp:
        set_up_network(temp)
        add_interface()
        main()
