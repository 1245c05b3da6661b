# SPDX-License-Identifier: Apache-2.0
"""What a whole gateway costs: memory, CPU time, and the way of a reading from the device to a subscriber.

    gateway.py [--devices N] [--every MILLISECONDS] [--seconds N] [--memory] [--latency] [--outage] [--drain PACKS]

One tidegated with its identity in a TPM (swtpm), enrolled with the AWS IoT stand-in, reads N Modbus TCP devices of 100
points each (float32, two requests a poll) and publishes SenML over mutually authenticated TLS to mosquitto.

--memory samples smaps_rollup every ten seconds and says what the memory is. --latency subscribes with a certificate of
its own and takes, for every reading, the time from its acquisition (bt + t in the payload) to its arrival; all clocks are
this machine's. --outage stops the broker for the window and starts it again. --drain fills the spool of the stopped agent
with so many packs of 60 readings and takes the time until the last of them is acknowledged, without a rate limit. CPU time is the process's own CPU clock, in
nanoseconds, over the same window.

The programs are those of $TIDEGATE_BUILD; figures of anything but an optimised build mean nothing.
"""

import argparse
import collections
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "fakes")]

import gateway_bench as parts  # noqa: E402
from aws_iot import mqtt  # noqa: E402
from mqtt_client import Client  # noqa: E402

POINTS = 100
FIRST = 1000                # where the Modbus server has moving float32 values
BACKLOG_READINGS = 60       # of a pack that waits
DRAIN_MIN = 50000           # readings/s
SAMPLE_EVERY = 10
SETTLE = 3                  # seconds after going online before a window begins


class QuietBroker(parts.Broker):
    """No log and no disk, so that the broker's own work stays out of the latency."""

    def start(self, knows_devices=True):
        with open(self.dir + "/clients.pem", "w", encoding="ascii") as out:
            out.write(parts.read_text(self.ca) + parts.read_text(self.cloud.path("device-ca.pem")))
        with open(self.dir + "/conf", "w", encoding="ascii") as out:
            out.write(f"listener {self.port} 127.0.0.1\ncafile {self.dir}/clients.pem\n"
                      f"certfile {self.server}\nkeyfile {self.server}\nrequire_certificate true\n"
                      "use_subject_as_username true\nallow_anonymous true\nlog_type error\nuser root\n"
                      # Without it the subscriber's leg waits 40 ms for delayed acknowledgements.
                      f"log_dest file {self.log}\nset_tcp_nodelay true\nmax_queued_messages 0\n")
        self.process = parts.Process(self.dir + "/output", "/usr/sbin/mosquitto", "-c", self.dir + "/conf")
        parts.wait_for("mosquitto", self.listens)


def configuration(bench, devices, every):
    cloud, broker = bench["cloud"], bench["broker"]
    sections = {
        "tpm": {"tcti": bench["tpm"].tcti},
        "enrolment": {"method": "aws-fleet"},
        "enrolment.aws-fleet": {
            "endpoint": "localhost", "port": cloud.port, "ca": cloud.path("server-ca.pem"),
            "claim-certificate": cloud.path("claim.pem"), "claim-key": cloud.path("claim.key"),
            "template": "tidegate-fleet"},
        "mqtt": {"endpoint": "localhost", "port": broker.port, "ca": broker.ca, "rate-limit": "none", "in-flight": "256"},
        "bus plant": {"type": "modbus-tcp", "host": "127.0.0.1", "port": bench["modbus"].port},
    }
    for d in range(devices):
        sections[f"device unit{d + 1}"] = {"bus": "plant", "unit": d + 1, "every": every}
        for p in range(POINTS):
            sections[f"point unit{d + 1}/value{p:03}"] = {"read": f"holding {FIRST + 2 * p} float32", "unit": "Cel"}
    return "".join(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n"
                   for name, keys in sections.items())


# --- what the kernel knows about the process --------------------------------------------------------------------------

