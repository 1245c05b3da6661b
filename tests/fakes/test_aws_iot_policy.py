#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: the policy evaluator, templates, and the files in packaging/aws."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot import registry, templates  # noqa: E402
from aws_iot.config import Config  # noqa: E402
from aws_iot.policy import Policy, PolicyError, evaluate  # noqa: E402
from aws_iot.provisioning import Hook  # noqa: E402
from aws_iot_bench import CREATE, PACKAGING, REGISTER, ROTATE  # noqa: E402


class PolicyDocuments(unittest.TestCase):
    """Row: PolicyDocuments."""

    ARN = "arn:aws:iot:eu-central-1:123456789012:"

    def judge(self, statements, action="iot:Publish", resource="topic/a/b", **variables):
        policy = Policy({"Version": "2012-10-17", "Statement": statements})
        return evaluate([policy], action, self.ARN + resource, variables)[0]

    def allow(self, resource, action="iot:Publish", **extra):
        return {"Effect": "Allow", "Action": action, "Resource": self.ARN + resource, **extra}

    def test_nothing_is_allowed_by_default_and_deny_wins(self):
        self.assertFalse(evaluate([], "iot:Publish", self.ARN + "topic/a", {})[0])
        deny = {"Effect": "Deny", "Action": "iot:*", "Resource": self.ARN + "topic/a/*"}
        self.assertTrue(self.judge(self.allow("topic/*")))
        self.assertFalse(self.judge([self.allow("topic/*"), deny]))
        self.assertFalse(self.judge([deny, self.allow("topic/*")]))
        self.assertFalse(self.judge(self.allow("topic/*"), action="iot:Receive"))

    def test_wildcards(self):
        for pattern, wanted in (("topic/*", True), ("topic/a/?", True), ("topic/?", False), ("topic/+/b", False),
                                ("topic/#", False), ("topic/a.b", False), ("*/b", True), ("topic/a", False)):
            self.assertEqual(self.judge(self.allow(pattern)), wanted, pattern)
        self.assertTrue(self.judge(self.allow("topicfilter/a/+/b", "iot:Subscribe"), "iot:Subscribe",
                                   "topicfilter/a/+/b"))

    def test_variables_are_put_in_and_are_never_wildcards(self):
        name = {"iot:Connection.Thing.ThingName": "gw-1"}
        statement = self.allow("topic/${iot:Connection.Thing.ThingName}/*")
        self.assertTrue(self.judge(statement, resource="topic/gw-1/x", **name))
        self.assertFalse(self.judge(statement, resource="topic/gw-2/x", **name))
        self.assertFalse(self.judge(statement, resource="topic/gw-1/x"))
        self.assertFalse(self.judge(statement, resource="topic/gw-1/x", **{"iot:Connection.Thing.ThingName": "*"}))
        self.assertTrue(self.judge(self.allow("topic/${*}"), resource="topic/*"))
        self.assertFalse(self.judge(self.allow("topic/${*}"), resource="topic/a"))

    def test_conditions(self):
        attached = "iot:Connection.Thing.IsAttached"
        statement = self.allow("*", "iot:Connect", Condition={"Bool": {attached: ["true"]}})
        for value, wanted in (("true", True), ("false", False), (None, False)):
            self.assertEqual(self.judge(statement, "iot:Connect", **{attached: value}), wanted)
        statement = self.allow("*", "iot:Connect", Condition={
            "ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}})
        for value, wanted in (([], True), (["LastWill"], True), (["PersistentConnect", "LastWill"], False)):
            self.assertEqual(self.judge(statement, "iot:Connect", **{"iot:ConnectAttributes": value}), wanted)

    def test_documents_that_are_not_understood_are_refused(self):
        good = self.allow("topic/a")
        for statement in ({**good, "NotAction": "x"}, {**good, "Action": "iot:Fly"}, {**good, "Effect": "Maybe"},
                          {**good, "Resource": "topic/a"}, {**good, "Resource": []}, {**good, "Action": 5},
                          {**good, "Condition": {"NumericEquals": {"a": "1"}}}, {**good, "Condition": []}, "x"):
            with self.subTest(str(statement)), self.assertRaises(PolicyError):
                self.judge(statement)
        for document in ("{", "[]", {"Statement": []}, {"Version": "2008-10-17", "Statement": good}):
            with self.subTest(str(document)), self.assertRaises(PolicyError):
                Policy(document)
        with self.assertRaises(PolicyError):
            self.judge([self.allow("topic/" + "x" * 2000)])

    def variables(self, kind, attached=True, client_id="gw-1"):
        with tempfile.TemporaryDirectory() as directory:
            account = registry.Registry(os.path.join(directory, "registry.json"), 3600)
            account.things["gw-1"] = registry.Thing("gw-1", attributes={"site": "x"})
            certificate = account.add_certificate("0" * 64, "", "ACTIVE", "csr")
            if attached:
                account.attach(certificate, "gw-1", kind)
            return account.connection_variables(certificate, client_id)

    def test_thing_name_follows_the_client_id_unless_attached_exclusively(self):
        name, is_attached = "iot:Connection.Thing.ThingName", "iot:Connection.Thing.IsAttached"
        exclusive = self.variables("EXCLUSIVE_THING", client_id="gw-1-renew")
        self.assertEqual((exclusive[name], exclusive[is_attached]), ("gw-1", "true"))
        self.assertEqual(exclusive["iot:Connection.Thing.Attributes[site]"], "x")
        shared = self.variables("NON_EXCLUSIVE_THING", client_id="gw-1-renew")
        self.assertEqual((shared.get(name), shared[is_attached]), (None, "false"))
        self.assertEqual(self.variables("NON_EXCLUSIVE_THING")[is_attached], "true")
        stranger = self.variables("", attached=False)
        self.assertEqual((stranger[name], stranger[is_attached]), ("gw-1", "false"))


class Packaged(unittest.TestCase):
    """The files that operators upload."""

    def setUp(self):
        self.config = Config()

    def text(self, name):
        with open(os.path.join(PACKAGING, name), encoding="utf-8") as file:
            return self.config.substitute(file.read())

    def judge(self, name, action, kind, rest, **variables):
        return evaluate([Policy(self.text(name))], action, self.config.arn(kind, rest), variables)[0]

    def test_claim_policy_allows_create_from_csr_and_its_template_only(self):
        for action, kind in (("iot:Publish", "topic"), ("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter")):
            suffix = "" if action == "iot:Publish" else "/accepted"
            for topic, wanted in ((CREATE, True), (REGISTER, True), (ROTATE, False),
                                  ("$aws/certificates/create/json", False), ("tidegate/gw/status", False)):
                self.assertEqual(self.judge("claim-policy.json", action, kind, topic + suffix), wanted, topic)
        self.assertTrue(self.judge("claim-policy.json", "iot:Connect", "client", "enrol-1"))
        self.assertFalse(self.judge("claim-policy.json", "iot:Connect", "client", "gw-1"))

    def test_policy_with_the_trap_of_the_samples_does_not_reach_create_from_csr(self):
        document = self.text("claim-policy.json").replace("create-from-csr/*", "create/*")
        allowed, _ = evaluate([Policy(document)], "iot:Publish", self.config.arn("topic", CREATE), {})
        self.assertFalse(allowed)

    def thing(self, action, kind, rest, attached="true", **extra):
        return self.judge("thing-policy.json", action, kind, rest, **{
            "iot:Connection.Thing.ThingName": "gw-1", "iot:Connection.Thing.IsAttached": attached, **extra})

    def test_thing_policy_is_no_wider_than_its_thing(self):
        for client, wanted in (("gw-1", True), ("gw-1-renew", True), ("gw-2", False), ("gw-11", False)):
            self.assertEqual(self.thing("iot:Connect", "client", client), wanted, client)
        self.assertFalse(self.thing("iot:Connect", "client", "gw-1", attached="false"))
        will = {"iot:ConnectAttributes": ["LastWill"]}
        self.assertTrue(self.thing("iot:Connect", "client", "gw-1", **will))
        persistent = {"iot:ConnectAttributes": ["PersistentConnect"]}
        self.assertFalse(self.thing("iot:Connect", "client", "gw-1", **persistent))
        for action, kind, rest, wanted in (
                ("iot:Publish", "topic", "tidegate/gw-1/meter", True),
                ("iot:Publish", "topic", "tidegate/gw-1/meter/set/result", True),
                ("iot:Publish", "topic", "tidegate/gw-1/status/events", True),
                ("iot:Publish", "topic", "tidegate/gw-2/meter", False),
                ("iot:Publish", "topic", "tidegate/gw-2/status/events", False),
                ("iot:RetainPublish", "topic", "tidegate/gw-1/status", True),
                ("iot:RetainPublish", "topic", "tidegate/gw-1/meter", False),
                ("iot:Receive", "topic", "tidegate/gw-1/meter/set", True),
                ("iot:Receive", "topic", "tidegate/gw-1/status", True),
                ("iot:Receive", "topic", "tidegate/gw-1/meter", False),
                ("iot:Subscribe", "topicfilter", "tidegate/gw-1/+/set", True),
                ("iot:Subscribe", "topicfilter", "tidegate/+/+/set", False),
                ("iot:Subscribe", "topicfilter", "#", False),
                ("iot:Publish", "topic", CREATE, True), ("iot:Publish", "topic", ROTATE, True),
                ("iot:Publish", "topic", REGISTER, False),
                ("iot:Subscribe", "topicfilter", ROTATE + "/accepted", True)):
            self.assertEqual(self.thing(action, kind, rest), wanted, (action, rest))

    def test_thing_policy_fits_with_the_longest_names(self):
        self.config = Config(region="ap-southeast-2", template="t" * 36, rotation_template="r" * 36)
        Policy(self.text("thing-policy.json"))
        Policy(self.text("claim-policy.json"))

    def test_templates_are_accepted_and_attach_exclusively(self):
        for name in ("fleet-template", "rotation-template"):
            template = templates.Template(name, self.text(name + ".json"))
            properties = template.certificate["Properties"]
            self.assertEqual((properties["Status"], properties["ThingPrincipalType"]), ("ACTIVE", "EXCLUSIVE_THING"))

    def test_no_placeholder_is_left(self):
        for name in os.listdir(PACKAGING):
            if name.endswith(".json"):
                self.assertNotIn("@", self.text(name), name)

    def test_readme_commands_fill_in_what_the_service_takes(self):
        with open(os.path.join(PACKAGING, "README.md"), encoding="utf-8") as file:
            script = "set -eu\n" + "\n".join(re.findall(r"```sh\n(.*?)```", file.read(), re.DOTALL))
        with tempfile.TemporaryDirectory() as directory:
            for name in os.listdir(PACKAGING):
                shutil.copy(os.path.join(PACKAGING, name), directory)
            for name in ("aws", "zip"):     # say what they were asked, answer with an account number
                path = os.path.join(directory, "bin", name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="ascii") as file:
                    file.write(f'#!/bin/sh\necho {name} "$@" >> "$LOG"\necho 123456789012\n')
                os.chmod(path, 0o755)
            log = os.path.join(directory, "log")
            subprocess.run(["sh", "-c", script], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                           env={"PATH": directory + "/bin:/usr/bin:/bin", "LOG": log})
            with open(log, encoding="utf-8") as file:
                asked = file.read()
            for name in ("claim-policy", "thing-policy", "fleet-template", "rotation-template", "certificate-events-rule"):
                with open(os.path.join(directory, "filled", name + ".json"), encoding="utf-8") as file:
                    self.assertEqual(file.read(), self.text(name + ".json"))
                self.assertIn(f"file://filled/{name}.json", asked)
        self.assertIn("--template-name tidegate-rotation --enabled --template-body file://filled/rotation", asked)
        self.assertIn(":rule/tidegate_certificates", asked)

    def test_hook_decides_by_list_and_by_attachment(self):
        hook = Hook(os.path.join(PACKAGING, "pre_provisioning_hook.py"), None, self.config)

        def decide(template, parameters, known=(), things=()):
            event = {"templateArn": self.config.arn("provisioningtemplate", template), "parameters": parameters,
                     "claimCertificateId": "c", "certificateId": "n", "clientId": "x"}
            return hook.module.decide(event, "tidegate-rotation", lambda s: s in known, lambda c: list(things))

        serial = {"SerialNumber": "gw-1"}
        self.assertEqual(decide("tidegate-fleet", serial, known=["gw-1"]), {"allowProvisioning": True})
        self.assertEqual(decide("tidegate-fleet", serial), {"allowProvisioning": False})
        self.assertEqual(decide("tidegate-fleet", {}, known=[""]), {"allowProvisioning": False})
        self.assertEqual(decide("tidegate-rotation", serial, things=["gw-1"]), {"allowProvisioning": True})
        self.assertEqual(decide("tidegate-rotation", serial, known=["gw-1"]), {"allowProvisioning": False})


class Templates(unittest.TestCase):
    """Row: templates."""

    BODY = {
        "Parameters": {"SerialNumber": {"Type": "String"}, "Site": {"Type": "String", "Default": "plant"},
                       "AWS::IoT::Certificate::Id": {"Type": "String"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {
                "ThingName": {"Fn::Join": ["", ["gw_", {"Ref": "SerialNumber"}]]},
                "AttributePayload": {"site": {"Ref": "Site"}}, "ThingTypeName": "gateway", "ThingGroups": ["a"]},
                "OverrideSettings": {"AttributePayload": "MERGE", "ThingTypeName": "REPLACE", "ThingGroups": "FAIL"}},
            "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}},
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {
                "Version": "2012-10-17", "Statement": []}}}},
        "DeviceConfiguration": {"site": {"Ref": "Site"}, "fallback": "yes"},
    }

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.account = registry.Registry(os.path.join(directory.name, "registry.json"), 3600)

    def run_template(self, given, body=None):
        template = templates.Template("t", json.dumps(body or self.BODY))
        id_ = f"{len(self.account.certificates):064}"
        certificate = self.account.add_certificate(id_, "", "PENDING_ACTIVATION", "csr")
        return templates.apply(template, template.values(given, certificate.id), self.account, certificate), certificate

    def test_expressions_defaults_and_device_configuration(self):
        (thing, configuration), certificate = self.run_template({"SerialNumber": "7"})
        self.assertEqual((thing, configuration), ("gw_7", {"site": "plant", "fallback": "yes"}))
        self.assertEqual((certificate.status, certificate.things, certificate.policies),
                         ("ACTIVE", {"gw_7": "NON_EXCLUSIVE_THING"}, ["t-0"]))

    def test_override_settings_decide_what_happens_to_a_known_thing(self):
        self.account.things["gw_7"] = registry.Thing("gw_7", "old", {"site": "x", "kept": "y"}, ["a"])
        self.run_template({"SerialNumber": "7", "Site": "new"})
        thing = self.account.things["gw_7"]
        self.assertEqual((thing.type, thing.attributes), ("gateway", {"site": "new", "kept": "y"}))
        thing.groups = ["b"]
        with self.assertRaises(templates.RegistrationError) as caught:
            self.run_template({"SerialNumber": "7"})
        self.assertEqual(caught.exception.code, "ResourceConflictsException")

    def test_refusals_leave_the_certificate_pending(self):
        body = json.loads(json.dumps(self.BODY))
        body["Resources"]["policy"]["Properties"] = {"PolicyName": "Missing"}
        with self.assertRaises(templates.RegistrationError):
            self.run_template({"SerialNumber": "7"}, body)
        with self.assertRaises(templates.RegistrationError):
            self.run_template({})
        self.assertEqual({c.status for c in self.account.certificates.values()}, {"PENDING_ACTIVATION"})
        self.assertEqual(self.account.things, {})

    def test_templates_that_aws_would_not_store_are_refused(self):
        bodies = ["{", "{}", json.dumps({**self.BODY, "DeviceConfiguration": {"a": {"b": "c"}}}),
                  json.dumps(self.BODY) + " " * 10240]
        for change in ("CertificatePem", "CACertificatePem"):
            body = json.loads(json.dumps(self.BODY))
            body["Resources"]["certificate"]["Properties"][change] = "x"
            bodies.append(json.dumps(body))
        for body in bodies:
            with self.subTest(body[:40]), self.assertRaises(templates.TemplateError):
                templates.Template("t", body)
        for name in ("", "x" * 37, "a/b"):
            with self.subTest(name), self.assertRaises(templates.TemplateError):
                templates.Template(name, json.dumps(self.BODY))


if __name__ == "__main__":
    unittest.main()
