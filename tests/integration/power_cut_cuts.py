# SPDX-License-Identifier: Apache-2.0
"""One gateway, cut once or twice and judged: what each worker of test_power_cut.py has."""

import collections
import glob
import json
import os
import random
import shutil
import time
from dataclasses import dataclass

from gateway_bench import read_text, wait_for
from power_cut_bench import Gateway
from power_cut_hand import HAND, Person
from power_cut_judge import Ledger, complaints_of_disk, complaints_of_lockout, complaints_of_old, complaints_of_session, complaints_of_tpm

SETTLE_S = 60       # a gateway that has not settled by then never will
PAUSE_S = 0.1       # without a call
TRIES = 3           # to get to a point that is not on every way
LINGER_S = 4        # behind what can be seen from outside: for the end of a probation, and for tidying up


@dataclass(frozen=True)
class Job:
    """A cut in a phase; with `seconds`, that many further runs, each with a second cut in what follows on the first."""

    phase: str
    cuts: list
    seconds: int = 0
    seed: float = 0
    no_sync: bool = False

    def kind(self):
        return self.phase + (", recovery" if self.seconds else "")


class Row(collections.namedtuple("Row", "job cuts outcome issued complaints")):
    @property
    def again(self):
        return self.outcome == "ok" and self.issued > PHASES[self.job.phase].issues


class NotSettled(Exception):
    pass


class Phase:
    """The state that a run begins with, and what drives the gateway until it has settled."""

    issues = 1      # certificates that it takes
    by_hand = False

    def __init__(self, name, template, done, replaces=False, refused=False):
        self.name, self.template, self.done = name, template, done
        self.replaces, self.refused = replaces, refused     # the old certificate goes; the new one does
        self.clear()

    def clear(self):
        self.since = None

    def step(self, gateway):
        """Looks at the gateway, and gives it the order that the phase is about; whether it has settled."""
        status = gateway.ask({"cmd": "status"})
        # One that was refused has an attempt to come, some day.
        at_rest = ("settled", "waiting") if self.refused and self.done(gateway, status) else ("settled",)
        if not (status and status["link"]["state"] == "online" and not status["link"]["error"]
                and status["identity"]["state"] == "current" and status["enrolment"]["state"] in at_rest):
            self.since = None
            return False
        if not self.done(gateway, status):
            gateway.ask({"cmd": "renew"})
            return False
        self.since = self.since or time.monotonic()
        return gateway.is_tidy() or time.monotonic() - self.since > LINGER_S


def has_generation(number):
    return lambda gateway, status: status["identity"]["generation"] >= number


def has_rejected(gateway, _):
    return any('"rejected"' in read_text(path) for path in glob.glob(gateway.disk.state + "/identity/generations/*/outcome"))


PHASES = {phase.name: phase for phase in (Phase("enrolment", "empty", has_generation(1)),
                                          Phase("rotation", "enrolled", has_generation(2), replaces=True),
                                          Phase("roll-back", "enrolled", has_rejected, refused=True), *HAND)}


