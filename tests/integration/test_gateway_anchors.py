#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ca-from-enrolment: the broker is judged by what the identity in use brought, beside ca, and moves to another root.

The method here brings no anchors, so the test puts them beside the certificate, as one that brings them would.
"""

import os

import faults
from gateway_bench import Scenario, main, read_text
from mqtt_bench import Authority


class Anchors(Scenario):
    def first_config(self):
        config = super().first_config()
        # One that has nothing to do with the broker.
        os.mkdir(self.dir + "/stranger")
        self.stranger = Authority(self.dir + "/stranger", "stranger").file
        config["enrolment.aws-fleet"] |= {"rotation-template": "tidegate-rotation", "parameter.SerialNumber": "%i"}
        config["mqtt"] |= {"ca": self.stranger, "ca-from-enrolment": "yes"}
        return config

    def directory(self, number=1):
        return f"{self.agent.state}/identity/generations/{number:06}"

    def plant(self, *authorities, text=None):
        if text is None:
            text = "".join(read_text(a.file) for a in authorities)
        with open(self.directory() + "/anchors.new", "w", encoding="ascii") as out:
            out.write(text)
        os.rename(self.directory() + "/anchors.new", self.directory() + "/anchors.pem")

    def move_broker(self):
        """To a new root of the same name. The subscriber knows both, and the broker takes certificates of both."""
        os.mkdir(self.dir + "/new-root")
        new = Authority(self.dir + "/new-root", self.broker.authority.cn)
        self.broker.kill()
        self.broker.server = new.issue("server.pem", "localhost", sans=["localhost"], server=True)
        both = read_text(self.broker.ca) + read_text(new.file)
        self.broker.ca = self.dir + "/both.pem"
        with open(self.broker.ca, "w", encoding="ascii") as out:
            out.write(both)
        self.broker.start()
        return new

    def try_now(self):
        """A link that waits for its next try makes it when the configuration is read again."""
        code, _, error = self.agent.ctl("reload")
        self.assertEqual(code, 0, error)

    def wait_error(self, *words):
        def said():
            link = self.agent.status()["link"]
            text = f'{link["error"]} {link["trust"]["error"]}'
            return all(word in text for word in words) and link
        return self.wait(f"words: {words}", said, 60)

    def wait_online_now(self):
        def online():
            status = self.agent.status()
            if status["link"]["state"] == "offline":
                self.try_now()
            return status["link"]["state"] == "online" and not status["link"]["error"] and status
        return self.wait("a session", online, 60)

    def test_a_broker_moves_to_a_new_root(self):
        old = self.broker.authority
        self.agent.start()
        # The generation came without: only ca is left, which is no root of the broker's.
        link = self.wait_error("generation 1 has no usable anchors.pem", "it came without")
        self.assertEqual((link["trust"]["from_enrolment"], link["trust"]["anchors_total"]), (True, 0))
        self.assertEqual(self.subscriber.packs(), [])
        self.wait("a warning", lambda: "only ca is trusted" in self.agent.said())

        self.plant(old)
        status = self.wait_online_now()
        self.assertEqual([a["subject"] for a in status["link"]["trust"]["anchors"]], ["CN=broker CA"])
        self.assertIsNone(status["link"]["trust"]["error"])
        for verb in ("status", "identity"):
            code, out, _ = self.agent.ctl(verb)
            self.assertEqual(code, 0)
            self.assertIn(f"{self.stranger}, and 1 of the enrolment: CN=broker CA until 20", " ".join(out.split()))
        # What is retained at the broker has no paths of this machine.
        self.assertNotIn(self.stranger, str(self.subscriber.states()))

        new = self.move_broker()
        self.wait_error("CN=broker CA", "is not in ca")
        self.plant(old, new)
        status = self.wait_online_now()
        self.assertEqual(status["link"]["trust"]["anchors_total"], 2)

        # A candidate is judged with its own anchors, and this one has none: the one that works stays.
        code, _, error = self.agent.ctl("renew")
        self.assertEqual(code, 0, error)
        self.wait("the candidate's turn", lambda: "generation 2 has no usable anchors.pem" in self.agent.said(), 60)
        status = self.wait_online_now()
        self.assertEqual(status["link"]["identity"], "current")
        self.assertEqual(os.readlink(self.agent.state + "/identity/current"), "generations/000001")

        # Damage costs the connection, and no identity.
        self.agent.stop()
        self.plant(text="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.agent.start()
        self.wait_error("generation 1 has no usable anchors.pem", "cannot be read")
        self.plant(old, new)
        self.wait_online_now()
        self.assertEqual(os.readlink(self.agent.state + "/identity/current"), "generations/000001")
        self.assert_promise(self.wait_drained())

        # Without the agent, from the disk.
        self.agent.stop()
        code, out, error = self.agent.ctl("--state-dir", self.agent.state, "identity")
        self.assertEqual(code, 0, error)
        self.assertIn("2 of the enrolment: CN=broker CA until 20", " ".join(out.split()))
        faults.told("F15",
                    "broker moves to a new root: two anchors serve, damage of the list costs the connection and no identity")


if __name__ == "__main__":
    main()
