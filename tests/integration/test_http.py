#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTPS client against servers that are slow, wordy, short of words, or up to something."""

import hashlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

from http_bench import (ECONNABORTED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, EMSGSIZE, EOPNOTSUPP, EPERM, EPROTO,
                        EPROTONOSUPPORT, ETIMEDOUT, NO_EXTENDED_MASTER_SECRET, PASSWORD, Files, Probe, Server)
from provision_bench import wait_for

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
LONG = 256 * 1024       # TG_HTTP_BODY_MAX


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = Files()

    @classmethod
    def tearDownClass(cls):
        cls.files.close()

    def serve(self, answer=lambda c, q: c.answer(body=b"ok"), **options):
        """A server of well-formed requests."""
        server = Server(self.files, None, **options).serve(answer)
        self.addCleanup(server.close)
        return server

    def rude(self, handle, **options):
        """A server that is told no requests, but the connection."""
        server = Server(self.files, handle, **options)
        self.addCleanup(server.close)
        return server

    def client(self, server=None, environment=None, **options):
        if not options.get("unverified"):
            options.setdefault("anchors", self.files.path("ca.pem"))
        if server:
            options.setdefault("url", server.url)
        probe = Probe(PROGRAM, environment, **options)
        self.addCleanup(probe.close)
        return probe

    def identity(self, name="client"):
        return {"chain": self.files.path(name + ".pem"), "key": self.files.path(name + ".key")}

    def raw(self, text, **options):
        """What the client makes of an answer that is sent byte for byte; the connection ends behind it."""
        def answer(connection, _):
            connection.send(text)
            return False
        server = self.serve(answer)
        return self.client(server, **options).get(server.url + "/")

    def refused(self, said, error, *words, stage="answer"):
        self.assertEqual(said["error"], error, said)
        self.assertEqual(said["stage"], stage, said)
        for word in ("localhost", *words):
            self.assertIn(word, said["text"])


class Requests(Case):
    def test_answers_come_with_what_they_say(self):
        server = self.serve(lambda c, q: c.answer(
            202, b"wait", Content_Type="text/plain; charset=utf-8", Retry_After="120",
            Date="Sun, 06 Nov 1994 08:49:37 GMT"))
        said = self.client(server).get(server.url + "/x?y=1")
        self.assertEqual((said["error"], said["status"], said["body"], said["type"], said["retry_after"], said["date"]),
                         (0, 202, "wait", "text/plain; charset=utf-8", "120", 784111777))
        method, target, fields, body = server.requests[0]
        self.assertEqual((method, target, body), ("GET", "/x?y=1", b""))
        self.assertEqual(fields["accept"], "application/pkcs7-mime")
        self.assertEqual(fields["host"], f"localhost:{server.port}")
        for name in ("accept-encoding", "authorization", "cookie", "expect", "content-length"):
            self.assertNotIn(name, fields)

    def test_one_connection_serves_many_requests(self):
        server = self.serve()
        client = self.client(server)
        for _ in range(3):
            self.assertEqual(client.get(server.url + "/")["status"], 200)
        said = client.do("post", server.url + "/", 60000)
        self.assertEqual(said["status"], 200)
        self.assertEqual(server.connections, 1)
        method, _, fields, body = server.requests[3]
        self.assertEqual((method, body), ("POST", b"b" * 60000))
        self.assertEqual((fields["content-type"], fields["content-transfer-encoding"]), ("application/pkcs10", "base64"))
        self.assertNotIn("expect", fields)
        self.assertNotIn("transfer-encoding", fields)

    def test_a_server_that_closes_gets_a_new_connection(self):
        server = self.serve(lambda c, q: c.answer(body=b"ok", Connection="close") or False)
        client = self.client(server)
        for _ in range(2):
            self.assertEqual(client.get(server.url + "/")["status"], 200)
        self.assertEqual(server.connections, 2)

    def test_a_kept_connection_that_died_is_no_failure(self):
        """Closed by the server just before the next request came."""
        def answer(connection, request):
            if connection.number == 1 and len(server.requests) == 2:
                return False
            return connection.answer(body=b"ok")
        server = self.serve(answer)
        client = self.client(server)
        self.assertEqual(client.get(server.url + "/")["status"], 200)
        self.assertEqual(client.do("post", server.url + "/", 1000)["status"], 200)
        self.assertEqual(server.connections, 2)
        self.assertEqual(server.requests[2][3], b"b" * 1000)

    def test_redirects_are_told_and_not_followed(self):
        other = self.serve()
        server = self.serve(lambda c, q: c.answer(307, Location=other.url + "/y"))
        said = self.client(server).do("post", server.url + "/", 10)
        self.assertEqual((said["status"], said["location"]), (307, other.url + "/y"))
        self.assertEqual((len(server.requests), other.connections), (1, 0))

    def test_cookies_are_not_kept(self):
        server = self.serve(lambda c, q: c.answer(Set_Cookie="a=b; Path=/"))
        client = self.client(server)
        client.get(server.url + "/")
        client.get(server.url + "/")
        self.assertNotIn("cookie", server.requests[1][2])

    def test_only_the_origin_is_asked(self):
        server, other = self.serve(), self.serve()
        client = self.client(server)
        for url in (other.url + "/", "http" + server.url[5:] + "/", f"https://user@localhost:{server.port}/",
                    f"https://127.0.0.1:{server.port}/", "file:///etc/passwd"):
            self.assertEqual(client.get(url)["error"], EINVAL, url)
        self.assertEqual((server.connections, other.connections), (0, 0))

    def test_words_of_an_error_are_readable(self):
        page = (b"<html><head><style>p { color: red }</style><title>403</title></head>\n<body><!-- x -->"
                b"<h1>Not\x07 today</h1>\r\n\r\n   because</body></html>")
        server = self.serve(lambda c, q: c.answer(403, page, Content_Type="text/html"))
        self.assertEqual(self.client(server).get(server.url + "/")["words"], "403 Not? today because")
        server = self.serve(lambda c, q: c.answer(400, b"x" * 1000))
        self.assertEqual(self.client(server).get(server.url + "/")["words"], "x" * 200 + "...")

    def test_ipv6_is_spoken(self):
        server = self.serve(family=socket.AF_INET6)
        url = f"https://[::1]:{server.port}"
        said = self.client(server, url=url).get(url + "/")
        self.assertEqual((said["error"], said["status"]), (0, 200), said)
        self.assertEqual(server.requests[0][2]["host"], f"[::1]:{server.port}")


