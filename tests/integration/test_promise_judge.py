#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The judge of the promise finds each kind of error that is planted in its logs, and none in clean ones."""

import sys
import unittest

sys.dont_write_bytecode = True

from promise_judge import Judge, Terms  # noqa: E402

TERMS = Terms(commit_interval=1, handling=0.1, window=4, delete_delay=1, empty_packs=2, empty_bytes=100000)
EPOCH = 1 << 32
DEVICES = ("a", "b")
KILL = 60.0             # of the first life, which began at 10; the second begins at 62
END = 120.0


def value(device, number):
    return f"{device}{number * 7919 % 1000}"


class Logs:
    """Two devices are read each second from 10 to 119; the gateway is killed at 60, and loses what it may."""

    def __init__(self):
        self.read, self.commits, self.arrived = [], [], ["session"]
        self.faults = ["start 10", f"kill {KILL}", "start 62", f"end {END} 0 4096"]
        numbers, counts = {1: 0, 2: 0}, dict.fromkeys(DEVICES, 0)
        packs = {1: [], 2: []}
        for second in range(10, 119):
            if KILL <= second < 62:
                continue
            epoch = 1 if second < KILL else 2
            for device in DEVICES:
                counts[device] += 1
                numbers[epoch] += 1
                time = second + 0.5
                self.read.append(f"read {time} {device} {counts[device]} {value(device, counts[device])}")
                packs[epoch].append((time, device, (epoch * EPOCH) + numbers[epoch], counts[device]))
            self.commits.append(f"commit {second + 0.9} {second + 0.95}")
        # The last ones before the kill were not committed, and are not promised.
        self.commits.remove("commit 59.9 59.95")
        for time, device, seq, number in packs[1][:-2]:
            self.put(time + 0.1, device, "live", seq, number)
        self.arrived.append("session")
        for time, device, seq, number in packs[2]:
            self.put(time + 0.1, device, "live", seq, number)

    def put(self, time, device, stream, seq, number):
        self.arrived.append(f"pack {time} {device} {stream} {seq} {number} {value(device, number)}")

    def pack(self, device, number):
        """Where in arrived.log it is."""
        return next(i for i, line in enumerate(self.arrived) if line.split()[0] == "pack"
                    and (line.split()[2], int(line.split()[5])) == (device, number))

    def words(self, index, **changes):
        names = ("kind", "time", "device", "stream", "seq", "number", "value")
        words = dict(zip(names, self.arrived[index].split()), **{k: str(v) for k, v in changes.items()})
        return " ".join(words.values())

    def complaints(self, terms=TERMS):
        judge = Judge(terms)
        judge.take_read(self.read)
        judge.take_promise(self.commits)
        judge.take_arrived(self.arrived)
        judge.take_faults(self.faults)
        self.found = judge.judge()
        self.figures = judge.figures
        return self.found


