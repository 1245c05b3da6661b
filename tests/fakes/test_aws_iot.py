#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: every row of its fidelity table, and of the files in packaging/aws.

One stand-in serves most tests; each test uses client ids and serial numbers of its own, and clears the
faults and settings that it has changed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from cryptography import x509                                               # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization            # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec                    # noqa: E402

from aws_iot import certs, control, mqtt                                    # noqa: E402
from mqtt_client import Client, Closed                                      # noqa: E402

CREATE = "$aws/certificates/create-from-csr/json"
REGISTER = "$aws/provisioning-templates/tidegate-fleet/provision/json"
ROTATE = "$aws/provisioning-templates/tidegate-rotation/provision/json"


def new_csr(key, subject="gateway", algorithm=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(certs.name(subject))
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class StandIn:
    """A running stand-in and what a test needs to talk to it."""

    def __init__(self, *options, directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="aws-iot-")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "aws_iot.py"), "--dir", self.directory, *options],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready port="):
            self.stop()
            raise RuntimeError("the stand-in did not start")
        self.port = int(line.split("=")[1])

    def stop(self, remove=True):
        self.process.terminate()
        try:
            code = self.process.wait(10)
        finally:
            self.process.kill()
            self.process.stdout.close()
            if remove:
                shutil.rmtree(self.directory, ignore_errors=True)
        return code

    def path(self, name):
        return os.path.join(self.directory, name)

    def ask(self, op, **arguments):
        answer = control.ask(self.path("control.sock"), {"op": op, **arguments})
        if not answer.pop("ok"):
            raise ValueError(answer["error"])
        return answer

    def client(self, name="claim", **options):
        return Client(self.port, self.path("server-ca.pem"), self.path(name + ".pem"),
                      self.path(name + ".key"), **options)

    def events(self, event, **wanted):
        with open(self.path("events.jsonl"), encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
        return [e for e in entries if e["event"] == event and all(e.get(k) == v for k, v in wanted.items())]

    def event(self, event, **wanted):
        """The newest such event; waits a little for it."""
        for _ in range(200):
            found = self.events(event, **wanted)
            if found:
                return found[-1]
            time.sleep(0.02)
        raise AssertionError(f"no event {event} {wanted}")

    # --- provisioning ----------------------------------------------------------------------------------

    def call(self, client, topic, request):
        """One provisioning call; returns ("accepted"|"rejected", the answer's members)."""
        payload = request if isinstance(request, (bytes, str)) else json.dumps(request)
        client.publish(topic, payload, wait=False)
        message = client.message()
        return message.topic.rpartition("/")[2], json.loads(message.payload)

    def claim(self, client_id, **options):
        """A claim connection that listens for its answers."""
        client = self.client(**options)
        assert client.connect(client_id) == 0
        assert client.subscribe(CREATE + "/accepted", CREATE + "/rejected",
                                REGISTER + "/accepted", REGISTER + "/rejected") == [1, 1, 1, 1]
        return client

    def enrol(self, serial):
        """Enrols a gateway; its certificate and key are SERIAL.pem and SERIAL.key. Returns its id."""
        key = certs.new_key()
        with self.claim("enrol-" + serial) as client:
            _, issued = self.call(client, CREATE, {"certificateSigningRequest": new_csr(key)})
            verdict, _ = self.call(client, REGISTER, {
                "certificateOwnershipToken": issued["certificateOwnershipToken"],
                "parameters": {"SerialNumber": serial}})
            assert verdict == "accepted"
            client.disconnect()
        self.keep(serial, key, issued["certificatePem"])
        return issued["certificateId"]

    def keep(self, name, key, pem):
        with open(self.path(name + ".key"), "wb") as file:
            file.write(certs.key_pem(key))
        with open(self.path(name + ".pem"), "w", encoding="ascii") as file:
            file.write(pem)

    def gateway(self, serial, **options):
        """A connected gateway that has been enrolled."""
        client = self.client(serial)
        code = client.connect(serial, **options)
        assert code == 0, code
        return client


class WithStandIn(unittest.TestCase):
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.aws = StandIn(*cls.OPTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.aws.stop()

    def setUp(self):
        self.serial = "gw-" + self.id().rpartition(".")[2].replace("_", "-")[:60]

    def tearDown(self):
        self.aws.ask("clear")
        self.aws.ask("hook", verdict="packaged", expected=None)

    def setting(self, name, value):
        """Changes a setting for the length of a test."""
        self.aws.ask("set", name=name, value=value)
        self.addCleanup(self.aws.ask, "set", name=name, value=DEFAULTS[name])


DEFAULTS = {"token_life": 3600, "certificate_life": 0, "hook_timeout": 5, "refuse_at": "tls",
            "deny_subscribe": "suback", "connack_denied": 7, "connect_interval": 0, "connect_timeout": 10,
            "keep_alive_min": 30, "publish_rate": 100, "byte_rate": 524288, "subscriptions_max": 50,
            "require_alpn": False, "log_payloads": False}


class Enrolment(WithStandIn):
    def test_gateway_enrols_and_publishes_to_an_observer(self):
        id_ = self.aws.enrol(self.serial)
        with self.aws.client("observer") as observer, self.aws.gateway(self.serial) as gateway:
            self.assertEqual(observer.connect("observer-1"), 0)
            self.assertEqual(observer.subscribe("tidegate/#"), [1])
            gateway.publish(f"tidegate/{self.serial}/meter", "[1]")
            message = observer.message()
            self.assertEqual((message.topic, message.payload), (f"tidegate/{self.serial}/meter", b"[1]"))
        connect = self.aws.event("connect", client=self.serial)
        self.assertEqual((connect["certificate"], connect["thing"]), (id_, self.serial))
        self.assertEqual(connect["subject"], "CN=AWS IoT Certificate")


if __name__ == "__main__":
    unittest.main()
