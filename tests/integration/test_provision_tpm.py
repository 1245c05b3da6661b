#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidegate-provision with a TPM in trouble: a clear message, the class that says "here, not there", and the same key later.

usage: test_provision_tpm.py PATH-OF-TIDEGATE-PROVISION [unittest arguments]
"""

import os
import signal
import sys

os.environ.setdefault("TIDEGATE_BUILD", os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[1]))))

import faults
from provision_bench import Provision, main  # noqa: E402
from tpm_bench import (CREATE, CREATE_PRIMARY, FAILURE, LOAD, LOCKOUT, OBJECT_MEMORY, RETRY, SIGN, TESTING, YIELDED,  # noqa: E402
                       Proxy, Tools, clear)


class TpmTrouble(Provision):
    TIMEOUT = "timeout = 1s"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxy = Proxy(cls.tpm.dir)
        cls.addClassCleanup(cls.proxy.end)
        cls.tools = Tools(cls.tpm.tcti, cls.tpm.dir)

    def setUp(self):
        super().setUp()
        self.through_proxy()
        self.addCleanup(self.tools.flush)
        self.addCleanup(self.proxy.heal)

    def through_proxy(self):
        self.configure(tpm=self.TIMEOUT)
        path = self.dir + "/tidegate.conf"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(self.tpm.tcti, self.proxy.tcti))

    def local_failure(self, words, step="key"):
        failed = self.failure()
        self.assertRegex(failed["text"], words)
        self.assertEqual((failed["step"], failed["class"]), (step, "local"), failed)
        self.assertEqual(self.cloud.issued(), [])
        return failed

    def heals(self, key=None, left=()):
        """The next run gets its certificate, the only one, for the key that was there; nothing stays in the TPM."""
        _, result = self.enrol()
        self.assert_enrolled(result)
        if key:
            self.assertEqual(self.read("candidate/key.pem"), key)
        self.assertEqual(len(self.cloud.issued()), 1)
        self.assertEqual(self.tools.transients(), list(left))
        self.assertEqual(self.tools.lockout_counter(), 0)

    def test_killed_and_back(self):
        self.tpm.cut()
        self.addCleanup(lambda: self.tpm.process.poll() is not None and self.tpm.start())
        self.local_failure(r"check \[tpm\] tcti")
        self.tpm.start()
        self.heals()

    def test_frozen_and_thawed(self):
        self.tpm.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.tpm.process.send_signal, signal.SIGCONT)
        self.local_failure("the TPM has not answered for")
        self.tpm.process.send_signal(signal.SIGCONT)
        self.heals()

    def test_an_answer_that_never_comes(self):
        for command, step in ((CREATE_PRIMARY, "key"), (CREATE, "key"), (SIGN, "csr")):
            with self.subTest(hex(command)):
                self.proxy.order("hang", command, times=1)
                self.local_failure("the TPM has not answered for", step)
                # What the TPM did for a run that has ended without the answer stays where there is no resource manager.
                self.tools.flush()
        self.heals(self.pending_key())

    def test_busy_for_longer_than_the_timeout(self):
        for code in RETRY, YIELDED, TESTING:
            with self.subTest(hex(code)):
                self.proxy.answers(code, CREATE)
                self.local_failure("busy|testing itself")
        self.proxy.heal()
        self.heals()
        faults.told("F27", "busy for longer than the time-out: told, the next run succeeds")

    def test_busy_for_a_moment_is_not_noticed(self):
        self.proxy.answers(RETRY, times=12)
        self.heals()

    def test_failed_after_the_key_was_made(self):
        """Whatever fails behind the key, no other key is made."""
        troubles = (("code", LOAD, LOCKOUT, "locked"), ("code", SIGN, FAILURE, "failure mode"),
                    ("code", LOAD, OBJECT_MEMORY, "no room for another key"), ("close", SIGN, 0, "cannot reach the TPM"),
                    ("garbage", SIGN, 0, "TPM"), ("flip", SIGN, 0, "does not verify"))
        key = None
        for trouble, command, code, words in troubles:
            with self.subTest(trouble, code=hex(code)):
                self.proxy.order(trouble, command, code)
                if key is None:
                    # The first of them must not stop the key itself from being made and read back.
                    self.proxy.answers(FAILURE, SIGN)
                    self.local_failure("failure mode", "csr")
                    key = self.pending_key()
                    self.proxy.order(trouble, command, code)
                step = "key" if command == LOAD else "csr"
                self.local_failure(words, step)
                self.assertEqual(self.pending_key(), key)
        self.proxy.heal()
        self.heals(key)

    def test_other_programs_hold_every_slot(self):
        foreign = self.tools.fill()
        failed = self.local_failure("no room for another key")
        self.assertIn("device:/dev/tpmrm0", failed["text"])
        self.assertEqual(self.tools.transients(), foreign, "other programs' keys are left alone")
        self.tools.flush()
        self.heals()

    def test_slots_that_a_killed_run_left_full_are_freed_and_foreign_ones_not(self):
        self.proxy.answers(FAILURE, SIGN)
        self.local_failure("failure mode", "csr")
        self.proxy.heal()
        key = self.pending_key()
        self.tools.run("python3", "-c", SPLIT, self.state + "/identity/pending/key.pem")
        for _ in range(2):
            self.tools.run("tpm2_load", "-Q", "-C", "0x81000001", "-u", "left.pub", "-r", "left.priv", "-c", "left.ctx")
        own = self.tools.transients()
        foreign = [h for h in self.tools.fill() if h not in own]
        self.assertEqual((len(own), len(foreign)), (2, 1))
        self.heals(key, foreign)
        faults.told("F32", "slots that a killed run left full: ours freed, a foreign one not")

    def test_locked_out_is_no_hindrance(self):
        """The storage root key and ours are exempt from the dictionary-attack logic."""
        self.tools.lock_out()
        try:
            _, result = self.enrol()
            self.assert_enrolled(result)
        finally:
            self.tools.run("tpm2_dictionarylockout", "-c")
        faults.told("F26", "enrolment while other keys are locked out: succeeds")

    def test_cleared_after_the_key_was_made(self):
        self.proxy.answers(FAILURE, SIGN)
        self.local_failure("failure mode", "csr")
        self.proxy.heal()
        key = self.pending_key()
        clear(self.tools)
        self.heals()
        self.assertNotEqual(self.read("candidate/key.pem"), key)

    def test_an_evicted_parent_is_put_back_and_the_key_kept(self):
        self.proxy.answers(FAILURE, SIGN)
        self.local_failure("failure mode", "csr")
        self.proxy.heal()
        key = self.pending_key()
        self.tools.run("tpm2_evictcontrol", "-Q", "-c", "0x81000001")
        self.heals(key)


# Takes the two blobs out of a TSS2 PEM file: left.pub and left.priv, as tpm2_load wants them.
SPLIT = """
import base64, sys
der = base64.b64decode("".join(l for l in open(sys.argv[1]) if not l.startswith("-----")))
at = der.index(bytes.fromhex("02050081000001")) + 7
for name in "left.pub", "left.priv":
    assert der[at] == 4 and (der[at + 1] < 128 or der[at + 1] == 0x81)
    head = 2 if der[at + 1] < 128 else 3
    size = der[at + head - 1]
    open(name, "wb").write(der[at + head:at + head + size])
    at += head + size
"""


if __name__ == "__main__":
    main(__doc__)
