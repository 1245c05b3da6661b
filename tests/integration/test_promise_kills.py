#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The promise under random kills, faults of the line and power cuts, with 150 readings a second.

    test_promise_kills.py [--full] [--events N] [--cuts N] [--jobs N] [--seed N] [--only WORKER] [--keep DIR]

Each worker is a gateway with everything around it (promise_bench.py), and a list of events that --seed shuffles: the agent is killed,
told to end, held; the line stalls, loses, dribbles, alters, ends in every way; broker and TPM are killed; the configuration is
read again; the clock is set; and the power fails. Events do not wait for each other: the line may be broken while the agent is killed.
In the last quarter of the list nobody kills the agent, so that its memory can be watched. In the end everything works again,
and the judge (promise_judge.py) looks at what was written down.

Two more workers: one whose syncs do nothing, and the judge must find what the power cut took; and one that is held for longer than
the broker waits.

Exit 77: this machine cannot play power cuts.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

import faults  # noqa: E402
from gateway_bench import BUILD, die_with_parent, wait_for  # noqa: E402
from power_cut_bench import enter_namespace  # noqa: E402
from promise_bench import DEVICES, EVERY_MS, KEEP_ALIVE, WINDOW, Bench, boot  # noqa: E402
from test_power_cut import can_cut  # noqa: E402

SAMPLE, FULL = (40, 10), (1600, 400)        # events, and power cuts, of all workers
STOP_MAX = 5                # seconds that the agent may take to end
GROWTH_MAX_KIB = 2048       # of the agent between the first events without a kill and the last
SESSION_WAIT = 4            # seconds for a session after a start; on a broken line there is none
PAUSE = 0.4                 # between events, on average
HOUR, DAY = 3600, 86400


# --- events -----------------------------------------------------------------------------------------------------------

class Events:
    """What may happen. Each method is one event; `weights` says how often, of each hundred."""

    weights = {"kill": 12, "term": 7, "hold": 8, "hold_and_kill": 3, "stall": 6, "stall_up": 3, "stall_down": 3, "swallow_up": 3,
               "swallow_down": 4, "swallow": 3, "reset": 5, "close": 3, "half_close": 3, "dribble": 3, "delay": 3, "corrupt": 3,
               "cut_after": 4, "refuse": 2, "accept_and_close": 2, "broker": 5, "tpm": 6, "reload": 4, "clock": 5}
    fatal = ("kill", "term", "hold_and_kill", "cut")

    def __init__(self, bench, chance):
        self.bench, self.chance = bench, chance
        self.stops = []

    def some(self, most):
        return self.chance.random() * most

    def direction(self):
        return self.chance.choice(("up", "down", "both"))

    def again(self):
        """Mostly until there is a session: a line that is broken already cannot be broken."""
        wanted = self.chance.random() < 0.75
        if wanted:
            self.bench.proxy.pass_on()
        self.bench.start()
        if wanted:
            end = time.monotonic() + SESSION_WAIT
            while time.monotonic() < end and not self.bench.online():
                time.sleep(0.05)

    def before_death(self):
        """Often the line has failed shortly before: silently, or so that the agent knows."""
        how = self.chance.choice(("stall", "swallow", "swallow_down", "refuse", None, None))
        if how:
            getattr(self, how)()
            time.sleep(self.some(1.5))

    def kill(self):
        self.before_death()
        self.bench.kill()
        time.sleep(self.some(0.3))
        self.again()

    def term(self):
        self.before_death()
        status, seconds = self.bench.stop()
        assert status == 0, f"told to end, it ended with {status}"
        self.stops.append(seconds)
        self.again()

    def hold(self):
        self.bench.hold(0.05 + self.some(2))

    def hold_and_kill(self):
        self.bench.hold(0.05 + self.some(0.5), then_kill=True)
        self.again()

    def cut(self):
        self.before_death()
        self.bench.cut()
        self.again()

    def stall(self):
        self.bench.proxy.stall()

    def stall_up(self):
        self.bench.proxy.stall("up")

    def stall_down(self):
        self.bench.proxy.stall("down")

    def swallow(self):
        self.bench.proxy.swallow()

    def swallow_up(self):
        self.bench.proxy.swallow("up")

    def swallow_down(self):
        self.bench.proxy.swallow("down")

    def reset(self):
        self.bench.proxy.reset()

    def close(self):
        self.bench.proxy.close()

    def half_close(self):
        self.bench.proxy.half_close(self.direction())

    def dribble(self):
        self.bench.proxy.dribble(self.direction(), self.chance.choice((1, 30, 500)))

    def delay(self):
        self.bench.proxy.delay(self.some(1), self.direction())

    def corrupt(self):
        self.bench.proxy.corrupt(self.chance.randrange(8000), self.direction(), 1 << self.chance.randrange(8))

    def cut_after(self):
        how = self.chance.choice(("reset", "close", "stall", "swallow", "half_close"))
        self.bench.proxy.cut_after(1 + self.chance.randrange(8000), self.direction(), how)

    def refuse(self):
        self.bench.proxy.refuse()
        self.bench.proxy.reset()

    def accept_and_close(self):
        self.bench.proxy.accept_and_close(self.chance.choice(("close", "reset")))
        self.bench.proxy.reset()

    def broker(self):
        self.bench.kill_broker(self.some(0.5))

    def tpm(self):
        self.bench.tpm.kill()
        time.sleep(self.some(0.5))
        self.bench.tpm.start()

    def reload(self):
        self.bench.in_flight = self.chance.randrange(4, WINDOW + 1)
        self.bench.keep_alive = self.chance.choice((KEEP_ALIVE, 2 * KEEP_ALIVE))
        self.bench.configure()
        self.bench.gateway.process.signal(signal.SIGHUP)

    def clock(self):
        self.bench.set_clock(self.chance.choice((0, -HOUR, HOUR, 2 * DAY, -400 * DAY, -0.5)))


