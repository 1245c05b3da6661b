#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each fault of the proxy does what it says to both ends, to nothing else, and ends when it is told to."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

from fault_proxy import BUFFER, FaultProxy  # noqa: E402

SHORT = 0.3         # in which nothing must come
LONG = 20           # in which something must


class Pair:
    """A client, and the server's end of its connection."""

    def __init__(self, test, port, server):
        self.client = socket.create_connection(("127.0.0.1", port), LONG)
        test.addCleanup(self.client.close)
        self.server, _ = server.accept()
        test.addCleanup(self.server.close)
        self.server.settimeout(LONG)


class Proxy(unittest.TestCase):
    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(LONG)
        self.addCleanup(self.server.close)
        self.proxy = FaultProxy(self.server.getsockname())
        self.addCleanup(self.proxy.end)

    def pair(self):
        return Pair(self, self.proxy.port, self.server)

    def read(self, sock, count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                break
            data += more
        return data

    def assert_passes(self, source, sink, data=b"something"):
        source.sendall(data)
        self.assertEqual(self.read(sink, len(data)), data)

    def assert_silent(self, sock):
        sock.settimeout(SHORT)
        with self.assertRaises(TimeoutError):
            sock.recv(1)
        sock.settimeout(LONG)

    def assert_reset_at_once(self):
        """A connection is made and reset, which connect() may be told already."""
        with self.assertRaises(ConnectionResetError), \
                socket.create_connection(("127.0.0.1", self.proxy.port), LONG) as sock:
            sock.recv(1)

    def assert_reset(self, sock):
        with self.assertRaises(ConnectionResetError):
            while sock.recv(1 << 16):
                pass

    def test_without_a_fault_everything_passes_and_is_counted(self):
        p = self.pair()
        data = os.urandom(1 << 20)
        sender = threading.Thread(target=p.client.sendall, args=(data,))
        sender.start()
        self.assertEqual(self.read(p.server, len(data)), data)
        sender.join()
        self.assert_passes(p.server, p.client, b"answer")
        p.client.shutdown(socket.SHUT_WR)
        self.assertEqual(p.server.recv(1), b"")
        self.assert_passes(p.server, p.client, b"more")
        p.server.close()
        self.assertEqual(p.client.recv(1), b"")
        [record] = self.proxy.records
        self.assertEqual((record.up, record.down), (len(data), 10))

    def test_the_end_of_either_side_is_passed_on(self):
        p = self.pair()
        self.proxy.half_close("up")
        self.assertEqual(p.server.recv(1), b"")
        p.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        p.server.close()
        self.assert_reset(p.client)

    def test_stalled_it_does_not_read_and_forgets_nothing(self):
        p = self.pair()
        self.proxy.stall("up")
        p.client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += p.client.send(b"x" * 65536)
        self.assertLess(sent, 64 << 20, "the window has filled")
        self.assert_silent(p.server)
        p.client.settimeout(LONG)
        self.assert_passes(p.server, p.client)
        self.proxy.pass_on()
        self.assertEqual(len(self.read(p.server, sent)), sent)

    def test_stalled_it_does_not_tell_that_an_end_has_gone(self):
        p = self.pair()
        self.proxy.stall()
        p.client.close()
        self.assert_silent(p.server)
        self.proxy.pass_on()
        self.assertEqual(p.server.recv(1), b"")

    def test_it_holds_back_no_more_than_its_buffer(self):
        p = self.pair()
        self.proxy.delay(LONG, "up")
        p.client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1 << 10):
                p.client.send(b"x" * 65536)
        time.sleep(SHORT)
        [connection] = self.proxy.connections
        self.assertLessEqual(connection.pipes["up"].size, BUFFER + (16 << 10))
        self.assertGreaterEqual(connection.pipes["up"].size, BUFFER)

    def test_swallowed_bytes_are_gone_and_so_is_the_end(self):
        p = self.pair()
        self.proxy.swallow("up")
        p.client.sendall(b"lost")
        self.assert_silent(p.server)
        self.assert_passes(p.server, p.client)
        self.proxy.pass_on()
        self.assert_passes(p.client, p.server, b"kept")
        self.proxy.swallow()
        p.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        p.client.close()
        self.assert_silent(p.server)
        self.proxy.pass_on()
        self.assertEqual(p.server.recv(1), b"")

    def test_dribbling_takes_its_time(self):
        p = self.pair()
        self.proxy.dribble("down", 20)
        begin = time.monotonic()
        self.assert_passes(p.server, p.client, b"0123456789")
        self.assertGreater(time.monotonic() - begin, 0.4)
        self.assert_passes(p.client, p.server)

    def test_delayed_bytes_come_later_and_in_order(self):
        p = self.pair()
        self.proxy.delay(0.5, "up")
        begin = time.monotonic()
        p.client.sendall(b"one")
        self.assert_silent(p.server)
        self.proxy.pass_on()
        p.client.sendall(b"two")
        self.assertEqual(self.read(p.server, 6), b"onetwo")
        self.assertGreater(time.monotonic() - begin, 0.4)

    def test_one_byte_of_one_connection_is_altered(self):
        old = self.pair()
        self.assert_passes(old.client, old.server, b"before")
        self.proxy.corrupt(3, "up", 0x20)
        new = self.pair()
        new.client.sendall(b"ab")
        new.client.sendall(b"cdef")
        self.assertEqual(self.read(new.server, 6), b"abcDef")
        self.assert_passes(new.client, new.server, b"abcdef")
        self.assert_passes(old.client, old.server, b"abcdef")
        self.assert_passes(new.server, new.client)

    def test_after_so_many_bytes_one_connection_is_cut(self):
        for how in ("reset", "close"):
            p, other = self.pair(), self.pair()
            self.proxy.cut_after(5, "up", how)
            p.client.sendall(b"0123456789")
            self.assertEqual(self.read(p.server, 5), b"01234")
            if how == "reset":
                self.assert_reset(p.server)
                self.assert_reset(p.client)
            else:
                self.assertEqual(p.server.recv(1), b"")
            self.assert_passes(other.client, other.server, b"0123456789")

    def test_after_so_many_bytes_nothing_passes(self):
        for how in ("stall", "swallow"):
            p = self.pair()
            self.proxy.cut_after(5, "down", how)
            p.server.sendall(b"0123456789")
            self.assertEqual(self.read(p.client, 5), b"01234")
            self.assert_silent(p.client)
            self.assert_passes(p.client, p.server)
            self.proxy.pass_on()
            if how == "stall":
                self.assertEqual(self.read(p.client, 5), b"56789")
            self.assert_passes(p.server, p.client)

    def test_after_so_many_bytes_one_direction_ends(self):
        p = self.pair()
        self.proxy.cut_after(2, "down", "half_close")
        p.server.sendall(b"0123")
        self.assertEqual(self.read(p.client, 4), b"01")
        self.assert_passes(p.client, p.server)

    def test_all_connections_are_reset_or_closed(self):
        pairs = [self.pair() for _ in range(3)]
        self.assert_passes(pairs[0].client, pairs[0].server)
        self.proxy.reset()
        for p in pairs:
            self.assert_reset(p.client)
            self.assert_reset(p.server)
        p = self.pair()
        self.proxy.close()
        self.assertEqual((p.client.recv(1), p.server.recv(1)), (b"", b""))
        self.assertEqual(self.proxy.count(), 0)
        self.assertEqual([r.how for r in self.proxy.records], ["reset"] * 3 + ["close"])

    def test_half_closed_the_other_way_goes_on(self):
        p = self.pair()
        self.proxy.half_close("down")
        self.assertEqual(p.client.recv(1), b"")
        p.server.sendall(b"into the void")
        self.assert_passes(p.client, p.server)

    def test_refusing_leaves_what_there_is_and_keeps_the_port(self):
        p = self.pair()
        for _ in range(2):
            self.proxy.refuse()
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.proxy.port), LONG)
            self.assert_passes(p.client, p.server)
            self.proxy.pass_on()
            new = self.pair()
            self.assert_passes(new.client, new.server)

    def test_new_connections_are_ended_at_once(self):
        p = self.pair()
        self.proxy.accept_and_close("close")
        with socket.create_connection(("127.0.0.1", self.proxy.port), LONG) as sock:
            self.assertEqual(sock.recv(1), b"")
        self.proxy.accept_and_close("reset")
        self.assert_reset_at_once()
        self.assert_passes(p.client, p.server)
        self.proxy.pass_on()
        new = self.pair()
        self.assert_passes(new.client, new.server)

    def test_where_nobody_listens_the_client_is_reset(self):
        self.server.close()
        self.assert_reset_at_once()

    def test_as_a_program(self):
        host, port = self.server.getsockname()
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "fault_proxy.py"), "0", f"{host}:{port}"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, LONG)
        self.addCleanup(process.stdin.close)

        def say(command):
            process.stdin.write(command + "\n")
            process.stdin.flush()
            return process.stdout.readline().split()[0]

        self.assertEqual((word := process.stdout.readline().split())[0], "port")
        p = Pair(self, int(word[1]), self.server)
        self.assert_passes(p.client, p.server)
        self.assertEqual(say("cut_after 3 down close"), "ok")
        p.server.sendall(b"0123")
        self.assertEqual(self.read(p.client, 4), b"012")
        self.assertEqual([say("no_such_fault"), say("stall sideways"), say("delay"), say("pass_on")], ["error"] * 3 + ["ok"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
