# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of rotation share: a gateway whose broker is the AWS IoT stand-in, too, and the broker's own record.

The source numbers its readings: the Modbus server counts the requests that it has answered, and the one point of the one
device is that counter. So what the broker has taken is 1, 2, 3 ... without a hole, or a reading was lost.
"""

import datetime
import json
import os
import shutil
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway_bench import Cloud, Pack, Scenario

SLOTS = ("current", "candidate", "previous")


# A /run of its own with the mark that systemd-timesyncd leaves once it has set the clock, and no system bus to ask instead.
IN_SYNC = ("env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "unshare", "--mount", "--propagation", "private", "sh",
           "-c", 'mount -t tmpfs run /run && mkdir -p /run/systemd/timesync && : >/run/systemd/timesync/synchronized && '
           'exec "$@"', "sh")


class Record:
    """The stand-in's log of events, read on from where the last look ended."""

    def __init__(self, path):
        self.path, self.at, self.entries = path, 0, []

    def all(self, event=None, **fields):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
        except OSError:
            data = b""
        whole = data[:data.rfind(b"\n") + 1]
        self.at += len(whole)
        self.entries += [json.loads(line) for line in whole.splitlines()]
        return [e for e in self.entries
                if event in (None, e["event"]) and all(e.get(k) == v for k, v in fields.items())]


