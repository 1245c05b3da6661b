# SPDX-License-Identifier: Apache-2.0
"""A network of the test's own: this process in a network and a mount namespace, and peers in others behind a cable.

Call isolate() first thing in main(), before any thread: everything that is started afterwards is inside. Nothing is left behind
when the test ends, as namespaces go with their last process.
"""

import ctypes
import os
import subprocess
import sys

from gateway_bench import LIBC, Process

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
SKIP = 77


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def isolate():
    """Ends the test as skipped where namespaces cannot be had."""
    probe = subprocess.run(["unshare", "-n", "-m", "--propagation", "private", "ip", "link", "set", "lo", "up"],
                           capture_output=True, text=True, timeout=30)
    if probe.returncode:
        print("skipped: no network namespaces here:", probe.stderr.strip())
        sys.exit(SKIP)
    if LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")


def sysctl(name, value, wrap=()):
    run(*wrap, "sh", "-c", f"echo {value} > /proc/sys/net/{name}")


def bind_file(path, text, target):
    """Puts a file with @text, written at @path, in the place of @target, for this mount namespace."""
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
    run("mount", "--bind", path, os.path.realpath(target))


class Peer:
    """A namespace at the other end of a cable: 10.77.N.2 and fd77::N:2 there, .1 and :1 here."""

    def __init__(self, directory, number=1):
        self.number, self.here, self.there = number, f"tg{number}a", f"tg{number}b"
        self.address, self.near = f"10.77.{number}.2", f"10.77.{number}.1"
        self.address6, self.near6 = f"fd77::{number}:2", f"fd77::{number}:1"
        self.process = Process(f"{directory}/peer-{number}", "unshare", "-n", "sleep", "3600")
        # The namespace is there when sleep runs in it.
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert self.process.running()
        self.wrap = ("nsenter", "-t", str(self.process.pid), "-n", "--")
        run("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there)
        run("ip", "link", "set", self.there, "netns", str(self.process.pid))
        run("ip", "addr", "add", f"{self.near}/24", "dev", self.here)
        run("ip", "addr", "add", f"{self.near6}/112", "dev", self.here, "nodad")
        run("ip", "link", "set", self.here, "up")
        run(*self.wrap, "ip", "link", "set", "lo", "up")
        run(*self.wrap, "ip", "addr", "add", f"{self.address}/24", "dev", self.there)
        run(*self.wrap, "ip", "addr", "add", f"{self.address6}/112", "dev", self.there, "nodad")
        run(*self.wrap, "ip", "link", "set", self.there, "up")

    def cut(self):
        """The far end goes down: what is sent there is lost, and nobody says so."""
        run(*self.wrap, "ip", "link", "set", self.there, "down")

    def mend(self):
        run(*self.wrap, "ip", "link", "set", self.there, "up")
        # Going down, the interface has lost what it had of IPv6.
        subprocess.run([*self.wrap, "ip", "addr", "add", f"{self.address6}/112", "dev", self.there, "nodad"],
                       capture_output=True, timeout=30)

    def end(self):
        """The cable goes with its end."""
        subprocess.run(["ip", "link", "del", self.here], capture_output=True, timeout=30)
        self.process.kill()
