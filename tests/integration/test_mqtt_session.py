#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""lib/mqtt against mosquitto and against hostile brokers: test_mqtt_session.py PROBE [unittest arguments]"""

import os
import random
import socket
import ssl
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "fakes")]

from hostile_broker import HostileBroker  # noqa: E402
from mqtt_bench import DAY, Authority, Mosquitto, Probe, free_port, localhost, now, weak_key  # noqa: E402

PROBE = None
NONE, DNS, TCP, TLS_PEER, TLS_REFUSED, TPM, REFUSED, CLOSED, LOCAL = range(9)
CERT_NOT_YET_VALID, CERT_HAS_EXPIRED, HOSTNAME_MISMATCH = 9, 10, 62


class Bench(unittest.TestCase):
    """One CA, one broker and one client certificate for all tests of a class."""

    extra = ""

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="tidegate-mqtt-")
        cls.ca = Authority(cls.temp.name)
        cls.server = cls.ca.issue("server.pem", "server", ["localhost", "127.0.0.1"], server=True)
        cls.device = cls.ca.issue("device.pem", "device-1")
        cls.broker = Mosquitto(cls.temp.name, cls.ca.file, cls.server, cls.extra)

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        cls.temp.cleanup()

    def probe(self, environment=None, wrap=(), **options):
        o = {"port": self.broker.port, "ca": self.ca.file, "bundle": self.device, "id": "probe-1"}
        o.update(options)
        return Probe(PROBE, environment, wrap, **o)

    def online(self, **options):
        p = self.probe(**options)
        self.assertEqual(p.ok("connect").event().type, "CONNECTED")
        return p

    def hostile(self, mode, certificate=None, **options):
        broker = HostileBroker(mode, certificate or self.server, self.ca.file, **{"bind": localhost(), **options})
        self.addCleanup(broker.stop)
        return broker

    def refusal(self, port=None, seconds=40, **options):
        """The CONNECT_FAILED that an attempt ends in."""
        with self.probe(port=port or self.broker.port, **options) as p:
            e = p.ok("connect").event(seconds=seconds)
            self.assertEqual(e.type, "CONNECT_FAILED", e)
            return e

    def assertCause(self, e, cause, *words):
        self.assertEqual(e.cause, cause, e)
        for word in words:
            self.assertIn(word, e.text)


