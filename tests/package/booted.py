#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""booted.py TREE DEB [TEST...]: the package on a booted systemd, in a container; see container.py.

TREE is where the fresh Debian is made, once for each set of dependencies. Without tests, all of those in test_booted_*.py;
otherwise their names, as test_booted_life.Life. With "probe" as the only one, it boots the tree and looks no further. Exits
with 77, and the reason as last line, where it cannot run.
"""

import glob
import os
import sys
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
    names = names or sorted(os.path.basename(path)[:-3] for path in glob.glob(HERE + "/test_booted_*.py"))
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        result = unittest.TextTestRunner(verbosity=2, resultclass=TimedResult, stream=sys.stdout).run(suite)
    finally:
        gateway.World.site.end()
    return 0 if result.wasSuccessful() and result.testsRun else 1


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
        return container.enclosed(SCRIPT, tree, deb, *arguments[2:])
    except container.CannotRun as reason:
        print(reason)
        return SKIPPED


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
