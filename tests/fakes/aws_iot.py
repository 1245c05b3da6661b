#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for AWS IoT Core: fleet provisioning by claim, policies, and the broker's limits.

    aws_iot.py --dir DIR [--port N] [--set NAME=VALUE]...     runs until SIGTERM
    aws_iot.py --dir DIR --control '{"op": "status"}'         asks or changes the one that runs in DIR

DIR then holds server-ca.pem (what a device must trust), claim.pem and claim.key, observer.pem and observer.key
(may watch and command everything, client id observer...), device-ca.pem (the authority of all device
certificates, for another broker), port, control.sock (see aws_iot/control.py), events.jsonl (what
happened, an object a line) and registry.json (certificates and things; kept over a restart in the same DIR).
Policies, templates and the hook are the files of packaging/aws.

How true it is, and from where: D the AWS IoT Core developer guide or API reference (page), Q AWS's
list of quotas, S the source of AWS's own clients, I an issue or what users have seen, G a guess where those
are silent. A name after a semicolon is the setting that changes it (config.py). The headings are the tests' classes.

TLS
  TLS 1.2 and 1.3, client certificate required                             D transport-security
  server chain with an intermediate                                        I
  no session is resumed, no tickets are sent                               D transport-security
  SNI must be there and be the endpoint's name                             D mqtt
    else the alert unrecognized_name                                       G
  ALPN x-amzn-mqtt-ca; require_alpn (port 443) closes others               D protocols
Certificates
  only ACTIVE ones connect                                                 D UpdateCertificate
    others, and unknown ones, are dropped after the handshake; refuse_at   G
  deactivation closes what is open (there within minutes, here at once)    D UpdateCertificate
  an expired one fails the handshake                                       G
  one registered by itself needs no authority                              D x509-client-certs
  certificateId is SHA-256 over the DER form                               I
Jitr
  unknown, of a registered authority: PENDING_ACTIVATION                   D auto-register-device-cert
    the connection that made it known is dropped                           G
Provisioning
  answers only to the connection that asked, if it has subscribed          D fleet-provision-api
    and if its policy allows iot:Receive                                   D iot-policy-actions
  CN=AWS IoT Certificate whatever was asked, until 2049-12-31              D, I
    digitalSignature, not a CA, no extended key usage                      I
  certificate_life: as with a certificate provider                         D provisioning-cert-provider
  requests: P-256/384/521, RSA 2048/3072, SHA-256/384/512, signed          S certificate-rotator
  PENDING_ACTIVATION until RegisterThing                                   D provision-wo-cert
  the token ends after an hour and its certificate is deleted              D fleet-provision-api
    it is spent by success only, and works on any connection               G
  empty token: 400 InvalidCertificateOwnershipToken                        I js-v2#69
    every other errorCode                                                  G
HookAndRotation
  a hook that refuses, fails or is silent for 5 s: 403                     D pre-provisioning-hook
    errorCode AccessDenied                                                 G
  RegisterThing again attaches a second certificate, detaches none         D fleet-provision-api
Templates
  Ref, Fn::Join, Default, OverrideSettings, DeviceConfiguration            D provision-template
  a policy by PolicyName or by PolicyDocument, a Status                    D provision-template
PolicyDocuments
  default deny, Deny wins, * and ?, variables, conditions                  D iot-policies
  values of variables are never wildcards                                  G
  ThingName: client id = thing name, or exclusive attachment               D thing-policy-variables
    resolves without attachment too: IsAttached guards                     D thing-policy-variables
  documents above 2048 characters are refused                              Q
Connect
  refused by policy: CONNACK 7, then close; connack_denied                 D
  a will or persistence needs iot:ConnectAttributes                        D connect-policy (its examples differ)
  client id 1 to 128 bytes, no leading $                                   Q
    else CONNACK 2                                                         G
  the newer of two connections with one client id stays                    D mqtt
  connect_interval: CONNECTs too near (1 s, 10 s seen) are closed          Q, I nucleus#1034
  keep-alive 30 to 1200 s, closed after 1.5 times                          D, Q
  a will is published by the rights its owner has by then                  G
Messages
  PUBLISH against the policy closes                                        D
  SUBSCRIBE against the policy: 0x80, or close; deny_subscribe             D (which: G)
  retained messages need iot:RetainPublish                                 D retained-message-policy-examples
    they go to exact filters only; live copies lose the flag               D mqtt
  unknown reserved topics close                                            D reserved-topics
  a/# does not take a                                                      D mqtt
  QoS 2 is not answered                                                    D mqtt
  payload above 128 KiB closes                                             Q
  256 bytes and 7 slashes a topic, 8 filters a SUBSCRIBE; else close       Q, S (close: G)
  50 subscriptions, then 0x80                                              Q (0x80: G)
  above 100 publishes/s: discarded, no PUBACK, stays open                  Q, I
  above 512 KiB/s: read more slowly                                        Q
Rules
  the packaged rule, by the part of the SQL that it uses                   D iot-sql-reference
    principal() is the certificate's id                                    D iot-sql-functions
  its function runs after the PUBACK; function_delay                       D lambda-rule-action
Hostile
  what MQTT 3.1.1 forbids closes without an answer                         MQTT 3.1.1
FaultsOnOrder
  an answer may overtake the PUBACK of its call                            D mqtt

Not imitated: MQTT 5 and 3.1 (CONNACK 1); CBOR, CreateKeysAndCertificate (no answer); persistent sessions
(session present is always 0); sending a QoS 1 message again; shadows, jobs, other rules, basic ingest (taken and
dropped); presence events; custom authorisers; several accounts; stapled OCSP; the demand that a client
waits for CONNACK before it sends more.
"""

import argparse
import asyncio
import json
import os
import sys

sys.dont_write_bytecode = True      # the tree stays as it was found
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot.config import Config           # noqa: E402
from aws_iot.server import Server           # noqa: E402
from standin import ask                     # noqa: E402

PACKAGING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "aws")


def arguments():
    parser = argparse.ArgumentParser(description="A stand-in for AWS IoT Core.")
    parser.add_argument("--dir", required=True, help="working directory; made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, written to DIR/port")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--host", default="localhost", help="the endpoint's name")
    parser.add_argument("--packaging", default=PACKAGING, help="where policies and templates are")
    parser.add_argument("--jitr-ca", help="certificate of an authority with auto-registration")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="see config.py")
    parser.add_argument("--control", metavar="JSON", help="ask the stand-in that runs in DIR, and exit")
    return parser.parse_args()


def value_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def main():
    options = arguments()
    if options.control:
        answer = ask(os.path.join(options.dir, "control.sock"), json.loads(options.control))
        print(json.dumps(answer, indent=1))
        return 0 if answer.get("ok") else 1
    config = Config()
    for setting in options.set:
        name, _, text = setting.partition("=")
        config.change(name, value_of(text))
    os.makedirs(options.dir, exist_ok=True)
    hosts = list(dict.fromkeys([options.host, "localhost", "127.0.0.1"]))
    server = Server(os.path.abspath(options.dir), config, options.packaging, hosts, options.jitr_ca)
    asyncio.run(server.run(options.bind, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
