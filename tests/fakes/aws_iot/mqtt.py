# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 packets: the broker's half of the codec, and the client's for the tests.

Pure but for read_packet(): bytes in, values out. What a peer may not send raises Malformed with the
reason, and the broker closes on it; nothing here trusts a length before it has been compared with a bound.
"""

import struct
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

# The flag bits of the fixed header that 3.1.1 prescribes; PUBLISH carries its own.
FIXED_FLAGS = {CONNECT: 0, CONNACK: 0, PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, SUBSCRIBE: 2,
               SUBACK: 0, UNSUBSCRIBE: 2, UNSUBACK: 0, PINGREQ: 0, PINGRESP: 0, DISCONNECT: 0}


class Malformed(Exception):
    """The peer sent what MQTT 3.1.1 forbids."""


class TooLarge(Exception):
    """The peer announced a packet above the bound; its body was not read."""

    def __init__(self, kind, length):
        super().__init__(f"packet of {length} bytes")
        self.kind = kind
        self.length = length


@dataclass
class Packet:
    kind: int
    flags: int
    body: bytes


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass
class Connect:
    level: int
    client_id: str
    clean: bool
    keep_alive: int
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None


@dataclass
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0


@dataclass
class Subscribe:
    packet_id: int
    filters: list = field(default_factory=list)     # [(filter, qos)]


class Cursor:
    """Reads a packet's body from front to back and refuses to run over its end."""

    def __init__(self, body):
        self.body = body
        self.at = 0

    def take(self, count):
        if count > len(self.body) - self.at:
            raise Malformed("packet ends inside a field")
        piece = self.body[self.at:self.at + count]
        self.at += count
        return piece

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack("!H", self.take(2))[0]

    def binary(self):
        return self.take(self.u16())

    def text(self):
        try:
            text = self.binary().decode("utf-8")    # strict: surrogates are refused, as the standard asks
        except UnicodeDecodeError as error:
            raise Malformed("string is not UTF-8") from error
        if "\0" in text:
            raise Malformed("string contains NUL")
        return text

    def packet_id(self):
        number = self.u16()
        if number == 0:
            raise Malformed("packet identifier 0")
        return number

    def rest(self):
        return self.take(len(self.body) - self.at)

    def end(self):
        if self.at != len(self.body):
            raise Malformed("bytes after the last field")


async def read_packet(reader, limit):
    """One packet from an asyncio stream. Raises TooLarge before reading a body above @limit."""
    first = (await reader.readexactly(1))[0]
    kind, flags = first >> 4, first & 15
    length = 0
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        if not byte & 128:
            break
    else:
        raise Malformed("remaining length longer than four bytes")
    if kind != PUBLISH and FIXED_FLAGS.get(kind) != flags:
        raise Malformed(f"packet type {kind} with flags {flags}")
    if length > limit:
        raise TooLarge(kind, length)
    return Packet(kind, flags, await reader.readexactly(length))


def check_topic_name(topic):
    if not topic:
        raise Malformed("empty topic name")
    if "+" in topic or "#" in topic:
        raise Malformed("wildcard in a topic name")


def check_filter(filter_):
    """The places where + and # may stand: a whole level each, # only as the last."""
    levels = filter_.split("/")
    if not filter_:
        raise Malformed("empty topic filter")
    for number, level in enumerate(levels):
        if "#" in level and (level != "#" or number != len(levels) - 1):
            raise Malformed("# not alone in the last level")
        if "+" in level and level != "+":
            raise Malformed("+ not alone in its level")


def parse_connect(packet):
    cursor = Cursor(packet.body)
    if cursor.text() not in ("MQTT", "MQIsdp"):
        raise Malformed("not MQTT")
    level, flags, keep_alive = cursor.u8(), cursor.u8(), cursor.u16()
    connect = Connect(level, "", bool(flags & 2), keep_alive)
    if level != 4:
        return connect          # the rest has another shape; the broker answers "unacceptable version"
    has_will, will_qos, will_retain = bool(flags & 4), flags >> 3 & 3, bool(flags & 32)
    if flags & 1:
        raise Malformed("reserved CONNECT flag set")
    if will_qos == 3 or (not has_will and (will_qos or will_retain)):
        raise Malformed("impossible will flags")
    if flags & 64 and not flags & 128:
        raise Malformed("password without user name")
    connect.client_id = cursor.text()
    if has_will:
        topic = cursor.text()
        check_topic_name(topic)
        connect.will = Will(topic, cursor.binary(), will_qos, will_retain)
    if flags & 128:
        connect.username = cursor.text()
    if flags & 64:
        connect.password = cursor.binary()
    cursor.end()
    return connect


