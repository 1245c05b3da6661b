#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Devices on a local broker: a real mosquitto on loopback."""

import json
import os
import re
import socket
import subprocess
import threading
import time
import time

from bus_bench import BUILD, BusScenario, main, wait_for
from gateway_bench import Process, quiet_port
from mqtt_bench import Authority


class LocalBroker:
    """mosquitto with a password, on 127.0.0.1 alone, so that localhost is ::1 first and nobody there; maybe with TLS."""

    def __init__(self, directory, server=None):
        self.dir, self.port, self.ca = directory, quiet_port(), None
        self.log = directory + "/mosquitto.log"
        self.password = directory + "/password"
        with open(self.password, "w", encoding="ascii") as out:
            out.write("s3cret\n")
        os.chmod(self.password, 0o600)
        subprocess.run(["mosquitto_passwd", "-b", "-c", directory + "/users", "gw", "s3cret"], check=True)
        tls = f"certfile {server}\nkeyfile {server}\n" if server else ""
        with open(directory + "/mosquitto.conf", "w", encoding="ascii") as out:
            out.write(f"listener {self.port} 127.0.0.1\n{tls}allow_anonymous false\npassword_file {directory}/users\n"
                      f"log_type all\nlog_dest file {self.log}\nuser root\nset_tcp_nodelay true\n")
        self.process = None
        self.start()

    def start(self):
        self.process = Process(self.dir + "/mosquitto.output", "/usr/sbin/mosquitto", "-c", self.dir + "/mosquitto.conf")
        wait_for("mosquitto", self.listens)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def say(self, topic, payload, *options):
        extra = ["--cafile", self.ca] if self.ca else []
        subprocess.run(["mosquitto_pub", "-h", "localhost" if self.ca else "127.0.0.1", "-p", str(self.port), "-u", "gw",
                        "-P", "s3cret", "-t", topic, "-s" if payload else "-n", *options, *extra], check=True, timeout=30,
                       input=payload if isinstance(payload, bytes) else payload.encode())

    def kill(self):
        self.process.kill()

    def end(self):
        self.process.kill()


class Liar:
    """A broker that accepts anybody, answers SUBSCRIBE, and then sends these bytes."""

    def __init__(self, rubbish):
        self.rubbish, self.sessions = rubbish, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            with peer:
                self.sessions += 1
                peer.settimeout(20)
                try:
                    peer.recv(4096)
                    peer.sendall(b"\x20\x02\x00\x00")
                    peer.recv(4096)
                    self.rubbish(peer)
                except OSError:
                    pass

    def end(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(30)


def memory_peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) // 1024


