# SPDX-License-Identifier: Apache-2.0
"""Runs inside the container, as the main program of a unit with the service's own sandbox: one line for each thing that it
tries, "name: ok" or "name: " and the error."""

import ctypes
import errno
import os
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, PTRACE_ATTACH, SCHED_FIFO, AF_PACKET = 0x10000000, 0x20000, 16, 1, 17
PROT_RWX, MAP_PRIVATE_ANONYMOUS, FAILED = 7, 0x22, ctypes.c_void_p(-1).value
LIBC.mmap.restype = ctypes.c_void_p


def tried(name, action):
    try:
        action()
        print(f"{name}: ok")
    except OSError as error:
        print(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")


def call(function, *arguments, failed=-1):
    if function(*arguments) == failed:
        raise OSError(ctypes.get_errno(), "")


def wrote(path):
    with open(path, "a", encoding="ascii"):
        pass


def read(path):
    with open(path, "rb") as file:
        file.read(64)


def executed(path):
    pid = os.posix_spawn(path, [path, "--version"], {})
    if os.waitpid(pid, 0)[1]:
        raise OSError(errno.EIO, "")


def copied_and_executed(directory):
    path = directory + "/probe-program"
    with open("/usr/bin/env", "rb") as source, open(path, "wb") as program:
        program.write(source.read())
    os.chmod(path, 0o700)
    try:
        executed(path)
    finally:
        os.unlink(path)


def opened(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()


def marked():
    path = os.environ["STATE_DIRECTORY"] + "/probe"
    wrote(path)
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def reached(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


def main():
    others, tpm = sys.argv[1:]
    tried("W and X", lambda: call(LIBC.mmap, None, 4096, PROT_RWX, MAP_PRIVATE_ANONYMOUS, -1, 0, failed=FAILED))
    tried("write /etc", lambda: wrote("/etc/tidegate/probe"))
    tried("write /usr", lambda: wrote("/usr/lib/probe"))
    tried("write /var", lambda: wrote("/var/lib/probe"))
    tried("write /proc/sys", lambda: wrote("/proc/sys/kernel/hostname"))
    tried("read /home", lambda: os.listdir("/home"))
    tried("read /root", lambda: os.listdir("/root"))
    tried("see a process of root", lambda: read(f"/proc/{others}/status"))
    tried("ptrace", lambda: call(LIBC.ptrace, PTRACE_ATTACH, os.getppid() or int(others), 0, 0))
    tried("packet socket", lambda: opened(AF_PACKET, socket.SOCK_RAW))
    tried("raw IP socket", lambda: opened(socket.AF_INET, socket.SOCK_RAW, 1))
    tried("bluetooth socket", lambda: opened(31, socket.SOCK_RAW))
    tried("user namespace", lambda: call(LIBC.unshare, CLONE_NEWUSER))
    tried("mount namespace", lambda: call(LIBC.unshare, CLONE_NEWNS))
    tried("mount", lambda: call(LIBC.mount, b"none", b"/tmp", b"tmpfs", 0, None))
    tried("device node", lambda: os.mknod("/tmp/node", 0o20600, os.makedev(1, 3)))
    tried("set the clock", lambda: call(LIBC.settimeofday, ctypes.byref((ctypes.c_long * 2)(1, 0)), None))
    tried("set the name", lambda: call(LIBC.sethostname, b"probe", 5))
    tried("real time", lambda: os.sched_setscheduler(0, SCHED_FIFO, os.sched_param(1)))
    tried("set-user-id file", marked)
    tried("become root", lambda: os.setuid(0))
    tried("kernel log", lambda: read("/dev/kmsg"))
    tried("execute what is not ours", lambda: executed("/usr/bin/env"))
    for name, directory in (("the state", "/var/lib/tidegate"), ("the runtime directory", "/run/tidegate"), ("tmp", "/tmp"),
                            ("var tmp", "/var/tmp"), ("shared memory", "/dev/shm")):
        tried(f"execute from {name}", lambda: copied_and_executed(directory))
    print("--- needed")
    tried("boot id", lambda: read("/proc/sys/kernel/random/boot_id"))
    tried("memory", lambda: read("/proc/meminfo"))
    tried("machine id", lambda: read("/etc/machine-id"))
    tried("write the state", lambda: wrote("/var/lib/tidegate/last-probe") or os.unlink("/var/lib/tidegate/last-probe"))
    tried("write the runtime directory", lambda: wrote("/run/tidegate/probe") or os.unlink("/run/tidegate/probe"))
    tried("own /tmp", lambda: wrote("/tmp/probe"))
    tried("IP socket", lambda: opened(socket.AF_INET, socket.SOCK_STREAM))
    tried("netlink socket", lambda: opened(socket.AF_NETLINK, socket.SOCK_RAW))
    tried("name", lambda: socket.getaddrinfo("localhost", 1))
    tried("D-Bus", lambda: reached("/run/dbus/system_bus_socket"))
    tried("TPM", lambda: reached(tpm + ".ctrl"))
    tried("helper", lambda: executed("/usr/libexec/tidegate/tidegate-provision"))
    tried("command line", lambda: executed("/usr/bin/tidegate"))
    print("--- end")


main()
