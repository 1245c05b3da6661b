#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Small media with the whole agent: a disk that others fill, one without inodes, one that turns read-only.

Readings stay in memory, the status says why, and the agent comes back by itself; what was committed is there after a
restart, and of what had to go gap records tell. Needs loop devices and a mount namespace of its own; exits with 77 where
there are none."""

import os
import random
import sqlite3
import subprocess
import sys

import faults
from bus_bench import BusScenario, main

IMAGE_BYTES = 4 << 20
AGAIN_S = 75            # the longest pause between two tries, and some
NO_TRIGGER = "this kernel's file systems cannot be made to fail"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Medium:
    """An ext4 file system in a file, mounted where the state directory will be."""

    def __init__(self, bench, *options):
        self.image, self.at = bench.dir + "/medium", bench.agent.state
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-b", "1024", *options, self.image)
        os.makedirs(self.at, exist_ok=True)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop,errors=remount-ro", self.image, self.at)
        self.device = os.path.basename(run("findmnt", "-no", "SOURCE", self.at).strip())

    def end(self):
        subprocess.run(["umount", self.at], capture_output=True)

    def fill(self):
        """To the last block; the file that does it."""
        name = self.at + "/filler"
        with open(name, "wb", buffering=0) as file:
            size = 65536
            while size >= 1:
                try:
                    file.write(b"x" * size)
                except OSError:
                    size //= 2
            os.fsync(file.fileno())
        return name

    def take_inodes(self):
        names = []
        while True:
            name = f"{self.at}/inode-{random.getrandbits(60)}"
            try:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
            except OSError:
                return names
            names.append(name)


class Media(BusScenario):
    def setUp(self):
        super().setUp()
        self.add_bus("b", "sim")
        self.add_device("pump", "b", {f"p{i}": "random" for i in range(10)}, every="20ms")

    def medium(self, *options):
        return self.part(Medium(self, *options))

    def spool(self):
        return self.status()["spool"]

    def taking(self, more=5):
        """Waits until that many more packs are on the disk."""
        rows = self.spool()["disk_packs"]
        return self.wait("packs on the disk", lambda: self.spool()["disk_packs"] >= rows + more, AGAIN_S)

    def refused(self, words):
        """Waits until the medium refuses, and looks at how that is told; packs in memory by then."""
        spool = self.wait("an error of the medium", lambda: self.spool()["error"] and self.spool(), 30)
        self.assertRegex(spool["error"], words)
        self.wait("packs that stay in memory", lambda: self.spool()["memory_packs"] >= spool["memory_packs"] + 20)
        code, out, _ = self.ctl("spool")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?m)^error +.*\(for \d+ s.*; readings stay in memory\)$")
        self.assertEqual(self.device("pump")["failures"], 0)

    def back(self):
        since = self.spool()["error_s"]
        rows = self.spool()["disk_packs"]
        self.wait("the medium to take readings", lambda: not self.spool()["error"], AGAIN_S)
        # What has waited in memory, and what is read now.
        self.wait("packs on the disk", lambda: self.spool()["disk_packs"] >= rows + 20, AGAIN_S)
        return since

    def accounted(self):
        """Stops the agent; every number of each start is a row, or in a gap record. (rows, dropped)"""
        self.stop()
        db = sqlite3.connect(self.agent.state + "/spool.db")
        packs = db.execute("SELECT seq, gap, gap_first FROM pack ORDER BY seq").fetchall()
        dropped, = db.execute("SELECT value FROM counter WHERE name = 'dropped'").fetchone()
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        db.close()
        there, gone = set(), set()
        for seq, gap, first in packs:
            numbers = range(first, seq + 1) if gap else (seq,)
            self.assertEqual(len(numbers), gap or 1)
            self.assertTrue(there.isdisjoint(numbers))
            there.update(numbers)
            gone.update(numbers if gap else ())
        for epoch in {n >> 32 for n in there}:
            of = [n for n in there if n >> 32 == epoch]
            self.assertEqual(len(of), max(of) - min(of) + 1)
            self.assertEqual(min(of) & 0xFFFFFFFF, 0)
        self.assertEqual(len(gone), dropped)
        return len(there) - len(gone), dropped

    def test_a_disk_that_another_process_fills(self):
        medium = self.medium()
        self.start()
        self.taking(20)
        filler = medium.fill()
        self.refused("full|space")
        # What only memory has goes with the agent, which says so.
        self.assertEqual(self.agent.stop(), 1)
        self.assertIn("packs are lost, which neither the disk nor the broker has taken", self.agent.said())
        # It starts on the full disk, too, and keeps what it reads in memory: as far as it is allowed to.
        self.config["spool"] = {"memory": "64K"}
        self.start()
        self.wait("packs in memory", lambda: self.spool()["memory_packs"] >= 20)
        self.wait("drops", lambda: self.spool()["dropped"] >= 20, 60)
        held = self.spool()["memory_bytes"]
        self.assertLessEqual(held, 80 * 1024)
        os.unlink(filler)
        self.back()
        rows, dropped = self.accounted()
        self.assertGreater(dropped, 20)
        faults.told("F17", f"4 MB disk filled by another process, start on it: {rows} packs kept, {dropped} dropped and told, {held} bytes in memory")

    def test_a_disk_without_inodes(self):
        medium = self.medium("-N", "32")
        self.start()
        self.taking()
        names = medium.take_inodes()
        self.assertGreater(len(names), 2)
        self.taking()
        # The log of the last run went with it, and another cannot be made.
        self.stop()
        names = set(names + medium.take_inodes())
        self.start()
        self.refused("space|full|unable")
        for name in names:
            os.unlink(name)
        self.back()
        rows, dropped = self.accounted()
        self.assertEqual(dropped, 0)
        faults.told("F18", f"no inode left at the start: {rows} packs, none lost, back by itself when there are some")

    def test_a_disk_that_turns_read_only(self):
        medium = self.medium()
        trigger = f"/sys/fs/ext4/{medium.device}/trigger_fs_error"
        if not os.access(trigger, os.W_OK):
            self.skipTest(NO_TRIGGER)
        self.start()
        self.taking(20)
        committed = self.spool()["disk_packs"]
        try:
            with open(trigger, "w", encoding="ascii") as file:
                file.write("1")
        except OSError:
            self.skipTest(NO_TRIGGER)
        self.refused("I/O|read-?only")
        code = self.agent.stop()
        self.assertIn(code, (0, 1))
        medium.end()
        run("sh", "-c", f"e2fsck -fp {medium.image}; [ $? -lt 4 ]")
        medium.mount()
        self.start()
        self.taking()
        rows, dropped = self.accounted()
        self.assertGreaterEqual(rows, committed)
        self.assertEqual(dropped, 0)
        faults.told("F19", f"ext4 turned read-only: readings from memory, and after a repair all {committed} committed packs are there")


def able():
    """Whether a file system can be mounted; in a namespace of our own, so that nothing is left behind."""
    if os.environ.get("TIDEGATE_OWN_MOUNTS"):
        return
    probe = ("unshare", "-m", "--propagation", "private")
    if os.geteuid() != 0 or subprocess.run([*probe, "sh", "-c", "mount -t tmpfs x /mnt && [ -e /dev/loop-control ] && losetup -f"],
                                           capture_output=True).returncode:
        print("no file system can be mounted here")
        sys.exit(77)
    os.environ["TIDEGATE_OWN_MOUNTS"] = "1"
    os.execvp(probe[0], [*probe, sys.executable, *sys.argv])


if __name__ == "__main__":
    able()
    main()
