#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a server of Enrolment over Secure Transport (RFC 7030, RFC 8951), with a PKI of its own.

    est_server.py --dir DIR [--port N] [--set NAME=VALUE]...     runs until SIGTERM
    est_server.py --dir DIR --control '{"op": "status"}'         asks or changes the one that runs in DIR

DIR then holds ca.pem (the first root), ca-N.pem and issuing-N.pem (those of each generation), claim.pem and claim.key (a
certificate of the factory's, with its chain), port, control.sock (see est/control.py) and events.jsonl (what happened, an
object a line; never a password).
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
