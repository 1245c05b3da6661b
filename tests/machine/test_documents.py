# SPDX-License-Identifier: Apache-2.0
"""Every command of the README's installation and of doc/raspberry-pi.md, in their order, and what they show of its output.

A reader has things that the machine has not: those are made beforehand (the methods called have_...), or stood in for
(STAND_INS, each with the reason). There is no other way around a command: one that is not run fails the test.
"""

import functools
import http.server
import os
import shlex
import subprocess
import threading
import time

import commands
from bench import Scenario, wait_for
from gateway_bench import Cloud, read_text
from machine import BUILT, HERE
from wires import TcpMeter

TOP = os.path.abspath(os.path.join(HERE, "../.."))
LOOKS = ("tidegate status", "systemctl status", "tidegate spool")   # said again until it is so, as a reader would
LOOK_SECONDS = 60
COMMAND_SECONDS = 300
ENDPOINT = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com"

# What a gateway's card has before tidegate, of Raspberry Pi OS; the machine boots without it.
CONFIG_TXT = "dtparam=audio=on\ncamera_auto_detect=1\narm_64bit=1\n\n[cm4]\notg_mode=1\n"
CMDLINE_TXT = "console=serial0,115200 console=tty1 root=PARTUUID=4f2a1c3e-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
# In place of packaging/build-deb.sh: the package in the machine comes from that script with these words (build.sh), and
# a second build would bring the same file again, two minutes later.
BUILD_DEB = """#!/bin/sh -eu
[ "$*" = "--suite bookworm --arch arm64" ]
mkdir -p build/deb
cp -r {built}/packages/bookworm build/deb/
rm -f build/deb/bookworm/*Release*
"""


def reboots(test):
    test.machine.reboot()
    test.start_is_over()


def has_it(_):
    """Nothing to do."""


def loses_its_root(test):
    """The kernel itself takes away the right to write to any disk, and the partition of the state gets it back. What is in
    memory has it: as the boot partition of the card would, and the chip that is a program here."""
    test.machine.run(r"""systemctl stop tidegate
for d in /boot/firmware /var/lib/vtpm; do
	mkdir -p /run/kept$d && cp -a $d/. /run/kept$d/ && chown --reference=$d /run/kept$d && mount --bind /run/kept$d $d
done
echo u >/proc/sysrq-trigger
n=0; while touch /etc/written 2>/dev/null; do n=$((n + 1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done
mount -o remount,rw /var/lib/tidegate && systemctl start tidegate""")
    test.addCleanup(test.machine.try_run, "mount -o remount,rw /")


def has_its_root_again(test):
    test.machine.run("mount -o remount,rw / && touch /etc/written && systemctl restart tidegate")


# (document, section, command) -> what is done instead, and why.
PI = "doc/raspberry-pi.md"
STAND_INS = {
    (PI, "The boot files", "reboot"):
        (reboots, "it is the machine's own reboot, by a way that waits for its end"),
    (PI, "A read-only root", "apt install overlayroot"):
        (has_it, "the machine has no network to fetch it from, and an initramfs of its own"),
    (PI, "A read-only root", "reboot"):
        (loses_its_root, "that initramfs makes no overlay; a root that refuses to be written is the harder case"),
    (PI, "To change something", "reboot"):
        (has_its_root_again, "as before"),
}


