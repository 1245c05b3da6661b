# SPDX-License-Identifier: Apache-2.0
"""What a machine has written to its disk, entry by entry, and the disk as a power cut at any of them leaves it.

The log is that of qemu's blklogwrites, in the format of the kernel's dm-log-writes: a sector with the number of entries, then for
each a sector that says where it went and how, and its data.

A write is on the medium for sure when a flush, or a write that forces the unit, has followed it. Before that a disk with a cache
of its own may have kept any of them to itself: which, is drawn by lot.
"""

import os
import random
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4


class Entry:
    """@end: how long the log is when it has this entry whole."""

    def __init__(self, sector, count, flags, data, end):
        self.sector, self.count, self.flags, self.data, self.end = sector, count, flags, data, end


def read_log(path):
    """(bytes of a sector, entries); an entry that the log ends within is none."""
    size = os.path.getsize(path)
    entries = []
    with open(path, "rb") as log:
        magic, _, _, sector = struct.unpack("<QQQI", log.read(28))
        if magic != MAGIC:
            raise ValueError(f"{path} is no log of writes")
        at = sector
        while at + sector <= size:
            log.seek(at)
            where, count, flags, _ = struct.unpack("<QQQQ", log.read(32))
            data = at + sector
            at = data + (0 if flags & DISCARD else count * sector)
            if at <= size and (count or flags):
                entries.append(Entry(where, count, flags, data, at))
    return sector, entries


class Disk:
    """The disk behind entry after entry, and copies of it as cuts leave it. @base is changed."""

    def __init__(self, base, log):
        self.sector, self.entries = read_log(log)
        self.base, self.log = open(base, "r+b"), open(log, "rb")    # pylint: disable=consider-using-with
        self.path = base
        self.sure = 0       # entries that are in the base: those before the last flush

    def close(self):
        self.base.close()
        self.log.close()

    def flushes(self):
        return [i for i, entry in enumerate(self.entries) if entry.flags & FLUSH]

    def put(self, entry, out):
        if entry.flags & DISCARD:
            return
        self.log.seek(entry.data)
        out.seek(entry.sector * self.sector)
        out.write(self.log.read(entry.count * self.sector))

    def cut(self, after, out, seed):
        """
        Writes to @out what is there when the power fails behind entry number @after, which may not be smaller than last time.
        Returns the number of writes that were lost.
        """
        flushes = [i for i in range(self.sure, after) if self.entries[i].flags & FLUSH]
        if flushes:
            for entry in self.entries[self.sure:flushes[-1] + 1]:
                self.put(entry, self.base)
            self.base.flush()
            self.sure = flushes[-1] + 1
        copy_sparse(self.path, out)
        lost, lot = 0, random.Random(seed)
        share = lot.choice((0, 0.5, 1))     # of what was in the disk's cache
        with open(out, "r+b") as disk:
            for entry in self.entries[self.sure:after]:
                if entry.count and not entry.flags & FUA and lot.random() < share:
                    lost += 1
                else:
                    self.put(entry, disk)
        return lost


def copy_sparse(path, out):
    """The parts of a file that it has."""
    source, copy = os.open(path, os.O_RDONLY), os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        size, at = os.fstat(source).st_size, 0
        os.ftruncate(copy, size)
        while at < size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:     # no more of it
                return
            end = os.lseek(source, at, os.SEEK_HOLE)
            while at < end:
                at += os.copy_file_range(source, copy, min(end - at, 1 << 26), at, at)
    finally:
        os.close(source)
        os.close(copy)
