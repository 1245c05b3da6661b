# SPDX-License-Identifier: Apache-2.0
"""A whole gateway that enrols over EST: the stand-in of tests/fakes/est beside the broker and the rest of gateway_bench."""

import hashlib
import json
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from est_bench import EstServer
from gateway_bench import Broker, Scenario, Subscriber, read_text
from rotation_bench import IN_SYNC

PENDING = ("key.pem", "request.pem")


class Est(EstServer):
    """The stand-in as a part of the bench; the broker knows whom it issues to."""

    end = EstServer.close

    def device_anchors(self):
        generations = [n for n in sorted(os.listdir(self.dir)) if n.startswith("ca-") and n.endswith(".pem")]
        return "".join(self.read(name) for name in generations)

    def enrolments(self, operation=None):
        """The requests for a certificate that came, oldest first."""
        wanted = ("simpleenroll", "simplereenroll") if operation is None else (operation,)
        return [e for e in self.events("request") if e["operation"] in wanted]


class EstScenario(Scenario):
    """method = est. The clock is known to be right, so that certificates of seconds are renewed on time."""

    CREDENTIAL = "password"
    SERVER = {}
    ROTATION = {}
    KEYS = {}       # of [enrolment.est]

    def make_cloud(self):
        # One chain for all: the broker knows the roots only, and is sent the rest.
        self.est = self.part(Est(self.make_dir("est"), **self.SERVER))
        self.broker = self.part(Broker(self.dir, self.est))
        self.subscriber = self.part(Subscriber(self.dir, self.broker))

    def make_dir(self, name):
        os.makedirs(os.path.join(self.dir, name))
        return os.path.join(self.dir, name)

    def first_config(self):
        config = {"tpm": {"tcti": self.tpm.tcti}, "enrolment": {"method": "est"},
                  "enrolment.est": self.est.keys(self.CREDENTIAL, **self.KEYS), "mqtt": self.first_link(),
                  "rotation": {"jitter": "0%", "probation": "1s", **self.ROTATION}}
        return config

    def start_agent(self, wait=True):
        return self.agent.start(wrap=IN_SYNC, wait=wait)

    # --- what scenarios look at ---------------------------------------------------------------------------------------

    def enrolment(self):
        return self.agent.status()["enrolment"]

    def wait_enrolment(self, state, seconds=30, **members):
        def there():
            found = self.enrolment()
            return found["state"] == state and all(found[k] == v for k, v in members.items()) and found
        return self.wait(f"enrolment {state} {members}", there, seconds)

    def wait_generation(self, number, seconds=60):
        """Until that generation (or a later one) is current, and its session counts."""
        def there():
            status = self.agent.status()
            return (status["identity"]["state"] == "current" and status["identity"]["generation"] >= number
                    and status["link"]["state"] == "online" and status["link"]["error"] is None and status)
        return self.wait(f"generation {number}", there, seconds)

    def wait_settled(self, seconds=60):
        """Until no probation is left, so that nothing is in the way of the next renewal."""
        return self.wait("the end of the probation",
                         lambda: not self.agent.status()["rotation"]["probation"], seconds)

    def generation_file(self, number, name):
        return f"{self.agent.state}/identity/generations/{number:06}/{name}"

    def certificate_of(self, number):
        return x509.load_pem_x509_certificate(read_text(self.generation_file(number, "chain.pem")).encode())

    def fingerprint_of(self, number):
        return self.certificate_of(number).fingerprint(hashes.SHA256()).hex()

    def chain_length(self, number):
        return read_text(self.generation_file(number, "chain.pem")).count("BEGIN CERTIFICATE")

    def pending_files(self):
        """Digests of what a request that was put off has left, by name."""
        found = {}
        for name in PENDING:
            text = read_text(f"{self.agent.state}/identity/pending/{name}")
            found[name] = hashlib.sha256(text.encode()).hexdigest() if text else None
        return found

    def journal(self):
        return json.loads(read_text(f"{self.agent.state}/identity/pending/journal") or "null")

    def assert_no_password(self):
        self.assertNotIn("correct horse", self.agent.said())
        for folder, _, names in os.walk(self.agent.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"correct horse", file.read(), name)
