#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""booted.py TREE DEB [TEST...]: the package on a booted systemd, in a container; see container.py.

TREE is where the fresh Debian is made, once for each set of dependencies. Without tests, all of those in test_booted_*.py,
in two containers at a time; otherwise their names, as test_booted_life.Life. With "make" as the only one, the tree alone; with
"probe", it is booted and looked at no further. Exits with 77, and the reason as last line, where no container can run.
"""

import contextlib
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import container  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "booted.py")
SKIPPED = 77


class TimedResult(unittest.TextTestResult):
    """Tells what each test took."""

    def startTest(self, test):
        self.begin = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.stream.write(f"{time.monotonic() - self.begin:5.1f} s ")
        super().addSuccess(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.stream.writeln(self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.stream.writeln(self.errors[-1][1])

    def printErrors(self):
        """They have been told, each in its place."""


def run_tests(tree, deb, names):
    import gateway      # only here has the network what it needs

    container.settle()
    if names == ["probe"]:
        container.Container([tree]).end()
        return 0
    gateway.World.open(tree, deb)
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        result = unittest.TextTestRunner(verbosity=2, resultclass=TimedResult, stream=sys.stdout).run(suite)
    finally:
        gateway.World.site.end()
    return 0 if result.wasSuccessful() and result.testsRun else 1


def all_tests(tree, deb):
    """Every module, in two containers at a time, as they wait more than they work; what they say comes one after the other."""
    names = sorted(os.path.basename(path)[:-3] for path in glob.glob(HERE + "/test_booted_*.py"))
    shares = [[n for n in names if n == "test_booted_traps"], [n for n in names if n != "test_booted_traps"]]
    begin, found, spent, results = time.monotonic(), 0, 0, set()
    with contextlib.ExitStack() as stack:
        runs = []
        for share in shares:
            out = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            runs.append((out, subprocess.Popen([sys.executable, SCRIPT, tree, deb, *share], stdin=subprocess.DEVNULL, stdout=out,
                                               stderr=subprocess.STDOUT, preexec_fn=container.die_with_parent)))
        signal.signal(signal.SIGTERM, lambda *_: [run.terminate() for _, run in runs])
        for out, run in runs:
            results.add(run.wait())
            out.seek(0)
            said = out.read()
            found += sum(int(n) for n in re.findall(r"(?m)^Ran ([0-9]+) tests? in ", said))
            spent += sum(float(n) for n in re.findall(r"(?m)^([0-9.]+) s of the processors$", said))
            print(said, flush=True)
    print(f"{found} tests on a booted systemd in {time.monotonic() - begin:.0f} s, {spent:.0f} s of the processors")
    return 0 if results == {0} else SKIPPED if results == {SKIPPED} else 1


def main(arguments):
    sys.path.insert(0, HERE)
    try:
        if arguments[0] == "--inside":
            return run_tests(arguments[1], arguments[2], arguments[3:])
        if arguments[0] == "--fence":
            return container.fence(SCRIPT, *arguments[1:])
        tree, deb = (os.path.abspath(path) for path in arguments[:2])
        begin = time.monotonic()
        container.make_tree(tree, deb)
        print(f"a fresh Debian after {time.monotonic() - begin:.1f} s", flush=True)
        if arguments[2:] == ["make"]:
            return 0
        return container.enclosed(SCRIPT, tree, deb, *arguments[2:]) if arguments[2:] else all_tests(tree, deb)
    except container.CannotRun as reason:
        print(reason)
        return SKIPPED


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
