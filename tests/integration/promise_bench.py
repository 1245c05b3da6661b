# SPDX-License-Identifier: Apache-2.0
"""A gateway under load between a source that numbers its readings and a subscriber, everything around it ready to fail.

The state directory is on a small ext4 of its own, whose power can fail; the way to mosquitto leads through fault_proxy.py. What
promise_judge.py needs is written down by the source, by the preloaded promise-log.c, by the subscriber and by whoever brings the
faults about. Needs root, and the mount namespace that power_cut_bench.enter_namespace() makes.
"""

import collections
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import sys
import threading
import time

from gateway_bench import (BUILD, FAKES, KEEP_LOADED, SANITIZER, Agent, Broker, Cloud, Process, Subscriber, Tpm, read_text,
                           wait_for)
from power_cut_bench import Chip, Disk
from promise_judge import Judge, Terms

sys.path.insert(0, FAKES)

from fault_proxy import FaultProxy  # noqa: E402

PRELOAD = BUILD + "/tests/integration/promise-log.so"
SHIM = BUILD + "/tests/fakes/libclock-shim.so"
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
DEVICES = 5
EVERY_MS = 100
POINTS = {"number": "holding 0 uint32", "value": "holding 2 uint32", "unit": "holding 4 uint16"}
COMMIT_INTERVAL = 0.5
WINDOW = 32
HANDLING = 0.3              # from the source's answer to the spool, where the machine does not stall
PROMISED_MIN = 0.3          # what is read in the last second before a death is not promised, and there are many
NAP, STALL = 0.02, 0.03     # of the thread that looks for stalls, and what it takes for one
EMPTY_PACKS = 2 * DEVICES   # that have just been read and are on their way
EMPTY_BYTES = 4 << 20
KEEP_ALIVE = 10


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Log:
    """Lines of a log, kept and written out."""

    def __init__(self, path):
        self.path, self.lines = path, []
        self.file = open(path, "w", encoding="ascii", buffering=1)

    def add(self, *words):
        line = " ".join(map(str, words))
        self.lines.append(line)
        self.file.write(line + "\n")


class Stalls(threading.Thread):
    """Writes down when this machine let nobody run who wanted to: then the gateway cannot be blamed either."""

    def __init__(self, log):
        super().__init__(daemon=True)
        self.log, self.worst = log, 0
        self.start()

    def run(self):
        while True:
            begin = boot()
            time.sleep(NAP)
            end = boot()
            if end - begin > NAP + STALL:
                self.log.add("held", f"{begin:.6f}", f"{end:.6f}")
                self.worst = max(self.worst, end - begin - NAP)


class Source:
    """A Modbus TCP server that answers each read of a unit with the next number, and writes it down first."""

    def __init__(self, log):
        self.log, self.lock = log, threading.Lock()
        self.numbers = collections.Counter()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @staticmethod
    def value(unit, number):
        return (number * 2654435761 + unit) & 0xFFFFFFFF

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        data = b""
        with sock:
            while True:
                try:
                    more = sock.recv(4096)
                except OSError:
                    return
                if not more:
                    return
                data += more
                while len(data) >= 12:
                    request, data = data[:12], data[12:]
                    self.answer(sock, *struct.unpack(">HHHBBHH", request))

    def answer(self, sock, transaction, _protocol, length, unit, function, address, count):
        assert (length, function, address, count) == (6, 3, 0, 5), "one request a poll, as configured"
        with self.lock:
            self.numbers[unit] += 1
            number = self.numbers[unit]
            value = self.value(unit, number)
            self.log.add("read", f"{boot():.6f}", f"d{unit}", number, value)
        try:
            sock.sendall(struct.pack(">HHHBBBIIH", transaction, 0, 13, unit, 3, 10, number, value, unit))
        except OSError:
            pass

    def end(self):
        self.listener.close()


