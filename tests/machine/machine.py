# SPDX-License-Identifier: Apache-2.0
"""The arm64 machine: a Debian under qemu with a TPM, kernel interfaces for buses, and two networks.

    Machine     boots what build.sh made, runs commands in it, plugs and unplugs its USB serial adapters, cuts its network and
                its power, takes it back to a state that was kept; nothing of it outlives this process, and its disk is a
                throw-away overlay

The host's loopback is 10.0.3.2 in there, on the network `world`, which can be cut without losing the machine.
"""

import contextlib
import glob
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

from control import Control, Hands, die_with_parent

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.abspath(os.environ.get("TIDEGATE_MACHINE", os.path.join(HERE, "..", "..", "build", "machine")))
PREPARED = BUILT + "/prepared.qcow2"
BOOT_SECONDS = 900          # a busy host takes minutes where an idle one takes twelve seconds
ANSWER_SECONDS = 300        # the same for a second
ADAPTERS = ("meter", "gps")  # USB serial adapters, in the order of their ports
WORLD = "10.0.3.2"          # the host, as the machine's network `world` has it
KERNEL = "nokaslr mitigations=off rcupdate.rcu_cpu_stall_suppress=1"
PACKAGES = "/srv/packages"  # the apt source in the machine
DROP_INS_AWAY = ('for d in /etc/systemd/system /run/systemd/system /run/systemd/system.control; do [ ! -d $d/tidegate.service.d ] || '
                 'gone="${gone:-} $d/tidegate.service.d"; done; [ -z "${gone:-}" ] || { rm -rf $gone && systemctl daemon-reload; }')


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def lines_of(path):
    try:
        return bytes_of(path).decode().splitlines()
    except FileNotFoundError:
        return []


def digest(*what):
    return hashlib.sha256(repr(what).encode()).hexdigest()


def first_of_all():
    """The guest's kernel has time-outs of its own, which a busy host shall not make it miss."""
    die_with_parent()
    os.setsid()     # where sessions share the processors, it is theirs that count
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write("-10")
    os.nice(-10)


