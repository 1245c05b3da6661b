#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every file of the state directory, damaged in every way: the agent starts, reads and spools, and keeps what is no file of its.

Each way is tried on all files at once; with --full, on one file after the other."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import faults
from bus_bench import BUILD, BusScenario, main

FILES = ("spool.db", "seq-epoch", "commands", "totals/pump.txt", "last-time")
FULL = "--full" in sys.argv
NOBODY = 65534


def empty(path):
    os.truncate(path, 0)


def half(path):
    os.truncate(path, os.path.getsize(path) // 2)


def zeros(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.write(bytes(size))


def one_bit(path):
    with open(path, "r+b") as file:
        # In the middle of a short one, in the header of the spool.
        at = min(os.path.getsize(path) // 2, 20)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def rubbish(path):
    with open(path, "wb") as file:
        file.write(os.urandom(5000))


def directory(path):
    os.unlink(path)
    os.mkdir(path)


def symlink(path):
    os.rename(path, path + ".elsewhere")
    os.symlink(path + ".elsewhere", path)


# A number that cannot be trusted, but must never repeat, is not guessed: the agent refuses to start, and says which file.
REFUSED = {(directory, "seq-epoch"), (symlink, "seq-epoch")}
# Nor is a command executed while nobody can say which were before.
NO_COMMANDS = {(directory, "commands"), (symlink, "commands")}
WAYS = (empty, half, zeros, one_bit, rubbish, directory, symlink)


class BadFiles(BusScenario):
    def setUp(self):
        super().setUp()
        self.add_bus("b", "sim")
        self.add_device("pump", "b", {"value": "random", "valve": {"read": "constant 0", "write": "yes"},
                                      "count": {"read": "counter", "counter": "32"}}, every="50ms", totals_interval="1s")
        self.good, self.state = self.path("good"), self.agent.state

    def fill(self):
        """A state directory with every file in it."""
        self.start()
        self.wait("packs on the disk", lambda: self.status()["spool"]["disk_packs"] >= 10)
        self.ctl("write", "pump/valve", "1")
        self.stop()
        os.rename(self.state, self.good)
        if not os.path.exists(self.good + "/last-time"):
            # The agent saves a time that a service has confirmed; here there may be none.
            with open(self.good + "/last-time", "w", encoding="ascii") as file:
                file.write(f"1 {int(time.time())} 1000000 {'0' * 32}\n")
        for name in FILES:
            self.assertGreater(os.path.getsize(f"{self.good}/{name}"), 0, name)

    def rows(self):
        db = sqlite3.connect(f"file:{self.good}/spool.db?mode=ro", uri=True)
        n, = db.execute("SELECT count(*) FROM pack").fetchone()
        db.close()
        return n

    def numbers(self):
        """Of the packs in the spool: the first and the last."""
        db = sqlite3.connect(f"file:{self.state}/spool.db?mode=ro", uri=True)
        found = [n for n, in db.execute("SELECT seq FROM pack ORDER BY seq")]
        db.close()
        return found

    def damaged(self, way, names):
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.good, self.state)
        for name in names:
            way(f"{self.state}/{name}")

    def lives(self, way, names):
        """Starts on what is damaged; and once more, as nothing may be found again and again."""
        self.damaged(way, names)
        if any((way, name) in REFUSED for name in names):
            code, said = self.agent.run_to_end()
            self.assertEqual(code, 1)
            self.assertIn("seq-epoch", said)
            return
        self.start()
        self.wait("polls", lambda: self.device("pump")["polls"] >= 10)
        self.wait("a spool without error", lambda: not self.status()["spool"]["error"] and self.status()["spool"]["disk_packs"])
        self.assertEqual(self.device("pump")["failures"], 0)
        code, out, error = self.ctl("write", "pump/valve", "1")
        if any((way, name) in NO_COMMANDS for name in names):
            self.assertEqual(code, 1)
            self.assertIn("ledger", out + error)
        else:
            self.assertEqual(code, 0, out + error)
        self.stop()
        fresh = [n for n in self.numbers() if n not in self.known]
        self.assertGreater(len(fresh), 4)
        # No number comes again, whatever was lost of the file that says which were used.
        self.assertGreater(min(fresh), max(self.known))
        at, aside = len(self.agent.said()), len([n for n in os.listdir(self.state) if "bad" in n])
        self.start()
        self.stop()
        said = self.agent.said()[at:]
        self.assertNotRegex(said, "damaged|corrupt|leap")
        self.assertEqual(len([n for n in os.listdir(self.state) if "bad" in n]), aside)

    def test_every_file_in_every_way(self):
        self.fill()
        shutil.copytree(self.good, self.state)
        self.known = set(self.numbers())
        self.assertEqual(len(self.known), self.rows())
        tried = 0
        for way in WAYS:
            if FULL:
                sets = [[name] for name in FILES]
            else:
                sets = [[name for name in FILES if (way, name) not in REFUSED]]
                sets += [[name] for name in FILES if (way, name) in REFUSED]
            for names in sets:
                try:
                    self.lives(way, names)
                except AssertionError as error:
                    raise AssertionError(f"{way.__name__} {names}: {error}") from error
                tried += len(names)
        faults.told("F21", f"{len(FILES)} files of the state directory x {len(WAYS)} kinds of damage: {tried} tried, readings went on, or the start was refused with the file's name")

    def test_a_spool_of_another_owner(self):
        """What happens to those who copy a state directory as root."""
        user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        if os.geteuid() != 0 or subprocess.run([*user, BUILD + "/agent/tidegate", "--version"], capture_output=True).returncode:
            self.skipTest("no other user can run the programs here")
        self.fill()
        shutil.copytree(self.good, self.state)
        for path, _, names in os.walk(self.dir):
            for name in [".", *names]:
                os.chown(os.path.join(path, name), NOBODY, NOBODY)
        spool = self.state + "/spool.db"
        os.chown(spool, 0, 0)
        os.chmod(spool, 0o600)
        before = self.rows()
        self.write_config()
        os.chown(self.agent.conf, NOBODY, NOBODY)
        self.agent.start(wrap=user)
        told = self.wait("an error", lambda: self.status()["spool"]["error"])
        self.wait("packs in memory", lambda: self.status()["spool"]["memory_packs"] >= 10)
        os.chown(spool, NOBODY, NOBODY)
        rows = self.wait("the spool", lambda: not self.status()["spool"]["error"] and self.status()["spool"]["disk_packs"], 75)
        self.assertGreater(rows, before)
        self.stop()
        self.assertRegex(told, "unable|denied|ermission")


if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a != "--full"]
    main()
