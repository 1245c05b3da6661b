#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""booted.py TREE DEB [TEST...]: the package on a booted systemd, in a container; see container.py.

TREE is where the fresh Debian is made, once for each set of dependencies. Without tests, all of those in test_booted_*.py,
in two containers at a time; otherwise their names, as test_booted_life.Life. What failed is told where it did, and again at
the end. With "make" as the only one, the tree alone; with "probe", it is booted and looked at no further. Exits with 77, and
the reason as last line, where no container can run.
"""

import contextlib
import glob
import itertools
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
LINES, LINE = 3, 400      # of a failure's text, at the end of all that is said


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


def of_failure(text):
    """Of a traceback: which line of a test it was, and the beginning of what it said."""
    lines = text.strip().splitlines()
    places = [n for n, line in enumerate(lines) if line.startswith('  File "')] or [0]
    where = [lines[n].strip() for n in places if "/test_" in lines[n]]
    said = itertools.dropwhile(lambda line: line.startswith("  "), filter(None, lines[places[-1]:]))
    return "".join(f"    {line[:LINE]}\n" for line in where[-1:] + list(said)[:LINES])


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
    for test, text in result.failures + result.errors:
        print(f"failed: {test.id()}\n{of_failure(text)}", end="", flush=True)
    return 0 if result.wasSuccessful() and result.testsRun else 1


def all_tests(tree, deb):
    """Every module, in two containers at a time, as they wait more than they work; what they say comes one after the other."""
    names = sorted(os.path.basename(path)[:-3] for path in glob.glob(HERE + "/test_booted_*.py"))
    shares = [[n for n in names if n == "test_booted_traps"], [n for n in names if n != "test_booted_traps"]]
    begin, found, spent, results, failed = time.monotonic(), 0, 0, set(), []
    with contextlib.ExitStack() as stack:
        runs, ended = [], []

        def end():
            ended.append(True)
            for _, run in runs:
                run.terminate()

        container.when_told_to_end(end)
        for share in shares:
            out = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            runs.append((out, subprocess.Popen([sys.executable, SCRIPT, tree, deb, *share], stdin=subprocess.DEVNULL, stdout=out,
                                               stderr=subprocess.STDOUT,
                                               preexec_fn=lambda: container.die_with_parent(signal.SIGTERM))))
        if ended:       # while they were started
            end()
        for out, run in runs:
            code = run.wait()
            results.add(code)
            out.seek(0)
            said = out.read()
            told = re.findall(r"(?m)^failed: .*\n(?: {4}.*\n)*", said)
            # Such as when there is no container, or no end.
            failed += told if told or code in (0, SKIPPED) else [f"failed: exit {code} of {' '.join(run.args[4:])}\n"]
            found += sum(int(n) for n in re.findall(r"(?m)^Ran ([0-9]+) tests? in ", said))
            spent += sum(float(n) for n in re.findall(r"(?m)^([0-9.]+) s of the processors$", said))
            print(said, flush=True)
    print("".join(failed), end="")
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
