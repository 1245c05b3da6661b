# SPDX-License-Identifier: Apache-2.0
"""The AppArmor profile in a kernel that enforces it: whom it holds, that it bites, and what a site adds to it.

That nothing else is refused is seen behind every test in this directory: a denial in the journal fails it.
"""

import re
import socket

from bench import Scenario, full

PROFILES = "/sys/kernel/security/apparmor/profiles"
LOCAL = "/etc/apparmor.d/local/usr.sbin.tidegated"
PROFILE = "/etc/apparmor.d/usr.sbin.tidegated"
PROGRAM = "/usr/local/bin/curious"
DROP_IN = "/etc/systemd/system/tidegate.service.d/programs.conf"
CONFINED = {
    "tidegated": "tidegated (enforce)",
    "tidegate-provis": "tidegated//&tidegated//provision (enforce)",    # as much of a name as the kernel keeps
    "curious": "tidegated//&tidegated//program (enforce)",
    "sleep": "tidegated//&tidegated//program (enforce)",
}
# What a program of an exec bus could reach as the agent's user if there were the sandbox alone, and what it shall reach.
CURIOUS = """#!/bin/sh
while true; do
	for what in config:/etc/tidegate/tidegate.conf spool:/var/lib/tidegate/spool.db tpm:/dev/tpmrm0 host:/etc/hostname; do
		if true <"${what#*:}"; then echo "${what%%:*} open"; else echo "${what%%:*} refused"; fi
	done 2>/dev/null
	sleep 1
done
"""
THEIRS = {"config": "refused", "spool": "refused", "tpm": "refused", "host": "open"}


class Profile(Scenario):
    SNAPSHOT = "enrolled"
    SPOILS = True

    def add_program(self):
        self.excuse(r'operation="open" .*profile="tidegated//program" name="/(etc/tidegate/tidegate\.conf|var/lib/tidegate/'
                    r'spool\.db|dev/tpmrm0)".*comm="curious"')
        self.machine.write(PROGRAM, CURIOUS, 0o755)
        self.machine.write(DROP_IN, f"[Service]\nExecPaths={PROGRAM} /usr/bin/dash /usr/bin/sleep\n")
        self.machine.run("systemctl daemon-reload")
        self.add_bus("programs", "exec")
        self.add_device("curious", "programs", {name: {"read": name, "publish": "change"} for name in THEIRS}, command=PROGRAM,
                        mode="running")

    def reached(self):
        """What the program says that it reached."""
        def said():
            samples = self.read("curious")
            return {p: s["value"] for p, s in samples.items() if s["quality"] == "good"}
        return self.wait("the program to say what it reached", lambda: (lambda d: len(d) == len(THEIRS) and d)(said()))

    def labels(self):
        """Of the processes of the service as they are now: {(name, label)}. One that ends meanwhile has no label."""
        text = self.machine.run("for pid in $(cat /sys/fs/cgroup/system.slice/tidegate.service/cgroup.procs); do "
                                "read -r name </proc/$pid/comm && read -r label </proc/$pid/attr/current && echo \"$name:$label\"; "
                                "done 2>/dev/null || true")
        return {tuple(line.split(":", 1)) for line in text.splitlines()}

    def test_the_agent_its_helper_and_programs_are_held_each_by_its_own(self):
        # Connections are taken and never answered: the helper waits.
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        self.config["enrolment.aws-fleet"]["port"] = silent.getsockname()[1]
        self.add_program()
        self.start()
        self.wait_online()
        self.machine.run("tidegate renew")
        seen = set()

        def all_seen():
            seen.update(self.labels())
            return CONFINED.items() <= seen
        try:
            self.wait("the agent, its helper and a program", all_seen, 120)
        except AssertionError as error:
            raise AssertionError(f"{sorted(seen)}: {error}") from None
        # Between its beginning and its program a process is what it was forked from: confined, too.
        self.assertEqual([label for _, label in seen if not label.endswith(" (enforce)")], [])

    def test_programs_reach_nothing_of_the_agents_which_the_sandbox_alone_would_give_them(self):
        self.add_program()
        self.start()
        self.assertEqual(self.reached(), THEIRS)
        self.stop()
        self.machine.run(f"apparmor_parser -R {PROFILE}")
        self.start()
        self.assertEqual({label for _, label in self.labels()}, {"unconfined"})
        self.assertEqual(self.reached(), {name: "open" for name in THEIRS})

    def test_what_is_nobodys_business_is_refused_even_to_root(self):
        self.excuse(r'profile="tidegated" name="/(root/secret|home/secret|boot/secret|etc/shadow|etc/tidegate/new|usr/bin/new|'
                    r'dev/tpm0|dev/vda)".*comm="(cat|touch)"')
        self.excuse(r'profile="tidegated" name="/usr/(bin/mount|lib/.*)".*comm="aa-exec"')
        self.machine.run("mkdir -p /home /boot; for d in root home boot; do echo secret >/$d/secret; done")
        for command, path in (("cat", "/root/secret"), ("cat", "/home/secret"), ("cat", "/boot/secret"), ("cat", "/etc/shadow"),
                              ("cat", "/dev/tpm0"), ("cat", "/dev/vda"), ("touch", "/etc/tidegate/new"), ("touch", "/usr/bin/new")):
            with self.subTest(path):
                done = self.machine.try_run(f"aa-exec -p tidegated -- {command} {path}")
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertIn("Permission denied", done.stderr)
        self.assertEqual(self.machine.run("aa-exec -p tidegated -- cat /etc/hostname").strip(), "machine")

    @full
    def test_authorities_may_lie_in_the_usual_places_and_elsewhere_with_a_rule_of_the_site(self):
        usual = "/usr/local/share/ca-certificates/broker.crt"
        self.machine.run(f"install -D -m 644 /etc/tidegate/broker.pem {usual}")
        self.config["mqtt"]["ca"] = usual
        self.start()
        self.wait_online()
        self.stop()
        self.machine.run("install -D -m 644 /etc/tidegate/broker.pem /data/broker.pem")
        self.config["mqtt"]["ca"] = "/data/broker.pem"
        self.excuse(r'operation="open" .*profile="tidegated" name="/data/broker.pem"')
        self.start()
        self.wait("the refusal to be told", lambda: "/data/broker.pem" in self.machine.run("tidegate status"))
        self.machine.write(LOCAL, "/data/broker.pem r,\n")
        self.machine.run(f"apparmor_parser -r {PROFILE} && tidegate reload")
        self.wait_online()


class Package(Scenario):
    SPOILS = True

    def profiles(self):
        return re.findall(r"^(tidegated\S*) \((\w+)\)$", self.machine.run(f"cat {PROFILES}"), re.MULTILINE)

    @full
    def test_the_profile_comes_and_goes_with_the_package(self):
        names = ("tidegated", "tidegated//program", "tidegated//provision")
        self.assertEqual(sorted(self.profiles()), [(name, "enforce") for name in names])
        self.machine.run("dpkg --remove tidegate && dpkg --purge tidegate", seconds=300)
        self.assertEqual(self.profiles(), [])
        self.assertEqual(self.machine.run("find /etc/apparmor.d -name '*tidegate*'"), "")
