#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the AWS IoT stand-in: fleet provisioning, the hook, rotation."""

import json
import os
import ssl
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

from aws_iot import certs  # noqa: E402
from aws_iot_bench import CREATE, REGISTER, ROTATE, WithStandIn, new_csr  # noqa: E402


class Provisioning(WithStandIn):
    """Rows: provisioning, requests, tokens, errors."""

    def test_gateway_enrols_and_publishes_to_an_observer(self):
        id_ = self.aws.enrol(self.serial)
        with self.aws.client("observer") as observer, self.aws.gateway(self.serial) as gateway:
            self.assertEqual(observer.connect("observer-1"), 0)
            self.assertEqual(observer.subscribe("tidegate/#"), [1])
            gateway.publish(f"tidegate/{self.serial}/meter", "[1]")
            message = observer.message()
            self.assertEqual((message.topic, message.payload), (f"tidegate/{self.serial}/meter", b"[1]"))
        connect = self.aws.event("connect", client=self.serial)
        self.assertEqual((connect["certificate"], connect["thing"]), (id_, self.serial))
        self.assertEqual(connect["subject"], "CN=AWS IoT Certificate")

    def test_issued_certificate_is_what_aws_issues(self):
        key = certs.new_key()
        with self.aws.claim("enrol-issue") as client:
            verdict, answer = self.aws.call(client, CREATE, {"certificateSigningRequest": new_csr(key, "mine")})
        self.assertEqual((verdict, set(answer)),
                         ("accepted", {"certificateId", "certificatePem", "certificateOwnershipToken"}))
        issued = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
        with open(self.aws.path("device-ca.pem"), "rb") as file:
            authority = x509.load_pem_x509_certificate(file.read())
        authority.public_key().verify(issued.signature, issued.tbs_certificate_bytes,
                                      ec.ECDSA(issued.signature_hash_algorithm))
        self.assertEqual(issued.subject, certs.AWS_SUBJECT)
        self.assertEqual(issued.public_key().public_numbers(), key.public_key().public_numbers())
        self.assertEqual(answer["certificateId"], issued.fingerprint(hashes.SHA256()).hex())
        self.assertIn("notAfter=Dec 31 23:59:59 2049", subprocess.run(
            ["openssl", "x509", "-noout", "-enddate"], input=answer["certificatePem"], text=True,
            capture_output=True, check=True).stdout)
        subprocess.run(["openssl", "verify", "-purpose", "sslclient", "-CAfile", self.aws.path("device-ca.pem")],
                       input=answer["certificatePem"], text=True, capture_output=True, check=True)
        with self.assertRaises(x509.ExtensionNotFound):
            issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        entry = [c for c in self.aws.ask("status")["certificates"] if c["id"] == answer["certificateId"]]
        self.assertEqual(entry[0]["status"], "PENDING_ACTIVATION")

    def test_certificate_provider_sets_the_lifetime(self):
        self.setting("certificate_life", 3600)
        with self.aws.claim("enrol-life") as client:
            _, answer = self.aws.call(client, CREATE, {"certificateSigningRequest": new_csr(certs.new_key())})
        text = subprocess.run(["openssl", "x509", "-noout", "-checkend", "3700"], input=answer["certificatePem"],
                              text=True, capture_output=True, check=False)
        self.assertEqual(text.returncode, 1)

    def test_nobody_else_hears_the_answer(self):
        with self.aws.claim("enrol-a") as one, self.aws.claim("enrol-b") as other, \
                self.aws.client("observer") as observer:
            observer.connect("observer-spy")
            self.assertEqual(observer.subscribe("$aws/#"), [1])
            self.aws.call(one, CREATE, {"certificateSigningRequest": new_csr(certs.new_key())})
            self.assertTrue(other.silent())
            self.assertTrue(observer.silent())

    def test_answer_is_lost_without_the_right_to_receive(self):
        with open(self.aws.path("registry.json"), encoding="utf-8") as file:
            policy = json.load(file)["policies"]["TidegateClaim"]
        policy["Statement"][1]["Action"] = ["iot:Publish"]
        self.aws.ask("policy", name="Deaf", document=policy)
        self.aws.ask("issue", name="deaf", policies=["Deaf"])
        with self.aws.client("deaf") as client:
            self.assertEqual(client.connect("enrol-norights"), 0)
            self.assertEqual(client.subscribe(CREATE + "/accepted"), [1])
            client.publish(CREATE, json.dumps({"certificateSigningRequest": new_csr(certs.new_key())}))
            self.assertTrue(client.silent())
        self.aws.event("refused", stage="receive", client="enrol-norights")

    def test_answer_is_lost_without_subscription(self):
        with self.aws.client() as client:
            client.connect("enrol-deaf")
            client.publish(CREATE, json.dumps({"certificateSigningRequest": new_csr(certs.new_key())}))
            self.assertTrue(client.silent())
        self.aws.event("reply-lost", client="enrol-deaf")

    def test_requests_of_the_supported_kinds_are_signed_and_no_others(self):
        good = [ec.generate_private_key(c()) for c in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)]
        good += [rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 3072)]
        bad = [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)]
        with self.aws.claim("enrol-kinds") as client:
            for key in good:
                self.assertEqual(self.ask(client, new_csr(key, algorithm=hashes.SHA384()))[0], "accepted")
            for key in bad:
                self.refuses(client, new_csr(key))
            edwards = x509.CertificateSigningRequestBuilder().subject_name(certs.name("x"))
            pem = edwards.sign(ed25519.Ed25519PrivateKey.generate(), None)
            self.refuses(client, pem.public_bytes(serialization.Encoding.PEM).decode())

    def ask(self, client, pem):
        return self.aws.call(client, CREATE, {"certificateSigningRequest": pem})

    def refuses(self, client, pem):
        verdict, answer = self.ask(client, pem)
        self.assertEqual((verdict, answer["statusCode"]), ("rejected", 400))
        self.assertEqual(answer["errorCode"], "InvalidCertificateSigningRequest")

    def test_damaged_requests_are_refused(self):
        pem = new_csr(certs.new_key())
        request = x509.load_pem_x509_csr(pem.encode())
        der = bytearray(request.public_bytes(serialization.Encoding.DER))
        der[-1] ^= 1
        tampered = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
        with self.aws.claim("enrol-damage") as client:
            for text in (tampered, pem[:200], "hello", pem.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "A" * 100000):
                self.refuses(client, text)

    def test_calls_that_are_not_what_they_should_be_are_refused(self):
        calls = [(CREATE, b""), (CREATE, b"{"), (CREATE, b"[]"), (CREATE, b"{}"), (CREATE, b"\xff\xfe"),
                 (CREATE, b'{"certificateSigningRequest":5}'), (CREATE, b"[" * 100000),
                 (REGISTER, b"{}"), (REGISTER, b'{"certificateOwnershipToken":""}'),
                 (REGISTER, b'{"certificateOwnershipToken":"x","parameters":[]}'),
                 (REGISTER, b'{"certificateOwnershipToken":"x","parameters":{"SerialNumber":1}}'),
                 (REGISTER, b'{"certificateOwnershipToken":"not a token","parameters":{}}')]
        with self.aws.claim("enrol-wrong") as client:
            for topic, payload in calls:
                verdict, answer = self.aws.call(client, topic, payload)
                self.assertEqual((verdict, answer["statusCode"]), ("rejected", 400), payload[:60])
                self.assertEqual(set(answer), {"statusCode", "errorCode", "errorMessage"})
            _, answer = self.aws.call(client, REGISTER, {"certificateOwnershipToken": ""})
            self.assertEqual(answer["errorCode"], "InvalidCertificateOwnershipToken")

    def issue(self, client):
        return self.ask(client, new_csr(certs.new_key()))[1]

    def register(self, client, issued, serial, topic=REGISTER):
        return self.aws.call(client, topic, {"certificateOwnershipToken": issued["certificateOwnershipToken"],
                                             "parameters": {"SerialNumber": serial}})

    def status_of(self, id_):
        return [c["status"] for c in self.aws.ask("status")["certificates"] if c["id"] == id_]

    def test_token_works_once_and_on_another_connection(self):
        with self.aws.claim("enrol-token") as client:
            issued = self.issue(client)
        with self.aws.claim("enrol-token2") as client:
            self.assertEqual(self.register(client, issued, self.serial)[0], "accepted")
            self.assertEqual(self.status_of(issued["certificateId"]), ["ACTIVE"])
            verdict, answer = self.register(client, issued, self.serial)
            self.assertEqual((verdict, answer["errorCode"]), ("rejected", "InvalidCertificateOwnershipToken"))

    def test_token_expires_and_its_certificate_is_deleted(self):
        self.setting("token_life", 0.3)
        with self.aws.claim("enrol-expire") as client:
            issued = self.issue(client)
            time.sleep(0.4)
            self.assertEqual(self.register(client, issued, self.serial)[0], "rejected")
        self.aws.event("expired", certificate=issued["certificateId"])
        self.assertEqual(self.status_of(issued["certificateId"]), [])

    def test_registered_certificate_outlives_its_token(self):
        self.setting("token_life", 0.5)
        id_ = self.aws.enrol(self.serial)
        time.sleep(0.8)
        self.assertEqual(self.status_of(id_), ["ACTIVE"])

    def test_missing_parameter_and_unknown_template_are_refused(self):
        with self.aws.claim("enrol-param") as client:
            issued = self.issue(client)
            verdict, answer = self.aws.call(client, REGISTER, {
                "certificateOwnershipToken": issued["certificateOwnershipToken"], "parameters": {}})
            self.assertEqual((verdict, answer["errorCode"]), ("rejected", "InvalidParameters"))
            self.assertEqual(self.register(client, issued, "not a thing name")[0], "rejected")
            self.assertEqual(self.register(client, issued, self.serial)[0], "accepted")

    def test_formats_that_are_not_imitated_get_no_answer(self):
        with self.aws.client() as client:
            client.connect("enrol-cbor")
            topic = "$aws/certificates/create-from-csr/cbor"
            self.assertEqual(client.subscribe(topic + "/accepted", topic + "/rejected"), [1, 1])
            client.publish(topic, b"\xa0")
            self.assertTrue(client.silent())


