#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker that misbehaves in one chosen way, to see what an MQTT client makes of it.

As a program: hostile_broker.py MODE PORT SERVER.PEM CA.PEM, until it is terminated. As a module: HostileBroker.

Modes, in the order of how far a client gets:
    silent-tcp      accepts and never says anything
    close-tcp       accepts and closes
    plain           answers the ClientHello with text
    silent-tls      does the handshake and never says anything
    close-tls       does the handshake, waits for CONNECT and closes
    connack-N       answers CONNECT with return code N
    garbage         answers CONNECT with random bytes
    close-connack   accepts, then closes
    garbage-later   accepts, then sends random bytes
    nopuback        accepts and takes everything, acknowledges no publish
    nopuback-N      the same, after the first N publishes of each connection
    suback-N        grants every subscription with code N
    stranger        acknowledges publishes that were never made, before each real one
    big-N           accepts, then publishes a message of N bytes, then a small one
    flood-N         accepts, then publishes N small messages at once
    huge-N          accepts, then publishes a message of N bytes piece by piece, then a small one
    endless         accepts, then sends a packet whose length has no end
    strange-N       accepts, then sends a packet whose first byte is N, and another PINGRESP
    loris           accepts, acknowledges 4 publishes, then sends a message of 100,000 bytes, one a second, and nothing else
    early           publishes before it has answered CONNECT
