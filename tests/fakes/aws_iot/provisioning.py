# SPDX-License-Identifier: Apache-2.0
"""Fleet provisioning: CreateCertificateFromCsr and RegisterThing over MQTT.

A call is a PUBLISH to a reserved topic; the answer goes to <topic>/accepted or <topic>/rejected, to the
connection that asked and to no other. There is no correlation id: one call is under way at a time, or the
device cannot tell the answers apart.
"""

import asyncio
import datetime
import importlib.util
import json
import re

from . import certs, templates
from .templates import RegistrationError

CREATE = "$aws/certificates/create-from-csr/"
REGISTER = re.compile(r"\$aws/provisioning-templates/([^/]+)/provision/([^/]+)")


class NoReply(Exception):
    """The call is not answered."""


def call_of(topic):
    """(api, template, format) of a provisioning topic, or None for any other."""
    if topic.startswith(CREATE) and "/" not in topic[len(CREATE):]:
        return "create", None, topic[len(CREATE):]
    match = REGISTER.fullmatch(topic)
    return ("register", match.group(1), match.group(2)) if match else None


def members(payload):
    """The JSON object of a call. What cannot be read is the caller's mistake and never ours."""
    try:
        value = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RegistrationError(400, "InvalidPayload", "the payload is not JSON") from error
    if not isinstance(value, dict):
        raise RegistrationError(400, "InvalidPayload", "the payload is not a JSON object")
    return value


class Hook:
    """The pre-provisioning hook: packaging/aws/pre_provisioning_hook.py itself, or a verdict on order."""

    VERDICTS = ("packaged", "allow", "refuse", "timeout", "error")

    def __init__(self, path, registry, config):
        self.verdict = "packaged"
        self.expected = None            # serial numbers that may enrol; None is every one
        self.registry = registry
        self.config = config
        spec = importlib.util.spec_from_file_location("pre_provisioning_hook", path)
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def things_of(self, certificate_id):
        certificate = self.registry.certificates.get(certificate_id)
        return list(certificate.things) if certificate else []

    async def ask(self, event):
        """The parameters that the hook overrides; raises when it refuses, fails or takes too long."""
        refused = RegistrationError(403, "AccessDenied", "Access denied by the pre-provisioning hook")
        if self.verdict == "timeout":
            await asyncio.sleep(self.config.hook_timeout)
            raise refused
        if self.verdict in ("refuse", "error"):
            raise refused
        if self.verdict == "allow":
            return {}
        answer = self.module.decide(event, self.config.rotation_template,
                                    lambda serial: self.expected is None or serial in self.expected,
                                    self.things_of)
        if not answer.get("allowProvisioning"):
            raise refused
        return answer.get("parameterOverrides", {})


