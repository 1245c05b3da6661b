#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tests/machine/run.py [--boot] [NAME...]

Boots the machine that build.sh made and runs the scenarios of test_NAME.py in it, or all of them. With --boot it runs none:
it says how to reach the machine, which ends with a line (or the end) of standard input.
"""

import argparse
import glob
import os
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.append(os.path.join(HERE, "../integration"))     # faults.py
import bench    # noqa: E402


def names():
    return sorted(os.path.basename(path)[len("test_"):-len(".py")] for path in glob.glob(HERE + "/test_*.py"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boot", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName("test_" + name)
                               for name in options.names or names())
    began = time.monotonic()
    machine = bench.Machine()
    try:
        machine.start()
        machine.install()
        machine.keep()
        print(f"the machine is up after {time.monotonic() - began:.0f} s", flush=True)
        if options.boot:
            print(" ".join(machine.ssh("")).rstrip(), flush=True)
            sys.stdin.readline()
            return 0
        bench.Scenario.machine = machine
        result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
        return 0 if result.wasSuccessful() and result.testsRun else 1
    finally:
        machine.end()


if __name__ == "__main__":
    sys.exit(main())