class Listener(Subscriber):
    """Keeps when things arrived; the log has a mark where the broker was away."""

    FORM = re.compile(r"(\d+\.\d+) ([01]) (\S+) (.*)")

    def start(self):
        before = read_text(self.broker.log).count("Sending SUBACK to subscriber")
        self.end()
        with open(self.log, "a", encoding="ascii") as file:
            file.write("# broker\n")
        self.process = Process(self.log, "mosquitto_sub", "-h", "localhost", "-p", str(self.broker.port), "--cafile",
                               self.broker.ca, "--cert", self.pem, "--key", self.pem, "-i", "subscriber", "-c", "-q",
                               "1", "-F", "%U %r %t %p", "-t", "tidegate/#")
        wait_for("the subscriber",
                 lambda: read_text(self.broker.log).count("Sending SUBACK to subscriber") > before)

    def arrived(self, wall_to_boot):
        """Lines of arrived.log."""
        connects, lines = None, []
        for line in read_text(self.log).splitlines():
            found = self.FORM.fullmatch(line)
            if not found:
                # Of an agent that died with the broker there is no will, and the next one counts from one again.
                connects = None
                lines.append("session")
                continue
            at, retained, topic, payload = found.groups()
            if topic.endswith("/events") or retained == "1":
                continue
            if topic.endswith("/status"):
                status = json.loads(payload)
                now = status["link"]["connects"] if status["state"] == "online" else None
                if now is None or now != connects:
                    lines.append("session")
                connects = now
            else:
                lines.append(self.pack(float(at) + wall_to_boot, topic.rpartition("/")[2], json.loads(payload)))
        return lines

    @staticmethod
    def pack(at, device, records):
        values = {r["n"]: r.get("v", r.get("vs")) for r in records}
        head = (f"{at:.6f}", device, values["_stream"], values["_seq"])
        if "_gap" in values:
            return " ".join(map(str, ("gap", *head, *(int(values[n]) for n in ("_gap", "_gap_first", "_gap_last")))))
        # A bad reading is none of the source's.
        return " ".join(map(str, ("pack", *head, int(values.get("number", 0)), int(values.get("value", 0)))))


class Chipset(Tpm):
    capability, lockout_counter = Chip.capability, Chip.lockout_counter


class Gateway(Agent):
    def __init__(self, bench):
        super().__init__(bench)
        self.state = bench.disk.state
        self.no_sync = False

    def start(self, wrap=(), wait=False):
        env = {"LD_PRELOAD": f"{PRELOAD} {SHIM} {KEEP_LOADED['LD_PRELOAD']}", "TG_PROMISE_LOG": self.bench.dir + "/promise.log",
               "TIDEGATE_CLOCK_FILE": self.bench.dir + "/clock"}
        if self.no_sync:
            env["TG_PROMISE_NO_SYNC"] = "1"
        self.process = Process(self.log, *self.command(), env=env)

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", read_text(f"/proc/{self.process.pid}/status"))[1])


