#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""lib/mqtt against mosquitto and against hostile brokers: test_mqtt_session.py PROBE [unittest arguments]"""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from mqtt_bench import Authority, Mosquitto, Probe  # noqa: E402

PROBE = None
NONE, DNS, TCP, TLS_PEER, TLS_REFUSED, TPM, REFUSED, CLOSED, LOCAL = range(9)


class Bench(unittest.TestCase):
    """One CA, one broker and one client certificate for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="tidegate-mqtt-")
        cls.ca = Authority(cls.temp.name)
        cls.server = cls.ca.issue("server.pem", "server", ["localhost", "127.0.0.1"], server=True)
        cls.device = cls.ca.issue("device.pem", "device-1")
        cls.broker = Mosquitto(cls.temp.name, cls.ca.file, cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        cls.temp.cleanup()

    def probe(self, environment=None, **options):
        o = {"port": self.broker.port, "ca": self.ca.file, "bundle": self.device, "id": "probe-1"}
        o.update(options)
        return Probe(PROBE, environment, **o)


class Session(Bench):
    def test_a_published_message_is_acknowledged_and_comes_back_to_a_subscriber(self):
        with self.probe() as p:
            p.ok("connect")
            e = p.event()
            self.assertEqual(e.type, "CONNECTED", e)
            self.assertGreater(e.notbefore, 0)
            p.ok("subscribe tg/+/a")
            e = p.event()
            self.assertEqual((e.type, e.granted), ("SUBSCRIBED", 1), e)
            p.ok("publish 77 tg/1/a hello")
            seen = {e.type: e for e in (p.event(), p.event())}
            self.assertEqual(seen["PUBLISHED"].cookie, 77)
            self.assertIn("topic=tg/1/a len=5 payload=hello", seen["MESSAGE"].line)


if __name__ == "__main__":
    PROBE = sys.argv.pop(1)
    unittest.main(verbosity=2)