class Session(Bench):
    def test_a_published_message_is_acknowledged_and_comes_back_to_a_subscriber(self):
        with self.online() as p:
            e = p.ok("subscribe tg/+/a").event()
            self.assertEqual((e.type, e.granted), ("SUBSCRIBED", 1), e)
            p.ok("publish 77 tg/1/a hello")
            seen = {e.type: e for e in (p.event(), p.event())}
            self.assertEqual(seen["PUBLISHED"].cookie, 77)
            self.assertIn("topic=tg/1/a len=5 payload=hello", seen["MESSAGE"].line)

    def test_the_largest_message_passes_both_ways(self):
        with self.online() as p:
            p.ok("subscribe tg/large").event()
            p.ok("fill 1 tg/large 262144")
            seen = {e.type: e for e in (p.event(), p.event())}
            self.assertIn("len=262144", seen["MESSAGE"].line)
            self.assertTrue(p.say("fill 2 tg/large 262145").startswith("-90 "))

    def test_a_dropped_session_leaves_its_will_and_an_orderly_one_does_not(self):
        with self.online(id="watcher") as w:
            w.ok("subscribe will/#").event()
            p = self.online(id="leaver", will="will/leaver")
            self.assertEqual(p.ok("disconnect 1000").event().type, "DISCONNECTED")
            p.quit()
            self.assertTrue(self.broker.wait_log(r"Received DISCONNECT from leaver"))
            p = self.online(id="dropper", will="will/dropper")
            p.ok("free")
            e = w.event("MESSAGE")
            self.assertIn("topic=will/dropper len=4 payload=gone", e.line)
            p.quit()

    def test_a_disconnect_first_delivers_what_is_queued(self):
        with self.online() as p:
            for i in range(8):
                p.ok("publish %d tg/queue x" % i)
            p.ok("disconnect 5000")
            events = [p.event() for _ in range(9)]
            self.assertEqual([e.cookie for e in events[:8]], list(range(8)))
            self.assertEqual([e.type for e in events], ["PUBLISHED"] * 8 + ["DISCONNECTED"])
            self.assertTrue(p.say("publish 9 tg/queue x").startswith("-107 "))

    def test_a_broker_that_ends_is_told_as_lost(self):
        broker = Mosquitto(self.temp.name, self.ca.file, self.server)
        with self.online(port=broker.port) as p:
            broker.stop()
            self.assertEqual(p.event().type, "LOST")
            self.assertTrue(p.say("publish 1 t x").startswith("-107 "))

    def test_topics_that_a_broker_would_hang_up_on_are_refused_here(self):
        with self.online() as p:
            for topic in ("a/+", "#", "x" * 513):
                self.assertTrue(p.say("publish 1 %s x" % topic).startswith("-22 "))

    def test_mqtt_5_is_refused_with_the_reason(self):
        with_error = self.probe(version=5)
        self.assertTrue(with_error.ready.startswith("-95 "))
        self.assertIn("1.3.14", with_error.ready)
        self.assertEqual(with_error.quit(), 1)

    def test_a_session_connects_once(self):
        with self.online() as p:
            self.assertTrue(p.say("connect").startswith("-114 "))

    def test_a_claim_has_certificate_and_key_in_files_of_their_own(self):
        with open(self.device, "rb") as source:
            pem = source.read()
        at = pem.index(b"-----BEGIN PRIVATE KEY")
        chain, key = self.ca.write("claim.crt", pem[:at]), self.ca.write("claim.key", pem[at:])
        with Probe(PROBE, port=self.broker.port, ca=self.ca.file, chain=chain, key=key, id="claim") as p:
            self.assertEqual(p.ok("connect").event().type, "CONNECTED")

    def test_proxies_of_the_environment_are_not_obeyed(self):
        proxy = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1",
                 "PAHO_C_CLIENT_USE_HTTP_PROXY": "TRUE"}
        with self.online(environment=proxy):
            pass

    def test_many_sessions_leave_no_descriptor_behind(self):
        with self.online() as p:
            p.ok("free")
            before = p.say("fds")
            for _ in range(12):
                p.ok("new").ok("connect")
                self.assertEqual(p.event().type, "CONNECTED")
                p.ok("free")
            self.assertEqual(p.say("fds"), before)
            self.assertIn("stuck=0", p.say("counts"))

    def test_failed_sessions_leave_no_descriptor_behind(self):
        with self.probe(port=free_port()) as p:
            p.ok("connect").event("CONNECT_FAILED")
            p.ok("free")
            before = p.say("fds")
            for _ in range(5):
                p.ok("new").ok("connect").event("CONNECT_FAILED")
                p.ok("free")
            self.assertEqual(p.say("fds"), before)


