# SPDX-License-Identifier: Apache-2.0
"""How tests reach the machine: from outside, and in it.

    Control     the QEMU Machine Protocol
    Hands       commands in it, and services' sockets
"""

import contextlib
import ctypes
import json
import select
import signal
import socket
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent(how=signal.SIGKILL):
    LIBC.prctl(PR_SET_PDEATHSIG, how)


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


class Hands:
    """guest/hands.py, which runs commands in the machine with less ado than a session of ssh."""

    def __init__(self, arguments):
        # What ssh has to say is kept for who asks why it has ended; a file, as the shared connection stays behind with it.
        self.error = tempfile.TemporaryFile("w+")      # pylint: disable=consider-using-with
        self.popen = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.error, bufsize=0,
                                      preexec_fn=die_with_parent)

    def call(self, what, first, second, seconds):
        """(code, output, errors); 255 where the connection ends, as of ssh."""
        end = time.monotonic() + seconds
        first, second = first.encode(), (second or "").encode()
        try:
            self.popen.stdin.write(b"%s %d %d\n" % (what.encode(), len(first), len(second)) + first + second)
            code, out, error = (int(word) for word in self.line(end).split())
            return code, self.take(out, end).decode(errors="replace"), self.take(error, end).decode(errors="replace")
        except (BrokenPipeError, EOFError):
            self.error.seek(0)
            return 255, "", self.error.read()

    def line(self, end):
        found = b""
        while not found.endswith(b"\n"):
            found += self.take(1, end)
        return found

    def take(self, count, end):
        found = b""
        while len(found) < count:
            if not select.select([self.popen.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise subprocess.TimeoutExpired("a command in the machine", 0)
            data = self.popen.stdout.read(count - len(found))
            if not data:
                raise EOFError
            found += data
        return found

    def end(self):
        self.popen.kill()
        self.popen.wait()
        for file in self.popen.stdin, self.popen.stdout, self.error:
            with contextlib.suppress(BrokenPipeError):
                file.close()