def parse_publish(packet):
    cursor = Cursor(packet.body)
    qos = packet.flags >> 1 & 3
    if qos == 3:
        raise Malformed("QoS 3")
    if qos == 0 and packet.flags & 8:
        raise Malformed("DUP with QoS 0")
    topic = cursor.text()
    check_topic_name(topic)
    packet_id = cursor.packet_id() if qos else 0
    return Publish(topic, cursor.rest(), qos, bool(packet.flags & 1), bool(packet.flags & 8), packet_id)


def parse_subscribe(packet):
    cursor = Cursor(packet.body)
    subscribe = Subscribe(cursor.packet_id())
    while cursor.at < len(packet.body):
        filter_, qos = cursor.text(), cursor.u8()
        check_filter(filter_)
        if qos > 2:
            raise Malformed("impossible QoS in SUBSCRIBE")
        subscribe.filters.append((filter_, qos))
    if not subscribe.filters:
        raise Malformed("SUBSCRIBE without filters")
    return subscribe


def parse_unsubscribe(packet):
    cursor = Cursor(packet.body)
    packet_id, filters = cursor.packet_id(), []
    while cursor.at < len(packet.body):
        filters.append(cursor.text())
    if not filters:
        raise Malformed("UNSUBSCRIBE without filters")
    return packet_id, filters


def parse_packet_id(packet):
    cursor = Cursor(packet.body)
    packet_id = cursor.packet_id()
    cursor.end()
    return packet_id


def matches(filter_, topic):
    """Whether a topic filter takes a topic. A leading wildcard never takes a $ topic.

    Unlike the standard's, AWS's a/# does not take its parent a.
    """
    if topic.startswith("$") and filter_[:1] in ("+", "#"):
        return False
    wanted, have = filter_.split("/"), topic.split("/")
    for number, level in enumerate(wanted):
        if level == "#":
            return number < len(have)
        if number >= len(have) or level not in ("+", have[number]):
            return False
    return len(wanted) == len(have)


def fixed_header(kind, flags, length):
    out = bytearray([kind << 4 | flags])
    while True:
        byte, length = length & 127, length >> 7
        out.append(byte | (128 if length else 0))
        if not length:
            return bytes(out)


def pack(kind, flags, body):
    return fixed_header(kind, flags, len(body)) + body


def text(value):
    data = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def connack(code, present=False):
    return pack(CONNACK, 0, bytes([1 if present else 0, code]))


def puback(packet_id):
    return pack(PUBACK, 0, struct.pack("!H", packet_id))


def suback(packet_id, codes):
    return pack(SUBACK, 0, struct.pack("!H", packet_id) + bytes(codes))


def unsuback(packet_id):
    return pack(UNSUBACK, 0, struct.pack("!H", packet_id))


def publish(message):
    flags = (8 if message.dup else 0) | message.qos << 1 | (1 if message.retain else 0)
    head = text(message.topic) + (struct.pack("!H", message.packet_id) if message.qos else b"")
    return pack(PUBLISH, flags, head + message.payload)


def connect(client_id, keep_alive=60, clean=True, will=None, level=4):
    flags = 2 if clean else 0
    tail = text(client_id)
    if will:
        flags |= 4 | will.qos << 3 | (32 if will.retain else 0)
        tail += text(will.topic) + text(will.payload)
    return pack(CONNECT, 0, text("MQTT") + struct.pack("!BBH", level, flags, keep_alive) + tail)


def subscribe(packet_id, filters):
    body = struct.pack("!H", packet_id)
    for filter_, qos in filters:
        body += text(filter_) + bytes([qos])
    return pack(SUBSCRIBE, 2, body)


def unsubscribe(packet_id, filters):
    return pack(UNSUBSCRIBE, 2, struct.pack("!H", packet_id) + b"".join(text(f) for f in filters))


PINGREQ_PACKET = pack(PINGREQ, 0, b"")
PINGRESP_PACKET = pack(PINGRESP, 0, b"")
DISCONNECT_PACKET = pack(DISCONNECT, 0, b"")