class Promise(unittest.TestCase):
    def setUp(self):
        self.logs = Logs()

    def assert_clean(self, terms=TERMS):
        self.assertEqual(self.logs.complaints(terms), [])

    def assert_found(self, *kinds, terms=TERMS):
        """These complaints, and no others."""
        self.assertEqual(sorted(c.partition(":")[0] for c in self.logs.complaints(terms)), sorted(kinds), self.logs.found)

    # --- clean -------------------------------------------------------------------------------------------------------

    def test_clean_logs_pass(self):
        self.assert_clean()
        self.assertEqual(self.logs.figures["read"], 214)
        self.assertEqual(self.logs.figures["promised"], 212)
        self.assertEqual(self.logs.figures["duplicates"], 0)

    def test_the_window_may_come_again_in_another_session(self):
        at = self.logs.arrived.index("session", 1)
        again = [self.logs.arrived[at - n] for n in (4, 3, 2, 1)]
        self.logs.arrived[at + 1:at + 1] = again
        self.assert_clean()
        self.assertEqual(self.logs.figures["duplicates"], 4)

    def test_after_a_kill_what_was_not_deleted_may_come_again(self):
        at = self.logs.arrived.index("session", 1)
        # The window, and what had arrived in the last two seconds: four packs and two.
        again = [self.logs.words(i, time=62.55) for i in range(at - 6, at)]
        self.logs.arrived[at + 1:at + 1] = again
        self.assert_found("too many duplicates")
        slow = Terms(**{**TERMS.__dict__, "delete_delay": 2})
        self.assert_clean(slow)
        self.logs.arrived.insert(at + 1, self.logs.words(at - 7, time=62.55))
        self.assert_found("too many duplicates", terms=slow)
        self.logs.arrived.pop(at + 1)
        self.logs.faults[1] = "stop 60 1"
        self.assert_found("too many duplicates", terms=slow)

    def test_what_the_gateway_slept_through_does_not_count(self):
        """Read at 58.5, held from 58.6 to 59.9: it has run for 0.2 s before the kill."""
        self.logs.commits.remove("commit 58.9 58.95")
        last = max(int(line.split()[5]) for line in self.logs.arrived if line.startswith("pack 58.6"))
        for device in DEVICES:
            self.logs.arrived.pop(self.logs.pack(device, last))
        self.assert_found("lost")
        self.logs.faults.append("held 58.55 59.9")
        self.assert_clean()

    def test_what_is_held_twice_counts_once(self):
        judge = Judge(TERMS)
        judge.take_faults(["held 10 20", "held 12 14", "held 15 25", "held 30 31", "held 40 41"])
        for begin, end, ran in ((0, 10, 10), (0, 50, 33), (13, 26, 1), (19, 30.5, 5), (26, 29, 3), (30.25, 30.75, 0), (0, 0, 0)):
            self.assertAlmostEqual(judge.ran(begin, end), ran)

    def test_a_gap_accounts_for_what_is_missing(self):
        where = self.logs.pack("a", 20)
        seq = int(self.logs.arrived[where].split()[4])
        first = int(self.logs.arrived[self.logs.pack("a", 19)].split()[4])
        self.logs.arrived[where] = f"gap 29.7 a live {seq} 2 {first} {seq}"
        self.logs.arrived.pop(self.logs.pack("a", 19))
        bounded = Terms(**{**TERMS.__dict__, "bounded": True})
        self.assert_clean(bounded)
        self.assert_found("a gap without a reason")

    def test_what_was_set_aside_is_not_lost(self):
        where = self.logs.pack("b", 30)
        seq = int(self.logs.arrived[where].split()[4])
        self.logs.arrived.pop(where)
        self.assert_found("lost")
        self.logs.faults.append(f"aside b {seq} {seq}")
        self.assert_clean()

    # --- planted errors ----------------------------------------------------------------------------------------------

    def test_lost(self):
        for device, number in (("a", 1), ("b", 25), ("a", 49), ("b", 51), ("a", 107)):
            self.logs = Logs()
            self.logs.arrived.pop(self.logs.pack(device, number))
            self.assert_found("lost")
            self.assertIn(f"{device} {number} ", self.logs.found[0])

    def test_a_slow_medium_takes_its_time_but_not_for_ever(self):
        """Read at 58.5; a kill at 60 leaves 1.1 s of commit interval and handling, and 0.4 s for the commit."""
        last = max(int(line.split()[5]) for line in self.logs.arrived if line.startswith("pack 58.6"))
        self.logs.arrived.pop(self.logs.pack("a", last))
        self.assert_found("lost")
        self.logs.commits.append("commit 45 45.5")
        self.assert_found("lost")
        self.logs.commits.append("commit 55 55.5")
        self.assert_clean()

    def test_lost_although_acknowledged(self):
        self.logs.commits.append("acked 59.8 a 50")
        self.assert_found("lost")

    def test_lost_at_an_orderly_stop(self):
        self.logs.faults[1] = f"stop {KILL} 0"
        self.assert_found("lost")
        self.logs.faults[1] = f"stop {KILL} 1"
        self.assert_clean()

    def test_out_of_order(self):
        a, b = self.logs.pack("a", 30), self.logs.pack("a", 31)
        self.logs.arrived[a], self.logs.arrived[b] = self.logs.arrived[b], self.logs.arrived[a]
        self.assert_found("out of order")

    def test_another_stream_has_an_order_of_its_own(self):
        a, b = self.logs.pack("a", 30), self.logs.pack("a", 31)
        self.logs.arrived[a] = self.logs.words(a, stream="replay")
        self.logs.arrived[a], self.logs.arrived[b] = self.logs.arrived[b], self.logs.arrived[a]
        self.assert_clean()

    def test_invented(self):
        self.logs.put(119, "a", "live", 2 * EPOCH + 5000, 5000)
        self.assert_found("invented")

    def test_invented_under_an_unknown_device(self):
        self.logs.put(119, "c", "live", 2 * EPOCH + 5000, 1)
        self.assert_found("invented")

    def test_altered(self):
        at = self.logs.pack("b", 40)
        self.logs.arrived[at] = self.logs.words(at, value="b1")
        self.assert_found("altered")

    def test_a_number_with_two_readings(self):
        at, other = self.logs.pack("a", 40), self.logs.pack("a", 41)
        self.logs.arrived[other] = self.logs.words(other, seq=self.logs.arrived[at].split()[4])
        self.assert_found("a number with two readings", "a duplicate within a session")

    def test_a_reading_with_two_numbers(self):
        at = self.logs.pack("a", 107)
        self.logs.arrived.append(self.logs.words(at, seq=2 * EPOCH + 9999))
        self.assert_found("a reading with two numbers")

    def test_numbers_against_the_order_of_reading(self):
        at, other = self.logs.pack("a", 40), self.logs.pack("a", 41)
        seqs = [self.logs.arrived[i].split()[4] for i in (at, other)]
        lines = [self.logs.words(at, seq=seqs[1]), self.logs.words(other, seq=seqs[0])]
        self.logs.arrived[at], self.logs.arrived[other] = lines
        self.assert_found("numbers against the order of reading", "out of order")

    def test_a_duplicate_without_a_reason(self):
        self.logs.arrived.append(self.logs.arrived[-1])
        self.assert_found("a duplicate within a session")

    def test_too_many_duplicates(self):
        at = self.logs.pack("a", 90)
        self.logs.arrived[at:at] = ["session", *self.logs.arrived[at - 5:at]]
        self.assert_found("too many duplicates")
        self.logs.arrived.pop(at + 1)
        self.assert_clean()

    def test_gaps_that_lie(self):
        bounded = Terms(**{**TERMS.__dict__, "bounded": True})
        at = self.logs.pack("a", 20)
        seq = int(self.logs.arrived[at].split()[4])
        for gap in (f"gap 29.7 a live {seq} 1 {seq} {seq}",                 # it has arrived
                    f"gap 29.7 a live {seq - 1} 1 {seq - 1} {seq - 1}",     # nothing is missing
                    f"gap 29.7 a live {seq - 1} 0 {seq - 1} {seq - 1}",
                    f"gap 29.7 b live {seq} 1 {seq} {seq}"):
            self.logs = Logs()
            self.logs.arrived.insert(at + 1, gap)
            self.assert_found("a gap that lies", terms=bounded)
        self.logs = Logs()
        self.logs.arrived[at] = f"gap 29.7 a live {seq} 3 {seq} {seq}"      # one is missing, three are told
        self.assert_found("a gap that lies", terms=bounded)

    def test_a_gap_does_not_account_for_more_than_it_says(self):
        bounded = Terms(**{**TERMS.__dict__, "bounded": True})
        seqs = [int(self.logs.arrived[self.logs.pack("a", n)].split()[4]) for n in (19, 20)]
        for number in (18, 19):
            self.logs.arrived.pop(self.logs.pack("a", number))
        self.logs.arrived[self.logs.pack("a", 20)] = f"gap 29.7 a live {seqs[1]} 2 {seqs[0]} {seqs[1]}"
        self.assert_found("lost", terms=bounded)

    def test_a_spool_that_is_not_empty(self):
        for waiting, size in ((3, 4096), (0, 200000)):
            self.logs.faults[-1] = f"end {END} {waiting} {size}"
            self.assert_found("the spool is not empty")

    # --- logs that prove nothing -------------------------------------------------------------------------------------

    def test_empty_logs_prove_nothing(self):
        for name in ("read", "commits", "arrived", "faults"):
            self.logs = Logs()
            setattr(self.logs, name, [])
            self.assertTrue(self.logs.complaints(), name)
        empty = Logs()
        empty.read = empty.commits = empty.arrived = empty.faults = []
        self.assertGreaterEqual(len(empty.complaints()), 3)

    def test_without_an_end_nobody_waited(self):
        self.logs.faults.pop()
        self.assertIn("the run has no end", [c.partition(":")[0] for c in self.logs.complaints()])

    def test_a_run_that_promises_little_proves_nothing(self):
        self.logs.faults = ["start 10", "kill 11", f"start {END - 2}", f"end {END} 0 4096"]
        self.assert_found("too little was promised")

    def test_a_hole_in_the_log_of_the_source_is_found(self):
        self.logs.read.pop(50)
        self.assertIn("the source's log has a hole", [c.partition(":")[0] for c in self.logs.complaints()])

    def test_lines_that_it_does_not_know_are_refused(self):
        self.logs.arrived.append("pakc 1 a live 1 1 x")
        with self.assertRaises(ValueError):
            self.logs.complaints()


if __name__ == "__main__":
    unittest.main(verbosity=2)