"""

import os
import socket
import ssl
import sys
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


def remaining(n):
    """A length as a packet announces it."""
    head = b""
    while True:
        digit, n = n % 128, n // 128
        head += bytes([digit | (128 if n else 0)])
        if not n:
            return head


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + remaining(len(body)) + body


def publish(topic, payload):
    name = topic.encode()
    return packet(PUBLISH, 0, len(name).to_bytes(2, "big") + name + payload)


class Closed(Exception):
    """The client has gone, or has been sent away."""


class HostileBroker(threading.Thread):
    """Serves one client at a time until stop(). bytes_seen counts what came after the handshake.

    verdict(topic, payload), for any mode: "kill" ends the connection for this publish, "close" acknowledges it first,
    "mute" leaves it without a PUBACK. handshake_times are monotonic.
    """

    def __init__(self, mode, certificate, ca=None, port=0, tweak=None, bind="127.0.0.1"):
        super().__init__(daemon=True)
        self.mode, _, number = mode.rpartition("-") if mode[-1].isdigit() else (mode, "", "0")
        self.number = int(number)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tweak:
            tweak(self.context)
        self.context.load_cert_chain(certificate)
        if ca:
            self.context.load_verify_locations(ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.asked_for = []  # the server names of ClientHellos
        self.context.sni_callback = lambda tls, name, context: self.asked_for.append(name)
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.listener = socket.create_server((bind, port), family=family)
        self.port = self.listener.getsockname()[1]
        self.verdict = lambda topic, payload: None
        self.acked = []  # (topic, payload) in order
        self.handshake_times = []
        self.bytes_seen, self.packets, self.handshakes, self.alpn = 0, [], 0, None
        self.publishes = 0
        self.stopping = False
        self.client = None
        self.start()

    def run(self):
        while not self.stopping:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.client = connection
            try:
                self.serve(connection)
            except (Closed, OSError, ssl.SSLError, ValueError):
                pass
            finally:
                connection.close()

    def stop(self):
        self.stopping = True
        for s in (self.client, self.listener):
            try:
                if s:
                    s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.join(5)

    def serve(self, connection):
        if self.mode == "close-tcp":
            return
        if self.mode == "silent-tcp":
            connection.recv(1 << 16)
            self.wait_for_end(connection)
        if self.mode == "plain":
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        with self.context.wrap_socket(connection, server_side=True) as tls:
            self.client = tls
            self.handshakes += 1
            self.handshake_times.append(time.monotonic())
            self.alpn = tls.selected_alpn_protocol()
            self.speak(tls)

    @staticmethod
    def wait_for_end(connection):
        while connection.recv(1 << 16):
            pass
        raise Closed

    def read(self, tls, n):
        data = b""
        while len(data) < n:
            piece = tls.recv(n - len(data))
            if not piece:
                raise Closed
            data += piece
            self.bytes_seen += len(piece)
        return data

    def read_packet(self, tls):
        first, length, shift = self.read(tls, 1)[0], 0, 0
        while True:
            digit = self.read(tls, 1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if not digit & 128:
                break
        body = self.read(tls, length)
        self.packets.append((first >> 4, body))
        return first >> 4, first & 15, body

    def speak(self, tls):
        self.publishes = 0
        self.read_packet(tls)
        if self.mode == "early":
            tls.sendall(publish("early", b"x"))
        if self.mode == "silent-tls":
            self.wait_for_end(tls)
        if self.mode == "close-tls":
            return
        if self.mode == "garbage":
            tls.sendall(b"\x20\x02" + b"\xff" * 2 + os.urandom(64))
            self.wait_for_end(tls)
        tls.sendall(packet(CONNACK, 0, bytes([0, self.number if self.mode == "connack" else 0])))
        if self.mode in ("connack", "close-connack"):
            return
        if self.mode == "garbage-later":
            tls.sendall(b"\xf0\xff\xff\xff\xff\xff" + os.urandom(64))
        while True:
            self.answer(tls, *self.read_packet(tls))

    def answer(self, tls, kind, flags, body):
        if kind == SUBSCRIBE:
            tls.sendall(packet(SUBACK, 0, body[:2] + bytes([self.number if self.mode == "suback" else 1])))
            self.after_subscription(tls)
        elif kind == PUBLISH and flags & 6:
            at = 2 + int.from_bytes(body[:2], "big")
            if self.mode == "stranger":
                other = (int.from_bytes(body[at:at + 2], "big") + 1000) % 65536
                tls.sendall(packet(PUBACK, 0, other.to_bytes(2, "big")))
            self.publishes += 1
            topic, payload = body[2:at].decode(), body[at + 2:]
            verdict = self.verdict(topic, payload)
            if verdict == "kill":
                raise Closed
            if verdict == "mute":
                return
            self.acked.append((topic, payload))
            if self.mode == "loris" and self.publishes == 4:
                tls.sendall(packet(PUBACK, 0, body[at:at + 2]))
                self.trickle(tls)
            if self.mode != "nopuback" or self.publishes <= self.number:
                tls.sendall(packet(PUBACK, 0, body[at:at + 2]))
            if verdict == "close":
                raise Closed
        elif kind == PINGREQ:
            tls.sendall(packet(PINGRESP, 0, b""))
        elif kind == DISCONNECT:
            raise Closed

    def after_subscription(self, tls):
        if self.mode == "big":
            tls.sendall(publish("big", b"x" * self.number))
            tls.sendall(publish("small", b"after"))
        if self.mode == "flood":
            tls.sendall(b"".join(publish("flood", b"%d" % i) for i in range(self.number)))
        if self.mode == "huge":
            self.push(tls)
        if self.mode == "endless":
            tls.sendall(b"\x30\xff\xff\xff\xff\x01" + b"x" * 64)
        if self.mode == "strange":
            tls.sendall(bytes([self.number, 0]) + packet(PINGRESP, 0, b""))

    def trickle(self, tls):
        tls.sendall(bytes([PUBLISH << 4]) + remaining(100000) + b"\x00\x05loris")
        while not self.stopping:
            tls.sendall(b"x")
            time.sleep(1)
        raise Closed

    def push(self, tls):
        tls.sendall(bytes([PUBLISH << 4]) + remaining(self.number) + b"\x00\x04huge")
        for at in range(0, self.number - 6, 1 << 16):
            tls.sendall(bytes(min(1 << 16, self.number - 6 - at)))
        tls.sendall(publish("small", b"after"))


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    broker = HostileBroker(sys.argv[1], sys.argv[3], sys.argv[4], int(sys.argv[2]))
    print(broker.port, flush=True)
    broker.join()


if __name__ == "__main__":
    main()
