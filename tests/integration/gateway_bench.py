# SPDX-License-Identifier: Apache-2.0
"""A whole gateway on one machine, for the scenarios in test_gateway_*.py.

Around a real tidegated: swtpm, the AWS IoT stand-in to enrol with, mosquitto that demands client certificates, Modbus
servers with moving values, and a subscriber with a certificate of its own that records what arrives, in order. Each
part can be stopped, killed, frozen and started again on the same port. Nothing outlives the test: processes are ended
by their PID, and the kernel ends them should the test itself be killed.

The programs are those of $TIDEGATE_BUILD, of any preset; a report of a sanitizer in any of their logs fails the test.
"""

import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FAKES = os.path.join(HERE, "..", "fakes")
sys.dont_write_bytecode = True      # the tree stays as it was found

from mqtt_bench import Authority  # noqa: E402

BUILD = os.path.abspath(os.environ.get("TIDEGATE_BUILD", os.path.join(HERE, "..", "..", "build", "debug")))
SANITIZER = re.compile(r"(ERROR: (Address|Leak|Undefined)|WARNING: Thread)\w*Sanitizer|runtime error: ")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
# What ASan keeps of freed memory would look like a leak to those who watch how much the agent takes.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=4:verify_asan_link_order=0")
# The transport comes and goes with each connection to the TPM; unloaded, what it leaks has no name to be excused by.
KEEP_LOADED = {"LD_PRELOAD": "libtss2-tcti-swtpm.so.0"}
# A thread that hangs in a library is left behind on purpose.
os.environ.setdefault("TSAN_OPTIONS", "report_thread_leaks=0")
os.environ.setdefault("LSAN_OPTIONS", f"suppressions={HERE}/lsan.supp:print_suppressions=0")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


POLL_S = 0.05


def wait_for(what, condition, seconds=30):
    """Polls until condition() is true and returns its value; the deadline is one that only a broken part reaches.

    On a busy machine all takes longer, our own turns too: it is not over before as many of them were taken as half of the
    time has room for, unless it is over four times.
    """
    begun, turns = time.monotonic(), 0
    while True:
        found = condition()
        if found:
            return found
        turns += 1
        passed = time.monotonic() - begun
        if passed > seconds and (turns * POLL_S * 2 > seconds or passed > 4 * seconds):
            raise AssertionError(f"waited {passed:.0f} s in vain for {what}")
        time.sleep(POLL_S)


