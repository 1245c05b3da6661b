#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy with every fault of a bad line, commanded while it runs.

As a class, in a thread of the test's own process; as a program, with a command a line on standard input and `ok` or
`error` for each on standard output:

    fault_proxy.py [HOST:]PORT [HOST:]PORT        listen there (0: any, told as `port N`), go there

The directions are `up` (client to server), `down` and `both`. A command is in force when the call returns, for the
connections that there are and for those that come; offsets count from the beginning of a connection, for one that was there
already from the command. What has been swallowed or altered is gone: a TLS session does not survive it.

    pass_on                     as if it were not there; also ends each of the following
    stall [DIR]                 does not read: windows fill, and nobody is told
    swallow [DIR]               reads and forgets: a line that loses everything, half-open
    dribble [DIR] [RATE]        so many bytes a second, 1
    delay SECONDS [DIR]         each byte comes that much later
    corrupt N [DIR] [MASK]      the byte at offset N of one connection is altered (xor, 1)
    cut_after N [DIR] [HOW]     N bytes of one connection pass, then HOW: reset, close, stall, swallow, half_close
    reset                       RST to both ends of all connections
    close                       FIN to both ends of all connections
    half_close [DIR]            FIN that way; what still comes that way is forgotten, the other way goes on
    refuse                      no connection is made: the port answers RST. Those that there are go on
    accept_and_close [HOW]      a new connection is ended at once: close or reset