class Binding(Case):
    def bound(self, server, size=100, **options):
        return self.client(server, **options).do("bind", server.url + "/", size)

    def test_tls_12_binds_by_its_first_finished_message(self):
        for options in ({"tls": "1.2"}, {"tls": "1.2+"}):
            server = self.serve(**options)
            said = self.bound(server, tls12=1)
            self.assertEqual((said["status"], said["tls"], len(said["binding"])), (200, "TLSv1.2", 16), said)
            self.assertEqual(server.requests[0][3], said["binding"].encode() + b"x" * 84)
            self.assertEqual(server.bindings[0], ssl.base64.b64decode(said["binding"]))

    def test_tls_13_binds_by_its_exporter(self):
        server = self.serve(tls="1.3")
        said = self.bound(server)
        self.assertEqual((said["status"], said["tls"], len(said["binding"])), (200, "TLSv1.3", 44), said)
        self.assertTrue(server.requests[0][3].startswith(said["binding"].encode()))

    def test_the_exporter_is_the_one_of_the_standard(self):
        """OpenSSL's own server prints what it exports under that label."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.files.path("server.pem"), "-keymatexport",
             "EXPORTER-Channel-Binding", "-keymatexportlen", "32"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        url = f"https://127.0.0.1:{port}"
        try:
            while "ACCEPT" not in server.stdout.readline():
                pass
            said = self.client(url=url, answer=1).do("bind", url + "/", 50)     # it prints, and never answers
            server.stdin.close()
            line = next(text for text in server.stdout if "Keying material: " in text)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        self.assertEqual((said["error"], said["tls"]), (ETIMEDOUT, "TLSv1.3"))
        self.assertIn(ssl.base64.b64decode(said["binding"]).hex().upper(), line)

    def test_a_new_connection_gets_a_body_of_its_own(self):
        def answer(connection, request):
            if connection.number == 1 and len(server.requests) == 2:
                return False
            return connection.answer(body=b"ok")
        server = self.serve(answer, tls="1.2")
        client = self.client(server, tls12=1)
        client.get(server.url + "/")
        said = client.do("bind", server.url + "/", 50)
        self.assertEqual((said["status"], said["made"], server.connections), (200, 2, 2), said)
        bodies = [q[3][:16] for q in server.requests if q[0] == "POST"]
        self.assertEqual([ssl.base64.b64decode(b) for b in bodies], server.bindings)
        self.assertNotEqual(bodies[0], bodies[1])

    def test_a_repeated_request_on_the_same_connection_is_not_made_again(self):
        def answer(connection, request):
            if "authorization" in request[2]:
                return connection.answer()
            return connection.answer(401, WWW_Authenticate='Basic realm="x"')
        server = self.serve(answer, tls="1.2")
        said = self.bound(server, tls12=1, user="u", password=PASSWORD)
        self.assertEqual((said["status"], said["made"], server.connections), (200, 1, 1))
        self.assertEqual(server.requests[0][3], server.requests[1][3])

    def test_without_extended_master_secret_nothing_is_bound(self):
        server = self.serve(tls="1.2", options=NO_EXTENDED_MASTER_SECRET)
        self.refused(self.bound(server, tls12=1), EOPNOTSUPP, "extended master secret", stage="request")
        self.assertEqual([q[3] for q in server.requests if q[3]], [])
        # What needs no binding is served.
        self.assertEqual(self.client(server).get(server.url + "/")["status"], 200)

    def test_a_body_that_is_not_as_announced_is_not_sent(self):
        server = self.serve()
        for verb, error in (("short", EINVAL), ("long", EINVAL), ("fail", EIO)):
            said = self.client(server).do(verb, server.url + "/", 100)
            self.refused(said, error, stage="request")
            self.assertEqual(said["made"], 1)
        self.assertEqual([q[3] for q in server.requests if q[3]], [])


class Authentication(Case):
    def check_digest(self, fields, algorithm, nonce):
        value = fields["authorization"]
        self.assertTrue(value.startswith("Digest "), value)
        part = dict(p.strip().split("=", 1) for p in value[7:].split(", "))
        part = {k: v.strip('"') for k, v in part.items()}
        hash_ = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

        def h(text):
            return hash_(text.encode()).hexdigest()
        first = h(f"{part['username']}:{part['realm']}:{PASSWORD}")
        self.assertEqual(part["response"], h(f"{first}:{nonce}:{part['nc']}:{part['cnonce']}:auth:{h('POST:/e')}"))

    def digest(self, challenge, algorithm):
        def answer(connection, request):
            if "authorization" in request[2]:
                return connection.answer(body=b"in")
            return connection.answer(401, WWW_Authenticate=challenge)
        server = self.serve(answer)
        said = self.client(server, user="gw", password=PASSWORD).do("post", server.url + "/e", 500)
        self.assertEqual((said["status"], said["body"], server.connections), (200, "in", 1))
        self.assertEqual([len(q[3]) for q in server.requests], [500, 500])
        self.assertNotIn("authorization", server.requests[0][2])
        self.check_digest(server.requests[1][2], algorithm, "1795223297")

    def test_digest_sends_the_whole_body_again(self):
        self.digest('Digest qop="auth", realm="estrealm", nonce="1795223297"', "MD5")
        self.digest('Digest qop="auth", realm="estrealm", nonce="1795223297", algorithm=SHA-256', "SHA-256")

    def test_digest_comes_before_basic(self):
        self.digest('Basic realm="x", Digest qop="auth", realm="estrealm", nonce="1795223297"', "MD5")
        self.digest('Digest qop="auth", realm="estrealm", nonce="1795223297", algorithm=SHA-256\r\n'
                    'WWW-Authenticate: Digest qop="auth", realm="estrealm", nonce="1795223297"\r\n'
                    'WWW-Authenticate: Basic realm="x"', "SHA-256")

    def test_a_stale_nonce_is_replaced(self):
        nonces = ["n1", "n2"]

        def answer(connection, request):
            if 'nonce="n2"' in request[2].get("authorization", ""):
                return connection.answer(body=b"in")
            nonce = nonces.pop(0)
            return connection.answer(401, WWW_Authenticate=f'Digest qop="auth", realm="r", nonce="{nonce}"' +
                                     (', stale=true' if nonce == "n2" else ""))
        server = self.serve(answer)
        said = self.client(server, user="gw", password=PASSWORD).do("post", server.url + "/", 500)
        self.assertEqual((said["status"], [len(q[3]) for q in server.requests]), (200, [500, 500, 500]))

    def test_each_request_may_have_its_nonce(self):
        """A server that takes each nonce once, and does not say that an old one is stale."""
        good, given = set(), []

        def answer(connection, request):
            value = request[2].get("authorization", "")
            used = next((n for n in good if f'nonce="{n}"' in value), None)
            if used:
                good.remove(used)
                return connection.answer(body=b"in")
            given.append(f"n{len(given)}")
            good.add(given[-1])
            return connection.answer(401, WWW_Authenticate=f'Digest qop="auth", realm="r", nonce="{given[-1]}"')
        server = self.serve(answer)
        client = self.client(server, user="gw", password=PASSWORD)
        for _ in range(3):
            self.assertEqual(client.do("post", server.url + "/", 50)["status"], 200)

    def test_the_first_request_carries_no_password(self):
        server = self.serve()
        client = self.client(server, user="gw", password=PASSWORD)
        client.get(server.url + "/")
        client.do("post", server.url + "/", 7)
        for request in server.requests:
            self.assertNotIn("authorization", request[2])

    def test_what_is_not_known_gets_no_password(self):
        server = self.serve(lambda c, q: c.answer(401, WWW_Authenticate='Bearer, Negotiate, NTLM, Hoba max-age=1'))
        said = self.client(server, user="gw", password=PASSWORD).get(server.url + "/")
        self.assertEqual((said["status"], len(server.requests)), (401, 1))
        server = self.serve(lambda c, q: c.answer(403, WWW_Authenticate='Basic realm="x"'))
        said = self.client(server, user="gw", password=PASSWORD).get(server.url + "/")
        self.assertEqual((said["status"], len(server.requests)), (403, 1))

    def test_a_wrong_password_is_tried_once(self):
        for challenge in ('Basic realm="x"', 'Digest qop="auth", realm="r", nonce="n"'):
            server = self.serve(lambda c, q, ch=challenge: c.answer(401, b"no such user", WWW_Authenticate=ch,
                                                                    Content_Type="text/plain"))
            said = self.client(server, user="gw", password=PASSWORD).do("post", server.url + "/", 9)
            self.assertEqual((said["status"], said["words"], len(server.requests)), (401, "no such user", 2))

    def test_nothing_says_the_password(self):
        """A server that repeats all that it is told, in every way in which an answer can fail."""
        basic = ssl.base64.b64encode(f"gw:{PASSWORD}".encode()).decode()

        def echo(connection, request):
            if "authorization" not in request[2]:
                return connection.answer(401, WWW_Authenticate='Basic realm="x"')
            self.assertEqual(request[2]["authorization"], "Basic " + basic)
            text = f"denied to {PASSWORD}, {request[2]['authorization']}".encode()
            kind = request[1]
            if kind == "/status":
                return connection.answer(403, text, Content_Type="text/plain", Location=f"/{PASSWORD}",
                                         Retry_After=basic)
            if kind == "/long":
                return connection.answer(400, b" " * (4096 - 30) + text, Content_Type="text/plain")
            connection.send({"/line": b"HTTP/1.1 " + text + b"\r\n\r\n",
                             "/field": b"HTTP/1.1 200 x\r\n" + text + b"\r\nContent-Length: -" + text + b"\r\n\r\n",
                             "/encoding": b"HTTP/1.1 200 x\r\nContent-Encoding: " + text + b"\r\n\r\n",
                             "/chunk": b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + text}[kind])
            return False
        server = self.serve(echo)
        client = Probe(PROGRAM, url=server.url, anchors=self.files.path("ca.pem"), user="gw", password=PASSWORD)
        said = client.get(server.url + "/status")
        self.assertEqual(said["words"], f"denied to {'*' * len(PASSWORD.encode())}, Basic {'*' * len(basic)}")
        said.pop("body")
        seen = str(said)
        for path in ("/line", "/field", "/encoding", "/chunk", "/long"):
            said = client.get(server.url + path)
            said.pop("body", None)
            seen += str(said)
        client.close()
        for secret in (PASSWORD, basic, PASSWORD[:8], basic[:12]):
            self.assertNotIn(secret, seen)


class Unverified(Case):
    def test_only_a_plain_get_is_made(self):
        server = self.serve(lambda c, q: c.answer(Date="Sun, 06 Nov 1994 08:49:37 GMT"))
        client = self.client(server, unverified=1)
        for _ in range(2):
            said = client.get(server.url + "/")
            self.assertEqual((said["status"], said["not_before"], said["date"]), (200, 0, 0))
            wait_for(lambda: not server.open)       # nor is the connection kept
        self.assertEqual(server.connections, 2)
        self.assertEqual(client.do("post", server.url + "/", 5)["error"], EPERM)
        self.assertEqual(client.do("bind", server.url + "/", 50)["error"], EPERM)
        self.assertEqual(server.connections, 2)

    def test_nobody_is_told_who_we_are(self):
        server = self.serve(lambda c, q: c.answer(401, WWW_Authenticate="Basic realm=x"))
        for options in ({"user": "gw", "password": "x"}, self.identity()):
            client = self.client(server, unverified=1, **options)
            self.assertEqual(client.opened["error"], EPERM)
        self.assertEqual(self.client(server, unverified=1).get(server.url + "/")["status"], 401)
        self.assertEqual(len(server.requests), 1)


class Answers(Case):
    """Each of them is one that a client must not believe, or not for ever."""

    def test_what_is_too_long_is_given_up(self):
        self.refused(self.raw(f"HTTP/1.1 200 x\r\nContent-Length: {LONG + 1}\r\n\r\n"), EMSGSIZE, "too long")
        self.refused(self.raw(f"HTTP/1.1 200 x\r\nContent-Length: {'9' * 40}\r\n\r\n"), EMSGSIZE, "too long")
        self.refused(self.raw(f"HTTP/1.1 200 x\r\n\r\n{'x' * (LONG + 1)}"), EMSGSIZE, "too long")
        chunk = f"{LONG + 1:x}\r\n{'x' * (LONG + 1)}\r\n0\r\n\r\n"
        self.refused(self.raw("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk), EMSGSIZE, "too long")
        said = self.raw(f"HTTP/1.1 200 x\r\nContent-Length: {LONG}\r\n\r\n{'x' * LONG}")
        self.assertEqual((said["error"], said["length"]), (0, LONG))

    def endless(self, what, begin=b"HTTP/1.1 200 x\r\n", **options):
        sent = []

        def handle(connection):
            connection.request()
            connection.send(begin)
            for _ in range(100000):
                connection.send(what)
                sent.append(len(what))
        server = self.rude(handle)
        said = self.client(server, **options).get(server.url + "/")
        return said, sum(sent)

    def test_endless_answers_end(self):
        for what, begin in ((b"x" * 1000, b"HTTP/1.1 200 x\r\n\r\n"),
                            (b"3e8\r\n" + b"x" * 1000 + b"\r\n", b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"),
                            (b"x" * 1000, b"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\n\r\n")):
            said, sent = self.endless(what, begin, user="gw", password="x")
            self.refused(said, EMSGSIZE, "too long")
            self.assertLess(sent, 20 * LONG)    # what lies in the buffers between

    def test_endless_header_lines_end(self):
        for what in (b"X-Y: " + b"z" * 1000 + b"\r\n", b"z" * 1000, b"HTTP/1.1 103 x\r\nX: y\r\n\r\n",
                     b"HTTP/1.1 100 x\r\n\r\n", b"X:\r\n"):
            said, sent = self.endless(what, b"HTTP/1.1 100 x\r\n\r\n" if what.startswith(b"HTTP") else b"HTTP/1.1 200 x\r\n")
            self.refused(said, EMSGSIZE)
            self.assertLess(sent, 20 * LONG)

    def test_endless_trailers_end(self):
        said, _ = self.endless(b"X-Y: " + b"z" * 1000 + b"\r\n",
                               b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        self.refused(said, EMSGSIZE)

    def test_what_is_cut_off_is_not_taken_for_whole(self):
        for text in ("HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nshort",
                     "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
                     "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort"):
            self.refused(self.raw(text), ECONNRESET, "ended before")
        self.refused(self.raw(""), ECONNRESET, "without an answer")

    def test_without_a_length_the_end_is_the_end(self):
        """Whether anything is missing is then for those to see who read what came."""
        said = self.raw("HTTP/1.0 200 x\r\n\r\nshort")
        self.assertEqual((said["error"], said["body"]), (0, "short"))

    def test_chunks_are_put_together(self):
        said = self.raw("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nRetry-After: 9\r\n\r\n")
        self.assertEqual((said["error"], said["body"], said["retry_after"]), (0, "abcde", ""))

    def test_compression_was_not_asked_for(self):
        for field in ("Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: gzip, chunked",
                      "Transfer-Encoding: gzip"):
            said = self.raw(f"HTTP/1.1 200 x\r\n{field}\r\nContent-Length: 3\r\n\r\nabc")
            self.refused(said, EPROTO)
            self.assertRegex(said["text"], "not asked for|Unsolicited")     # newer libcurls find some themselves

    def test_what_is_not_http_is_told(self):
        for text in ("hello\r\n\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01\x00\x00", "HTTP/1.1 abc\r\n\r\n", "HTTP/9.9 200 x\r\n\r\n",
                     "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     "HTTP/1.1 200 x\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 200 x\r\nContent-Length: abc\r\n\r\nabc"):
            self.refused(self.raw(text), EPROTO, "answer")

    def test_only_the_last_answer_counts(self):
        said = self.raw("HTTP/1.1 103 x\r\nRetry-After: 7\r\nContent-Type: text/x\r\n\r\n"
                        "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok")
        self.assertEqual((said["status"], said["retry_after"], said["type"], said["body"]), (200, "", "", "ok"))


class Slow(Case):
    def test_a_silent_server_is_left(self):
        def handle(connection):
            connection.request()
            connection.request()
        server = self.rude(handle)
        said = self.client(server, answer=1).get(server.url + "/")
        self.refused(said, ETIMEDOUT, "silent")
        self.assertLess(said["ms"], 10000)

    def test_a_slow_server_is_left(self):
        def drip(connection, begin):
            connection.request()
            connection.send(begin)
            for _ in range(100):
                connection.send("x")
                time.sleep(0.1)
        for begin in ("HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n", "HTTP/1.1 200 x\r\nX: "):
            server = self.rude(lambda c, b=begin: drip(c, b))
            said = self.client(server, stall=2).get(server.url + "/")
            self.refused(said, ETIMEDOUT, "too slowly")
            self.assertLess(said["ms"], 9000)

    def test_a_server_may_think_before_it_answers(self):
        def answer(connection, _):
            time.sleep(3)
            return connection.answer(body=b"thought")
        server = self.serve(answer)
        said = self.client(server, stall=1, answer=20).do("post", server.url + "/", 5)
        self.assertEqual((said["error"], said.get("body")), (0, "thought"), said)

    def test_all_has_to_end_some_time(self):
        def handle(connection):
            connection.request()
            connection.send("HTTP/1.1 200 x\r\n\r\n")
            for _ in range(100):
                connection.send("x" * 1000)
                time.sleep(0.1)
        server = self.rude(handle)
        said = self.client(server, overall=2).get(server.url + "/")
        self.refused(said, ETIMEDOUT, "within 2 s")
        self.assertLess(said["ms"], 8000)

    def test_a_server_that_is_silent_in_the_handshake_is_left(self):
        def handle(connection):
            while connection.sock.recv(1000):
                pass
        server = self.rude(handle, tls=None)
        said = self.client(server, connect=1).get(server.url + "/")
        self.refused(said, ETIMEDOUT, "within 1 s", stage="tls")
        self.assertLess(said["ms"], 5000)

    def test_time_for_authentication_is_not_extra(self):
        def answer(connection, request):
            time.sleep(1.5)
            return connection.answer(401, WWW_Authenticate="Basic realm=x")
        server = self.serve(answer)
        said = self.client(server, user="u", password="p", overall=2).get(server.url + "/")
        self.refused(said, ETIMEDOUT, "within 2 s")


class Trust(Case):
    def test_the_system_is_not_asked_whom_to_trust(self):
        """The server's authority is the system's, and not among the anchors."""
        server = self.serve()
        environment = {"SSL_CERT_FILE": self.files.path("ca.pem"), "SSL_CERT_DIR": self.files.dir,
                       "CURL_CA_BUNDLE": self.files.path("ca.pem")}
        client = self.client(server, environment, anchors=self.files.path("stranger.pem"))
        said = client.get(server.url + "/")
        self.refused(said, ECONNABORTED, "the system's own list", stage="tls")
        self.assertEqual(server.requests, [])

    def test_the_floor_learns_from_a_server_that_is_verified(self):
        server = self.serve()
        said = self.client(server, now=978307200, future=-1).get(server.url + "/")      # 2001
        self.assertEqual(said["error"], 0)
        self.assertGreater(said["not_before"], time.time() - 86400)
        said = self.client(server, now=978307200, future=86400).get(server.url + "/")
        self.refused(said, ECONNABORTED, "not valid yet", stage="tls")
        self.assertEqual(said["not_before"], 0)

    def test_the_certificate_is_checked_against_the_name_that_was_asked_for(self):
        server = self.serve()
        url = f"https://127.0.0.2:{server.port}"
        said = self.client(url=url).get(url + "/")
        self.assertIn(said["error"], (EHOSTUNREACH, ECONNABORTED))

    def test_no_file_is_written_with_the_keys_of_a_connection(self):
        server = self.serve()
        log = self.files.path("keylog")
        self.assertEqual(self.client(server, {"SSLKEYLOGFILE": log}).get(server.url + "/")["status"], 200)
        self.assertFalse(os.path.exists(log))

    def test_only_tls_12_where_nothing_else_may_be(self):
        server = self.serve(tls="1.3")
        self.refused(self.client(server, tls12=1).get(server.url + "/"), EPROTONOSUPPORT, "TLS 1.2", stage="tls")
        server = self.serve(tls="1.2")
        self.assertEqual(self.client(server).get(server.url + "/")["tls"], "TLSv1.2")

    def test_what_is_not_tls_is_told(self):
        server = self.rude(lambda c: c.send("HTTP/1.1 400 no TLS\r\n\r\n"), tls=None)
        self.refused(self.client(server).get(server.url + "/"), ECONNABORTED, "does not speak TLS", stage="tls")

    def test_a_handshake_that_is_cut_off_is_told(self):
        server = self.rude(lambda c: c.sock.recv(10), tls=None)
        self.refused(self.client(server).get(server.url + "/"), ECONNRESET, "closed in the TLS handshake", stage="tls")


class Identity(Case):
    def test_the_certificate_is_shown(self):
        for tls in ("1.2", "1.3"):
            server = self.serve(tls=tls, client="ca.pem")
            said = self.client(server, **self.identity()).get(server.url + "/")
            self.assertEqual((said["error"], said["status"]), (0, 200), said)

    def test_the_servers_alert_is_told(self):
        for tls in ("1.2", "1.3"):
            server = self.serve(tls=tls, client="ca.pem")
            said = self.client(server, **self.identity("stranger")).get(server.url + "/")
            self.refused(said, EPERM, "refused our certificate", stage="tls")
            self.assertEqual(server.requests, [])

    def test_the_alert_is_told_when_no_certificate_is_shown(self):
        server = self.serve(tls="1.3", client="ca.pem")
        self.refused(self.client(server).get(server.url + "/"), EPERM, "certificate required", stage="tls")
        server = self.serve(tls="1.2", client="ca.pem")
        self.refused(self.client(server).get(server.url + "/"), ECONNABORTED, "handshake failure", stage="tls")

    def test_wrong_files_are_told(self):
        server = self.serve()
        for options, word in (({"chain": self.files.path("client.pem"), "key": self.files.path("stranger.key")}, "our key"),
                              ({"chain": self.files.path("client.key"), "key": self.files.path("client.key")}, "no certificate"),
                              ({"anchors": self.files.path("client.key")}, "trust anchors")):
            client = self.client(server, **options)
            self.assertEqual(client.opened["error"], EINVAL)
            self.assertIn(word, client.opened["text"])


class Proxy(Case):
    """CONNECT, and nothing but CONNECT."""

    def proxy(self, connect="HTTP/1.1 200 x\r\n\r\n", first=""):
        def handle(connection):
            request = connection.request()
            proxy.requests.append(request)
            if first:
                connection.send(first)
                request = connection.request()
                if not request:
                    return
                proxy.requests.append(request)
            if connect is None:
                return
            connection.send(connect)
            if " 200 " not in connect:
                return
            with socket.create_connection(request[1].rsplit(":", 1)) as onward:
                back = threading.Thread(target=pump, args=(onward, connection.sock))
                back.start()
                pump(connection.sock, onward)
                back.join()

        def pump(source, target):
            try:
                while (data := source.recv(65536)):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        proxy = self.rude(handle, tls=None)
        return proxy

    def test_requests_go_through_the_proxy(self):
        server = self.serve()
        for form in ("localhost:{}", "http://127.0.0.1:{}", "http://localhost:{}/"):
            proxy = self.proxy()
            client = self.client(server, {"no_proxy": "*", "NO_PROXY": "*"}, proxy=form.format(proxy.port))
            said = client.do("bind", server.url + "/x", 80)
            self.assertEqual((said["error"], said["status"]), (0, 200), said)
            self.assertEqual([q[:2] for q in proxy.requests], [("CONNECT", f"localhost:{server.port}")])
            self.assertNotIn("authorization", proxy.requests[0][2])

    def test_the_environment_names_no_proxy(self):
        server, proxy = self.serve(), self.proxy()
        where = f"http://127.0.0.1:{proxy.port}"
        client = self.client(server, {"https_proxy": where, "HTTPS_PROXY": where, "all_proxy": where, "ALL_PROXY": where})
        self.assertEqual(client.get(server.url + "/")["status"], 200)
        self.assertEqual(proxy.connections, 0)

    def test_a_proxy_that_refuses_is_told(self):
        server = self.serve()
        for connect, words in (("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", ("answers 403 to CONNECT",)),
                               ("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
                                ("answers 407 to CONNECT",)),
                               (None, ()), ("hello\r\n\r\n", ())):
            proxy = self.proxy(connect)
            client = self.client(server, proxy=f"127.0.0.1:{proxy.port}", user="gw", password=PASSWORD)
            said = client.get(server.url + "/")
            self.refused(said, EHOSTUNREACH, f"127.0.0.1:{proxy.port}", *words, stage="proxy")
            self.assertEqual(len(proxy.requests), 1)
        self.assertEqual(server.connections, 0)

    def test_a_proxy_that_says_too_much_or_nothing_is_left(self):
        def flood(connection):
            connection.request()
            connection.send("HTTP/1.1 200 x\r\n")
            while True:
                connection.send("X-Y: " + "z" * 1000 + "\r\n")

        def silent(connection):
            while connection.sock.recv(1000):
                pass
        server = self.serve()
        for handle, error in ((flood, EMSGSIZE), (silent, ETIMEDOUT)):
            proxy = self.rude(handle, tls=None)
            said = self.client(server, proxy=f"127.0.0.1:{proxy.port}", connect=1).get(server.url + "/")
            self.assertEqual((said["error"], said["stage"] in ("connect", "proxy")), (error, True), said)
            self.assertLess(said["ms"], 9000)

    def test_a_proxy_does_not_say_how_the_server_gets_the_password(self):
        for status in (401, 407, 200):
            server = self.serve()
            proxy = self.proxy(first=f"HTTP/1.1 {status} x\r\nwww-authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
            client = self.client(server, proxy=f"127.0.0.1:{proxy.port}", user="gw", password=PASSWORD)
            said = client.get(server.url + "/")
            self.refused(said, EHOSTUNREACH, "a password of the server's", stage="proxy")
            self.assertEqual((len(proxy.requests), server.requests), (1, []))

    def test_a_proxy_that_is_not_there_is_told(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = self.serve()
        said = self.client(server, proxy=f"127.0.0.1:{port}").get(server.url + "/")
        self.refused(said, EHOSTUNREACH, f"127.0.0.1:{port}", "refused", stage="connect")

    def test_a_proxy_without_port_or_with_password_is_refused(self):
        for proxy in ("localhost", "socks5://localhost:1", "https://localhost:1", "http://a:b@localhost:1", "localhost:0",
                      "localhost:70000", "local host:1", "localhost:1/x"):
            client = self.client(proxy=proxy, url="https://localhost")
            self.assertEqual(client.opened["error"], EINVAL, proxy)


class Unreachable(Case):
    def test_a_closed_port_is_told(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = f"https://localhost:{s.getsockname()[1]}"
        self.refused(self.client(url=url).get(url + "/"), EHOSTUNREACH, "refused", stage="connect")

    def test_a_name_that_is_not_there_is_told(self):
        said = self.client(url="https://nowhere.invalid").get("https://nowhere.invalid/")
        self.assertEqual((said["error"], said["stage"]), (EHOSTUNREACH, "name"), said)
        self.assertIn("nowhere.invalid", said["text"])

    def test_a_connection_that_is_reset_is_told(self):
        def handle(connection):
            connection.request()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(connection.sock.detach())
        server = self.rude(handle)
        self.refused(self.client(server).get(server.url + "/"), ECONNRESET)


class Http2(Case):
    """By python3-h2, as HTTP/1.1 has no frames to be wrong in."""

    def session(self, react, pump=None):
        """react(h2, stream, connection) for each request; pump(h2, connection) whenever something has come."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import RequestReceived, StreamEnded

        def handle(connection):
            h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
            h2.initiate_connection()
            connection.send(h2.data_to_send())
            while (data := connection.sock.recv(65536)):
                for event in h2.receive_data(data):
                    if isinstance(event, RequestReceived):
                        server.requests.append(dict(event.headers))
                    if isinstance(event, StreamEnded):
                        react(h2, event.stream_id, connection)
                connection.send(h2.data_to_send())
                if pump:
                    pump(h2, connection)
        server = self.rude(handle, alpn=["h2"])
        return server

    def test_http_2_is_spoken_where_it_is_offered(self):
        def react(h2, stream, _):
            if "authorization" not in server.requests[-1]:
                h2.send_headers(stream, [(":status", "401"), ("www-authenticate", 'Basic realm="x"')], end_stream=True)
                return
            h2.send_headers(stream, [(":status", "202"), ("retry-after", "60"), ("content-type", "text/plain")])
            h2.send_data(stream, b"wait", end_stream=True)
        server = self.session(react)
        said = self.client(server, user="gw", password=PASSWORD).do("bind", server.url + "/x", 300)
        self.assertEqual((said["error"], said.get("status"), said.get("retry_after"), said.get("body")),
                         (0, 202, "60", "wait"), said)
        self.assertEqual(len(server.requests), 2)
        self.assertEqual((server.requests[1][":method"], server.requests[1]["content-length"]), ("POST", "300"))

    def test_an_endless_stream_ends(self):
        streams = []

        def react(h2, stream, _):
            h2.send_headers(stream, [(":status", "200")])
            streams.append(stream)

        def pump(h2, connection):
            """As much as the client lets come."""
            while streams and (room := min(h2.local_flow_control_window(streams[0]), 16000)) > 0:
                h2.send_data(streams[0], b"x" * room)
                connection.send(h2.data_to_send())
        server = self.session(react, pump)
        self.refused(self.client(server).get(server.url + "/"), EMSGSIZE, "too long")

    def test_a_stream_that_is_reset_is_no_answer(self):
        def react(h2, stream, _):
            h2.send_headers(stream, [(":status", "200"), ("content-length", "100")])
            h2.send_data(stream, b"short")
            h2.reset_stream(stream, 2)
        server = self.session(react)
        self.refused(self.client(server).get(server.url + "/"), ECONNRESET)

    def test_frames_that_are_none_are_no_answer(self):
        def handle(connection):
            connection.sock.recv(100)
            connection.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\xff" * 1000)
        server = self.rude(handle, alpn=["h2"])
        said = self.client(server).get(server.url + "/")
        self.assertIn(said["error"], (EPROTO, ECONNRESET), said)


if __name__ == "__main__":
    unittest.main()
