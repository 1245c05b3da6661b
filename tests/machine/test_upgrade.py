# SPDX-License-Identifier: Apache-2.0
"""A newer package comes while the gateway publishes, by apt, as it does at night."""

import glob
import os
import subprocess
import tempfile

import faults
from machine import BUILT, PACKAGES
from scenes import FINE, System

NEWER = "+again"


def newer(directory):
    """The same package under a higher version, and its index."""
    [package] = glob.glob(BUILT + "/packages/bookworm/tidegate_*_arm64.deb")
    tree = directory + "/tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    with open(tree + "/DEBIAN/control", encoding="utf-8") as file:
        control = file.read()
    with open(tree + "/DEBIAN/control", "w", encoding="utf-8") as file:
        file.write("".join(line.rstrip("\n") + NEWER + "\n" if line.startswith("Version: ") else line
                           for line in control.splitlines(keepends=True)))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, directory + "/tidegate-newer.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    return directory + "/tidegate-newer.deb"


class Upgrade(System):
    SPOILS = True
    EVERY = "200ms"

    def version(self):
        return self.machine.run("dpkg-query -W -f '${Version} ${Status}' tidegate").split()

    def test_nothing_is_lost_when_apt_replaces_the_package(self):
        with tempfile.TemporaryDirectory(prefix="tg-newer-") as directory:
            self.machine.copy([newer(directory)], PACKAGES)
        self.add_source()
        self.go_online()
        self.wait_packs(20)
        before, pid, version = self.ask("status"), self.unit("MainPID"), self.version()
        configuration = self.machine.run("sha256sum /etc/tidegate/tidegate.conf")
        read = self.source.number
        self.machine.run(f"DEBIAN_FRONTEND=noninteractive apt-get -q -y install {PACKAGES}/tidegate-newer.deb", seconds=300)
        self.assertEqual(self.version(), [version[0] + NEWER, "install", "ok", "installed"])
        self.assertNotEqual(self.unit("MainPID"), pid, "the new program runs")
        self.assertGreater(self.source.number, read, "it went on reading until the last moment")
        self.assertRegex(self.wait_fine(), FINE)
        self.wait_packs(20)
        total = self.wait_all_numbers()
        after = self.ask("status")
        self.assertEqual(after["identity"]["serial"], before["identity"]["serial"])
        self.assertEqual(self.machine.run("sha256sum /etc/tidegate/tidegate.conf"), configuration)
        self.assertEqual(len({p.epoch for p in self.packs()}), 2)
        self.assertEqual(self.machine.run("systemctl is-system-running").strip(), "running")
        faults.told("F43", f"apt upgrades the package under traffic: {total} of {total} readings arrived, same identity")