def cpu_seconds(pid):
    """CPU time of all threads, living and dead: the clock that clock_getcpuclockid(3) makes of a process id."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return {m[1]: int(m[2]) for m in re.finditer(r"^(\w+): +(\d+) kB$", file.read(), re.M)}


def kinds(pid):
    """Resident kB by what the mappings are."""
    found = collections.Counter()
    kind = None
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            head = re.match(r"[0-9a-f]+-[0-9a-f]+ (....) \S+ \S+ (\d+) *(.*)$", line)
            if head:
                path = head[3]
                if path.startswith("/"):
                    kind = "program" if "tidegate" in path else os.path.basename(path).split(".so")[0]
                else:
                    kind = {"[heap]": "heap", "[stack]": "stack"}.get(path, "anonymous" if not path else path)
            elif line.startswith("Rss:"):
                found[kind] += int(line.split()[1])
    return found


def sample(pid):
    r = rollup(pid)
    return {"cpu": cpu_seconds(pid), "rss": r["Rss"], "pss": r["Pss"], "private": r["Private_Clean"] + r["Private_Dirty"],
            "dirty": r["Private_Dirty"], "threads": len(os.listdir(f"/proc/{pid}/task"))}


def mb(kib):
    return f"{kib * 1024 / 1e6:7.2f}"


# --- the subscriber ---------------------------------------------------------------------------------------------------

class Listener:
    """Takes readings as they come; a reading is a record with a value that is not one of the gateway's own (_seq)."""

    def __init__(self, broker):
        pem = broker.authority.issue("listener.pem", "listener")
        self.client = Client(broker.port, broker.ca, pem, pem)
        assert self.client.connect("listener") == 0
        assert self.client.subscribe("tidegate/+/+", qos=0) == [0]
        self.forget()

    def until(self, end):
        while time.monotonic() < end:
            try:
                packet = self.client.packet(max(0.01, end - time.monotonic()))
            except socket.timeout:
                continue
            arrived = time.time()
            if packet.kind == mqtt.PUBLISH:
                self.take(mqtt.parse_publish(packet), arrived)

    def take(self, message, arrived):
        if message.topic.endswith("/status"):
            return
        records = json.loads(message.payload)
        base = records[0]["bt"]
        self.latencies += [arrived - base - r.get("t", 0) for r in records if not r["n"].startswith("_")]
        self.numbers.append(next(r["v"] for r in records if r["n"] == "_seq"))
        self.bytes += len(message.payload)

    def forget(self):
        self.latencies, self.numbers, self.bytes = [], [], 0

    def missing(self):
        """Sequence numbers count the packs of all devices, without a hole."""
        return max(self.numbers) - min(self.numbers) + 1 - len(set(self.numbers))