class HookAndRotation(WithStandIn):
    """Rows: hook, rotation."""

    def register(self, client, topic, serial):
        key = certs.new_key()
        _, issued = self.aws.call(client, CREATE, {"certificateSigningRequest": new_csr(key)})
        verdict, answer = self.aws.call(client, topic, {
            "certificateOwnershipToken": issued["certificateOwnershipToken"],
            "parameters": {"SerialNumber": serial}})
        return verdict, answer, issued, key

    def test_refusal_failure_and_silence_of_the_hook_are_403(self):
        self.setting("hook_timeout", 0.2)
        with self.aws.claim("enrol-hook") as client:
            for verdict in ("refuse", "error", "timeout"):
                self.aws.ask("hook", verdict=verdict)
                outcome, answer, _, _ = self.register(client, REGISTER, self.serial)
                self.assertEqual((outcome, answer["statusCode"], answer["errorCode"]),
                                 ("rejected", 403, "AccessDenied"))
        self.assertNotIn(self.serial, self.aws.ask("status")["things"])

    def test_packaged_hook_lets_expected_serial_numbers_in(self):
        self.aws.ask("hook", expected=[self.serial])
        with self.aws.claim("enrol-list") as client:
            self.assertEqual(self.register(client, REGISTER, "gw-stranger")[1]["statusCode"], 403)
            self.assertEqual(self.register(client, REGISTER, self.serial)[0], "accepted")

    def renewal(self, serial):
        client = self.aws.client(serial)
        self.assertEqual(client.connect(serial + "-renew"), 0)
        self.assertEqual(client.subscribe(CREATE + "/+", ROTATE + "/+"), [1, 1])
        return client

    def test_gateway_rotates_beside_its_own_session(self):
        old = self.aws.enrol(self.serial)
        with self.aws.gateway(self.serial) as session, self.renewal(self.serial) as client:
            verdict, answer, issued, key = self.register(client, ROTATE, self.serial)
            self.assertEqual((verdict, answer["thingName"]), ("accepted", self.serial))
            session.ping()
        attached = {c["id"] for c in self.aws.ask("status")["certificates"] if self.serial in c["things"]}
        self.assertEqual(attached, {old, issued["certificateId"]})
        self.aws.keep("new-" + self.serial, key, issued["certificatePem"])
        with self.aws.client("new-" + self.serial) as client:
            self.assertEqual(client.connect(self.serial), 0)
            client.publish(f"tidegate/{self.serial}/meter", "[]")

    def test_gateway_cannot_rotate_for_another_thing(self):
        self.aws.enrol(self.serial)
        self.aws.enrol(self.serial + "-other")
        with self.renewal(self.serial) as client:
            verdict, answer, _, _ = self.register(client, ROTATE, self.serial + "-other")
            self.assertEqual((verdict, answer["statusCode"]), ("rejected", 403))

    def test_claim_certificate_cannot_use_the_rotation_template(self):
        with self.aws.claim("enrol-rotate") as client:
            client.publish(ROTATE, "{}", wait=False)
            self.assertTrue(client.ended())


if __name__ == "__main__":
    unittest.main()
