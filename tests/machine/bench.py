# SPDX-License-Identifier: Apache-2.0
"""Scenarios in the arm64 machine of machine.py, for test_*.py.

    Bridge      the CP2112 of guest/cp2112.py: an I2C bus with chips, and eight GPIO lines
    Watch       readings as they arrive
    Scenario    a test with the installed package: configuration, systemctl, status, readings, and a look at the journal
"""

import ast
import datetime
import json
import re
import shlex
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True

from judge import Judge      # noqa: E402
from machine import Machine, Refused, die_with_parent, wait_for     # noqa: E402,F401


CONTROL = "/run/tidegate-control.sock"
STATUS_NOW = ("busctl --json=short get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/tidegate_2eservice "
              "org.freedesktop.systemd1.Service StatusText")


def full(test):
    """Decorates a test that only --full runs."""
    test.for_full = True
    return test


class Bridge:
    """The CP2112 of guest/cp2112.py, plugged in as long as this lives."""

    def __init__(self, machine):
        self.machine = machine
        self.popen = subprocess.Popen(machine.ssh("exec python3 /root/cp2112.py"), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, bufsize=1, preexec_fn=die_with_parent)
        self.adapter = wait_for("the I2C adapter", self.find_adapter)   # its number
        self.gpio = wait_for("the GPIO chip", self.find_gpio)           # gpiochipN

    def find_adapter(self):
        found = self.machine.run("grep -l CP2112 /sys/class/i2c-dev/*/name || true").split()
        return re.search(r"i2c-(\d+)/name", found[0]).group(1) if found else None

    def find_gpio(self):
        found = re.search(r"^(gpiochip\d+) \[cp2112_gpio\]", self.machine.run("gpiodetect"), re.MULTILINE)
        return found and found.group(1)

    def ask(self, *words):
        self.popen.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.popen.stdin.flush()
        answer = ast.literal_eval(self.popen.stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{words}: {answer['error']}")
        return answer

    def bind(self, chip, address):
        """Binds a kernel driver to a chip on the bus; returns the directory of the device."""
        bus = f"/sys/bus/i2c/devices/i2c-{self.adapter}"
        device = f"/sys/bus/i2c/devices/{self.adapter}-{address:04x}"
        for _ in range(3):  # hid-cp2112 gives a transfer a tenth of a second, which a loaded host may take
            self.machine.run(f"echo {chip} {address:#x} >{bus}/new_device; udevadm settle")
            if self.machine.try_run(f"test -e {device}/driver").returncode == 0:
                return device
            self.machine.run(f"echo {address:#x} >{bus}/delete_device")
        raise AssertionError(f"the driver of {chip} did not take it: {self.machine.run('dmesg | tail -5')}")

    def output(self, line):
        """What the bridge drives on @line, or None for an input."""
        lines = self.ask("lines")
        return lines["output"] >> line & 1 if lines["direction"] >> line & 1 else None

    def end(self):
        if self.popen.poll() is None:
            self.popen.stdin.close()
            self.popen.wait(30)
        self.popen.stdout.close()


class Watch:
    """`tidegate watch --json` in the background: every reading from its start on."""

    def __init__(self, machine, arguments):
        self.lines = []
        self.popen = subprocess.Popen(machine.ssh(shlex.join(arguments)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      text=True, preexec_fn=die_with_parent)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        for line in self.popen.stdout:
            self.lines.append(json.loads(line))

    def readings(self):
        """So far: {"device": ..., "time": ..., "samples": [...]} in their order."""
        return [line for line in list(self.lines) if "samples" in line]

    @staticmethod
    def when(reading):
        """Seconds since 1970, of the first sample in it."""
        return datetime.datetime.fromisoformat(reading["time"].replace("Z", "+00:00")).timestamp()

    def samples(self, point):
        """Of DEVICE/POINT so far."""
        device, _, name = point.partition("/")
        return [s for r in self.readings() if r["device"] == device for s in r["samples"] if s["point"] == name]

    def values(self, point):
        return [s["value"] for s in self.samples(point) if s["quality"] == "good"]

    def end(self):
        self.popen.kill()
        self.popen.wait(30)
        self.thread.join(30)
        self.popen.stdout.close()


class Scenario(unittest.TestCase):
    """The installed package in the machine, configured in /etc/tidegate and started with systemctl, as a user does.

    SNAPSHOT "installed": no identity, no broker, and self.config says so; "enrolled": with an identity from the TPM, and
    self.config, which is in its place already, says where cloud and broker are. Before each test tidegate's own files are
    made what they were in it; the machine itself goes back, which takes longer, where FRESH, or behind a test that failed or SPOILS.

    After each test the journal is judged: see judge.py. What a test wants to go wrong it announces with self.excuse().
    """

    machine = world = None      # of run.py
    SNAPSHOT = "installed"
    FRESH = False       # needs a machine that nobody has used
    SPOILS = False      # leaves more behind than files of tidegate

    def go_back(self):
        if self.FRESH or self.machine.state != self.SNAPSHOT:
            self.world.reset(self.SNAPSHOT)
            self.machine.reset(self.SNAPSHOT)
            return
        if self.SNAPSHOT == "enrolled":
            self.world.reset(self.SNAPSHOT)
        self.machine.restore()

    def setUp(self):
        self.go_back()
        if self.SNAPSHOT == "enrolled":
            self.config = self.world.config()
        else:
            self.config = {"gateway": {"id": "machine"}, "enrolment": {"method": "none"}}
        self.failed_before = self.failures()
        self.judge = Judge(self.machine)
        self.addCleanup(self.look_back)

    def excuse(self, pattern):
        """Lines of the journal, or names of failed units, that this test is about."""
        self.judge.excuse(pattern)

    def look_back(self):
        """The journal's verdict, while the service still runs; then it ends, before its world does."""
        complaints = self.judge.complaints()
        if complaints or self.failures() > self.failed_before:
            print(self.machine.try_run("journalctl --no-pager -b -n 60").stdout, flush=True)
            self.machine.state = None
        if self.SPOILS:
            self.machine.state = None
        if self.machine.state:
            self.machine.try_run("systemctl stop tidegate.service; systemctl reset-failed")
        self.assertEqual(complaints, [])

    def failures(self):
        result = self._outcome.result
        return len(result.failures) + len(result.errors)

    def part(self, part):
        """Anything with end(), which is called at the end of the test."""
        self.addCleanup(part.end)
        return part

    def bridge(self):
        return self.part(Bridge(self.machine))

    # --- configuration: before start() -----------------------------------------------------------------------------------

    def add_bus(self, name, kind, **keys):
        """Keys as in the file, with underscores for hyphens."""
        self.config[f"bus {name}"] = {"type": kind, **self.keys(keys)}

    def add_device(self, name, bus, points, **keys):
        """@points: name -> read, or name -> all its keys."""
        self.config[f"device {name}"] = {"bus": bus, **self.keys(keys)}
        for point, what in points.items():
            self.config[f"point {name}/{point}"] = self.keys(what) if isinstance(what, dict) else {"read": what}

    @staticmethod
    def keys(keys):
        return {name.replace("_", "-"): value for name, value in keys.items()}

    def write_config(self, owner="root:tidegate"):
        text = ""
        for section, keys in self.config.items():
            lines = [f"{k} = {v}\n" for k, vs in keys.items() for v in (vs if isinstance(vs, list) else [vs])]
            text += f"[{section}]\n" + "".join(lines) + "\n"
        self.machine.write("/etc/tidegate/tidegate.conf", text, 0o640, owner)

    def start(self):
        """The service, with self.config; returns when systemd has it as started."""
        self.write_config()
        self.machine.run("systemctl start tidegate.service")
        self.wait("the gateway to answer", lambda: self.control(cmd="status"))

    def stop(self):
        self.machine.run("systemctl stop tidegate.service")

    def status_text(self):
        """The line that `systemctl status tidegate` shows."""
        found = re.search(r'^\s*Status: "(.*)"$', self.machine.try_run("systemctl status --no-pager tidegate.service").stdout,
                          re.MULTILINE)
        return found.group(1) if found else ""

    def wait_status_text(self, pattern, seconds=60):
        """Until that line matches; returns it."""
        return self.wait(f"a status line like {pattern}",
                         lambda: re.search(pattern, self.status_now()) and (lambda text: re.search(pattern, text) and text)(self.status_text()),
                         seconds)

    def status_now(self):
        """The same from systemd itself, which takes less."""
        out = self.machine.try_run(STATUS_NOW).stdout
        return json.loads(out)["data"] if out else ""

    def unit(self, *properties):
        """Properties of the service, as text, in a dictionary."""
        out = self.machine.run("systemctl show tidegate.service " + " ".join("-p " + name for name in properties))
        return dict(line.split("=", 1) for line in out.splitlines())

    # --- asking ----------------------------------------------------------------------------------------------------------

    def arguments(self, *words):
        return ["tidegate", *words]

    def ctl(self, *words):
        """The `tidegate` program: a CompletedProcess."""
        return self.machine.try_run(self.arguments(*words))

    def ask(self, *words):
        if words == ("status",):    # the one that is asked again and again, until something is so
            status = self.control(cmd="status")
            self.assertIsNotNone(status, "nobody answers")
            return status
        done = self.ctl("--json", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def control(self, **request):
        """The agent's own answer on its socket, which `tidegate` would print; None where there is none, or a refusal."""
        done = self.machine.ask(CONTROL, json.dumps(request))
        return json.loads(done.stdout).get("data") if done.stdout else None

    def bus(self, name):
        return next(b for b in self.ask("status")["buses"] if b["name"] == name)

    def device(self, name):
        return next(d for d in self.ask("status")["devices"] if d["name"] == name)

    def read(self, device):
        """Reads now: {point: sample}, good or bad."""
        data = self.control(cmd="read", device=device)
        self.assertTrue(data, "no answer")
        return {s["point"]: s for s in data["samples"]}

    def value(self, point):
        """The good value of DEVICE/POINT, read now."""
        device, _, name = point.partition("/")
        sample = self.read(device)[name]
        self.assertEqual(sample["quality"], "good", sample)
        return sample["value"]

    def watch(self, *devices):
        return self.part(Watch(self.machine, self.arguments("--json", "watch", *devices)))

    def wait(self, what, condition, seconds=60):
        try:
            return wait_for(what, condition, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.ctl('status').stdout}") from None

    def wait_health(self, device, health, seconds=60):
        return self.wait(f"{device} to be {health}", lambda: self.device(device)["health"] == health, seconds)

    def wait_online(self, seconds=120):
        """Connected with the current identity, and the broker has acknowledged something; returns the status."""
        def online():
            status = self.control(cmd="status")
            return (status and status["link"]["state"] == "online" and status["link"]["error"] is None and
                    status["identity"]["state"] == "current" and status)
        return self.wait("a session", online, seconds)
