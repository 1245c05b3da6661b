#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of packaging/aws/retire_certificate.py: whom the function believes, and what it then switches off."""

import datetime
import importlib.util
import os
import sys
import types
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot_bench import PACKAGING  # noqa: E402

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def load():
    spec = importlib.util.spec_from_file_location("retire_certificate",
                                                  os.path.join(PACKAGING, "retire_certificate.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cloud:
    """boto3's client for IoT, as far as the function knows it."""

    class exceptions:
        class ResourceNotFoundException(Exception):
            pass

    def __init__(self):
        self.certificates = {}
        self.updates = []
        self.add(OLD, NOW - 90 * DAY, "gw-1")
        self.add(NEW, NOW - datetime.timedelta(minutes=5), "gw-1")
        self.add(OTHER, NOW - 30 * DAY, "gw-2")

    def add(self, id_, made, *things, status="ACTIVE"):
        self.certificates[id_] = {"made": made, "things": list(things), "status": status}

    def describe_certificate(self, certificateId):
        if certificateId not in self.certificates:
            raise self.exceptions.ResourceNotFoundException
        entry = self.certificates[certificateId]
        return {"certificateDescription": {
            "certificateArn": f"arn:aws:iot:eu-central-1:123456789012:cert/{certificateId}",
            "certificateId": certificateId, "status": entry["status"], "creationDate": entry["made"]}}

    def list_principal_things(self, principal):
        return {"things": self.certificates[principal.rpartition("/")[2]]["things"]}

    def update_certificate(self, certificateId, newStatus):
        self.updates.append((certificateId, newStatus))
        self.certificates[certificateId]["status"] = newStatus


def retired(**changes):
    return {"event": "certificate-retired", "principal": NEW, "gateway": "gw-1",
            "old": {"generation": 1, "certificate_id": OLD}, "new": {"generation": 2, "certificate_id": NEW}, **changes}


def rolled_back(**changes):
    return {**retired(event="certificate-rolled-back", principal=OLD), **changes}


class Function(unittest.TestCase):
    def setUp(self):
        self.module, self.cloud = load(), Cloud()

    def handle(self, event):
        return self.module.handle(event, self.cloud, NOW)

    def assert_refused(self, event, word):
        done = self.handle(event)
        self.assertIn(word, done["refused"])
        self.assertIsNone(done["deactivated"])
        self.assertEqual(self.cloud.updates, [])

    def test_the_old_certificate_goes_when_the_new_one_says_so(self):
        self.assertEqual(self.handle(retired()), {"deactivated": OLD, "refused": None})
        self.assertEqual(self.cloud.updates, [(OLD, "INACTIVE")])

    def test_an_event_that_comes_twice_is_followed_once(self):
        self.handle(retired())
        self.assertEqual(self.handle(retired()), {"deactivated": None, "refused": None})
        self.assertEqual(len(self.cloud.updates), 1)

    def test_an_old_certificate_that_is_gone_is_no_error(self):
        del self.cloud.certificates[OLD]
        self.assertEqual(self.handle(retired()), {"deactivated": None, "refused": None})

    def test_the_refused_certificate_goes_when_the_one_before_says_so(self):
        self.assertEqual(self.handle(rolled_back())["deactivated"], NEW)
        self.assertEqual(self.cloud.updates, [(NEW, "INACTIVE")])

    def test_only_the_certificate_that_stays_is_believed(self):
        for principal in (OLD, OTHER, None, NEW.upper()):
            self.assert_refused(retired(principal=principal), "another certificate")
        for principal in (NEW, OTHER):
            self.assert_refused(rolled_back(principal=principal), "another certificate")

    def test_both_must_belong_to_the_thing_of_the_topic(self):
        self.assert_refused(retired(gateway="gw-2"), "not both")
        self.assert_refused(retired(gateway=None), "not both")
        self.assert_refused(retired(old={"certificate_id": OTHER}), "not both")
        self.cloud.certificates[OLD]["things"] = []
        self.assert_refused(retired(), "not both")

    def test_an_old_certificate_cannot_end_its_successor(self):
        swapped = {"old": {"certificate_id": NEW}, "new": {"certificate_id": OLD}}
        self.assert_refused(retired(principal=OLD, **swapped), "older")
        self.cloud.certificates[NEW]["made"] = NOW - 8 * DAY
        self.assert_refused(rolled_back(), "too old")

    def test_a_certificate_cannot_end_itself(self):
        self.assert_refused(retired(old={"certificate_id": NEW}), "one certificate")

    def test_one_that_is_not_active_itself_says_nothing(self):
        self.cloud.certificates[NEW]["status"] = "INACTIVE"
        self.assert_refused(retired(), "not active")
        del self.cloud.certificates[NEW]
        self.assert_refused(retired(), "not active")

    def test_the_fingerprint_stands_in_for_the_id(self):
        event = retired(old={"certificate_id": None, "fingerprint": OLD.upper()}, new={"fingerprint": NEW})
        self.assertEqual(self.handle(event)["deactivated"], OLD)

    def test_events_of_other_shapes_are_refused(self):
        self.assert_refused(retired(event="certificate-renewed"), "not an event")
        for broken in (None, 7, "x", [], {}, {"certificate_id": "../" + OLD[3:]}, {"certificate_id": 5},
                       {"certificate_id": OLD + "0"}):
            self.assert_refused(retired(old=broken), "no certificate id")

    def test_the_handler_uses_the_client_of_the_runtime(self):
        runtime = types.SimpleNamespace(client=lambda service: {"iot": self.cloud}[service])
        with mock.patch.dict(sys.modules, boto3=runtime), mock.patch("builtins.print"):
            self.cloud.certificates[NEW]["made"] = datetime.datetime.now(datetime.timezone.utc)
            self.assertEqual(self.module.lambda_handler(rolled_back(), None)["deactivated"], NEW)
        self.assertEqual(self.cloud.updates, [(NEW, "INACTIVE")])


if __name__ == "__main__":
    unittest.main()
