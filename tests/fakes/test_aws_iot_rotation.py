#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: the rule on events, the record of sessions, faults by certificate, being down."""

import json
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402

from aws_iot import certs, mqtt  # noqa: E402
from aws_iot.rules import RuleError, Statement  # noqa: E402
from aws_iot_bench import CREATE, ROTATE, WithStandIn, new_csr  # noqa: E402
from mqtt_client import Closed  # noqa: E402


class RuleLanguage(unittest.TestCase):
    SQL = "SELECT event, old, principal() AS who, topic(2) AS gateway, clientid() AS client FROM 'a/+/b' WHERE event = 'x' AND n = 1 OR event = 'y'"

    def select(self, members, topic="a/gw/b", sql=SQL):
        return Statement(sql).select(members, topic, "P", "C")

    def test_members_and_functions_are_selected(self):
        self.assertEqual(self.select({"event": "y", "old": {"id": 1}, "spare": 2}),
                         {"event": "y", "old": {"id": 1}, "who": "P", "gateway": "gw", "client": "C"})
        self.assertEqual(self.select({"event": "y", "who": "me"})["who"], "P")

    def test_where_and_from_decide(self):
        self.assertIsNone(self.select({"event": "x"}))
        self.assertIsNotNone(self.select({"event": "x", "n": 1}))
        self.assertIsNone(self.select({"event": "z", "n": 1}))
        self.assertIsNone(self.select({}))
        self.assertIsNone(self.select({"event": "y"}, "a/gw/c"))

    def test_what_is_not_understood_is_an_error(self):
        for sql in ("", "SELECT", "SELECT * FROM 'a'", "SELECT a FROM b", "SELECT a FROM 'a' WHERE", "SELECT a, FROM 'a'",
                    "SELECT a FROM 'a' WHERE b > 1", "SELECT aws_lambda(1) AS x FROM 'a'", "SELECT topic() AS t FROM 'a'",
                    "SELECT 'x' FROM 'a'", "SELECT a FROM 'a#'", "SELECT a FROM 'a' WHERE b = 1 c", "SELECT a.b FROM 'a'"):
            with self.assertRaises((RuleError, mqtt.Malformed), msg=sql):
                Statement(sql)


class Rotating(WithStandIn):
    def rotate(self, serial, old="", new="new-"):
        """A second certificate for a gateway; its files are NEW + SERIAL."""
        key = certs.new_key()
        with self.aws.client(old + serial) as client:
            self.assertEqual(client.connect(serial + "-renew"), 0)
            client.subscribe(CREATE + "/+", ROTATE + "/+")
            _, issued = self.aws.call(client, CREATE, {"certificateSigningRequest": new_csr(key)})
            verdict, _ = self.aws.call(client, ROTATE, {
                "certificateOwnershipToken": issued["certificateOwnershipToken"], "parameters": {"SerialNumber": serial}})
            self.assertEqual(verdict, "accepted")
            client.disconnect()
        self.aws.keep(new + serial, key, issued["certificatePem"])
        return issued["certificateId"]

    def connected(self, name, serial):
        client = self.aws.client(name)
        self.assertEqual(client.connect(serial), 0)
        return client


