# SPDX-License-Identifier: Apache-2.0
"""The line simulator (line/main.c) as tests in Python use it."""

import subprocess


class Line:
    """A running modbus-line; every command is a method call: line("misdeed", 3, "late", 400)."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        word, _, self.port = self.process.stdout.readline().strip().partition(" ")
        if word != "port":
            self.close()
            raise RuntimeError("modbus-line did not start")

    def ask(self, *words):
        """The line that answers a command."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        return self.process.stdout.readline().strip()

    def __call__(self, *words):
        answer = self.ask(*words)
        if answer != "ok":
            raise RuntimeError(f"{words}: {answer or 'modbus-line has ended'}")

    def stats(self):
        words = self.ask("stats").split()
        return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}

    def rows(self, command):
        count = int(self.ask(command).split()[1])
        return [self.process.stdout.readline().strip() for _ in range(count)]

    def log(self):
        """(start_us, end_us, unit, function, address, count) of each request since the last call."""
        return [tuple(map(int, row.split())) for row in self.rows("log")]

    def words(self, unit, table, address, count=1):
        return [int(w, 16) for w in self.ask("get", unit, table, address, count).split()]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
