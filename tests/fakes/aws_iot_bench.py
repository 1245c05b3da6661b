# SPDX-License-Identifier: Apache-2.0
"""What tests in Python need to run the AWS IoT stand-in and talk to it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from aws_iot import certs
from aws_iot.config import Config
from mqtt_client import Client
from standin import ask

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGING = os.path.join(HERE, "..", "..", "packaging", "aws")
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
        answer = ask(self.path("control.sock"), {"op": op, **arguments})
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
    """One stand-in for a class; each test uses client ids and serial numbers of its own."""

    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.aws = StandIn(*cls.OPTIONS)

    @classmethod
    def tearDownClass(cls):
        broken = cls.aws.events("internal-error")
        cls.aws.stop()
        if broken:
            raise AssertionError(broken[0]["detail"])

    def setUp(self):
        self.serial = "gw-" + self.id().rpartition(".")[2].replace("_", "-")[:60]

    def tearDown(self):
        self.aws.ask("clear")
        self.aws.ask("hook", verdict="packaged", expected=None)

    def setting(self, name, value):
        """Changes a setting for the length of a test."""
        self.aws.ask("set", name=name, value=value)
        self.addCleanup(self.aws.ask, "set", name=name, value=getattr(Config(), name))
