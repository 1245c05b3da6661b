#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The hands of the tests in the machine: run commands, and ask services on their sockets, without a new session for each.

On standard input, any number of times: a line "run BYTES BYTES" with so many bytes of a command for the shell and of its standard
input, answered by a line "CODE BYTES BYTES" with its output and errors; or "ask BYTES BYTES", the path of a socket and a line for
it, answered in the same form with the line that came back.

A command's output goes through pipes, as to who is confined a file would be another matter.
"""

import os
import select
import signal
import socket
import sys

BUFFER = 1 << 16
ASK_SECONDS = 60


def drain(fd):
    """What is in a pipe now."""
    out = b""
    while True:
        try:
            data = os.read(fd, BUFFER)
        except BlockingIOError:
            return out
        if not data:
            return out
        out += data


def run(command, data):
    """Ends with the command: what it has left in the background may keep the pipes."""
    given = os.memfd_create("input")
    os.write(given, data)
    os.lseek(given, 0, os.SEEK_SET)
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    spawn = [(os.POSIX_SPAWN_DUP2, given, 0)] + [(os.POSIX_SPAWN_DUP2, pipe[1], fd) for fd, pipe in enumerate(pipes, 1)]
    pid = os.posix_spawn("/bin/bash", [b"bash", b"-c", command], os.environ, file_actions=spawn,
                         setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
    end = os.pidfd_open(pid)
    for fd in given, pipes[0][1], pipes[1][1]:
        os.close(fd)
    said = {pipe[0]: b"" for pipe in pipes}
    for fd in said:
        os.set_blocking(fd, False)
    listening = set(said)
    while end not in (ready := select.select([end, *listening], [], [])[0]):
        for fd in ready:
            data = drain(fd)
            said[fd] += data
            if not data:
                listening.discard(fd)
    _, status = os.waitpid(pid, 0)
    for fd in said:
        said[fd] += drain(fd)
        os.close(fd)
    os.close(end)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 255, *said.values()


def ask(path, line):
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(ASK_SECONDS)
            asked.connect(path)
            asked.sendall(line)
            with asked.makefile("rb") as file:
                return 0, file.readline(), b""
    except OSError as error:
        return 1, b"", str(error).encode()


def main():
    while words := sys.stdin.buffer.readline().split():
        first, second = (sys.stdin.buffer.read(int(count)) for count in words[1:])
        code, out, error = (run if words[0] == b"run" else ask)(first, second)
        sys.stdout.buffer.write(b"%d %d %d\n" % (code, len(out), len(error)) + out + error)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