class Limits(Bench):
    def test_no_more_publishes_are_under_way_than_allowed(self):
        broker = self.hostile("nopuback")
        with self.online(port=broker.port, in_flight=2) as p:
            p.ok("publish 1 t a").ok("publish 2 t b")
            self.assertTrue(p.say("publish 3 t c").startswith("-11 "))
            broker.stop()
            events = [p.event(), p.event(), p.event()]
            self.assertEqual(sorted((e.type, e.cookie) for e in events),
                             [("LOST", 0), ("PUBLISH_FAILED", 1), ("PUBLISH_FAILED", 2)])

    def test_a_message_that_is_too_large_is_dropped_and_told(self):
        broker = self.hostile("big-300000")
        with self.online(port=broker.port) as p:
            p.ok("subscribe #")
            e = p.event("MESSAGE_DROPPED")
            self.assertEqual(e.code, 1)
            self.assertIn("larger than 256 KiB", e.text)
            self.assertIn("topic=small", p.event("MESSAGE").line)

    def hears(self, mode, *words):
        """The probe under that broker, and what ended the session."""
        broker = self.hostile(mode)
        with self.online(port=broker.port) as p:
            e = p.ok("subscribe #").event("LOST")
            for word in words:
                self.assertIn(word, e.text)
            self.assertTrue(p.say("publish 1 t x").startswith("-107 "))

    def test_a_message_of_256_mib_takes_no_room_and_the_session_lives(self):
        for mode, bound in (("big-%d" % ((1 << 20) - 5), 8192), ("huge-2500000", 8192), ("huge-268435455", 8192)):
            broker = self.hostile(mode)
            with self.subTest(mode), self.online(port=broker.port) as p:
                before = p.memory()
                self.assertIn("larger than 256 KiB", p.ok("subscribe #").event("MESSAGE_DROPPED").text)
                # What comes behind the rest of it, which nobody keeps, arrives.
                self.assertIn("topic=small", p.event("MESSAGE").line)
                p.ok("publish 5 t x")
                self.assertEqual(p.event("PUBLISHED").cookie, 5)
                self.assertLess(p.memory("VmHWM") - before, bound, "KiB more than before")

    def test_what_no_broker_sends_ends_the_session_with_words(self):
        self.hears("endless", "a packet's length has no end")
        self.hears("strange-192", "no broker's packet begins with 0xc0")
        self.hears("strange-64", "PUBACK of 0 bytes")
        self.hears("strange-32", "CONNACK")
        e = self.refusal(self.hostile("early").port)
        self.assertCause(e, CLOSED, "CONNACK is not its first packet")

    def test_a_flood_is_delivered_or_counted_and_the_session_lives(self):
        broker = self.hostile("flood-5000")
        with self.online(port=broker.port) as p:
            p.ok("subscribe #")
            p.event("SUBSCRIBED")
            time.sleep(1)
            p.ok("publish 5 t x")
            self.assertEqual(p.event("PUBLISHED").cookie, 5)

    def test_a_refused_subscription_is_told(self):
        broker = self.hostile("suback-128")
        with self.online(port=broker.port) as p:
            e = p.ok("subscribe secret/#").event()
            self.assertEqual((e.type, e.granted, e.code), ("SUBSCRIBED", 0, 128), e)
            self.assertIn("refused the subscription", e.text)

    def test_acknowledgements_of_messages_that_we_did_not_send_mean_nothing(self):
        broker = self.hostile("stranger")
        with self.online(port=broker.port) as p:
            for i in range(5):
                p.ok("publish %d t x" % i)
                e = p.event()
                self.assertEqual((e.type, e.cookie), ("PUBLISHED", i), e)


    def test_a_library_that_does_not_come_back_is_left_behind_and_counted(self):
        with self.online() as p:
            p.ok("stall 18000").ok("publish 1 t x")
            deadline = time.monotonic() + 20
            while p.say("stalls") == "0" and time.monotonic() < deadline:
                time.sleep(0.1)
            begun = time.monotonic()
            p.ok("free")
            self.assertLess(time.monotonic() - begun, 17.5)
            self.assertIn("stuck=1", p.say("counts"))
            self.assertTrue(p.say("new").startswith("-16 "))
            deadline = time.monotonic() + 20
            while "stuck=0" not in p.say("counts") and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertEqual(p.ok("new").ok("connect").event("CONNECTED", "CONNECT_FAILED").type, "CONNECTED")


