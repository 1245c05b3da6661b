#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that speak unasked on serial lines: pseudo terminals with a talker at their other end."""

import functools
import operator
import os
import pty
import termios
import time
import tty

import faults
from bus_bench import BusScenario, main, wait_for


def crc16_modbus(data):
    crc = 0xffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xa001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def sentence(body):
    return f"${body}*{functools.reduce(operator.xor, body.encode()):02X}\r\n".encode()


class Talker:
    """A line with a stable name: plug() puts a new terminal there, unplug() takes it away as USB does."""

    def __init__(self, path):
        self.path, self.master = path, None
        self.plug()

    def plug(self):
        self.master, slave = pty.openpty()
        tty.setraw(slave, termios.TCSANOW)
        os.symlink(os.ttyname(slave), self.path + ".new")
        os.replace(self.path + ".new", self.path)
        os.close(slave)

    def unplug(self):
        os.unlink(self.path)
        os.close(self.master)
        self.master = None

    def say(self, data):
        while data:
            data = data[os.write(self.master, data[:256]):]

    def end(self):
        if self.master is not None:
            os.close(self.master)


class Serial(BusScenario):
    def line(self, name, **keys):
        talker = self.part(Talker(self.path(name)))
        self.add_bus(name, "serial", port=talker.path, frame_gap="20ms", **keys)
        return talker

    def say_until(self, talker, data, done, pause=0.1):
        """Speaks again and again, as such devices do, until @done."""
        def turn():
            talker.say(data)
            time.sleep(pause)
            return done()
        return wait_for("what was said", turn)

    def good(self, point, value):
        samples = self.watcher.values(point)
        return samples and samples[-1] == value

    def begin(self):
        self.start()
        self.watcher = self.watch()

    def test_lines_with_keys_columns_and_rubbish(self):
        talker = self.line("l")
        self.add_device("s1", "l", {"temp": {"read": "key t", "unit": "Cel"}, "on": "key state on=RUN off=HALT",
                                    "all": "line text"}, match="S1 ", gather="50ms")
        self.add_device("s2", "l", {"a": "column 2", "b": {"read": "column 3", "scale": 0.1, "unit": "V"}},
                        match="S2", separator=";", gather="50ms")
        self.begin()
        # Noise, a line without end, and then what counts.
        talker.say(b"\xff\x00\xfe" * 50 + b"x" * 5000 + b"\n")
        self.say_until(talker, b"S1 t=21.5 state=RUN\r\nS2;7;230\n", lambda: self.good("s1/temp", 21.5))
        self.say_until(talker, b"S2;7;230\n", lambda: self.good("s2/b", 23.0))
        self.assertTrue(self.good("s1/on", True) and self.good("s2/a", 7))
        self.assertTrue(self.good("s1/all", "t=21.5 state=RUN"))
        # What is none is bad, with the text, and harms no other.
        self.say_until(talker, b"S1 t=err\x1b[2J state=MAYBE\n",
                       lambda: self.watcher.samples("s1/temp")[-1]["quality"] == "bad")
        bad = [s for s in self.watcher.samples("s1/temp") if s["quality"] == "bad"][-1]
        self.assertEqual(bad["reason"], "not a number: 'err?[2J'")
        self.assertTrue(self.good("s2/a", 7))
        faults.told("F36", "noise and an endless line: the lines behind them are read, nothing invented")

    def test_sentences_of_a_receiver_that_is_unplugged_and_comes_back(self):
        talker = self.line("gps", framing="nmea0183")
        self.add_device("rx", "gps", {"lat": {"read": "RMC latitude", "unit": "lat"}, "speed": "RMC speed",
                                      "sats": "GGA 7", "air": {"read": "XDR id=AIR", "unit": "Cel"}},
                        gather="50ms", backoff="200ms")
        self.begin()
        fix = (sentence("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W") +
               sentence("GNGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,") +
               sentence("WIXDR,C,19.5,C,AIR"))
        self.say_until(talker, fix, lambda: self.good("rx/lat", 48.1173) and self.good("rx/sats", 8))
        self.assertTrue(self.good("rx/speed", 22.4) and self.good("rx/air", 19.5))
        # A wrong checksum says nothing at all.
        talker.say(fix.replace(b"022.4", b"922.4"))
        self.say_until(talker, sentence("GPRMC,123520,V,,,,,,,230394,,"),
                       lambda: self.watcher.samples("rx/lat")[-1]["quality"] == "bad")
        self.assertEqual(self.watcher.samples("rx/lat")[-1]["reason"], "no fix")
        self.assertNotIn(922.4, self.watcher.values("rx/speed"))

        talker.unplug()
        self.wait_health("rx", "dead")
        count = len(self.watcher.values("rx/sats"))
        talker.plug()
        self.say_until(talker, fix, lambda: len(self.watcher.values("rx/sats")) > count)
        self.wait_health("rx", "ok")

    def test_binary_frames_with_check_values(self):
        talker = self.line("b", framing="sof", start="AA 55", length_at="2", length_adds="5", crc="crc16-modbus",
                           crc_from="2")
        self.add_device("m", "b", {"flow": {"read": "byte 4 int16 when=3:01", "scale": 0.01},
                                   "level": "byte 4 float32 order=little when=3:02", "full": "byte 4 uint8 bit=7 when=3:03"},
                        gather="50ms")

        def frame(data):
            body = bytes([len(data)]) + data
            return b"\xaa\x55" + body + crc16_modbus(body)

        self.begin()
        good = (frame(b"\x01\xff\x38") + frame(b"\x02\x00\x00\xac\x41") + frame(b"\x03\x80"))
        spoilt = frame(b"\x01\x7f\xff")[:-1] + b"\x00"
        self.say_until(talker, b"\xaa\x00\xaa" + spoilt + good + spoilt[:4], lambda: self.good("m/flow", -2.0), pause=0.3)
        self.assertTrue(self.good("m/level", 21.5) and self.good("m/full", True))
        self.assertEqual(set(self.watcher.values("m/flow")), {-2.0})


if __name__ == "__main__":
    main()
