# SPDX-License-Identifier: Apache-2.0
"""Enrolment by hand, cut: the helper alone, started by a person who calls the command again when the power is back.

Hidden files that a cut has left in mid-replacement are no fault here: the agent sweeps them when it starts, and there is none.
"""

import os

from cryptography import x509

from gateway_bench import read_text
from power_cut_judge import announced, complaints_of_generation, complaints_of_tpm
from shop_ca import Shop

PENDING = {"journal", "key.pem", "request.pem"}
# What a step has written when it is told to be done.
KEPT = {"key": "pending/key.pem", "csr": "pending/request.pem", "written": "candidate/manifest"}


class Hand:
    """A phase of test_power_cut.py. @option: of the helper, which is what is cut; @template: what the disk has before."""

    by_hand, replaces, refused, issues = True, False, False, 0

    def __init__(self, name, template, option):
        self.name, self.template, self.option = name, template, option

    def drive(self, person, **how):
        """As Bench.drive()."""
        return person.call(self.option, person.request if self.option == "--csr" else person.waiting, **how)

    def complaints(self, person):
        """What is wrong when the command has got through at last; then the enrolment is brought to its end."""
        found = person.complaints_of_request() if self.option == "--csr" else []
        if self.option == "--csr":
            person.call("--install", person.sign("chain.pem"))
        return found + person.complaints_of_candidate()


HAND = (Hand("request by hand", "empty", "--csr"), Hand("answer by hand", "requested", "--install"))


class Person:
    """Whoever stands before the gateway, with a shop that signs."""

    def __init__(self, directory, gateway, failure):
        self.gateway, self.failure = gateway, failure
        self.shop = Shop(directory + "/shop")
        self.conf = directory + "/by-hand.conf"
        # Where the power fails, too; and what was made of the request that the template has.
        self.request, self.waiting = gateway.disk.mount + "/gw.csr", self.shop.path("waiting.pem")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(f"[gateway]\nid = gw-7\n[tpm]\ntcti = swtpm:path={gateway.chip.socket}\n[enrolment]\nmethod = manual\n"
                       f"[enrolment.manual]\nca = {self.shop.path('root.pem')}\n")
        os.chmod(self.conf, 0o640)

    def call(self, option, file, **how):
        """True when the command has got through, False when the power failed."""
        status = self.gateway.run_helper("--config", self.conf, option, file, **how)
        if self.gateway.was_cut():
            return False
        if status:
            raise self.failure(f"{option} ends with {status}\n{self.gateway.said()}")
        return True

    def sign(self, out):
        self.shop.sign(self.request)
        return self.shop.chain("device.pem", "issuing.pem", out=out)

    def complaints_of_loss(self, said):
        """Right after a cut: what was told to be done is there."""
        identity = self.gateway.disk.state + "/identity/"
        return [f"step {step} was told to be done, and {name} is gone" for step, name in KEPT.items()
                if announced(said, step) and not os.path.exists(identity + name)
                # A request makes way for what came of it.
                and not os.path.exists(identity + KEPT["written"])]

    def complaints_of_request(self):
        pending = self.gateway.disk.state + "/identity/pending"
        names = {name for name in os.listdir(pending) if not name.startswith(".")}
        found = [f"identity/pending/{name} is left over" for name in sorted(names - PENDING)]
        text = read_text(self.request)
        if text != read_text(pending + "/request.pem"):
            return found + ["what was handed out is not the request that waits"]
        if not x509.load_pem_x509_csr(text.encode()).is_signature_valid:
            found.append("the request is not signed by its key")
        return found

    def complaints_of_candidate(self):
        identity = self.gateway.disk.state + "/identity"
        found = [f"identity/{name} is left over" for name in sorted(set(os.listdir(identity)) - {"candidate", "generations", "lock"})]
        candidate = os.readlink(identity + "/candidate")
        # One that was whole when the power failed, and had no link yet, is history without a key.
        for name in sorted(os.listdir(identity + "/generations")):
            found += complaints_of_generation(f"{identity}/generations/{name}", int(name), candidate == "generations/" + name)
        with open(f"{identity}/candidate/chain.pem", "rb") as file:
            leaf = x509.load_pem_x509_certificate(file.read())
        with open(self.request, "rb") as file:
            asked = x509.load_pem_x509_csr(file.read())
        if leaf.public_key().public_numbers() != asked.public_key().public_numbers():
            found.append("the certificate is not that of the request")
        return found + complaints_of_tpm(self.gateway.chip)
