# SPDX-License-Identifier: Apache-2.0
"""The TPM of the machine goes away, with its device nodes, and comes back; secrets that it has sealed."""

import os

import faults
from est_gateway_bench import Est
from gateway_bench import Broker
from scenes import FINE, System
from world import CONF, text_of


class Away(System):
    SPOILS = True

    def test_readings_go_on_and_the_gateway_comes_back_by_itself(self):
        self.go_online()
        self.wait_packs(2)
        pid = self.unit("MainPID")
        self.machine.run("systemctl stop vtpm.service")
        self.addCleanup(self.machine.try_run, "systemctl start vtpm.service")
        self.wait("the device to go", lambda: self.machine.try_run("test -e /dev/tpmrm0").returncode != 0)
        self.assertIn("link online", self.wait_status_text(r"; TPM away$", 120), "the session stands")
        self.wait_packs(4)

        # The next handshake needs it.
        self.world.broker.kill()
        self.world.broker.start()
        line = self.wait_status_text(r"^enrolled; link (offline|connecting) \(.*TPM.*\); 1 of 1 devices ok; \d+ packs wait; TPM away$",
                                     120)
        self.assertNotRegex(line, FINE)
        self.wait("a spool that grows", lambda: self.ask("status")["spool"]["disk_packs"] > 6)
        self.assertEqual(self.unit("MainPID"), pid)

        # Which it may do more than once: the kernel is as impatient with a chip as ever, and the machine may be slow.
        self.machine.run("systemctl start --no-block vtpm.service")
        self.wait("the device", lambda: self.machine.try_run("test -e /dev/tpmrm0").returncode == 0, 120)
        self.wait_fine(180)
        self.wait_drained()
        self.assertEqual(self.unit("MainPID"), pid)
        self.assertEqual(self.ask("status")["identity"]["generation"], 1)
        faults.told("F31", "/dev/tpmrm0 gone: session and polls go on, a new session waits; online again with the device, same process")


class Sealed(System):
    SNAPSHOT = "installed"
    SPOILS = True   # the TPM has a key then

    def setUp(self):
        super().setUp()
        directory = self.machine.room()
        os.mkdir(directory + "/est")
        self.est = self.part(Est(directory + "/est", host="cloud.test"))
        self.broker = self.part(Broker(directory, self.est, names=("localhost", "broker.test")))
        self.config = {
            "enrolment": {"method": "est", "subject": "CN=%i"},
            "enrolment.est": {"url": self.est.url, "ca": CONF + "/est.pem", "username": "gateway",
                              "password-file": "tidegate.est-password"},
            "mqtt": {"endpoint": "broker.test", "port": self.broker.port, "ca": CONF + "/broker.pem"},
            "bus signals": {"type": "sim"}, "device boiler": {"bus": "signals", "every": "1s"},
            "point boiler/number": {"read": "counter"}}
        for name, path in (("est.pem", self.est.path("ca.pem")), ("broker.pem", self.broker.ca)):
            self.machine.write(f"{CONF}/{name}", text_of(path))

    def test_a_password_that_only_this_tpm_unseals_enrols_over_est(self):
        password = self.est.read("password")
        sealed = "/etc/credstore.encrypted/tidegate.est-password"
        self.machine.run("mkdir -p -m 700 /etc/credstore.encrypted && systemd-creds encrypt --with-key=tpm2 "
                         f"--name=tidegate.est-password - {sealed}", password)
        self.start()
        self.wait_fine()
        self.assertEqual(self.est.enrolments("simpleenroll")[-1]["authorization"], "basic")
        self.assertEqual(self.machine.try_run(["grep", "-rl", password.strip(), "/etc", "/var/lib"]).stdout, "")
        self.assertEqual(self.ask("status")["tpm"]["state"], "ok")

        # Nothing in it is of use to another name, nor what it is replaced by to this one.
        self.stop()
        self.machine.run(f"systemd-creds encrypt --with-key=tpm2 --name=other - {sealed}", password)
        self.excuse(r"tidegate.service|redentials")
        self.assertNotEqual(self.machine.try_run("systemctl start tidegate.service").returncode, 0)
        self.assertEqual(self.unit("Result"), {"Result": "exit-code"})
