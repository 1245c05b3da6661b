#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""method = manual with the authority of a small shop: root, intermediate and device, made with the openssl command."""

import os
import subprocess

from gateway_bench import BUILD, KEEP_LOADED, SANITIZER, Broker, Scenario, Subscriber, main, read_text
from rotation_bench import IN_SYNC

LEAF = "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nbasicConstraints=critical,CA:false\n"
BELOW = "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"


class Shop:
    """What a small shop has: a root in a drawer, an intermediate on the desk."""

    def __init__(self, directory, name):
        self.dir = os.path.join(directory, name.replace(" ", "-"))
        os.makedirs(self.dir)
        self.root, self.desk = self.path("root.pem"), self.path("desk.pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj",
                     f"/CN={name} root", "-keyout", self.path("root.key"), "-out", self.root)
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     f"/CN={name} desk", "-keyout", self.path("desk.key"), "-out", self.path("desk.csr"))
        self.sign(self.path("desk.csr"), self.root, self.path("root.key"), BELOW, self.desk)

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL, cwd=self.dir)

    def sign(self, request, issuer, key, extensions, out):
        with open(self.path("extensions"), "w", encoding="ascii") as file:
            file.write(extensions)
        self.openssl("x509", "-req", "-in", request, "-CA", issuer, "-CAkey", key, "-CAcreateserial", "-days", "30",
                     "-sha256", "-extfile", self.path("extensions"), "-out", out)

    def chain_for(self, request, name="chain.pem"):
        """What is sent back: the certificate and the intermediate, as `cat` makes it."""
        self.sign(request, self.desk, self.path("desk.key"), LEAF, self.path("device.pem"))
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(read_text(self.path("device.pem")) + read_text(self.desk))
        return self.path(name)

    def device_anchors(self):
        return read_text(self.root)


class ByHand(Scenario):
    def make_cloud(self):
        self.shop, self.other = Shop(self.dir, "shop"), Shop(self.dir, "other shop")
        self.broker = self.part(Broker(self.dir, self.shop))
        self.subscriber = self.part(Subscriber(self.dir, self.broker))
        self.request = self.dir + "/request.pem"

    def first_config(self):
        # The gateway believes both, the broker only one.
        with open(self.dir + "/roots.pem", "w", encoding="ascii") as file:
            file.write(read_text(self.shop.root) + read_text(self.other.root))
        return {"tpm": {"tcti": self.tpm.tcti}, "enrolment": {"method": "manual"},
                "enrolment.manual": {"ca": self.dir + "/roots.pem"}, "mqtt": self.first_link(),
                # Due as soon as the rules allow it, ten seconds after it has come.
                "rotation": {"jitter": "0%", "probation": "1s", "max-age": self.MAX_AGE}}

    MAX_AGE = "1h"

    def start_agent(self):
        return self.agent.start(wrap=IN_SYNC)

    def provision(self, *arguments):
        """The helper as an operator runs it: (exit code, all that it said)."""
        done = subprocess.run([BUILD + "/provisioning/tidegate-provision", "--config", self.agent.conf, "--state-dir",
                               self.agent.state, *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **KEEP_LOADED})
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stdout + done.stderr

    def do(self, *arguments):
        code, said = self.provision(*arguments)
        self.assertEqual(code, 0, said)
        return said

    def enrolment(self):
        return self.agent.status()["enrolment"]

    def wait_reason(self, words, seconds=30):
        return self.wait(words, lambda: words in (self.enrolment()["reason"] or ""), seconds)

    def wait_generation(self, number, seconds=60):
        def there():
            status = self.agent.status()
            return (status["identity"]["state"] == "current" and status["identity"]["generation"] == number
                    and status["link"]["state"] == "online" and status["link"]["error"] is None and status)
        return self.wait(f"generation {number}", there, seconds)

    def wait_settled(self):
        self.wait("the end of the probation", lambda: not self.agent.status()["rotation"]["probation"], 30)

    def first_identity(self):
        self.do("--csr", self.request)
        self.do("--install", self.shop.chain_for(self.request))
        return self.wait_generation(1)


class FromNothing(ByHand):
    def test_a_request_waits_over_restarts_and_the_broker_is_shown_what_came(self):
        self.start_agent()
        found = self.wait("the word", lambda: self.enrolment()["state"] == "holding" and self.enrolment())
        self.assertIn("tidegate-provision --csr", found["reason"])
        self.assertTrue(found["by_hand"])
        code, _, error = self.agent.ctl("enroll")
        self.assertEqual(code, 1)
        self.assertIn("--csr", error)

        self.do("--csr", self.request)
        first = read_text(self.request)
        self.assertIn("BEGIN CERTIFICATE REQUEST", first)
        self.wait_reason("a request waits for its certificate")
        self.agent.kill()
        self.start_agent()
        self.wait_reason("a request waits for its certificate")
        self.do("--csr", self.request)
        self.assertEqual(read_text(self.request), first)

        status = (self.do("--install", self.shop.chain_for(self.request)), self.wait_generation(1))[1]
        self.assertEqual(status["identity"]["method"], "manual")
        self.wait_packs(3)
        self.assertEqual(status["enrolment"]["attempts"], 0, "no helper was started")
        _, screen, _ = self.agent.ctl("status")
        self.assertIn("to be renewed by hand from", screen)
        code, _, error = self.agent.ctl("renew")
        self.assertEqual(code, 1)
        self.assertIn("--csr", error)


class NextOne(ByHand):
    MAX_AGE = "10s"
    EVERY = "100ms"

    def test_the_renewal_is_told_and_bad_chains_change_nothing(self):
        self.start_agent()
        self.first_identity()
        self.wait_settled()
        self.wait_reason("renewal is due")
        self.assertEqual(self.enrolment()["state"], "holding")
        self.assertEqual(self.agent.said().count("event: The certificate is due for renewal, which is done by hand"), 1)
        self.do("--csr", self.request)

        # Of nobody that the gateway believes: refused at once, and the request still waits.
        stranger = Shop(self.dir, "stranger")
        code, said = self.provision("--install", stranger.chain_for(self.request))
        self.assertEqual(code, 1, said)
        self.assertIn("stranger", said)
        self.wait_reason("a request waits for its certificate")

        # Of somebody that the broker does not know: tried, and given up.
        self.do("--install", self.other.chain_for(self.request))
        self.wait("the roll-back", lambda: self.agent.status()["rotation"]["roll_backs"] == 1, 60)
        self.wait_generation(1)
        self.assertEqual(self.enrolment()["error"]["step"], "trial")
        self.assertIn("renewal ", self.agent.ctl("status")[1])

        self.do("--csr", self.request)
        self.do("--install", self.shop.chain_for(self.request))
        status = self.wait_generation(3)
        self.assertEqual(status["enrolment"]["attempts"], 0, "no helper was started")
        self.assertIsNone(status["enrolment"]["error"])
        self.assert_promise(self.wait_drained())


if __name__ == "__main__":
    main()
