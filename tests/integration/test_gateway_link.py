#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The link where a broker or a configuration is odd: nothing waits for ever."""

import sys

from gateway_bench import FAKES, Scenario, main

sys.path.insert(0, FAKES)
from hostile_broker import PUBLISH, HostileBroker  # noqa: E402


class Link(Scenario):
    def test_topics_can_name_the_tpm_where_the_id_does_not(self):
        self.config["gateway"] = {"id": "gw-1"}
        self.config["mqtt"]["topic"] = "tidegate/%t/%d"
        self.write_config()
        self.agent.start()
        self.wait_online()
        packs = self.wait_packs(3)
        self.assertEqual({p.topic for p in packs}, {f"tidegate/{self.agent.status()['tpm']['id']}/boiler"})

    def test_a_broker_that_stops_acknowledging_is_left(self):
        broker = HostileBroker("nopuback-4", self.broker.authority.issue("hostile.pem", "localhost", sans=["localhost"], server=True))
        self.addCleanup(broker.stop)
        self.config["mqtt"].update({"port": broker.port, "keep-alive": "5s"})
        self.write_config()
        self.agent.start()
        self.wait("a session", lambda: self.agent.status()["link"]["acknowledged"] > 0)
        # It answers pings all the time: only the missing acknowledgements tell.
        self.wait("the end of it", lambda: self.agent.status()["link"]["connects"] > 1, 60)
        self.assertIn("does not answer", self.agent.said())

    def test_with_echo_a_session_is_proved_by_what_comes_back(self):
        self.config["mqtt"]["echo"] = "yes"
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.agent.status()["identity"]["state"], "current")
        # Over a second session, too, with an older status retained, and the documents that follow are no commands.
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.wait_online()
        self.assert_promise(self.wait_drained())
        self.assertEqual(self.agent.status()["link"]["commands_ignored"], 0)

    def test_with_echo_nothing_goes_to_a_broker_that_only_acknowledges(self):
        broker = HostileBroker("suback-1", self.broker.authority.issue("hostile.pem", "localhost", sans=["localhost"], server=True))
        self.addCleanup(broker.stop)
        self.config["mqtt"].update({"port": broker.port, "echo": "yes"})
        self.write_config()
        self.agent.start()
        self.wait("the reason", lambda: "does not return it" in self.agent.said(), 60)
        published = [body for kind, body in broker.packets if kind == PUBLISH]
        self.assertTrue(published)
        topics = {body[2:2 + int.from_bytes(body[:2], "big")].decode() for body in published}
        self.assertEqual(topics, {f"tidegate/{self.agent.status()['id']}/status"})
        self.assertEqual(self.agent.status()["identity"]["state"], "candidate on trial")


if __name__ == "__main__":
    main()