class Documents(Scenario):
    FRESH = SPOILS = True

    def setUp(self):
        super().setUp()
        self.dir = self.machine.room()  # the host's side
        self.stood_in = set()
        self.took = []

    # --- following a document --------------------------------------------------------------------------------------------

    def follow(self, document, section=None):
        found = commands.blocks(read_text(os.path.join(TOP, document)), document)
        if section:
            found = commands.of_section(found, section)
        self.assertGreater(len(found), 5, f"{document} has lost its commands")
        for block in found:
            for step in commands.steps(block):
                with self.subTest(block.where()):
                    began = time.monotonic()
                    self.take(step)
                    self.took.append((time.monotonic() - began, block.where()))
                if self.failures() > self.failed_before:
                    self.fail(f"{block.where()}: what follows was not tried")
        self.assertEqual(self.stood_in, {key for key in STAND_INS if key[0] == document}, "stand-ins of no use")
        for seconds, where in sorted(self.took, reverse=True)[:5]:
            print(f"{seconds:6.1f} s  {where}", flush=True)

    def take(self, step):
        if isinstance(step, commands.File):
            self.put(step)
        elif step.place == "host":
            self.take_on_host(step)
        elif not self.stand_in(step):
            self.take_in_machine(step)

    def put(self, file):
        path = shlex.quote(file.path)
        if file.append:
            self.machine.run(f"cat >>{path}", file.text)
        else:
            self.machine.write(file.path, file.text)

    def stand_in(self, step):
        key = (step.block.document, step.block.section[-1], step.text.strip())
        if key not in STAND_INS:
            return False
        self.stood_in.add(key)
        STAND_INS[key][0](self)
        return True

    def take_in_machine(self, step):
        run = functools.partial(self.run_in_machine, step)
        done = run()
        if step.expected and step.text.startswith(LOOKS):
            end = time.monotonic() + LOOK_SECONDS
            while time.monotonic() < end and not commands.matches(step.expected, done.stdout):
                time.sleep(1)
                done = run()
        self.assertEqual(done.returncode, 0, f"{step.text}: {done.stdout}{done.stderr}")
        if step.expected:
            self.assertTrue(commands.matches(step.expected, done.stdout),
                            f"{step.text}\n--- is to print\n{step.expected}--- and prints\n{done.stdout}{done.stderr}")

    def run_in_machine(self, step):
        """Who is asked whether to go on says yes; what pages its output on a terminal does not here."""
        shell = ["sh", "-e", "-u", "-c", step.text]
        if step.user == "operator":
            shell = ["runuser", "--login", "pi", "--command", step.text]
        return self.machine.try_run(shell, data="y\n", seconds=COMMAND_SECONDS)

    def take_on_host(self, step):
        done = subprocess.run(["sh", "-e", "-u", "-c", step.text], cwd=self.dir, env={**os.environ, "GNUPGHOME": self.dir + "/keys"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        self.assertEqual(done.returncode, 0, f"{step.text}: {done.stdout}{done.stderr}")

    # --- what a reader has -----------------------------------------------------------------------------------------------

    def forward(self, port, to):
        """Port @port of the machine's loopback is @to of the host's."""
        subprocess.run(self.machine.ssh("", "-O", "forward", "-R", f"127.0.0.1:{port}:127.0.0.1:{to}"), capture_output=True,
                       check=True, timeout=30)

    def have_names(self, *names):
        self.machine.run(f"echo '127.0.0.1 {' '.join(names)}' >>/etc/hosts")

    def have_checkout(self):
        """The tree that packages are built from, and a key to sign them with."""
        with open(HERE + "/build.sh", encoding="utf-8") as file:
            self.assertIn('/packaging/build-deb.sh" --suite "$suite" --arch arm64 --out', file.read(), "it is built in another way")
        os.makedirs(self.dir + "/packaging")
        script = self.dir + "/packaging/build-deb.sh"
        with open(script, "w", encoding="utf-8") as file:
            file.write(BUILD_DEB.format(built=shlex.quote(BUILT)))
        os.chmod(script, 0o755)
        os.mkdir(self.dir + "/keys", 0o700)
        keys = ["gpg", "--homedir", self.dir + "/keys", "--batch", "--quiet"]
        subprocess.run([*keys, "--passphrase", "", "--quick-generate-key", "packages@example.org", "ed25519", "sign"], check=True,
                       capture_output=True, timeout=120)
        self.addCleanup(subprocess.run, ["gpgconf", "--homedir", self.dir + "/keys", "--kill", "all"], check=True)

    def have_web_server(self):
        """Where the apt source is served from."""
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=self.dir + "/build/deb"))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.forward(80, server.server_port)

    def have_cloud(self):
        """AWS IoT Core under the name that is in the document, its root where Debian has Amazon's, and the claim."""
        cloud = self.part(Cloud(self.dir, host=ENDPOINT))
        self.forward(8883, cloud.port)
        root = "/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt"
        self.machine.run(f"test -s {root}")
        self.machine.write(root, read_text(cloud.path("server-ca.pem")))
        for name in ("claim.pem", "claim.key"):
            self.machine.write("/root/" + name, read_text(cloud.path(name)))
        return cloud

    def have_boiler(self):
        """A Modbus TCP server whose registers 10 and 11 are 21.5, as the document has it."""
        self.forward(502, self.part(TcpMeter({10: 0x0000, 11: 0x41AC})).port)

    def have_raspberry_pi_os(self):
        """Its boot files, and a user."""
        self.machine.write("/boot/firmware/config.txt", CONFIG_TXT)
        self.machine.write("/boot/firmware/cmdline.txt", CMDLINE_TXT)
        self.machine.run("useradd --create-home pi")

    def have_third_partition(self):
        """Of the card. After the reboot, as /dev is another one then."""
        self.machine.run("truncate -s 64M /srv/p3 && ln -s $(losetup --find --show /srv/p3) /dev/mmcblk0p3")

    def start_is_over(self):
        self.have_third_partition()
        wait_for("the gateway to answer", lambda: self.ctl("status").returncode == 0)


class Installation(Documents):
    SNAPSHOT = "booted"

    def test_the_installation_of_the_readme(self):
        # udevd looks at the rules while the package is being unpacked, before its groups are there; postinst has it look again.
        self.excuse(r"60-tidegate\.rules:\d+ Unknown group")
        self.have_names("packages.example.org", "boiler.plant.example", ENDPOINT)
        self.have_checkout()
        self.have_web_server()
        self.have_boiler()
        cloud = self.have_cloud()
        # The public key reaches the gateway as the document says: somebody copies it.
        self.copy_key = lambda: self.machine.copy([self.dir + "/build/deb/bookworm/tidegate.gpg"], "/root")
        self.follow("README.md", "Installation")
        published = wait_for("a reading in the cloud", lambda: [e for e in cloud.events("publish") if e["topic"].endswith("/boiler")])
        self.assertRegex(published[0]["topic"], r"^tidegate/[0-9a-f]{16}/boiler$")
        self.assertEqual(self.value("boiler/temperature"), 21.5)

    def take_on_host(self, step):
        super().take_on_host(step)
        if os.path.exists(self.dir + "/build/deb/bookworm/tidegate.gpg"):
            self.copy_key()


class RaspberryPi(Documents):
    SNAPSHOT = "enrolled"

    def test_the_manual_of_the_raspberry_pi(self):
        self.have_raspberry_pi_os()
        self.start()
        self.follow(PI)
