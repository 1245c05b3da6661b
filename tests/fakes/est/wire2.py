# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 on one connection, by python3-h2: the same operations and answers, one stream after the other."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset

from .operations import Query
from .wire import BODY_MAX, SLICE, BadRequest, Ended, headers_of


class Session:
    """One connection's streams."""

    def __init__(self, connection, operations):
        self.connection, self.operations = connection, operations
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.streams = {}           # headers and body of requests that have not ended
        self.total = 0

    def flush(self):
        self.connection.sock.sendall(self.h2.data_to_send())

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while self.turn():
            pass

    def receive(self):
        data = self.connection.sock.recv(SLICE)
        if not data:
            raise Ended
        self.total += len(data)
        events = self.h2.receive_data(data)
        self.flush()
        return events

    def turn(self):
        """What has come, answered; returns whether the connection goes on."""
        for event in self.receive():
            if isinstance(event, ConnectionTerminated):
                return False
            if isinstance(event, StreamReset):
                self.streams.pop(event.stream_id, None)
            elif isinstance(event, RequestReceived):
                self.streams[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, DataReceived):
                self.take(event)
            elif isinstance(event, StreamEnded) and event.stream_id in self.streams:
                if not self.answer(event.stream_id):
                    return False
        return True

    def take(self, event):
        body = self.streams[event.stream_id][1]
        if len(body) + len(event.data) > BODY_MAX:
            raise BadRequest("too long")
        body += event.data
        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    def answer(self, stream):
        headers, body = self.streams.pop(stream)
        headers["host"] = headers.get(":authority", "")
        query = Query(headers[":method"], headers[":path"], "HTTP/2", headers, bytes(body), self.connection)
        self.connection.requests += 1
        answer = self.connection.answer(self.operations, query)
        self.connection.torn = answer.raw is not None or answer.cut >= 0
        if answer.raw is not None:
            return False
        plain = [(name.lower(), value) for name, value in headers_of(answer, self.connection.config)]
        self.h2.send_headers(stream, [(":status", str(answer.status)), *plain], end_stream=not answer.body)
        self.flush()
        if not answer.body:
            return True
        whole = answer.cut < 0
        self.send(stream, answer.body if whole else answer.body[:answer.cut], whole, answer.drip)
        return whole

    def send(self, stream, body, end, drip):
        """The body in frames that the peer has room for; other requests have to wait."""
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, 1 if drip else SLICE)
            if room == 0:
                if any(isinstance(e, (ConnectionTerminated, StreamReset)) for e in self.receive()):
                    raise Ended
                continue
            part, body = body[:room], body[room:]
            self.h2.send_data(stream, part, end_stream=end and not body)
            self.flush()
            if drip:
                self.connection.wait(drip)


def serve(connection, operations):
    session = connection.reader = Session(connection, operations)
    session.run()