class Rules(Rotating):
    """Row: rules."""

    def tell(self, client, kind, old, new, serial=None):
        client.publish(f"tidegate/{serial or self.serial}/status/events", json.dumps(
            {"event": kind, "old": {"certificate_id": old}, "new": {"certificate_id": new}}))

    def test_the_old_certificate_is_refused_once_the_new_one_has_retired_it(self):
        old = self.aws.enrol(self.serial)
        new = self.rotate(self.serial)
        lingering = self.aws.client(self.serial)
        self.assertEqual(lingering.connect(self.serial + "-renew"), 0)
        with self.connected("new-" + self.serial, self.serial) as client:
            self.tell(client, "certificate-retired", old, new)
            self.assertEqual(self.aws.event("rule", principal=new)["deactivated"], old)
        self.assertTrue(lingering.ended(), "what it had open is closed")
        lingering.close()
        with self.aws.client(self.serial) as client:
            self.assertTrue(client.ended())
        self.assertEqual(self.aws.event("refused", certificate=old)["reason"], "INACTIVE")
        self.connected("new-" + self.serial, self.serial).close()

    def test_the_old_certificate_cannot_speak_for_the_new_one(self):
        old = self.aws.enrol(self.serial)
        new = self.rotate(self.serial)
        with self.connected(self.serial, self.serial) as client:
            self.tell(client, "certificate-retired", old, new)
            self.assertIn("another certificate", self.aws.event("rule", principal=old)["refused"])
            client.ping()

    def test_a_certificate_that_was_refused_is_switched_off(self):
        old = self.aws.enrol(self.serial)
        new = self.rotate(self.serial)
        with self.connected(self.serial, self.serial) as client:
            self.tell(client, "certificate-rolled-back", old, new)
            self.assertEqual(self.aws.event("rule", principal=old)["deactivated"], new)
            client.ping()
        with self.aws.client("new-" + self.serial) as client:
            self.assertTrue(client.ended())

    def test_other_events_and_noise_call_no_function(self):
        self.aws.enrol(self.serial)
        with self.connected(self.serial, self.serial) as client:
            topic = f"tidegate/{self.serial}/status/events"
            for payload in ("", "[", "7", "[]", '{"event":"certificate-renewed"}', "[" * 100000):
                client.publish(topic, payload)
            client.ping()
        self.assertEqual([e for e in self.aws.events("rule") if e.get("gateway") == self.serial], [])


class Record(Rotating):
    def sessions(self):
        return self.aws.ask("sessions", client=self.serial)["sessions"]

    def test_a_session_is_told_with_its_certificate_and_its_publishes(self):
        id_ = self.aws.enrol(self.serial)
        before = time.time()
        with self.connected(self.serial, self.serial) as client:
            client.publish(f"tidegate/{self.serial}/meter", "12345")
            time.sleep(0.05)
            client.publish(f"tidegate/{self.serial}/meter", "67")
            [session] = self.sessions()
            self.assertIsNone(session["end"])
            client.disconnect()
        self.aws.event("session", client=self.serial)
        [session] = self.sessions()
        self.assertEqual((session["certificate"], session["publishes"], session["payload_bytes"]), (id_, 2, 7))
        self.assertEqual(session["reason"], "CLIENT_INITIATED_DISCONNECT")
        self.assertTrue(before <= session["begin"] <= session["first_publish"] < session["last_publish"] <= session["end"])

    def test_a_second_session_under_one_client_id_is_an_overlap(self):
        self.aws.enrol(self.serial)
        before = self.aws.ask("sessions")["overlaps"]
        with self.connected(self.serial, self.serial) as first:
            self.aws.ask("fault", name="connack", code=3)
            with self.aws.client(self.serial) as second:
                self.assertEqual(second.connect(self.serial), 3, "a refused one counts, too")
            with self.connected(self.serial, self.serial):
                self.assertTrue(first.ended())
        self.assertEqual(self.aws.ask("sessions")["overlaps"], before + 2)

    def test_one_session_after_the_other_is_none(self):
        self.aws.enrol(self.serial)
        before = self.aws.ask("sessions")["overlaps"]
        for _ in range(5):
            with self.connected(self.serial, self.serial) as client:
                client.disconnect()
        self.assertEqual(self.aws.ask("sessions")["overlaps"], before)

    def test_what_is_acknowledged_and_thrown_away_is_marked(self):
        self.aws.enrol(self.serial)
        with self.connected(self.serial, self.serial) as client:
            topic = f"tidegate/{self.serial}/meter"
            self.aws.ask("fault", name="puback-lie", client=self.serial)
            client.publish(topic, "1")
            client.publish(topic, "2")
        self.assertEqual(self.sessions()[0]["kept_back"], 1)
        self.assertEqual([e.get("keptBack") for e in self.aws.events("publish", topic=topic)], [True, None])


