#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The root of everything ends: of the EST server, of the gateways, and of the broker, which is verified with what enrolment brought."""

import os
import shutil

import faults
from est_gateway_bench import Est, EstScenario
from gateway_bench import Broker, Subscriber, main, read_text


class Rollover(EstScenario):
    SERVER = {"life": 86400}

    def make_cloud(self):
        self.est = self.part(Est(self.make_dir("est"), **self.SERVER))
        self.broker = self.part(Broker(self.dir, self.est))
        self.serve()
        self.subscriber = self.part(Subscriber(self.dir, self.broker))

    def serve(self, pem=None):
        """The broker with the certificate that the EST server has now, or another one; it knows gateways of all roots."""
        self.broker.server = os.path.join(self.broker.dir, "served.pem")
        shutil.copy(pem or self.est.path("private/server.pem"), self.broker.server)
        self.broker.ca = os.path.join(self.broker.dir, "served-ca.pem")
        with open(self.broker.ca, "w", encoding="ascii") as file:
            file.write(self.est.device_anchors() + read_text(self.broker.authority.file))
        self.broker.stop()
        self.broker.start()

    def first_link(self):
        return {"endpoint": "localhost", "port": self.broker.port, "ca-from-enrolment": "yes"}

    def anchors(self, number):
        return read_text(self.generation_file(number, "anchors.pem")).count("BEGIN CERTIFICATE")

    def renew(self, number):
        self.wait_settled()
        code, out, error = self.agent.ctl("renew", "--wait", seconds=60)
        self.assertEqual(code, 0, out + error)
        self.wait_generation(number)

    def test_the_new_root_is_learnt_before_the_old_one_goes(self):
        self.start_agent()
        self.wait_generation(1)
        self.assertEqual(self.anchors(1), 1)
        self.wait_packs(5)

        # The authority has a new root, called as the old one, which vouches for it; both servers still show the old one.
        self.est.ask("rollover", same_name=True)
        self.serve()
        self.wait_online()
        self.renew(2)
        self.assertEqual(self.anchors(2), 2)
        self.assertEqual(self.est.issued()[-1]["generation"], 2)

        # Now they show the new one. The configuration still names the old one only.
        self.est.ask("server", generation=2)
        self.serve()
        self.wait_online()
        self.renew(3)
        self.assertEqual(self.anchors(3), 2)
        self.assert_promise(self.wait_drained())

        # What nobody has vouched for is no broker of ours.
        self.serve(self.broker.authority.issue("stranger.pem", "localhost", sans=["localhost"], server=True))
        error = self.wait("the verdict", lambda: "CN=" in (self.agent.status()["link"]["error"] or "")
                          and self.agent.status()["link"]["error"])
        self.assertIn("broker CA", error)
        self.assertNotEqual(self.agent.status()["link"]["state"], "online")
        self.est.ask("server", generation=2)
        self.serve()
        self.wait_online()
        faults.told("F15", "EST and broker change their root, of the same name: learnt at the renewal before, no manual step")


if __name__ == "__main__":
    main()
