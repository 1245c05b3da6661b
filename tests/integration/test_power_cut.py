#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts by exhaustion: at every write, sync, rename, link, TPM command and word on the network of an identity's life.

    test_power_cut.py [--full] [--phase NAME]... [--jobs N] [--seed N] [--table FILE] [--at "POINT WORD"]... | --probe

For each phase a first run without a cut tells the points; then each of them is cut in a run of its own, on a fresh copy of disk and TPM,
and the gateway is started again until it has settled. What must hold then is in power_cut_judge.py. Without --full a sample is
taken: the same points each time, and a few that --seed chooses. --table writes what was found as Markdown; --at cuts there only.

The last part takes the syncs away: then the same judge must find fault with every cut, or it could not see a loss.
"""

import argparse
import collections
import multiprocessing
import multiprocessing.util
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

import faults  # noqa: E402
from gateway_bench import PR_SET_PDEATHSIG, LIBC  # noqa: E402
from power_cut_bench import Disk, enter_namespace  # noqa: E402
from power_cut_cuts import PHASES, Bench, Job, Row  # noqa: E402

FULL_MIN = 300              # cut points that an exhaustion has at least
MISSED_MAX = 0.05           # of the points may lie on a way that the second run does not take
SAMPLE, BY_CHANCE = 18, 4   # cuts of a phase without --full
PAIRS = {True: (10, 8), False: (2, 2)}      # full: how many first cuts, and second ones for each
UNSYNCED = {True: 12, False: 2}             # for each phase


def words_for(point):
    return ("before", "after", "torn") if point.split()[1] == "write" else ("before", "after")


def spread(items, count):
    """That many of them, evenly, with the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


# --- workers ------------------------------------------------------------------------------------------------------------------

bench = None


def begin_worker(parent):
    global bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    enter_namespace()
    bench = Bench(tempfile.mkdtemp(dir=parent))
    multiprocessing.util.Finalize(None, bench.end, exitpriority=10)


def points_of(name):
    return bench.points(PHASES[name])


def rows_of(job):
    try:
        return bench.rows(job)
    except Exception:       # a fault of the harness: told as such, and not taken for the gateway's
        return [Row(job, job.cuts, "broken", 0, [traceback.format_exc()])]


# --- which cuts ---------------------------------------------------------------------------------------------------------------

def chosen(cuts, options, chance):
    if options.full:
        return cuts
    fixed = spread(cuts, SAMPLE)
    rest = [c for c in cuts if c not in fixed]
    return fixed + chance.sample(rest, min(BY_CHANCE, len(rest)))


def unsynced(points, count):
    """Where the loss is certain: the certificate was written long ago, and all of it is still in memory only."""
    written = next((i for i, p in enumerate(points) if p.startswith("helper unlink identity/.pending/")), len(points))
    return [f"{p} before" for p in spread(points[written:], count)]


