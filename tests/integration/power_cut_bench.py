# SPDX-License-Identifier: Apache-2.0
"""Power cuts, one at a time: the gateway on a small ext4 of its own, and what must hold when the power comes back.

The file system is a loop-mounted image, so that its power can fail (EXT4_IOC_SHUTDOWN) while the machine's does not. The TPM keeps its
state elsewhere, as a chip does, and is killed at the same instant. The service and broker is the AWS IoT stand-in, which lives on
from cut to cut and counts what it has issued. What cuts is the preloaded power-cut.c; see there for the names of the points.

Needs root, and a mount namespace that enter_namespace() makes: a file system that anybody else still has mounted stays shut down.
"""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

from gateway_bench import BUILD, HERE, LIBC, Cloud, die_with_parent, read_text, wait_for

ROTATION_TEMPLATE = os.path.join(HERE, "..", "..", "packaging", "aws", "rotation-template.json")
PRELOAD = BUILD + "/tests/integration/power-cut.so"
IMAGE_BYTES = 24 << 20      # the smallest that mkfs gives a journal with room for everything that is not synced
SRK = 0x81000001
CLONE_NEWNS, MS_REC, MS_PRIVATE, PR_SET_CHILD_SUBREAPER = 0x20000, 0x4000, 1 << 18, 36
TRANSIENT, LOADED_SESSIONS, PERSISTENT = 0x80000000, 0x02000000, 0x81000000
CAP_HANDLES, CAP_PROPERTIES, LOCKOUT_COUNTER = 1, 6, 0x20E


def enter_namespace():
    """From here on mounts are this process's own, and orphans of the gateway are its children."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError("no mount namespace")
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def listens(path):
    """Whether a Unix socket takes connections; its file is there a little earlier."""
    accepts = "00010000"        # __SO_ACCEPTCON
    found = (line.split() for line in read_text("/proc/net/unix").splitlines() if line.endswith(" " + path))
    return any(words[3] == accepts for words in found)


class Disk:
    """The gateway's file system. A cut leaves it mounted and dead; power_on() is what the next boot does."""

    # No commit of the journal by the clock, and no help for programs that rename without fsync.
    OPTIONS = "loop,commit=600,noauto_da_alloc"

    def __init__(self, directory):
        self.image, self.mount = directory + "/disk.img", directory + "/disk"
        self.state = self.mount + "/state"
        os.makedirs(self.mount)
        self.mounted = False

    def make(self, template):
        with open(template, "wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", template)

    def insert(self, template):
        self.power_off()
        run("cp", "--sparse=always", template, self.image)
        self.power_on()

    def power_on(self):
        run("mount", "-o", self.OPTIONS, self.image, self.mount)
        self.mounted = True

    def power_off(self):
        if self.mounted:
            wait_for("the file system to be let go", lambda: LIBC.umount2(self.mount.encode(), 0) == 0)
            self.mounted = False


class Chip:
    """The TPM: a leader of the process group that loses its power at once."""

    def __init__(self, directory):
        self.dir = directory + "/tpm"
        self.socket = self.dir + "/s"
        self.process = None
        os.makedirs(self.dir)

    def insert(self, template):
        shutil.rmtree(self.dir)
        shutil.copytree(template, self.dir + "/state")

    def power_on(self):
        for name in (self.socket, self.socket + ".ctrl"):
            if os.path.exists(name):
                os.unlink(name)

        def lead():
            die_with_parent()
            os.setpgid(0, 0)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}/state", "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lead)
        wait_for("the TPM", lambda: listens(self.socket) and listens(self.socket + ".ctrl"))

    def power_off(self):
        """The whole group: what still runs of the gateway, too."""
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None

    def capability(self, capability, first, count):
        command = struct.pack(">HIIIII", 0x8001, 22, 0x17A, capability, first, count)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.socket)
            s.sendall(command)
            answer = s.recv(4096)
        code, = struct.unpack_from(">I", answer, 6)
        if code:
            raise OSError(f"the TPM answers {code:#x}")
        n, = struct.unpack_from(">I", answer, 15)
        return [struct.unpack_from(">I", answer, 19 + 4 * i)[0] for i in range(n * (2 if capability == CAP_PROPERTIES else 1))]

    def handles(self, kind):
        return self.capability(CAP_HANDLES, kind, 64)

    def lockout_counter(self):
        tag, value = self.capability(CAP_PROPERTIES, LOCKOUT_COUNTER, 1)
        assert tag == LOCKOUT_COUNTER
        return value


