# SPDX-License-Identifier: Apache-2.0
"""What a TPM can do to those who need it: the proxy before a software TPM, and the tools of an operator with bad luck."""

import os
import re
import subprocess
import sys

BUILD = os.path.abspath(os.environ.get("TIDEGATE_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build",
                                                                      "debug")))

# Commands of the TPM, by their TPM_CC.
ANY, CREATE_PRIMARY, CREATE, LOAD, SIGN, FLUSH, READ_PUBLIC, GET_CAPABILITY = (
    0, 0x131, 0x153, 0x157, 0x15d, 0x165, 0x173, 0x17a)
# Its answers, by their TPM_RC.
FAILURE, OBJECT_MEMORY, YIELDED, TESTING, LOCKOUT, RETRY = 0x101, 0x902, 0x908, 0x90a, 0x921, 0x922
FOR_EVER = 1000000


class Proxy:
    """tests/integration/tpm-proxy.c: answers as ordered. Its TPM may die and come back behind it."""

    def __init__(self, directory):
        self.process = subprocess.Popen([BUILD + "/tests/integration/tpm-proxy", directory], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.tcti = self.process.stdout.readline().strip()
        assert self.tcti, "the proxy does not run"

    def say(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer not in ("", "error"), words
        return answer

    def order(self, trouble, command=ANY, code=0, times=FOR_EVER):
        self.say("order", trouble, command, code, times)

    def answers(self, code, command=ANY, times=FOR_EVER):
        self.order("code", command, code, times)

    def heal(self):
        self.order("none", times=0)

    def seen(self, command=ANY):
        return int(self.say("seen", command))

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


class Tools:
    """tpm2-tools against one TPM, past any proxy."""

    def __init__(self, tcti, directory):
        self.tcti, self.dir = tcti, directory

    def run(self, *command, check=True):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.dir,
                              env={**os.environ, "TPM2TOOLS_TCTI": self.tcti, "TSS2_LOG": "all+none"})
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done

    def transients(self):
        return [line.strip("- ") for line in self.run("tpm2_getcap", "handles-transient").stdout.splitlines() if line]

    def properties(self):
        """Those of `tpm2_getcap properties-variable`, as text."""
        lines = self.run("tpm2_getcap", "properties-variable").stdout.splitlines()
        return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines) if v.strip()}

    def lockout_counter(self):
        return int(self.properties()["TPM2_PT_LOCKOUT_COUNTER"], 16)

    def fill(self):
        """Other programs' keys in every slot; returns their handles."""
        while len(self.transients()) < 3:
            self.run("tpm2_createprimary", "-Q", "-C", "n", "-G", "rsa2048:aes128cfb", "-c", "foreign.ctx")
        return self.transients()

    def flush(self):
        self.run("tpm2_flushcontext", "-t")

    def lock_out(self):
        """Wrong passwords for a key of ours until the TPM's dictionary-attack logic shuts."""
        self.run("tpm2_createprimary", "-Q", "-C", "o", "-c", "da-parent.ctx")
        self.run("tpm2_create", "-Q", "-C", "da-parent.ctx", "-G", "ecc", "-p", "right", "-u", "da.pub", "-r", "da.priv",
                 "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign")
        self.flush()
        self.run("tpm2_createprimary", "-Q", "-C", "o", "-c", "da-parent.ctx")
        self.run("tpm2_load", "-Q", "-C", "da-parent.ctx", "-u", "da.pub", "-r", "da.priv", "-c", "da.ctx")
        self.flush()
        for _ in range(8):
            self.run("tpm2_sign", "-Q", "-c", "da.ctx", "-p", "wrong", "-o", "sig", sys.executable, check=False)
            self.flush()
            if self.properties().get("inLockout") == "1":
                return
        raise AssertionError(f"the TPM does not lock out: {self.properties()}")


def clear(tools):
    """TPM2_Clear: a new seed for the owner hierarchy, the endorsement key stays."""
    tools.run("tpm2_clear", "-Q")


def packaged_version():
    """Of Debian's tpm2-openssl; () where there is none."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "tpm2-openssl"], capture_output=True, text=True, check=False)
    return tuple(int(n) for n in re.findall(r"\d+", done.stdout.partition("-")[0]))
