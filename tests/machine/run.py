#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tests/machine/run.py [--machines N] [--full] [--boot [SNAPSHOT]] [NAME...]

Boots the machine that build.sh made, installs the package from a local apt source, enrols it through its TPM, and runs the
scenarios of test_NAME.py in it, or all of them; with N machines beside each other, each with a world of its own; with --full also
those of which others say as much, by bits or in a cheaper ring. With --boot it runs none: it says how to reach the machine, in the state of a snapshot (booted, installed, enrolled), which ends with a line (or the
end) of standard input.
"""

import argparse
import concurrent.futures
import contextlib
import glob
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.append(os.path.join(HERE, "../integration"))     # faults.py
import bench    # noqa: E402
from world import World     # noqa: E402


FULL = "--full" in sys.argv
LINES, LINE = 3, 400      # of a failure's text, at the end of all that is said
LONGEST = ("documents", "power_cut", "service", "can", "reboot", "tpm", "clock", "apparmor")  # first, so that none is last


def names():
    found = sorted(os.path.basename(path)[len("test_"):-len(".py")] for path in glob.glob(HERE + "/test_*.py"))
    return [name for name in LONGEST if name in found] + [name for name in found if name not in LONGEST]


class Result(unittest.TextTestResult):
    """What the tests of a class took, and what came before its first one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.took, self.last, self.spent = {}, time.monotonic(), bench.Scenario.machine.spent()

    def stopTest(self, test):
        super().stopTest(test)
        now, name = time.monotonic(), f"{type(test).__module__}.{type(test).__qualname__}"
        self.took[name] = self.took.get(name, 0) + now - self.last
        spent = bench.Scenario.machine.spent()
        self.stream.writeln(f"{now - self.last:6.1f} s, {spent - self.spent:.1f} s of a processor")
        self.last, self.spent = now, spent


def prepare(machine, world, wanted):
    """The states that scenarios begin with; ends with the one that is wanted."""
    began = time.monotonic()
    machine.start()
    print(f"installed after {time.monotonic() - began:.0f} s", flush=True)
    if wanted in ("booted", "installed"):
        machine.reset(wanted)
        return
    enrol(machine, world)
    world.keep("enrolled")
    machine.keep("enrolled")
    print(f"enrolled after {time.monotonic() - began:.0f} s", flush=True)


def enrol(machine, world):
    """As a user does it, and far enough that the claim is of no more use."""
    scenario = bench.Scenario()
    scenario.config = world.config()
    world.give(machine)
    scenario.write_config()
    machine.run("tidegate check && systemctl start tidegate.service")
    scenario.wait_online(300)
    bench.wait_for("readings at the broker", lambda: world.subscriber.numbers())
    scenario.stop()


# --- several machines ---------------------------------------------------------------------------------------------------------

def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def is_chosen(test):
    """Not one that only --full runs."""
    return FULL or not getattr(getattr(test, test._testMethodName, None), "for_full", False)     # pylint: disable=protected-access


def run_one(name, out):
    """The scenarios of test_NAME.py: what became of them; all that is said goes to @out."""
    with contextlib.redirect_stdout(out):
        there = list(tests_of(unittest.defaultTestLoader.loadTestsFromName("test_" + name)))
        suite = unittest.TestSuite(filter(is_chosen, there))
        left = len(there) - suite.countTestCases()
        result = unittest.TextTestRunner(stream=out, verbosity=2, resultclass=Result).run(suite)
    return {"name": name, "ran": result.testsRun, "left": left, "good": result.wasSuccessful() and result.testsRun > 0,
            "failed": [(test.id(), text) for test, text in result.failures + result.errors],
            "skipped": [f"{test}: {why}" for test, why in result.skipped], "took": result.took}


def serve():
    """With one machine: a name a line on standard input, what became of it a line on what standard output was."""
    # Programs that are started here would read names, and write among the answers.
    wanted, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with machine_and_world("enrolled"):
        for line in wanted:
            out = io.StringIO()
            done = run_one(line.strip(), out)
            print(json.dumps({**done, "output": out.getvalue()}), file=answers, flush=True)


class Shard:
    """Such a process."""

    def __init__(self):
        self.popen = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--serve", *(["--full"] if FULL else [])], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, preexec_fn=lambda: bench.die_with_parent(signal.SIGTERM))

    def run(self, name):
        with contextlib.suppress(OSError, ValueError):
            self.popen.stdin.write(name + "\n")
            self.popen.stdin.flush()
            return json.loads(self.popen.stdout.readline())
        return {"name": name, "ran": 0, "left": 0, "good": False, "failed": [(name, "there is no machine")], "skipped": [], "took": {},
                "output": ""}

    def end(self):
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        self.popen.wait(300)
        self.popen.stdout.close()


def share_out(wanted, machines):
    """Each machine takes the next name when it is done with one; what they say is shown name by name."""
    shards = [Shard() for _ in range(machines)]
    waiting, done = list(wanted), []

    def work(shard):
        while waiting:
            done.append(shard.run(waiting.pop(0)))
            print(done[-1]["output"], flush=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(machines) as pool:
            try:
                list(pool.map(work, shards))
            except KeyboardInterrupt:
                waiting.clear()
                for shard in shards:
                    shard.popen.terminate()
                raise
    finally:
        for shard in shards:
            shard.end()
    return done


def of_failure(text):
    """The end of a traceback: who looks at the last lines of all shall see which assertion it was, and where."""
    lines = text.strip().splitlines()
    where = [line.strip() for line in lines if line.startswith("  File ") and "/test_" in line]
    return "".join(f"    {line[:LINE]}\n" for line in where[-1:] + lines[-LINES:])


def summary(done, seconds):
    """What is of most interest comes last."""
    for name, took in sorted(((n, t) for d in done for n, t in d["took"].items()), key=lambda pair: -pair[1]):
        print(f"{took:6.1f} s  {name}")
    for text in [text for d in done for text in d["skipped"]]:
        print(f"skipped: {text}")
    for test, text in [failure for d in done for failure in d["failed"]]:
        print(f"failed: {test}\n{of_failure(text)}", end="")
    bad = [d["name"] for d in done if not d["good"]]
    left = sum(d["left"] for d in done)
    print(f"Ran {sum(d['ran'] for d in done)} tests in {seconds:.0f} s" + (f"; {left} more with --full" if left else "") +
          (f", FAILED: {' '.join(bad)}" if bad else ""), flush=True)
    return 1 if bad or not done else 0


def interrupted(*_):
    """What unittest does not take for a test that failed."""
    raise KeyboardInterrupt


# --- main ---------------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def machine_and_world(wanted):
    bench.Scenario.machine = machine = bench.Machine()
    world = None
    try:
        bench.Scenario.world = world = World()
        prepare(machine, world, wanted)
        yield machine
    finally:
        machine.end()
        if world:
            world.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--boot", nargs="?", const="enrolled", choices=["booted", "installed", "enrolled"])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    if options.serve:
        serve()
        return 0
    if options.boot:
        with machine_and_world(options.boot) as machine:
            print(shlex.join(machine.ssh("")[:-1]), flush=True)
            sys.stdin.readline()
        return 0
    wanted, began = options.names or names(), time.monotonic()
    if options.machines > 1:
        # The first one would be the only one to boot and to install, and the others could wait for it.
        with machine_and_world("installed"):
            pass
        done = share_out(wanted, options.machines)
    else:
        with machine_and_world("enrolled"):
            done = [run_one(name, sys.stdout) for name in wanted]
    return summary(done, time.monotonic() - began)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(143)