def draw(chance, count, kinds):
    """Each kind, where there are enough, and the rest by weight."""
    weights = {kind: weight for kind, weight in Events.weights.items() if kind in kinds}
    some = list(weights)
    chance.shuffle(some)
    return some[:count] + chance.choices(list(weights), list(weights.values()), k=max(0, count - len(some)))


def plans(chance, events, cuts, jobs):
    """For each worker its events, and how many of them there are before the last quarter, where none ends the agent."""
    quiet = [kind for kind in Events.weights if kind not in Events.fatal]
    last = events // 4
    first, then = draw(chance, events - last, Events.weights) + ["cut"] * cuts, draw(chance, last, quiet)
    chance.shuffle(first)
    return [(first[n::jobs] + then[n::jobs], len(first[n::jobs])) for n in range(jobs)]


# --- workers ----------------------------------------------------------------------------------------------------------

def random_kills(bench, options):
    """Everything at random."""
    chance = random.Random(options.seed)
    names, quiet = options.names.split(), options.quiet
    events, rss, begin = Events(bench, chance), [], boot()
    bench.start()
    bench.wait_online()
    for n, name in enumerate(names):
        bench.faults.add("note", f"{boot():.6f}", name)
        if chance.random() < 0.4 and name not in ("stall", "swallow"):
            bench.proxy.pass_on()
        getattr(events, name)()
        if not bench.gateway.process.running():
            raise AssertionError(f"the agent ended by itself with {bench.gateway.process.popen.returncode} at {name}")
        if n >= quiet:
            rss.append(bench.gateway.rss_kib())
        time.sleep(min(3, chance.expovariate(1 / PAUSE)))
        if n % 50 == 49:
            print(f"{n + 1} of {len(names)} events, {boot() - begin:.0f} s", file=sys.stderr, flush=True)
    bench.finish()
    found, figures = bench.judge()
    rss.append(bench.gateway.rss_kib())
    spool = bench.gateway.status()["spool"]
    if spool["dropped"] or spool["set_aside"]:
        found.append(f"dropped {spool['dropped']}, set aside {spool['set_aside']}")
    bench.stop()
    early, late = max(rss[:1 + len(rss) // 4]), rss[-1]
    if late - early > GROWTH_MAX_KIB:
        found.append(f"memory has grown from {early} to {late} KiB in {len(rss)} events")
    deaths = sum(names.count(kind) for kind in Events.fatal)
    if figures["commits"] < deaths:
        found.append(f"{figures['commits']} commits were synced, and {deaths} deaths survived by chance")
    if max(events.stops, default=0) > STOP_MAX:
        found.append(f"told to end, it took {max(events.stops):.1f} s")
    lockout = bench.tpm.lockout_counter()
    if lockout:
        found.append(f"the TPM's lockout counter is {lockout}")
    figures.update(events=dict(collections.Counter(names)), rss_begin_kib=early, rss_end_kib=late, rss_events=len(rss),
                   slowest_stop_s=round(max(events.stops, default=0), 2), lockout=lockout)
    return found, figures


def without_syncs(bench, _):
    """Committed, and the power fails: where nothing is really synced, the judge must see what is gone."""
    bench.start()
    bench.wait_online()
    bench.stop()
    bench.gateway.no_sync = True
    bench.proxy.refuse()
    bench.start()
    time.sleep(4)
    bench.cut()
    bench.gateway.no_sync = False
    bench.proxy.pass_on()
    bench.start()
    bench.finish()
    found, figures = bench.judge()
    kinds = [complaint.partition(":")[0] for complaint in found]
    if "lost" not in kinds:
        return [f"without syncs nothing was seen to be lost: {found}"], figures
    return [], {**figures, "seen": found}


def held(bench, _):
    """Held for longer than the broker waits: one new session, and no device is polled in a burst."""
    bench.start()
    bench.wait_online()
    time.sleep(1)
    found, seconds = [], 2 * bench.keep_alive
    sessions = len(bench.proxy.records)
    bench.hold(seconds)
    begin = boot()
    wait_for("another session", lambda: len(bench.proxy.records) > sessions, 60)
    bench.wait_online()
    back = boot() - begin
    time.sleep(2)
    made = len(bench.proxy.records) - sessions
    with bench.source.lock:
        times = [float(line.split()[1]) for line in bench.source.log.lines]
    first = sum(begin <= t < begin + 1 for t in times)
    expected = DEVICES * 1000 // EVERY_MS
    if made != 1:
        found.append(f"{made} connections were made after it had been held")
    if first > expected + 2 * DEVICES:
        found.append(f"{first} polls in the first second, where {expected} are due")
    bench.finish()
    complaints, figures = bench.judge()
    bench.stop()
    return found + complaints, {**figures, "held_s": seconds, "connections": made, "polls": first, "due": expected,
                                "online_after_s": round(back, 1)}


WORKERS = {"kills": random_kills, "unsynced": without_syncs, "held": held}


def work(options):
    """One worker, in a process of its own; its last line is what it has found."""
    enter_namespace()
    bench, found, figures = None, [], {}
    try:
        bench = Bench(options.dir, keep_alive=5 if options.worker == "held" else KEEP_ALIVE)
        found, figures = WORKERS[options.worker](bench, options)
    except Exception:       # whatever it is: the test fails, and the logs are kept
        found = [traceback.format_exc()]
    finally:
        if bench:
            if found and options.keep:
                bench.keep(f"{options.keep}/{options.worker}-{options.seed}")
            if found:
                print(bench.gateway.said()[-6000:], flush=True)
            bench.end()
    print(json.dumps([found, figures]), flush=True)


# --- the whole --------------------------------------------------------------------------------------------------------

def begin_worker(options, parent, name, seed, names=(), quiet=0):
    command = [sys.executable, os.path.abspath(__file__), "--worker", name, "--dir", tempfile.mkdtemp(dir=parent), "--seed", str(seed),
               "--names", " ".join(names), "--quiet", str(quiet)]
    if options.keep:
        command += ["--keep", options.keep]
    with open(f"{command[5]}.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                   preexec_fn=die_with_parent, env={**os.environ, "TIDEGATE_BUILD": BUILD})
    return name, seed, process, log.name


def end_worker(worker, left):
    """(name, complaints, figures)."""
    name, seed, process, log = worker
    try:
        out, _ = process.communicate(timeout=left)
        found, figures = json.loads(out.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        process.kill()
        out, _ = process.communicate()
        found, figures = [f"no result: {error!r}"], {}
    if found:
        with open(log, encoding="utf-8", errors="replace") as file:
            print(f"--- {name} {seed}:", out[-8000:], file.read()[-4000:], sep="\n")
    print(f"{name} {seed}:", json.dumps(figures), *(f"  BAD {f}" for f in found), sep="\n" if found else " ", flush=True)
    return name, found, figures


def tell(results):
    kills = [figures for name, _, figures in results if name == "kills"]
    count = collections.Counter()
    for figures in kills:
        count.update(figures["events"])
        count.update({k: figures[k] for k in ("read", "promised", "arrived", "duplicates", "sessions")})
    ends = count["kill"] + count["hold_and_kill"]
    start = max(f["slowest_start_s"] for f in kills)
    stop = max(f["slowest_stop_s"] for f in kills)
    growth = max(f["rss_end_kib"] - f["rss_begin_kib"] for f in kills)
    lossy = count["swallow_down"] + count["stall_down"]
    print(f"{sum(f['rss_events'] for f in kills)} events without a kill of the agent: memory {growth:+} KiB at most")
    faults.told("F03", f"{count['cut']} power cuts at random: {count['promised']} promised readings, none lost")
    faults.told("F04", f"TPM cut with the power {count['cut']} times, killed {count['tpm']} times: lockout counter "
                       f"{max(f['lockout'] for f in kills)}")
    faults.told("F05", f"kill -9 {ends} times: nothing promised lost, slowest start {start:.2f} s")
    faults.told("F11", f"acknowledgements lost or late {lossy} times: sent again, {count['duplicates']} duplicates in "
                       f"{count['sessions']} sessions")
    faults.told("F24", f"kill -9, as the kernel does without memory, {ends} times: promise kept")
    faults.told("F38", f"SIGTERM {count['term']} times: exit 0 within {stop:.2f} s, nothing read lost")
    for name, _, figures in results:
        if name == "held":
            faults.told("F41", f"held {figures['held_s']} s: {figures['connections']} new session, {figures['polls']} polls in the "
                               f"first second, {figures['due']} due")


def perform(options, parent):
    begin = time.monotonic()
    events, cuts = FULL if options.full else SAMPLE
    events = events if options.events is None else options.events
    cuts = cuts if options.cuts is None else options.cuts
    jobs = options.jobs or (4 if options.full else 2)
    print(f"seed {options.seed}", flush=True)
    workers = []
    if options.only in (None, "kills"):
        workers += [begin_worker(options, parent, "kills", options.seed + n, *plan)
                    for n, plan in enumerate(plans(random.Random(options.seed), events, cuts, jobs))]
    for name in ("unsynced", "held"):
        if options.only in (None, name):
            workers.append(begin_worker(options, parent, name, options.seed))
    end = begin + 300 + 4 * (events + cuts) / jobs
    results = [end_worker(worker, max(1, end - time.monotonic())) for worker in workers]
    bad = sum(bool(found) for _, found, _ in results)
    print(f"{events} events and {cuts} power cuts in {time.monotonic() - begin:.0f} s: {bad} of {len(results)} workers complain")
    if bad == 0 and not options.only:
        tell(results)
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--events", type=int)
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only", choices=WORKERS)
    parser.add_argument("--keep", help="where the logs of a worker that complains are kept")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--dir", help=argparse.SUPPRESS)
    parser.add_argument("--names", default="", help=argparse.SUPPRESS)
    parser.add_argument("--quiet", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.worker:
        return work(options)
    parent = tempfile.mkdtemp(prefix="tg-promise-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        why = can_cut(parent)
        if why:
            print(f"skipped: {why}")
            return 77
        return perform(options, parent)
    finally:
        shutil.rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