class Provisioning:
    def __init__(self, config, registry, authority, faults, hook, log):
        self.config = config
        self.registry = registry
        self.authority = authority
        self.faults = faults
        self.hook = hook
        self.log = log
        self.templates = {}

    def add_template(self, name, body):
        self.templates[name] = templates.Template(name, body)

    async def serve(self, connection, topic, payload):
        """One call from its payload to its answer, with the faults that a test has armed."""
        api, template, form = call_of(topic)
        entry = {"api": api, "template": template, "client": connection.client_id,
                 "certificate": connection.certificate.id}
        if form != "json":
            self.log("provisioning", **entry, outcome="ignored", reason=f"format {form} is not imitated")
            return
        try:
            forced = self.faults.take("reply-error", connection.client_id, topic, api,
                                      certificate=connection.certificate.id)
            if forced is not None:
                raise RegistrationError(forced.get("statusCode", 500), forced.get("errorCode", "InternalFailure"),
                                        forced.get("errorMessage", "ordered by the test"))
            answer = await (self.create(connection, payload) if api == "create"
                            else self.register(connection, template, payload))
            suffix = "/accepted"
            self.log("provisioning", **entry, outcome="accepted", issued=answer.get("certificateId"),
                     thing=answer.get("thingName"))
        except RegistrationError as error:
            suffix = "/rejected"
            answer = {"statusCode": error.status, "errorCode": error.code, "errorMessage": str(error)}
            self.log("provisioning", **entry, outcome="rejected", **answer)
        await self.answer(connection, topic, api, suffix, answer)

    async def create(self, connection, payload):
        pem = members(payload).get("certificateSigningRequest")
        if not isinstance(pem, str) or not pem:
            raise RegistrationError(400, "InvalidPayload", "certificateSigningRequest is missing")
        try:
            request = certs.check_request(pem)
        except certs.BadRequest as error:
            raise RegistrationError(400, "InvalidCertificateSigningRequest", str(error)) from error
        expiry = None
        if self.config.certificate_life:
            expiry = certs.now() + datetime.timedelta(seconds=self.config.certificate_life)
        begin = certs.now() - datetime.timedelta(seconds=self.config.certificate_backdate)
        certificate = self.authority.issue(request.public_key(), not_before=begin, not_after=expiry)
        id_, text = certs.certificate_id(certificate), certs.cert_pem(certificate)
        self.registry.add_certificate(id_, text, "PENDING_ACTIVATION", "csr")
        token = self.registry.new_token(id_)
        spoilt = self.faults.take("certificate", connection.client_id, "", "create")
        if spoilt is not None:
            text = certs.spoil(spoilt["how"], self.authority, request.public_key(), connection.certificate.pem)
        return {"certificateId": id_, "certificatePem": text, "certificateOwnershipToken": token}

    async def register(self, connection, name, payload):
        request = members(payload)
        token, given = request.get("certificateOwnershipToken"), request.get("parameters", {})
        if not isinstance(token, str) or not token:
            raise RegistrationError(400, "InvalidCertificateOwnershipToken",
                                    "Certificate ownership token cannot be empty.")
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            raise RegistrationError(400, "InvalidParameters", "parameters must be strings")
        template = self.templates.get(name)
        if template is None:
            raise RegistrationError(404, "ResourceNotFoundException", f"no template {name}")
        certificate = self.registry.token_certificate(token)
        if certificate is None:
            raise RegistrationError(400, "InvalidCertificateOwnershipToken",
                                    "Certificate ownership token is invalid or has expired.")
        values = template.values(given, certificate.id)
        values.update(await self.hook.ask({
            "claimCertificateId": connection.certificate.id, "certificateId": certificate.id,
            "certificatePem": certificate.pem, "clientId": connection.client_id,
            "templateArn": self.config.arn("provisioningtemplate", name), "parameters": given}))
        thing, configuration = templates.apply(template, values, self.registry, certificate)
        self.registry.spend(token)
        answer = {"deviceConfiguration": configuration}
        if thing is not None:
            answer["thingName"] = thing
        return answer

    async def answer(self, connection, topic, api, suffix, answer):
        def armed(name):
            return self.faults.take(name, connection.client_id, topic, api, certificate=connection.certificate.id)

        if armed("reply-drop-before") is not None:
            connection.kill("SERVER_INITIATED_DISCONNECT", "fault")
            return
        if armed("reply-never") is not None:
            return
        late = armed("reply-late")
        if late is not None:
            await asyncio.sleep(late.get("seconds", 1))
        payload = disfigure(answer, armed)
        await connection.deliver_reply(topic + suffix, payload)
        if armed("reply-twice") is not None:
            await connection.deliver_reply(topic + suffix, payload)
        if armed("reply-drop-after") is not None:
            await connection.drain()
            connection.kill("SERVER_INITIATED_DISCONNECT", "fault")


def disfigure(answer, armed):
    """The answer's bytes, spoilt by the first fault that is armed."""
    spoil = {
        "reply-garbage": lambda a: b"\x00\xff{not json",
        "reply-empty": lambda a: b"",
        "reply-cut": lambda a: encode(answer)[:len(encode(answer)) // 2],
        "reply-unknown-fields": lambda a: encode({"x": {"y": [1, None]}, **answer, "zz": "0" * 1000}),
        "reply-wrong-types": lambda a: encode({k: [1, {"a": 2}] if isinstance(v, str) else "text"
                                               for k, v in answer.items()}),
        "reply-missing": lambda a: encode({k: v for k, v in answer.items()
                                           if k not in a.get("members", list(answer))}),
        "reply-deep": lambda a: deep(answer, a.get("depth", 20000)),
        "reply-oversized": lambda a: encode({**answer, "padding": "p" * a.get("bytes", 300000)}),
        "reply-duplicate-keys": lambda a: encode(answer)[:-1] + b"".join(
            b"," + encode(k) + b":\"\"" for k in answer) + b"}",
    }
    for name, make in spoil.items():
        arguments = armed(name)
        if arguments is not None:
            return make(arguments)
    return encode(answer)


def encode(value):
    return json.dumps(value, separators=(",", ":")).encode()


def deep(answer, depth):
    return encode(answer)[:-1] + b",\"deep\":" + b"[" * depth + b"]" * depth + b"}"
