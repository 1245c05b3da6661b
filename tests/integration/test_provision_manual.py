#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with method = manual: the request is carried to a small shop's openssl, and the chain is carried back.

usage: test_provision_manual.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile

from cryptography import x509

from provision_bench import HERE, Provision, main
from shop_ca import CA_CONF, DEVICE, Shop


class ByHand(Provision):
    """A shop for all tests of a class, as none changes what it is; a gateway for each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.mkdtemp(prefix="tidegate-shop-")
        cls.addClassCleanup(shutil.rmtree, directory)
        cls.shop = Shop(directory + "/ca")

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tidegate-provision-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.state = self.dir + "/state"
        self.request = self.dir + "/gw.csr"
        self.configure()

    def configure(self, enrolment="subject = CN=%i,O=Shop\n", rest="", ca=None):
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[gateway]\nid = gw-7\n[tpm]\ntcti = {self.tpm.tcti}\n[enrolment]\nmethod = manual\n{enrolment}"
                       f"[enrolment.manual]\nca = {ca or self.shop.path('root.pem')}\n{rest}")
        os.chmod(self.dir + "/tidegate.conf", 0o640)

    def ask(self, *arguments):
        """Writes the request; its steps."""
        steps, result = self.enrol("--csr", self.request, *arguments)
        self.assertEqual(result, {"result": "requested"})
        return steps

    def install(self, path):
        _, result = self.enrol("--install", path)
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))
        self.assert_no_secrets()
        return result

    def refused(self, path, *words):
        """The chain is refused with these words; the request waits on, and nothing else has come of it."""
        before = self.read("pending/request.pem"), self.pending_key()
        failed = self.failure("--install", path)
        for word in words:
            self.assertIn(word, failed["text"])
        self.assertEqual((self.read("pending/request.pem"), self.pending_key()), before)
        self.assertFalse(os.path.lexists(self.state + "/identity/candidate"))
        return failed

    def assert_right_one_is_taken(self):
        self.assertEqual(self.install(self.good())["result"], "enrolled")

    def good(self):
        self.shop.sign(self.request)
        return self.shop.chain("device.pem", "issuing.pem")


class Request(ByHand):
    def test_the_request_is_written_for_people_and_twice_the_same(self):
        steps = self.ask()
        self.assertEqual([(s["step"], s["state"]) for s in steps], [(s, "done") for s in ("key", "csr", "request")])
        self.assertEqual(stat.S_IMODE(os.stat(self.request).st_mode), 0o644)
        with open(self.request, "rb") as file:
            first = file.read()
        request = x509.load_pem_x509_csr(first)
        self.assertTrue(request.is_signature_valid)
        self.assertEqual(request.subject.rfc4514_string(), "CN=gw-7,O=Shop")
        os.unlink(self.request)
        steps = self.ask()
        self.assertEqual([(s["step"], s["state"]) for s in steps], [("key", "kept"), ("csr", "kept"), ("request", "done")])
        with open(self.request, "rb") as file:
            self.assertEqual(file.read(), first)
        self.assertEqual(os.listdir(self.dir).count("gw.csr"), 1)

    def test_standard_output_has_the_request_and_nothing_else(self):
        done = subprocess.run(self.command("--csr", "-"), capture_output=True, text=True, timeout=120, check=True)
        x509.load_pem_x509_csr(done.stdout.encode())
        self.assertTrue(done.stdout.startswith("-----BEGIN CERTIFICATE REQUEST-----\n"))
        self.assertTrue(done.stdout.endswith("-----END CERTIFICATE REQUEST-----\n"))
        self.assertRegex(done.stderr, r"(?m)^csr +done")
        self.assertIn("--install", done.stderr)

    def test_a_place_that_is_none_for_files_is_refused_and_the_request_waits(self):
        for path in ("/dev/null", self.dir, self.dir + "/no/such/gw.csr"):
            failed = self.failure("--csr", path)
            self.assertIn(f"--csr {path}: ", failed["text"])
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        self.assertEqual([s["state"] for s in self.ask()][:2], ["kept", "kept"])

    def test_a_changed_subject_makes_another_request_of_the_same_key(self):
        self.ask()
        key = self.pending_key()
        old = self.good()
        self.configure("subject = CN=%i,O=Elsewhere\n")
        failed = self.failure("--install", old)
        self.assertIn("subject or dns-name of the configuration have changed: --csr makes another", failed["text"])
        self.assertEqual([s["state"] for s in self.ask()], ["kept", "done", "done"])
        self.assertEqual(self.pending_key(), key)

    def test_commands_and_methods_that_do_not_go_together_are_refused(self):
        for arguments in (("--csr", "a", "--install", "b"), ("--csr", "a", "enrol"), ("--install", "b", "--credential", "claim"),
                          ("--check", "renew"), ("--csr",)):
            self.assertEqual(subprocess.run(self.command(*arguments), capture_output=True).returncode, 2, arguments)
        for arguments in ((), ("enrol",), ("renew",)):
            done = subprocess.run(self.command(*arguments), capture_output=True, text=True)
            self.assertEqual(done.returncode, 78)
            self.assertIn("'tidegate-provision --csr FILE' writes the request", done.stderr)
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n")
        for option in ("--csr", "--install"):
            done = subprocess.run(self.command(option, self.request), capture_output=True, text=True)
            self.assertEqual(done.returncode, 78)
            self.assertIn("method", done.stderr)
        self.assertFalse(os.path.exists(self.state))


class Answer(ByHand):
    def setUp(self):
        super().setUp()
        self.ask()

    def test_what_openssl_makes_is_taken_in_every_form(self):
        shop, signed = self.shop, self.shop.sign_by_ca(self.request)
        self.assertIn("Certificate:", shop.read("device.pem"))
        shop.openssl("x509", "-in", signed, "-outform", "DER", "-out", "device.der")
        forms = {"leaf first": shop.chain("device.pem", "issuing.pem", out="a.pem"),
                 "root first": shop.chain("root.pem", "issuing.pem", "device.pem", out="b.pem"),
                 "twice, and others'": shop.chain("issuing.pem", "device.pem", "issuing.pem", "root.pem", out="c.pem"),
                 "PKCS#7": shop.pkcs7("device.pem", "issuing.pem", "root.pem", out="d.p7b"),
                 "PKCS#7 in DER": shop.pkcs7("issuing.pem", "device.pem", out="e.p7b", form="DER")}
        wanted = None
        pending = self.dir + "/pending"
        shutil.copytree(self.state + "/identity/pending", pending)
        for form, path in forms.items():
            with self.subTest(form):
                result = self.install(path)
                self.assertEqual((result["result"], result["subject"]), ("enrolled", "CN=gw-7,O=Shop"))
                chain = self.read("candidate/chain.pem")
                # The same in the end: the device's, the intermediate's, and no root.
                wanted = wanted or chain
                self.assertEqual(chain, wanted)
                self.assertEqual(chain.count("BEGIN"), 2)
                self.assertEqual(self.read("candidate/anchors.pem").count("BEGIN"), 1)
                self.assertEqual(json.loads(self.read("candidate/manifest"))["method"], "manual")
                shutil.rmtree(self.state + "/identity")
                os.makedirs(self.state + "/identity")
                shutil.copytree(pending, self.state + "/identity/pending")
        # One certificate in DER, where nothing is between it and the root.
        shop.sign(self.request, ca="root", out="direct.pem")
        shop.openssl("x509", "-in", "direct.pem", "-outform", "DER", "-out", "direct.der")
        self.install(shop.path("direct.der"))
        self.assertEqual(self.read("candidate/chain.pem").count("BEGIN"), 1)

    def test_standard_input_is_taken(self):
        with open(self.good(), "rb") as file:
            done = subprocess.run(self.command("--install", "-"), stdin=file, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "enrolled: generation 1, CN=gw-7,O=Shop")

    def test_the_same_file_twice_is_no_failure(self):
        path = self.good()
        self.assertEqual(self.install(path)["result"], "enrolled")
        self.assertEqual(self.install(path)["result"], "present")
        self.promote()
        self.assertEqual(self.install(path)["result"], "present")
        self.assertEqual(os.listdir(self.state + "/identity/generations"), ["000001"])

    def test_a_candidate_that_waits_is_not_taken_the_place_of(self):
        self.install(self.good())
        failed = self.failure("--csr", self.dir + "/other.csr")
        self.assertIn("generation 1 waits for the broker's verdict", failed["text"])
        self.assertFalse(os.path.exists(self.dir + "/other.csr"))
        self.ask("--again")
        self.assertEqual(self.install(self.good())["generation"], 2)

    def test_an_answer_without_a_request_is_refused_and_leaves_nothing(self):
        path = self.good()
        shutil.rmtree(self.state + "/identity/pending")
        failed = self.failure("--install", path)
        self.assertIn("no request waits for a certificate: --csr makes one", failed["text"])
        self.assertFalse(os.path.exists(self.state + "/identity/pending"))

    def test_a_request_of_a_tpm_that_was_replaced_is_of_no_use(self):
        path = self.good()
        self.tpm.replace()
        failed = self.failure("--install", path)
        self.assertIn("its key is not one of this TPM: --csr makes another", failed["text"])
        self.assertEqual([s["state"] for s in self.ask()], ["done"] * 3)
        self.assert_right_one_is_taken()


class Guide(ByHand):
    """doc/enrolment-manual.md, command by command. What it leaves to the reader is a ca.conf."""

    HELPER = "runuser -u tidegate -- /usr/libexec/tidegate/tidegate-provision"

    def test_the_commands_of_the_guide_do_what_it_says(self):
        with open(os.path.join(HERE, "..", "..", "doc", "enrolment-manual.md"), encoding="utf-8") as file:
            blocks = re.findall("^```sh\n(.*?)^```$", file.read(), re.M | re.S)
        self.assertEqual(len(blocks), 7)
        os.makedirs(self.dir + "/issued")
        files = {"ca.conf": CA_CONF.format(dir=self.dir, ca="issuing", device=DEVICE), "index.txt": "", "serial": "1000\n"}
        for name, text in files.items():
            with open(f"{self.dir}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        self.configure("subject = CN=%i,O=Example\n", ca=self.dir + "/root.pem")
        os.makedirs(self.state)
        helper = shlex.join(self.command())
        for number, block in enumerate(blocks):
            # The root is there before the request in practice; here it is made behind it.
            if "--csr" in block:
                self.configure("subject = CN=%i,O=Example\n")
            else:
                self.configure("subject = CN=%i,O=Example\n", ca=self.dir + "/root.pem")
            done = subprocess.run(["bash", "-e", "-c", block.replace(self.HELPER, helper)], cwd=self.dir, capture_output=True,
                                  text=True, timeout=120)
            self.assertEqual(done.returncode, 0, f"block {number}: {block}{done.stdout}{done.stderr}")
        self.assertEqual(json.loads(self.read("candidate/manifest"))["subject"], "CN=gw-7,O=Example")
        self.assertEqual(self.read("candidate/chain.pem").count("BEGIN"), 2)
        self.assertRegex(done.stdout, "ok +candidate: generation 1")


class Refusal(ByHand):
    def setUp(self):
        super().setUp()
        self.ask()

    def signed(self, **how):
        self.shop.sign(self.request, out="bad.pem", **how)
        return self.shop.chain("bad.pem", "issuing.pem", out="bad-chain.pem")

    def test_what_is_not_as_it_should_be_is_refused_with_words_and_the_right_one_taken_after(self):
        shop = self.shop
        cases = {
            "a CA": (self.signed, {"ext": "basicConstraints = CA:TRUE\n"}, ("certificate authority's", "CA:FALSE")),
            "no clientAuth": (self.signed, {"ext": DEVICE.replace("clientAuth", "serverAuth")}, ("clientAuth",)),
            "no signatures": (self.signed, {"ext": DEVICE.replace("digitalSignature", "keyAgreement")}, ("digitalSignature",)),
            "another subject": (self.signed, {"options": ("-subj", "/CN=someone-else")},
                                ("its subject is not 'CN=gw-7,O=Shop', but 'CN=someone-else'", "subject of [enrolment]")),
        }
        for name, (make, how, words) in cases.items():
            with self.subTest(name):
                failed = self.refused(make(**how), *words)
                self.assertEqual((failed["step"], failed["class"]), ("issued", "bad-answer"))
                # What the agent and --check tell of it.
                self.assertEqual(self.journal()["error"]["class"], "bad-answer")
        with self.subTest("expired"):
            shop.sign_by_ca(self.request, "-startdate", "20240101000000Z", "-enddate", "20250101000000Z", out="over.pem")
            self.refused(shop.chain("over.pem", "issuing.pem"), "2025-01-01T00:00:00Z", "have another made")
        with self.subTest("a subject in another order"):
            policy = "organizationName = optional\ncommonName = supplied\n"
            shop.write("order.conf", shop.read("ca.conf").replace(policy, "commonName = supplied\norganizationName = optional\n"))
            order = ("ca", "-batch", "-config", "order.conf", "-in", self.request, "-out", "order.pem")
            shop.openssl(*order)
            self.refused(shop.chain("order.pem", "issuing.pem"), "its subject is not 'CN=gw-7,O=Shop', but 'O=Shop,CN=gw-7'")
            shop.openssl(*order, "-preserveDN")
        with self.subTest("leaf alone"):
            self.refused(shop.sign(self.request), "issuing", "is missing", "the file has to bring what is between")
        with self.subTest("another root"):
            shop.make_root("other")
            shop.sign(self.request, ca="other", out="stray.pem")
            self.refused(shop.chain("stray.pem", "other.pem"), "other")
        with self.subTest("an expired intermediate"):
            shop.make_expired_intermediate("late", "root")
            shop.sign(self.request, ca="late", out="late-device.pem")
            self.refused(shop.chain("late-device.pem", "late.pem"), "late")
        self.assertEqual(self.install(shop.chain("order.pem", "issuing.pem"))["result"], "enrolled")

    def test_files_that_are_something_else_are_refused_as_such(self):
        shop, good = self.shop, self.good()
        shop.openssl("pkcs12", "-export", "-nokeys", "-in", good, "-passout", "pass:", "-out", "chain.p12")
        shop.write("empty.pem", "")
        shop.write("page.html", "<!DOCTYPE html><html>Sign in</html>\n")
        with self.subTest("the key of somebody"):
            failed = self.refused(shop.chain("device.pem", "issuing.pem", "issuing.key", out="with-key.pem"),
                                  "there is a private key in it")
            with open(shop.path("issuing.key"), encoding="ascii") as file:
                secret = file.read().splitlines()[1]
            self.assertNotIn(secret, json.dumps(failed) + self.everything)
        with self.subTest("PKCS#12"):
            self.refused(shop.path("chain.p12"), "PKCS#12")
        with self.subTest("the request"):
            self.refused(self.request, "it is a certificate request")
        with self.subTest("nothing"):
            self.refused(shop.path("empty.pem"), "it is empty")
        with self.subTest("a web page"):
            self.refused(shop.path("page.html"), "no certificate in it")
        with self.subTest("no such file"):
            self.refused(shop.path("nowhere.pem"), "nowhere.pem")
        self.assert_right_one_is_taken()

    def test_a_certificate_of_another_request_is_refused(self):
        shop = self.shop
        shop.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "another.key")
        shop.openssl("req", "-new", "-key", "another.key", "-subj", "/O=Shop/CN=gw-7", "-out", "another.csr")
        shop.sign("another.csr", out="another.pem")
        self.refused(shop.chain("another.pem", "issuing.pem"), "none of the 2 certificates in it is for the key of the request")
        self.assert_right_one_is_taken()

    def test_a_ca_file_that_is_none_is_named(self):
        good = self.good()
        missing = self.dir + "/missing.pem"
        self.configure(ca=missing)
        failed = self.refused(good, f"ca {missing}: ")
        self.assertEqual(failed["class"], "local")
        self.configure(ca=self.shop.path("issuing.key"))
        self.refused(good, "there is a private key in it")
        self.configure()
        self.assert_right_one_is_taken()


class Renewal(ByHand):
    def setUp(self):
        super().setUp()
        self.ask()
        self.install(self.good())
        self.promote()
        self.base = self.read("current/bundle.pem")

    def renew(self):
        self.ask()
        _, result = self.enrol("--install", self.good())
        self.assertEqual((result["result"], result["generation"], result["base"]), ("renewed", 2, 1))
        self.assertEqual(self.read("current/bundle.pem"), self.base)

    def test_a_renewal_has_a_new_key_and_leaves_the_current_one_alone(self):
        self.renew()
        self.assertNotEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))

    def test_with_rekey_no_it_has_the_same(self):
        self.configure(rest="[rotation]\nrekey = no\n")
        self.renew()
        self.assertEqual(self.read("candidate/key.pem"), self.read("current/key.pem"))

    def test_the_certificate_that_is_in_use_is_no_answer_to_a_renewal(self):
        with open(self.dir + "/old.pem", "w", encoding="ascii") as file:
            file.write(self.read("current/chain.pem"))
        self.configure(rest="[rotation]\nrekey = no\n")
        self.ask()
        _, result = self.enrol("--install", self.dir + "/old.pem")
        self.assertEqual((result["result"], result["generation"]), ("present", 1))
        self.assertTrue(os.path.exists(self.state + "/identity/pending/request.pem"))


if __name__ == "__main__":
    main(__doc__)
