#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: publish and subscribe, limits, and hostile input."""

import json
import os
import random
import socket
import struct
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot import mqtt  # noqa: E402
from aws_iot_bench import WithStandIn  # noqa: E402
from mqtt_client import Closed  # noqa: E402


class Messages(WithStandIn):
    """Rows: publish, subscribe, retained, qos2, limits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aws.enrol("gw-m")

    def observer(self, name):
        client = self.aws.client("observer")
        self.addCleanup(client.close)
        self.assertEqual(client.connect("observer-" + name), 0)
        return client

    def closes(self, client_id, send):
        """Whether a fresh observer that sends something is closed."""
        client = self.observer(client_id)
        try:
            send(client)
        except Closed:
            return True
        return client.ended()

    def test_publish_outside_of_the_policy_closes(self):
        for topic, retain in (("tidegate/other/meter", False), ("tidegate/gw-m/meter", True),
                              ("$aws/certificates/create/json", False)):
            with self.aws.gateway("gw-m") as gateway:
                gateway.publish(topic, "x", retain=retain, wait=False)
                self.assertTrue(gateway.ended(), topic)
            self.aws.event("refused", stage="publish", topic=topic)
        self.aws.event("disconnect", client="gw-m", reason="FORBIDDEN_ACCESS")

    def test_subscribe_outside_of_the_policy_is_0x80_or_closes(self):
        with self.aws.gateway("gw-m") as gateway:
            self.assertEqual(gateway.subscribe("tidegate/gw-m/+/set", "tidegate/#", "#"), [1, 0x80, 0x80])
            self.setting("deny_subscribe", "close")
            gateway.send(mqtt.subscribe(9, [("#", 1)]))
            self.assertTrue(gateway.ended())

    def test_commands_and_the_own_status_reach_the_gateway(self):
        observer = self.observer("command")
        with self.aws.gateway("gw-m") as gateway:
            self.assertEqual(gateway.subscribe("tidegate/gw-m/+/set", "tidegate/gw-m/status"), [1, 1])
            observer.publish("tidegate/gw-m/pump/set", '{"id":"1"}')
            self.assertEqual(gateway.message().payload, b'{"id":"1"}')
            gateway.publish("tidegate/gw-m/status", "{}", retain=True)
            self.assertEqual(gateway.message().topic, "tidegate/gw-m/status")

    def test_reserved_topics_that_nobody_serves_close(self):
        self.assertTrue(self.closes("reserved", lambda c: c.publish("$aws/nothing", "x", wait=False)))
        self.assertTrue(self.closes("reserved", lambda c: c.publish("$aws/things/a/shadow/get", "x", retain=True,
                                                                    wait=False)))
        observer = self.observer("shadow")
        observer.publish("$aws/things/a/shadow/get", "")

    def test_wildcards_match_as_aws_matches(self):
        for filter_, topic, wanted in (("a/#", "a/b/c", True), ("a/#", "a/", True), ("a/#", "a", False),
                                       ("+/b", "a/b", True), ("+", "a/b", False), ("#", "$aws/x", False),
                                       ("+/x", "$aws/x", False), ("$aws/+", "$aws/x", True), ("a", "a/b", False)):
            self.assertEqual(mqtt.matches(filter_, topic), wanted, (filter_, topic))

    def test_qos_is_the_lower_of_both_and_unsubscribe_ends_it(self):
        one, two = self.observer("q1"), self.observer("q2")
        one.subscribe("tidegate/q", qos=0)
        two.publish("tidegate/q", "x", qos=1)
        self.assertEqual(one.message().qos, 0)
        one.subscribe("tidegate/q", qos=1)
        two.publish("tidegate/q", "y", qos=1)
        self.assertEqual(one.message().qos, 1)
        one.send(mqtt.unsubscribe(77, ["tidegate/q"]))
        one.wait(mqtt.UNSUBACK)
        two.publish("tidegate/q", "z", qos=1)
        self.assertTrue(one.silent())

    def test_retained_messages_go_to_exact_filters(self):
        one, two = self.observer("r1"), self.observer("r2")
        one.subscribe("tidegate/r/status")
        two.publish("tidegate/r/status", "on", retain=True)
        self.assertFalse(one.message().retain)
        two.subscribe("tidegate/r/+")
        self.assertTrue(two.silent())
        two.subscribe("tidegate/r/status")
        self.assertEqual((two.message().retain, two.messages), (True, []))
        one.publish("tidegate/r/status", "", retain=True)
        self.assertEqual(two.message().payload, b"")
        self.assertNotIn("tidegate/r/status", self.aws.ask("status")["retained"])

    def test_qos_2_is_never_answered(self):
        client = self.observer("qos2")
        client.send(mqtt.publish(mqtt.Publish("tidegate/x", b"", 2, packet_id=5)))
        client.send(mqtt.subscribe(6, [("tidegate/x", 2)]))
        self.assertTrue(client.silent())
        client.ping()

    def test_payload_of_128_kib_passes_and_one_byte_more_closes(self):
        client = self.observer("size")
        client.publish("tidegate/size", bytes(128 * 1024))
        self.assertTrue(self.closes("size", lambda c: c.publish("t", bytes(128 * 1024 + 1), wait=False)))
        self.aws.event("disconnect", client="observer-size", reason="CLIENT_ERROR")
        self.assertTrue(self.closes("huge", lambda c: c.send(b"\x32\xff\xff\xff\x7f" + bytes(1000))))

    def test_topic_limits(self):
        client = self.observer("topics")
        client.publish("tidegate/" + "x" * 247, "")
        client.publish("a/b/c/d/e/f/g/h", "")
        for topic in ("tidegate/" + "x" * 248, "a/b/c/d/e/f/g/h/i"):
            self.assertTrue(self.closes("topics", lambda c: c.publish(topic, "", wait=False)), topic)
        self.assertTrue(self.closes("topics", lambda c: c.send(mqtt.subscribe(1, [("a/" * 8 + "x", 1)]))))

    def test_subscription_limits(self):
        client = self.observer("filters")
        self.assertEqual(client.subscribe(*[f"tidegate/{n}" for n in range(8)]), [1] * 8)
        self.setting("subscriptions_max", 9)
        self.assertEqual(client.subscribe("tidegate/8", "tidegate/9", "tidegate/0"), [1, 0x80, 1])
        nine = [(f"tidegate/{n}", 1) for n in range(9)]
        self.assertTrue(self.closes("filters", lambda c: c.send(mqtt.subscribe(1, nine))))

    def test_publishes_above_the_rate_are_discarded_without_puback(self):
        self.setting("publish_rate", 10)
        client = self.observer("rate")
        burst = b"".join(mqtt.publish(mqtt.Publish("tidegate/rate", b"x", 1, packet_id=n)) for n in range(1, 51))
        client.send(burst)
        client.send(mqtt.PINGREQ_PACKET)
        acknowledged = 0
        while (packet := client.packet()).kind != mqtt.PINGRESP:
            acknowledged += packet.kind == mqtt.PUBACK
        self.assertTrue(10 <= acknowledged < 50, acknowledged)
        self.assertEqual(len(self.aws.events("throttled", client="observer-rate")), 50 - acknowledged)

    def test_bytes_above_the_rate_are_delayed_and_not_lost(self):
        self.setting("byte_rate", 100000)
        client = self.observer("bytes")
        start = time.monotonic()
        for _ in range(3):
            client.publish("tidegate/bytes", bytes(50000))
        self.assertGreater(time.monotonic() - start, 0.3)

    def test_duplicate_is_delivered_like_any_other(self):
        one, two = self.observer("d1"), self.observer("d2")
        one.subscribe("tidegate/d")
        two.publish("tidegate/d", "x")
        two.publish("tidegate/d", "x", dup=True)
        self.assertEqual([one.message().dup, one.message().dup], [False, False])
        self.assertTrue(self.aws.event("publish", client="observer-d2", dup=True))


class Hostile(WithStandIn):
    """Row: malformed packets. Whatever comes, the stand-in closes and serves the next client."""

    PACKETS = {
        "reserved type 0": b"\x00\x00", "reserved type 15": b"\xf0\x00", "server's packet": b"\x20\x02\0\0",
        "wrong flags": b"\xc1\x00", "endless length": b"\x30\xff\xff\xff\xff\xff",
        "PUBLISH without topic": b"\x30\x00", "topic beyond the end": b"\x30\x03\x00\x10a",
        "empty topic": b"\x30\x02\x00\x00", "wildcard topic": b"\x30\x03\x00\x01#",
        "NUL in a topic": b"\x30\x03\x00\x01\x00", "bad UTF-8": b"\x30\x03\x00\x01\xff",
        "surrogate": b"\x30\x05\x00\x03\xed\xa0\x80", "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
        "DUP at QoS 0": b"\x38\x03\x00\x01a", "packet id 0": b"\x32\x05\x00\x01a\x00\x00",
        "SUBSCRIBE without filter": b"\x82\x02\x00\x01", "filter without QoS": b"\x82\x05\x00\x01\x00\x01a",
        "QoS 3 subscription": b"\x82\x06\x00\x01\x00\x01a\x03", "# inside": b"\x82\x08\x00\x01\x00\x03#/a\x00",
        "+ inside a level": b"\x82\x07\x00\x01\x00\x02a+\x00", "short PUBACK": b"\x40\x01\x00",
        "long PUBACK": b"\x40\x03\x00\x01\x00", "UNSUBSCRIBE without filter": b"\xa2\x02\x00\x01",
        "second CONNECT": mqtt.connect("observer-h"), "PUBREL": b"\x62\x02\x00\x01",
        "large SUBSCRIBE": b"\x82\xff\xff\xff\x7f",
    }

    CONNECTS = {
        "PUBLISH first": b"\x30\x03\x00\x01a", "not MQTT": b"\x10\x0c\x00\x04HTTP\x04\x02\x00\x00\x00\x00",
        "reserved flag": mqtt.pack(1, 0, mqtt.text("MQTT") + b"\x04\x03\x00\x00\x00\x01a"),
        "will QoS 3": mqtt.pack(1, 0, mqtt.text("MQTT") + b"\x04\x1e\x00\x00\x00\x01a\x00\x01a\x00\x00"),
        "will flags alone": mqtt.pack(1, 0, mqtt.text("MQTT") + b"\x04\x22\x00\x00\x00\x01a"),
        "password alone": mqtt.pack(1, 0, mqtt.text("MQTT") + b"\x04\x42\x00\x00\x00\x01a\x00\x01a"),
        "cut": mqtt.connect("observer-cut")[:-3] + b"", "trailing bytes": mqtt.pack(1, 0, mqtt.connect("a")[2:] + b"x"),
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "zeros": bytes(4096),
    }

    def test_malformed_packets_close_the_connection(self):
        for name, data in self.PACKETS.items():
            with self.subTest(name), self.aws.client("observer") as client:
                self.assertEqual(client.connect("observer-h"), 0)
                client.send(data)
                self.assertTrue(client.ended())

    def test_malformed_connects_close_the_connection(self):
        self.setting("connect_timeout", 0.5)
        for name, data in self.CONNECTS.items():
            with self.subTest(name), self.aws.client("observer") as client:
                client.send(data)
                self.assertTrue(client.ended())

    def test_mutated_packets_never_stop_the_stand_in(self):
        chance = random.Random(7)
        seeds = [mqtt.connect("observer-f", will=mqtt.Will("t", b"p", 1, False)),
                 mqtt.subscribe(3, [("tidegate/#", 1)]), mqtt.publish(mqtt.Publish("tidegate/a", b"x", 1, packet_id=2)),
                 mqtt.unsubscribe(4, ["tidegate/#"]), mqtt.puback(1)]
        for _ in range(60):
            stream = bytearray(b"".join(chance.choices(seeds, k=4)))
            for _ in range(chance.randint(1, 6)):
                stream[chance.randrange(len(stream))] = chance.randrange(256)
            with self.aws.client("observer") as client:
                if chance.random() < 0.7:
                    client.connect("observer-f")
                try:
                    client.send(bytes(stream))
                except Closed:
                    pass
        with self.aws.client("observer") as client:
            self.assertEqual(client.connect("observer-f"), 0)

    def test_garbage_before_tls_and_sudden_ends_do_no_harm(self):
        for data in (b"", b"\x16\x03\x01", bytes(1000), b"\x16\x03\x01\xff\xff" + bytes(70000)):
            with socket.create_connection(("127.0.0.1", self.aws.port), timeout=5) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    raw.sendall(data)
                except OSError:
                    pass
        with self.aws.client("observer") as client:
            self.assertEqual(client.connect("observer-g"), 0)

    def test_bytes_one_by_one_are_put_together(self):
        with self.aws.client("observer") as client:
            for byte in mqtt.connect("observer-slow"):
                client.send(bytes([byte]))
            self.assertEqual(client.wait(mqtt.CONNACK).body[1], 0)

    def test_subscriber_that_never_reads_is_closed_and_harms_nobody(self):
        lazy = self.aws.client("observer")
        self.addCleanup(lazy.close)
        lazy.connect("observer-lazy")
        lazy.subscribe("tidegate/flood")
        with self.aws.client("observer") as client:
            client.connect("observer-flood")
            self.setting("byte_rate", 1e9)
            self.setting("publish_rate", 1e6)
            with self.aws.client("observer") as flood:
                flood.connect("observer-flood2")
                for _ in range(120):
                    flood.publish("tidegate/flood", bytes(100000))
            self.aws.event("disconnect", client="observer-lazy")
            client.ping()

    def test_rubbish_on_the_control_socket_is_answered(self):
        for line in (b"rubbish", b"[]", b'{"op":"nothing"}', b'{"op":"fault","name":"nothing"}',
                     b'{"op":"fault","name":"certificate","how":"x"}', b'{"op":"certificate","id":"x","status":"ACTIVE"}', b'{"op":"set","name":"x","value":1}',
                     b'{"op":"hook","verdict":"x"}', b'{"op":"inject","client":"x","hex":""}',
                     b'{"op":"policy","name":"x","document":{}}', b'{"op":"template","name":"x","body":{}}'):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(self.aws.path("control.sock"))
                sock.sendall(line + b"\n")
                self.assertIs(json.loads(sock.makefile().readline())["ok"], False, line)


if __name__ == "__main__":
    unittest.main()
