#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the worst moments: the agent ends in five seconds, and what it read is on the disk. Two agents, one state."""

import signal
import socket
import sqlite3
import time

import faults
from gateway_bench import Scenario, main

BOUND = 8       # seconds; five are promised, and this machine may be busy


class Stop(Scenario):
    def ends(self):
        """SIGTERM, and how long it takes; everything that was read must be in the spool by then."""
        spool = self.agent.status()["spool"]
        polls = sum(d["polls"] for d in self.agent.status()["devices"])
        begin = time.monotonic()
        code = self.agent.stop(BOUND + 10)
        self.assertLess(time.monotonic() - begin, BOUND)
        self.assertEqual(code, 0, "a forced end is no end in order")
        with sqlite3.connect(f"file:{self.agent.state}/spool.db?mode=ro", uri=True) as file:
            tables = [name for name, in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = max(file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)
        self.assertGreaterEqual(rows, polls - spool["acknowledged"] - spool["in_flight"])
        return polls

    def test_while_it_is_connecting_to_a_broker_that_is_silent(self):
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.agent.stop(), 0)
        self.broker.kill()
        with socket.create_server(("127.0.0.1", self.broker.port)) as silent:
            silent.listen()
            self.agent.start()
            self.wait("a connection", lambda: self.agent.status()["link"]["state"] == "connecting")
            self.wait("rows", lambda: self.agent.status()["spool"]["disk_packs"] >= 3)
            self.ends()
        self.broker.start()
        self.agent.start()
        self.wait_online()
        self.assert_promise(self.wait_drained())

    def test_while_the_tpm_is_silent(self):
        self.config["tpm"]["timeout"] = "30s"
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)
        # In a handshake, with the TPM asked for its signature.
        self.tpm.freeze()
        self.broker.kill()
        self.broker.start()
        self.wait("a handshake", lambda: self.agent.status()["link"]["connects"] >= 2, 45)
        time.sleep(1)
        self.ends()
        self.tpm.thaw()
        self.agent.start()
        self.wait_online(60)
        self.assert_promise(self.wait_drained())

    def test_while_a_device_is_silent(self):
        self.config["device boiler"].update({"timeout": "30s", "retries": 3})
        self.write_config()
        self.agent.start()
        self.wait_online()
        self.wait_packs(3)
        self.modbus.say("fault silence")
        time.sleep(1)
        self.ends()
        self.modbus.say("fault none")
        self.agent.start()
        self.wait_online()
        self.assert_promise(self.wait_drained())

    def test_a_second_agent_on_the_same_state_refuses(self):
        self.agent.start()
        self.wait_online()
        code, said = self.agent.run_to_end()
        self.assertEqual(code, 1)
        self.assertIn(f"another agent runs on {self.agent.state}", said)
        # The first one is as it was, and so is its socket.
        before = len(self.subscriber.numbers())
        self.wait_packs(before + 3)
        self.assertEqual(self.agent.ctl("status")[0], 0)
        self.agent.kill()
        self.agent.start()
        self.wait_online()
        faults.told("F44", "the second one ends with exit 1 and says why, the first goes on")


class Interrupt(Scenario):
    CLOUD = False

    def test_sigint_ends_it_too(self):
        self.agent.start()
        self.wait("readings", lambda: self.agent.device()["polls"] >= 2)
        self.agent.process.signal(signal.SIGINT)
        self.assertEqual(self.agent.process.wait(BOUND), 0)


if __name__ == "__main__":
    main()