class Gateway:
    """tidegated and the helper that it starts, on a disk and a TPM whose power can fail."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory + "/run")
        self.disk, self.chip, self.cloud = Disk(directory), Chip(directory), Cloud(directory)
        self.cloud.ask("hook", verdict="allow")
        self.conf, self.log, self.points = directory + "/tidegate.conf", directory + "/log", directory + "/points"
        self.socket = directory + "/run/tidegate-control.sock"
        self.process = None
        self.write_config()

    def write_config(self):
        cloud = self.cloud
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(f"[tpm]\ntcti = swtpm:path={self.chip.socket}\n[enrolment]\nmethod = aws-fleet\n[enrolment.aws-fleet]\n"
                       f"endpoint = localhost\nport = {cloud.port}\nca = {cloud.path('server-ca.pem')}\n"
                       f"claim-certificate = {cloud.path('claim.pem')}\nclaim-key = {cloud.path('claim.key')}\n"
                       "template = tidegate-fleet\nrotation-template = tidegate-rotation\n[rotation]\nprobation = 1s\n"
                       f"[mqtt]\nendpoint = localhost\nport = {cloud.port}\nca = {cloud.path('server-ca.pem')}\n")
        os.chmod(self.conf, 0o640)

    def run_helper(self, *arguments, **how):
        """The helper as a person starts it, to its end; its status."""
        self.spawn([BUILD + "/provisioning/tidegate-provision", "--state-dir", self.disk.state, *arguments], **how)
        status = self.process.wait()
        self.process = None
        return status

    def start(self, **how):
        self.spawn([BUILD + "/agent/tidegated", "--config", self.conf, "--state-dir", self.disk.state, "--runtime-dir", self.dir + "/run",
                    "--helper", BUILD + "/provisioning/tidegate-provision"], **how)

    def spawn(self, command, at=None, no_sync=False):
        group = self.chip.process.pid
        environment = {**os.environ, "LD_PRELOAD": PRELOAD, "TG_CUT_STATE": self.disk.state, "TG_CUT_MOUNT": self.disk.mount,
                       "TG_CUT_TPM": self.chip.socket, "TG_CUT_LOG": self.points, "TG_CUT_GROUP": str(group), "TSS2_LOG": "all+none"}
        if at:
            environment["TG_CUT_AT"] = at
        if no_sync:
            environment["TG_CUT_NO_SYNC"] = "1"

        def join():
            die_with_parent()
            os.setpgid(0, group)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
                                            preexec_fn=join)

    def refuse_renewed(self, refused):
        """Whether the broker refuses what a renewal brings: certificates without a policy may do nothing."""
        template = json.loads(read_text(ROTATION_TEMPLATE))
        if refused:
            del template["Resources"]["policy"]
        self.cloud.ask("template", name="tidegate-rotation", body=template)

    def running(self):
        return self.process.poll() is None

    def ask(self, request):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(self.socket)
                s.sendall(json.dumps(request).encode() + b"\n")
                with s.makefile("rb") as file:
                    answer = json.loads(file.readline() or b"null")
            return answer["data"] if answer and answer["ok"] else None
        except OSError:
            return None

    def said(self):
        return read_text(self.log)[-4000:]

    def was_cut(self):
        return "\nCUT " in read_text(self.points)

    def forget_logs(self):
        for path in (self.log, self.points):
            open(path, "w", encoding="ascii").close()

    def is_tidy(self):
        """Nothing is under way on the disk: no enrolment, no trial, no probation."""
        identity = self.disk.state + "/identity"
        return not any(os.path.lexists(f"{identity}/{name}") for name in ("pending", "candidate", "previous/key.pem"))

    def is_at_rest(self):
        """No file is half written, and what was put into the TPM since the start has been taken out."""
        said = read_text(self.points)
        if any(name.startswith(".") for name in os.listdir(self.disk.state)):
            return False
        return len(re.findall("tpm (Load|CreatePrimary) ", said)) == len(re.findall("tpm FlushContext ", said))

    def power_off(self):
        """Everything that the cut, or the end of a run, leaves running or mounted."""
        self.chip.power_off()
        if self.process:
            self.process.wait()
            self.process = None
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        self.disk.power_off()

    def power_on(self):
        self.disk.power_on()
        self.chip.power_on()

    def end(self):
        self.power_off()
        self.cloud.end()
