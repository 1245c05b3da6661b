# SPDX-License-Identifier: Apache-2.0
"""What the tests with Enrolment over Secure Transport share: the stand-in as a process, and the helper that enrols with it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from provision_bench import HERE, Provision, wait_for

FAKES = os.path.join(HERE, "..", "fakes")
sys.path.insert(0, FAKES)
from standin import ask         # noqa: E402


class EstServer:
    """tests/fakes/est_server.py, as a process of its own; settings are those of est/config.py.

    server = EstServer(http_auth="digest", username="gw")       server.url, server.port, server.path("ca.pem")
    server.set(pending=2, retry_after="imf:5")                  server.fault("status", operation="cacerts", status=503)
    server.events("csr", subject="CN=gw")                       server.section() is [enrolment.est] for it
    """

    def __init__(self, directory=None, bind="127.0.0.1", host="localhost", port=0, **settings):
        self.dir = directory or tempfile.mkdtemp(prefix="tidegate-est-")
        self.host = f"[{host}]" if ":" in host else host
        self.marked = 0
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(FAKES, "est_server.py"), "--dir", self.dir, "--bind", bind, "--host", host, "--port",
             str(port)] + [f"--set={name}={value if isinstance(value, str) else json.dumps(value)}"
                           for name, value in settings.items()], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.exists(self.dir + "/port") or self.process.poll() is not None)
            with open(self.dir + "/port", encoding="ascii") as file:
                self.port = int(file.read())
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.url = f"https://{self.host}:{self.port}/.well-known/est"
        self.write_password()

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def ask(self, op, **arguments):
        answer = ask(self.path("control.sock"), {"op": op, **arguments})
        if not answer.pop("ok"):
            raise RuntimeError(answer["error"])
        return answer

    def set(self, **settings):
        for name, value in settings.items():
            self.ask("set", name=name, value=value)

    def fault(self, name, **arguments):
        self.ask("fault", name=name, **arguments)

    def mark(self):
        """From here on events() tells what has happened since."""
        with open(self.path("events.jsonl"), "rb") as file:
            self.marked = file.seek(0, os.SEEK_END)

    def events(self, event=None, **fields):
        with open(self.path("events.jsonl"), "rb") as file:
            file.seek(self.marked)
            data = file.read()
        found = [json.loads(line) for line in data[:data.rfind(b"\n") + 1].splitlines()]
        return [e for e in found if event in (None, e["event"]) and all(e.get(k) == v for k, v in fields.items())]

    def event(self, event, seconds=10, **fields):
        """The newest such event; waits a little for it."""
        end = time.monotonic() + seconds
        while not self.events(event, **fields):
            if time.monotonic() > end:
                raise AssertionError(f"no event {event} {fields}: {self.events()}")
            time.sleep(0.02)
        return self.events(event, **fields)[-1]

    def issued(self):
        """What it has issued; `pem` is the certificate."""
        return self.ask("status")["issued"]

    def fingerprint(self, generation=1):
        """SHA-256 of a root, 64 hex digits."""
        return self.ask("status")["roots"][generation - 1]

    def write_password(self, password="correct horse"):
        """The file for password-file."""
        fd = os.open(self.path("password"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(password + "\n")

    def keys(self, credential="password", **changes):
        """The keys of [enrolment.est] for this server; None leaves one out. @credential: password, claim, both, none."""
        wanted = {"url": self.url, "ca": self.path("ca.pem")}
        if credential in ("password", "both"):
            wanted |= {"username": "gateway", "password-file": self.path("password")}
        if credential in ("claim", "both"):
            wanted |= {"certificate": self.path("claim.pem"), "key": self.path("claim.key")}
        wanted |= changes
        return {key: value for key, value in wanted.items() if value is not None}

    def section(self, **changes):
        """[enrolment.est] as text; a list is a key that stands several times."""
        lines = []
        for key, value in self.keys(**changes).items():
            lines += [f"{key} = {v}" for v in (value if isinstance(value, list) else [value])]
        return "[enrolment.est]\n" + "\n".join(lines) + "\n"

    def close(self):
        """Ends it. Raises AssertionError where the stand-in itself was at fault."""
        self.marked = 0
        broken = self.events("internal-error")
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.dir, ignore_errors=True)
        if broken:
            raise AssertionError(broken[0]["detail"])


class EstProvision(Provision):
    """A TPM and a server for a class, a state directory for each test. Settings and faults do not outlive a test."""

    SERVER = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.est = EstServer(**cls.SERVER)
        cls.addClassCleanup(cls.est.close)

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tidegate-provision-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.state = self.dir + "/state"
        self.est.ask("reset")
        self.est.write_password()
        self.est.mark()
        self.configure()

    def configure(self, tpm="", enrolment="", more="", **changes):
        """@enrolment: further lines of [enrolment]; @more: further sections; @changes: keys of [enrolment.est]."""
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n{tpm}\n[enrolment]\nmethod = est\n{enrolment}\n\n"
                       f"{self.est.section(**changes)}\n{more}\n")
        os.chmod(self.dir + "/tidegate.conf", 0o640)

    def postponed(self, *arguments):
        """The step at which a run was put off that must be."""
        steps, result = self.enrol(*arguments, status=1)
        self.assertEqual((result["result"], steps[-1]["state"], steps[-1]["class"], steps[-1]["status"]),
                         ("pending", "pending", "pending", 202))
        return steps[-1]

    def assert_enrolled(self, result, generation=1):
        super().assert_enrolled(result, generation)
        self.assert_no_password()

    def assert_no_password(self):
        """In nothing that was told or written; no secret was said before the server was verified."""
        self.assertNotIn("correct horse", self.everything)
        for folder, _, names in os.walk(self.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"correct horse", file.read(), name)
