#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The clock shim moves the wall clock of a program, nothing else, and while it runs."""

import errno
import os
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SHIM = os.environ["TIDEGATE_CLOCK_SHIM"]
DAY = 86400
# Says the time in four ways for each line that it reads.
TELLER = """
import datetime, sys, time
for _ in sys.stdin:
    print(time.time(), datetime.datetime.now(datetime.timezone.utc).timestamp(), time.monotonic(),
          time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
"""
# Waits a quarter of a second, by the wall clock; all zeros is a condition, and a lock that we have.
WAITER = """
import ctypes, time
libc, condition, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
libc.pthread_mutex_lock(lock)
began, until = time.monotonic(), time.time() + 0.25
until = (ctypes.c_long * 2)(int(until), int(until % 1 * 1e9))
print(libc.pthread_cond_timedwait(condition, lock, until), time.monotonic() - began)
"""


class ClockShim(unittest.TestCase):
    def setUp(self):
        file, self.path = tempfile.mkstemp(prefix="tg-clock-")
        os.close(file)
        self.addCleanup(os.unlink, self.path)
        self.write(0)

    def write(self, seconds):
        file = os.open(self.path, os.O_WRONLY)
        os.pwrite(file, struct.pack("=q", int(seconds * 1e6)), 0)
        os.close(file)

    def teller(self, path=None):
        process = subprocess.Popen([sys.executable, "-c", TELLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env={"LD_PRELOAD": SHIM, **({"TIDEGATE_CLOCK_FILE": path} if path else {})})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.stdin.close)
        return process

    def ask(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]

    def assert_off_by(self, process, seconds):
        wall, date, monotonic, boot = self.ask(process)
        self.assertAlmostEqual(wall, time.time() + seconds, delta=30)
        self.assertAlmostEqual(date, wall, delta=30)
        self.assertAlmostEqual(monotonic, time.monotonic(), delta=30)
        self.assertAlmostEqual(boot, time.clock_gettime(time.CLOCK_BOOTTIME), delta=30)

    def test_the_clock_is_set_while_the_program_runs(self):
        process = self.teller(self.path)
        for seconds in (0, 730 * DAY, -730 * DAY, 40 * 365 * DAY, -0.25, 3600.75, 0):
            self.write(seconds)
            self.assert_off_by(process, seconds)

    def test_fractions_carry(self):
        process = self.teller(self.path)
        for seconds in (0.9, -0.9):
            self.write(seconds)
            for _ in range(50):
                before = time.time()
                wall = self.ask(process)[0]
                self.assertTrue(before + seconds - 0.001 <= wall <= time.time() + seconds + 0.001)

    def test_who_waits_until_a_time_of_day_waits_no_less(self):
        for seconds in (0, 730 * DAY, -730 * DAY):
            self.write(seconds)
            out = subprocess.run([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True, check=True, timeout=60,
                                 env={"LD_PRELOAD": SHIM, "TIDEGATE_CLOCK_FILE": self.path}).stdout.split()
            self.assertEqual(int(out[0]), errno.ETIMEDOUT)
            self.assertGreater(float(out[1]), 0.2)

    def test_1970(self):
        process = self.teller(self.path)
        self.write(100 - time.time())
        wall, date, _, _ = self.ask(process)
        self.assertAlmostEqual(wall, 100, delta=30)
        self.assertAlmostEqual(date, 100, delta=30)

    def test_without_a_file_it_changes_nothing(self):
        self.assert_off_by(self.teller(), 0)
        self.assert_off_by(self.teller("/nonexistent"), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
