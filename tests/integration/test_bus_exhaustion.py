#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway without descriptors, memory, threads, log or room in its files, by limits that are set while it runs.

It goes on or ends with a clear message, and is what it was when the limit is lifted. Simulated buses, no broker: what was read is in
the spool, and counted there. `--full` runs more rounds.
"""

import json
import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import time

import faults
from bus_bench import BUILD, BusScenario, main, read_text, wait_for

FULL = "--full" in sys.argv
if FULL:
    sys.argv.remove("--full")
ROUNDS = 200 if FULL else 25
NOBODY = 47113  # an uid that nobody has: its threads are counted alone


class Exhaustion(BusScenario):
    def two_buses(self):
        """One that needs nothing to be read, one that needs a process each time."""
        self.add_bus("s", "sim")
        self.add_device("d", "s", {"n": "counter"}, every="50ms")
        self.add_bus("x", "exec")
        self.add_device("e", "x", {"v": "v"}, command="/bin/echo v 7", every="200ms", backoff="200ms")

    def limit(self, what, soft):
        resource.prlimit(self.agent.process.pid, what, (soft, resource.prlimit(self.agent.process.pid, what)[1]))

    def lift(self, what):
        hard = resource.prlimit(self.agent.process.pid, what)[1]
        resource.prlimit(self.agent.process.pid, what, (hard, hard))

    def use(self):
        """Everything that takes descriptors, memory and threads, whatever comes of it now: how many got no answer."""
        unanswered = 0
        for request in ({"cmd": "status"}, {"cmd": "read", "device": "d"}, {"cmd": "reload"}, {"cmd": "history"},
                        {"cmd": "metrics"}, {"cmd": "nonsense"}):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(0.3)
                try:
                    s.connect(self.agent.socket)
                    s.sendall(json.dumps(request).encode() + b"\n")
                    unanswered += not s.recv(65536)
                except OSError:
                    unanswered += 1
        return unanswered

    def assert_well(self):
        """As before: both devices are read, and nothing of the spool is broken or lost."""
        for name in ("d", "e"):
            self.wait_health(name, "ok")
        before = self.device("d")["polls"]
        self.wait("the next polls", lambda: self.device("d")["polls"] >= before + 5)
        self.wait("the spool to be well", lambda: self.status()["spool"]["error"] is None)
        self.assertEqual(self.status()["spool"]["dropped"], 0)
        self.assertIsNone(self.status()["stuck"])

    def assert_all_kept(self):
        """Ended in order, every pack that was read is in the file: the numbers of an epoch have no hole."""
        self.stop()
        self.assertNotIn("sequence numbers", self.agent.said())
        self.agent.start()
        spool = self.status()["spool"]
        self.assertEqual((spool["dropped"], spool["error"]), (0, None))
        self.assertGreater(spool["disk_packs"], 0)
        return spool["disk_packs"]

    def test_descriptors_run_out_at_random_moments(self):
        self.two_buses()
        self.start()
        self.wait_health("e", "ok")
        seed = random.randrange(2**32)
        print("seed", seed)
        chance = random.Random(seed)
        refused = 0
        for _ in range(ROUNDS):
            there = len(os.listdir(f"/proc/{self.agent.process.pid}/fd"))
            self.limit(resource.RLIMIT_NOFILE, max(4, there + chance.randint(-6, 3)))
            end = time.monotonic() + chance.uniform(0.05, 0.3)
            refused += self.use()
            time.sleep(max(0, end - time.monotonic()))
            self.lift(resource.RLIMIT_NOFILE)
            self.assertTrue(self.agent.process.running(), "it has ended")
        self.reload()
        self.assert_well()
        self.assertGreater(refused, 0, "no limit was ever felt")
        packs = self.assert_all_kept()
        faults.told("F22", f"{ROUNDS} times without descriptors while in use: {refused} requests unanswered, then all as "
                           f"before, {packs} packs in the spool, none dropped")

    def test_few_descriptors_at_the_start_are_told(self):
        self.two_buses()
        self.write_config()
        ran = told = 0
        for soft in (8, 16, 20, 24, 64):
            if os.path.exists(self.agent.log):
                os.unlink(self.agent.log)
            self.agent.start(wrap=("prlimit", f"--nofile={soft}:{soft}"), wait=False)
            try:
                answers = wait_for("an answer, an end, or words", lambda: self.has_ended() or self.answers(soft), 20)
            finally:
                code = self.agent.stop()
            if answers == "ended":
                told += 1
                self.assertIn(code, (1, 78), read_text(self.agent.log)[-500:])
                self.assertTrue(read_text(self.agent.log).strip(), "it ended without a word")
            else:
                ran += 1
                self.assertEqual(code, 0)
        self.assertGreater(told, 0)
        self.assertGreater(ran, 0)

    def has_ended(self):
        return "ended" if not self.agent.process.running() else None

    def answers(self, soft):
        """It serves, or says that it has no descriptor for a client."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(0.5)
            try:
                s.connect(self.agent.socket)
                s.sendall(b'{"cmd":"status"}\n')
                if s.recv(1):
                    return "serves"
            except OSError:
                pass
        return "says so" if "cannot take a client: Too many open files" in self.agent.said() else None

    def test_memory_runs_out_while_it_is_in_use(self):
        self.two_buses()
        self.start()
        self.wait_health("e", "ok")
        ended = 0
        for n in range(ROUNDS // 5):
            size = int(read_text(f"/proc/{self.agent.process.pid}/statm").split()[0]) * os.sysconf("SC_PAGESIZE")
            # Below what it has: nothing more is to be had. A little above: some.
            self.limit(resource.RLIMIT_AS, size + (n % 4 - 1) * 128 * 1024)
            for _ in range(3):
                self.use()
            try:
                self.lift(resource.RLIMIT_AS)
            except ProcessLookupError:
                pass
            if not self.agent.process.running():
                ended += 1
                self.assertGreater(self.agent.process.popen.returncode, 0, read_text(self.agent.log)[-800:])
                self.agent.start()
        self.reload()
        self.assert_well()
        packs = self.assert_all_kept()
        faults.told("F24", f"{ROUNDS // 5} times no memory beyond what was mapped: ended {ended} times, never by a signal; "
                           f"{packs} packs in the spool, none dropped")

    def test_no_thread_is_to_be_had(self):
        self.two_buses()
        self.write_config()
        os.chmod(self.dir, 0o755)
        os.makedirs(self.agent.state, exist_ok=True)
        for path in (self.agent.state, self.agent.run, os.path.dirname(self.agent.conf), self.agent.conf):
            os.chown(path, NOBODY, NOBODY)
        wrap = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        self.agent.start(wrap=wrap)
        self.wait_health("e", "ok")
        # By its own user: root has not the right to it everywhere.
        limit = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "prlimit", f"--pid={self.agent.process.pid}")
        hard = read_text(f"/proc/{self.agent.process.pid}/limits").split("Max processes")[1].split()[1]
        subprocess.run([*limit, "--nproc=1:"], check=True)
        # A process for each reading of one device; the other has what it needs.
        self.wait("the device to be unread", lambda: self.device("e")["error"])
        before = self.device("d")["polls"]
        self.wait("the other to be read", lambda: self.device("d")["polls"] > before + 3)
        self.add_bus("more", "sim")
        self.add_device("m", "more", {"n": "counter"}, every="100ms")
        self.write_config()
        os.chown(self.agent.conf, NOBODY, NOBODY)
        self.ctl("reload")
        self.assertTrue(self.agent.process.running())
        subprocess.run([*limit, f"--nproc={hard}:"], check=True)
        self.reload()
        self.wait_health("m", "ok")
        self.assert_well()
        self.stop()

    def test_files_may_not_grow(self):
        self.two_buses()
        self.config["spool"] = {"memory": "4M"}
        self.start()
        self.wait("packs on the disk", lambda: self.status()["spool"]["disk_packs"] > 20)
        self.limit(resource.RLIMIT_FSIZE, os.stat(self.agent.state + "/spool.db").st_size // 2)
        self.wait("the spool to tell of it", lambda: self.status()["spool"]["error"])
        before = self.device("d")["polls"]
        self.wait("readings in memory", lambda: self.status()["spool"]["memory_packs"] > 20)
        self.wait("polls", lambda: self.device("d")["polls"] > before)
        spool = self.status()["spool"]
        self.lift(resource.RLIMIT_FSIZE)
        self.wait("the spool to be well", lambda: self.status()["spool"]["error"] is None, 90)
        # What has been read since the last commit is always in memory.
        self.wait("memory to be written",
                  lambda: self.status()["spool"]["disk_packs"] >= spool["disk_packs"] + spool["memory_packs"])
        self.assert_well()
        self.assert_all_kept()


class Surroundings(BusScenario):
    def one_device(self):
        self.add_bus("s", "sim")
        self.add_device("d", "s", {"n": "counter", "x": {"read": "constant 215", "scale": 0.1}}, every="50ms")
        self.write_config()

    def run_with(self, stderr, before=None, env=None, *arguments):
        """Not by the bench's own start: standard error is what the test wants."""
        def prepare():
            if before:
                before()
        self.agent.process = Launched(subprocess.Popen(self.agent.command(*arguments), stdin=subprocess.DEVNULL, stdout=stderr,
                                                       stderr=stderr, preexec_fn=prepare, env=env))
        wait_for("the agent's control socket", self.agent.answers)
        self.wait("readings", lambda: self.device("d")["polls"] > 5)

    def test_a_log_that_takes_nothing(self):
        self.one_device()
        with open("/dev/full", "wb") as full:
            self.run_with(full, None, None, "--debug")
            self.use_it()
            self.stop()

    def use_it(self):
        for _ in range(150):
            self.status()
        self.reload()
        before = self.device("d")["polls"]
        self.wait("polls", lambda: self.device("d")["polls"] > before + 5)

    def test_a_log_that_nobody_reads(self):
        self.one_device()
        reading, writing = os.pipe()
        try:
            # Each client is a line of the log.
            self.run_with(writing, None, None, "--debug")
            os.set_blocking(writing, False)
            filled = 0
            try:
                while True:
                    filled += os.write(writing, b"x" * 4096)
            except BlockingIOError:
                pass
            os.set_blocking(writing, True)
            self.use_it()
            os.set_blocking(reading, False)
            while filled > 0:
                filled -= len(os.read(reading, 65536))
            self.use_it()
            self.assertIn(b"lines are lost before this", os.read(reading, 1 << 20))
            self.stop()
        finally:
            os.close(reading)
            os.close(writing)

    def test_standard_files_that_are_closed(self):
        self.one_device()

        def close():
            for fd in (0, 1, 2):
                os.close(fd)
        self.run_with(None, close, None, "--debug")
        fds = f"/proc/{self.agent.process.pid}/fd/"
        self.assertEqual([os.readlink(fds + str(n)) for n in range(3)], ["/dev/null"] * 3)
        self.use_it()
        self.stop()
        for name in os.listdir(self.agent.state):
            path = os.path.join(self.agent.state, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.assertNotIn(b"control: client", file.read(), name)

    def test_an_odd_environment(self):
        self.one_device()
        env = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "LANG": "xx_XX.nonsense", "TZ": ":/dev/zero", "MALLOC_ARENA_MAX": "1",
               "NOTIFY_SOCKET": "/nowhere/at/all", "LISTEN_FDS": "7", "LISTEN_PID": "1", "WATCHDOG_USEC": "nonsense",
               **{f"HUGE_{n}": "x" * 100000 for n in range(15)}}
        with open(self.agent.log, "ab") as log:
            self.run_with(log, lambda: os.umask(0), env)
            self.assertEqual(self.value("d/x"), 21.5)
            for name in os.listdir(self.agent.state):
                mode = stat.S_IMODE(os.lstat(os.path.join(self.agent.state, name)).st_mode)
                self.assertEqual(mode & 0o027, 0, (name, oct(mode)))
            self.stop()


class Launched:
    """What gateway_bench.Process is, around a process that was started here."""

    def __init__(self, popen):
        self.popen, self.pid = popen, popen.pid

    def running(self):
        return self.popen.poll() is None

    def stop(self, seconds=20):
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(20)
        return self.popen.returncode


if __name__ == "__main__":
    assert os.path.exists(BUILD), BUILD
    main()
