#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: TLS, certificates and CONNECT, start and stop."""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402

from aws_iot import certs, mqtt  # noqa: E402
from aws_iot_bench import HERE, StandIn, WithStandIn  # noqa: E402
from mqtt_client import Client, Closed  # noqa: E402


class Tls(WithStandIn):
    """Row: tls."""

    def test_tls_1_2_and_1_3_connect_and_are_never_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.aws.client(tls=version) as client:
                self.assertEqual(client.connect("enrol-tls"), 0)
                session = client.sock.session
                self.assertFalse(session and session.has_ticket)
                context = client.sock.context
            raw = socket.create_connection(("127.0.0.1", self.aws.port), timeout=10)
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as again:
                self.assertFalse(again.session_reused)

    def test_tls_1_1_is_refused(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", self.aws.port), timeout=10) as raw:
            with self.assertRaises(OSError):
                context.wrap_socket(raw, server_hostname="localhost")

    def test_server_chain_leads_over_an_intermediate_to_the_root(self):
        with open(self.aws.path("server-ca.pem"), "rb") as file:
            root = x509.load_pem_x509_certificate(file.read())
        with self.aws.client() as client:
            leaf = x509.load_der_x509_certificate(client.sock.getpeercert(True))
        self.assertNotEqual(leaf.issuer, root.subject)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertIn("localhost", names.get_values_for_type(x509.DNSName))
        self.assertIn("127.0.0.1", map(str, names.get_values_for_type(x509.IPAddress)))

    def test_connection_without_sni_or_with_a_wrong_one_is_refused(self):
        with self.assertRaises(Closed):
            self.aws.client(sni=None)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.aws.port), timeout=10) as raw:
            with self.assertRaises(ssl.SSLError):
                context.wrap_socket(raw, server_hostname="elsewhere.example")
        self.aws.event("refused", stage="tls", sni="elsewhere.example")

    def test_alpn_is_accepted_and_required_on_demand(self):
        with self.aws.client(alpn=["x-amzn-mqtt-ca"]) as client:
            self.assertEqual(client.sock.selected_alpn_protocol(), "x-amzn-mqtt-ca")
        self.setting("require_alpn", True)
        with self.aws.client(alpn=["http/1.1"]) as client:
            self.assertTrue(client.ended())
        with self.aws.client(alpn=["x-amzn-mqtt-ca"]) as client:
            self.assertEqual(client.connect("enrol-alpn"), 0)

    def test_client_without_certificate_is_refused(self):
        with self.assertRaises(Closed):
            with Client(self.aws.port, self.aws.path("server-ca.pem")) as client:
                client.connect("enrol-nobody")
        self.aws.event("refused", stage="tls")


class Certificates(WithStandIn):
    """Row: certificates."""

    def refused(self, name):
        try:
            with self.aws.client(name) as client:
                return client.ended()
        except Closed:
            return True

    def test_only_active_certificates_connect(self):
        id_ = self.aws.ask("issue", name="states", policies=["Observer"])["id"]
        for state in ("PENDING_ACTIVATION", "INACTIVE", "REVOKED"):
            self.aws.ask("certificate", id=id_, status=state)
            self.assertTrue(self.refused("states"), state)
            self.assertEqual(self.aws.event("refused", certificate=id_)["reason"], state)
        self.aws.ask("certificate", id=id_, status="ACTIVE")
        with self.aws.client("states") as client:
            self.assertEqual(client.connect("observer-states"), 0)

    def test_refusal_can_wait_for_connect(self):
        id_ = self.aws.ask("issue", name="late", policies=["Observer"], status="INACTIVE")["id"]
        self.setting("refuse_at", "connect")
        with self.aws.client("late") as client:
            client.send(mqtt.connect("observer-late"))
            self.assertTrue(client.ended())
        self.assertEqual(self.aws.event("disconnect", certificate=id_)["reason"], "AUTH_ERROR")

    def test_deactivation_closes_open_connections(self):
        id_ = self.aws.ask("issue", name="open", policies=["Observer"])["id"]
        with self.aws.client("open") as client:
            self.assertEqual(client.connect("observer-open"), 0)
            self.aws.ask("certificate", id=id_, status="INACTIVE")
            self.assertTrue(client.ended())
        id_ = self.aws.enrol(self.serial)
        with self.aws.gateway(self.serial) as gateway:
            self.assertEqual(self.aws.ask("certificate", id="thing:" + self.serial, status="REVOKED")["id"], id_)
            self.assertTrue(gateway.ended())

    def test_deleted_and_never_registered_certificates_are_dropped(self):
        id_ = self.aws.ask("issue", name="gone", policies=["Observer"])["id"]
        self.aws.ask("delete-certificate", id=id_)
        self.assertTrue(self.refused("gone"))
        self.assertEqual(self.aws.event("refused", certificate=id_)["reason"], "not registered")
        authority = certs.Authority.create(certs.name("Somebody"))
        key = certs.new_key()
        self.aws.keep("stranger", key, certs.cert_pem(authority.issue(key.public_key())))
        self.assertTrue(self.refused("stranger"))

    def test_expired_certificate_is_refused_in_the_handshake(self):
        authority = certs.Authority.load(self.aws.path("private/issuing.pem"))
        key = certs.new_key()
        pem = certs.spoil("expired", authority, key.public_key())
        self.aws.keep("expired", key, pem)
        self.aws.ask("register-certificate", pem=pem, policies=["Observer"])
        self.assertTrue(self.refused("expired"))
        self.aws.event("refused", stage="tls", reason="certificate has expired")

    def test_certificate_registered_by_itself_needs_no_authority(self):
        key = certs.new_key()
        pem = certs.cert_pem(certs.Authority.create(certs.name("Foreign CA")).issue(key.public_key()))
        self.aws.keep("foreign", key, pem)
        self.aws.ask("register-certificate", pem=pem, policies=["Observer"])
        with self.aws.client("foreign") as client:
            self.assertEqual(client.connect("observer-foreign"), 0)


