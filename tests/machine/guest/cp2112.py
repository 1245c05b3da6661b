#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A CP2112, the USB bridge to I2C with eight GPIO lines, made in user space.

The kernel's own hid-cp2112 drives it through /dev/uhid, so /dev/i2c-N, /dev/gpiochipN and every driver that is bound to a
chip on them are the real ones. Needs python3-minimal, root, and the modules uhid and hid-cp2112.

Reports and their fields: Silicon Labs AN495. The events of /dev/uhid: linux/uhid.h.

It is there as long as its standard input is open, and is told on it, one command a line, each answered with a line that is a
Python literal (python3-minimal has no json):

    line N 0|1       drives an input from outside
    lines            -> {'direction': bits, 'output': bits, 'input': bits}; a 1 in direction is an output
    away ADDRESS     the chip answers no more; "there ADDRESS" takes it back
    chip ADDRESS ... what that chip understands (chips.py)
"""

import os
import select
import struct
import sys

from chips import all_chips

UHID_OUTPUT, UHID_GET, UHID_GET_REPLY, UHID_CREATE2, UHID_INPUT2, UHID_SET, UHID_SET_REPLY = 6, 9, 10, 11, 12, 13, 14
UHID_DATA_MAX = 4096
BUS_USB, VENDOR, PRODUCT = 3, 0x10C4, 0xEA90

# Reports: id, bytes after the id, kind.
FEATURE, OUTPUT, INPUT = 0xB1, 0x91, 0x81
GPIO_CONFIG, GPIO_GET, GPIO_SET, VERSION, SMBUS_CONFIG = 2, 3, 4, 5, 6
READ, WRITE_READ, READ_FORCE, READ_RESPONSE, WRITE, STATUS, STATUS_RESPONSE, CANCEL = range(0x10, 0x18)
REPORTS = [(1, 1, FEATURE), (GPIO_CONFIG, 4, FEATURE), (GPIO_GET, 1, FEATURE), (GPIO_SET, 2, FEATURE), (VERSION, 2, FEATURE),
           (SMBUS_CONFIG, 13, FEATURE), (READ, 3, OUTPUT), (WRITE_READ, 20, OUTPUT), (READ_FORCE, 2, OUTPUT),
           (READ_RESPONSE, 63, INPUT), (WRITE, 63, OUTPUT), (STATUS, 1, OUTPUT), (STATUS_RESPONSE, 6, INPUT), (CANCEL, 1, OUTPUT),
           (0x20, 2, FEATURE), (0x21, 9, FEATURE), (0x22, 62, FEATURE), (0x23, 62, FEATURE), (0x24, 62, FEATURE)]
IDLE, COMPLETE, ERROR = 0, 2, 3
CHUNK = 61  # data bytes of one READ_RESPONSE


def descriptor():
    """One vendor-defined collection with all reports, each so many bytes."""
    out = bytes([0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08])
    for usage, (number, length, kind) in enumerate(REPORTS, 1):
        out += bytes([0x85, number, 0x95, length, 0x09, usage, kind, 0x02])
    return out + b"\xC0"


class Bridge:
    """What is behind the reports: the lines, and one I2C transfer at a time."""

    def __init__(self, chips):
        self.chips, self.away = chips, set()
        self.direction = self.push_pull = self.output = self.input = 0
        self.smbus = struct.pack(">IBBHHBH", 100000, 2, 0, 0, 0, 0, 0)
        self.status, self.data = (IDLE, 0, 0, 0), b""

    def chip(self, address):
        return None if address in self.away else self.chips.get(address)

    def write(self, address, data):
        chip = self.chip(address)
        done = chip is not None and chip.write(bytes(data))
        self.status = (COMPLETE, 0, 0, len(data)) if done else (ERROR, 0, 0, 0)  # 0: the address was not acknowledged
        return done

    def read(self, address, count):
        chip = self.chip(address)
        self.data = chip.read(count) if chip else b""
        self.status = (COMPLETE, 0, 0, count) if chip else (ERROR, 0, 0, 0)

    def output_report(self, report):
        """Returns the input report that answers it, or None."""
        kind, address = report[0], report[1] >> 1
        if kind == WRITE:
            self.write(address, report[3:3 + report[2]])
        elif kind == READ:
            self.read(address, struct.unpack(">H", report[2:4])[0])
        elif kind == WRITE_READ:
            if self.write(address, report[5:5 + report[4]]):
                self.read(address, struct.unpack(">H", report[2:4])[0])
        elif kind == STATUS:
            return struct.pack(">BBBHH", STATUS_RESPONSE, *self.status)
        elif kind == READ_FORCE:
            chunk, self.data = self.data[:CHUNK], self.data[CHUNK:]
            return struct.pack("BBB", READ_RESPONSE, COMPLETE, len(chunk)) + chunk.ljust(CHUNK, b"\0")
        elif kind == CANCEL:
            self.status, self.data = (IDLE, 0, 0, 0), b""
        return None

    def get_report(self, number):
        if number == GPIO_CONFIG:
            return bytes([number, self.direction, self.push_pull, 0, 0])
        if number == GPIO_GET:
            return bytes([number, (self.output & self.direction) | (self.input & ~self.direction & 0xFF)])
        if number == VERSION:
            return bytes([number, 0x0C, 3])
        if number == SMBUS_CONFIG:
            return bytes([number]) + self.smbus
        return bytes([number]) + bytes(62)

    def set_report(self, report):
        if report[0] == GPIO_CONFIG:
            self.direction, self.push_pull = report[1], report[2]
        elif report[0] == GPIO_SET:
            self.output = (self.output & ~report[2]) | (report[1] & report[2])
        elif report[0] == SMBUS_CONFIG:
            self.smbus = bytes(report[1:14])

    def command(self, words):
        if words[0] == "line":
            bit = 1 << int(words[1])
            self.input = self.input | bit if words[2] == "1" else self.input & ~bit
        elif words[0] == "lines":
            return {"direction": self.direction, "output": self.output, "input": self.input}
        elif words[0] == "away":
            self.away.add(int(words[1], 0))
        elif words[0] == "there":
            self.away.discard(int(words[1], 0))
        elif words[0] == "chip":
            return self.chips[int(words[1], 0)].command(words[2:])
        else:
            raise ValueError("no such command")
        return "ok"


class Device:
    """The bridge as the kernel sees it."""

    def __init__(self, bridge):
        self.bridge = bridge
        self.fd = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        described = descriptor()
        os.write(self.fd, struct.pack("<I128s64s64sHHIIII4096s", UHID_CREATE2, b"CP2112 of the machine", b"machine/0", b"machine",
                                      len(described), BUS_USB, VENDOR, PRODUCT, 0x100, 0, described))

    def handle(self):
        event = os.read(self.fd, 4 + UHID_DATA_MAX + 280)
        kind = struct.unpack("<I", event[:4])[0]
        if kind == UHID_OUTPUT:
            size = struct.unpack("<H", event[4 + UHID_DATA_MAX:][:2])[0]
            answer = self.bridge.output_report(event[4:4 + size].ljust(2, b"\0"))
            if answer:
                os.write(self.fd, struct.pack("<IH4096s", UHID_INPUT2, len(answer), answer))
        elif kind == UHID_GET:
            request, number = struct.unpack("<IB", event[4:9])
            data = self.bridge.get_report(number)
            os.write(self.fd, struct.pack("<IIHH4096s", UHID_GET_REPLY, request, 0, len(data), data))
        elif kind == UHID_SET:
            request, _, _, size = struct.unpack("<IBBH", event[4:12])
            self.bridge.set_report(event[12:12 + size])
            os.write(self.fd, struct.pack("<IIH", UHID_SET_REPLY, request, 0))


def main():
    # hid-cp2112 waits a tenth of a second for an answer, whatever else the machine does.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    bridge = Bridge(all_chips())
    device = Device(bridge)
    pending = b""
    while True:
        ready = select.select([device.fd, 0], [], [])[0]
        if device.fd in ready:
            device.handle()
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                try:
                    answer = bridge.command(line.decode().split())
                except (ValueError, IndexError, KeyError) as error:
                    answer = {"error": repr(error)}
                print(repr(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
