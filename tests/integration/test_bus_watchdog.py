#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The watchdog: fed while every thread moves, withheld when one is stuck, and by nothing else.

The test is systemd: it has the notification socket. One thread of the agent at a time is held by ptrace, as a call that never returns
would. `--full` also waits for the link's thread, whose limit is the longest, and starves the agent for longer.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import faults
from bus_bench import BUILD, BusScenario, main, read_text

FULL = "--full" in sys.argv
if FULL:
    sys.argv.remove("--full")

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
FED = 2.5  # seconds between two meals, when all is well on a busy machine: one in a second, and another chance


def ptrace(request, tid):
    if LIBC.ptrace(request, tid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


class Notified:
    """What the agent tells systemd, with the time of each word."""

    def __init__(self, path):
        self.path, self.meals, self.lines = path, [], []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            if "WATCHDOG=1" in text:
                self.meals.append(time.monotonic())
            self.lines += [line[7:] for line in text.splitlines() if line.startswith("STATUS=")]

    def hungry(self):
        """Seconds since the last meal."""
        return time.monotonic() - self.meals[-1]

    def pauses(self, since):
        """The longest time without a meal since then, up to now."""
        times = [since, *(t for t in self.meals if t > since), time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))

    def end(self):
        self.socket.close()


class Watchdog(BusScenario):
    def launch(self):
        self.notified = self.part(Notified(self.path("notify")))
        os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"] = self.notified.path, "60000000"
        self.addCleanup(lambda: [os.environ.pop(k, None) for k in ("NOTIFY_SOCKET", "WATCHDOG_USEC")])
        self.add_bus("s", "sim")
        self.add_device("d", "s", {"n": "counter"}, every="100ms")
        # A bus that cannot be probed has the shortest limit.
        self.add_bus("x", "exec")
        self.add_device("e", "x", {"v": "v"}, command="/bin/echo v 7", every="200ms", timeout="1s")
        self.start()
        self.wait_health("d", "ok")
        self.wait("a meal", lambda: self.notified.meals)

    def thread(self, name):
        task = f"/proc/{self.agent.process.pid}/task"
        found = {read_text(f"{task}/{tid}/comm").strip(): int(tid) for tid in os.listdir(task)}
        return found[name] if name else self.agent.process.pid

    def hold(self, tid):
        ptrace(PTRACE_SEIZE, tid)
        ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)

    def assert_fed(self):
        before = len(self.notified.meals)
        self.wait("three meals", lambda: len(self.notified.meals) >= before + 3)
        self.assertIsNone(self.status()["stuck"])

    def stick(self, name, word, limit):
        """Holds a thread; the watchdog goes hungry within the limit, and the last line says who it is."""
        tid = self.thread(name)
        held = time.monotonic()
        self.hold(tid)
        try:
            self.wait(f"the watchdog to be hungry for {name or 'the loop'}", lambda: self.notified.hungry() > 4, limit + 10)
            hungry = max(0, self.notified.meals[-1] - held)
            if word:
                self.wait("the name", lambda: f"stuck: {word}" in self.notified.lines[-1])
                self.assertEqual(self.status()["stuck"], word)
        finally:
            ptrace(PTRACE_DETACH, tid)
        self.assertLess(hungry, limit + 3)
        self.wait("another meal", lambda: self.notified.hungry() < FED)
        self.wait("the name to go", lambda: "stuck" not in self.notified.lines[-1])
        self.assert_fed()
        return hungry

    def test_a_thread_that_is_stuck_is_named_and_starves_the_watchdog(self):
        self.launch()
        after = {"the loop": self.stick(None, None, 1)}
        after["a worker"] = self.stick("bus x", "x", 20)
        after["the spool"] = self.stick("spool", "spool", 30)
        if FULL:
            after["the link"] = self.stick("link", "link", 90)
        # What asks the TPM may hang with it, and costs nobody anything.
        tid = self.thread("tpm-watch")
        self.hold(tid)
        since = time.monotonic()
        try:
            time.sleep(5)
            pause = self.notified.pauses(since)
        finally:
            ptrace(PTRACE_DETACH, tid)
        self.assertLess(pause, FED)
        self.stop()
        faults.told("F40", "watchdog starved after " + ", ".join(f"{s:.0f} s by {who}" for who, s in after.items())
                    + "; named, and fed again")

    def test_an_agent_that_gets_little_of_the_processor_is_not_taken_for_stuck(self):
        self.launch()
        os.setpriority(os.PRIO_PROCESS, self.agent.process.pid, 19)
        for tid in os.listdir(f"/proc/{self.agent.process.pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(tid), 19)
        busy = [subprocess.Popen(["/usr/bin/python3", "-c", "while True: pass"]) for _ in range(4)]
        since = time.monotonic()
        try:
            time.sleep(20 if FULL else 6)
            pause = self.notified.pauses(since)
            stuck = [line for line in self.notified.lines if "stuck" in line]
        finally:
            for one in busy:
                one.kill()
                one.wait()
        self.assertEqual(stuck, [])
        self.assertLess(pause, 30, "half of WatchdogSec=")
        self.assertGreater(self.device("d")["polls"], 0)
        self.stop()
        faults.told("F25", f"nice 19 beside 4 busy loops for {20 if FULL else 6} s: longest pause of the watchdog {pause:.1f} s, "
                           "nothing named stuck")

    def test_an_agent_that_was_stopped_goes_on_without_a_burst(self):
        self.launch()
        seconds = 40 if FULL else 8
        self.agent.process.signal(signal.SIGSTOP)
        time.sleep(seconds)
        before = self.notified.meals[-1]
        self.agent.process.signal(signal.SIGCONT)
        self.wait("a meal", lambda: self.notified.meals[-1] > before)
        resumed = time.monotonic()
        polls = self.device("d")["polls"]
        time.sleep(2)
        rate = (self.device("d")["polls"] - polls) / (time.monotonic() - resumed)
        self.assertLess(rate, 15, "ten a second are configured")
        self.assertGreater(self.device("d")["skipped"], 0)
        self.assert_fed()
        self.stop()
        faults.told("F41", f"stopped for {seconds} s: watchdog fed again, polls go on at {rate:.0f} a second, the missed ones are "
                           "counted as skipped")


if __name__ == "__main__":
    assert os.path.exists(BUILD), BUILD
    main()
