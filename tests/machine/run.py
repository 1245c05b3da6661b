#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tests/machine/run.py [--boot [SNAPSHOT]] [NAME...]

Boots the machine that build.sh made, installs the package from a local apt source, enrols it through its TPM, and runs the
scenarios of test_NAME.py in it, or all of them. With --boot it runs none: it says how to reach the machine, in the state of a
snapshot (booted, installed, enrolled), which ends with a line (or the end) of standard input.
"""

import argparse
import glob
import os
import shlex
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.append(os.path.join(HERE, "../integration"))     # faults.py
import bench    # noqa: E402
from world import World     # noqa: E402


def names():
    return sorted(os.path.basename(path)[len("test_"):-len(".py")] for path in glob.glob(HERE + "/test_*.py"))


class Result(unittest.TextTestResult):
    """What the tests of a class took, and what came before its first one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.took, self.last = {}, time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        now, name = time.monotonic(), f"{type(test).__module__}.{type(test).__qualname__}"
        self.took[name] = self.took.get(name, 0) + now - self.last
        self.last = now


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
    scenario.wait_online()
    bench.wait_for("readings at the broker", lambda: world.subscriber.numbers())
    scenario.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boot", nargs="?", const="enrolled", choices=["booted", "installed", "enrolled"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName("test_" + name)
                               for name in options.names or names())
    bench.Scenario.machine = machine = bench.Machine()
    bench.Scenario.world = world = World()
    try:
        prepare(machine, world, options.boot)
        if options.boot:
            print(shlex.join(machine.ssh("")[:-1]), flush=True)
            sys.stdin.readline()
            return 0
        runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
        result = runner.run(suite)
        for name, seconds in sorted(result.took.items(), key=lambda item: -item[1]):
            print(f"{seconds:6.1f} s  {name}")
        return 0 if result.wasSuccessful() and result.testsRun else 1
    finally:
        machine.end()
        world.end()


if __name__ == "__main__":
    sys.exit(main())
