#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What of a session is seen on the wire and from outside the process: test_mqtt_wire.py PROBE [--full] [unittest arguments]

--full: every offset of a handshake is corrupted, and cut at; else a seeded sample of them.
"""

import concurrent.futures
import ctypes
import os
import random
import socket
import ssl
import subprocess
import sys
import time
import unittest

import netns_bench
from gateway_bench import FAKES, LIBC, die_with_parent, quiet_port, wait_for
from mqtt_bench import free_port, localhost, stop, weak_key
from test_mqtt_session import CLOSED, TCP, TLS_PEER, TLS_REFUSED, Bench
import test_mqtt_session

sys.path.insert(0, FAKES)
from fault_proxy import FaultProxy  # noqa: E402

FULL = "--full" in sys.argv and not sys.argv.remove("--full")
SEED = int(os.environ.get("TIDEGATE_SEED", "20201"))
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
TCP_USER_TIMEOUT = 18
O_CLOEXEC = 0o2000000
ALPN = "x-amzn-mqtt-ca"


class Handshakes(Bench):
    """Handshakes that are altered or cut at one place."""

    OFFSETS = 600
    SAMPLE = 14         # of each direction
    PROBES = 4

    def faults(self):
        """(direction, offset, what): each once for all offsets, or a sample."""
        chance = random.Random(SEED)
        print("seed", SEED, flush=True)
        for direction in ("up", "down"):
            offsets = range(self.OFFSETS) if FULL else sorted(chance.sample(range(self.OFFSETS), self.SAMPLE))
            for offset in offsets:
                yield direction, offset, "corrupt"
        for direction in ("up", "down"):
            for offset in chance.sample(range(1, 1200), 60 if FULL else 6):
                yield direction, offset, chance.choice(("reset", "close", "half_close", "stall"))

    def work(self, jobs):
        """Carries out @jobs one after the other with one probe: [(job, event)]."""
        proxy = FaultProxy(("127.0.0.1", self.broker.port), localhost())
        done = []
        try:
            with self.probe(port=proxy.port, timeout_ms=1500, id="probe-%d" % proxy.port) as p:
                for direction, offset, what in jobs:
                    proxy.pass_on()
                    if what == "corrupt":
                        proxy.corrupt(offset, direction, 1 << offset % 8)
                    else:
                        proxy.cut_after(offset, direction, what)
                    done.append(((direction, offset, what), p.ok("connect").event("CONNECTED", "CONNECT_FAILED")))
                    p.ok("free").ok("new")
                proxy.pass_on()
                self.assertEqual(p.ok("connect").event("CONNECTED", "CONNECT_FAILED").type, "CONNECTED")
                self.assertIn("stuck=0", p.say("counts"))
        finally:
            proxy.end()
        return done

    def test_one_altered_byte_or_an_end_anywhere_is_survived_with_a_reason(self):
        jobs = list(self.faults())
        with concurrent.futures.ThreadPoolExecutor(self.PROBES) as pool:
            ends = [e for part in pool.map(self.work, [jobs[i::self.PROBES] for i in range(self.PROBES)]) for e in part]
        self.assertEqual(len(ends), len(jobs))
        for job, e in ends:
            if e.type == "CONNECT_FAILED":
                self.assertIn(e.cause, (TCP, TLS_PEER, TLS_REFUSED, CLOSED), (job, e))
                self.assertRegex(e.text, r"^localhost:\d+: \S", (job, e))
        # Of a record's version nobody needs to take notice (RFC 8446, section 5.1); nor are all cuts within the handshake.
        passed = [job for job, e in ends if e.type == "CONNECTED" and job[2] == "corrupt"]
        self.assertLessEqual(len(passed), 12, passed)
        failed = sum(e.type == "CONNECT_FAILED" for _, e in ends)
        self.assertGreater(failed, len(jobs) / 2)
        print(f"{len(jobs)} handshakes: {failed} failed with a reason, {len(ends) - failed - len(passed)} were cut when they were "
              f"over, {len(passed)} altered where it does not matter: {passed}", flush=True)


class Alpn(Bench):
    """A port that wants to hear what it is for, as AWS IoT Core's 443 does."""

    def demanding(self, names, port=0):
        """openssl s_server, which ends a handshake that offers none of @names (RFC 7301, section 3.2)."""
        port = port or quiet_port()
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"{localhost() if ':' not in localhost() else '[::1]'}:{port}", "-cert", self.server,
             "-CAfile", self.ca.file, "-Verify", "2", "-quiet", "-alpn", names], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(server.stdin.close)
        self.addCleanup(stop, server)

        def listens():
            with socket.socket(socket.AF_INET6 if ":" in localhost() else socket.AF_INET) as s:
                return s.connect_ex((localhost(), port)) == 0
        wait_for("openssl", listens)
        return port

    def test_on_443_the_protocol_is_named(self):
        broker = self.hostile("nopuback-1", port=443, tweak=lambda c: c.set_alpn_protocols([ALPN]))
        with self.online(port=broker.port, alpn=ALPN) as p:
            self.assertEqual(broker.alpn, ALPN)
            self.assertEqual(p.ok("publish 1 t x").event().type, "PUBLISHED")

    def test_a_port_that_demands_it_is_told_in_words_when_it_is_not_what_we_say(self):
        port = self.demanding("http/1.1,h2", 443)
        self.assertCause(self.refusal(port, alpn=ALPN), TLS_REFUSED, "no application protocol", "alpn")
        self.assertCause(self.refusal(self.demanding("mqtt"), alpn=ALPN), TLS_REFUSED, "look at alpn in [mqtt]")
        # Heard, and then only silence: it does not speak MQTT.
        port = self.demanding(ALPN)
        self.assertCause(self.refusal(port, alpn=ALPN, timeout_ms=1500), TCP, "no answer to CONNECT")


