# SPDX-License-Identifier: Apache-2.0
"""A small blocking MQTT 3.1.1 client over TLS, for tests: it sends exactly what it is told, right or wrong."""

import select
import socket
import ssl
import struct
import time

from aws_iot import mqtt


class Closed(Exception):
    """The broker ended the connection."""


class Client:
    def __init__(self, port, ca, cert=None, key=None, sni="localhost", alpn=None, tls=None, timeout=10):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(ca)
        context.check_hostname = sni is not None
        if cert:
            context.load_cert_chain(cert, key)
        if alpn:
            context.set_alpn_protocols(alpn)
        if tls:
            context.minimum_version = context.maximum_version = tls
        self.timeout = timeout
        self.next_id = 0
        self.messages = []
        raw = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = context.wrap_socket(raw, server_hostname=sni)
        except (OSError, ValueError) as error:
            raw.close()
            raise Closed(str(error)) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # --- bytes -----------------------------------------------------------------------------------------

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.sock.recv(count - len(data))
            except socket.timeout:
                raise
            except OSError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed("end of stream")
            data += piece
        return data

    def packet(self, timeout=None):
        """The next packet as (kind, flags, body). Raises socket.timeout when none comes."""
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        first = self.exactly(1)[0]
        self.sock.settimeout(self.timeout)
        length = shift = 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        return mqtt.Packet(first >> 4, first & 15, self.exactly(length))

    def wait(self, kind, timeout=None):
        """The next packet of a kind; messages that come before it are kept and acknowledged."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            packet = self.packet(max(0.01, end - time.monotonic()))
            if packet.kind == kind:
                return packet
            if packet.kind == mqtt.PUBLISH:
                self.keep(packet)

    def keep(self, packet):
        message = mqtt.parse_publish(packet)
        if message.qos:
            self.send(mqtt.puback(message.packet_id))
        self.messages.append(message)

    # --- MQTT ------------------------------------------------------------------------------------------

    def connect(self, client_id, **options):
        """Returns the CONNACK code."""
        self.send(mqtt.connect(client_id, **options))
        return self.wait(mqtt.CONNACK).body[1]

    def identifier(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def subscribe(self, *filters, qos=1):
        """Returns the SUBACK codes."""
        number = self.identifier()
        self.send(mqtt.subscribe(number, [(f, qos) for f in filters]))
        body = self.wait(mqtt.SUBACK).body
        assert struct.unpack("!H", body[:2])[0] == number
        return list(body[2:])

    def publish(self, topic, payload=b"", qos=1, retain=False, wait=True, dup=False):
        """With QoS 1 returns when PUBACK is there."""
        payload = payload.encode() if isinstance(payload, str) else payload
        number = self.identifier() if qos else 0
        self.send(mqtt.publish(mqtt.Publish(topic, payload, qos, retain, dup, number)))
        if qos and wait:
            assert mqtt.parse_packet_id(self.wait(mqtt.PUBACK)) == number
        return number

    def message(self, timeout=None):
        """The next message. Raises socket.timeout when none comes."""
        if not self.messages:
            self.keep(self.wait_any(mqtt.PUBLISH, timeout))
        return self.messages.pop(0)

    def wait_any(self, kind, timeout):
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            packet = self.packet(max(0.01, end - time.monotonic()))
            if packet.kind == kind:
                return packet

    def silent(self, seconds=0.3):
        """Whether nothing comes for a while and the connection stays."""
        if self.messages or self.sock.pending():
            return False
        readable, _, _ = select.select([self.sock], [], [], seconds)
        return not readable

    def ended(self, timeout=None):
        """Whether the broker closes the connection; packets before that are dropped."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while time.monotonic() < end:
                self.packet(max(0.01, end - time.monotonic()))
        except Closed:
            return True
        except socket.timeout:
            pass
        return False

    def ping(self):
        self.send(mqtt.PINGREQ_PACKET)
        self.wait(mqtt.PINGRESP)

    def disconnect(self):
        self.send(mqtt.DISCONNECT_PACKET)
