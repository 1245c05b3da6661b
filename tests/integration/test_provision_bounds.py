#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an EST server can do at worst to a gateway that renews: nothing. Answers that are huge, endless, slow, full of
certificates, or spoilt at random end within the time-outs, take no memory to speak of, and leave the disk as it was.

usage: test_provision_bounds.py PATH-OF-TIDEGATE-PROVISION [--mutations N | --full] [--memory MIB] [unittest arguments]

--memory: how much may be resident at most; for builds without sanitizers, whose own memory is many times that.
"""

import base64
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from http_bench import Files, Server, certs
from provision_bench import Provision, Tpm, main

ALL = 1000
TIMEOUT = 150           # of a run: more than the client's own 120 s for a request
MEASURED = None         # tests/integration/measured.c, where memory is measured
MEMORY_KIB = 0
MUTATIONS = 25


def certs_only(certificates):
    return pkcs7.serialize_certificates(certificates, serialization.Encoding.DER)


def der(tag, content):
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def fake_certs_only(certificates):
    """A certs-only answer in form, around what need not be certificates."""
    data = der(6, bytes.fromhex("2a864886f70d010701"))
    signed = der(0x30, b"\x02\x01\x01" + der(0x31, b"") + der(0x30, data) + der(0xa0, certificates) + der(0x31, b""))
    return der(0x30, der(6, bytes.fromhex("2a864886f70d010702")) + der(0xa0, signed))


def attributes():
    """What a server may ask for: ECDSA with SHA-256, a key on P-256, key usages."""
    key = der(0x30, der(6, bytes.fromhex("2a8648ce3d0201")) + der(0x31, der(6, bytes.fromhex("2a8648ce3d030107"))))
    wishes = der(0x30, der(6, bytes.fromhex("2a864886f70d01090e")) +
                 der(0x31, der(6, b"\x55\x1d\x0f") + der(6, b"\x55\x1d\x25")))
    return der(0x30, der(6, bytes.fromhex("2a8648ce3d040302")) + key + wishes)


def http(body, status=200, kind="application/pkcs7-mime; smime-type=certs-only"):
    return (f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def answer_of(data):
    return http(base64.encodebytes(data))


class Authority(Server):
    """A plain EST server: what it answers to an operation can be put in its place, as bytes or a function of the connection."""

    def __init__(self, files):
        super().__init__(files, None)
        self.files, self.instead, self.issued = files, {}, None
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.context.load_verify_locations(files.path("ca.pem"))
        self.serve(self.answer)

    def issue(self, body):
        csr = x509.load_der_x509_csr(base64.b64decode(body))
        self.issued = self.files.ca.issue(csr.public_key(), subject=csr.subject, eku=[ExtendedKeyUsageOID.CLIENT_AUTH])
        return answer_of(certs_only([self.issued]))

    def good(self, operation, body):
        if operation == "cacerts":
            return answer_of(certs_only([self.files.ca.certificate]))
        if operation == "csrattrs":
            return http(base64.encodebytes(attributes()), kind="application/csrattrs")
        return self.issue(body)

    def answer(self, connection, request):
        operation = request[1].rsplit("/", 1)[1]
        instead = self.instead.get(operation)
        good = self.good(operation, request[3])
        if callable(instead):
            return instead(connection, good)
        connection.send(instead or good)
        return instead is None


class Gateway:
    """A TPM and a state directory with an identity that is current, and a renewal that has got as far as its request."""

    def __init__(self, helper):
        self.helper, self.files, self.tpm = helper, Files(), Tpm()
        self.server = Authority(self.files)
        self.dir = tempfile.mkdtemp(prefix="tidegate-bounds-")
        self.state, self.kept = self.dir + "/state", self.dir + "/kept"
        self.worst_kib, self.said, self.failed = 0, "", None
        with open(self.dir + "/tidegate.conf", "w", encoding="utf-8") as file:
            file.write(f"[tpm]\ntcti = {self.tpm.tcti}\n[enrolment]\nmethod = est\nsubject = CN=gateway\n"
                       f"[enrolment.est]\nurl = {self.server.url}\nca = {self.files.path('ca.pem')}\n")
        os.chmod(self.dir + "/tidegate.conf", 0o640)
        assert self.run()["result"] == "enrolled", self.said
        self.promote()
        self.server.instead["simplereenroll"] = http(b"later", 503, "text/plain")
        assert self.run("renew")["result"] == "failed", self.said
        self.server.instead.clear()
        shutil.copytree(self.state, self.kept, symlinks=True)
        self.before = self.snapshot(self.kept)

    promote = Provision.promote

    def run(self, *arguments):
        """The result of a run; how much memory it took is kept."""
        command = [self.helper, "--json", "--config", self.dir + "/tidegate.conf", "--state-dir", self.state, *arguments]
        if MEASURED:
            command = [MEASURED, self.dir + "/memory", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        self.said = done.stdout + done.stderr
        assert done.returncode in (0, 1), (done.returncode, self.said)
        if MEASURED:
            with open(self.dir + "/memory", encoding="ascii") as file:
                self.worst_kib = max(self.worst_kib, int(file.read()))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.failed = lines[-2] if lines[-1]["result"] == "failed" else None
        return lines[-1]

    @staticmethod
    def snapshot(state):
        """Everything below a state directory. Of the journal, all but how far the last attempt got and how it failed."""
        found = {}
        for folder, folders, names in os.walk(state):
            for name in folders + names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                key = os.path.relpath(path, state)
                found[key] = status.st_mode
                if os.path.islink(path):
                    found[key] = os.readlink(path)
                elif os.path.isfile(path):
                    with open(path, "rb") as file:
                        found[key] = (status.st_mode, file.read())
        mode, journal = found["identity/pending/journal"]
        journal = json.loads(journal)
        for note in ("error", "attempts", "updated", "step"):
            journal.pop(note)
        found["identity/pending/journal"] = (mode, journal)
        return found

    def forget_request(self):
        """So that the next run begins with the first question."""
        shutil.rmtree(self.state + "/identity/pending")

    def restore(self):
        shutil.rmtree(self.state)
        shutil.copytree(self.kept, self.state, symlinks=True)

    def close(self):
        self.server.close()
        self.tpm.close()
        self.files.close()
        shutil.rmtree(self.dir)


class Bounds(Provision):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(cls.helper)
        cls.addClassCleanup(cls.gateway.close)
        # Its 20 s are waited for beside all else, on a gateway of its own.
        cls.slow = Slow(cls.helper)
        cls.addClassCleanup(cls.slow.close)

    def setUp(self):
        self.gateway.server.instead.clear()

    def check_untouched(self, gateway, pending=True):
        """Without @pending the request under way may have got further than the one before."""
        after = gateway.snapshot(gateway.state)
        changed = {k for k in gateway.before.keys() | after.keys() if gateway.before.get(k) != after.get(k) and
                   (pending or not k.startswith("identity/pending"))}
        self.assertEqual(changed, set(), [(k, gateway.before.get(k), after.get(k)) for k in changed])

    def check_memory(self, gateway):
        if MEASURED:
            self.assertLess(gateway.worst_kib, MEMORY_KIB, gateway.said)

    def fails(self, words, *classes):
        """A run that fails, in bounds; the next one is none the worse for it."""
        begin = time.monotonic()
        result = self.gateway.run("renew")
        took = time.monotonic() - begin
        self.assertEqual(result["result"], "failed", self.gateway.said)
        failed = self.gateway.failed
        self.assertIn(failed["class"], classes or ("bad-answer",), failed)
        self.assertRegex(failed["text"], words)
        self.check_untouched(self.gateway)
        self.check_memory(self.gateway)
        return took

    def each(self, instead, words, *classes):
        for operation in ("cacerts", "simplereenroll"):
            with self.subTest(operation):
                self.gateway.server.instead = {operation: instead}
                self.assertLess(self.fails(words, *classes), 60)

    def test_ten_megabytes(self):
        big = b"A" * 10_000_000
        self.each(http(big), "too long")

        def unannounced(connection, _):
            connection.send(b"HTTP/1.1 200 x\r\nContent-Type: application/pkcs7-mime\r\n\r\n" + big)
        self.each(unannounced, "too long")

    def test_without_end(self):
        def endless(connection, _, begin=b"\r\n", more=b"MIIB" * 1000):
            connection.send(b"HTTP/1.1 200 x\r\nContent-Type: application/pkcs7-mime\r\n" + begin)
            while True:
                connection.send(more)
        self.each(endless, "too long")
        self.each(lambda c, g: endless(c, g, b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"M" * 1000 + b"\r\n"), "too long")
        self.each(lambda c, g: endless(c, g, b"", b"X-Header: " + b"y" * 1000 + b"\r\n"), "header")
        self.each(lambda c, g: endless(c, g, b"", b"y" * 1000), "header")

    def test_ten_thousand_certificates(self):
        ca, key = self.gateway.files.ca, certs.new_key().public_key()
        some = [ca.issue(key, subject=certs.name(f"number {n}"), ca=True).public_bytes(serialization.Encoding.DER)
                for n in range(300)]
        self.each(answer_of(fake_certs_only(b"".join(some) * 34)), "too long")
        # As many of them as fit what is taken in; so small that all do; one in the other.
        self.each(answer_of(fake_certs_only(b"".join(some))), "more than")
        self.each(answer_of(fake_certs_only(der(0x30, b"\x05\x00" * 7) * 10_000)), "certificate")
        nested = b""
        for _ in range(10_000):
            nested = der(0x30, nested)
        self.each(answer_of(fake_certs_only(nested)), "certificate")

    def test_y_a_byte_a_second(self):
        self.slow.thread.join()
        if self.slow.error:
            raise self.slow.error
        self.assertEqual(self.slow.result["result"], "failed")
        self.assertIn("too slowly", self.slow.gateway.said)
        self.assertLess(self.slow.took, 120)
        self.check_untouched(self.slow.gateway)
        self.check_memory(self.slow.gateway)

    def mutate(self, number, good):
        """The @number-th way to spoil an answer; always the same."""
        rnd = random.Random(number)
        head, _, body = good.partition(b"\r\n\r\n")
        target = rnd.choice(("der", "der", "der", "base64", "head", "all"))
        data = bytearray({"der": base64.b64decode(body), "base64": body, "head": head, "all": good}[target])
        for _ in range(rnd.choice((1, 1, 1, 2, 5, 20))):
            at, length = rnd.randrange(len(data)), rnd.choice((1, 1, 2, 4, 16, 64))
            how = rnd.randrange(8)
            if how == 0:
                data[at] ^= 1 << rnd.randrange(8)
            elif how == 1:
                data[at] = rnd.choice((0, 0x7f, 0x80, 0x81, 0x84, 0xff))
            elif how == 2 and len(data) > 1:
                del data[at:at + min(length, len(data) - 1)]
            elif how == 3:
                data[at:at] = data[at:at + length]
            elif how == 4:
                data[at:at] = rnd.randbytes(length)
            elif how == 5:
                data[at:at + length] = rnd.randbytes(len(data[at:at + length]))
            elif how == 6 and len(data) > 1:
                del data[max(at, 1):]
            else:
                end = rnd.randrange(len(data))
                data[at:at + length] = data[end:end + length]
        begin = head + b"\r\n\r\n"
        if target in ("der", "base64"):     # as long as it says
            new = base64.encodebytes(bytes(data)) if target == "der" else bytes(data)
            return begin.replace(b"Content-Length: %d\r" % len(body), b"Content-Length: %d\r" % len(new)) + new
        return bytes(data) + b"\r\n\r\n" + body if target == "head" else bytes(data)

    def check_accepted(self):
        """What was spoilt does not matter: then what was installed is what was issued, and nothing else."""
        generation = self.gateway.state + "/identity/candidate"
        with open(generation + "/chain.pem", "rb") as file:
            self.assertEqual(x509.load_pem_x509_certificate(file.read()), self.gateway.server.issued)

    def test_answers_that_are_spoilt_at_random(self):
        outcomes, begin, longest = {}, time.monotonic(), 0
        for number in range(0, ALL, ALL // MUTATIONS):
            # Not by the number alone, of which a sample takes each tenth.
            operation = random.Random(-number).choice(("simplereenroll", "simplereenroll", "cacerts", "csrattrs"))

            def spoil(connection, good, number=number):
                connection.send(self.mutate(number, good))
                return False
            self.gateway.server.instead = {operation: spoil}
            if operation != "simplereenroll":
                self.gateway.server.instead["simplereenroll"] = http(b"later", 503, "text/plain")
            with self.subTest(number=number, operation=operation):
                if operation == "csrattrs":
                    self.gateway.forget_request()
                one = time.monotonic()
                result = self.gateway.run("renew")["result"]
                longest = max(longest, time.monotonic() - one)
                outcomes[result] = outcomes.get(result, 0) + 1
                if result == "renewed":
                    self.check_accepted()
                    self.gateway.restore()
                else:
                    self.assertIn(result, ("failed", "pending"))
                    self.check_untouched(self.gateway, pending=operation != "csrattrs")
                if operation == "csrattrs":
                    self.gateway.restore()
                self.check_memory(self.gateway)
        print(f"{sum(outcomes.values())} spoilt answers in {time.monotonic() - begin:.0f} s, the longest {longest:.1f} s: "
              f"{outcomes}", end=" ", flush=True)

    @classmethod
    def tearDownClass(cls):
        worst = max(cls.gateway.worst_kib, cls.slow.gateway.worst_kib)
        if MEASURED:
            print(f"the most memory of a run was {worst / 1024:.1f} MiB", flush=True)

    def test_zz_and_then_it_renews(self):
        self.assertEqual(self.gateway.run("renew")["result"], "renewed", self.gateway.said)
        self.check_accepted()
        self.check_memory(self.gateway)


class Slow:
    """A renewal from a server that sends a byte a second."""

    def __init__(self, helper):
        self.gateway, self.result, self.took, self.error = Gateway(helper), None, 0, None
        self.gateway.server.instead["simplereenroll"] = self.drip
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    @staticmethod
    def drip(connection, good):
        for byte in good:
            connection.send(bytes([byte]))
            time.sleep(1)

    def run(self):
        begin = time.monotonic()
        try:
            self.result = self.gateway.run("renew")
        except BaseException as error:      # told by the test
            self.error = error
        self.took = time.monotonic() - begin

    def close(self):
        self.thread.join()
        self.gateway.close()


def option(name):
    """The value of an option of ours, taken from the command line; None without it."""
    if name not in sys.argv:
        return None
    at = sys.argv.index(name)
    value = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    return value


if __name__ == "__main__":
    if "--full" in sys.argv:
        sys.argv.remove("--full")
        MUTATIONS = ALL
    MUTATIONS = int(option("--mutations") or MUTATIONS)
    limit = option("--memory")
    if limit:
        MEMORY_KIB = int(limit) * 1024
        MEASURED = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "measured")
        if not os.path.exists(MEASURED):
            sys.exit(f"{MEASURED} is not there: memory cannot be measured")
    main(__doc__)