class FaultsByCertificate(Rotating):
    def test_the_next_certificate_is_struck_and_no_other(self):
        self.aws.enrol(self.serial)
        self.aws.ask("fault", name="connack", code=5, certificate="next", count=2)
        self.connected(self.serial, self.serial).close()
        self.rotate(self.serial)
        for _ in range(2):
            with self.aws.client("new-" + self.serial) as client:
                self.assertEqual(client.connect(self.serial), 5)
        self.connected("new-" + self.serial, self.serial).close()

    def test_next_means_one_certificate(self):
        self.aws.enrol(self.serial)
        self.aws.ask("fault", name="connect-drop", certificate="next", count=-1)
        self.rotate(self.serial)
        with self.aws.client("new-" + self.serial) as client:
            client.send(mqtt.connect(self.serial))
            self.assertTrue(client.ended())
        self.rotate(self.serial, new="third-")
        self.connected("third-" + self.serial, self.serial).close()

    def test_an_id_selects_too(self):
        id_ = self.aws.enrol(self.serial)
        self.rotate(self.serial)
        self.aws.ask("fault", name="connack", code=3, certificate=id_)
        self.connected("new-" + self.serial, self.serial).close()
        with self.aws.client(self.serial) as client:
            self.assertEqual(client.connect(self.serial), 3)

    def test_a_certificate_can_be_refused_by_an_alert(self):
        id_ = self.aws.enrol(self.serial)
        self.rotate(self.serial)
        self.aws.ask("fault", name="tls-alert", certificate=id_)
        self.connected("new-" + self.serial, self.serial).close()
        with self.assertRaisesRegex(Closed, "(?i)revoked"):
            with self.aws.client(self.serial) as client:
                client.connect(self.serial)
        self.connected(self.serial, self.serial).close()

    def test_a_session_can_be_dropped_later(self):
        self.aws.enrol(self.serial)
        self.aws.ask("fault", name="session-drop", seconds=0.3, client=self.serial)
        with self.connected(self.serial, self.serial) as client:
            client.ping()
            self.assertTrue(client.ended(5))
        self.assertEqual(self.aws.event("session", client=self.serial)["reason"], "SERVER_INITIATED_DISCONNECT")

    def test_a_fault_can_wait_until_a_client_is_away(self):
        self.aws.enrol(self.serial)
        with self.connected(self.serial, self.serial) as client:
            self.aws.ask("fault", name="accept-drop", offline=self.serial)
            self.aws.claim("enrol-beside").close()
            client.disconnect()
        self.aws.event("session", client=self.serial)
        with self.assertRaises(Closed):
            self.aws.claim("enrol-beside")
        self.aws.claim("enrol-beside").close()


class Lives(Rotating):
    def test_certificates_have_the_life_that_was_set(self):
        self.setting("certificate_life", 20)
        self.setting("certificate_backdate", 5)
        self.aws.enrol(self.serial)
        with open(self.aws.path(self.serial + ".pem"), "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        self.assertEqual((certificate.not_valid_after - certificate.not_valid_before).seconds, 25)
        self.connected(self.serial, self.serial).close()

    def test_the_endpoint_goes_down_and_comes_back(self):
        self.aws.enrol(self.serial)
        with self.connected(self.serial, self.serial) as client:
            self.aws.ask("down")
            self.assertTrue(client.ended())
            with self.assertRaises(ConnectionRefusedError):
                self.aws.client(self.serial)
            self.aws.ask("up")
        self.connected(self.serial, self.serial).close()
        self.aws.ask("down", seconds=0.3)
        with self.assertRaises(ConnectionRefusedError):
            self.aws.client(self.serial)
        time.sleep(0.5)
        self.connected(self.serial, self.serial).close()


if __name__ == "__main__":
    unittest.main()