class Peer(Bench):
    """Whom we take for the broker."""

    def judged(self, certificate, host="localhost", tweak=None, **options):
        broker = self.hostile("nopuback", certificate, tweak=tweak, bind=localhost() if host == "localhost" else host)
        e = self.refusal(broker.port, host=host, **options)
        # Not a byte of MQTT, and neither our certificate: the handshake did not end.
        self.assertEqual((broker.bytes_seen, broker.handshakes), (0, 0), e)
        return e

    def issue(self, file, sans=("localhost", ), server=True, cn="server", **options):
        return self.ca.issue(file, cn, sans, server, **options)

    def test_a_certificate_for_another_name_is_refused(self):
        e = self.judged(self.issue("other.pem", ["other.example"]))
        self.assertCause(e, TLS_PEER, "localhost:", "the broker's certificate (other.example) is not for the name localhost")
        self.assertEqual(e.code, HOSTNAME_MISMATCH)

    def test_the_common_name_does_not_stand_in_for_an_alternative_name(self):
        self.assertCause(self.judged(self.issue("cn.pem", (), cn="localhost")), TLS_PEER, "has no alternative names")

    def test_an_address_must_be_an_alternative_address(self):
        self.assertCause(self.judged(self.issue("dns-ip.pem", ["localhost"]), host="127.0.0.1"), TLS_PEER)
        with self.online(host="127.0.0.1"):
            pass

    def test_an_address_of_ipv6_is_one_too(self):
        broker = self.hostile("nopuback", self.issue("six.pem", ["::1"]), bind="::1")
        with self.online(port=broker.port, host="::1") as p:
            p.ok("publish 1 t x")
        with self.online(port=broker.port, host="0:0::1"):
            pass
        other = self.hostile("nopuback", self.issue("other-six.pem", ["::2", "localhost"], cn="::1"), bind="::1")
        e = self.refusal(other.port, host="::1")
        self.assertCause(e, TLS_PEER, "[::1]:%d: " % other.port, "(::2, localhost) is not for the address ::1")
        self.assertEqual((other.bytes_seen, other.handshakes), (0, 0), e)
        for host in ("localhost:1", "::1:", "[::1]"):
            p = self.probe(host=host)
            self.assertIn("-22 %s: neither a host name nor an address" % host, p.ready)
            p.quit()

    def test_names_are_sent_as_server_names_and_addresses_are_not(self):
        for host in ("localhost", "127.0.0.1"):
            broker = self.hostile("nopuback", self.issue("both.pem", ["localhost", "127.0.0.1"]),
                                  bind=localhost() if host == "localhost" else host)
            with self.online(port=broker.port, host=host):
                self.assertEqual(broker.asked_for, ["localhost"] if host == "localhost" else [None])

    def test_a_wildcard_inside_a_label_matches_nothing(self):
        self.assertCause(self.judged(self.issue("wild.pem", ["local*"])), TLS_PEER)

    def test_an_unknown_ca_is_refused(self):
        other = Authority(self.temp.name, "other CA").issue("foreign.pem", "server", ["localhost"], server=True)
        self.assertCause(self.judged(other), TLS_PEER, "an authority that was not sent along and is not in ca (CN=other CA)")

    def test_an_expired_certificate_is_refused(self):
        e = self.judged(self.issue("expired.pem", begin=now() - 9 * DAY, end=now() - 2 * DAY))
        self.assertCause(e, TLS_PEER, "has expired")
        self.assertEqual((e.code, e.notbefore), (CERT_HAS_EXPIRED, 0))

    def test_a_certificate_of_the_future_is_taken_and_proves_the_time(self):
        broker = self.hostile("nopuback", self.issue("early.pem", begin=now() + 3 * DAY, end=now() + 9 * DAY))
        with self.probe(port=broker.port) as p:
            e = p.ok("connect").event()
            self.assertEqual(e.type, "CONNECTED", e)
            self.assertAlmostEqual(e.notbefore, time.time() + 3 * 86400, delta=120)

    def test_a_certificate_of_the_future_is_refused_where_the_clock_is_right(self):
        e = self.judged(self.issue("ahead.pem", begin=now() + 3 * DAY, end=now() + 9 * DAY), future_s=86400)
        self.assertCause(e, TLS_PEER, "is not valid yet")
        self.assertEqual((e.code, e.notbefore), (CERT_NOT_YET_VALID, 0))
        # Clocks of authorities differ: that is told from a fault, and proves nothing.
        broker = self.hostile("nopuback", self.issue("hour.pem", begin=now() + DAY / 24, end=now() + 9 * DAY))
        with self.probe(port=broker.port, future_s=86400) as p:
            e = p.ok("connect").event()
            self.assertEqual((e.type, e.notbefore), ("CONNECTED", 0), e)

    def test_a_certificate_of_the_future_that_its_authority_does_not_see_is_refused(self):
        # The authority ends before: there is no time at which the whole chain is good.
        e = self.judged(self.issue("never.pem", begin=now() + 500 * DAY, end=now() + 501 * DAY))
        self.assertCause(e, TLS_PEER, "has expired")
        self.assertEqual((e.code, e.notbefore), (CERT_HAS_EXPIRED, 0))

    def test_a_certificate_of_the_future_for_another_name_proves_no_time(self):
        e = self.judged(self.issue("early-other.pem", ["other.example"], begin=now() + DAY, end=now() + 9 * DAY))
        self.assertEqual((e.cause, e.code, e.notbefore), (TLS_PEER, HOSTNAME_MISMATCH, 0), e)

    def test_the_time_that_is_given_counts_where_the_clock_is_behind(self):
        floor = int(time.time()) + 5 * 86400
        broker = self.hostile("nopuback", self.issue("floor.pem", begin=now() + 3 * DAY, end=now() + 9 * DAY))
        with self.online(port=broker.port, verify_at=floor):
            pass
        e = self.judged(self.issue("short.pem", end=now() + DAY), verify_at=floor)
        self.assertCause(e, TLS_PEER, "has expired")

    def test_the_time_that_is_given_counts_where_the_clock_is_far_ahead(self):
        broker = self.hostile("nopuback", self.issue("past.pem", begin=now() - 9 * DAY, end=now() - 2 * DAY))
        with self.online(port=broker.port, verify_at=int(time.time()) - 5 * 86400):
            pass

    def test_a_certificate_for_clients_is_no_server_certificate(self):
        self.assertCause(self.judged(self.issue("client.pem", server=False)), TLS_PEER, "is not meant for TLS servers")

    def test_a_1024_bit_rsa_key_is_refused(self):
        # The server's own OpenSSL refuses such a key, too, unless it is told not to.
        def weaken(context):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        self.assertCause(self.judged(self.issue("weak.pem", key=weak_key()), tweak=weaken), TLS_PEER, "too weak a key (RSA, 1024 bits)")

    def test_tls_1_1_is_refused(self):
        def old(context):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        e = self.judged(self.server, tweak=old)
        self.assertCause(e, TLS_REFUSED, "protocol version")

    def test_tls_1_2_is_good_enough_with_aead_only(self):
        def modern(context):
            context.maximum_version = ssl.TLSVersion.TLSv1_2

        def cbc(context):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
        with self.online(port=self.hostile("nopuback", tweak=modern).port):
            pass
        self.assertCause(self.judged(self.server, tweak=cbc), TLS_REFUSED, "handshake failure")

    def test_alpn_is_sent_when_asked_for(self):
        broker = self.hostile("nopuback", tweak=lambda c: c.set_alpn_protocols(["x-amzn-mqtt-ca"]))
        with self.online(port=broker.port, alpn="x-amzn-mqtt-ca"):
            self.assertEqual(broker.alpn, "x-amzn-mqtt-ca")


