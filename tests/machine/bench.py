# SPDX-License-Identifier: Apache-2.0
"""The arm64 machine, for the scenarios in test_*.py: a Debian under qemu with real kernel interfaces for buses.

    Machine     boots what build.sh made, runs commands in it, plugs and unplugs its USB serial adapters, takes it back to
                the state after its boot; nothing of it outlives this process, and its disk is a throw-away overlay
    Bridge      the CP2112 of guest/cp2112.py: an I2C bus with chips, and eight GPIO lines
    Scenario    a test with a gateway in the machine: configuration, start, status, readings
"""

import ast
import contextlib
import ctypes
import datetime
import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.abspath(os.environ.get("TIDEGATE_MACHINE", os.path.join(HERE, "..", "..", "build", "machine")))
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
BOOT_SECONDS = 300          # a loaded host takes 35
ADAPTERS = ("meter", "gps")  # USB serial adapters, in the order of their ports
sys.dont_write_bytecode = True


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def first_of_all():
    """The guest's kernel has time-outs of its own, which a busy host shall not make it miss."""
    die_with_parent()
    os.nice(-10)


def wait_for(what, condition, seconds=60):
    """Polls until condition() is true and returns its value; the deadline is one that only a broken part reaches."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.1)


class Refused(AssertionError):
    """A command in the machine that failed."""

    def __init__(self, command, done):
        super().__init__(f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}")
        self.code, self.error = done.returncode, done.stderr


class Control:
    """The QEMU Machine Protocol."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw", encoding="utf-8")
        self.file.readline()    # the greeting
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']['desc']}")

    def monitor(self, line):
        """For what the protocol has no command; says something only when it fails."""
        said = self.ask("human-monitor-command", **{"command-line": line})
        if said.strip() and not line.startswith("info"):
            raise AssertionError(f"{line}: {said}")
        return said

    def close(self):
        self.file.close()
        self.socket.close()


