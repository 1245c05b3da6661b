#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a server of Enrolment over Secure Transport (RFC 7030, RFC 8951), with a PKI of its own.

    est_server.py --dir DIR [--port N] [--set NAME=VALUE]...     runs until SIGTERM
    est_server.py --dir DIR --control '{"op": "status"}'         asks or changes the one that runs in DIR

DIR then holds ca.pem (the first root), ca-N.pem and issuing-N.pem (those of each generation), claim.pem and claim.key (a
certificate of the factory's, with its chain), port, control.sock (see est/control.py) and events.jsonl (what happened, an
object a line; never a password).

How true it is, and from where: R RFC 7030 or 8951 (section), H another RFC, L what cisco/libest 3.2 and G what globalsign/est 1.0.6
were seen to do or do by their source, ? a guess where all are silent. A name after a semicolon is the setting that changes it
(est/config.py). The profiles `libest` and `globalsign` are those servers' settings and strictness, as far as this table goes.

TLS
  1.2 and 1.3, libest 1.2 only; tls_min, tls_max                            R 3.3.1, L, G
  the certificate of a client is asked for, not demanded; client_certificate    R 3.3.2, L, G
    it must lead to a root of the PKI or of the factory, by what was sent   L (`alert unknown ca` without the intermediate), ? (factory)
  no session is resumed                                                     ?
  HTTP/2 where ALPN offers it; http2                                        G
Paths
  /.well-known/est/OP and /.well-known/est/LABEL/OP; labels                 R 3.2.2
    libest knows no label (404), globalsign every one                       L, G
    csrattrs, triggererrors with its common names change globalsign         G
  another method: 405                                                       L, ? (rfc)
  serverkeygen, fullcmc: 501                                                R 4.3, 4.4 (optional)
Authentication
  cacerts and csrattrs for everybody; protect_csrattrs                      R 4.1, 4.5
  certificate or HTTP, Basic; require, http_auth, one_time                  R 3.2.3, 3.3.2
    libest wants HTTP authentication, for simplereenroll with certificate   L
    Digest as libest words it: no algorithm, so MD5                         L
    SHA-256, several challenges, unknown schemes                            H 7616, 7235
  401 with a challenge for each scheme; libest's has no words               R 3.2.3, L
  403 where a certificate is missing                                        G (simplereenroll), ? (simpleenroll)
Requests
  application/pkcs10 only: 415, libest 400                                  G, L
  base64 with white space anywhere, no armour                               R 3.2 of 8951, ? (armour: 400)
    libest refuses a body without any line end: 400                         L
    globalsign refuses blanks and armour: 400                               G
    what libest makes of armour nobody has tried; here: 400                 ?
  signed by its own key; P-256 and larger, RSA from 2048 bits: else 400     L, G (signature), ? (keys)
  Expect is unknown to libest: 400 here; it may as well be silent           L (does not answer 100), ? (400)
  a challengePassword is the connection's tls-unique, or 401 and the end; binding   R 3.5, L
    with TLS 1.3 its tls-exporter                                           H 9266, 9148 (no server is known to look)
    globalsign looks at none                                                G
Answers
  application/pkcs7-mime, 64 columns LF or 76 CRLF; layout, certs_type      R 4.1.3, 4.2.3, L, G
  an enrolment brings the leaf alone; chain                                 R 4.2.3, L, G
  no attributes: 204, globalsign an empty SEQUENCE; csrattrs                R 4.5.2, L, G
  errors are text/plain, globalsign's begin with the status                 R 4.2.3, G
  202 with Retry-After, for the same key as often as it is set; pending     R 4.2.3, L
Certificates
  subject and names as asked; subject, strings, sans                        ?, G
    libest's authority drops alternative names                              L
  clientAuth; globalsign serverAuth too; extended_usage                     ?, G
Renewal
  the certificate that is renewed, of this PKI and not revoked: else 403    R 4.2.2, G
  subject and alternative names byte for byte: else 403                     R 4.2.2 (identical), G (bytes)
  of an expired one the handshake fails                                     ?
Rollover
  cacerts holds old and new roots, OldWithNew and NewWithOld; cacerts       R 4.1.3, H 4210 4.4

Not imitated: serverkeygen, fullcmc, tpmenroll; certificate-less TLS (SRP); id-kp-cmcRA; revocation lists (a revoked certificate is
refused by HTTP, not in the handshake); a memory of what was issued beyond a restart; libest's HTTP/1.0 manners.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True      # the tree stays as it was found
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from est.config import Config           # noqa: E402
from est.server import Server           # noqa: E402
from standin import ask                 # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description="A stand-in for an EST server.")
    parser.add_argument("--dir", required=True, help="working directory; made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, written to DIR/port")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--host", default="localhost", help="the server's name")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="see est/config.py")
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
        config.change(name, value_of(text) if not isinstance(getattr(config, name, ""), str) else text)
    os.makedirs(options.dir, exist_ok=True)
    hosts = list(dict.fromkeys([options.host, "localhost", "127.0.0.1", "::1"]))
    Server(os.path.abspath(options.dir), config, hosts).run(options.bind, options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