class Jitr(unittest.TestCase):
    """Row: jitr."""

    def test_unknown_certificate_of_a_registered_authority_becomes_pending(self):
        authority = certs.Authority.create(certs.name("Plant CA"))
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "plant-ca.pem")
            with open(path, "w", encoding="ascii") as file:
                file.write(certs.cert_pem(authority.certificate))
            aws = StandIn("--jitr-ca", path)
            self.addCleanup(aws.stop)
        key = certs.new_key()
        certificate = authority.issue(key.public_key(), subject=certs.name("pump-1"))
        aws.keep("pump", key, certs.cert_pem(certificate))
        for _ in range(2):
            with aws.client("pump") as client:
                self.assertTrue(client.ended())
        id_ = certs.certificate_id(certificate)
        self.assertEqual(aws.event("registered", certificate=id_)["subject"], "CN=pump-1")
        entry = [c for c in aws.ask("status")["certificates"] if c["id"] == id_]
        self.assertEqual([c["status"] for c in entry], ["PENDING_ACTIVATION"])
        aws.ask("policy", name="Pump", document={"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]})
        aws.ask("register-certificate", pem=certs.cert_pem(certificate), policies=["Pump"], thing="pump-1")
        with aws.client("pump") as client:
            self.assertEqual(client.connect("pump-1"), 0)


class Connect(WithStandIn):
    """Rows: connect, keep_alive, will."""

    def code(self, name, client_id, **options):
        with self.aws.client(name) as client:
            code = client.connect(client_id, **options)
            return code, client.ended(10 if code else 0.2)

    def test_refused_by_policy_is_connack_7_then_close(self):
        self.assertEqual(self.code("claim", "not-enrol"), (7, True))
        self.assertEqual(self.aws.event("disconnect", client="not-enrol")["reason"], "AUTH_ERROR")
        self.setting("connack_denied", -1)
        with self.aws.client() as client:
            client.send(mqtt.connect("not-enrol"))
            self.assertTrue(client.ended())

    def test_client_ids_and_versions_that_are_not_taken(self):
        self.assertEqual(self.code("observer", ""), (2, True))
        self.assertEqual(self.code("observer", "observer" + "x" * 121), (2, True))
        self.assertEqual(self.code("observer", "observer" + "x" * 120), (0, False))
        self.assertEqual(self.code("observer", "$observer"), (2, True))
        for level in (3, 5):
            self.assertEqual(self.code("observer", "observer-v", level=level), (1, True))

    def test_newer_connection_takes_over_the_client_id(self):
        with self.aws.client("observer") as one, self.aws.client("observer") as two:
            self.assertEqual(one.connect("observer-twin"), 0)
            self.assertEqual(two.connect("observer-twin"), 0)
            self.assertTrue(one.ended())
            two.ping()
        reasons = [e["reason"] for e in self.aws.events("disconnect", client="observer-twin")]
        self.assertIn("DUPLICATE_CLIENTID", reasons)

    def test_connects_of_one_client_id_can_be_throttled(self):
        self.setting("connect_interval", 60)
        self.assertEqual(self.code("observer", "observer-fast")[0], 0)
        with self.aws.client("observer") as client:
            client.send(mqtt.connect("observer-fast"))
            self.assertTrue(client.ended())
        self.aws.event("disconnect", client="observer-fast", reason="THROTTLED")
        self.assertEqual(self.code("observer", "observer-slow")[0], 0)
        self.aws.ask("set", name="connect_interval", value=0)
        self.assertEqual(self.code("observer", "observer-fast")[0], 0)

    def test_silent_client_is_closed_after_one_and_a_half_keep_alives(self):
        self.setting("keep_alive_min", 1)
        with self.aws.client("observer") as client:
            client.connect("observer-mute", keep_alive=1)
            start = time.monotonic()
            self.assertTrue(client.ended(5))
            self.assertGreater(time.monotonic() - start, 1.2)
        self.aws.event("disconnect", client="observer-mute", reason="MQTT_KEEP_ALIVE_TIMEOUT")

    def test_ping_keeps_the_connection(self):
        self.setting("keep_alive_min", 1)
        with self.aws.client("observer") as client:
            client.connect("observer-ping", keep_alive=2)
            for _ in range(3):
                time.sleep(1.2)
                client.ping()

    def test_short_keep_alive_is_raised(self):
        with self.aws.client("observer") as client:
            client.connect("observer-short", keep_alive=1)
            self.assertFalse(client.ended(2))

    def test_client_that_never_sends_connect_is_closed(self):
        self.setting("connect_timeout", 0.3)
        with self.aws.client("observer") as client:
            self.assertTrue(client.ended(5))

    def will(self, topic, **options):
        return mqtt.Will(topic, b'{"state":"offline"}', 1, options.get("retain", True))

    def test_will_is_published_and_retained_when_the_client_vanishes(self):
        self.aws.enrol(self.serial)
        topic = f"tidegate/{self.serial}/status"
        with self.aws.client("observer") as observer:
            observer.connect("observer-will")
            observer.subscribe(topic)
            gateway = self.aws.gateway(self.serial, will=self.will(topic))
            gateway.close()
            self.assertEqual(observer.message().payload, b'{"state":"offline"}')
        self.assertEqual(self.aws.ask("status")["retained"][topic], '{"state":"offline"}')

    def test_will_is_forgotten_after_disconnect(self):
        self.aws.enrol(self.serial)
        topic = f"tidegate/{self.serial}/status"
        with self.aws.gateway(self.serial, will=self.will(topic)) as gateway:
            gateway.disconnect()
            self.assertTrue(gateway.ended())
        self.aws.event("disconnect", client=self.serial, reason="CLIENT_INITIATED_DISCONNECT")
        self.assertEqual(self.aws.events("will", client=self.serial), [])

    def test_will_outside_of_the_policy_is_not_published(self):
        self.aws.enrol(self.serial)
        for topic in ("tidegate/other/status", f"tidegate/{self.serial}/meter"):
            gateway = self.aws.gateway(self.serial, will=self.will(topic))
            gateway.close()
            self.aws.event("refused", stage="will", client=self.serial, topic=topic)

    def test_will_needs_connect_attributes(self):
        arn = "arn:aws:iot:eu-central-1:123456789012:client/*"
        self.aws.ask("policy", name="Plain", document={"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": arn}]})
        self.aws.ask("issue", name="plain", policies=["Plain"])
        self.assertEqual(self.code("plain", "plain")[0], 0)
        self.assertEqual(self.code("plain", "plain", will=self.will("a"))[0], 7)
        self.assertEqual(self.code("plain", "plain", clean=False)[0], 7)


