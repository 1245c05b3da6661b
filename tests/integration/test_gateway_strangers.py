#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Others on the line: whoever takes a broker's place without being it, and those who send more than a gateway can want."""

import itertools
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
    """Compared is the second flood with the first, and readings with what else wants the same processors: rates are the machine's."""

    COUNT = 4000
    GARBAGE_BYTES = 20000   # the longest; 40 MB of it in a flood
    GROWN_KIB = 16 << 10    # by the second flood, in which queues may stand a little longer than in the first

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

    def peak(self):
        status = read_text(f"/proc/{self.agent.process.pid}/status")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))

    def command(self, name):
        return json.dumps({"id": name, "point": "level", "value": 7})

    def counts(self):
        c = self.agent.status()["commands"]
        return sum(c[k] for k in ("done", "refused", "failed", "ignored", "dropped"))

    def flood(self, run, gateway):
        """All of them at once, until none comes for a second. Returns (commands seen, seconds, polls for every turn of ours)."""
        boiler = f"tidegate/{gateway}/boiler/set"
        before, polls, begun, turns = self.counts(), self.agent.device()["polls"], time.monotonic(), 0
        senders = [
            self.sender("valid", boiler, (self.command(f"v{run}-{i}") for i in range(self.COUNT))),
            self.sender("invalid", boiler, ('{"id":"x%d-%d","point":"level","value":"warm"}' % (run, i) for i in range(self.COUNT))),
            self.sender("garbage", boiler, ("x" * (i * 5 % self.GARBAGE_BYTES) for i in range(1, self.COUNT))),
            self.sender("nobody", f"tidegate/{gateway}/nobody/set", (self.command(f"n{run}-{i}") for i in range(self.COUNT))),
            self.sender("odd", f"tidegate/{gateway}/a b%/set", (self.command("o") for i in range(1000)), "-r"),
        ]
        last, quiet = -1, 0
        while quiet < 5:
            time.sleep(0.2)
            turns += 1
            still = all(s.poll() is not None for s in senders) and last == (last := self.counts())
            quiet = quiet + 1 if still else 0
        self.assertEqual([s.returncode for s in senders], [0] * len(senders))
        return last - before, time.monotonic() - begun, (self.agent.device()["polls"] - polls) / turns

    def test_thousands_of_commands_a_second_cost_neither_memory_nor_readings(self):
        self.agent.start()
        gateway = self.wait_online()["id"]
        boiler = f"tidegate/{gateway}/boiler"
        self.wait_packs(3)
        self.pem = self.broker.authority.issue("sender.pem", "sender")
        lines, peaks, runs = len(self.agent.said().splitlines()), [], []
        for run in range(2):
            runs.append(self.flood(run, gateway))
            peaks.append(self.peak())
        status, said = self.agent.status(), len(self.agent.said().splitlines()) - lines
        for seen, seconds, polls in runs:
            print(f"{seen} commands in {seconds:.0f} s, {polls:.1f} polls a turn", flush=True)
        print(f"{status['commands']}, {peaks[1] - peaks[0]} KiB more by the second flood, {said} lines of log", flush=True)
        self.assertLess(peaks[1] - peaks[0], self.GROWN_KIB)
        for seen, seconds, polls in runs:
            # Of those for us; some find no room before they are counted.
            self.assertGreater(seen, self.COUNT / 2)
            # Our turns take a fifth of a second, as polls do, and wait for a status in between.
            self.assertGreater(polls, 0.5)
        self.assertLess(said, 100 + 4 * sum(seconds for _, seconds, _ in runs))
        # The server has no registers to write; for most there is no room, or no time. Whether some are dropped before
        # they are looked at depends on how fast they come.
        for kind in ("failed", "refused", "ignored"):
            self.assertGreater(status["commands"][kind], 0, kind)
        self.assertLessEqual(status["commands"]["results_waiting"], 128)
        self.assertEqual(status["link"]["connects"], 1)
        # And the last word is heard, be it the third: on a busy machine the broker may still have some of the flood.
        words = itertools.count()

        def heard():
            self.sender("late", boiler + "/set", [self.command(f"late{next(words)}")], "-q", "1").wait(30)
            time.sleep(1)
            return any('"id":"late' in payload for _, topic, payload in self.subscriber.messages() if topic == boiler + "/set/result")
        self.wait("the result", heard, 60)
        polls = self.agent.device()["polls"]

        def packs():
            return [Pack(topic, payload) for _, topic, payload in self.subscriber.messages() if topic == boiler]
        self.wait("the readings", lambda: len({p.seq for p in packs()}) >= polls)
        self.assert_promise(packs())


if __name__ == "__main__":
    main()
