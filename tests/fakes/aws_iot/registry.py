# SPDX-License-Identifier: Apache-2.0
"""What AWS IoT keeps for an account: certificates, things, policies, ownership tokens.

Saved to one file after every change, so that a stand-in that is stopped and started in the same directory
(a broker outage, to the gateway) still knows the gateways that enrolled before.
"""

import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, field

from .policy import Policy

STATES = ("PENDING_ACTIVATION", "ACTIVE", "INACTIVE", "REVOKED")


@dataclass
class Certificate:
    id: str
    pem: str
    status: str
    origin: str                                     # claim, csr, jitr, operator
    policies: list = field(default_factory=list)
    things: dict = field(default_factory=dict)      # name -> EXCLUSIVE_THING or NON_EXCLUSIVE_THING
    made: float = field(default_factory=time.time)  # when it was registered


@dataclass
class Thing:
    name: str
    type: str | None = None
    attributes: dict = field(default_factory=dict)
    groups: list = field(default_factory=list)


@dataclass
class Token:
    certificate: str
    expires: float                                  # wall clock: it must outlive a restart


class Registry:
    def __init__(self, path, token_life):
        self.path = path
        self.token_life = token_life
        self.certificates = {}
        self.things = {}
        self.tokens = {}
        self.policies = {}                          # name -> Policy; loaded anew at each start

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                saved = json.load(file)
        except FileNotFoundError:
            return
        self.certificates = {c["id"]: Certificate(**c) for c in saved["certificates"]}
        self.things = {t["name"]: Thing(**t) for t in saved["things"]}
        self.tokens = {k: Token(**t) for k, t in saved["tokens"].items()}
        for name, document in saved["policies"].items():
            self.policies[name] = Policy(document)

    def save(self):
        state = {"certificates": [asdict(c) for c in self.certificates.values()],
                 "things": [asdict(t) for t in self.things.values()],
                 "tokens": {k: asdict(t) for k, t in self.tokens.items()},
                 "policies": {k: p.document for k, p in self.policies.items()}}
        temporary = self.path + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(state, file, indent=1)
        os.replace(temporary, self.path)

    def add_policy(self, name, document):
        self.policies[name] = Policy(document)

    def add_certificate(self, id_, pem, status, origin, policies=()):
        certificate = Certificate(id_, pem, status, origin, list(policies))
        self.certificates[id_] = certificate
        self.save()
        return certificate

    def delete_certificate(self, id_):
        self.certificates.pop(id_, None)
        self.tokens = {k: t for k, t in self.tokens.items() if t.certificate != id_}
        self.save()

    def new_token(self, id_):
        token = secrets.token_urlsafe(192)          # 256 characters; AWS's are of this order
        self.tokens[token] = Token(id_, time.time() + self.token_life)
        self.save()
        return token

    def token_certificate(self, token):
        """The certificate that a token owns, or None when it is unknown, spent or expired."""
        entry = self.tokens.get(token)
        if entry is None or time.time() >= entry.expires:
            return None
        return self.certificates.get(entry.certificate)

    def spend(self, token):
        self.tokens.pop(token, None)
        self.save()

    def expire(self):
        """Deletes certificates whose token ran out before they were registered; returns their ids."""
        dead = [t.certificate for t in self.tokens.values() if time.time() >= t.expires]
        for id_ in dead:
            self.delete_certificate(id_)
        return dead

    def attach(self, certificate, thing, kind):
        certificate.things[thing] = kind

    def connection_variables(self, certificate, client_id):
        """The policy variables of a connection.

        With an exclusive attachment the thing comes from the certificate, whatever the client id; else
        the client id must be the thing's name. The name then resolves even when the certificate is
        not attached to that thing, which is why policies must also ask for IsAttached.
        """
        exclusive = [t for t, kind in certificate.things.items() if kind == "EXCLUSIVE_THING"]
        thing = exclusive[0] if exclusive else client_id
        variables = {"iot:ClientId": client_id,
                     "iot:Connection.Thing.IsAttached": "true" if thing in certificate.things else "false"}
        if thing in self.things:
            entry = self.things[thing]
            variables["iot:Connection.Thing.ThingName"] = thing
            variables["iot:Connection.Thing.ThingTypeName"] = entry.type
            for key, value in entry.attributes.items():
                variables[f"iot:Connection.Thing.Attributes[{key}]"] = value
        return variables

    def policies_of(self, certificate):
        return [self.policies[name] for name in certificate.policies if name in self.policies]
