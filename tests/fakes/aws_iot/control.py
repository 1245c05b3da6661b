# SPDX-License-Identifier: Apache-2.0
"""The tests' way in: a Unix socket in the working directory, a JSON object a line, an answer a line.

{"op": "status"}                                          everything there is to know
{"op": "certificate", "id": ID, "status": "INACTIVE", "disconnect": true}
{"op": "delete-certificate", "id": ID}
{"op": "register-certificate", "pem": PEM, "status": "ACTIVE", "policies": [...], "thing": NAME}
{"op": "issue", "name": NAME, "policies": [...], "thing": NAME}     writes NAME.pem, NAME.key
{"op": "detach", "id": ID, "thing": NAME}
{"op": "policy", "name": NAME, "document": {...}}         adds or replaces
{"op": "template", "name": NAME, "body": {...}}
{"op": "hook", "verdict": "packaged|allow|refuse|timeout|error", "expected": [SERIAL, ...]|null}
{"op": "fault", "name": NAME, "count": N, "client": GLOB, "topic": GLOB, "api": "create"|"register",
       "certificate": ID|"next", "offline": GLOB, ...}
{"op": "clear", "name": NAME}                             without name: every fault
{"op": "faults"}                                          the names and what they do
{"op": "sessions", "client": ID}                          the record of sessions, of one client id or all
{"op": "down", "seconds": N|null}                         closes the endpoint, for a time or until {"op": "up"}
{"op": "set", "name": SETTING, "value": VALUE}            see config.py
{"op": "publish", "topic": T, "payload": TEXT, "qos": 1, "retain": false}   as the cloud side would
{"op": "disconnect", "client": ID}
{"op": "inject", "client": ID, "hex": BYTES}              raw bytes to a client, for hostile brokers

An ID is a certificateId, "claim", or "thing:NAME" for the newest certificate attached to a thing.
The answer has "ok": true, or false and "error".
"""

import asyncio
import json
import os

from cryptography import x509

from . import certs
from .faults import NAMES
from .mqtt import Publish
from .registry import STATES

LINE_MAX = 4 << 20


class Control:
    def __init__(self, server):
        self.server = server
        self.broker = server.broker
        self.registry = server.registry
        self.faults = server.faults

    async def start(self, path):
        if os.path.exists(path):
            os.unlink(path)
        self.listener = await asyncio.start_unix_server(self.serve, path, limit=LINE_MAX)
        os.chmod(path, 0o600)

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def answer(self, line):
        try:
            request = json.loads(line)
            handler = self.OPS[request.pop("op")]
            return {"ok": True, **(handler(self, **request) or {})}
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        except Exception as error:          # PolicyError, TemplateError: told, not fatal
            return {"ok": False, "error": str(error)}

    def find(self, id_):
        if id_.startswith("thing:"):
            return [c for c in self.registry.certificates.values() if id_[6:] in c.things].pop()
        if id_ == "claim":
            return next(c for c in self.registry.certificates.values() if c.origin == "claim")
        return self.registry.certificates[id_]

    def status(self):
        return {
            "port": self.server.port,
            "certificates": [{"id": c.id, "status": c.status, "origin": c.origin, "things": c.things,
                              "policies": c.policies, "pem": c.pem} for c in self.registry.certificates.values()],
            "things": {t.name: {"type": t.type, "attributes": t.attributes, "groups": t.groups}
                       for t in self.registry.things.values()},
            "tokens": len(self.registry.tokens),
            "connections": {c.client_id: {"certificate": c.certificate.id,
                                          "subscriptions": list(c.subscriptions)}
                            for c in self.broker.sessions.values()},
            "retained": {t: m.payload.decode("utf-8", "replace") for t, m in self.broker.retained.items()},
            "faults": self.faults.armed,
            "hook": self.server.hook.verdict,
        }

    def certificate(self, id, status, disconnect=True):
        if status not in STATES:
            raise ValueError(f"status must be one of {', '.join(STATES)}")
        entry = self.find(id)
        entry.status = status
        self.registry.save()
        if disconnect and status != "ACTIVE":
            self.broker.disconnect_certificate(entry.id, f"certificate became {status}")
        return {"id": entry.id}

    def delete_certificate(self, id):
        entry = self.find(id)
        self.registry.delete_certificate(entry.id)
        self.broker.disconnect_certificate(entry.id, "certificate deleted")

    def register_certificate(self, pem, status="ACTIVE", policies=(), thing=None, kind="EXCLUSIVE_THING"):
        certificate = x509.load_pem_x509_certificate(pem.encode())
        entry = self.registry.add_certificate(certs.certificate_id(certificate), pem, status, "operator",
                                              policies)
        self.server.attach(entry, thing, kind)
        return {"id": entry.id}

    def issue(self, name, policies=(), thing=None, kind="EXCLUSIVE_THING", status="ACTIVE"):
        if "/" in name:
            raise ValueError("name is a file name")
        return {"id": self.server.issue(name, policies, "operator", thing, kind, status).id}

    def detach(self, id, thing):
        self.find(id).things.pop(thing, None)
        self.registry.save()

    def policy(self, name, document):
        self.registry.add_policy(name, document)
        self.registry.save()

    def template(self, name, body):
        self.server.provisioning.add_template(name, json.dumps(body))

    def hook(self, verdict=None, expected=False):
        if verdict is not None and verdict not in self.server.hook.VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(self.server.hook.VERDICTS)}")
        self.server.hook.verdict = verdict or self.server.hook.verdict
        if expected is not False:
            self.server.hook.expected = expected

    def fault(self, name, **arguments):
        self.faults.arm(name, **arguments)

    def clear(self, name=None):
        self.faults.clear(name)

    def list_faults(self):
        return {"faults": NAMES}

    def set(self, name, value):
        self.server.config.change(name, value)
        if name == "token_life":
            self.registry.token_life = value

    def publish(self, topic, payload, qos=1, retain=False):
        self.broker.route(Publish(topic, payload.encode(), min(qos, 1), retain))

    def disconnect(self, client):
        self.broker.sessions[client].kill("API_INITIATED_DISCONNECT", "control")

    def inject(self, client, hex):
        self.broker.sessions[client].send(bytes.fromhex(hex))

    def sessions(self, client=None):
        return self.broker.record.report(client)

    def down(self, seconds=None):
        self.server.go_down(seconds)

    def up(self):
        self.server.go_up()

    OPS = {"status": status, "certificate": certificate, "delete-certificate": delete_certificate,
           "register-certificate": register_certificate, "issue": issue, "detach": detach, "policy": policy,
           "template": template, "hook": hook, "fault": fault, "clear": clear, "faults": list_faults,
           "set": set, "publish": publish, "disconnect": disconnect, "inject": inject,
           "sessions": sessions, "down": down, "up": up}