def quantile(values, q):
    """The nearest rank: a value that was measured, none between two."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


# --- windows ----------------------------------------------------------------------------------------------------------

def measure_memory(bench, pid, seconds):
    print("   after s    RSS MB    PSS MB  private MB  dirty MB  threads   CPU s")
    start, begin = time.monotonic(), cpu_seconds(pid)
    for at in range(0, seconds + 1, SAMPLE_EVERY):
        time.sleep(max(0, start + at - time.monotonic()))
        s = sample(pid)
        print(f"   {at:7}   {mb(s['rss'])}   {mb(s['pss'])}     {mb(s['private'])}   {mb(s['dirty'])}  {s['threads']:7}"
              f"  {s['cpu'] - begin:6.3f}", flush=True)
    print("   resident by mapping, MB: " + ", ".join(f"{name} {mb(kib).strip()}" for name, kib in
                                                   kinds(pid).most_common(12)))
    print(f"   RSS {mb(s['rss']).strip()} MB after {at} s (limit 14)")
    return s["rss"] * 1024 < 14e6


def measure_latency(bench, pid, seconds, rate):
    listener = Listener(bench["broker"])
    listener.until(time.monotonic() + 1)
    listener.forget()
    start, begin = time.monotonic(), cpu_seconds(pid)
    listener.until(start + seconds)
    took, cpu, n = time.monotonic() - start, cpu_seconds(pid) - begin, len(listener.latencies)
    if n < 0.9 * rate * took:
        print(f"   only {n} of about {rate * took:.0f} readings arrived")
        return False
    ms = [quantile(listener.latencies, q) * 1e3 for q in (0.5, 0.95, 0.99, 1)]
    messages, missing = len(listener.numbers), listener.missing()
    print(f"   {n} readings in {messages} messages of {listener.bytes // messages} bytes, {n / took:.0f} readings/s, "
          f"{missing} messages missing")
    print(f"   CPU {cpu:.3f} s in {took:.1f} s: {100 * cpu / took:.2f} % of a core, {cpu / n * 1e4:.4f} s per 10,000 readings")
    print(f"   from device to subscriber: p50 {ms[0]:.2f} ms, p95 {ms[1]:.2f} ms, p99 {ms[2]:.2f} ms, largest {ms[3]:.2f} ms")
    return missing == 0


def spooled(bench):
    spool = bench["agent"].status()["spool"]
    return spool["memory_packs"] + spool["disk_packs"]


def measure_outage(bench, pid, seconds):
    def line(what):
        s = sample(pid)
        print(f"   {what:32} RSS {mb(s['rss'])} MB   dirty {mb(s['dirty'])} MB   {spooled(bench):6} packs waiting", flush=True)

    line("before")
    bench["broker"].stop()
    for at in range(SAMPLE_EVERY, seconds + 1, SAMPLE_EVERY):
        time.sleep(SAMPLE_EVERY)
        line(f"broker away for {at} s")
    bench["broker"].start()
    start = time.monotonic()
    parts.wait_for("a session", lambda: online(bench), 300)
    parts.wait_for("the spool to drain", lambda: spooled(bench) <= 2 * len(bench["agent"].status()["devices"]), 120)
    line(f"drained, after {time.monotonic() - start:.0f} s")
    time.sleep(2 * SAMPLE_EVERY)
    line(f"{2 * SAMPLE_EVERY} s later")
    return True


def fill(state, packs):
    subprocess.run([parts.BUILD + "/tests/integration/fill-spool", state, str(packs), "10", str(BACKLOG_READINGS)],
                   stdout=subprocess.DEVNULL, check=True)


def measure_drain(bench, packs):
    agent = bench["agent"]
    agent.stop()
    fill(agent.state, packs)
    agent.start()
    parts.wait_for("the first packs", lambda: agent.status()["spool"]["acknowledged"] > 0, 60)
    pid, size = agent.process.pid, sample(agent.process.pid)
    start, begin, first = time.monotonic(), cpu_seconds(pid), agent.status()["spool"]["acknowledged"]
    parts.wait_for("the spool to drain", lambda: spooled(bench) <= 2 * len(agent.status()["devices"]), 600)
    took, cpu = time.monotonic() - start, cpu_seconds(pid) - begin
    n = (agent.status()["spool"]["acknowledged"] - first) * BACKLOG_READINGS
    print(f"   {n} readings in {took:.2f} s: {n / took:.0f} readings/s, {n / BACKLOG_READINGS / took:.0f} messages/s")
    print(f"   CPU {cpu:.3f} s: {100 * cpu / took:.0f} % of a core, {cpu / n * 1e4:.4f} s per 10,000 readings")
    print(f"   RSS {mb(size['rss']).strip()} MB at first, {mb(sample(pid)['rss']).strip()} MB at the end")
    return n / took >= DRAIN_MIN


def online(bench):
    status = bench["agent"].status()
    return status["link"]["state"] == "online" and status["identity"]["state"] == "current"


class Directory:
    def __init__(self, path):
        self.dir = path


def run(options, bench, directory):
    bench["tpm"] = parts.Tpm(directory)
    bench["modbus"] = parts.Modbus(directory, "plant")
    bench["cloud"] = parts.Cloud(directory)
    bench["broker"] = QuietBroker(directory, bench["cloud"])
    bench["agent"] = agent = parts.Agent(Directory(directory))
    with open(agent.conf, "w", encoding="ascii") as out:
        out.write(configuration(bench, options.devices, options.every))
    agent.start()
    parts.wait_for("a session", lambda: online(bench), 60)
    time.sleep(SETTLE)
    rate = options.devices * POINTS / float(options.every.removesuffix("ms")) * 1000
    print(f"{options.devices * POINTS} points every {options.every}, {rate:.0f} readings/s:")
    good = True
    if options.memory:
        good &= measure_memory(bench, agent.process.pid, options.seconds)
    if options.latency:
        good &= measure_latency(bench, agent.process.pid, options.seconds, rate)
    if options.drain:
        good &= measure_drain(bench, options.drain)
    if options.outage:
        good &= measure_outage(bench, agent.process.pid, options.seconds)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--every", default="1000ms")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--outage", action="store_true")
    parser.add_argument("--drain", type=int)
    options = parser.parse_args()
    directory, bench = tempfile.mkdtemp(prefix="tg-bench-"), {}
    try:
        return 0 if run(options, bench, directory) else 1
    finally:
        for part in reversed(list(bench.values())):
            part.end()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
