#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Modbus units on serial lines with real byte times: what the agent makes of a line, of a dead unit on it, of a pulled adapter.

One agent with several lines, each with a simulator of its own (tests/fakes/line/main.c), which notes on the wire when
each request came. All figures come from these notes, not from what the agent says of itself.
"""

import os
import sys
import time

import faults
from bus_bench import BUILD, BusScenario, main

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
from modbus_line import Line  # noqa: E402

PROGRAM = BUILD + "/tests/fakes/modbus-line"
CHARACTER_US = 11 * 1000000 / 9600
TIMEOUT_US = 300000
SECONDS = 12
EVERY_MS = {1: 600, 2: 800, 4: 1000}  # of the live units; 3 is dead


def starts(log, unit):
    return [row[0] for row in log if row[2] == unit]


def lateness(at, every_us):
    """How far the latest poll is behind its beat: polls stand on a grid, are never early, and its phase is not known."""
    return min(max((t - first) % every_us for t in at) for first in at)


class ModbusLine(BusScenario):
    def add_line(self, name, *arguments, **keys):
        link = self.path(name + "-adapter")
        line = Line(PROGRAM, "rtu", "--link", link, *arguments)
        self.addCleanup(line.close)
        self.add_bus(name, "modbus-rtu", port=link, baud=9600, **keys)
        return line

    def add_unit(self, line, bus, unit, points, **keys):
        line("unit", unit)
        self.add_device(f"{bus}{unit}", bus, points, unit=unit, **keys)

    def judge_four_units(self, log):
        """Mean interval of each live unit, and the poll that was latest against its own beat."""
        worst = 0.0
        for unit, every in EVERY_MS.items():
            at = starts(log, unit)
            mean = (at[-1] - at[0]) / (len(at) - 1) / 1000
            late = lateness(at, every * 1000) / 1000
            print(f"unit {unit}: every {every} ms, mean {mean:.1f} ms, deviation {100 * abs(mean / every - 1):.2f} %, "
                  f"latest poll {late:.1f} ms behind its beat")
            self.assertLess(abs(mean / every - 1), 0.1)
            worst = max(worst, late)
        return worst

    def judge_dead_unit(self, log, worst_ms):
        dead = starts(log, 3)
        print(f"dead unit: asked {len(dead)} times; latest poll of a live one {worst_ms:.1f} ms, its time-out "
              f"{TIMEOUT_US / 1000:.0f} ms")
        self.assertGreaterEqual(len(dead), 3)
        # No retries while it is backed off: they would come at once.
        self.assertGreater(min(b - a for a, b in zip(dead, dead[1:])), 2 * TIMEOUT_US)
        # Its time-out, its request, and two live ones that waited for the same and came first, 48 ms each on the wire.
        self.assertLess(worst_ms, TIMEOUT_US / 1000 + 8 * CHARACTER_US / 1000 + 2 * 60)

    def judge_floats(self, log):
        """How much of the time one poll after the other takes is taken by bytes."""
        at = starts(log, 1)
        self.assertEqual({row[5] for row in log}, {120}, "60 floats are one request")
        spans = [b - a for a, b in zip(at, at[1:])]
        share = (8 + 245) * CHARACTER_US / (sum(spans) / len(spans))
        print(f"60 floats: {len(at)} polls, {sum(spans) / len(spans) / 1000:.1f} ms each, {100 * share:.1f} % of the line, "
              f"{60e6 * len(spans) / sum(spans):.0f} floats a second")
        self.assertGreaterEqual(share, 0.85)

    def test_the_benchmark_of_a_line(self):
        four = self.add_line("four")
        for unit in (1, 2, 3, 4):
            self.add_unit(four, "four", unit, {f"p{i}": f"holding {i}" for i in range(10)}, timeout="300ms", retries=2,
                          backoff="2s", every=f"{EVERY_MS.get(unit, 500)}ms")
        four("dead", 3)
        full = self.add_line("full")
        self.add_unit(full, "full", 1, {f"f{i}": f"holding {2 * i} float32" for i in range(60)}, every="10ms",
                      timeout="1s")
        full("set", 1, "holding", 0, *["41ac", "0000"] * 60)
        self.start()
        self.wait_health("four3", "dead")
        self.wait_health("full1", "ok")
        # What waited while the dead one was asked again and again, at the beginning only, is read in a row now.
        time.sleep(1)
        before = [line.stats() for line in (four, full)]
        four.log(), full.log()
        time.sleep(SECONDS)
        log, floats = four.log(), full.log()
        after = [line.stats() for line in (four, full)]

        self.judge_dead_unit(log, self.judge_four_units(log))
        self.judge_floats(floats)
        for unit in EVERY_MS:
            self.assertEqual(self.device(f"four{unit}")["health"], "ok")
            self.assertEqual(self.value(f"four{unit}/p7"), 100 * unit + 7)
        self.assertEqual(self.value("full1/f59"), 21.5)
        # Nobody spoke while another did, or too soon behind.
        for a, b in zip(before, after):
            self.assertEqual([b[k] - a[k] for k in ("early", "collisions", "broken", "mismatched")], [0, 0, 0, 0])

    def test_an_adapter_that_is_pulled_out_and_back_and_a_line_at_another_speed(self):
        line = self.add_line("usb")
        for unit in (1, 2):
            self.add_unit(line, "usb", unit, {"x": "holding 5", "n": "input 6 int16"}, every="200ms", backoff="60s",
                          timeout="300ms")
        other = self.add_line("other", "--baud", 19200)
        self.add_unit(other, "other", 1, {"x": "holding 5"}, every="1s", timeout="300ms", retries=0)
        self.start()
        for name in ("usb1", "usb2"):
            self.wait_health(name, "ok")
        self.assertEqual({k: v["value"] for k, v in self.read("usb2").items()}, {"x": 205, "n": ~206})

        self.wait_health("other1", "dead")
        self.assertIn("9600 8E1", self.device("other1")["error"])
        self.assertGreater(other.stats()["mismatched"], 0)

        for _ in range(2):
            line("unplug")
            for name in ("usb1", "usb2"):
                self.wait_health(name, "dead")
                self.assertIn("not connected", self.device(name)["error"])
            self.assertEqual(self.read("usb1")["x"]["quality"], "bad")
            line("plug")
            plugged = time.monotonic()
            for name in ("usb1", "usb2"):
                self.wait_health(name, "ok")
            took = time.monotonic() - plugged
            print(f"back {took:.1f} s after it was plugged in")
            # Far less than the back-off of the devices; by the agent's own clock below 5 s.
            self.assertLess(took, 15)
            self.assertEqual(self.value("usb2/x"), 205)
        faults.told("F34", f"port of two units pulled out and put back twice: values again after {took:.1f} s")


if __name__ == "__main__":
    main()
