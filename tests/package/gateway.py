# SPDX-License-Identifier: Apache-2.0
"""What every scenario of a booted gateway has: the package, the stand-ins around it, its configuration as an operator
makes it from the shipped examples, and a judge that looks at the system after each test.

The life of the machine goes in stages, and each test class starts from the one that it names: `bare` (a Debian with an
apt source that has the package), `installed`, and `enrolled` (configured, with a certificate of its own).
"""

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
sys.dont_write_bytecode = True

import gateway_bench  # noqa: E402
from container import Container, call, field  # noqa: E402

SITE = "/run/bench/site"
REPOSITORY = "/run/bench/apt"
DROP_IN = "/run/systemd/system/tidegate.service.d"
CONF = "/etc/tidegate/tidegate.conf"
EXAMPLES = "/usr/share/doc/tidegate/examples"
# How systemd tells of a failure that a test does not want. What the kernel says of a sandbox's refusals does not come into a
# container's journal: tests/machine looks for it.
BAD_WORDS = re.compile(r"dumped core|code=dumped|Failed with result '(core-dump|signal|watchdog|resources|oom-kill)'|oom-kill")
POLL_S = 0.2
SIM = """[bus hall]
type = sim

[device sensor]
bus = hall
every = 100ms

[point sensor/count]
read = counter
"""


# --- packages ---------------------------------------------------------------------------------------------------------


def repacked(deb, version, change=None):
    """The same package of another version, in the repository's directory; change(tree) alters what is in it."""
    tree, out = f"/run/bench/repack-{version}", f"{REPOSITORY}/tidegate_{version}.deb"
    call("dpkg-deb", "-R", deb, tree)
    control = tree + "/DEBIAN/control"
    with open(control, encoding="utf-8") as file:
        text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", file.read())
    with open(control, "w", encoding="utf-8") as file:
        file.write(text)
    if change:
        change(tree)
    call("dpkg-deb", "-Znone", "-b", tree, out)
    shutil.rmtree(tree)
    return out


def index_repository():
    """Writes what apt reads of a flat repository."""
    stanzas = []
    for deb in sorted(glob.glob(REPOSITORY + "/*.deb")):
        with open(deb, "rb") as file:
            data = file.read()
        stanzas.append(f"{call('dpkg-deb', '-f', deb).strip()}\nFilename: ./{os.path.basename(deb)}\nSize: {len(data)}\n"
                       f"SHA256: {hashlib.sha256(data).hexdigest()}\n")
    with open(REPOSITORY + "/Packages", "w", encoding="utf-8") as file:
        file.write("\n".join(stanzas))


# --- the stand-ins ----------------------------------------------------------------------------------------------------


class Tpm(gateway_bench.Tpm):
    """Reachable by the service's user; what it holds can be put by and fetched again."""

    def start(self):
        super().start()
        for name in (self.socket, self.socket + ".ctrl"):
            os.chmod(name, 0o666)


class Site:
    """Cloud, broker and TPM, on one port each for the whole run. Certificates and the TPM's state stay between tests."""

    def __init__(self):
        os.makedirs(SITE)
        self.tpm = Tpm(SITE)
        self.cloud = gateway_bench.Cloud(SITE)
        self.broker = gateway_bench.Broker(SITE, self.cloud)
        self.subscriber = gateway_bench.Subscriber(SITE, self.broker)

    def configuration(self):
        """The shipped example as an operator edits it: addresses, anchors, and here the TPM."""
        return (f"sed -e '/^\\[enrolment.aws-fleet\\]/,/^\\[/s/^endpoint = .*/endpoint = localhost\\nport = {self.cloud.port}/' "
                f"-e '/^\\[mqtt\\]/,/^\\[/s/^endpoint = .*/endpoint = localhost\\nport = {self.broker.port}/' "
                f"-e '$a [tpm]\\ntcti = {self.tpm.tcti}' -i {CONF}")

    def end(self):
        for part in (self.subscriber, self.broker, self.cloud, self.tpm):
            part.end()


class World:
    """What the classes of one run share."""

    deb = tree = version = site = None
    stages = {}

    @classmethod
    def open(cls, tree, deb):
        cls.deb, cls.tree, cls.version = deb, tree, field(deb, "Version")
        os.makedirs(REPOSITORY)
        shutil.copy(deb, REPOSITORY)
        index_repository()
        cls.site = Site()

    @classmethod
    def layers(cls, stage):
        if stage not in cls.stages:
            cls.stages[stage] = None
            cls.stages[stage] = getattr(cls, "make_" + stage)()
        assert cls.stages[stage], f"no stage '{stage}': it failed before"
        return cls.stages[stage]

    @classmethod
    def boot(cls, stage, **options):
        return Container(cls.layers(stage), binds=(REPOSITORY, cls.site.tpm.dir), **options)

    @classmethod
    def make_bare(cls):
        layer = "/run/bench/bare"
        os.makedirs(layer + "/etc/apt/sources.list.d")
        with open(layer + "/etc/apt/sources.list.d/tidegate.list", "w", encoding="ascii") as file:
            file.write(f"deb [trusted=yes] file:{REPOSITORY} ./\n")
        return [layer, cls.tree]

    @classmethod
    def make_installed(cls):
        return cls.advanced("bare", install)

    @classmethod
    def make_enrolled(cls):
        return cls.advanced("installed", lambda gateway: (configure(gateway), enrol(gateway)))

    @classmethod
    def advanced(cls, stage, step):
        gateway = cls.boot(stage)
        try:
            step(gateway)
            return gateway.keep()
        except BaseException:
            gateway.end()
            raise


