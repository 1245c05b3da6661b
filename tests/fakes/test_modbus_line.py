# SPDX-License-Identifier: Apache-2.0
"""The line simulator keeps the time of its bytes, and knows what a line does to those who break its rules."""

import os
import select
import socket
import struct
import tempfile
import termios
import time
import unittest

from modbus_line import Line

PROGRAM = os.environ["TIDEGATE_MODBUS_LINE"]


def crc(frame):
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return frame + struct.pack("<H", value)


READ_1 = crc(bytes.fromhex("010300000004"))  # unit 1, holding 0-3
ANSWER_1 = crc(bytes.fromhex("0103080064006500660067"))


class Port:
    """What a gateway has of the line."""

    def __init__(self, path, speed=termios.B9600):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        attributes = termios.tcgetattr(self.fd)
        attributes[0] = attributes[1] = attributes[3] = 0
        attributes[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    def read(self, seconds):
        """What comes until there is silence for so long, and when each piece came."""
        data, times = b"", []
        while select.select([self.fd], [], [], seconds)[0]:
            piece = os.read(self.fd, 4096)
            data += piece
            times += [time.monotonic()] * len(piece)
        return data, times

    def ask(self, frame, seconds=0.3):
        os.write(self.fd, frame)
        return self.read(seconds)[0]

    def close(self):
        os.close(self.fd)


class SerialLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.link = os.path.join(self.folder.name, "usb-adapter")
        self.line = Line(PROGRAM, "rtu", "--link", self.link, "--baud", 9600)
        self.line("unit", 1)
        self.port = Port(self.link)

    def tearDown(self):
        self.port.close()
        self.line.close()
        self.folder.cleanup()

    def test_a_unit_answers_and_others_do_not(self):
        self.assertEqual(self.port.ask(READ_1), ANSWER_1)
        self.assertEqual(self.port.ask(crc(bytes.fromhex("020300000004"))), b"")
        stats = self.line.stats()
        self.assertEqual((stats["requests"], stats["foreign"], stats["heard"], stats["said"]), (1, 1, 16, 13))
        self.assertEqual([row[2:] for row in self.line.log()], [(1, 3, 0, 4), (2, 3, 0, 4)])

    def test_bytes_take_the_time_of_their_bits(self):
        start = time.monotonic()
        os.write(self.port.fd, crc(bytes.fromhex("01030000007d")))
        data, times = self.port.read(0.3)
        character = 11 / 9600
        self.assertEqual(len(data), 255)
        # Request, 3.5 characters, the unit's pause, and the first byte; never sooner, and a machine under load is later.
        self.assertGreaterEqual(times[0] - start, 8 * character + 3.5 * character + 0.002 + character - 1e-4)
        self.assertGreaterEqual(times[-1] - start, (8 + 3.5 + 255) * character + 0.002 - 1e-4)
        self.assertLess(times[-1] - times[0], 254 * character + 0.2)
        # They come one by one, not as a lump at the end.
        self.assertGreater(len(set(times)), 50)

    def test_a_request_too_close_behind_an_answer_is_lost(self):
        os.write(self.port.fd, READ_1)
        data = b""
        while len(data) < 13:
            data += os.read(self.port.fd, 100)
        self.assertEqual(self.port.ask(READ_1), b"")
        self.assertEqual(self.line.stats()["early"], 1)
        self.assertEqual(len(self.port.ask(READ_1)), 13)

    def test_who_speaks_while_another_does_spoils_both(self):
        os.write(self.port.fd, crc(bytes.fromhex("01030000007d")))
        time.sleep(0.1)
        answer = self.port.ask(READ_1)
        self.assertEqual(len(answer), 255)
        self.assertNotEqual(crc(answer[:-2]), answer)
        self.assertGreater(self.line.stats()["collisions"], 0)
        self.assertEqual(self.line.stats()["requests"], 1)

    def test_units_hear_nothing_at_another_speed_or_parity(self):
        other = Port(self.link, termios.B19200)
        self.assertEqual(other.ask(READ_1), b"")
        self.assertEqual(self.line.stats()["mismatched"], 1)
        self.line("speed", 19200)
        self.assertEqual(len(other.ask(READ_1)), 13)
        self.line("parity", "other")
        self.assertEqual(other.ask(READ_1), b"")
        other.close()

    def test_an_adapter_that_hears_itself_gives_back_each_byte(self):
        self.line("echo", "on")
        self.assertEqual(self.port.ask(READ_1), READ_1 + ANSWER_1)

    def test_a_broadcast_is_obeyed_by_all_and_answered_by_none(self):
        self.line("unit", 2)
        self.assertEqual(self.port.ask(crc(bytes.fromhex("000600050abc"))), b"")
        self.assertEqual([self.line.words(u, "holding", 5) for u in (1, 2)], [[0xABC], [0xABC]])

    def test_a_unit_can_die_and_come_back_and_start_again(self):
        self.line("dead", 1)
        self.assertEqual(self.port.ask(READ_1), b"")
        self.line("alive", 1)
        self.line("misdeed", 1, "half-restart", 600, 1)
        self.assertEqual(len(self.port.ask(READ_1, 0.1)), 6)
        self.assertEqual(self.port.ask(READ_1, 0.1), b"")
        time.sleep(0.6)
        self.assertEqual(len(self.port.ask(READ_1)), 13)

    def test_misdeeds_end_after_their_times(self):
        self.line("misdeed", 1, "crc-wrong", 0, 2)
        answers = [self.port.ask(READ_1, 0.1) for _ in range(3)]
        self.assertEqual([crc(a[:-2]) == a for a in answers], [False, False, True])

    def test_a_late_answer_comes_while_another_unit_is_asked(self):
        self.line("unit", 2)
        self.line("misdeed", 1, "late", 150, 1)
        os.write(self.port.fd, READ_1)
        time.sleep(0.1)
        os.write(self.port.fd, crc(bytes.fromhex("020300000001")))
        data = self.port.read(0.3)[0]
        self.assertEqual(len(data), 13 + 7)

    def test_the_port_vanishes_and_comes_back_under_its_name(self):
        first = os.readlink(self.link)
        self.line("unplug")
        self.assertFalse(os.path.lexists(self.link))
        with self.assertRaises(OSError):
            os.write(self.port.fd, READ_1)
        self.line("plug")
        again = Port(self.link)
        self.assertEqual(len(again.ask(READ_1)), 13)
        again.close()
        self.assertTrue(first.startswith("/dev/pts/"))

    def test_words_on_the_wire_are_those_that_were_set(self):
        self.line("set", 1, "holding", 0, "41ac", "0000", "ffff", "7fc0")
        self.assertEqual(self.port.ask(READ_1), crc(bytes.fromhex("01030841ac0000ffff7fc0")))
        self.assertEqual(self.line.ask("set", 1, "holding", 0, "12345"), "error")
        self.assertEqual(self.line.ask("misdeed", 1, "length-zero"), "error")
        self.assertEqual(self.line.ask("what"), "error")

    def test_what_nobody_asked_for_can_be_sent(self):
        self.line("send", "0102ff")
        self.assertEqual(self.port.read(0.1)[0], bytes.fromhex("0102ff"))


class TcpServer(unittest.TestCase):
    def setUp(self):
        self.line = Line(PROGRAM, "tcp")
        self.line("unit", 1, 0)
        self.socket = self.connect()

    def tearDown(self):
        self.socket.close()
        self.line.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", int(self.line.port)), 2)

    def ask(self, transaction=7):
        self.socket.sendall(struct.pack(">HHHBBHH", transaction, 0, 6, 1, 3, 0, 2))
        self.socket.settimeout(0.5)
        data = b""
        try:
            while len(data) < 13:
                piece = self.socket.recv(300)
                if not piece:
                    break
                data += piece
        except TimeoutError:
            pass
        return data

    def test_a_request_is_answered(self):
        self.assertEqual(self.ask(), bytes.fromhex("0007 0000 0007 01 03 04 0064 0065"))

    def test_misdeeds_of_the_header_and_of_the_connection(self):
        self.line("misdeed", 1, "next-transaction")
        self.assertEqual(self.ask()[:2], b"\0\x08")
        self.line("misdeed", 1, "length-zero")
        self.assertEqual(self.ask()[4:6], b"\0\0")
        self.line("misdeed", 1, "split", 1)
        self.assertEqual(len(self.ask()), 13)
        self.line("misdeed", 1, "half-close")
        self.assertEqual(len(self.ask()), 6)
        self.socket.close()
        self.socket = self.connect()
        self.line("misdeed", 1, "reset")
        with self.assertRaises(ConnectionResetError):
            self.ask()

    def test_nobody_listens_while_it_is_unplugged(self):
        self.line("unplug")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.line("plug")
        self.socket.close()
        self.socket = self.connect()
        self.assertEqual(len(self.ask()), 13)


if __name__ == "__main__":
    unittest.main()
