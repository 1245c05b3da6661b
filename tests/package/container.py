# SPDX-License-Identifier: Apache-2.0
"""A Debian with systemd as PID 1 in a container, for the scenarios in test_booted_*.py.

A tree is made once, and is the ground of piuparts too; every container writes to a layer of its own above it, in memory, and
what one has written can be the ground of the next. All of it runs in namespaces and a cgroup that end with the test, also when
that is interrupted, terminated, or loses its parent: no process, mount or file stays. The stand-ins share the container's
network, which is loopback and nothing else.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

CGROUP = "/sys/fs/cgroup"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What a gateway of Debian's has, and what the tests look with. The package's own dependencies come from its control file.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "udev", "apt", "tpm-udev", "procps", "iproute2", "init-system-helpers",
            "libtss2-tcti-swtpm0*", "ca-certificates", "python3")
RECIPE = 1          # of make_tree(); another number makes all trees anew
BOOT_S, OFF_S, COMMAND_S = 180, 120, 300     # on a busy machine
PR_SET_PDEATHSIG = 1


class CannotRun(Exception):
    """This machine has not what a container needs."""


def die_with_parent(how=signal.SIGKILL):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)


def when_told_to_end(action):
    """From now on neither SIGTERM nor SIGINT ends this process, or what it waits for: they call @action."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: action())