class Refused(Bench):
    """What a broker makes of us, and how it is told."""

    def test_a_client_of_an_unknown_ca_is_told_the_brokers_words(self):
        stranger = Authority(self.temp.name, "stranger CA").issue("stranger.pem", "stranger")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            def only(context, version=version):
                context.minimum_version = context.maximum_version = version
            broker = self.hostile("nopuback", tweak=only)
            e = self.refusal(broker.port, bundle=stranger)
            self.assertCause(e, TLS_REFUSED, "refused our certificate: unknown CA (TLS alert 48)")

    def test_mosquitto_refuses_an_unknown_client(self):
        stranger = Authority(self.temp.name, "stranger CA").issue("stranger.pem", "stranger")
        e = self.refusal(bundle=stranger)
        self.assertCause(e, TLS_REFUSED, "unknown CA")

    def test_an_expired_client_certificate_is_named(self):
        old = self.ca.issue("old.pem", "old", begin=now() - 9 * DAY, end=now() - DAY)
        self.assertCause(self.refusal(bundle=old), TLS_REFUSED, "certificate expired")

    def test_a_revoked_client_certificate_is_named(self):
        revoked = self.ca.issue("revoked.pem", "revoked")
        crl = self.ca.revoke("crl.pem", revoked)
        broker = Mosquitto(self.temp.name, self.ca.file, self.server, "crlfile " + crl)
        try:
            self.assertCause(self.refusal(broker.port, bundle=revoked), TLS_REFUSED, "certificate revoked")
        finally:
            broker.stop()

    def test_each_connack_code_is_told(self):
        for code, words in ((1, "MQTT 3.1.1"), (2, "client id"), (3, "not available"), (4, "user name"),
                            (5, "not authorised"), (77, "does not know")):
            e = self.refusal(self.hostile("connack-%d" % code).port)
            self.assertCause(e, REFUSED, "CONNACK %d" % code, words)
            self.assertEqual(e.code, code)

    def test_a_broker_that_closes_before_connack_is_told_apart(self):
        self.assertCause(self.refusal(self.hostile("close-tls").port), CLOSED, "before CONNACK")

    def test_a_broker_that_closes_in_the_handshake_is_told_apart(self):
        self.assertCause(self.refusal(self.hostile("close-tcp").port), TLS_REFUSED, "in the TLS handshake")

    def test_a_peer_that_does_not_speak_tls_is_told(self):
        self.assertCause(self.refusal(self.hostile("plain").port), TLS_PEER, "does not speak TLS")

    def test_silence_ends_in_time_at_each_stage(self):
        begun = time.monotonic()
        e = self.refusal(self.hostile("silent-tcp").port, timeout_ms=2000)
        self.assertCause(e, TCP, "no answer to the TLS handshake")
        e = self.refusal(self.hostile("silent-tls").port, timeout_ms=2000)
        self.assertCause(e, TCP, "no answer to CONNECT")
        self.assertLess(time.monotonic() - begun, 30)

    def test_a_closed_port_is_told_with_the_systems_words(self):
        self.assertCause(self.refusal(free_port()), TCP, "Connection refused", f"({localhost()})")

    def test_a_listener_that_never_accepts_ends_in_time(self):
        family = socket.AF_INET6 if ":" in localhost() else socket.AF_INET
        with socket.socket(family) as deaf:
            deaf.bind((localhost(), 0))
            deaf.listen(0)
            queue = [socket.socket(family) for _ in range(3)]
            for s in queue:
                s.setblocking(False)
                s.connect_ex(deaf.getsockname())
            self.assertCause(self.refusal(deaf.getsockname()[1], timeout_ms=2000), TCP, "no answer")
            for s in queue:
                s.close()

    def test_garbage_ends_the_session_and_nothing_else(self):
        e = self.refusal(self.hostile("garbage").port, timeout_ms=2000)
        self.assertIn(e.cause, (REFUSED, CLOSED, TCP), e)
        broker = self.hostile("garbage-later")
        with self.online(port=broker.port) as p:
            self.assertEqual(p.event().type, "LOST")
        broker = self.hostile("close-connack")
        with self.online(port=broker.port) as p:
            self.assertEqual(p.event().type, "LOST")


