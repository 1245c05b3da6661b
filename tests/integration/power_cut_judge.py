# SPDX-License-Identifier: Apache-2.0
"""What must be true of a gateway that has come back from power cuts: exactly one valid identity, and nothing left over."""

import hashlib
import json
import os
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway_bench import read_text, wait_for
from power_cut_bench import LOADED_SESSIONS, PERSISTENT, SRK, TRANSIENT

SLOTS = ("current", "candidate", "previous")
SECRETS = {"key.pem", "bundle.pem"}
PUBLIC = {"chain.pem", "manifest", "anchors.pem", "outcome"}


class Ledger:
    """What the service has issued since it was opened, against what was needed."""

    def __init__(self, cloud, needed):
        self.cloud, self.needed = cloud, needed
        self.excused = 0
        self.twice = len(cloud.events("disconnect", reason="DUPLICATE_CLIENTID"))
        self.begin = self.segment = len(cloud.events("provisioning", outcome="accepted"))

    def done(self, since):
        """(certificates issued, registrations taken)"""
        calls = [e["api"] for e in self.cloud.events("provisioning", outcome="accepted")[since:]]
        return calls.count("create"), calls.count("register")

    def after_cut(self, said):
        """
        What the helper has announced is stored. An answer that the power went in front of is lost, and a certificate is lost
        with it: the first one, or that of a token which the lost registration has spent. One for each cut.
        """
        wait_for("the service to notice the cut", lambda: not self.cloud.ask("status")["connections"])
        issued, registered = self.done(self.segment)
        if issued > announced(said, "issued") or registered > announced(said, "registered"):
            self.excused += 1
        self.segment = len(self.cloud.events("provisioning", outcome="accepted"))

    def issued(self):
        return self.done(self.begin)[0]

    def complaints(self):
        issued, allowed = self.issued(), self.needed + self.excused
        found = [f"{issued} certificates were asked for where {allowed} would do"] if issued > allowed else []
        twice = self.cloud.events("disconnect", reason="DUPLICATE_CLIENTID")[self.twice:]
        return found + [f"two sessions called {e['client']}" for e in twice]


def announced(said, step):
    return len(re.findall(rf"^{step} +done ", said, re.MULTILINE))


def complaints_of_tpm(chip):
    """While nobody uses the TPM."""
    found = []
    for name, kind, expected in (("persistent", PERSISTENT, [SRK]), ("transient", TRANSIENT, []), ("session", LOADED_SESSIONS, [])):
        handles = chip.handles(kind)
        if handles != expected:
            found.append(f"{name} handles in the TPM: {[hex(h) for h in handles]}")
    return found + complaints_of_lockout(chip)


def complaints_of_lockout(chip):
    counter = chip.lockout_counter()
    return [f"the dictionary-attack counter is {counter}"] if counter else []


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def complaints_of_generation(path, number, secret):
    """A generation's files; `secret` says whether it must have its key, or must not."""
    names = set(os.listdir(path))
    if not {"chain.pem", "manifest"} <= names:
        return [f"generation {number} has lost {({'chain.pem', 'manifest'} - names)}"]
    found = [f"generation {number} has {name}" for name in names - PUBLIC - SECRETS]
    if SECRETS & names != (SECRETS if secret else set()):
        found.append(f"generation {number} has {sorted(SECRETS & names)}")
        return found
    manifest = json.loads(read_bytes(path + "/manifest"))
    chain = read_bytes(path + "/chain.pem")
    leaf = x509.load_pem_x509_certificate(chain)
    if manifest["number"] != number or manifest["fingerprint"] != leaf.fingerprint(hashes.SHA256()).hex():
        found.append(f"generation {number} is not what its manifest says")
    if secret:
        bundle = read_bytes(path + "/bundle.pem")
        if bundle != chain + read_bytes(path + "/key.pem") or hashlib.sha256(bundle).hexdigest() != manifest["bundle_sha256"]:
            found.append(f"bundle.pem of generation {number} is not chain and key")
    return found


def complaints_of_disk(state):
    """identity/ when all is settled: one generation with a key, which `current` names; the others are history."""
    identity = state + "/identity"
    links = {slot: os.readlink(f"{identity}/{slot}") for slot in SLOTS if os.path.islink(f"{identity}/{slot}")}
    allowed = {"current", "previous", "generations", "lock"}
    found = [f"identity/{name} is left over" for name in sorted(set(os.listdir(identity)) - allowed)]
    if not re.fullmatch(r"generations/\d{6}", links.get("current", "")):
        return found + [f"current points at {links.get('current')}"]
    if "previous" in links and not os.path.isdir(f"{identity}/{links['previous']}"):
        found.append("previous points at nothing")
    for name in sorted(os.listdir(identity + "/generations")):
        path = f"{identity}/generations/{name}"
        if re.fullmatch(r"\d{6}", name):
            found += complaints_of_generation(path, int(name), links["current"] == "generations/" + name)
        else:
            found.append(f"identity/generations/{name} is left over")
    return found + [f"{name} is left over" for name in os.listdir(state) if name.startswith(".")]


def complaints_of_session(gateway):
    """The broker knows the gateway by the certificate that is current; soon, as the disk knows of a roll-back before the session."""
    def sessions():
        return {client: c["certificate"] for client, c in gateway.cloud.ask("status")["connections"].items()}
    status = gateway.cloud.ask("status")
    manifest = json.loads(read_text(gateway.disk.state + "/identity/current/manifest") or "{}")
    entry = next((c for c in status["certificates"] if c["id"] == manifest.get("fingerprint")), None)
    if not entry or entry["status"] != "ACTIVE":
        return [f"the service holds the current certificate for {entry and entry['status']}"]
    try:
        wait_for("the session", lambda: list(sessions().values()) == [entry["id"]], 10)
    except AssertionError:
        return [f"sessions at the broker: {sessions()}"]
    return []


def complaints_of_old(gateway, old):
    """The certificate that was replaced: switched off by the service, which the gateway tells until it is acknowledged."""
    def active():
        return [c["id"] for c in gateway.cloud.issued() if c["id"] in old and c["status"] == "ACTIVE"]
    try:
        wait_for("the old certificate's end", lambda: not active(), 5)
    except AssertionError:
        return [f"the old certificate is still active: {active()}"]
    return []