def call(*command, **options):
    """Runs it to its end; raises with what it said unless it succeeds."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}")
    return done.stdout


# --- the tree ---------------------------------------------------------------------------------------------------------


def field(deb, name):
    return call("dpkg-deb", "-f", deb, name).strip()


def suite():
    with open("/etc/os-release", encoding="utf-8") as file:
        return re.search(r"VERSION_CODENAME=(\w+)", file.read())[1]


def mirror():
    sites = call("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian").split()
    if not sites:
        raise CannotRun("apt knows no Debian mirror")
    return sites[0]


def make_tree(root, deb):
    """A fresh Debian of this release in @root, with what @deb depends on and recommends, but without it. Made again only when
    that has changed."""
    needs = ", ".join(filter(None, (field(deb, "Depends"), field(deb, "Recommends"))))
    made, key = root + ".made", hashlib.sha256(repr((RECIPE, suite(), PACKAGES, needs)).encode()).hexdigest()
    if os.path.exists(made) and open(made, encoding="ascii").read() == key:
        return
    for path in (root, made):
        # Never into a mount, such as one of the machine's own that somebody left there.
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)
    os.makedirs(os.path.dirname(root), exist_ok=True)
    wanted = [p for p in PACKAGES if not p.endswith("*")]
    tcti = "libtss2-tcti-swtpm0t64 | libtss2-tcti-swtpm0"
    # What it mounts there, /dev/shm of this machine among it, must not stay when it is interrupted.
    call("unshare", "--mount", "--propagation", "private", "mmdebstrap", "--variant=minbase", "--dpkgopt=force-unsafe-io",
         f"--include={','.join(wanted)}",
         # Alternatives are for apt to choose; no documents are left out, as the package's own are looked at.
         f'--customize-hook=chroot "$1" apt-get satisfy -y -q --no-install-recommends "{needs}, {tcti}"',
         suite(), root, f"deb {mirror()} {suite()} main")
    # Not the first boot, on which systemd would enable whatever it finds.
    with open(root + "/etc/machine-id", "w", encoding="ascii") as file:
        file.write("5dba4e2f17c94b6fa60d3e8b92c7a140\n")
    with open(root + "/etc/hosts", "w", encoding="ascii") as file:
        file.write("127.0.0.1 localhost\n")
    # No mirror is reached from inside.
    for name in ("etc/apt/sources.list", "etc/resolv.conf"):
        with open(f"{root}/{name}", "w", encoding="ascii"):
            pass
    for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "dpkg-db-backup.timer"):
        link = f"{root}/etc/systemd/system/{unit}"
        if not os.path.lexists(link):
            os.symlink("/dev/null", link)
    with open(made, "w", encoding="ascii") as file:
        file.write(key)


# --- where it runs ----------------------------------------------------------------------------------------------------


def enclosed(script, *arguments):
    """Runs this script again, with the same arguments and --inside, in namespaces and a cgroup of its own; returns its exit
    status when all that it started has ended."""
    if os.geteuid() != 0:
        raise CannotRun("only root can boot a container")
    inner = subprocess.Popen(["unshare", "--mount", "--propagation", "private", sys.executable, script, "--fence", *arguments],
                             preexec_fn=lambda: die_with_parent(signal.SIGTERM))
    when_told_to_end(inner.terminate)
    return inner.wait()


def fence(script, *arguments):
    """In a mount namespace already: makes the cgroup, runs the tests in it, and ends what is left there."""
    group, told = f"{CGROUP}/tidegate-{os.getpid()}", []

    def kill():
        # unshare takes no signal but this while it waits.
        with contextlib.suppress(OSError), open(group + "/cgroup.kill", "w", encoding="ascii") as file:
            file.write("1")

    when_told_to_end(lambda: (told.append(True), kill()))
    subprocess.run(["umount", "-R", CGROUP], stderr=subprocess.DEVNULL, check=False)
    try:
        call("mount", "-t", "cgroup2", "cgroup2", CGROUP)
        os.mkdir(group)
    except (RuntimeError, OSError) as error:
        raise CannotRun(f"no cgroup of version 2: {error}") from None

    def join():
        die_with_parent()
        with open(group + "/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")

    # With processes of its own too: systemd-nspawn takes the cgroup of process 1 for the root of all, and what is left
    # behind ends with that process.
    try:
        inner = subprocess.Popen(["unshare", "--mount", "--net", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc",
                                  "--propagation", "private", sys.executable, script, "--inside", *arguments], preexec_fn=join)
        if told:        # before it had joined
            kill()
        code = inner.wait()
        with open(group + "/cpu.stat", encoding="ascii") as file:
            print(f"{int(re.search('usage_usec ([0-9]+)', file.read())[1]) / 1e6:.1f} s of the processors", flush=True)
    finally:
        kill()
        remove_group(group)
    return 128 + signal.SIGTERM if told else code


def remove_group(group):
    """When the last process in it is gone."""
    end = time.monotonic() + OFF_S
    while os.path.exists(group):
        with contextlib.suppress(OSError):
            for path, _, _ in os.walk(group, topdown=False):
                os.rmdir(path)
        if time.monotonic() > end:
            raise RuntimeError(f"{group} does not end")
        time.sleep(0.05)


def settle():
    """Inside: the cgroup is the root of what is seen, the network has its loopback, and /run is ours."""
    call("ip", "link", "set", "lo", "up")
    call("umount", "-R", CGROUP)
    call("mount", "-t", "cgroup2", "cgroup2", CGROUP)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs("/run/systemd/system")      # systemd-nspawn asks whether this is a systemd machine
    os.mkdir("/run/bench", 0o755)


# --- a container ------------------------------------------------------------------------------------------------------


class Done:
    """What a command inside said and how it ended."""

    def __init__(self, command, done):
        self.command, self.code, self.out = command, done.returncode, done.stdout

    def __repr__(self):
        return f"{self.command}: exit {self.code}: {self.out}"


class Container:
    """One booted system. @below: the layers that it stands on, the topmost first. @binds: directories seen inside."""

    def __init__(self, below, binds=(), options=()):
        self.top = f"/run/bench/{os.urandom(4).hex()}"
        self.root = self.top + "/root"
        self.layer = self.top + "/upper"
        for name in ("/root", "/upper", "/work"):
            os.makedirs(self.top + name)
        self.below = list(below)
        call("mount", "-t", "overlay", "overlay", "-o",
             f"lowerdir={':'.join(self.below)},upperdir={self.layer},workdir={self.top}/work", self.root)
        self.arguments = [*(f"--bind={path}" for path in binds), *options]
        self.process = self.leader = None
        self.boot()

    def boot(self):
        """Returns when the system says that it is running, or degraded."""
        self.log = open(self.top + "/console", "ab")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "-D", self.root, "--machine=gateway",
             "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only", *self.arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        end = time.monotonic() + BOOT_S
        self.leader = None
        while time.monotonic() < end and self.process.poll() is None:
            self.leader = self.leader or self.find_leader()
            if self.leader and self.run("systemctl", "is-system-running", check=False).out.strip() in ("running", "degraded"):
                return self
            time.sleep(0.05)
        raise CannotRun(f"systemd does not boot in a container: {self.console()[-500:]}")

    def find_leader(self):
        """PID 1 of the container: the child of systemd-nspawn that has become systemd."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
                children = file.read().split()
            for pid in children:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    if file.read().strip() == "systemd":
                        return pid
        except OSError:
            pass
        return None

    def console(self):
        with open(self.top + "/console", encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, *command):
        return ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "/usr/bin/env", "-i", f"PATH={PATH}",
                "TERM=dumb", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", *command]

    def run(self, *command, check=True, seconds=COMMAND_S, text=None):
        """A command inside, with standard output and error together."""
        done = subprocess.run(self.command(*command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
                              **({"input": text} if text is not None else {"stdin": subprocess.DEVNULL}), text=True, errors="replace")
        done = Done(" ".join(command), done)
        if check and done.code:
            raise AssertionError(repr(done))
        return done

    def shell(self, script, **options):
        return self.run("sh", "-euc", script, **options)

    def start(self, *command):
        """Something that goes on beside the test; ended with the container."""
        return subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, preexec_fn=die_with_parent)

    def path(self, path):
        """As seen from outside. Only for what is on the container's disk, which /run and /tmp are not."""
        return self.root + path

    def write(self, path, text, mode=0o644):
        self.run("sh", "-euc", f'mkdir -p "$(dirname {path})"; cat >{path}; chmod {mode:o} {path}', text=text)

    def read(self, path):
        return self.run("cat", path).out

    def exists(self, path):
        return self.run("test", "-e", path, check=False).code == 0

    def off(self):
        """An orderly end, as "poweroff"."""
        if self.process and self.process.poll() is None:
            if self.leader:
                self.run("systemctl", "poweroff", check=False)
            try:
                self.process.wait(OFF_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the system does not power off") from None
            finally:
                self.log.close()
        self.process = None

    def cut(self):
        """An end without warning. What PID 1 is cannot outlive it, nor what it started."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.log.close()
        self.process = None

    def keep(self):
        """Ends it, and returns the layers for containers that go on from here."""
        self.off()
        call("umount", self.root)
        return [self.layer, *self.below]

    def end(self):
        self.cut()
        subprocess.run(["umount", "-R", self.root], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.top, ignore_errors=True)
