#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision --check: what it finds, what it advises, and that it leaves everything as it was.

usage: test_provision_check.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import datetime
import json
import os
import subprocess

from cryptography.hazmat.primitives.asymmetric import ec

from certificate_bench import Made
from est_bench import EstProvision, EstServer
from provision_bench import Provision, main, run
from test_provision_manual import ByHand

STATES = ("ok", "warn", "fail")


class Checking:
    """Beside a bench for a method."""

    def check(self, status=0, *arguments):
        """The findings by what they are about; one that is there several times is as bad as the worst."""
        before = self.tree()
        done = subprocess.run(self.command("--check", "--json", *arguments), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(self.tree(), before)
        *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(last["result"], "failed" if status else "ok")
        for state in STATES:
            self.assertEqual(last[state], sum(line["state"] == state for line in lines))
        found = {}
        for line in lines:
            if line["check"] not in found or STATES.index(line["state"]) > STATES.index(found[line["check"]]["state"]):
                found[line["check"]] = line
        return found

    def tree(self):
        """Every file of the state directory, with its contents."""
        found = {}
        for folder, _, names in os.walk(self.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.join(folder, name)] = file.read()
        return found

    def fails(self, what, *words):
        """--check fails with this one finding, in one line for people; its advice too."""
        found = self.check(1)
        self.assertEqual([w for w, line in found.items() if line["state"] == "fail"], [what], found)
        done = subprocess.run(self.command("--check"), capture_output=True, text=True, timeout=120)
        [line] = [line for line in done.stdout.splitlines() if line.startswith("fail")]
        for word in (*words, found[what]["advice"]):
            self.assertIn(word, line)
        self.assertTrue(line.startswith(f"fail  {what}: "), line)
        return line


class Fleet(Checking, Provision):
    def test_a_gateway_that_is_well_fails_in_nothing(self):
        found = self.check()
        self.assertEqual(list(found), ["configuration", "state", "tpm", "clock", "identity", "request", "ca", "claim-certificate",
                                       "endpoint", "session", "last-attempt"])
        self.assertEqual(found["state"]["state"], "warn")
        self.assertFalse(os.path.exists(self.state))
        self.assertEqual(self.cloud.issued(), [])
        self.enrol()
        found = self.check()
        self.assertEqual({line["state"] for line in found.values()}, {"ok"})
        self.assertIn("generation 1", found["candidate"]["text"])

    def test_each_thing_that_is_wrong_is_named_and_what_to_do(self):
        os.makedirs(self.state)
        self.configure(**{"claim-key": "/nonexistent"})
        self.assertIn("/nonexistent", self.check(1)["claim-certificate"]["text"])
        self.configure(endpoint="nowhere.invalid")
        self.fails("endpoint", "the name nowhere.invalid is not found", "resolver")
        self.configure(port=1)
        self.fails("endpoint", "localhost port 1 cannot be connected to", "Connection refused", "firewall")
        self.configure(ca=self.cloud.dir + "/claim.key")
        self.assertIn("there is a private key in it", self.check(1)["ca"]["text"])
        self.configure()
        self.cloud.ask("fault", name="reply-error", api="create", statusCode=503)
        self.failure()
        line = self.fails("last-attempt", "failed at step issued (retry)", "503")
        self.assertIn("tries again by itself", line)

    def test_a_tpm_that_is_away_is_the_one_failure(self):
        os.makedirs(self.state)
        self.tpm.cut()
        try:
            self.fails("tpm", "tcti of [tpm]", "group tss")
        finally:
            self.tpm.start()

    def test_a_renewal_would_show_the_current_certificate(self):
        self.configure(**{"rotation-template": "tidegate-rotation"})
        self.enrol()
        self.promote()
        # What the first enrolment needed may be gone.
        self.configure(**{"rotation-template": "tidegate-rotation", "claim-key": "/nonexistent"})
        found = self.check()
        self.assertEqual(found["session"]["state"], "ok")
        self.assertEqual(found["claim-certificate"]["state"], "warn")

    def test_without_a_method_there_is_little_to_look_at(self):
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n")
        found = self.check()
        self.assertEqual(found["configuration"]["state"], "warn")
        self.assertNotIn("endpoint", found)


class Est(Checking, EstProvision):
    def setUp(self):
        super().setUp()
        os.makedirs(self.state)

    def assert_asked_for_nothing(self):
        self.assertEqual(self.est.events("csr"), [])
        self.assertLessEqual({e["operation"] for e in self.est.events("request")}, {"cacerts", "csrattrs"})

    def test_a_gateway_that_is_well_fails_in_nothing_and_asks_for_nothing(self):
        self.configure(credential="both")
        found = self.check()
        self.assertEqual(list(found), ["configuration", "state", "tpm", "clock", "identity", "request", "ca", "certificate",
                                       "password-file", "server", "cacerts", "csrattrs", "last-attempt"])
        self.assertEqual({line["state"] for line in found.values()}, {"ok"})
        self.assertIn("sha256:" + self.est.fingerprint(), found["ca"]["text"])
        self.assert_asked_for_nothing()
        self.enrol()
        self.promote()
        self.est.mark()
        found = self.check()
        self.assertEqual({line["state"] for line in found.values()}, {"ok"})
        # As a renewal would.
        self.assertEqual({e["certificate"] for e in self.est.events("request")}, {found["identity"]["text"].split(", ")[1]})
        self.assert_asked_for_nothing()

    def test_a_root_that_is_found_by_its_fingerprint_is_told(self):
        self.configure(ca=None, **{"ca-fingerprint": "sha256:" + self.est.fingerprint()})
        self.assertIn("ca-fingerprint", self.check()["ca"]["text"])
        self.configure(ca=None, **{"ca-fingerprint": "sha256:" + "00" * 32})
        line = self.fails("cacerts", "ca-fingerprint", self.est.fingerprint())
        self.assertLess(len(line), 700)

    def test_a_ca_file_that_is_a_whole_store_is_refused_by_both_in_the_same_words(self):
        path, key = self.dir + "/store.pem", ec.generate_private_key(ec.SECP256R1())
        with open(path, "wb") as file:
            file.writelines(Made(f"root {n}", ca=True, key=key).pem for n in range(257))
        self.configure(ca=path)
        line = self.fails("ca", "more than 256 certificates", "put the root of this server there")
        failed = self.failure()
        self.assertEqual((failed["step"], failed["class"]), ("csr", "local"))
        self.assertIn(failed["text"].removeprefix("ca "), line)
        self.assertEqual(self.est.events("request"), [])

    def test_what_the_server_does_wrong_is_one_line_with_its_words_and_what_to_do(self):
        other = EstServer()
        self.addCleanup(other.close)
        self.configure(ca=other.path("ca.pem"))
        self.fails("cacerts", "localhost")
        self.configure()
        faults = {"closed": ({"status": 503, "text": "Closed for stock-taking"},
                             ("the server answered 503", "Closed for stock-taking", "tries again by itself")),
                  "moved": ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
                            ("302", "https://elsewhere.example/")),
                  "not allowed": ({"status": 403, "text": "Not from this plant"}, ("403", "Not from this plant"))}
        for name, (fault, words) in faults.items():
            with self.subTest(name):
                self.est.fault("status", operation="cacerts", count=-1, **fault)
                self.fails("cacerts", *words)
                self.est.ask("reset")
        with self.subTest("a web server"):
            self.est.fault("body", operation="cacerts", how="html", type="text/html", count=-1)
            self.fails("cacerts", "is there an EST server at url?")
        self.assert_asked_for_nothing()

    def test_a_server_that_wants_another_key_is_refused_at_csrattrs(self):
        self.est.set(csrattrs="rsa")
        self.fails("csrattrs", "P-256")

    def test_a_server_that_is_not_there_is_told_from_one_with_another_name(self):
        self.configure(url="https://nowhere.invalid")
        self.fails("server", "the name nowhere.invalid is not found")
        self.configure(url="https://localhost:1")
        self.fails("server", "localhost port 1 cannot be connected to")
        self.configure(proxy="http://[::1]:1")
        self.fails("proxy", "::1 port 1 cannot be connected to")

    def test_the_last_attempt_is_told_in_the_servers_words(self):
        self.est.write_password("wrong")
        self.failure()
        self.fails("last-attempt", "failed at step issued (refused)", "simpleenroll: the server answered 401",
                   "username and password-file")
        self.est.write_password()
        self.est.set(pending=1, retry_after="3600")
        self.postponed()
        waiting = self.check()["last-attempt"]
        self.assertEqual(waiting["state"], "warn")
        self.assertIn("waiting at step issued (pending)", waiting["text"])
        self.assertIn("approve", waiting["text"])

    def test_what_failed_at_another_place_is_no_failure_of_this_one(self):
        self.configure(url="https://localhost:1")
        self.failure()
        self.configure()
        found = self.check()["last-attempt"]
        self.assertEqual((found["state"], found["advice"]),
                         ("warn", "the next one begins anew, with the key that is there"))
        self.assertRegex(found["text"], r"^failed at step csr, .*, with another configuration \(method = est, "
                                        r"https://localhost:1/\.well-known/est\): .*Connection refused")

    def test_the_names_of_the_request_are_told(self):
        self.configure(enrolment="subject = CN=gw-7")
        self.assertEqual(self.check()["request"]["text"], "it will be for CN=gw-7")
        self.configure(enrolment="subject = CN=gw-7\ndns-name = a.example\ndns-name = b.example")
        self.assertEqual(self.check()["request"]["text"],
                         "it will be for CN=gw-7, with dns-name = a.example and others")

    def test_a_server_that_is_not_trusted_is_no_trouble_of_the_network(self):
        other = EstServer()
        self.addCleanup(other.close)
        self.configure(ca=other.path("ca.pem"))
        self.assertNotIn("network", self.fails("cacerts", "chain ends in", "which is not in ca"))

    def test_a_user_name_may_be_the_gateways_own(self):
        identity = run(*self.command("identity")).stdout.strip()
        self.est.set(username="device-" + identity)
        self.configure(username="device-%t")
        self.assert_enrolled(self.enrol()[1])

    def test_a_password_that_others_can_read_or_the_service_alone_is_remarked(self):
        os.chmod(self.est.path("password"), 0o644)
        found = self.check()["password-file"]
        self.assertEqual((found["state"], found["advice"]), ("warn", "chown root:tidegate and chmod 0640"))
        os.unlink(self.est.path("password"))
        self.fails("password-file", "No such file", "the user tidegate must be able to read it")
        self.configure(**{"password-file": "tidegate.est-password"})
        self.assertEqual(self.check(1)["password-file"]["state"], "warn")


