#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the EST stand-in: layouts, what an answer holds, and every fault on order."""

import base64
import contextlib
import http.client
import os
import socket
import ssl
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot import certs  # noqa: E402
from est import answers, der  # noqa: E402
from est.control import NAMES  # noqa: E402
from est.pki import to_der  # noqa: E402
from est_client import Client, WithServer, certificates, request, wrap  # noqa: E402


class Layouts(WithServer):
    def setUp(self):
        super().setUp()
        self.body = wrap(request(certs.new_key()))

    def answer(self):
        status, headers, body = self.post(self.body)
        self.assertEqual(status, 200, body)
        return headers, body

    def test_lines(self):
        for layout, columns, end, last in (("64lf", 64, b"\n", b"\n"), ("64crlf", 64, b"\r\n", b"\r\n"), ("76lf", 76, b"\n", b"\n"),
                                           ("76crlf", 76, b"\r\n", b"\r\n"), ("64lf-open", 64, b"\n", b""),
                                           ("76crlf-open", 76, b"\r\n", b"")):
            self.server.set(layout=layout)
            _, body = self.answer()
            with self.subTest(layout):
                self.assertTrue(body.endswith(last) and (last or body[-1:] not in b"\r\n"))
                lines = body.removesuffix(last).split(end)
                self.assertEqual({len(line) for line in lines[:-1]}, {columns})
                self.assertEqual(len(certificates(body)), 1)

    def test_others(self):
        for layout in ("one", "one-lf", "blanks", "armour"):
            self.server.set(layout=layout)
            self.assertEqual(len(certificates(self.answer()[1])), 1, layout)
        self.server.set(layout="der")
        self.assertEqual(self.answer()[1][:1], b"\x30")

    def test_framing(self):
        for transfer, header, value in (("chunked", "Transfer-Encoding", "chunked"), ("close", "Connection", "close"),
                                        ("length", "Connection", None)):
            self.server.set(transfer=transfer)
            headers, body = self.answer()
            self.assertEqual(headers[header], value)
            self.assertEqual(len(certificates(body)), 1)

    def test_an_end_can_be_told_from_a_cut(self):
        for cut in (False, True):
            self.server.set(transfer="close")
            if cut:
                self.server.fault("cut", bytes=100)
            with Client(self.server, strict=True) as client:
                with self.subTest(cut=cut), self.assertRaises(ssl.SSLError) if cut else contextlib.nullcontext():
                    self.assertEqual(client.ask("GET", "cacerts")[0], 200)

    def test_one_connection_serves_several_requests_unless_it_is_told_not_to(self):
        with Client(self.server) as client:
            for _ in range(3):
                client.ask("GET", "cacerts")
        self.assertEqual(self.server.event("closed")["requests"], 3)
        self.server.set(connection_close=True)
        with Client(self.server) as client:
            self.assertEqual(client.ask("GET", "cacerts")[1]["Connection"], "close")

    def test_what_an_answer_holds(self):
        for chain, count in (("leaf", 1), ("full", 2), ("root", 3), ("reversed", 3), ("extras", 5)):
            self.server.set(chain=chain)
            self.assertEqual(len(certificates(self.answer()[1])), count)
        self.server.set(chain="reversed")
        found = [c.subject.rfc4514_string() for c in certificates(self.answer()[1])]
        self.assertEqual(found, ["CN=EST Stand-in Root", "CN=EST Stand-in Issuing CA 1", "CN=gw"])

    def test_openssl_reads_the_messages_as_they_were_written(self):
        some = [to_der(certs.Authority.create(certs.name(n)).certificate) for n in ("b", "a")]
        read = certificates(base64.b64encode(der.certs_only(some)))
        self.assertEqual([to_der(c) for c in read], some)

    def test_the_date_can_be_another_or_none(self):
        self.server.set(date="none")
        self.assertNotIn("Date", self.answer()[0])
        self.server.set(date="86400")
        self.assertIn(time.strftime("%d %b %Y", time.gmtime(time.time() + 86400)), self.answer()[0]["Date"])


class Faults(WithServer):
    """Every fault strikes, as often as it was ordered, and then no more."""

    def setUp(self):
        super().setUp()
        self.body = wrap(request(certs.new_key()))

    def works_again(self):
        self.assertEqual(self.post(self.body)[0], 200)

    def test_a_name_that_is_none_is_refused(self):
        for wrong in ({"name": "nothing"}, {"name": "body", "how": "nicely"}, {"name": "drop", "count": "two"}):
            with self.assertRaises(RuntimeError):
                self.server.fault(**wrong)
        with self.assertRaises(RuntimeError):
            self.server.set(colour="blue")

    def test_connections_fail_where_they_are_told_to(self):
        for name in ("accept-drop", "tls-drop", "tls-end", "drop", "drop-after"):
            self.server.fault(name)
            with self.subTest(name), self.assertRaises((OSError, http.client.HTTPException)):
                self.post(self.body)
            self.works_again()
        self.assertEqual(len(self.server.events("issued")), 6)

    def test_a_handshake_can_be_waited_for_in_vain(self):
        self.server.fault("accept-hang")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=0.3) as sock:
            sock.sendall(b"\x16\x03\x01\x00\x01")
            with self.assertRaises(socket.timeout):
                sock.recv(1)
        self.works_again()

    def test_a_status_with_words(self):
        self.server.fault("status", operation="simpleenroll", status=503, text="busy", headers={"Retry-After": "9"})
        self.assertEqual(self.get("cacerts")[0], 200)
        status, headers, body = self.post(self.body)
        self.assertEqual((status, headers["Retry-After"], headers["Content-Type"], body), (503, "9", "text/plain", b"busy"))
        self.works_again()

    def test_every_broken_body_is_sent(self):
        for how in answers.BROKEN:
            self.server.fault("body", how=how)
            status, headers, _ = self.post(self.body)
            self.assertEqual((status, headers["Content-Type"]), (200, answers.CERTS_ONLY))
        self.assertEqual(self.server.events("issued"), [])
        self.works_again()

    def test_raw_bytes(self):
        self.server.fault("raw", text="HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        self.assertEqual(self.get("cacerts")[2], b"hi")
        self.works_again()

    def test_a_cut_a_drip_and_a_delay(self):
        self.server.fault("cut", bytes=100)
        with self.assertRaises(http.client.IncompleteRead):
            self.get("cacerts")
        self.server.fault("late", seconds=0.3)
        begin = time.monotonic()
        self.assertEqual(self.get("cacerts")[0], 200)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.server.set(csrattrs="MAA=", layout="one")
        self.server.fault("drip", seconds=0.1)
        begin = time.monotonic()
        self.assertEqual(self.get("csrattrs")[2], b"MAA=")
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.works_again()

    def test_the_server_can_be_away(self):
        self.server.ask("down")
        with self.assertRaises(OSError):
            self.get("cacerts")
        self.server.ask("up")
        self.works_again()

    def test_each_name_has_been_tried_here(self):
        with open(__file__, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual([n for n in NAMES if f'"{n}"' not in text], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
