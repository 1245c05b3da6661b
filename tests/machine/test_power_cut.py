# SPDX-License-Identifier: Apache-2.0
"""The power fails while the gateway publishes, spools and rotates: the disk is looked at as a hundred cuts would have left it.

The machine writes to a disk whose every write is logged, with the length of the log beside everything that it says. Then the disk
is made anew behind entries drawn by lot, less what a disk's cache may have kept to itself, and the start of a gateway is tried on it
with the code of the start (after-cut.c). Last, the machine itself boots from such a disk.
"""

import concurrent.futures
import os
import random
import shutil
import subprocess
import tempfile
import time

from bench import Scenario, wait_for
from disklog import Disk
from power_cut_judge import complaints_of_generation

BUILD = os.path.abspath(os.environ.get("TIDEGATE_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release")))
AFTER_CUT = BUILD + "/tests/integration/after-cut"
POINTS = int(os.environ.get("TIDEGATE_CUTS", "100"))
SEED = int(os.environ.get("TIDEGATE_SEED", str(time.time_ns() % 1000000)))
STATE = "var/lib/tidegate"
ROOM = 8 << 30      # bytes of memory for five disks, and the machines beside them
SLACK = 5           # seconds from a reading to its row: a commit interval of one, and a machine that is slow


def elsewhere():
    """Where disks of half a gigabyte are made and thrown away; in memory, if it has enough, nothing waits for the host's disk."""
    with open("/proc/meminfo", encoding="ascii") as file:
        available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    return "/dev/shm" if min(available << 10, shutil.disk_usage("/dev/shm").free) > ROOM else None


class Note:
    """What was true when the log was so long: readings made, rows said to be on the disk, what had arrived."""

    def __init__(self, length, status, arrived, connected):
        self.time, self.length, self.arrived, self.connected = time.monotonic(), length, arrived, connected
        self.made = next(d["polls"] for d in status["devices"] if d["name"] == "boiler")
        self.stored = status["spool"]["disk_packs"]
        self.generation = status["rotation"].get("current") or 0


class Found:
    """What a start finds on a disk after a cut."""

    def __init__(self, point, image):
        self.point, self.complaints = point, []
        self.rows, self.bad, self.generation = set(), 0, 0
        with tempfile.TemporaryDirectory(prefix="tg-cut-") as directory:
            self.mount_and_take(image, directory)
            if not self.complaints:
                self.start(directory + "/tidegate")

    def mount_and_take(self, image, directory):
        """The kernel replays the journal; after that there must be nothing to mend."""
        script = ('mkdir "$2/m" && mount -o loop "$1" "$2/m" && cp -a "$2/m/$3" "$2/tidegate" && umount "$2/m" && '
                  'e2fsck -fn "$1"')
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", image, directory, STATE],
                              capture_output=True, text=True, timeout=300)
        if done.returncode:
            self.complaints.append(f"the file system: {done.stdout}{done.stderr}")

    def start(self, state):
        done = subprocess.run([AFTER_CUT, state], capture_output=True, text=True, timeout=120)
        if done.returncode:
            self.complaints.append(f"a start would fail: {done.stderr}")
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "current":
                self.generation = int(rest.split()[0])
            elif word == "row":
                number, how = rest.split()
                self.rows.add(int(number))
                self.bad += how != "good"
        if self.generation:
            path = f"{state}/identity/generations/{self.generation:06}"
            self.complaints += complaints_of_generation(path, self.generation, True)


