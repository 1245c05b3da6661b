# SPDX-License-Identifier: Apache-2.0
"""What the tests of tidegate-provision share: swtpm, the AWS IoT stand-in, and running the helper to its end."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGING = os.path.join(HERE, "..", "..", "packaging", "aws")
FAKE = os.path.join(HERE, "..", "fakes", "aws_iot.py")
STEPS = ["key", "csr", "request", "issued", "registered", "verified", "written"]


POLL_S = 0.02


def wait_for(what, seconds=20):
    """Polls until what() is true; a deadline that only a broken machine reaches. A busy one takes fewer turns, and gets more time."""
    begun, turns = time.monotonic(), 0
    while not what():
        turns += 1
        passed = time.monotonic() - begun
        if passed > seconds and (turns * POLL_S * 2 > seconds or passed > 4 * seconds):
            raise TimeoutError(what.__name__)
        time.sleep(POLL_S)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options)


class Tpm:
    """A software TPM in a directory of its own; it forgets nothing when its power is cut."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tidegate-tpm-")
        self.tcti = f"swtpm:path={self.dir}/s"
        self.process = None
        self.start()

    def start(self):
        for path in glob.glob(self.dir + "/s*"):
            if os.path.basename(path) in ("s", "s.ctrl"):
                os.unlink(path)
        os.makedirs(self.dir + "/state", exist_ok=True)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/state", "--server",
             f"type=unixio,path={self.dir}/s", "--ctrl", f"type=unixio,path={self.dir}/s.ctrl", "--flags",
             "not-need-init,startup-clear"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.dir + "/s"))

    def cut(self):
        self.process.kill()
        self.process.wait()

    def replace(self):
        self.cut()
        shutil.rmtree(self.dir + "/state")
        self.start()

    def close(self):
        self.cut()
        shutil.rmtree(self.dir)


class Cloud:
    """The stand-in, as a process of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tidegate-aws-")
        self.process = subprocess.Popen([sys.executable, FAKE, "--dir", self.dir], stdout=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.dir + "/port"))
        with open(self.dir + "/port", encoding="utf-8") as file:
            self.port = int(file.read())

    def ask(self, op, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.dir + "/control.sock")
            s.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            answer = json.loads(s.makefile().readline())
        if not answer.pop("ok"):
            raise RuntimeError(answer["error"])
        return answer

    def events(self, event, **fields):
        with open(self.dir + "/events.jsonl", encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        return [e for e in found if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def issued(self):
        return [c for c in self.ask("status")["certificates"] if c["origin"] == "csr"]

    def gateway_policy(self, rotation_template="tidegate-rotation"):
        """The packaged policy of a gateway, to be changed and put in its place."""
        with open(os.path.join(PACKAGING, "thing-policy.json"), encoding="utf-8") as file:
            text = file.read()
        for name, value in (("REGION", "eu-central-1"), ("ACCOUNT", "123456789012"), ("ROTATION_TEMPLATE", rotation_template)):
            text = text.replace(f"@{name}@", value)
        return json.loads(text)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


class Provision(unittest.TestCase):
    """A state directory and a service for each test, a TPM for all of a class."""

    helper = None

    @classmethod
    def setUpClass(cls):
        cls.tpm = Tpm()
        cls.addClassCleanup(cls.tpm.close)

    def setUp(self):
        self.cloud = Cloud()
        self.addCleanup(self.cloud.close)
        self.dir = tempfile.mkdtemp(prefix="tidegate-provision-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.state = self.dir + "/state"
        self.configure()

    def configure(self, tpm="", method="aws-fleet", **changes):
        fleet = {"endpoint": "localhost", "port": self.cloud.port, "ca": self.cloud.dir + "/server-ca.pem",
                 "claim-certificate": self.cloud.dir + "/claim.pem", "claim-key": self.cloud.dir + "/claim.key",
                 "template": "tidegate-fleet"}
        fleet.update(changes)
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n{tpm}\n[enrolment]\nmethod = {method}\n\n"
                       "[enrolment.aws-fleet]\n")
            file.writelines(f"{key} = {value}\n" for key, value in fleet.items() if value is not None)
        os.chmod(self.dir + "/tidegate.conf", 0o640)

    def command(self, *arguments):
        return [self.helper, "--config", self.dir + "/tidegate.conf", "--state-dir", self.state, *arguments]

    def enrol(self, *arguments, status=0):
        """Runs the helper to its end; its steps and its result."""
        done = subprocess.run(self.command("--json", *arguments), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(lines, done.stderr)
        self.everything = done.stdout + done.stderr
        return lines[:-1], lines[-1]

    def failure(self, *arguments):
        """The step that failed in a run that must fail."""
        steps, result = self.enrol(*arguments, status=1)
        self.assertEqual(result["result"], "failed")
        self.assertEqual(steps[-1]["state"], "failed")
        return steps[-1]

    def read(self, name):
        with open(f"{self.state}/identity/{name}", encoding="utf-8") as file:
            return file.read()

    def journal(self):
        return json.loads(self.read("pending/journal"))

    def pending_key(self):
        return self.read("pending/key.pem")

    def assert_enrolled(self, result, generation=1):
        self.assertEqual(result["result"], "enrolled")
        self.assertEqual(result["generation"], generation)
        self.assertEqual(os.readlink(self.state + "/identity/candidate"), f"generations/{generation:06}")
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()

    def assert_no_secrets(self):
        """No private key but TSS2 ones anywhere in the state directory, no token in what was told."""
        for folder, _, names in os.walk(self.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    text = file.read()
                self.assertEqual(text.count(b"PRIVATE KEY-----"), text.count(b"TSS2 PRIVATE KEY-----"), name)

    def promote(self):
        """What the agent does when the broker has accepted the candidate, probation included."""
        identity = self.state + "/identity"
        number = os.readlink(identity + "/candidate")
        if os.path.lexists(identity + "/current"):
            old = identity + "/" + os.readlink(identity + "/current")
            for name in ("key.pem", "bundle.pem"):
                os.unlink(f"{old}/{name}")
            os.rename(identity + "/current", identity + "/previous")
        os.symlink(number, identity + "/current")
        os.unlink(identity + "/candidate")


class Renewal(Provision):
    """Each test begins with a gateway that has enrolled and whose identity is current."""

    def setUp(self):
        super().setUp()
        self.enrol()
        self.promote()
        self.base = self.read("current/bundle.pem")

    def configure(self, rotation="", **changes):
        super().configure(**{"rotation-template": "tidegate-rotation", **changes})
        with open(self.dir + "/tidegate.conf", "a", encoding="utf-8") as file:
            file.write(f"\n[rotation]\n{rotation}\n")

    def renew(self, *arguments):
        steps, result = self.enrol("renew", *arguments)
        self.assert_untouched()
        return steps, result

    def refusal(self, *arguments):
        """The step that failed in a renewal that must fail; the current identity is what it was."""
        failed = self.failure("renew", *arguments)
        self.assert_untouched()
        self.assertFalse(os.path.lexists(self.state + "/identity/candidate"))
        return failed

    def assert_untouched(self):
        self.assertEqual(self.read("current/bundle.pem"), self.base)

    def assert_renewed(self, result, generation=2):
        self.assertEqual(result["result"], "renewed")
        self.assertEqual(result["generation"], generation)
        self.assertEqual(os.readlink(self.state + "/identity/candidate"), f"generations/{generation:06}")
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()


def main(doc):
    """Runs the tests of the calling script with the helper that its command line names."""
    if len(sys.argv) < 2:
        sys.exit(doc)
    Provision.helper = os.path.abspath(sys.argv.pop(1))
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main(verbosity=2)
