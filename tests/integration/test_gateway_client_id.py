#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two agents with one client id, and brokers that accept a client only to drop it: few connects, and told in words."""

import os
import shutil
import sys
import time

from gateway_bench import FAKES, Agent, Modbus, Scenario, main, read_text

import faults

sys.path.insert(0, FAKES)
from hostile_broker import HostileBroker  # noqa: E402

GAP_S = 11          # between two CONNECTs of one client that is dropped right after it was accepted
OBSERVED_S = 45


class Twin:
    """Where a second agent lives."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory)


class ClientId(Scenario):
    EVERY = "250ms"

    def clone(self, name):
        """A second agent with this one's identity, as after the copy of a card: with a device and a directory of its own."""
        twin = Agent(Twin(f"{self.dir}/{name}"))
        twin.log = f"{self.dir}/{name}.log"
        shutil.copytree(self.agent.state, twin.state, symlinks=True)
        for left in ("spool.db", "spool.db-wal", "spool.db-shm", "lock"):
            if os.path.exists(f"{twin.state}/{left}"):
                os.unlink(f"{twin.state}/{left}")
        return self.part(twin)

    def write_config_of(self, agent, devices, **link):
        """The shared configuration with other devices."""
        before, line = self.config, self.part(Modbus(agent.bench.dir, "own"))
        self.config = {k: dict(v) for k, v in before.items() if not k.startswith(("bus ", "device ", "point "))}
        self.config["mqtt"].update(link)
        for device in devices:
            self.add_device(device, line, {"ramp": "holding 3 int16"})
        self.write_config(agent.conf)
        self.config = before

    def enrol(self):
        """An identity that the broker knows, and the agent has ended."""
        self.agent.start()
        self.wait_online()
        self.wait("an acknowledgement", lambda: self.agent.status()["link"]["acknowledged"] > 0)
        self.assertEqual(self.agent.stop(), 0)

    def connects(self):
        """When the broker accepted our client id."""
        name = f" as {self.id} "
        return [int(line.split(":")[0]) for line in read_text(self.broker.log).splitlines()
                if "New client connected" in line and name in line]

    def drop(self, name, mode, verdict=None):
        """A clone at a broker that drops it: (agent, broker)."""
        certificate = self.broker.authority.issue(f"{name}.pem", "localhost", sans=["localhost"], server=True)
        broker = HostileBroker(mode, certificate)
        broker.verdict = lambda topic, payload: verdict
        self.addCleanup(broker.stop)
        agent = self.clone(name)
        self.write_config_of(agent, ["pump"], port=broker.port)
        agent.start()
        return agent, broker

    def assert_few(self, broker, began):
        """How many connects there were, and over how many seconds."""
        times = list(broker.handshake_times)
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertGreater(len(times), 1)
        # A session begins before it is accepted, and the clock that they are counted by at the client.
        self.assertGreater(min(gaps), GAP_S - 1)
        return len(times), time.monotonic() - began

    def test_clients_that_are_dropped_come_back_seldom_and_say_why(self):
        self.enrol()
        began = time.monotonic()
        left, accepting = self.drop("accepted", "close-connack")
        greeted, greeting = self.drop("greeted", "suback-1", "close")
        twin = self.clone("twin")
        self.write_config_of(twin, ["meter"])
        self.config["mqtt"]["echo"] = "yes"
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.two_agents(twin)
        few, seconds = self.assert_few(accepting, began)
        self.assertIn("the connection ended", left.status()["link"]["error"])
        also_few, _ = self.assert_few(greeting, began)
        self.wait("the word about what is greeted and dropped", lambda: greeted.status()["link"]["problem"], 60)
        self.assertIn("or the broker limits it", greeted.status()["link"]["problem"])
        self.assertEqual(greeted.status()["spool"]["set_aside"], 0)
        faults.told("F45", f"dropped after CONNACK: {few} connects in {seconds:.0f} s; dropped after the first PUBACK: "
                           f"{also_few}, told in status")

    def two_agents(self, twin):
        self.id = self.agent.status()["link"]["client_id"]
        before, begin = len(self.connects()), time.monotonic()
        twin.start()
        self.wait("both to tell it", lambda: all(a.status()["link"]["problem"] for a in (self.agent, twin)), 120)
        told = time.monotonic() - begin
        time.sleep(max(0, OBSERVED_S - told))
        observed = time.monotonic() - begin
        times = self.connects()[before:]
        for agent in (self.agent, twin):
            self.assertEqual(read_text(agent.log).count("The client id is taken, or limited"), 1)
            self.assertIn("another client uses the client id", agent.status()["link"]["problem"])
        # Where the own status comes back, so does the other's.
        self.assertIn(f"instance {twin.status()['instance']}", self.agent.status()["link"]["problem"])
        # Each of the two waits for 11 s at least, and longer and longer.
        self.assertLessEqual(len(times), 2 * (observed / GAP_S + 1))
        half = times[0] + (times[-1] - times[0]) / 2
        first, last = sum(t < half for t in times), sum(t >= half for t in times)
        self.stop_one_after_the_other(twin)
        self.assertEqual(len(self.subscriber.events("client-id-taken")), 2)
        faults.told("F12", f"two agents with one client id: {len(times)} connects in {observed:.0f} s ({first} and {last} by "
                           f"halves), both told it after {told:.0f} s, once; nothing lost")

    def stop_one_after_the_other(self, twin):
        """All of both has come in the end: what one could not send is in its spool, for its next start."""
        self.assertEqual(twin.stop(), 0)
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_online()
        self.wait("the spool to drain", lambda: self.agent.status()["spool"]["disk_packs"] == 0)
        self.assertEqual(self.agent.stop(), 0)
        twin.start()
        self.wait("the other spool to drain", lambda: twin.status()["link"]["state"] == "online"
                  and twin.status()["spool"]["disk_packs"] == 0, 60)
        self.wait("its event", lambda: len(self.subscriber.events("client-id-taken")) >= 2)
        self.assertEqual(twin.stop(), 0)
        for device in ("boiler", "meter"):
            packs = self.subscriber.packs(device)
            self.assertEqual(self.holes({p.seq for p in packs if p.epoch > 1}), [])
            self.assert_in_order(packs)


if __name__ == "__main__":
    main()
