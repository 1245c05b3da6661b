# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on one connection: requests as strictly as a good server reads them, answers as badly as they are ordered."""

import email.utils
import http
import time

from .operations import Query

HEAD_MAX = 64 << 10
BODY_MAX = 1 << 20
SLICE = 16 << 10


class BadRequest(Exception):
    """What came is not HTTP/1.1, or too much of it; answered with 400 and the end."""


class Ended(Exception):
    """The peer has closed, or it is time to."""


class Reader:
    """Lines and counted bytes of a connection; all that came is counted."""

    def __init__(self, sock):
        self.sock, self.buffer, self.total = sock, b"", 0

    def more(self):
        data = self.sock.recv(SLICE)
        if not data:
            raise Ended
        self.total += len(data)
        self.buffer += data

    def exactly(self, count):
        if count > BODY_MAX:
            raise BadRequest("too long")
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def head(self):
        """Request line and headers, without the empty line."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise BadRequest("too many headers")
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def chunks(self):
        body = b""
        while True:
            size = int(self.line().split(b";")[0], 16)
            if len(body) + size > BODY_MAX:
                raise BadRequest("too long")
            body += self.exactly(size)
            self.line()
            if size == 0:
                return body


def read_query(connection, reader):
    first, *rest = reader.head()
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest("no request line")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadRequest("no header")
        headers[name.lower()] = value.strip()
    if "host" not in headers:
        raise BadRequest("no Host")
    if "expect" in headers:
        expected(connection, headers["expect"])
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = reader.chunks()
    elif "content-length" in headers:
        body = reader.exactly(int(headers["content-length"]))
    return Query(words[0], words[1], words[2], headers, body, connection)


def expected(connection, what):
    """libest does not know of 100-continue: whoever waits for it waits in vain."""
    if connection.config.profile == "libest":
        raise BadRequest("Expect is not known here")
    if what.lower() == "100-continue":
        connection.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def date(config):
    """The value of Date, or None where there shall be none."""
    if config.date == "none":
        return None
    return email.utils.formatdate(time.time() + float(config.date or 0), usegmt=True)


def headers_of(answer, config):
    """Those of an answer but for what frames it."""
    found = [("Server", "est-stand-in")]
    when = date(config)
    if when is not None:
        found.append(("Date", when))
    if answer.type:
        found.append(("Content-Type", answer.type))
    return found + answer.headers


def send(connection, answer, close):
    """Sends an answer in the way that it is to be sent; returns whether another request may follow."""
    config, sock = connection.config, connection.sock
    connection.torn = answer.raw is not None or answer.cut >= 0
    if answer.raw is not None:
        sock.sendall(answer.raw)
        return False
    transfer = answer.transfer or config.transfer
    close = close or answer.close or transfer == "close" or answer.cut >= 0
    headers, body = headers_of(answer, config), answer.body
    if transfer == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
        body = chunked(body)
    elif transfer == "length" and answer.status != 204:
        headers.append(("Content-Length", str(len(body))))
    if close:
        headers.append(("Connection", "close"))
    phrase = http.HTTPStatus(answer.status).phrase if answer.status in set(http.HTTPStatus) else "Unknown"
    head = f"HTTP/1.1 {answer.status} {phrase}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
    sock.sendall(head.encode() + b"\r\n")
    if answer.status != 204:
        send_body(connection, body if answer.cut < 0 else body[:answer.cut], answer.drip)
    return not close


def chunked(body, size=100):
    parts = [body[i:i + size] for i in range(0, len(body), size)] + [b""]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts)


def send_body(connection, body, drip):
    if not drip:
        connection.sock.sendall(body)
        return
    for byte in body:
        connection.sock.sendall(bytes([byte]))
        connection.wait(drip)


def serve(connection, operations):
    """Requests of one connection until it ends."""
    reader = connection.reader = Reader(connection.sock)
    going = True
    while going:
        try:
            query = read_query(connection, reader)
        except (BadRequest, ValueError) as error:
            connection.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.log("refused", stage="http", reason=str(error), connection=connection.number)
            return
        connection.requests += 1
        answer = connection.answer(operations, query)
        close = connection.config.connection_close or query.headers.get("connection", "").lower() == "close"
        going = send(connection, answer, close)
