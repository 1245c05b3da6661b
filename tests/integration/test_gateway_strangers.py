#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Others on the line: whoever takes a broker's place without being it, and those who send more than a gateway can want."""

import json
import re
import subprocess
import sys
import time

import faults
from gateway_bench import FAKES, Pack, Scenario, die_with_parent, main, read_text
from mqtt_bench import Authority, localhost

sys.path.insert(0, FAKES)
from fault_proxy import FaultProxy  # noqa: E402
from hostile_broker import HostileBroker  # noqa: E402


class Portal(Scenario):
    """Captive portals: they answer for everybody, in plain text or with a certificate of their own."""

    WATCHED_S = 12

    def first_link(self):
        self.proxy = self.part(FaultProxy(("127.0.0.1", self.broker.port), localhost()))
        return {"endpoint": "localhost", "port": self.proxy.port, "ca": self.broker.ca}

    def meet(self, portal, words):
        """What becomes of a gateway whose connections lead there from now on: attempts a minute."""
        self.proxy.to = (localhost(), portal.port)
        self.proxy.reset()
        before = len(self.proxy.records)
        begun = time.monotonic()
        error = self.wait("words for it", lambda: (e := self.agent.status()["link"]["error"]) and re.search(words, e) and e, 60)
        time.sleep(max(0, begun + self.WATCHED_S - time.monotonic()))
        # Not a byte of MQTT, and not our certificate: no handshake came to its end.
        self.assertEqual((portal.bytes_seen, portal.handshakes, portal.packets), (0, 0, []))
        attempts = len(self.proxy.records) - before
        self.assertLess(attempts, self.WATCHED_S / 2)
        self.assertEqual(self.agent.status()["identity"]["state"], "current")
        return attempts, error

    def test_who_answers_in_the_brokers_place_is_told_and_gets_nothing(self):
        self.agent.start()
        self.wait_online()
        key = read_text(self.agent.state + "/identity/current/key.pem")
        stranger = Authority(self.dir, "portal CA").issue("portal.pem", "localhost", ["localhost"], server=True)
        interceptor = HostileBroker("nopuback", stranger, bind=localhost())
        self.addCleanup(interceptor.stop)
        attempts, error = self.meet(interceptor, "authority")
        self.assertIn("portal CA", error)
        page = HostileBroker("plain", stranger, bind=localhost())
        self.addCleanup(page.stop)
        plain, _ = self.meet(page, "does not speak TLS")
        self.proxy.to = ("127.0.0.1", self.broker.port)
        self.wait_online(90)
        self.assert_promise(self.wait_drained())
        self.assertEqual(read_text(self.agent.state + "/identity/current/key.pem"), key)
        faults.told("F09", f"stranger's certificate: {attempts} attempts in {self.WATCHED_S} s, plain text: {plain}; not a byte "
                           "of MQTT sent, told in words")


class Flood(Scenario):
    COUNT = 8000
    RSS_KIB = 32 << 10

    def add_devices(self):
        super().add_devices()
        self.config["point boiler/level"].update({"write": "yes", "min": "0", "max": "100"})

    def sender(self, name, topic, lines, *options):
        """mosquitto_pub with one message a line, under way."""
        path = f"{self.dir}/{name}.lines"
        with open(path, "w", encoding="ascii") as out:
            out.writelines(line + "\n" for line in lines)
        with open(path, "rb") as source:
            return subprocess.Popen(["mosquitto_pub", "-h", "localhost", "-p", str(self.broker.port), "--cafile", self.broker.ca,
                                     "--cert", self.pem, "--key", self.pem, "-i", name, *options, "-l", "-t", topic],
                                    stdin=source, preexec_fn=die_with_parent)

    def memory(self, field):
        status = read_text(f"/proc/{self.agent.process.pid}/status")
        return int(re.search(field + r":\s+(\d+) kB", status).group(1))

    def command(self, name):
        return json.dumps({"id": name, "point": "level", "value": 7})

    def counts(self):
        c = self.agent.status()["commands"]
        return sum(c[k] for k in ("done", "refused", "failed", "ignored", "dropped"))

    def test_thousands_of_commands_a_second_cost_neither_memory_nor_readings(self):
        self.agent.start()
        gateway = self.wait_online()["id"]
        self.wait_packs(3)
        self.pem = self.broker.authority.issue("sender.pem", "sender")
        boiler = f"tidegate/{gateway}/boiler/set"
        before, before_counts, lines = self.memory("VmRSS"), self.counts(), len(self.agent.said().splitlines())
        polls, begun = self.agent.device()["polls"], time.monotonic()
        senders = [
            self.sender("valid", boiler, (self.command(f"v{i}") for i in range(self.COUNT))),
            self.sender("invalid", boiler, ('{"id":"x%d","point":"level","value":"warm"}' % i for i in range(self.COUNT))),
            self.sender("garbage", boiler, ("x" * (i % 5000) for i in range(1, self.COUNT))),
            self.sender("nobody", f"tidegate/{gateway}/nobody/set", (self.command(f"n{i}") for i in range(self.COUNT))),
            self.sender("odd", f"tidegate/{gateway}/a b+/set".replace("+", "%"), (self.command("o") for i in range(1000)), "-r"),
        ]
        longest = 0
        while any(s.poll() is None for s in senders):
            asked = time.monotonic()
            self.agent.status()
            longest = max(longest, time.monotonic() - asked)
            time.sleep(0.2)
        self.assertEqual([s.returncode for s in senders], [0] * len(senders))
        # Until none of them comes any more.
        last = -1
        while last != (last := self.counts()):
            time.sleep(1)
        seconds = time.monotonic() - begun
        rate = (self.agent.device()["polls"] - polls) / seconds
        status = self.agent.status()
        seen, grown = self.counts() - before_counts, self.memory("VmHWM") - before
        said = len(self.agent.said().splitlines()) - lines
        print(f"{seen} commands in {seconds:.0f} s, {status['commands']}, {grown} KiB more, {rate:.1f} polls/s, status within "
              f"{longest * 1000:.0f} ms, {said} lines of log", flush=True)
        self.assertGreater(seen / seconds, 1000)
        self.assertLess(grown, self.RSS_KIB)
        self.assertGreater(rate, 3)
        self.assertLess(longest, 3, "s for a status; on a busy machine")
        self.assertLess(said, 100 + 4 * seconds)
        # The server has no registers to write; for most there is no room, or no time. Whether some are dropped before
        # they are looked at depends on how fast they come.
        for kind in ("failed", "refused", "ignored"):
            self.assertGreater(status["commands"][kind], 0, kind)
        self.assertLessEqual(status["commands"]["results_waiting"], 128)
        self.assertEqual(status["link"]["connects"], 1)
        # And the last word is heard.
        self.sender("late", boiler, [self.command("late")], "-q", "1").wait(30)
        self.wait("the result", lambda: any('"id":"late"' in payload for _, topic, payload in self.subscriber.messages()
                                            if topic == boiler + "/result"), 60)
        polls = self.agent.device()["polls"]

        def packs():
            return [Pack(topic, payload) for _, topic, payload in self.subscriber.messages()
                    if topic == f"tidegate/{gateway}/boiler"]
        self.wait("the readings", lambda: len({p.seq for p in packs()}) >= polls)
        self.assert_promise(packs())


if __name__ == "__main__":
    main()