class RotationScenario(Scenario):
    """The stand-in is the enrolment service and the broker; certificates live as long as a test says."""

    EVERY = "100ms"
    SYNCHRONISED = True     # the clock is known to be right; else the schedule waits for ten minutes for that
    LIFE = 0                # seconds; 0 is AWS's own end of 2049
    CLOUD_SETTINGS = {}
    ROTATION = {}

    def make_cloud(self):
        self.cloud = self.part(Cloud(self.dir, log_payloads=True, publish_rate=1000, certificate_life=self.LIFE,
                                     certificate_backdate=0 if self.LIFE else 120, **self.CLOUD_SETTINGS))
        self.record = Record(self.cloud.path("events.jsonl"))

    def first_link(self):
        return {"endpoint": "localhost", "port": self.cloud.port, "ca": self.cloud.path("server-ca.pem")}

    def first_config(self):
        config = super().first_config()
        # The template's parameter, and the names that the policies go by.
        config["enrolment.aws-fleet"] |= {"rotation-template": "tidegate-rotation", "parameter.SerialNumber": "%i"}
        config["rotation"] = {"jitter": "0%", "probation": "2s", **self.ROTATION}
        return config

    def add_devices(self):
        self.add_device("meter", self.modbus, {"number": "holding 0 uint32"})

    def start_agent(self, wait=True):
        return self.agent.start(wrap=IN_SYNC if self.SYNCHRONISED else (), wait=wait)

    # --- the gateway's side ------------------------------------------------------------------------------------------

    def identity(self):
        return self.agent.status()["identity"]

    def generation(self):
        return self.identity()["generation"]

    def next_attempt_s(self):
        """Seconds until the helper is to run again, as status tells; 0 when that is not planned."""
        return self.agent.status()["enrolment"]["next_s"] or 0

    def slots(self):
        """The numbers of the generations that the links name."""
        found = {}
        for slot in SLOTS:
            try:
                found[slot] = int(os.path.basename(os.readlink(f"{self.agent.state}/identity/{slot}")))
            except OSError:
                found[slot] = None
        return found

    def files_of(self, number):
        try:
            return set(os.listdir(f"{self.agent.state}/identity/generations/{number:06}"))
        except OSError:
            return set()

    def certificate_of(self, number):
        with open(f"{self.agent.state}/identity/generations/{number:06}/chain.pem", "rb") as file:
            return x509.load_pem_x509_certificate(file.read())

    def end_of(self, number):
        """When a generation's certificate ends, in seconds since 1970."""
        return self.certificate_of(number).not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()

    def id_of(self, number):
        """The id that the stand-in knows a generation's certificate by."""
        return self.certificate_of(number).fingerprint(hashes.SHA256()).hex()

    def key_of(self, number):
        return self.certificate_of(number).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def wait_generation(self, number, seconds=60):
        """Until that generation (or a later one) is current and its session has proved itself."""
        def there():
            status = self.agent.status()
            return (status["identity"]["state"] == "current" and status["identity"]["generation"] >= number
                    and status["link"]["state"] == "online" and status["link"]["error"] is None and status)
        return self.wait(f"generation {number}", there, seconds)

    def wait_retired(self, number, seconds=60):
        """Until the probation of the one after @number is over."""
        self.wait(f"the end of generation {number}", lambda: "key.pem" not in self.files_of(number), seconds)

    def renew(self):
        """`tidegate renew`, once whatever is under way is over."""
        def accepted():
            code, _, error = self.agent.ctl("renew")
            return code == 0 or (self.last_refusal.append(error) and False)
        self.last_refusal = []
        try:
            self.wait("a renewal to be taken", accepted, 30)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.last_refusal[-1:]}") from None

    def keep_state(self):
        """A copy of the state directory as it is now, keys and all: what somebody may have kept."""
        shutil.copytree(self.agent.state, self.agent.state + ".kept", symlinks=True)

    def start_from_kept_state(self):
        """The agent with the copy in the place of its state. It must not run."""
        shutil.rmtree(self.agent.state)
        os.rename(self.agent.state + ".kept", self.agent.state)
        return self.start_agent()

    # --- the broker's side -------------------------------------------------------------------------------------------

    def taken(self):
        """The packs that the broker has taken, in the order of arrival. What it acknowledged and kept back is not among
        them."""
        return [Pack(e["topic"], e["payload"]) for e in self.record.all("publish")
                if e["topic"].endswith("/meter") and not e.get("keptBack")]

    def numbers(self):
        return [int(p.values["number"]) for p in self.taken() if "number" in p.values]

    def events_told(self, kind=None):
        """What came at the topic for events."""
        told = [json.loads(e["payload"]) for e in self.record.all("publish") if e["topic"].endswith("/status/events")]
        return [e for e in told if kind in (None, e["event"])]

    def sessions(self, client=None):
        return self.cloud.ask("sessions", client=client or self.agent.status()["id"])["sessions"]

    def overlaps(self):
        return self.record.all("overlap")

    def gap(self, old, new):
        """Seconds from the last publish under one certificate to the first under the next, as the broker saw them."""
        publishes = [e for e in self.record.all("publish") if e["topic"].endswith("/meter")]
        last = max(e["time"] for e in publishes if e["certificate"] == old)
        return min(e["time"] for e in publishes if e["certificate"] == new and e["time"] >= last) - last

    # --- the promises ------------------------------------------------------------------------------------------------

    def assert_nothing_lost(self, seconds=40):
        """All that was read up to now arrives: every number, from the first to the newest."""
        newest = int(self.modbus.say("stats").split()[1])

        def complete():
            numbers = self.numbers()
            return numbers and max(numbers) >= newest and not self.missing(numbers)
        try:
            self.wait(f"reading {newest}", complete, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; missing: {self.missing(self.numbers())[:20]}, newest "
                                 f"{max(self.numbers(), default=None)} of {newest}") from None
        self.assert_promise(self.taken())

    @staticmethod
    def missing(numbers):
        there = set(numbers)
        return [n for n in range(1, max(there, default=0)) if n not in there]

    def assert_one_session_at_a_time(self):
        self.assertEqual(self.overlaps(), [], "two sessions under one client id")

    def assert_identity_is_one(self, number):
        """@number is current, nothing else is about, and no other generation has a key."""
        self.assertEqual(self.slots()["current"], number)
        self.assertIsNone(self.slots()["candidate"])
        others = {int(n) for n in os.listdir(f"{self.agent.state}/identity/generations") if n.isdigit()} - {number}
        # A link is changed first, and then the key goes that it named.
        self.wait("the end of the other keys", lambda: not any("key.pem" in self.files_of(n) for n in others), 10)


def say(text):
    """A measured figure, where the log of a test run shows it."""
    print(text, file=sys.stderr, flush=True)