def jobs_for(pool, name, options, chance):
    points = pool.apply(points_of, (name,))
    cuts = [f"{p} {w}" for p in points for w in words_for(p)]
    firsts, seconds = PAIRS[options.full]
    print(f"{name}: {len(points)} points, {len(cuts)} cuts", flush=True)
    return ([Job(name, [c]) for c in chosen(cuts, options, chance)]
            + [Job(name, [c], seconds=seconds, seed=chance.random()) for c in spread(cuts[len(cuts) // 8:], firsts)]
            + [Job(name, [c], no_sync=True) for c in unsynced(points, UNSYNCED[options.full])])


# --- what was found -----------------------------------------------------------------------------------------------------------

def group_of(row):
    """What the table has one line for: the call and its object, whatever the occasion."""
    role, call, *rest = row.cuts[-1].split()
    return row.job.kind(), role, call, " ".join(rest[:-2])


def table(rows):
    groups = collections.defaultdict(collections.Counter)
    for row in rows:
        groups[group_of(row)].update([row.outcome, "all"] + (["again"] if row.again else []))
    head = ("phase", "process", "call", "object", "cuts", "settled", "another certificate", "not reached", "bad")
    body = [(*key, *(str(n[k]) for k in ("all", "ok", "again", "not reached")), str(n["bad"] + n["broken"]))
            for key, n in sorted(groups.items())]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    return [" | ".join(f"{cell:{width}}" for cell, width in zip(line, widths)) for line in [head, *body]]


def markdown(lines):
    cells = len(lines[0].split(" | "))
    return "\n".join(["| " + lines[0] + " |", "|" + "---|" * cells, *("| " + line + " |" for line in lines[1:])]) + "\n"


def tell(row):
    if row.outcome != "ok" and not (row.job.no_sync and row.outcome == "bad"):
        print(f"{row.outcome.upper()}: {row.job.kind()}: {', then '.join(row.cuts)}", *(f"  {c}" for c in row.complaints), sep="\n",
              flush=True)


def verdict(rows, options):
    """Why the test fails, if it does."""
    real = [r for r in rows if not r.job.no_sync]
    blind = [r for r in rows if r.job.no_sync and r.outcome == "ok"]
    count = collections.Counter(r.outcome for r in real)
    found = []
    print(f"{len(real)} cuts: {count['ok']} settled with one valid identity, {sum(r.again for r in real)} of them with another "
          f"certificate asked for; {count['not reached']} not reached, {count['bad']} bad; and "
          f"{sum(r.outcome == 'bad' for r in rows if r.job.no_sync)} of {len(rows) - len(real)} without syncs were seen to be bad")
    if count["bad"] or count["broken"] or any(r.outcome == "broken" for r in rows):
        found.append("there are bad rows")
    if count["not reached"] > max(2, MISSED_MAX * len(real)):
        found.append("too many points were not reached")
    if blind:
        found.append(f"without syncs nothing was found at {[r.cuts for r in blind]}")
    if options.full and not options.phase and count["ok"] < FULL_MIN:
        found.append(f"fewer than {FULL_MIN} cut points")
    if not count["ok"] and not options.at:
        found.append("nothing was cut")
    return found


def tell_faults(rows):
    """The TPM loses its power with each cut, and its lockout counter is looked at behind each."""
    enrolment, rotation = (sum((r.job.phase in ("rotation", "roll-back")) == late for r in rows) for late in (False, True))
    if enrolment:
        faults.told("F01", f"{enrolment} cuts: one valid identity or none behind each, none lost")
    if rotation:
        faults.told("F02", f"{rotation} cuts of rotations and roll-backs: old or new works behind each")
    faults.told("F04", f"{len(rows)} cuts of disk and TPM together: lockout counter 0 behind each")


def can_cut(directory):
    """Why this machine cannot play power cuts, or None."""
    if os.geteuid() != 0:
        return "needs root"
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            enter_namespace()
            disk = Disk(tempfile.mkdtemp(dir=directory))
            disk.make(disk.image)
            disk.power_on()
            disk.power_off()
            status = 0
        except OSError as error:
            print(error)
        os._exit(status)
    return "no loop-mounted ext4 here" if os.waitpid(pid, 0)[1] else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--phase", action="append", choices=PHASES)
    parser.add_argument("--jobs", type=int, default=min(3 * os.cpu_count(), 8), help="gateways at a time; they wait more than they work")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--table")
    parser.add_argument("--at", action="append")
    parser.add_argument("--probe", action="store_true", help="only say whether it can be done here")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = tempfile.mkdtemp(prefix="tg-cuts-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        why = can_cut(parent)
        if why:
            print(f"skipped: {why}")
            return 77
        return 0 if options.probe else perform(options, parent)
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def perform(options, parent):
    begin, chance, rows = time.monotonic(), random.Random(options.seed), []
    print(f"seed {options.seed}")
    pool = multiprocessing.Pool(options.jobs, begin_worker, (parent,))
    try:
        names = options.phase or list(PHASES)
        if options.at:
            jobs = [Job(name, [at]) for name in names for at in options.at]
        else:
            jobs = [job for name in names for job in jobs_for(pool, name, options, chance)]
        for n, some in enumerate(pool.imap(rows_of, jobs), 1):
            for row in some:
                tell(row)
            rows += some
            if n % 100 == 0:
                print(f"{n} of {len(jobs)}: {jobs[n - 1].kind()}, {time.monotonic() - begin:.0f} s", flush=True)
        pool.close()
        pool.join()
    finally:
        pool.terminate()
        pool.join()
    lines = table([r for r in rows if not r.job.no_sync])
    print(*lines, sep="\n")
    if options.table:
        with open(options.table, "w", encoding="utf-8") as file:
            file.write(markdown(lines))
    found = verdict(rows, options)
    print(f"{time.monotonic() - begin:.0f} s", *found, sep="\n")
    if not found and not options.at:
        tell_faults([r for r in rows if not r.job.no_sync])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