class Hand(Checking, ByHand):
    def test_what_waits_and_what_was_refused_is_told(self):
        os.makedirs(self.state)
        self.assertEqual({line["state"] for line in self.check().values()}, {"ok"})
        self.ask()
        found = self.check()["last-attempt"]
        self.assertEqual(found["state"], "warn")
        self.assertIn("a request waits since", found["text"])
        self.refused(self.shop.path("root.pem"))
        line = self.fails("last-attempt", "failed at step issued (bad-answer)", "none of the 1 certificates")
        self.assertIn("bring the right file with --install", line)

    def test_a_ca_that_cannot_be_used_is_named(self):
        os.makedirs(self.state)
        self.configure(ca=self.dir + "/missing.pem")
        self.fails("ca", "missing.pem", "tidegate must be able to read it")

    def test_an_identity_that_ends_soon_wants_a_request(self):
        self.ask()
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = ((now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (-90, 10))
        self.shop.sign_by_ca(self.request, "-startdate", begin, "-enddate", end)
        self.install(self.shop.chain("device.pem", "issuing.pem"))
        self.promote()
        found = self.check()["identity"]
        self.assertEqual((found["state"], found["advice"]), ("warn", "have a new request signed: --csr"))
        self.assertRegex(found["text"], r"ends \d{4}-\d\d-\d\d, and (89|90)% of its life are over")


if __name__ == "__main__":
    main(__doc__)
