# SPDX-License-Identifier: Apache-2.0
"""What a test has asked to go wrong: armed by name for a number of occasions and, where it is a request's, an operation."""

import threading

from .answers import BROKEN

NAMES = {
    "accept-drop": "close the TCP connection as soon as it is accepted",
    "accept-hang": "accept, then never answer the TLS handshake",
    "tls-drop": "cut the connection right after the TLS handshake",
    "tls-end": "end it in order right after the TLS handshake",
    "status": "answer with `status`, `text`, `type`, `headers`; `close`",
    "body": "answer 200 with a body that is broken in the way named by `how`, of `type`",
    "raw": "send the bytes of `text` or `hex` instead of an answer, then close",
    "drop": "close instead of answering",
    "drop-after": "do what was asked, close instead of answering",
    "cut": "close after so many `bytes` of the answer's body",
    "drip": "send the answer's body with `seconds` between two bytes",
    "late": "answer after `seconds`",
}


class Faults:
    def __init__(self, log):
        self.log = log
        self.lock = threading.Lock()
        self.armed = []

    def arm(self, name, count=1, operation="*", **arguments):
        if name not in NAMES:
            raise ValueError(f"no fault is called {name}")
        if not isinstance(count, int):
            raise ValueError("count must be a number; -1 is for ever")
        if name == "body" and arguments.get("how") not in BROKEN:
            raise ValueError(f"how must be one of {', '.join(BROKEN)}")
        with self.lock:
            self.armed.append({"name": name, "count": count, "operation": operation, "arguments": arguments})

    def clear(self, name=None):
        with self.lock:
            self.armed = [f for f in self.armed if name is not None and f["name"] != name]

    def take(self, name, operation=""):
        """The arguments of the fault if it strikes now, else None. Counts the occasion."""
        with self.lock:
            for fault in self.armed:
                if fault["name"] == name and fault["operation"] in ("*", operation):
                    fault["count"] -= 1
                    if fault["count"] == 0:
                        self.armed.remove(fault)
                    self.log("fault", name=name, operation=operation)
                    return fault["arguments"]
        return None
