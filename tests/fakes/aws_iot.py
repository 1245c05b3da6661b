#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for AWS IoT Core."""

import argparse
import asyncio
import json
import os
import sys

sys.dont_write_bytecode = True      # the tree stays as it was found
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aws_iot.config import Config           # noqa: E402
from aws_iot.control import ask             # noqa: E402
from aws_iot.server import Server           # noqa: E402

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