class Bench:
    """A worker's gateway, and the templates that each run begins with."""

    def __init__(self, directory):
        self.dir = directory
        self.gateway = Gateway(directory)
        self.kept = {"empty": set()}        # what the service has issued by the time of a template
        os.makedirs(directory + "/templates/empty.tpm")
        self.gateway.disk.make(directory + "/templates/empty.img")
        self.make_enrolled()
        self.person = Person(directory, self.gateway, NotSettled)
        self.make_requested()

    def end(self):
        self.gateway.end()

    def make_enrolled(self):
        self.begin(PHASES["enrolment"])
        self.drive(PHASES["enrolment"])
        self.rest()
        self.keep("enrolled")

    def make_requested(self):
        """The key is made, the request signed; what was made of it lies in the shop."""
        self.begin(PHASES["request by hand"])
        self.drive(PHASES["request by hand"])
        self.person.sign("waiting.pem")
        self.keep("requested")

    def keep(self, template):
        self.gateway.power_off()
        name = f"{self.dir}/templates/{template}"
        shutil.copyfile(self.gateway.disk.image, name + ".img")
        shutil.copytree(self.gateway.chip.dir + "/state", name + ".tpm")
        self.kept[template] = {c["id"] for c in self.gateway.cloud.issued()}

    def begin(self, phase):
        gateway, kept = self.gateway, self.kept[phase.template]
        gateway.power_off()
        for certificate in gateway.cloud.issued():
            if certificate["id"] in kept:
                gateway.cloud.ask("certificate", id=certificate["id"], status="ACTIVE")
            elif certificate["id"] not in self.kept.get("enrolled", ()):
                gateway.cloud.ask("delete-certificate", id=certificate["id"])
        gateway.refuse_renewed(phase.refused)
        name = f"{self.dir}/templates/{phase.template}"
        gateway.disk.insert(name + ".img")
        gateway.chip.insert(name + ".tpm")
        gateway.chip.power_on()
        gateway.forget_logs()
        return Ledger(gateway.cloud, phase.issues)

    def drive(self, phase, **how):
        """True when it has settled, False when the power failed."""
        gateway = self.gateway
        if phase.by_hand:
            return phase.drive(self.person, **how)
        phase.clear()
        gateway.start(**how)
        try:
            wait_for("the gateway to settle", lambda: not gateway.running() or phase.step(gateway), SETTLE_S)
        except AssertionError:
            raise NotSettled(f"it does not settle: {json.dumps(gateway.ask({'cmd': 'status'}))}\n{gateway.said()}") from None
        if gateway.running():
            return True
        if not gateway.was_cut():
            raise NotSettled(f"it ended by itself with {gateway.process.wait()}\n{gateway.said()}")
        return False

    def rest(self):
        """Ends the agent where it does nothing; it looks after its key now and then, and keeps the time."""
        if not self.gateway.process:
            return
        def pauses():
            # Points are noted before their call is made: nothing may be on its way.
            before = read_text(self.gateway.points)
            time.sleep(PAUSE_S)
            return self.gateway.is_at_rest() and read_text(self.gateway.points) == before
        try:
            wait_for("a pause", pauses, 5)
        except AssertionError:
            pass        # the judge will say what is there
        self.gateway.process.kill()
        self.gateway.process.wait()

    def points(self, phase, after=()):
        """The names of all points of a run, or of what follows on a cut; in their order."""
        self.begin(phase)
        for at in after:
            if self.drive(phase, at=at):
                return []
            self.gateway.power_off()
            self.gateway.power_on()
            self.gateway.forget_logs()
        self.drive(phase)
        self.gateway.power_off()
        return read_text(self.gateway.points).splitlines()

    def cut(self, phase, at, no_sync, ledger):
        """The power fails there, and comes back. Whether it came to that, and what is wrong then."""
        gateway = self.gateway
        if self.drive(phase, at=at, no_sync=no_sync):
            self.rest()
            # The agent looks after its key now and then: the point may have come while it was being ended.
            if not gateway.was_cut():
                self.drive(phase)
                return False, []
        said = read_text(gateway.log)
        gateway.power_off()
        ledger.after_cut(said)
        gateway.forget_logs()
        gateway.power_on()
        lost = self.person.complaints_of_loss(said) if phase.by_hand else []
        return True, lost + complaints_of_lockout(gateway.chip)

    def run(self, phase, cuts, no_sync=False):
        """The power fails at each of `cuts`, one start after the other; then the gateway is left in peace, and judged."""
        gateway, ledger, complaints, reached = self.gateway, self.begin(phase), [], True
        try:
            for at in cuts:
                reached, found = self.cut(phase, at, no_sync, ledger) if reached else (False, [])
                complaints += found
            if reached:
                self.drive(phase)
            complaints += phase.complaints(self.person) if phase.by_hand else self.complaints(phase)
            complaints += ledger.complaints()
        except (NotSettled, OSError, ValueError, KeyError, AssertionError) as error:
            complaints.append(f"{type(error).__name__}: {error}")
        gateway.power_off()
        return "bad" if complaints else "ok" if reached else "not reached", ledger.issued(), complaints

    def complaints(self, phase):
        """Of a gateway that has settled, and is ended for it."""
        found = complaints_of_session(self.gateway)
        if phase.replaces:
            found += complaints_of_old(self.gateway, self.kept[phase.template])
        self.rest()
        return found + complaints_of_disk(self.gateway.disk.state) + complaints_of_tpm(self.gateway.chip)

    def run_until_reached(self, phase, cuts, no_sync):
        """Agent and helper go side by side: what one of them does, the other need not do, and now and then it is the other way."""
        for _ in range(TRIES):
            result = self.run(phase, cuts, no_sync)
            if result[0] != "not reached":
                break
        return result

    def rows(self, job):
        phase = PHASES[job.phase]
        if not job.seconds:
            return [Row(job, job.cuts, *self.run_until_reached(phase, job.cuts, job.no_sync))]
        points = self.points(phase, job.cuts)
        chance = random.Random(job.seed)
        seconds = chance.sample(points, min(job.seconds, len(points)))
        pairs = [[*job.cuts, f"{point} {chance.choice(('before', 'after'))}"] for point in seconds]
        return [Row(job, pair, *self.run_until_reached(phase, pair, False)) for pair in pairs]