class Mqtt(BusScenario):
    def good(self, point, value):
        samples = self.watcher.values(point)
        return samples and samples[-1] == value

    def add_local(self, broker, **keys):
        self.add_bus("home", "mqtt", host="localhost", port=str(broker.port), username="gw",
                     password_file=broker.password, **keys)
        self.add_device("kitchen", "home", {"temp": {"read": "/temperature", "unit": "Cel"}, "open": "/contact bool",
                                            "lamp": "/lamp/0/state on=ON off=OFF"}, topic="zigbee2mqtt/Kitchen 1",
                        gather="50ms", backoff="200ms")
        self.add_device("plain", "home", {"power": {"read": "payload", "unit": "W"},
                                          "who": "topic:2 topic=esp/+/state", "mode": "payload text topic=esp/+/mode"},
                        topic="esp/+/power", retained="accept", gather="50ms", backoff="200ms")

    def error(self, device):
        return self.device(device)["error"] or ""

    def begin(self):
        self.start()
        self.watcher = self.watch()

    def wait_up(self, broker, sessions=1):
        """Until the agent has subscribed, so that what is said from now on is heard."""
        self.wait("subscriptions", lambda: open(broker.log, encoding="utf-8").read().count("Sending SUBACK") >= 4 * sessions)

    def say_until(self, broker, topic, payload, done):
        def turn():
            broker.say(topic, payload)
            return done()
        return self.wait(f"{payload[:60]} to arrive", turn)

    def test_values_retained_big_and_hostile_and_a_broker_that_comes_back(self):
        broker = self.part(LocalBroker(self.dir))
        broker.say("zigbee2mqtt/Kitchen 1", '{"temperature": 99}', "-r")
        broker.say("esp/oven/power", "1500 W", "-r")
        self.add_local(broker, max_payload="4K")
        self.begin()
        self.wait_up(broker)
        self.wait("what was retained", lambda: self.device("plain")["heard"] >= 1)
        self.assertEqual(self.device("kitchen")["heard"], 0, "what was retained is ignored")
        broker.say("zigbee2mqtt/Kitchen 1", json.dumps({"temperature": 21.5, "contact": False, "lamp": [{"state": "ON"}]}))
        self.wait("the document", lambda: self.good("kitchen/temp", 21.5))
        self.assertEqual(self.watcher.values("kitchen/temp"), [21.5])
        self.assertTrue(self.good("kitchen/open", False) and self.good("kitchen/lamp", True))
        broker.say("esp/oven/state", "x")
        broker.say("esp/oven/mode", "eco\x07")
        self.wait("levels and texts", lambda: self.good("plain/who", "oven") and self.good("plain/mode", "eco?"))

        # Hostile: each is bad or nothing, and the next good one arrives.
        for payload, why in ((b"{", "not JSON"), (b"[" * 3000, "nested"), (b"\xff\x00", "not JSON"), (b"", "not JSON"),
                             (b'{"temperature": {}}', "an object"), (b"x" * 5000, "longer than max-payload")):
            broker.say("zigbee2mqtt/Kitchen 1", payload)
            self.wait(why, lambda: why in self.watcher.samples("kitchen/temp")[-1].get("reason", ""))
        count = len(self.watcher.samples("kitchen/temp"))
        broker.say("zigbee2mqtt/Kitchen 1", '{"humidity": 40}')
        self.say_until(broker, "zigbee2mqtt/Kitchen 1", '{"temperature": 22}', lambda: self.good("kitchen/temp", 22))
        self.assertGreater(len(self.watcher.samples("kitchen/temp")), count)

        broker.kill()
        self.wait_health("kitchen", "dead")
        broker.start()
        self.wait_up(broker, 2)
        self.say_until(broker, "zigbee2mqtt/Kitchen 1", '{"temperature": 23}', lambda: self.good("kitchen/temp", 23))
        self.wait_health("kitchen", "ok")

    def test_a_wrong_password_is_told_in_words(self):
        broker = self.part(LocalBroker(self.dir))
        self.add_local(broker)
        with open(broker.password, "w", encoding="ascii") as out:
            out.write("wrong\n")
        self.begin()
        self.wait("the refusal", lambda: "refused" in self.error("kitchen"))

    def test_tls_is_judged_and_disturbs_no_other(self):
        authority, stranger = Authority(self.dir), Authority(self.dir, "another CA")
        server = authority.issue("server.pem", "localhost", sans=["localhost"], server=True)
        broker = self.part(LocalBroker(self.dir, server))
        broker.ca = authority.file
        self.add_local(broker, ca=stranger.file)
        self.begin()
        self.wait("the judgement", lambda: re.search("certificate|authority", self.error("kitchen")))
        self.config["bus home"]["ca"] = authority.file
        self.reload()
        self.wait_up(broker)
        self.say_until(broker, "zigbee2mqtt/Kitchen 1", '{"temperature": 21.5}', lambda: self.good("kitchen/temp", 21.5))

    def test_the_overrides_of_the_cloud_link_pass_its_calls_on(self):
        """Beside Paho in one program, plain and with TLS: no call of libmosquitto's is taken for one of Paho's."""
        authority = Authority(self.dir)
        server = authority.issue("server.pem", "localhost", sans=["localhost"], server=True)
        for tls in (False, True):
            with open(self.path("open.conf"), "w", encoding="ascii") as out:
                port = quiet_port()
                out.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n" +
                          (f"certfile {server}\nkeyfile {server}\n" if tls else ""))
            broker = Process(self.path("open.output"), "/usr/sbin/mosquitto", "-c", self.path("open.conf"))
            self.addCleanup(broker.kill)
            ca = authority.file if tls else ""
            publish = ["mosquitto_pub", "-h", "localhost" if tls else "127.0.0.1", "-p", str(port), "-t", "a/b", "-r", "-m",
                       "x", *(["--cafile", ca] if tls else [])]
            wait_for("mosquitto", lambda: subprocess.run(publish, stderr=subprocess.DEVNULL, timeout=20).returncode == 0)
            done = subprocess.run([BUILD + "/agent/bus/mqtt/mqtt-beside", "localhost", str(port), ca, "a/+"], timeout=60,
                                  stdout=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("heard a/b x", done.stdout)
            self.assertIn("taken connect=0 getaddrinfo=0 getsockopt=0 ssl-ctx-new=0 ssl-write=0", done.stdout)
            # Nothing of what the cloud link's sockets are given, and what the driver gives its own.
            self.assertIn("socket user-timeout=0 keep-alive=0 no-delay=1 close-on-exec=1", done.stdout)

    def test_a_broker_that_sends_without_end_costs_bounded_memory(self):
        # A message of 200 MB by its header, and as much of it as is taken; the library looks up only in pauses.
        def endless(peer):
            peer.sendall(b"\x30\x80\x80\x80\x60\x00\x03a/b")
            for _ in range(20):
                peer.sendall(b"x" * (10 << 20))
                time.sleep(1)

        liar = self.part(Liar(endless))
        self.add_bus("home", "mqtt", host="127.0.0.1", port=str(liar.port))
        self.add_device("d", "home", {"x": "payload"}, topic="a/b", backoff="200ms")
        self.begin()
        before = memory_peak(self.agent.process.pid)
        self.wait("the end of it", lambda: "a message of more than" in self.error("d"))
        # Less than half of it, on a machine however busy.
        self.assertLess(memory_peak(self.agent.process.pid) - before, 100)

    def test_a_broker_that_goes_while_somebody_looks_is_heard_when_it_is_back(self):
        def go_or_speak(peer):
            if liar.sessions == 1:
                peer.recv(4096)  # the subscription of the probe
                return
            for _ in range(20):
                peer.sendall(b"\x30\x06\x00\x03a/b5")
                time.sleep(0.1)

        liar = self.part(Liar(go_or_speak))
        self.add_bus("home", "mqtt", host="127.0.0.1", port=str(liar.port))
        self.add_device("d", "home", {"x": "payload"}, topic="a/b", gather="50ms", backoff="200ms")
        self.begin()
        self.wait("the first session", lambda: liar.sessions == 1)
        self.refused("probe", "home")
        self.wait("a value", lambda: self.good("d/x", 5))

    def test_packets_that_are_none_end_the_session_and_nothing_else(self):
        liar = self.part(Liar(lambda peer: peer.sendall(os.urandom(512) + b"\xff" * 16)))
        self.add_bus("home", "mqtt", host="127.0.0.1", port=str(liar.port))
        self.add_device("d", "home", {"x": "payload"}, topic="a/b", backoff="200ms")
        self.begin()
        self.wait("sessions", lambda: liar.sessions >= 2)
        self.assertTrue(self.error("d"))


if __name__ == "__main__":
    main()
