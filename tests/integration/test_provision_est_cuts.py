#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts while a gateway enrols and renews by EST: at every write, sync, rename and link of the helper's.

    test_provision_est_cuts.py [--full] [--at "POINT WORD"]...

A first run tells the points (power-cut.c), then each of a sample of them is cut in a run of its own, and the helper is run
again when the power is back. What must hold then: an identity that is whole, and the current one as it was; the key that was
on the medium before anything was sent; no second certificate when the first one was on the medium; and with the new
generation what it is to trust. --full takes all points.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import faults  # noqa: E402
from est_bench import EstServer  # noqa: E402
from gateway_bench import BUILD, die_with_parent, read_text  # noqa: E402
from power_cut_bench import PRELOAD, Chip, Disk, enter_namespace  # noqa: E402

HELPER = BUILD + "/provisioning/tidegate-provision"
SAMPLE = 16     # cuts of a phase without --full


class Failed(Exception):
    pass


def demand(condition, words):
    if not condition:
        raise Failed(words)


class Box:
    """The helper alone, on a disk and a TPM whose power can fail, and an EST server that lives on."""

    def __init__(self, directory):
        self.dir = directory
        self.disk, self.chip = Disk(directory), Chip(directory)
        self.est = EstServer(require="none")
        self.conf, self.points = directory + "/tidegate.conf", directory + "/points"
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(f"[tpm]\ntcti = swtpm:path={self.chip.socket}\n[enrolment]\nmethod = est\nsubject = CN=gw-7\n"
                       f"{self.est.section(credential='none')}")
        os.chmod(self.conf, 0o640)

    def put(self, disk, chip):
        self.disk.insert(disk)
        self.chip.insert(chip)
        self.chip.power_on()
        open(self.points, "w", encoding="ascii").close()
        self.est.mark()

    def cycle(self):
        """The power is off, and comes back."""
        self.chip.power_off()
        self.disk.power_off()
        self.disk.power_on()
        self.chip.power_on()

    def off(self):
        self.chip.power_off()
        self.disk.power_off()

    def run(self, command, at=None):
        """The helper to its end, or to the cut: its result, or None."""
        group = self.chip.process.pid
        environment = {**os.environ, "LD_PRELOAD": PRELOAD, "TG_CUT_STATE": self.disk.state, "TG_CUT_MOUNT": self.disk.mount,
                       "TG_CUT_TPM": self.chip.socket, "TG_CUT_LOG": self.points, "TG_CUT_GROUP": str(group)}
        if at:
            environment["TG_CUT_AT"] = at

        def join():
            die_with_parent()
            os.setpgid(0, group)
        done = subprocess.run([HELPER, "--config", self.conf, "--state-dir", self.disk.state, "--json", command],
                              capture_output=True, text=True, timeout=120, check=False, env=environment, preexec_fn=join)
        if done.returncode < 0:
            return None
        demand(done.returncode == 0, f"the helper has failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def read(self, name):
        """What is in a file of the identity; None when there is none."""
        try:
            with open(f"{self.disk.state}/identity/{name}", encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def promote(self):
        identity = self.disk.state + "/identity"
        os.rename(identity + "/candidate", identity + "/current")


def judge(box, before, command):
    """Runs the helper again after a cut; raises Failed."""
    key, chain, journal = (box.read("pending/" + name) for name in ("key.pem", "chain.pem", "journal"))
    issued = len(box.est.events("issued"))
    kept = chain is not None and journal is not None and json.loads(journal)["step"] in ("issued", "registered", "verified")
    was = box.read("candidate/bundle.pem")
    result = box.run(command)
    demand(result["result"] in ("enrolled", "renewed", "present"), f"it has {result}")
    demand(box.read("current/bundle.pem") == before, "the current identity is another one")
    bundle, anchors = box.read("candidate/bundle.pem"), box.read("candidate/anchors.pem")
    demand(bundle == box.read("candidate/chain.pem") + box.read("candidate/key.pem"), "the candidate is not whole")
    demand(anchors and "BEGIN CERTIFICATE" in anchors, "the candidate trusts nobody")
    demand(was in (None, bundle), "a candidate that was whole was thrown away")
    demand(box.read("pending/journal") is None, "the journal is still there")
    # Before a request may be out the key is on the medium; from there on it stays the same.
    demand(not (issued and key) or key == box.read("candidate/key.pem"), "another key was made")
    demand(len({e["key_sha256"] for e in box.est.events("csr")}) <= 1, "requests for two keys were sent")
    if kept:
        demand(len(box.est.events("issued")) == issued, "a second certificate was asked for")
    again = box.run(command)
    demand(again["result"] == "present", f"once more it has {again}")


def words_for(point):
    return ("before", "after", "torn") if point.split()[1] == "write" else ("before", "after")


def spread(items, count):
    """That many of them, evenly, with the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def phase(box, command, disk, chip, options, binding=False):
    """How many cuts were made, and the failures. @binding: requests are bound to their connections."""
    box.est.set(csrattrs="binding" if binding else "none", binding="required" if binding else "check")
    box.put(disk, chip)
    before = box.read("current/bundle.pem")
    demand(box.run(command)["result"] in ("enrolled", "renewed"), "the first run")
    points = [p for p in read_text(box.points).splitlines() if " tpm " not in p]
    box.off()
    cuts = options.at or [f"{p} {word}" for p in points for word in words_for(p)]
    if not options.full and not options.at:
        cuts = spread(cuts, SAMPLE // 2 if binding else SAMPLE)
    failures, made = [], 0
    for cut in cuts:
        box.put(disk, chip)
        try:
            made += box.run(command, at=cut) is None
            box.cycle()
            judge(box, before, command)
        except Failed as failed:
            failures.append(f"{command}: {cut}: {failed}")
        box.off()
    print(f"{command}{', bound' if binding else ''}: {len(points)} points, {made} of {len(cuts)} cuts made, {len(failures)} failures", flush=True)
    demand(made * 20 >= len(cuts) * 19, "too many points were not reached")
    return made, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--at", action="append")
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        print("needs root and loop devices")
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    enter_namespace()
    directory = tempfile.mkdtemp(prefix="tg-est-cuts-")
    box = None
    try:
        box = Box(directory)
        empty, enrolled = directory + "/empty.img", directory + "/enrolled.img"
        box.disk.make(empty)
        box.disk.insert(empty)
        os.makedirs(box.disk.state)
        box.disk.power_off()
        shutil.copy(box.disk.image, empty)
        os.makedirs(directory + "/new")
        box.put(empty, directory + "/new")
        box.run("enrol")
        box.promote()
        box.off()
        shutil.copytree(box.chip.dir + "/state", directory + "/chip")
        shutil.copy(box.disk.image, enrolled)
        failures, cuts = [], 0
        for command, disk, binding in (("renew", enrolled, False), ("renew", enrolled, True), ("enrol", empty, False)):
            made, bad = phase(box, command, disk, directory + "/chip", options, binding)
            cuts, failures = cuts + made, failures + bad
    finally:
        if box:
            box.off()
            box.est.close()
        shutil.rmtree(directory, ignore_errors=True)
    print("\n".join(failures))
    if not failures and not options.at:
        faults.told("F01", f"{cuts} cuts of EST enrolments and renewals: the same key, one whole candidate behind each")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
