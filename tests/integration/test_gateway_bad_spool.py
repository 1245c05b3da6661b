#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A spool file that is garbage is set aside; a medium that takes nothing costs nothing once it takes again."""

import glob
import os
import resource
import shutil
import subprocess

from gateway_bench import Scenario, main

# A mount namespace with a small file system of its own at the state directory; root, or root in a namespace.
SMALL = ("sh", "-c", 'mount -t tmpfs -o size=1536k,mode=700 small "$0" && exec "$@"')


class Garbage(Scenario):
    CLOUD = False
    EVERY = "50ms"

    def setUp(self):
        super().setUp()
        self.spool = self.agent.state + "/spool.db"

    def fill(self, rows=10):
        self.agent.start()
        self.wait("a spool with rows", lambda: self.agent.status()["spool"]["disk_packs"] >= rows)
        self.assertEqual(self.agent.stop(), 0)

    def recovers(self):
        """Starts on what is there; the old file is kept under another name, and readings are spooled."""
        at = len(self.agent.said())
        self.agent.start()
        self.wait("the file to be set aside", lambda: glob.glob(self.agent.state + "/spool.bad-*"))
        spool = self.wait("a spool that takes readings", self.taking)
        self.assertIsNone(spool["error"])
        said = self.agent.said()[at:]
        self.assertIn("The spool was damaged", said)
        self.assertIn("kept as spool.bad-", said)
        self.assertEqual(self.agent.device()["failures"], 0)
        self.assertEqual(self.agent.stop(), 0)
        # And it is not an endless story: the next start finds a good file.
        at, kept = len(self.agent.said()), glob.glob(self.agent.state + "/spool.bad-*")
        self.agent.start()
        self.wait("a spool that takes readings", self.taking)
        self.assertNotIn("damaged", self.agent.said()[at:])
        self.assertEqual(glob.glob(self.agent.state + "/spool.bad-*"), kept)
        self.assertEqual(self.agent.stop(), 0)
        return spool

    def taking(self):
        spool = self.agent.status()["spool"]
        return spool["disk_packs"] >= 5 and not spool["error"] and spool

    def test_random_bytes(self):
        self.fill()
        with open(self.spool, "wb") as file:
            file.write(os.urandom(64 * 1024))
        self.recovers()

    def test_cut_in_the_middle(self):
        self.fill(60)
        size = os.path.getsize(self.spool)
        os.truncate(self.spool, size // 2)
        self.recovers()

    def test_empty(self):
        self.fill()
        os.truncate(self.spool, 0)
        self.recovers()

    def test_a_directory_in_its_place(self):
        self.fill()
        os.unlink(self.spool)
        os.mkdir(self.spool)
        self.recovers()


class Full(Scenario):
    EVERY = "100ms"

    def outage(self, fill, make_room):
        """Within a broker's outage the medium refuses for a while."""
        self.wait_online()
        self.wait_packs(3)
        self.broker.kill()
        self.wait_offline()
        self.wait("rows on the disk", lambda: self.spool()["disk_packs"] >= 3)
        fill()
        self.wait("an error of the medium", lambda: self.spool()["error"])
        before = self.spool()["memory_packs"]
        self.wait("packs that stay in memory", lambda: self.spool()["memory_packs"] >= before + 10)
        code, out, _ = self.agent.ctl("status")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\nspool +\d+ packs in memory.*\n +\S.*(full|error|large|space)")
        self.assertIn("The spool cannot be written", self.agent.said())
        self.assertEqual(self.agent.device()["failures"], 0)
        make_room()
        self.wait("packs to be committed", lambda: not self.spool()["error"] and self.spool()["disk_packs"] > 10, 75)
        self.broker.start()
        self.wait_online()
        self.assert_promise(self.wait_drained())
        self.assertEqual(self.spool()["dropped"], 0)
        self.assertEqual(self.agent.stop(), 0)

    def spool(self):
        return self.agent.status()["spool"]

    def namespace(self):
        """How a program gets a file system of its own on this machine, or None where it cannot."""
        os.makedirs(self.agent.state, exist_ok=True)
        for words in (("unshare", "-m"), ("unshare", "-rm")):
            if subprocess.run([*words, "--propagation", "private", *SMALL, self.agent.state, "true"],
                              capture_output=True).returncode == 0:
                return (*words, "--propagation", "private", *SMALL, self.agent.state)
        return None

    def test_a_full_disk(self):
        wrap = self.namespace()
        if not wrap:
            # Not a skip: what a medium that refuses does is tested below with other means.
            print("no mount is allowed here; the limit on file sizes must do")
            return
        self.agent.start(wrap=wrap)
        state = f"/proc/{self.agent.process.pid}/root{self.agent.state}"
        filler = state + "/filler"

        def fill():
            subprocess.run(["dd", "if=/dev/zero", "of=" + filler, "bs=4k"], capture_output=True)
            self.assertEqual(shutil.disk_usage(state).free, 0)
        self.outage(fill, lambda: os.unlink(filler))

    def test_a_limit_on_the_size_of_files(self):
        self.agent.start()
        pid = self.agent.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        self.outage(lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard)),
                    lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard)))


if __name__ == "__main__":
    main()
