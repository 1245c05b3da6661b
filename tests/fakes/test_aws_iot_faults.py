#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: faults on order."""

import json
import os
import socket
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402

from aws_iot import certs, mqtt  # noqa: E402
from aws_iot_bench import CREATE, WithStandIn, new_csr  # noqa: E402
from mqtt_client import Closed  # noqa: E402


class FaultsOnOrder(WithStandIn):
    """Row: faults. Every fault strikes, as often as it was ordered, and then no more."""

    def connected(self, name):
        client = self.aws.client("observer")
        self.addCleanup(client.close)
        self.assertEqual(client.connect("observer-" + name), 0)
        return client

    def works_again(self):
        client = self.connected("again")
        client.publish("tidegate/again", "x")

    def test_connections_fail_where_they_are_told_to(self):
        for name in ("accept-drop", "accept-hang", "tls-drop", "connect-drop", "connect-hang", "connack-drop"):
            self.aws.ask("fault", name=name)
            with self.subTest(name), self.assertRaises((Closed, socket.timeout)):
                with self.aws.client("observer", timeout=0.5) as client:
                    client.connect("observer-fault")
                    client.ping()
            self.works_again()

    def test_connack_code_can_be_chosen(self):
        self.aws.ask("fault", name="connack", code=3)
        with self.aws.client("observer") as client:
            self.assertEqual(client.connect("observer-code"), 3)
        self.works_again()

    def taken(self, topic):
        return len(self.aws.events("publish", topic=topic))

    def test_puback_faults(self):
        for name, ends, taken in (("puback-drop-before", True, 1), ("puback-drop-after", True, 1),
                                  ("publish-deny", True, 0), ("puback-never", False, 1)):
            topic = "tidegate/" + name
            self.aws.ask("fault", name=name, topic=topic)
            client = self.connected("puback")
            client.publish(topic, "x", wait=False)
            with self.subTest(name):
                if name == "puback-drop-after":
                    client.wait(mqtt.PUBACK)
                self.assertEqual(client.ended(10 if ends else 0.3), ends)
                self.assertEqual(self.taken(topic), taken)
            client.close()

    def test_puback_twice_late_foreign_and_lying(self):
        client = self.connected("acks")
        for name, packets in (("puback-twice", 2), ("puback-foreign", 2), ("puback-late", 1), ("puback-lie", 1)):
            self.aws.ask("fault", name=name, seconds=0.2)
            with self.subTest(name):
                client.publish("tidegate/acks", "x", wait=False)
                for _ in range(packets):
                    self.assertEqual(client.packet().kind, mqtt.PUBACK)
                self.assertTrue(client.silent(0.1))

    def test_lying_puback_does_not_deliver(self):
        one, two = self.connected("lie1"), self.connected("lie2")
        one.subscribe("tidegate/lie")
        self.aws.ask("fault", name="puback-lie", topic="tidegate/lie")
        two.publish("tidegate/lie", "x")
        self.assertTrue(one.silent())

    def test_suback_and_ping_faults(self):
        client = self.connected("suback")
        self.aws.ask("fault", name="suback-fail")
        self.assertEqual(client.subscribe("tidegate/a"), [0x80])
        self.aws.ask("fault", name="suback-never")
        client.send(mqtt.subscribe(7, [("tidegate/b", 1)]))
        self.aws.ask("fault", name="ping-never")
        client.send(mqtt.PINGREQ_PACKET)
        self.assertTrue(client.silent())
        self.aws.ask("fault", name="suback-drop")
        client.send(mqtt.subscribe(8, [("tidegate/c", 1)]))
        self.assertTrue(client.ended())

    def test_fault_counts_and_is_narrowed_to_a_client(self):
        self.aws.ask("fault", name="puback-never", count=2, client="observer-n*")
        other, client = self.connected("other"), self.connected("narrow")
        other.publish("tidegate/n", "x")
        for _ in range(2):
            client.publish("tidegate/n", "x", wait=False)
        self.assertTrue(client.silent())
        client.publish("tidegate/n", "x")
        self.aws.ask("fault", name="puback-never", count=-1)
        for _ in range(3):
            client.publish("tidegate/n", "x", wait=False)
        self.assertTrue(client.silent())
        self.aws.ask("clear", name="puback-never")
        client.publish("tidegate/n", "x")

    def test_one_poisoned_message_closes_and_the_others_pass(self):
        self.aws.ask("fault", name="publish-deny", count=-1, contains="poison")
        for payload, ends in (("good", False), ("poisoned", True), ("poison again", True)):
            client = self.connected("poison")
            client.publish("tidegate/poison", payload, wait=False)
            self.assertEqual(client.ended(10 if ends else 0.3), ends)
            client.close()

    def test_broker_stops_reading(self):
        client = self.connected("stall")
        self.aws.ask("fault", name="read-stop", seconds=0.5)
        client.publish("tidegate/stall", "x")
        start = time.monotonic()
        client.ping()
        self.assertGreater(time.monotonic() - start, 0.3)

    def test_raw_bytes_and_cloud_messages_reach_a_client(self):
        client = self.connected("inject")
        self.aws.ask("inject", client="observer-inject", hex="30ffffff7f")
        self.assertEqual(client.exactly(5), b"\x30\xff\xff\xff\x7f")
        client = self.connected("cloud")
        client.subscribe("tidegate/cloud/set")
        self.aws.ask("publish", topic="tidegate/cloud/set", payload="hello")
        self.assertEqual(client.message().payload, b"hello")
        self.aws.ask("disconnect", client="observer-cloud")
        self.assertTrue(client.ended())

    # --- provisioning ----------------------------------------------------------------------------------

    def create(self, client, key=None):
        client.publish(CREATE, json.dumps({"certificateSigningRequest": new_csr(key or certs.new_key())}),
                       wait=False)

    def answer(self, fault, **arguments):
        """The payload that a claim connection gets under a fault."""
        self.aws.ask("fault", name=fault, api="create", **arguments)
        with self.aws.claim("enrol-fault") as client:
            self.create(client)
            return client.message().payload

    def test_answers_can_be_spoilt(self):
        for fault in ("reply-garbage", "reply-cut", "reply-empty"):
            with self.subTest(fault), self.assertRaises(ValueError):
                json.loads(self.answer(fault))
        self.assertIn("x", json.loads(self.answer("reply-unknown-fields")))
        self.assertTrue(all(isinstance(v, list) for v in json.loads(self.answer("reply-wrong-types")).values()))
        self.assertEqual(set(json.loads(self.answer("reply-missing", members=["certificateOwnershipToken"]))),
                         {"certificateId", "certificatePem"})
        self.assertIn(b"[" * 20000, self.answer("reply-deep"))
        self.assertGreater(len(self.answer("reply-oversized")), 300000)
        self.assertEqual(self.answer("reply-duplicate-keys").count(b'"certificatePem":'), 2)

    def test_errors_of_every_class_can_be_ordered(self):
        with self.aws.claim("enrol-code") as client:
            for status in (400, 401, 403, 404, 429, 500, 503):
                self.aws.ask("fault", name="reply-error", statusCode=status, errorCode="Ordered")
                verdict, answer = self.aws.call(client, CREATE, {})
                self.assertEqual((verdict, answer["statusCode"], answer["errorCode"]), ("rejected", status, "Ordered"))

    def test_answers_can_be_missing_late_or_double(self):
        with self.aws.claim("enrol-when") as client:
            self.aws.ask("fault", name="reply-never")
            self.create(client)
            client.wait(mqtt.PUBACK)
            self.assertTrue(client.silent())
            self.aws.ask("fault", name="reply-late", seconds=0.4)
            self.create(client)
            client.wait(mqtt.PUBACK)
            self.assertTrue(client.silent(0.2))
            client.message()
            self.aws.ask("fault", name="reply-twice")
            self.create(client)
            self.assertEqual(client.message().payload, client.message().payload)

    def test_answer_can_overtake_its_puback(self):
        with self.aws.claim("enrol-order") as client:
            self.create(client)
            self.assertEqual(client.packet().kind, mqtt.PUBACK)
            client.message()
            self.aws.ask("fault", name="reply-before-puback")
            self.create(client)
            self.assertEqual([client.packet().kind, client.packet().kind], [mqtt.PUBLISH, mqtt.PUBACK])

    def test_connection_can_end_before_or_after_the_answer(self):
        self.aws.ask("fault", name="reply-drop-before")
        with self.aws.claim("enrol-before") as client:
            self.create(client)
            self.assertTrue(client.ended())
        issued = self.aws.event("provisioning", client="enrol-before")["issued"]
        self.assertIn(issued, [c["id"] for c in self.aws.ask("status")["certificates"]])
        self.aws.ask("fault", name="reply-drop-after")
        with self.aws.claim("enrol-after") as client:
            self.create(client)
            client.message()
            self.assertTrue(client.ended())

    def spoilt(self, how, key):
        self.aws.ask("fault", name="certificate", how=how)
        with self.aws.claim("enrol-spoilt") as client:
            self.create(client, key)
            return json.loads(client.message().payload)["certificatePem"]

    def test_certificates_can_be_spoilt_in_one_way_each(self):
        key = certs.new_key()
        mine = key.public_key().public_numbers()
        for how in ("truncated", "garbage", "empty"):
            with self.subTest(how), self.assertRaises(ValueError):
                x509.load_pem_x509_certificate(self.spoilt(how, key).encode())
        other = x509.load_pem_x509_certificate(self.spoilt("other-key", key).encode())
        self.assertNotEqual(other.public_key().public_numbers(), mine)
        for how, words in (("expired", "certificate has expired"), ("future", "not yet valid"),
                           ("server-only", "purpose"), ("other-issuer", "issuer certificate")):
            self.assertIn(words, self.verdict(self.spoilt(how, key)), how)
        self.assertGreater(len(self.spoilt("huge", key)), 80000)
        self.assertEqual(self.spoilt("many", key).count("BEGIN"), 200)
        ca = x509.load_pem_x509_certificate(self.spoilt("ca", key).encode())
        self.assertTrue(ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)

    def verdict(self, pem):
        """What OpenSSL has against a certificate as a TLS client's."""
        return subprocess.run(["openssl", "verify", "-purpose", "sslclient", "-CAfile",
                               self.aws.path("device-ca.pem")], input=pem, text=True, capture_output=True,
                              check=False).stderr


if __name__ == "__main__":
    unittest.main()