One thread; what it holds back is at most BUFFER bytes a direction, and 2 * BUFFER of the kernel's.
"""

import collections
import contextlib
import dataclasses
import select
import socket
import struct
import sys
import threading
import time

SLICE = 16 << 10
BUFFER = 64 << 10
KEPT_RECORDS = 10000
UP, DOWN = "up", "down"
ENDS = ("reset", "close")
MODES = ("pass", "stall", "swallow")
SILENT = 3600


@dataclasses.dataclass(frozen=True)
class Rule:
    """What happens to one direction of connections. cut_at and corrupt_at: for one connection, then never again."""

    mode: str = "pass"
    rate: float = 0             # bytes a second; 0: as they come
    delay: float = 0
    corrupt_at: int = -1
    mask: int = 1
    cut_at: int = -1
    then: str = "reset"


PASS = Rule()


@dataclasses.dataclass
class Record:
    """One connection, for tests to look at. Times are CLOCK_MONOTONIC; the counts are bytes that were passed on."""

    opened: float
    up: int = 0
    down: int = 0
    ended: float = 0
    how: str = ""


class Pipe:
    """One direction of one connection."""

    def __init__(self, connection, direction, source, sink, rule):
        self.connection, self.direction, self.source, self.sink = connection, direction, source, sink
        self.queue, self.size = collections.deque(), 0
        self.eof = self.shut = False
        self.next_send = 0
        self.obey(rule)

    def obey(self, rule):
        self.rule, self.offset, self.pending = rule, 0, ""

    def wants_input(self):
        return self.rule.mode != "stall" and not self.eof and not self.pending and self.size < BUFFER

    def due(self):
        """When there is something to send; None: not before something comes."""
        return max(self.queue[0][0], self.next_send) if self.queue else None

    def take(self, proxy, now):
        """Reads once. OSError: the connection is broken."""
        rule = self.rule
        # What is stalled stays with the kernel.
        data = self.source.recv(rule.cut_at - self.offset if rule.cut_at > 0 and rule.then == "stall" else SLICE)
        if not data:
            self.eof = True
            return
        if 0 <= rule.cut_at <= self.offset + len(data):
            data = data[:rule.cut_at - self.offset]
            self.pending = rule.then
            proxy.spent(self.direction, rule)
        if self.offset <= rule.corrupt_at < self.offset + len(data):
            at = rule.corrupt_at - self.offset
            data = data[:at] + bytes([data[at] ^ rule.mask]) + data[at + 1:]
            proxy.spent(self.direction, rule)
        self.offset += len(data)
        if rule.mode == "pass" and not self.shut and data:
            self.queue.append((now + rule.delay, data))
            self.size += len(data)

    def give(self, now):
        """Writes what is due, as far as it goes. OSError: the connection is broken."""
        while self.queue and self.due() <= now:
            due, data = self.queue.popleft()
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = self.sink.send(data[:1] if self.rule.rate else data)
            self.size -= sent
            record = self.connection.record
            setattr(record, self.direction, getattr(record, self.direction) + sent)
            if self.rule.rate:
                self.next_send = now + 1 / self.rule.rate
            if sent < len(data):
                self.queue.appendleft((due, data[sent:]))
            if not sent:
                return

    def shut_down(self):
        if not self.shut:
            self.shut = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)


class Connection:
    def __init__(self, client, server, rules):
        self.client, self.server, self.connecting = client, server, True
        self.record = Record(time.monotonic())
        self.pipes = {UP: Pipe(self, UP, client, server, rules[UP]), DOWN: Pipe(self, DOWN, server, client, rules[DOWN])}

    def end(self, how):
        for sock in (self.client, self.server):
            if how == "reset":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.record.ended, self.record.how = time.monotonic(), how


class FaultProxy:
    """Goes to @to, (host, port), which may be changed for connections to come. @host, @port: where it listens."""

    def __init__(self, to, host="127.0.0.1", port=0):
        self.to, self.host = to, host
        self.lock = threading.RLock()
        self.rules = {UP: PASS, DOWN: PASS}
        self.at_accept, self.listening, self.running = "", False, True
        self.connections = []
        self.records = collections.deque(maxlen=KEPT_RECORDS)
        self.port = port or self.free_port()
        self.listener = self.bind(self.port)
        self.listen(True)
        self.bell, self.bell_push = socket.socketpair()
        self.bell.setblocking(False)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # --- commands ----------------------------------------------------------------------------------------------------

    def pass_on(self):
        with self.commanding():
            self.at_accept = ""
            self.listen(True)
            self.order("both", PASS)

    def stall(self, direction="both"):
        self.rule(direction, mode="stall")

    def swallow(self, direction="both"):
        self.rule(direction, mode="swallow")

    def dribble(self, direction="both", rate=1):
        self.rule(direction, rate=rate)

    def delay(self, seconds, direction="both"):
        self.rule(direction, delay=seconds)

    def corrupt(self, offset, direction=DOWN, mask=1):
        assert offset >= 0 and 0 < mask < 256
        self.rule(direction, corrupt_at=offset, mask=mask)

    def cut_after(self, count, direction=UP, how="reset"):
        assert count > 0 and how in (*ENDS, *MODES[1:], "half_close")
        self.rule(direction, cut_at=count, then=how)

    def reset(self):
        self.end_all("reset")

    def close(self):
        self.end_all("close")

    def half_close(self, direction=DOWN):
        with self.commanding():
            for connection in self.connections:
                for pipe in self.chosen(connection, direction):
                    pipe.queue.clear()
                    pipe.size = 0
                    pipe.shut_down()

    def refuse(self):
        with self.commanding():
            self.listen(False)

    def accept_and_close(self, how="close"):
        assert how in ENDS
        with self.commanding():
            self.at_accept = how

    def count(self):
        """How many connections there are."""
        with self.lock:
            return len(self.connections)

    def end(self):
        """Ends the proxy, with all connections."""
        with self.commanding():
            self.running = False
        self.thread.join(20)
        for connection in self.connections:
            connection.end("reset")
        for sock in (self.listener, self.bell, self.bell_push):
            sock.close()

    # --- how commands are carried out --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def commanding(self):
        with self.lock:
            yield
        with contextlib.suppress(OSError):
            self.bell_push.send(b"!")

    @staticmethod
    def chosen(connection, direction):
        assert direction in (UP, DOWN, "both"), direction
        return [pipe for name, pipe in connection.pipes.items() if direction in (name, "both")]

    def rule(self, direction, **what):
        with self.commanding():
            self.order(direction, Rule(**what))

    def order(self, direction, rule):
        assert direction in (UP, DOWN, "both"), direction
        for name in self.rules:
            if direction in (name, "both"):
                self.rules[name] = rule
        for connection in self.connections:
            for pipe in self.chosen(connection, direction):
                pipe.obey(rule)

    def spent(self, direction, rule):
        """What happens once has happened: other connections are left alone."""
        if self.rules[direction] is rule:
            self.rules[direction] = PASS
        for connection in self.connections:
            pipe = connection.pipes[direction]
            if pipe.rule is rule and not pipe.pending:
                pipe.rule = PASS

    def end_all(self, how):
        with self.commanding():
            for connection in self.connections:
                connection.end(how)
            self.connections.clear()

    def bind(self, port):
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((self.host, port))
        return sock

    def free_port(self):
        with self.bind(0) as sock:
            return sock.getsockname()[1]

    def listen(self, wanted):
        """A socket that was bound to a port by its number keeps it without listening, and whoever calls is refused."""
        if self.listening and not wanted:
            self.listener.shutdown(socket.SHUT_RDWR)
        elif wanted and not self.listening:
            self.listener.listen(64)
        self.listening = wanted

    # --- the thread --------------------------------------------------------------------------------------------------

    def run(self):
        while True:
            with self.lock:
                if not self.running:
                    return
                poll, owners, wait = self.interests(time.monotonic())
            ready = poll.poll(min(wait, SILENT) * 1000)
            with self.lock:
                now = time.monotonic()
                for fd, events in ready:
                    self.react(owners[fd], events, now)
                for connection in list(self.connections):
                    self.advance(connection, now)

    def interests(self, now):
        """What to wait for: sockets of interest only, as the kernel also tells of errors that nobody asked for."""
        poll, owners, wait = select.poll(), {}, SILENT
        poll.register(self.bell, select.POLLIN)
        owners[self.bell.fileno()] = self.bell
        if self.listening:
            poll.register(self.listener, select.POLLIN)
            owners[self.listener.fileno()] = self.listener
        for connection in self.connections:
            events = collections.Counter()
            if connection.connecting:
                events[connection.server] |= select.POLLOUT
            for pipe in connection.pipes.values():
                if pipe.wants_input() and not connection.connecting:
                    events[pipe.source] |= select.POLLIN
                due = pipe.due()
                if due is not None and not connection.connecting:
                    if due <= now:
                        events[pipe.sink] |= select.POLLOUT
                    else:
                        wait = min(wait, due - now)
            for sock, wanted in events.items():
                poll.register(sock, wanted)
                owners[sock.fileno()] = (connection, sock)
        return poll, owners, wait

    def react(self, owner, events, now):
        if owner is self.bell:
            with contextlib.suppress(BlockingIOError):
                self.bell.recv(SLICE)
        elif isinstance(owner, socket.socket):
            if owner is self.listener and self.listening:
                self.accept()
        elif owner[0] in self.connections:
            connection, sock = owner
            if connection.connecting:
                self.connected(connection)
            elif events & ~select.POLLOUT:
                self.read(connection, sock, now)

    def accept(self):
        with contextlib.suppress(OSError):
            client, _ = self.listener.accept()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.at_accept:
                connection = Connection(client, socket.socket(), self.rules)
                self.records.append(connection.record)
                connection.end(self.at_accept)
                return
            server = socket.socket(socket.AF_INET6 if ":" in self.to[0] else socket.AF_INET)
            server.setblocking(False)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect_ex(self.to)
            self.connections.append(Connection(client, server, self.rules))
            self.records.append(self.connections[-1].record)

    def connected(self, connection):
        if connection.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.finish(connection, "reset")
        connection.connecting = False

    def read(self, connection, sock, now):
        for pipe in connection.pipes.values():
            if pipe.source is sock and pipe.wants_input():
                try:
                    pipe.take(self, now)
                except BlockingIOError:
                    pass
                except OSError:
                    # A line that loses everything loses that, too.
                    pipe.eof = True
                    if pipe.rule.mode != "swallow":
                        self.finish(connection, "reset")
                    return

    def advance(self, connection, now):
        """Sends what is due, and does what was to be done after it."""
        if connection.connecting or connection not in self.connections:
            return
        for pipe in connection.pipes.values():
            try:
                pipe.give(now)
            except OSError:
                self.finish(connection, "reset")
                return
            if pipe.pending and not pipe.queue:
                self.carry_out(connection, pipe)
                if connection not in self.connections:
                    return
            if pipe.eof and not pipe.queue and pipe.rule.mode != "swallow":
                pipe.shut_down()
        if all(pipe.shut and pipe.eof for pipe in connection.pipes.values()):
            self.finish(connection, "close")

    def carry_out(self, connection, pipe):
        how, pipe.pending = pipe.pending, ""
        if how in ENDS:
            self.finish(connection, how)
        elif how == "half_close":
            pipe.rule = PASS
            pipe.shut_down()
        else:
            pipe.rule = Rule(mode=how)

    def finish(self, connection, how):
        if connection in self.connections:
            self.connections.remove(connection)
            connection.end(how)


# --- as a program -----------------------------------------------------------------------------------------------------

COMMANDS = ("pass_on", "stall", "swallow", "dribble", "delay", "corrupt", "cut_after", "reset", "close", "half_close", "refuse",
            "accept_and_close")


def word(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def address(text):
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def main():
    host, port = address(sys.argv[1])
    proxy = FaultProxy(address(sys.argv[2]), host, port)
    print("port", proxy.port, flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            if name not in COMMANDS:
                raise ValueError(name)
            getattr(proxy, name)(*map(word, arguments))
            print("ok", flush=True)
        except (AssertionError, TypeError, ValueError) as error:
            print("error", type(error).__name__, error, flush=True)
    proxy.end()


if __name__ == "__main__":
    main()