def wait_for(what, condition, seconds=60):
    """
    Polls until condition() is true and returns its value; the deadline is one that only a broken part reaches. A look takes the
    machine's time, so most of it is left for what is waited for.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(max(0.1, min(2 * (time.monotonic() - began), 2)))


class Refused(AssertionError):
    """A command in the machine that failed."""

    def __init__(self, command, done):
        super().__init__(f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}")
        self.code, self.error = done.returncode, done.stderr


class Machine:
    """One guest; start() takes between ten seconds and a minute."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tg-machine-")
        self.rooms = [self.dir]
        self.key = self.dir + "/key"
        self.qemu = self.control = self.port = self.hands = None
        self.adapters = {}      # plugged: name -> device
        self.append = ""        # more arguments for the kernel, of this start
        self.log = None         # of what is written to the disk
        self.image = None       # another disk than that of the snapshots: (path, format)
        self.state = None       # the snapshot that it is in, but for the files of tidegate
        self.spent_before = 0   # seconds of the processors, by what is no longer running

    def path(self, name):
        return os.path.join(self.dir, name)

    def room(self, elsewhere=None):
        """A directory that goes with the machine, whatever becomes of the test that has asked for it."""
        made = tempfile.mkdtemp(prefix="tg-machine-", dir=elsewhere or self.dir)
        self.rooms.append(made)
        return made

    def command(self):
        """
        Two networks, two CAN controllers on one wire, USB. One processor, as a second one costs more than it brings where machines
        run beside each other. Where its addresses are lots, the kernel changes page tables with each system call, at which
        the emulator forgets what it knew of them: a third of all the time. A host that is busy for long looks to the kernel like a
        processor that hangs, of which it need not tell.
        """
        out = ["qemu-system-aarch64", "-machine", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72",
               "-smp", "1", "-m", "512", "-display", "none", "-nodefaults", "-rtc", "base=utc",
               "-kernel", BUILT + "/kernel", "-initrd", BUILT + "/initrd.img",
               "-append", f"console=ttyAMA0 quiet panic=-1 {KERNEL} {self.append}", *self.disk(),
               "-netdev", "user,id=host,restrict=on,hostfwd=tcp:127.0.0.1:0-:22", "-netdev", "user,id=world,net=10.0.3.0/24",
               "-device", "virtio-net-pci,netdev=host,mac=52:54:00:00:02:0f,romfile=",
               "-device", "virtio-net-pci,netdev=world,mac=52:54:00:00:03:0f,romfile=",
               "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb",
               "-object", "can-bus,id=can", "-device", "kvaser_pci,canbus=can", "-device", "kvaser_pci,canbus=can",
               "-serial", f"file:{self.path('console.log')}", "-qmp", f"unix:{self.path('qmp')},server=on,wait=off"]
        for name in ADAPTERS:
            out += ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]
        return out

    def disk(self):
        """No flush goes through to the host's disk, as a cut is of the machine's power, and not of the host's."""
        path, kind = self.image or (self.path("disk.qcow2"), "qcow2")
        if not self.log:
            return ["-drive", f"file={path},if=virtio,format={kind},cache=unsafe"]
        return ["-blockdev", f"driver={kind},node-name=disk,cache.no-flush=on,file.driver=file,file.filename={path}",
                "-blockdev", f"driver=file,node-name=log,cache.no-flush=on,filename={self.log}",
                "-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512",
                "-device", "virtio-blk-pci,drive=logged,discard=off,write-zeroes=off"]

    # --- start and end ---------------------------------------------------------------------------------------------------

    def start(self):
        """Up to the snapshots `booted` and `installed`, which are kept for the next run: of this image, of these packages."""
        shutil.copy(BUILT + "/key", self.key)
        os.chmod(self.key, 0o600)
        wanted = self.stamps()
        made = lines_of(PREPARED + ".made")
        self.make_disk(made[:1] == wanted[:1])
        if made == wanted:
            self.resume("installed")
            return
        if made[:1] == wanted[:1]:
            self.resume("booted")
        else:
            self.power_on()
            wait_for("the machine to boot", self.is_reachable, BOOT_SECONDS)
            self.install_helpers()
            self.wait_boot()
            self.keep("booted")
        self.install_package()
        self.keep("installed")
        self.save(wanted)
        self.resume("installed")

    def stamps(self):
        """What the snapshots depend on: a line for each."""
        version = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True, check=True).stdout
        command = [word.replace(self.dir, "").replace(BUILT, "") for word in self.command()]
        helpers = [bytes_of(path) for path in sorted(glob.glob(HERE + "/guest/*.py"))]
        booted = digest(lines_of(BUILT + "/image.made"), version, command, helpers)
        return [booted, digest(booted, [bytes_of(path) for path in sorted(glob.glob(BUILT + "/packages/bookworm/*.deb"))])]

    def make_disk(self, prepared):
        """A disk of our own: with the snapshots of the last run, or an empty overlay over the disk that build.sh made."""
        image = ["-b", BUILT + "/disk.img", "-F", "raw"]
        if prepared:
            subprocess.run(["cp", "--reflink=auto", "--sparse=always", PREPARED, self.path("disk.qcow2")], check=True)
            subprocess.run(["qemu-img", "rebase", "-u", *image, self.path("disk.qcow2")], check=True)
        else:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *image, self.path("disk.qcow2")], check=True)

    def resume(self, name):
        """Power on in the state of a snapshot."""
        if self.control:
            self.power_off()
        self.power_on("-loadvm", name)
        wait_for("the machine to answer", self.answers, ANSWER_SECONDS)
        self.set_clock()
        self.state = name

    def save(self, stamps):
        """Whole or not at all: others may run from the same directory."""
        self.power_off()
        with tempfile.NamedTemporaryFile("w", dir=BUILT, delete=False) as made:
            made.write("\n".join(stamps) + "\n")
        copy = made.name + ".qcow2"
        subprocess.run(["cp", "--sparse=always", self.path("disk.qcow2"), copy], check=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PREPARED + ".made")
        os.rename(copy, PREPARED)
        os.rename(made.name, PREPARED + ".made")

    def power_on(self, *more):
        self.state = None
        with open(self.path("qemu.log"), "wb") as log:
            self.qemu = subprocess.Popen(self.command() + list(more), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         preexec_fn=first_of_all)
        wait_for("qemu", lambda: self.alive() and os.path.exists(self.path("qmp")))
        self.control = Control(self.path("qmp"))
        self.port = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", self.control.monitor("info usernet")).group(1)

    def wait_boot(self):
        wait_for("the machine to boot", self.answers, BOOT_SECONDS)
        self.run("systemctl is-system-running --wait >/dev/null; modprobe -a vcan can-j1939 uhid hid-cp2112 i2c-dev")

    def spent(self):
        """Seconds of the host's processors."""
        if not self.control:
            return self.spent_before
        words = lines_of(f"/proc/{self.qemu.pid}/stat")[0].rpartition(")")[2].split()
        return self.spent_before + (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def power_off(self):
        """From one moment to the next: what the machine had in its memory is gone, what it had written is on its disk."""
        self.forget_connection()
        self.spent_before = self.spent()
        self.control.ask("stop")
        self.control.ask("quit")
        self.control.close()
        self.qemu.wait(60)
        self.control = None
        self.adapters.clear()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("qmp"))

    def restart(self, append=""):
        """A power cut and a cold boot, with more arguments for the kernel; reset() takes them back, too."""
        self.power_off()
        self.append = append
        self.power_on()
        self.wait_boot()

    def restart_logged(self, log, base):
        """
        A power cut and a cold boot, from which on all that is written to the disk goes to @log, too. The disk as it was is @base,
        raw; the machine needs it as long as it runs.
        """
        self.power_off()
        subprocess.run(["qemu-img", "convert", "-O", "raw", self.path("disk.qcow2"), base], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", self.path("logged.qcow2")], check=True)
        with open(log, "wb"):
            pass
        self.log, self.image = log, (self.path("logged.qcow2"), "qcow2")
        self.power_on()
        self.wait_boot()

    def restart_from(self, path):
        """A cold boot from another disk, raw; the machine must be off."""
        self.log, self.image = None, (path, "raw")
        self.power_on()
        self.wait_boot()

    def reboot(self, command="systemctl reboot"):
        """The machine's own; returns when it has booted again."""
        before, self.state = self.boot_id(), None
        self.try_run(command)
        self.forget_connection()
        wait_for("another boot", lambda: self.answers() and self.boot_id() != before, BOOT_SECONDS)
        self.wait_boot()

    def boot_id(self):
        return self.try_run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def alive(self):
        if self.qemu.poll() is not None:
            with open(self.path("qemu.log"), encoding="utf-8", errors="replace") as log:
                raise AssertionError(f"qemu ended: {log.read()}")
        return True

    def answers(self):
        self.alive()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.try_run("true", seconds=60).returncode == 0
        return False

    def is_reachable(self):
        """As long as there are no hands."""
        self.alive()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(self.ssh("true"), capture_output=True, timeout=60).returncode == 0
        return False

    # --- commands --------------------------------------------------------------------------------------------------------

    def ssh(self, command, *options):
        """The command line that runs @command in the machine; all of them share one connection."""
        return ["ssh", "-i", self.key, "-p", self.port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes",
                "-o", f"ControlPath={self.path('ssh')}", *options, "root@127.0.0.1", command]

    def try_run(self, command, data=None, seconds=120):
        """What became of a command: a CompletedProcess, text."""
        if not isinstance(command, str):
            command = shlex.join(command)
        return subprocess.CompletedProcess(command, *self.call("run", command, data, seconds))

    def ask(self, path, line, seconds=120):
        """What a service in the machine answers on its socket, a line for a line: a CompletedProcess."""
        return subprocess.CompletedProcess(path, *self.call("ask", path, line + "\n", seconds))

    def call(self, what, first, second, seconds):
        if not self.hands:
            self.hands = Hands(self.ssh("exec python3 /root/hands.py"))
        try:
            done = self.hands.call(what, first, second, seconds)
        except BaseException:
            self.drop_hands()   # its answer would be taken for the next one's
            raise
        if done[0] == 255 and self.hands.popen.poll() is not None:
            self.drop_hands()
        return done

    def drop_hands(self):
        if self.hands:
            self.hands.end()
            self.hands = None

    def run(self, command, data=None, seconds=120):
        """Standard output of a command, text or list, that must succeed."""
        done = self.try_run(command, data, seconds)
        if done.returncode != 0:
            raise Refused(command, done)
        return done.stdout

    def write(self, path, text, mode=0o644, owner="root:root"):
        quoted = shlex.quote(path)
        self.run(f"mkdir -p {shlex.quote(os.path.dirname(path))} && cat >{quoted} && chown {owner} {quoted} && "
                 f"chmod {mode:o} {quoted}", text)

    def copy(self, paths, directory):
        """Files of the host into a directory of the machine."""
        with tempfile.TemporaryFile() as tar:
            subprocess.run(["tar", "-c", "--owner=0", "--group=0", *(word for path in paths for word in
                            ("-C", os.path.dirname(os.path.abspath(path)), os.path.basename(path)))], stdout=tar, check=True)
            tar.seek(0)
            subprocess.run(self.ssh(f"mkdir -p {shlex.quote(directory)} && tar -x -C {shlex.quote(directory)}"), stdin=tar,
                           check=True, timeout=120, stdout=subprocess.DEVNULL)

    def reach(self, port):
        """Lets programs in the machine connect to a port of the host's loopback, as the same port of their own."""
        subprocess.run(self.ssh("", "-O", "forward", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}"), capture_output=True, check=True,
                       timeout=30)

    @staticmethod
    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return listener.getsockname()[1]

    # --- what is in it ---------------------------------------------------------------------------------------------------

    def install_helpers(self):
        """The guest's own programs, and the names of what is outside."""
        self.copy(sorted(glob.glob(HERE + "/guest/*.py")), "/root")
        self.run(f"echo '{WORLD} cloud.test broker.test' >>/etc/hosts")

    def install_package(self):
        """As a user does it: from an apt source, with nothing but apt."""
        self.copy(sorted(glob.glob(BUILT + "/packages/bookworm/*")), PACKAGES)
        self.run(f"echo 'deb [trusted=yes] file:{PACKAGES} ./' >/etc/apt/sources.list.d/tidegate.list && apt-get -q update && "
                 "DEBIAN_FRONTEND=noninteractive apt-get -q -y install tidegate", seconds=300)

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

    # --- network, clock --------------------------------------------------------------------------------------------------

    def world(self, there):
        """The cable of the network that the gateway's peers are behind; ssh has another."""
        self.control.ask("set_link", name="world", up=there)

    def set_clock(self, seconds=None):
        """To a time since 1970, or to the host's."""
        self.run(f"date -s @{time.time() if seconds is None else seconds:.3f} >/dev/null")

    # --- snapshots -------------------------------------------------------------------------------------------------------

    def keep(self, name):
        """A state that reset() can go back to. No USB serial adapter may be there."""
        self.run("[ ! -d /etc/tidegate ] || tar -c -f /root/tidegate.tar -C / etc/tidegate var/lib/tidegate")
        self.forget_connection()
        self.control.monitor(f"savevm {name}")
        self.state = name

    def restore(self):
        """The files of tidegate as they were in the state that was kept last. The service stands still."""
        self.run("rm -rf /etc/tidegate /var/lib/tidegate; "
                 f"tar -x -f /root/tidegate.tar -C / && {DROP_INS_AWAY}")
        self.world(True)
        self.set_clock()

    def reset(self, name):
        """
        Back to a kept state, in a second or two, but then it is as slow as if it had never run, since the emulator forgets what it
        has translated. The clock is the host's again, and the cable is plugged in.
        """
        if self.append or self.image or not self.control:
            self.append, self.log, self.image = "", None, None
            self.resume(name)
            return
        self.state = name
        for adapter in list(self.adapters):
            self.control.ask("device_del", id=adapter)
            del self.adapters[adapter]
        self.forget_connection()
        self.control.monitor(f"loadvm {name}")
        self.world(True)
        wait_for("the machine to answer again", self.answers, ANSWER_SECONDS)
        self.set_clock()

    def forget_connection(self):
        self.drop_hands()
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
        for room in self.rooms:
            shutil.rmtree(room, ignore_errors=True)
