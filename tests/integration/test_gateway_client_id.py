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
OBSERVED_S = 75


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

    def journal(self, agent, words):
        return read_text(agent.log).count(words)

    def test_two_agents_with_one_client_id(self):
        self.enrol()
        self.id = self.agent.status_id if hasattr(self.agent, "status_id") else None
        twin = self.clone("twin")
        self.write_config_of(twin, ["meter"])
        self.agent.start()
        self.wait_online()
        self.id = self.agent.status()["link"]["client_id"]
        before, begin = len(self.connects()), time.monotonic()
        twin.start()
        taken = "The client id is taken, or limited"
        self.wait("both to tell it", lambda: all(a.status()["link"]["problem"] for a in (self.agent, twin)), 120)
        told_s = time.monotonic() - begin
        time.sleep(max(0, OBSERVED_S - told_s))
        observed = time.monotonic() - begin
        times = self.connects()[before:]
        for agent in (self.agent, twin):
            self.assertEqual(self.journal(agent, taken), 1)
            self.assertIn("another client uses the client id", agent.status()["link"]["problem"])
        # Each of the two waits for 11 s at least, and longer and longer.
        self.assertLessEqual(len(times), 2 * (observed / GAP_S + 1))
        half = times[0] + (times[-1] - times[0]) / 2
        first, last = sum(t < half for t in times), sum(t >= half for t in times)
        # One of them stops: everything of both has come in the end, as that one's is in its spool for the next start.
        self.assertEqual(twin.stop(), 0)
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait_online()
        self.wait("the spool to drain", lambda: self.agent.status()["spool"]["disk_packs"] == 0)
        self.assertEqual(self.agent.stop(), 0)
        twin.start()
        self.wait("the other spool to drain", lambda: twin.status()["link"]["state"] == "online"
                  and twin.status()["spool"]["disk_packs"] == 0, 60)
        self.assertEqual(twin.stop(), 0)
        for device in ("boiler", "meter"):
            packs = [p for p in self.subscriber.packs(device)]
            self.assertEqual(self.holes({p.seq for p in packs}), [])
            self.assert_in_order(packs)
        faults.told("F12", f"two agents with one client id: {len(times)} connects in {observed:.0f} s ({first} and {last} by "
                           f"halves), both told it after {told_s:.0f} s, once; nothing lost")


if __name__ == "__main__":
    main()
