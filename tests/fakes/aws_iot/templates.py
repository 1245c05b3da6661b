# SPDX-License-Identifier: Apache-2.0
"""Provisioning templates: parameters in, things and attachments out."""

import json
import re

from .registry import Thing

SIZE_MAX = 10240        # characters of a template body
NAME = re.compile(r"[0-9A-Za-z_-]{1,36}")
CERTIFICATE_ID = "AWS::IoT::Certificate::Id"


class TemplateError(Exception):
    """A template that AWS would not store."""


class RegistrationError(Exception):
    """A call that the template cannot serve; becomes a reply on .../rejected."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.code = code


class Template:
    def __init__(self, name, body):
        if not NAME.fullmatch(name):
            raise TemplateError(f"{name}: 1 to 36 letters, digits, - and _")
        if len(body) > SIZE_MAX:
            raise TemplateError(f"{name}: body has {len(body)} characters, AWS takes {SIZE_MAX}")
        try:
            raw = json.loads(body)
            self.parameters = raw["Parameters"]
            self.resources = raw["Resources"]
        except (ValueError, KeyError, TypeError) as error:
            raise TemplateError(f"{name}: {error!r}") from error
        self.name = name
        self.device_configuration = raw.get("DeviceConfiguration", {})
        for value in self.device_configuration.values():
            if isinstance(value, (dict, list)) and "Ref" not in value and "Fn::Join" not in value:
                raise TemplateError(f"{name}: DeviceConfiguration must be flat")
        self.thing = self.only("AWS::IoT::Thing")
        self.certificate = self.only("AWS::IoT::Certificate")
        self.policies = [r for r in self.resources.values() if r.get("Type") == "AWS::IoT::Policy"]
        self.check()

    def only(self, kind):
        found = [r for r in self.resources.values() if r.get("Type") == kind]
        if len(found) > 1:
            raise TemplateError(f"{self.name}: more than one {kind}")
        return found[0] if found else None

    def check(self):
        if self.certificate is None:
            raise TemplateError(f"{self.name}: no certificate resource")
        properties = self.certificate.get("Properties", {})
        if set(properties) - {"CertificateId", "Status", "ThingPrincipalType"}:
            raise TemplateError(f"{self.name}: only CertificateId names a certificate in fleet templates")
        for policy in self.policies:
            given = set(policy.get("Properties", {}))
            if len(given & {"PolicyName", "PolicyDocument"}) != 1 or "OverrideSettings" in policy:
                raise TemplateError(f"{self.name}: a policy has either PolicyName or PolicyDocument")

    def values(self, given, certificate_id):
        """The parameters of a call, completed with defaults and with what the service fills in."""
        values = {CERTIFICATE_ID: certificate_id}
        for name, description in self.parameters.items():
            if name == CERTIFICATE_ID:
                continue
            if name in given:
                values[name] = given[name]
            elif "Default" in description:
                values[name] = description["Default"]
            else:
                raise RegistrationError(400, "InvalidParameters", f"parameter {name} is missing")
        return values


def resolve(value, values):
    """A template expression with its parameters put in: a string, Ref or Fn::Join, at any depth."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            if value["Ref"] not in values:
                raise RegistrationError(400, "InvalidTemplate", f"no parameter {value['Ref']}")
            return values[value["Ref"]]
        if set(value) == {"Fn::Join"}:
            separator, parts = value["Fn::Join"]
            return separator.join(resolve(p, values) for p in parts)
        return {k: resolve(v, values) for k, v in value.items()}
    if isinstance(value, list):
        return [resolve(v, values) for v in value]
    return value


def apply_thing(template, values, registry):
    """Creates or updates the thing of a template; returns its name, or None when there is none."""
    if template.thing is None:
        return None
    properties = resolve(template.thing.get("Properties", {}), values)
    override = template.thing.get("OverrideSettings", {})
    name = properties.get("ThingName")
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9:_-]{1,128}", name):
        raise RegistrationError(400, "InvalidParameters", "not a thing name")
    known = registry.things.get(name)
    if known is None:
        registry.things[name] = Thing(name, properties.get("ThingTypeName"),
                                      dict(properties.get("AttributePayload", {})),
                                      list(properties.get("ThingGroups", [])))
        return name
    for key in ("AttributePayload", "ThingTypeName", "ThingGroups"):
        override_member(known, key, properties, override.get(key, "DO_NOTHING"))
    return name


def override_member(thing, key, properties, mode):
    """What happens to a member of a thing that exists already."""
    field = {"AttributePayload": "attributes", "ThingTypeName": "type", "ThingGroups": "groups"}[key]
    if key not in properties or mode == "DO_NOTHING":
        return
    if mode == "FAIL":
        if getattr(thing, field) != properties[key]:
            raise RegistrationError(400, "ResourceConflictsException", f"{key} of the thing differs")
    elif mode == "REPLACE":
        setattr(thing, field, properties[key])
    elif key == "AttributePayload":                  # MERGE
        thing.attributes.update(properties[key])
    else:
        thing.groups = sorted(set(thing.groups) | set(properties[key]))


def apply(template, values, registry, certificate):
    """Runs a template: thing, attachment, policies, status. Returns (thing name, device configuration).

    A second certificate for the same thing is attached beside the first; nothing is detached.
    """
    properties = resolve(template.certificate.get("Properties", {}), values)
    status = properties.get("Status", "INACTIVE").upper()
    if status not in ("ACTIVE", "INACTIVE"):
        raise RegistrationError(400, "InvalidTemplate", f"certificate status {status}")
    policies = []
    for number, policy in enumerate(template.policies):
        wanted = resolve(policy["Properties"], values)
        if "PolicyName" in wanted and wanted["PolicyName"] not in registry.policies:
            raise RegistrationError(404, "ResourceNotFoundException", f"no policy {wanted['PolicyName']}")
        policies.append(wanted.get("PolicyName") or f"{template.name}-{number}")
        if "PolicyDocument" in wanted:
            registry.add_policy(policies[-1], wanted["PolicyDocument"])
    thing = apply_thing(template, values, registry)
    if thing is not None:
        registry.attach(certificate, thing, properties.get("ThingPrincipalType", "NON_EXCLUSIVE_THING"))
    certificate.policies = sorted(set(certificate.policies) | set(policies))
    certificate.status = status
    registry.save()
    configuration = {k: resolve(v, values) for k, v in template.device_configuration.items()}
    return thing, configuration