class Outside(Bench):
    """The socket and the handshake of a process as others see them."""

    def socket_of(self, pid):
        """A duplicate of the one TCP socket of process @pid, and its flags there."""
        pidfd = LIBC.syscall(SYS_PIDFD_OPEN, pid, 0)
        self.assertGreaterEqual(pidfd, 0)
        self.addCleanup(os.close, pidfd)
        for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
            if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
                continue
            own = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
            self.assertGreaterEqual(own, 0, ctypes.get_errno())
            s = socket.socket(fileno=own)
            self.addCleanup(s.close)
            if s.family in (socket.AF_INET, socket.AF_INET6) and s.type == socket.SOCK_STREAM:
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as info:
                    flags = int(info.read().split("flags:")[1].split()[0], 8)
                return s, flags
        raise AssertionError("no TCP socket")

    def test_the_very_socket_has_its_options(self):
        with self.online(keep_alive_ms=20000) as p:
            s, flags = self.socket_of(p.process.pid)
            self.assertEqual(s.getpeername()[1], self.broker.port)
            self.assertEqual(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
            self.assertEqual(s.getsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT), 30000)
            self.assertEqual(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
            self.assertTrue(flags & O_CLOEXEC)

    def test_a_reset_is_told_apart_from_an_end_in_order(self):
        for how, reset in (("reset", 1), ("close", 0)):
            proxy = FaultProxy(("127.0.0.1", self.broker.port), localhost())
            try:
                with self.online(port=proxy.port) as p:
                    getattr(proxy, how)()
                    e = p.event("LOST")
                    self.assertEqual((e.peer, e.reset), (1, reset), e)
            finally:
                proxy.end()

    def test_a_lax_openssl_configuration_changes_nothing(self):
        conf = self.ca.write("lax.cnf", b"openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
                                        b"MinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\nVerifyMode = None\n")
        lax = {"environment": {"OPENSSL_CONF": conf}}

        def old(context):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

        def weak(context):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        self.assertCause(self.refusal(self.hostile("nopuback", tweak=old).port, **lax), TLS_REFUSED, "protocol version")
        server = self.ca.issue("weak.pem", "server", ["localhost"], server=True, key=weak_key())
        self.assertCause(self.refusal(self.hostile("nopuback", server, tweak=weak).port, **lax), TLS_PEER, "too weak a key")
        other = self.ca.issue("other.pem", "server", ["other.example"], server=True)
        self.assertCause(self.refusal(self.hostile("nopuback", other).port, **lax), TLS_PEER, "is not for the name")

    def test_the_end_of_a_dial_is_seen_at_once(self):
        # The library itself looks once a second whether the connection stands.
        for port, end in ((self.broker.port, "CONNECTED"), (free_port(), "CONNECT_FAILED")):
            took = []
            for _ in range(4):
                with self.probe(port=port) as p:
                    begun = time.monotonic()
                    self.assertEqual(p.ok("connect").event().type, end)
                    took.append(time.monotonic() - begun)
            # On a busy machine one is slow, but not all.
            self.assertLess(min(took), 0.7, took)


if __name__ == "__main__":
    test_mqtt_session.PROBE = sys.argv.pop(1)
    netns_bench.isolate()
    unittest.main(verbosity=2)
