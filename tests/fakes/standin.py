# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins for services share: settings, the record of events, and the tests' question to a running one."""

import json
import socket
import threading
import time


class Settings:
    """Base of the dataclasses that hold what can be set at start, and through the control socket while a stand-in runs."""

    def change(self, name, value):
        """Sets one value; its type is that of the value before."""
        if name not in self.__dataclass_fields__:
            raise ValueError(f"no setting is called {name}")
        kind = type(getattr(self, name))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
            value = kind(value) if kind is float or value == int(value) else value
        if not isinstance(value, (int, float) if kind in (int, float) else kind):
            raise ValueError(f"{name} must be {kind.__name__}")
        setattr(self, name, value)


class EventLog:
    """One JSON object a line, flushed at once: tests read it while it grows. From any thread."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", encoding="utf-8")

    def __call__(self, event, **fields):
        entry = json.dumps({"time": round(time.time(), 3), "event": event, **fields}) + "\n"
        with self.lock:
            self.file.write(entry)
            self.file.flush()


def ask(path, request):
    """One question to a running stand-in; for the command line and for tests in Python."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        sock.sendall(json.dumps(request).encode() + b"\n")
        with sock.makefile("rb") as file:
            return json.loads(file.readline())