# --- what an operator does --------------------------------------------------------------------------------------------


def apt(gateway, *arguments):
    return gateway.run("apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *arguments).out


def install(gateway):
    apt(gateway, "update")
    return apt(gateway, "install", "tidegate")


def configure(gateway):
    """As README.Debian says, with the claim and the anchors that the cloud's people have given."""
    site = World.site
    roots = gateway_bench.read_text(site.cloud.path("server-ca.pem")) + gateway_bench.read_text(site.broker.ca)
    gateway.write("/etc/tidegate/amazon-roots.pem", roots)
    for name in ("claim.pem", "claim.key"):
        gateway.write(f"/root/{name}", gateway_bench.read_text(site.cloud.path(name)), 0o600)
    gateway.shell(f"cp {EXAMPLES}/tidegate.conf /etc/tidegate/; cp {EXAMPLES}/conf.d/boiler.conf /etc/tidegate/conf.d/; "
                  "cd /root; install --owner=tidegate --group=tidegate --mode=0400 claim.pem claim.key /var/lib/tidegate/claim/")
    gateway.shell(site.configuration())
    gateway.write("/etc/tidegate/conf.d/sim.conf", SIM)


def enrol(gateway):
    gateway.run("systemctl", "start", "tidegate")
    wait_online(gateway)


def status(gateway):
    """What the agent tells of itself, or None."""
    done = gateway.run("tidegate", "--json", "status", check=False)
    try:
        return json.loads(done.out) if done.code == 0 else None
    except ValueError:
        return None


def waiting(gateway):
    """Packs in the spool, 0 while the agent does not answer."""
    now = status(gateway)
    return now["spool"]["memory_packs"] + now["spool"]["disk_packs"] if now else 0


def wait_for(gateway, what, condition, seconds=45):
    """On a busy machine, where our own turns take longer, it is not over before as many of them were taken as a part of the time
    has room for, unless it is over four times."""
    begun, turns = time.monotonic(), 0
    while True:
        found = condition()
        if found:
            return found
        turns += 1
        passed = time.monotonic() - begun
        if passed > seconds and (turns * POLL_S * 3 > seconds or passed > 4 * seconds):
            raise AssertionError(f"waited {passed:.0f} s in vain for {what}: "
                                 + gateway.run("systemctl", "status", "-n", "30", "tidegate", check=False).out)
        time.sleep(POLL_S)


def wait_online(gateway):
    def online():
        now = status(gateway)
        return now and now["link"]["state"] == "online" and now["identity"]["state"] == "current" and now
    return wait_for(gateway, "the gateway to be online", online)


def show(gateway, name, unit="tidegate.service"):
    return gateway.run("systemctl", "show", "-P", name, unit).out.strip()


def state(gateway, unit="tidegate.service"):
    return show(gateway, "ActiveState", unit)


def status_text(gateway):
    """The line that `systemctl status` shows."""
    found = re.search(r'Status: "(.*)"', gateway.run("systemctl", "status", "-n", "0", "tidegate", check=False).out)
    return found[1] if found else ""


def journal(gateway, *arguments):
    return gateway.run("journalctl", "-b", "--no-pager", "-o", "short-monotonic", *arguments, check=False).out


def drop_in(gateway, text, name="test.conf"):
    gateway.write(f"{DROP_IN}/{name}", text)
    gateway.run("systemctl", "daemon-reload")


# --- the scenario -----------------------------------------------------------------------------------------------------


class Booted(unittest.TestCase):
    """One container for the tests of a class, which go in the order of their names. After each: no failed unit but those in
    `wanted`, and nothing in the journal that should not be there unless it matches `allowed`."""

    STAGE = "enrolled"

    @classmethod
    def setUpClass(cls):
        cls.gateway = World.boot(cls.STAGE)
        cls.addClassCleanup(cls.gateway.end)

    def setUp(self):
        self.wanted, self.allowed = set(), None
        self.begin()
        self.addCleanup(self.judge)

    def begin(self):
        self.mark = journal(self.gateway, "-n", "0", "--show-cursor").rpartition("cursor: ")[2].strip()

    def run_inside(self, *command, **options):
        return self.gateway.run(*command, **options)

    def said(self, *arguments):
        """The journal since this test began."""
        return journal(self.gateway, *([f"--after-cursor={self.mark}"] if self.mark else []), *arguments)

    def judge(self):
        failed = {line.split()[0] for line in
                  self.gateway.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").out.splitlines()}
        for unit in failed:
            self.gateway.run("systemctl", "reset-failed", unit, check=False)
        self.gateway.run("journalctl", "--sync")
        bad = [line for line in self.said().splitlines()
               if BAD_WORDS.search(line) and not (self.allowed and re.search(self.allowed, line))]
        if not self._outcome.success:
            print(self.said("-n", "40"))
        self.assertEqual(failed, self.wanted, self.said("-n", "40"))
        self.assertEqual(bad, [])

    def fails(self, code, word, *command):
        done = self.gateway.run(*command, check=False)
        self.assertEqual(done.code, code, done)
        self.assertIn(word, done.out)

    def assert_shows(self, unit="tidegate.service", **properties):
        for name, value in properties.items():
            self.assertEqual(show(self.gateway, name, unit), value, f"{unit} {name}")


def packages_of(name):
    """All that has been published under that device."""
    return World.site.subscriber.packs(name)


def ended(process, seconds=30):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError("a program does not end") from None