class Restart(unittest.TestCase):
    def test_account_outlives_a_restart_and_sigterm_is_orderly(self):
        aws = StandIn()
        aws.enrol("gw-restart")
        with aws.gateway("gw-restart") as gateway:
            self.assertEqual(aws.stop(remove=False), 0)
            self.assertTrue(gateway.ended())
        self.assertFalse(os.path.exists(aws.path("control.sock")))
        again = StandIn("--port", str(aws.port), directory=aws.directory)
        self.addCleanup(again.stop)
        self.assertEqual(again.port, aws.port)
        with again.gateway("gw-restart") as gateway:
            gateway.publish("tidegate/gw-restart/meter", "[]")
        with again.claim("enrol-restart"):
            pass

    def test_files_have_the_modes_they_should(self):
        aws = StandIn()
        self.addCleanup(aws.stop)
        for name, mode in (("claim.key", 0o600), ("private/issuing.pem", 0o600), ("claim.pem", 0o644),
                           ("server-ca.pem", 0o644), ("device-ca.pem", 0o644), ("port", 0o644)):
            self.assertEqual(os.stat(aws.path(name)).st_mode & 0o777, mode, name)

    def test_command_line_asks_the_running_one(self):
        aws = StandIn("--set", "token_life=60", "--set", "region=us-east-1")
        self.addCleanup(aws.stop)
        ask = [sys.executable, os.path.join(HERE, "aws_iot.py"), "--dir", aws.directory, "--control"]
        answer = subprocess.run(ask + ['{"op":"status"}'], capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(answer.stdout)["port"], aws.port)
        answer = subprocess.run(ask + ['{"op":"nothing"}'], capture_output=True, text=True, check=False)
        self.assertEqual(answer.returncode, 1)


if __name__ == "__main__":
    unittest.main()