def quiet_port():
    """A free port that no outgoing connection takes while its server is away: below the ephemeral ones."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Process:
    """A program with its output in a file."""

    def __init__(self, log, *command, stdin=subprocess.DEVNULL, env=None):
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=out, preexec_fn=die_with_parent,
                                          env={**os.environ, **(env or {})})
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def stop(self, seconds=20):
        """SIGTERM; returns the exit status, which is that of SIGKILL when it did not obey."""
        if self.running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def kill(self):
        if self.running():
            self.signal(signal.SIGKILL)
        return self.wait(20)


class Tpm:
    """A software TPM that forgets nothing when its power is cut."""

    def __init__(self, directory):
        self.dir = os.path.join(directory, "tpm")
        self.socket = self.dir + "/s"
        self.tcti = f"swtpm:path={self.socket}"
        os.makedirs(self.dir + "/state")
        self.process = None
        self.start()

    def start(self):
        for name in (self.socket, self.socket + ".ctrl"):
            if os.path.exists(name):
                os.unlink(name)
        self.process = Process(self.dir + "/log", "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/state",
                               "--server", f"type=unixio,path={self.socket}", "--ctrl",
                               f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear")
        wait_for("the TPM", lambda: os.path.exists(self.socket) and os.path.exists(self.socket + ".ctrl"))

    def kill(self):
        self.process.kill()

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def end(self):
        self.process.kill()


class Cloud:
    """The AWS IoT stand-in, on one port for the life of the bench."""

    def __init__(self, directory, host="localhost", **settings):
        self.dir = os.path.join(directory, "cloud")
        os.makedirs(self.dir)
        self.port, self.host = quiet_port(), host
        self.settings = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
        self.process = None
        self.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        if os.path.exists(self.path("port")):
            os.unlink(self.path("port"))
        self.process = Process(self.path("log"), sys.executable, os.path.join(FAKES, "aws_iot.py"), "--dir", self.dir,
                               "--host", self.host, "--port", str(self.port), *self.settings)
        wait_for("the AWS IoT stand-in", lambda: read_text(self.path("port")).strip())

    def ask(self, op, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.path("control.sock"))
            s.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            with s.makefile("rb") as file:
                answer = json.loads(file.readline())
        if not answer.pop("ok"):
            raise AssertionError(answer["error"])
        return answer

    def events(self, event, **fields):
        found = [json.loads(line) for line in read_text(self.path("events.jsonl")).splitlines()]
        return [e for e in found if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def device_anchors(self):
        """What a broker must trust to know the gateways, as PEM."""
        return read_text(self.path("device-ca.pem"))

    def issued(self):
        return [c for c in self.ask("status")["certificates"] if c["origin"] == "csr"]

    def stop(self):
        self.process.stop()

    def end(self):
        self.process.stop()


class Broker:
    """mosquitto that demands client certificates. What it owes to the subscriber outlives its own death.

    @cloud: whoever enrols, with device_anchors(). Its own certificate is that of self.server, read at each start.
    @address: where it listens; @wrap: what its command is put behind, as a program that enters a namespace.
    """

    EXTRA = ""      # more of its configuration

    def __init__(self, directory, cloud, address="127.0.0.1", wrap=(), names=("localhost",)):
        self.dir = os.path.join(directory, "broker")
        os.makedirs(self.dir)
        self.authority = Authority(self.dir, "broker CA")
        self.ca = self.authority.file
        self.address, self.wrap, self.name = address, wrap, names[0]
        self.server = self.authority.issue("server.pem", "localhost", sans=names, server=True)
        self.log = self.dir + "/log"
        self.port = quiet_port()
        self.cloud = cloud
        self.process = self.subscriber = None
        self.start()

    def start(self, knows_devices=True):
        with open(self.dir + "/clients.pem", "w", encoding="ascii") as out:
            out.write(read_text(self.authority.file) + (self.cloud.device_anchors() if knows_devices else ""))
        with open(self.dir + "/conf", "w", encoding="ascii") as out:
            out.write(f"listener {self.port} {self.address}\ncafile {self.dir}/clients.pem\n"
                      f"certfile {self.server}\nkeyfile {self.server}\nrequire_certificate true\n"
                      "use_subject_as_username true\nallow_anonymous true\nlog_type all\nuser root\n"
                      f"log_dest file {self.log}\nmax_queued_messages 0\nset_tcp_nodelay true\n"
                      # What is acknowledged has gone to the subscriber: a queue would die with the broker.
                      "max_inflight_messages 0\n"
                      # The subscriber's session is kept over a kill -9, so that it misses nothing.
                      f"persistence true\npersistence_location {self.dir}/\nautosave_on_changes true\n"
                      "autosave_interval 1\n" + self.EXTRA)
        self.process = Process(self.dir + "/output", *self.wrap, "/usr/sbin/mosquitto", "-c", self.dir + "/conf")
        wait_for("mosquitto", self.listens)
        if self.subscriber:
            self.subscriber.start()

    def listens(self):
        try:
            socket.create_connection((self.address, self.port), 1).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.stop()

    def end(self):
        self.process.kill()


class Pack:
    """One message with readings, taken apart; raises when it is not SenML as promised."""

    def __init__(self, topic, payload):
        self.topic, self.device = topic, topic.rpartition("/")[2]
        self.records = json.loads(payload)
        assert isinstance(self.records, list) and isinstance(self.records[0]["bn"], str)
        self.base_name, self.base_time = self.records[0]["bn"], self.records[0].get("bt")
        self.values, self.units, self.bad = {}, {}, {}
        for record in self.records:
            value = [record[k] for k in ("v", "vs", "vb") if k in record]
            assert len(value) == 1 and record["n"], record
            if record["n"].endswith("_q"):
                self.bad[record["n"][:-2]] = value[0]
            else:
                self.values[record["n"]] = value[0]
                self.units[record["n"]] = record.get("u")
        self.seq, self.stream = self.values.pop("_seq"), self.values.pop("_stream")
        self.clock = self.values.pop("_clock", None)
        self.boot, self.boot_time = self.values.pop("_boot", None), self.values.pop("_boottime", None)
        self.epoch, self.number = self.seq >> 32, self.seq & 0xFFFFFFFF


class Subscriber:
    """mosquitto_sub with its own certificate and a session that the broker keeps; records in the order of arrival."""

    def __init__(self, directory, broker):
        self.log = os.path.join(directory, "subscriber.log")
        self.broker, self.process = broker, None
        self.pem = broker.authority.issue("subscriber.pem", "subscriber")
        broker.subscriber = self
        self.start()

    def start(self):
        """Again after each start of the broker: mosquitto_sub gives up when it loses the connection."""
        before = read_text(self.broker.log).count("Sending SUBACK to subscriber")
        self.end()
        self.process = Process(self.log, *self.broker.wrap, "mosquitto_sub", "-h", self.broker.name, "-p", str(self.broker.port), "--cafile",
                               self.broker.ca, "--cert", self.pem, "--key", self.pem, "-i", "subscriber", "-c", "-q",
                               "1", "-F", "%r %t %p", "-t", "tidegate/#")
        wait_for("the subscriber",
                 lambda: read_text(self.broker.log).count("Sending SUBACK to subscriber") > before)

    def messages(self):
        """(retained, topic, payload) of all that has come."""
        lines = read_text(self.log)
        whole = lines[:lines.rfind("\n") + 1].splitlines()
        return [(m[1] == "1", m[2], m[3]) for m in (re.match(r"([01]) (\S+) (.*)", line) for line in whole) if m]

    def packs(self, device=None):
        found = [Pack(topic, payload) for _, topic, payload in self.messages()
                 if not topic.endswith(("/status", "/status/events"))]
        return [p for p in found if device is None or p.device == device]

    def numbers(self, epoch=None):
        """The different sequence numbers so far."""
        return {p.seq for p in self.packs() if epoch is None or p.epoch == epoch}

    def states(self):
        """The status documents so far."""
        return [json.loads(payload) for _, topic, payload in self.messages() if topic.endswith("/status")]

    def events(self, event=None):
        """The events so far."""
        found = [json.loads(payload) for _, topic, payload in self.messages() if topic.endswith("/status/events")]
        return [e for e in found if event in (None, e["event"])]

    def end(self):
        if self.process:
            self.process.kill()


class Modbus:
    """tests/fakes/modbus-server.c with its commands."""

    def __init__(self, directory, name):
        self.log = os.path.join(directory, f"modbus-{name}.log")
        self.port = quiet_port()
        self.start()

    def start(self):
        self.answers = 0
        open(self.log, "w", encoding="ascii").close()
        self.process = Process(self.log, BUILD + "/tests/fakes/modbus-server", "--port", str(self.port), "--until-eof",
                               stdin=subprocess.PIPE)
        wait_for("the Modbus server", lambda: re.match(r"port \d+\n", read_text(self.log)))

    def say(self, command):
        self.process.popen.stdin.write(command.encode() + b"\n")
        self.process.popen.stdin.flush()
        self.answers += 1
        answer = wait_for("the Modbus server's answer",
                          lambda: (read_text(self.log).splitlines()[1:] + [None] * self.answers)[self.answers - 1])
        assert answer != "error", command
        return answer

    def end(self):
        self.process.kill()
        self.process.popen.stdin.close()


class Agent:
    """tidegated, its configuration, and the way to talk to it."""

    def __init__(self, bench):
        self.bench = bench
        self.state, self.run = bench.dir + "/state", bench.dir + "/run"
        self.conf = bench.dir + "/etc/tidegate.conf"
        self.socket = self.run + "/tidegate-control.sock"
        self.log = bench.dir + "/tidegated.log"
        os.makedirs(self.run)
        os.makedirs(bench.dir + "/etc/conf.d")
        self.process = None

    def command(self, *arguments):
        return [BUILD + "/agent/tidegated", "--config", self.conf, "--state-dir", self.state, "--runtime-dir", self.run,
                "--helper", BUILD + "/provisioning/tidegate-provision", *arguments]

    def start(self, wrap=(), wait=True):
        self.process = Process(self.log, *wrap, *self.command(), env=KEEP_LOADED)
        if wait:
            wait_for("the agent's control socket", self.answers)
        return self

    def answers(self):
        if not self.process.running():
            raise AssertionError(f"the agent ended with {self.process.popen.returncode}")
        try:
            return self.status()
        except OSError:
            return None

    def ask(self, request, seconds=60):
        """One request on the control socket; the whole answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(seconds)
            s.connect(self.socket)
            s.sendall(json.dumps(request).encode() + b"\n")
            with s.makefile("rb") as file:
                return json.loads(file.readline() or b"null")

    def status(self):
        answer = self.ask({"cmd": "status"})
        if not answer:
            raise OSError("no answer")
        assert answer["ok"], answer
        return answer["data"]

    def device(self, name="boiler"):
        return next(d for d in self.status()["devices"] if d["name"] == name)

    def ctl(self, *arguments, seconds=60):
        """The `tidegate` program: (exit code, standard output, standard error)."""
        done = subprocess.run([BUILD + "/agent/tidegate", "--socket", self.socket, *arguments], capture_output=True,
                              text=True, timeout=seconds)
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def run_to_end(self, seconds=30):
        """Starts it where it must refuse: (exit code, what it said)."""
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=seconds)
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stderr

    def said(self):
        return read_text(self.log)

    def stop(self, seconds=20):
        return self.process.stop(seconds)

    def kill(self):
        self.process.kill()

    def end(self):
        if self.process:
            self.process.stop()


