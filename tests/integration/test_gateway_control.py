#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the control socket that send rubbish, send nothing, never read, or come in crowds."""

import json
import os
import re
import socket
import subprocess
import time

from gateway_bench import BUILD, Scenario, main, read_text

CLIENTS = 16        # at once
RUBBISH = (b"\n", b"\0\n", b"rubbish\n", b"{\n", b"[]\n", b"null\n", b'"status"\n', b"{}\n", b'{"cmd":1}\n',
           b'{"cmd":null}\n', b'{"cmd":"status"\xff}\n', b'{"cmd":"none such"}\n', b'{"cmd":"read"}\n',
           b'{"cmd":"read","device":7}\n', b'{"cmd":"read","device":"boiler","point":"none"}\n',
           b'{"cmd":"read","device":"' + b"x" * 4000 + b'"}\n', b'{"cmd":"status","cmd":"reload"}\n',
           b"[" * 4000 + b"\n", b'{"a":' * 600 + b"\n", os.urandom(4000).replace(b"\n", b"") + b"\n")


class Control(Scenario):
    CLOUD = False
    EVERY = "30ms"

    def setUp(self):
        super().setUp()
        for n in range(40):     # readings of several kilobytes
            self.config[f"point boiler/filler-{n:02}"] = {"read": f"holding {60 + n} uint16"}
        self.write_config()
        self.agent.start()
        self.wait("readings", lambda: self.agent.device()["health"] == "ok")
        self.clients = []
        self.addCleanup(lambda: [c.close() for c in self.clients])

    def client(self, data=b""):
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.agent.socket)      # waits where the queue is full
        client.settimeout(20)
        self.clients.append(client)
        try:
            client.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return client

    @staticmethod
    def rest(client):
        """All that comes until the agent hangs up."""
        data = b""
        try:
            while chunk := client.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.agent.process.pid}/fd"))

    def memory_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", read_text(f"/proc/{self.agent.process.pid}/status"))[1])

    def still_well(self):
        code, out, error = self.agent.ctl("read", "boiler/level")
        self.assertEqual((code, error), (0, ""))
        self.assertTrue(self.agent.process.running())

    def test_a_client_that_has_said_all_gets_what_comes_later(self):
        client = self.client(b'{"cmd":"read","device":"boiler"}\n')
        client.shutdown(socket.SHUT_WR)
        self.assertTrue(json.loads(self.rest(client))["ok"])

    def test_the_command_line_says_what_went_wrong(self):
        code, out, error = self.agent.ctl("status", "boiler")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("takes no argument", error)
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([BUILD + "/agent/tidegate", "--socket", self.agent.socket, "status"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)

    def test_rubbish_is_answered_with_an_error_and_forgotten(self):
        before = self.descriptors()
        for data in RUBBISH:
            with self.subTest(data[:40]):
                client = self.client(data)
                answer = json.loads(self.rest(client))
                self.assertFalse(answer["ok"])
                self.assertIn(answer["code"], (1, 2))
                self.assertTrue(answer["error"])
                client.close()
        for data in (b"x" * 4096, b"x" * 5000, b"x" * (1 << 20), b'{"cmd":"status"' + b" " * 9000):
            with self.subTest(len(data)):
                client = self.client(data)
                self.assertIn(b"too long", self.rest(client) or b"too long, and not even read")
                client.close()
        self.still_well()
        self.wait("closed descriptors", lambda: self.descriptors() <= before)

    def test_clients_that_vanish_leave_nothing_behind(self):
        before = self.descriptors()
        for n in range(60):
            for data in (b"", b'{"cmd":', b'{"cmd":"status"}\n', b'{"cmd":"read","device":"boiler"}\n',
                         b'{"cmd":"watch"}\n'):
                self.client(data).close()
        self.wait("closed descriptors", lambda: self.descriptors() <= before)
        self.still_well()

    def test_a_crowd_is_bounded_and_told_so(self):
        crowd = [self.client(b'{"cmd":"watch","device":"boiler"}\n') for _ in range(40)]
        firsts = [self.first_line(c) for c in crowd]
        self.assertEqual(sum(f.get("ok", False) for f in firsts), CLIENTS)
        self.assertEqual(sum(f.get("error") == "too many clients" for f in firsts), 40 - CLIENTS)
        for client in crowd:
            client.close()
        self.wait("room", lambda: self.room())
        self.still_well()

    def room(self):
        return self.first_line(self.client(b'{"cmd":"status"}\n')).get("ok")

    @staticmethod
    def first_line(client):
        line = b""
        while not line.endswith(b"\n"):
            byte = client.recv(1)
            if not byte:
                break
            line += byte
        return json.loads(line or b"{}")

    def test_those_who_neither_send_nor_read_are_dropped_in_time(self):
        self.still_well()
        before, memory = self.descriptors(), self.memory_kib()
        silent = [self.client() for _ in range(4)]
        half = [self.client(b'{"cmd":"sta') for _ in range(4)]
        deaf = [self.client(b'{"cmd":"watch"}\n') for _ in range(4)]
        # Meanwhile the agent goes on, and what it owes to the deaf ones is bounded.
        end = time.monotonic() + 8
        while time.monotonic() < end:
            self.still_well()
            self.assertLess(self.memory_kib(), memory + 40 * 1024)
            time.sleep(0.5)
        for client in silent + half:
            self.assertIn(b"no request within", self.rest(client))
        self.wait("the deaf ones to be dropped", lambda: self.descriptors() <= before, 40)
        for client in deaf:
            data = self.rest(client)
            self.assertIn(b'"watching":true', data[:100])
            self.assertLess(len(data), 2 << 20)
        self.still_well()
        self.assertEqual(self.agent.stop(), 0)


if __name__ == "__main__":
    main()
