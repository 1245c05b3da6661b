# SPDX-License-Identifier: Apache-2.0
"""A name server that is told what to answer, and how badly: DnsServer, in a thread of the test's own process.

    dns = DnsServer("127.0.0.1")
    dns.answer("broker.test", "192.0.2.1", "fd77::1")     # addresses, in this order; none: the name exists without
    dns.mode = "silent"                                   # and every question is ignored
"""

import socket
import threading

PORT = 53
A, AAAA, IN = 1, 28, 1
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
TTL_S = 1


class DnsServer(threading.Thread):
    """Modes: answer, silent, nxdomain, servfail, garbage (not DNS at all). `delay` is in seconds; `asked` counts questions."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.names, self.mode, self.delay, self.asked = {}, "answer", 0, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, PORT))
        self.late = []
        self.start()

    def answer(self, name, *addresses):
        self.names[name.lower()] = addresses

    def run(self):
        while True:
            try:
                question, asker = self.socket.recvfrom(4096)
            except OSError:
                return
            if len(question) < 17:
                return
            self.asked += 1
            reply = self.reply(question)
            if reply is None:
                continue
            if self.delay:
                timer = threading.Timer(self.delay, self.send, (reply, asker))
                self.late.append(timer)
                timer.start()
            else:
                self.send(reply, asker)

    def send(self, reply, asker):
        try:
            self.socket.sendto(reply, asker)
        except OSError:
            pass

    def reply(self, question):
        if self.mode == "silent":
            return None
        if self.mode == "garbage":
            return question[:2] + b"\xff" * 40
        name, end = self.name_in(question)
        kind = int.from_bytes(question[end:end + 2], "big")
        code, records = NOERROR, []
        if self.mode == "servfail":
            code = SERVFAIL
        elif self.mode == "nxdomain" or name not in self.names:
            code = NXDOMAIN
        else:
            family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
            records = [socket.inet_pton(family, a) for a in self.names[name] if family and (":" in a) == (kind == AAAA)]
        head = question[:2] + (0x8180 | code).to_bytes(2, "big") + b"\x00\x01" + len(records).to_bytes(2, "big") + bytes(4)
        body = b"".join(b"\xc0\x0c" + kind.to_bytes(2, "big") + IN.to_bytes(2, "big") + TTL_S.to_bytes(4, "big")
                        + len(r).to_bytes(2, "big") + r for r in records)
        return head + question[12:end + 4] + body

    @staticmethod
    def name_in(question):
        """The name that is asked for, and where it ends."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1").lower())
            at += 1 + question[at]
        return ".".join(labels), at + 1

    def end(self):
        for timer in self.late:
            timer.cancel()
        # Wakes the thread: a closed socket alone does not.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.join(5)
