#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""dep8.py TREE DEB SOURCE: the package's own tests, debian/tests of SOURCE, by autopkgtest on a booted systemd.

In a container as container.py makes it, with the tests' dependencies in TREE; autopkgtest runs inside, so that what it
takes for its testbed is that machine. Exits with 77, and the reason as last line, where it cannot run.
"""

import os
import shutil
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import container  # noqa: E402

SCRIPT = os.path.join(HERE, "dep8.py")
SKIPPED = 77
# What debian/tests/control asks for, and what autopkgtest does.
EXTRA = ("autopkgtest", "apt-utils", "dpkg-dev", "mosquitto", "mosquitto-clients", "openssl", "swtpm")
RUN_S = 900


def run_inside(tree, deb, source):
    container.settle()
    machine = container.Container([tree])
    try:
        shutil.copy(deb, machine.path("/root/"))
        shutil.copytree(source + "/packaging/debian", machine.path("/root/source/debian"))
        done = machine.run("autopkgtest", "-B", "--output-dir", "/root/out", "/root/" + os.path.basename(deb), "/root/source", "--", "null",
                           check=False, seconds=RUN_S)
        print(done.out)
        summary = machine.read("/root/out/summary")
        print(summary)
    finally:
        machine.end()
    # Skipped is not passed.
    verdicts = [line.split()[1] for line in summary.splitlines()]
    return 0 if done.code == 0 and len(verdicts) >= 3 and set(verdicts) == {"PASS"} else 1


def main(arguments):
    try:
        if arguments[0] == "--inside":
            return run_inside(*arguments[1:])
        if arguments[0] == "--fence":
            return container.fence(SCRIPT, *arguments[1:])
        tree, deb, source = (os.path.abspath(path) for path in arguments)
        container.PACKAGES += EXTRA
        container.make_tree(tree, deb)
        return container.enclosed(SCRIPT, tree, deb, source)
    except container.CannotRun as reason:
        print(reason)
        return SKIPPED


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
