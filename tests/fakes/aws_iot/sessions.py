# SPDX-License-Identifier: Apache-2.0
"""The record of sessions: who held a client id, under which certificate, from when to when, and what came.

A session begins with CONNACK 0 and ends when the broker lets go of its client id. Two sessions under one client
id at a time are what a gateway must never try: "overlap" is logged for every CONNECT that meets another
session of its id, also for one that is refused.
"""

import time
from collections import deque
from dataclasses import asdict, dataclass, field

HISTORY_MAX = 20_000


@dataclass
class Session:
    client: str
    certificate: str
    begin: float = field(default_factory=time.time)     # these on the wall clock, in seconds
    end: float | None = None
    reason: str | None = None                           # as in AWS's presence events
    first_publish: float | None = None
    last_publish: float | None = None
    publishes: int = 0
    kept_back: int = 0                                  # of these: acknowledged and thrown away
    payload_bytes: int = 0

    def note_publish(self, message, kept_back):
        now = time.time()
        self.first_publish = self.first_publish or now
        self.last_publish = now
        self.publishes += 1
        self.kept_back += kept_back
        self.payload_bytes += len(message.payload)


class Sessions:
    def __init__(self, log):
        self.log = log
        self.history = deque(maxlen=HISTORY_MAX)
        self.overlaps = 0

    def begin(self, client, certificate):
        session = Session(client, certificate)
        self.history.append(session)
        return session

    def end(self, session, reason):
        session.end, session.reason = time.time(), reason
        self.log("session", **asdict(session))

    def meet(self, client, held_by, certificate):
        """A CONNECT for a client id that @held_by holds."""
        self.overlaps += 1
        self.log("overlap", client=client, held=held_by, wants=certificate)

    def report(self, client=None):
        return {"overlaps": self.overlaps,
                "sessions": [asdict(s) for s in self.history if client in (None, s.client)]}