class PowerCut(Scenario):
    SNAPSHOT = "enrolled"
    SPOILS = True

    def setUp(self):
        super().setUp()
        self.notes = []
        self.log = self.machine.path("writes.log")
        self.connected = True
        self.lot = random.Random(SEED)
        print(f"TIDEGATE_SEED={SEED}", flush=True)

    # --- the run ---------------------------------------------------------------------------------------------------------

    def note(self):
        status = self.ask("status")
        length = os.path.getsize(self.log)
        self.notes.append(Note(length, status, self.world.subscriber.numbers(), self.connected))

    def look(self, count):
        for _ in range(count):
            time.sleep(0.5)
            self.note()

    def cable(self, there):
        self.machine.world(there)
        self.connected = there

    def renew(self):
        """Under way when this returns; not before the probation of the last one is over."""
        self.wait("a renewal", lambda: self.machine.try_run("tidegate renew").returncode == 0, 120)

    def run_under_load(self):
        """Publishing; without a network, so that everything is spooled; draining; and a rotation in the first and the last of it."""
        self.wait_online()
        self.renew()
        self.look(6)
        self.wait("the second generation", lambda: self.note() or self.notes[-1].generation >= 2)
        self.cable(False)
        self.look(12)
        self.cable(True)
        self.wait_online()
        self.renew()
        self.look(10)

    # --- the cuts --------------------------------------------------------------------------------------------------------

    def points(self, disk):
        """Entries to cut behind: most between two flushes, as there is nothing in the cache behind one."""
        first = next(i for i, e in enumerate(disk.entries) if e.end >= self.notes[0].length)
        flushes = set(disk.flushes())
        between = [i for i in range(first, len(disk.entries)) if i not in flushes]
        early = self.lot.sample(range(1, first), min(POINTS // 10, first - 1))
        late = self.lot.sample(between, min(POINTS * 8 // 10, len(between)))
        left = sorted(set(range(first, len(disk.entries))) - set(late))
        rest = self.lot.sample(left, min(POINTS - len(early) - len(late), len(left)))
        return sorted(i + 1 for i in early + late + rest)

    def judge_cut(self, disk, found):
        """What was promised when the log was so long."""
        out = list(found.complaints)
        if found.bad or not found.generation:
            out.append(f"{found.bad} bad rows, generation {found.generation}")
        length = disk.entries[found.point - 1].end
        past = [note for note in self.notes if note.length <= length]
        if past and not out:
            later = self.notes[len(past)] if len(past) < len(self.notes) else self.last
            out += self.broken_promises(past, later, found)
        return [f"cut behind write {found.point}: {text}" for text in out]

    def broken_promises(self, past, later, found):
        epoch = max(later.arrived) >> 32
        there = {n & 0xFFFFFFFF for n in found.rows | later.arrived if n >> 32 == epoch}
        rows = [n for n in found.rows if n >> 32 == epoch]
        made = max((note.made for note in past if note.time <= past[-1].time - SLACK), default=0)
        lost = sorted(set(range(1, made + 1)) - there)
        out = [f"{len(lost)} of {made} readings are lost: {lost[:10]}"] if lost else []
        if len(past) > 1 and not (past[-2].connected or past[-1].connected or later.connected) and len(rows) < past[-1].stored:
            out.append(f"{len(rows)} rows where {past[-1].stored} were said to be stored")
        if found.generation < past[-1].generation:
            out.append(f"generation {found.generation} where {past[-1].generation} was current")
        return out

    def test_at_no_point_is_anything_lost_that_was_promised(self):
        self.config["device boiler"]["every"] = "100ms"
        self.config["rotation"]["probation"] = "2s"
        self.write_config()
        self.machine.run("sync")
        directory = self.machine.room(elsewhere())
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        base = directory + "/base.img"
        self.machine.restart_logged(self.log, base)
        self.run_under_load()
        self.machine.power_off()
        time.sleep(1)
        self.last = Note(os.path.getsize(self.log), LAST, self.world.subscriber.numbers(), True)
        disk = Disk(base, self.log)
        self.addCleanup(disk.close)
        complaints, lost = [], 0
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = []
            for point in self.points(disk):
                image = f"{directory}/cut-{point}.img"
                lost += disk.cut(point, image, point)
                running.append((image, pool.submit(Found, point, image)))
                if len(running) > 2:
                    complaints += self.finish(disk, running.pop(0))
            last = running[-1][0]
            for one in running:
                complaints += self.finish(disk, one, keep=last)
        print(f"{POINTS} cuts in {len(disk.entries)} writes with {len(disk.flushes())} flushes, {lost} writes lost in the disk's "
              f"cache, {self.notes[-1].made} readings, {time.monotonic() - began:.0f} s", flush=True)
        self.assertEqual(complaints, [])
        self.assertGreater(lost, 0)
        self.boot_from(last)

    def finish(self, disk, running, keep=None):
        image, future = running
        complaints = self.judge_cut(disk, future.result())
        if image != keep:
            os.unlink(image)
        return complaints

    def boot_from(self, image):
        """The machine itself, with a disk that a cut has left: back by itself, with what it had."""
        self.machine.restart_from(image)
        self.judge.start_anew()
        self.wait_online()
        before = max(self.world.subscriber.numbers()) >> 32
        made = max(note.made for note in self.notes if note.time <= self.notes[-1].time - SLACK)
        wait_for("what was read before the cut",
                 lambda: set(range(1, made + 1)) <= {n & 0xFFFFFFFF for n in self.world.subscriber.numbers() if n >> 32 <= before}, 120)


LAST = {"devices": [{"name": "boiler", "polls": 0}], "spool": {"disk_packs": 0}, "rotation": {}}