class Machine:
    """One guest; start() takes between ten seconds and a minute."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tg-machine-")
        self.key = self.dir + "/key"
        self.qemu = self.control = self.port = None
        self.adapters = {}      # plugged: name -> device

    def path(self, name):
        return os.path.join(self.dir, name)

    def command(self):
        """Two processors, an own network towards the host alone, two CAN controllers on one wire, USB."""
        out = ["qemu-system-aarch64", "-machine", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72",
               "-smp", "2", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot", "-rtc", "base=utc",
               "-kernel", BUILT + "/kernel", "-initrd", BUILT + "/initrd.img", "-append", "console=ttyAMA0 quiet",
               "-drive", f"file={self.path('disk.qcow2')},if=virtio,format=qcow2,cache=unsafe",
               "-netdev", "user,id=host,restrict=on,hostfwd=tcp:127.0.0.1:0-:22",
               "-device", "virtio-net-pci,netdev=host,romfile=", "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb",
               "-object", "can-bus,id=can", "-device", "kvaser_pci,canbus=can", "-device", "kvaser_pci,canbus=can",
               "-serial", f"file:{self.path('console.log')}", "-qmp", f"unix:{self.path('qmp')},server=on,wait=off"]
        for name in ADAPTERS:
            out += ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]
        return out

    def start(self):
        shutil.copy(BUILT + "/key", self.key)
        os.chmod(self.key, 0o600)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", BUILT + "/disk.img", "-F", "raw",
                        self.path("disk.qcow2")], check=True)
        with open(self.path("qemu.log"), "wb") as log:
            self.qemu = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         preexec_fn=first_of_all)
        wait_for("qemu", lambda: self.alive() and os.path.exists(self.path("qmp")))
        self.control = Control(self.path("qmp"))
        self.port = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", self.control.monitor("info usernet")).group(1)
        wait_for("the machine to boot", self.answers, BOOT_SECONDS)
        self.run("systemctl is-system-running --wait >/dev/null; modprobe -a vcan can-j1939 uhid hid-cp2112 i2c-dev")
        return self

    def alive(self):
        if self.qemu.poll() is not None:
            with open(self.path("qemu.log"), encoding="utf-8", errors="replace") as log:
                raise AssertionError(f"qemu ended: {log.read()}")
        return True

    def answers(self):
        return self.alive() and subprocess.run(self.ssh("true"), capture_output=True, timeout=30).returncode == 0

    # --- commands --------------------------------------------------------------------------------------------------------

    def ssh(self, command, *options):
        """The command line that runs @command in the machine; all of them share one connection."""
        return ["ssh", "-i", self.key, "-p", self.port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes",
                "-o", f"ControlPath={self.path('ssh')}", *options, "root@127.0.0.1", command]

    def try_run(self, command, data=None, seconds=120):
        """What became of a command: a CompletedProcess, text."""
        if not isinstance(command, str):
            command = shlex.join(command)
        # The connection stays behind with the descriptors of who opened it, so they are files and not pipes.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
            done = subprocess.run(self.ssh(command), input=data, stdout=out, stderr=error, text=True, timeout=seconds)
            for file in (out, error):
                file.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read(), error.read())

    def run(self, command, data=None, seconds=120):
        """Standard output of a command, text or list, that must succeed."""
        done = self.try_run(command, data, seconds)
        if done.returncode != 0:
            raise Refused(command, done)
        return done.stdout

    def write(self, path, text, mode=0o644):
        self.run(f"mkdir -p {shlex.quote(os.path.dirname(path))} && cat >{shlex.quote(path)} && "
                 f"chmod {mode:o} {shlex.quote(path)}", text)

    def install(self):
        """tidegate of this tree, and the guest's own helpers."""
        with open(BUILT + "/tidegate.tar", "rb") as tar:
            subprocess.run(self.ssh("tar -x -C / --no-same-owner --keep-directory-symlink"), stdin=tar, check=True, timeout=120)
        for path in sorted(glob.glob(HERE + "/guest/*.py")):
            with open(path, encoding="utf-8") as file:
                self.write("/root/" + os.path.basename(path), file.read())
        self.run("systemd-sysusers && ldconfig && tidegated --version && systemctl daemon-reload")

    def reach(self, port):
        """Lets programs in the machine connect to a port of the host's loopback, as the same port of their own."""
        subprocess.run(self.ssh("", "-O", "forward", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}"), capture_output=True, check=True,
                       timeout=30)

    @staticmethod
    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return listener.getsockname()[1]

    # --- USB serial adapters ---------------------------------------------------------------------------------------------

    def plug(self, name):
        """Returns a socket: the wires behind the adapter. As long as it is open, the adapter is plugged in."""
        if name not in self.adapters:
            self.control.ask("device_add", driver="usb-serial", id=name, chardev=name, bus="usb.0",
                             port=str(1 + ADAPTERS.index(name)), serial=name.upper())
            self.adapters[name] = name
        wires = socket.socket(socket.AF_UNIX)
        wires.connect(self.path(name))
        return wires

    # --- snapshots -------------------------------------------------------------------------------------------------------

    def keep(self):
        """The state that reset() goes back to. No USB serial adapter is there."""
        self.control.monitor("savevm kept")

    def reset(self):
        """Back to the kept state, in a second or two; the clock is the host's again."""
        for name in list(self.adapters):
            self.control.ask("device_del", id=name)
            del self.adapters[name]
        self.forget_connection()
        self.control.monitor("loadvm kept")
        wait_for("the machine to answer again", self.answers)
        self.run(f"date -s @{time.time():.3f} >/dev/null")

    def forget_connection(self):
        subprocess.run(self.ssh("", "-O", "exit"), capture_output=True, timeout=30)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("ssh"))

    def end(self):
        if self.port:
            self.forget_connection()
        if self.control:
            self.control.close()
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


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
    """A gateway in the machine, without a TPM and without a broker: what devices say is seen through its control socket."""

    machine = None      # of run.py
    directory = "/run/scenario"

    @classmethod
    def setUpClass(cls):
        cls.machine.reset()

    def setUp(self):
        self.config = {"gateway": {"id": "machine"}, "tpm": {"tcti": "swtpm:path=/nowhere"}, "enrolment": {"method": "none"}}
        self.addCleanup(self.show_log)
        self.failed_before = self.failures()

    def failures(self):
        result = self._outcome.result
        return len(result.failures) + len(result.errors)

    def show_log(self):
        if self.failures() > self.failed_before:
            print(self.machine.try_run("journalctl --no-pager -b -n 60").stdout, flush=True)
        self.machine.try_run(f"systemctl stop scenario; systemctl reset-failed scenario; rm -rf {self.directory}")

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

    def start(self):
        text = ""
        for section, keys in self.config.items():
            lines = [f"{k} = {v}\n" for k, vs in keys.items() for v in (vs if isinstance(vs, list) else [vs])]
            text += f"[{section}]\n" + "".join(lines) + "\n"
        self.machine.write(self.directory + "/etc/tidegate.conf", text, 0o640)
        self.machine.run(f"mkdir -p {self.directory}/run {self.directory}/etc/conf.d && "
                         f"systemd-run --quiet --unit=scenario tidegated --config {self.directory}/etc/tidegate.conf "
                         f"--state-dir {self.directory}/state --runtime-dir {self.directory}/run")
        self.wait("the gateway to answer", lambda: self.ctl("status").returncode == 0)

    # --- asking ----------------------------------------------------------------------------------------------------------

    def arguments(self, *words):
        return ["tidegate", "--socket", self.directory + "/run/tidegate-control.sock", *words]

    def ctl(self, *words):
        """The `tidegate` program: a CompletedProcess."""
        return self.machine.try_run(self.arguments(*words))

    def ask(self, *words):
        done = self.ctl("--json", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def bus(self, name):
        return next(b for b in self.ask("status")["buses"] if b["name"] == name)

    def device(self, name):
        return next(d for d in self.ask("status")["devices"] if d["name"] == name)

    def read(self, device):
        """Reads now: {point: sample}, good or bad."""
        done = self.ctl("--json", "read", device)
        self.assertTrue(done.stdout, done.stderr)
        return {s["point"]: s for s in json.loads(done.stdout)["samples"]}

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