class Bench:
    """In a directory of its own. @keep_alive, @every_ms: of the configuration."""

    def __init__(self, directory, keep_alive=KEEP_ALIVE):
        self.dir, self.parts = directory, []
        os.makedirs(directory, exist_ok=True)
        self.set_clock(0)
        self.faults = Log(directory + "/faults.log")
        open(directory + "/promise.log", "w", encoding="ascii").close()
        self.source = self.part(Source(Log(directory + "/read.log")))
        self.disk = Disk(directory)
        self.disk.make(self.disk.image)
        self.disk.power_on()
        self.tpm = self.part(Chipset(directory))
        self.cloud = self.part(Cloud(directory))
        self.broker = self.part(Broker(directory, self.cloud))
        self.listener = self.part(Listener(directory, self.broker))
        self.proxy = self.part(FaultProxy(("127.0.0.1", self.broker.port)))
        self.gateway = self.part(Gateway(self))
        self.keep_alive, self.in_flight = keep_alive, WINDOW
        self.configure()
        self.stalls = Stalls(self.faults)
        self.slowest_start = 0

    def part(self, part):
        self.parts.append(part)
        return part

    def end(self):
        for part in reversed(self.parts):
            part.end()
        self.disk.power_off()

    def configure(self):
        cloud = self.cloud
        text = (f"[tpm]\ntcti = {self.tpm.tcti}\n[enrolment]\nmethod = aws-fleet\n[enrolment.aws-fleet]\nendpoint = localhost\n"
                f"port = {cloud.port}\nca = {cloud.path('server-ca.pem')}\nclaim-certificate = {cloud.path('claim.pem')}\n"
                f"claim-key = {cloud.path('claim.key')}\ntemplate = tidegate-fleet\n[mqtt]\nendpoint = localhost\n"
                f"port = {self.proxy.port}\nca = {self.broker.ca}\nrate-limit = none\nkeep-alive = {self.keep_alive}s\n"
                f"in-flight = {self.in_flight}\n[spool]\nmax-age = 3650d\ncommit-interval = {int(COMMIT_INTERVAL * 1000)}ms\n"
                f"[bus line]\ntype = modbus-tcp\nhost = 127.0.0.1\nport = {self.source.port}\n")
        for unit in range(1, DEVICES + 1):
            # The source never fails: what it has answered is a reading, however late the gateway takes it.
            text += f"[device d{unit}]\nbus = line\nunit = {unit}\nevery = {EVERY_MS}ms\ntimeout = 60s\n"
            text += "".join(f"[point d{unit}/{name}]\nread = {read}\n" for name, read in POINTS.items())
        with open(self.gateway.conf + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.gateway.conf + ".new", 0o640)
        os.rename(self.gateway.conf + ".new", self.gateway.conf)

    def set_clock(self, offset):
        file = os.open(self.dir + "/clock", os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(file, struct.pack("=q", int(offset * 1e6)), 0)
        os.close(file)

    # --- what happens to it ------------------------------------------------------------------------------------------

    def start(self):
        """Until it answers its operator."""
        begin = boot()
        self.faults.add("start", f"{begin:.6f}")
        self.gateway.start()
        wait_for("the gateway", self.gateway.answers, 60)
        self.slowest_start = max(self.slowest_start, boot() - begin)

    def kill(self):
        self.faults.add("kill", f"{boot():.6f}")
        self.gateway.kill()

    def stop(self):
        begin = boot()
        status = self.gateway.stop(30)
        self.faults.add("stop", f"{begin:.6f}", status)
        return status, boot() - begin

    def hold(self, seconds, then_kill=False):
        begin = boot()
        self.gateway.process.signal(signal.SIGSTOP)
        time.sleep(seconds)
        if then_kill:
            self.kill()
        self.gateway.process.signal(signal.SIGCONT)
        self.faults.add("held", f"{begin:.6f}", f"{boot():.6f}")

    def cut(self):
        """The power of gateway and TPM fails, what nobody synced is gone; then it comes back."""
        directory = os.open(self.disk.mount, os.O_RDONLY | os.O_DIRECTORY)
        self.faults.add("cut", f"{boot():.6f}")
        fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(directory)
        self.gateway.kill()
        self.tpm.kill()
        self.disk.power_off()
        self.disk.power_on()
        self.tpm.start()

    def kill_broker(self, seconds):
        """Nobody publishes before the subscriber is there again."""
        self.proxy.refuse()
        self.broker.kill()
        time.sleep(seconds)
        self.broker.start()
        self.proxy.listen(True)
        self.faults.add("note", f"{boot():.6f}", "broker killed")

    # --- what is seen ------------------------------------------------------------------------------------------------

    def online(self):
        link = self.gateway.status()["link"]
        return link["state"] == "online" and link["error"] is None

    def wait_online(self, seconds=90):
        wait_for("a session", self.online, seconds)

    def drained(self):
        status = self.gateway.status()
        spool = status["spool"]
        waiting = spool["memory_packs"] + spool["disk_packs"]
        return self.online() and waiting <= EMPTY_PACKS and (waiting, spool["disk_bytes"])

    def finish(self):
        """Faults have ended; waits until everything up to now has arrived, and writes that down."""
        self.proxy.pass_on()
        self.set_clock(0)
        now = boot()
        time.sleep(1)
        try:
            wait_for("the drain", self.drained, 120)
            # Each device has a pack behind the end, so that nothing before it is still on its way.
            wait_for("the last packs", lambda: self.arrived_behind(now), 30)
            waiting, size = wait_for("the drain", self.drained, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {json.dumps(self.gateway.status())}") from None
        self.faults.add("end", f"{now:.6f}", waiting, size)

    def arrived_behind(self, when):
        latest = {f"d{unit}": 0 for unit in self.source.numbers}
        for line in self.listener.arrived(boot() - time.time()):
            word, *rest = line.split()
            if word == "pack":
                latest[rest[1]] = max(latest[rest[1]], int(rest[4]))
        times = {(line.split()[2], int(line.split()[3])): float(line.split()[1]) for line in self.source.log.lines}
        return all(times.get((device, number), 0) > when for device, number in latest.items())

    def terms(self):
        return Terms(COMMIT_INTERVAL, HANDLING, WINDOW, empty_packs=EMPTY_PACKS, empty_bytes=EMPTY_BYTES,
                     promised_min=PROMISED_MIN)

    def judge(self):
        """(complaints, figures)."""
        judge = Judge(self.terms())
        # The source's log comes last: what has arrived is in it.
        arrived = self.listener.arrived(boot() - time.time())
        judge.take_promise(read_text(self.dir + "/promise.log").splitlines())
        with self.source.lock:
            judge.take_read(list(self.source.log.lines))
        with open(self.dir + "/arrived.log", "w", encoding="ascii") as file:
            file.write("\n".join(arrived) + "\n")
        judge.take_arrived(arrived)
        judge.take_faults(self.faults.lines)
        found = judge.judge()
        if SANITIZER.search(self.gateway.said()):
            found.append("a sanitizer has something to report")
        return found, {**judge.figures, "stalled_s": round(judge.idle[2][-1], 1), "worst_stall_s": round(self.stalls.worst, 3),
                       "slowest_start_s": round(self.slowest_start, 2)}

    def keep(self, where):
        """The logs, for whoever wants to know more."""
        os.makedirs(where, exist_ok=True)
        for name in ("read.log", "promise.log", "arrived.log", "faults.log", "tidegated.log", "subscriber.log"):
            if os.path.exists(f"{self.dir}/{name}"):
                shutil.copy(f"{self.dir}/{name}", where)
