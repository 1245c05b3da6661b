# SPDX-License-Identifier: Apache-2.0
"""Whether the promise was kept, judged from what was written down outside of the gateway. Pure: lines in, complaints out.

Four logs, one record a line, times in seconds of CLOCK_BOOTTIME of one machine:

    read.log        read TIME DEVICE NUMBER VALUE           the source has answered; it numbers the readings of a device from 1
    promise.log     commit BEGIN END                        the spool's file was synced, as seen at the system call
                    acked TIME DEVICE NUMBER                the broker has acknowledged it
    arrived.log     session                                 a connection of the gateway begins, in the order of arrival
                    pack TIME DEVICE STREAM SEQ NUMBER VALUE
                    gap TIME DEVICE STREAM SEQ COUNT FIRST LAST
    faults.log      start TIME                              of the gateway
                    kill TIME | cut TIME                    of the gateway, or of its power
                    stop TIME STATUS                        told to end, and its exit status
                    held BEGIN END                          not running in between: SIGSTOP, or a machine that stalled
                    aside DEVICE FIRST LAST                 told to be set aside, by sequence numbers
                    end TIME WAITING BYTES                  drained: packs that still wait in the spool, size of its file
                    any other word                          for people

What is promised: a reading that the gateway was given long enough before it died, counted in time that it was running: a commit
interval, the longest commit that was measured around that time, and what a reading may take from the source to the spool. Or that
was acknowledged, was there at an orderly stop, or at the end.

What must hold: all that is promised has arrived, or a gap or the set-aside has it; first deliveries rise within a device and
stream; nothing arrived that was not read, or altered, or under two numbers; at the end the spool is empty; duplicates come
only in another session than the first delivery, and no more than the window, and after a death what may not have been deleted.

An empty log proves nothing, and is a complaint.
"""

import bisect
import collections
import dataclasses
import functools
import itertools

TOLD = 5                # complaints of one kind that are spelt out
NEAR = 10               # seconds around a death, in which commits tell how long one may have taken
ENDS = ("kill", "cut", "stop", "end")


@dataclasses.dataclass(frozen=True)
class Terms:
    """What the gateway is configured to promise, and what the bench allows for."""

    commit_interval: float
    handling: float             # from the source's answer to the spool's memory, at most
    window: int                 # in flight
    delete_delay: float = 1     # until acknowledged rows are deleted
    empty_packs: int = 0        # may wait at the end: what is just being published
    empty_bytes: int = 1 << 62  # the spool's file at the end
    bounded: bool = False       # limits were reached: gaps are to be expected
    promised_min: float = 0.5   # of what was read; a run that promises less has tested something else


@dataclasses.dataclass(frozen=True)
class Pack:
    time: float
    device: str
    stream: str
    seq: int
    number: int
    value: str
    session: int


@dataclasses.dataclass(frozen=True)
class Gap:
    time: float
    device: str
    stream: str
    seq: int
    count: int
    first: int
    last: int


def records(lines, kinds, what):
    """(word, rest) of each line; a last line without its end is what a kill leaves."""
    for line in lines:
        word, *rest = line.split()
        if kinds and word not in kinds:
            raise ValueError(f"{what}: {line!r}")
        yield word, rest