class Local(Bench):
    """What is wrong on our side of the wire."""

    def test_a_missing_file_is_named(self):
        for key in ("ca", "bundle"):
            path = os.path.join(self.temp.name, "none.pem")
            self.assertCause(self.refusal(**{key: path}), LOCAL, path, "No such file")

    def test_a_file_of_rubbish_is_named(self):
        path = self.ca.write("rubbish.pem", random.Random(1).randbytes(500))
        for key in ("ca", "bundle"):
            self.assertCause(self.refusal(**{key: path}), LOCAL, path)

    def test_a_key_of_another_certificate_is_refused(self):
        with open(self.device, "rb") as a, open(self.server, "rb") as b:
            mine, other = a.read(), b.read()
        begin = b"-----BEGIN PRIVATE KEY"
        path = self.ca.write("mixed.pem", mine[:mine.index(begin)] + other[other.index(begin):])
        self.assertCause(self.refusal(bundle=path), LOCAL, path, "key values mismatch")

    def test_a_name_that_does_not_exist_is_told(self):
        e = self.refusal(host="nowhere.invalid", timeout_ms=20000)
        self.assertCause(e, DNS, "nowhere.invalid")

    def test_a_name_server_that_is_silent_holds_nobody_up(self):
        address = "127.%d.%d.%d" % tuple(random.SystemRandom().randrange(1, 255) for _ in range(3))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind((address, 53))
            resolv = self.ca.write("resolv.conf", b"nameserver %s\noptions timeout:9 attempts:3\n" % address.encode())
            wrap = ("unshare", "-m", "--propagation", "private", "sh", "-c",
                    'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv)
            begun = time.monotonic()
            with self.probe(host="slow.example", timeout_ms=700, wrap=wrap) as p:
                for _ in range(4):
                    self.assertCause(p.ok("connect").event(), DNS, "no answer from DNS in time")
                    p.ok("free").ok("new")
                self.assertCause(p.ok("connect").event(), DNS, "earlier look-ups")
            self.assertLess(time.monotonic() - begun, 25)


class Overrides(Bench):
    def test_each_is_reached_from_paho(self):
        with self.online() as p:
            self.assertEqual(p.say("sockopt"), "nodelay=1 user_timeout=45000 keepalive=1")
            self.assertEqual(p.say("counts"), "connect=1 getaddrinfo=1 getsockopt=1 ssl_ctx_new=1 ssl_read=yes ssl_write=yes stuck=0")

    def test_callers_other_than_paho_get_the_originals(self):
        with self.online() as p:
            before = p.say("counts")
            self.assertEqual(p.say("outside"), "connected=0 nodelay=0 gai=0 verify=0 tickets=1")
            self.assertEqual(p.say("counts"), before)


if __name__ == "__main__":
    PROBE = sys.argv.pop(1)
    unittest.main(verbosity=2)