BOILER = {"temperature": "holding 4 float32", "return": "holding 6 float32 order=CDAB", "polls": "holding 0 uint32",
          "ramp": "holding 3 int16", "level": "holding 42 int16"}


class Scenario(unittest.TestCase):
    """A fresh bench for every test. CLOUD = False leaves out the stand-in, the broker and the subscriber."""

    CLOUD = True
    EVERY = "200ms"

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tg-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self.look_at_logs)
        self.failed_before = self.failures()
        self.tpm = self.part(Tpm(self.dir))
        self.modbus = self.part(Modbus(self.dir, "plant"))
        if self.CLOUD:
            self.make_cloud()
        self.agent = self.part(Agent(self))
        self.config = self.first_config()
        self.add_devices()
        self.write_config()

    def make_cloud(self):
        self.cloud = self.part(Cloud(self.dir))
        self.broker = self.part(Broker(self.dir, self.cloud))
        self.subscriber = self.part(Subscriber(self.dir, self.broker))

    def add_devices(self):
        self.add_device("boiler", self.modbus, BOILER)

    def part(self, part):
        self.addCleanup(part.end)
        return part

    # --- after a test ------------------------------------------------------------------------------------------------

    def failures(self):
        result = self._outcome.result
        return len(result.failures) + len(result.errors)

    def look_at_logs(self):
        logs = sorted(glob.glob(self.dir + "/*.log") + glob.glob(self.dir + "/*/log"))
        reports = [log for log in logs if SANITIZER.search(read_text(log))]
        if reports or self.failures() > self.failed_before:
            for log in logs:
                text = read_text(log)
                print(f"--- {os.path.relpath(log, self.dir)}:", text if log in reports else text[-6000:], sep="\n")
        self.assertEqual(reports, [], "a sanitizer has something to report")

    # --- configuration -----------------------------------------------------------------------------------------------

    def first_config(self):
        config = {"tpm": {"tcti": self.tpm.tcti}, "enrolment": {"method": "none"}}
        if self.CLOUD:
            config["enrolment"] = {"method": "aws-fleet"}
            config["enrolment.aws-fleet"] = {
                "endpoint": "localhost", "port": self.cloud.port, "ca": self.cloud.path("server-ca.pem"),
                "claim-certificate": self.cloud.path("claim.pem"), "claim-key": self.cloud.path("claim.key"),
                "template": "tidegate-fleet"}
            config["mqtt"] = self.first_link()
        return config

    def first_link(self):
        return {"endpoint": "localhost", "port": self.broker.port, "ca": self.broker.ca}

    def add_device(self, name, modbus, points, every=None, **options):
        self.config[f"bus {name}-line"] = {"type": "modbus-tcp", "host": "127.0.0.1", "port": modbus.port}
        self.config[f"device {name}"] = {"bus": f"{name}-line", "every": every or self.EVERY, "backoff": "1s",
                                         **{k.replace("_", "-"): v for k, v in options.items()}}
        for point, read in points.items():
            self.config[f"point {name}/{point}"] = {"read": read}

    def write_config(self, path=None):
        with open(path or self.agent.conf, "w", encoding="utf-8") as file:
            for section, keys in self.config.items():
                # A list is a key that stands several times.
                lines = [f"{k} = {v}\n" for k, vs in keys.items() for v in (vs if isinstance(vs, list) else [vs])]
                file.write(f"[{section}]\n" + "".join(lines) + "\n")
        os.chmod(path or self.agent.conf, 0o640)

    # --- what scenarios wait for -------------------------------------------------------------------------------------

    def wait(self, what, condition, seconds=30):
        try:
            return wait_for(what, condition, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.last_status()}") from None

    def last_status(self):
        try:
            return json.dumps(self.agent.status())
        except (OSError, AssertionError, ValueError) as error:
            return f"none ({error})"

    def wait_online(self, seconds=60):
        """Connected, and the broker has acknowledged what makes a session count."""
        def online():
            status = self.agent.status()
            return (status["link"]["state"] == "online" and status["link"]["error"] is None
                    and status["identity"]["state"] == "current" and status)
        return self.wait("a session", online, seconds)

    def wait_offline(self, seconds=30):
        def offline():
            status = self.agent.status()
            return status["link"]["state"] in ("offline", "connecting") and status["link"]["error"] and status
        return self.wait("the end of the session", offline, seconds)

    def wait_packs(self, count, seconds=30):
        """Until that many different packs have come, and returns all."""
        self.wait(f"{count} packs", lambda: len(self.subscriber.numbers()) >= count, seconds)
        return self.subscriber.packs()

    def wait_drained(self, seconds=30):
        """Until everything that has been read up to now has arrived: that of this start, and of those before."""
        polls = sum(d["polls"] for d in self.agent.status()["devices"])

        def drained():
            numbers = self.subscriber.numbers()
            # Of what is there now: at first, that may all be of the start before.
            newest = [n for n in numbers if n >> 32 == max(numbers) >> 32]
            return len(newest) >= polls and self.holes(numbers) == []
        self.wait(f"{polls} packs of this start", drained, seconds)
        return self.subscriber.packs()

    # --- the promise -------------------------------------------------------------------------------------------------

    @staticmethod
    def holes(numbers):
        """(epoch, number) of what is missing between others of the same start of the agent."""
        missing = []
        for epoch in sorted({n >> 32 for n in numbers}):
            there = {n & 0xFFFFFFFF for n in numbers if n >> 32 == epoch}
            missing += [(epoch, n) for n in range(min(there), max(there)) if n not in there]
        return missing

    def assert_in_order(self, packs):
        """First deliveries increase, within a device and stream; a number always means the same reading."""
        last, known = {}, {}
        for pack in packs:
            key = (pack.device, pack.stream)
            if pack.seq in known:
                self.assertEqual(known[pack.seq], (pack.device, pack.values))
                continue
            known[pack.seq] = (pack.device, pack.values)
            self.assertGreater(pack.seq, last.get(key, 0), key)
            last[key] = pack.seq

    def assert_promise(self, packs):
        self.assertEqual(self.holes({p.seq for p in packs}), [])
        self.assert_in_order(packs)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main(verbosity=2)