class Judge:
    def __init__(self, terms):
        self.terms = terms
        self.read = collections.defaultdict(dict)       # device -> number -> (time, value)
        self.commits, self.acked = [], set()
        self.packs, self.gaps, self.sessions = [], [], 0
        self.faults, self.held, self.aside, self.ending = [], [], [], None
        self.found = collections.defaultdict(list)

    # --- intake ------------------------------------------------------------------------------------------------------

    def take_read(self, lines):
        for _, (time, device, number, value) in records(lines, ("read",), "read.log"):
            readings = self.read[device]
            if int(number) != len(readings) + 1:
                self.complain("the source's log has a hole", device, number)
            readings[int(number)] = (float(time), value)

    def take_promise(self, lines):
        for word, rest in records(lines, ("commit", "acked"), "promise.log"):
            if word == "commit":
                self.commits.append((float(rest[0]), float(rest[1])))
            else:
                self.acked.add((rest[1], int(rest[2])))
        self.commits.sort()

    def take_arrived(self, lines):
        for word, rest in records(lines, ("session", "pack", "gap"), "arrived.log"):
            if word == "session":
                self.sessions += 1
                continue
            time, device, stream, seq = float(rest[0]), rest[1], rest[2], int(rest[3])
            if word == "pack":
                self.packs.append(Pack(time, device, stream, seq, int(rest[4]), rest[5], self.sessions))
            else:
                self.gaps.append(Gap(time, device, stream, seq, *map(int, rest[4:7])))

    def take_faults(self, lines):
        for word, rest in records(lines, (), "faults.log"):
            if word == "held":
                self.held.append((float(rest[0]), float(rest[1])))
            elif word == "aside":
                self.aside.append((rest[0], int(rest[1]), int(rest[2])))
            elif word in ("start", *ENDS):
                self.faults.append((float(rest[0]), word, rest[1:]))
                if word == "end":
                    self.ending = self.faults[-1]
        self.faults.sort(key=lambda fault: fault[0])
        self.held.sort()

    def complain(self, kind, *what):
        self.found[kind].append(" ".join(map(str, what)))

    # --- what was promised -------------------------------------------------------------------------------------------

    @functools.cached_property
    def idle(self):
        """(beginnings, ends, time held before each), of what was held, without overlaps."""
        merged = []
        for begin, end in self.held:
            if merged and begin <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([begin, end])
        return ([b for b, _ in merged], [e for _, e in merged],
                list(itertools.accumulate((e - b for b, e in merged), initial=0)))

    def held_before(self, time):
        begins, ends, sums = self.idle
        at = bisect.bisect_right(begins, time)
        return sums[at] - max(0, ends[at - 1] - time) if at else 0

    def ran(self, begin, end):
        """How long the gateway was running in between."""
        return end - begin - self.held_before(end) + self.held_before(begin)

    def longest_commit(self, near=None):
        return max((self.ran(begin, end) for begin, end in self.commits if near is None or abs(begin - near) < NEAR), default=0)

    def lives(self):
        """(start, end, how): each life of the gateway; at an orderly stop and at the end everything counts."""
        start = None
        for time, word, rest in self.faults:
            if word == "start":
                start = time
            elif start is not None:
                orderly = word == "end" or (word == "stop" and rest == ["0"])
                yield start, time, "orderly" if orderly else word
                start = None

    def promised_until(self, start, end, how):
        """Readings of this life up to then are promised."""
        patience = self.terms.handling
        if how != "orderly":
            patience += self.terms.commit_interval + self.longest_commit(end)
        return self.before(end, patience, start)

    def before(self, time, patience, floor):
        """The latest instant from which the gateway ran for at least @patience until @time."""
        low, high = floor, time
        if self.ran(floor, time) < patience:
            return floor
        for _ in range(50):
            middle = (low + high) / 2
            if self.ran(middle, time) >= patience:
                low = middle
            else:
                high = middle
        return low

    def promised(self):
        found, order = set(self.acked), {}
        for device, readings in self.read.items():
            order[device] = [readings[n][0] for n in sorted(readings)]
        for start, end, how in self.lives():
            until = self.promised_until(start, end, how)
            for device, times in order.items():
                first, last = bisect.bisect_left(times, start), bisect.bisect_right(times, until)
                found.update((device, n + 1) for n in range(first, last))
        return found

    # --- what must hold ----------------------------------------------------------------------------------------------

    def judge(self):
        """The complaints; none: the promise was kept."""
        self.judge_logs()
        promised = self.promised()
        self.judge_packs()
        self.judge_order()
        self.judge_loss(promised)
        self.judge_duplicates()
        self.judge_end()
        until = self.ending[0] if self.ending else float("inf")
        total = sum(time <= until for readings in self.read.values() for time, _ in readings.values())
        if len(promised) < self.terms.promised_min * total or not promised:
            self.complain("too little was promised", f"{len(promised)} of {total} readings")
        self.figures = {"read": total, "promised": len(promised), "arrived": len({p.seq for p in self.packs}),
                        "duplicates": len(self.packs) - len({p.seq for p in self.packs}), "sessions": self.sessions,
                        "commits": len(self.commits), "longest_commit_s": round(self.longest_commit(), 3)}
        return [f"{kind}: {'; '.join(what[:TOLD])}" + (f" and {len(what) - TOLD} more" if len(what) > TOLD else "")
                for kind, what in self.found.items()]

    def judge_logs(self):
        for name, there in (("nothing was read", self.read), ("nothing arrived", self.packs), ("no session", self.sessions),
                            ("no start", any(f[1] == "start" for f in self.faults))):
            if not there:
                self.complain("a log is empty", name)
        died = any(f[1] in ("kill", "cut") for f in self.faults)
        if died and not self.commits and not self.acked:
            self.complain("a log is empty", "no commit although the gateway was killed")

    def judge_packs(self):
        by_seq, by_number = {}, {}
        for pack in self.packs:
            what = (pack.device, pack.number, pack.value)
            if by_seq.setdefault(pack.seq, what) != what:
                self.complain("a number with two readings", pack.seq, by_seq[pack.seq], what)
            elif by_number.setdefault(what[:2], pack.seq) != pack.seq:
                self.complain("a reading with two numbers", *what[:2], by_number[what[:2]], pack.seq)
            known = self.read.get(pack.device, {}).get(pack.number)
            if not known:
                self.complain("invented", pack.device, pack.number, "under", pack.seq)
            elif known[1] != pack.value:
                self.complain("altered", pack.device, pack.number, known[1], "to", pack.value)
        last = {}
        for (device, number), seq in sorted(by_number.items()):
            if seq <= last.get(device, 0):
                self.complain("numbers against the order of reading", device, number, seq)
            last[device] = seq

    def judge_order(self):
        last, seen = {}, set()
        for pack in self.packs:
            key = (pack.device, pack.stream)
            if pack.seq not in seen and pack.seq <= last.get(key, 0):
                self.complain("out of order", *key, last[key], "before", pack.seq)
            if pack.seq not in seen:
                last[key] = pack.seq
            seen.add(pack.seq)

    def judge_loss(self, promised):
        arrived = collections.defaultdict(dict)
        for pack in self.packs:
            arrived[pack.device].setdefault(pack.number, pack.seq)
        missing = {d: sorted(set(readings) - set(arrived[d])) for d, readings in self.read.items()}
        excused = self.excused(arrived, missing)
        for device, number in sorted(promised):
            if number not in arrived[device] and (device, number) not in excused:
                self.complain("lost", device, number, f"read at {self.time_of(device, number):.3f}")

    def time_of(self, device, number):
        return self.read.get(device, {}).get(number, (0, ""))[0]

    def excused(self, arrived, missing):
        """What gaps and the set-aside account for; complains of gaps that say what is not so."""
        found, told = set(), set()
        for gap in self.gaps:
            if not self.terms.bounded:
                self.complain("a gap without a reason", gap)
            inside = [seq for seq in arrived[gap.device].values() if seq in (gap.first, gap.last)]
            between = self.between(arrived[gap.device], missing.get(gap.device, []), gap.first, gap.last)
            if inside or len(between) < gap.count or gap.count < 1 or not gap.first <= gap.seq == gap.last:
                self.complain("a gap that lies", gap, f"{len(between)} are missing there")
            if (gap.device, gap.seq) not in told:
                left = [n for n in between if (gap.device, n) not in found]
                found.update((gap.device, n) for n in left[:gap.count])
                told.add((gap.device, gap.seq))
        for device, first, last in self.aside:
            found.update((device, n) for n in self.between(arrived[device], missing.get(device, []), first, last))
        return found

    @staticmethod
    def between(arrived, missing, first, last):
        """Missing readings that can have had those sequence numbers, by those of their neighbours."""
        numbers = sorted(arrived)
        seqs = [arrived[n] for n in numbers]
        at, to = bisect.bisect_left(seqs, first), bisect.bisect_right(seqs, last)
        low = numbers[at - 1] if at else 0
        high = numbers[to] if to < len(numbers) else 1 << 62
        return [n for n in missing if low < n < high]

    def judge_duplicates(self):
        first, again, latest = {}, collections.Counter(), {}
        for pack in self.packs:
            if pack.seq not in first:
                first[pack.seq] = pack.session
            elif latest[pack.seq] == pack.session:
                self.complain("a duplicate within a session", pack.device, pack.seq, f"session {pack.session}")
            else:
                again[pack.session] += 1
            latest[pack.seq] = pack.session
        for session, count in sorted(again.items()):
            allowed = self.terms.window + self.undeleted(session)
            if count > allowed:
                self.complain("too many duplicates", f"{count} in session {session}, where {allowed} are allowed")

    def undeleted(self, session):
        """What had arrived before this session and may not have been deleted when the gateway died since."""
        at = bisect.bisect_left(self.packs, session, key=lambda p: p.session)
        since = self.packs[at - 1].time if at else 0
        for time, word, _ in self.faults:
            delay = self.terms.delete_delay + self.longest_commit(time) + self.terms.handling
            # The last of the session before may have come before the death, or have been on its way.
            if word in ("kill", "cut") and since - delay <= time <= self.packs[at].time:
                recent = itertools.takewhile(lambda p: self.ran(min(p.time, time), time) <= delay, reversed(self.packs[:at]))
                return sum(1 for _ in recent)
        return 0

    def judge_end(self):
        if not self.ending:
            self.complain("the run has no end", "nobody waited until it was drained")
            return
        waiting, size = map(int, self.ending[2])
        if waiting > self.terms.empty_packs or size > self.terms.empty_bytes:
            self.complain("the spool is not empty", f"{waiting} packs wait, its file has {size} bytes")
