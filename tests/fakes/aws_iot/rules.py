# SPDX-License-Identifier: Apache-2.0
"""Rules: a statement in AWS's SQL over a topic, and the function that gets what it selects.

Of the language only what the packaged rule uses is understood, and anything else is an error when the
rule is loaded: a statement that is half understood would pass a test and fail at AWS.

    SELECT item [, item]... FROM 'filter' [WHERE comparison [OR|AND comparison]...]
    item        value [AS name]
    value       member | 'text' | number | principal() | clientid() | topic(number)
    comparison  value = value
"""

import asyncio
import datetime
import importlib.util
import json
import os
import re

from . import mqtt

TOKEN = re.compile(r"\s*(?:('[^']*')|([A-Za-z_]\w*)|(\d+)|([(),=*]))")
NAME = re.compile(r"[A-Za-z0-9_]{1,128}")
FUNCTIONS = {"principal": 0, "clientid": 0, "topic": 1}
WORDS = ("select", "from", "where", "as", "and", "or")
SIZE_MAX = 256 * 1024
UNDEFINED = object()


class RuleError(Exception):
    """A rule that AWS, or this reading of it, would not accept."""


def tokens_of(sql):
    found, at = [], 0
    while sql[at:].strip():
        match = TOKEN.match(sql, at)
        if match is None:
            raise RuleError(f"cannot read {sql[at:at + 20]!r}")
        text, word, number, sign = match.groups()
        if word is not None and word.lower() in WORDS:
            found.append(("word", word.lower()))
        else:
            found.append(("text", text[1:-1]) if text is not None else ("name", word) if word is not None
                         else ("number", int(number)) if number is not None else ("sign", sign))
        at = match.end()
    return found


class Statement:
    """One parsed SELECT."""

    def __init__(self, sql):
        if len(sql) > SIZE_MAX:
            raise RuleError("statement too long")
        self.tokens = tokens_of(sql)
        self.expect("word", "select")
        self.items = [self.item()]
        while self.skip("sign", ","):
            self.items.append(self.item())
        self.expect("word", "from")
        self.filter = self.expect("text")
        mqtt.check_filter(self.filter)
        self.alternatives = []                              # any of them: all of their comparisons
        if self.skip("word", "where"):
            self.alternatives.append([self.comparison()])
            while self.tokens:
                if self.skip("word", "or"):
                    self.alternatives.append([self.comparison()])
                else:
                    self.expect("word", "and")
                    self.alternatives[-1].append(self.comparison())
        if self.tokens:
            raise RuleError(f"{self.tokens[0][1]!r} after the end")

    def skip(self, kind, value):
        if self.tokens[:1] == [(kind, value)]:
            return self.tokens.pop(0)
        return None

    def expect(self, kind, value=None):
        if not self.tokens or self.tokens[0][0] != kind or value not in (None, self.tokens[0][1]):
            raise RuleError(f"expected {value or kind}, found {self.tokens[:1]}")
        return self.tokens.pop(0)[1]

    def item(self):
        value = self.value()
        if self.skip("word", "as"):
            return self.expect("name"), value
        if value[0] != "member":
            raise RuleError("only a member has a name of its own")
        return value[1], value

    def value(self):
        if not self.tokens:
            raise RuleError("the statement ends too early")
        kind, value = self.tokens.pop(0)
        if kind in ("text", "number"):
            return "constant", value
        if kind != "name":
            raise RuleError(f"{value!r} is not a value")
        if not self.skip("sign", "("):
            return "member", value
        arguments = []
        while not self.skip("sign", ")"):
            arguments.append(self.expect("number"))
        if FUNCTIONS.get(value) != len(arguments):
            raise RuleError(f"function {value} is not imitated")
        return value, *arguments

    def comparison(self):
        left = self.value()
        self.expect("sign", "=")
        return left, self.value()

    def select(self, members, topic, principal, client):
        """What the rule hands over for a message, or None when it does not speak of it."""
        def result(value):
            if value[0] == "constant":
                return value[1]
            if value[0] == "member":
                return members.get(value[1], UNDEFINED)
            if value[0] == "topic":
                levels = topic.split("/")
                return levels[value[1] - 1] if 0 < value[1] <= len(levels) else UNDEFINED
            return {"principal": principal, "clientid": client}[value[0]]

        if not mqtt.matches(self.filter, topic):
            return None
        if self.alternatives and not any(
                all(result(a) is not UNDEFINED and result(a) == result(b) for a, b in alternative)
                for alternative in self.alternatives):
            return None
        return {name: result(value) for name, value in self.items if result(value) is not UNDEFINED}


class NotFound(Exception):
    """What AWS's client raises for a certificate that is not there."""


class Iot:
    """The part of boto3's client for IoT that the packaged functions use, over the registry."""

    class exceptions:
        ResourceNotFoundException = NotFound

    def __init__(self, broker):
        self.registry, self.config, self.broker = broker.registry, broker.config, broker

    def find(self, id_):
        if id_ not in self.registry.certificates:
            raise NotFound(id_)
        return self.registry.certificates[id_]

    def describe_certificate(self, certificateId):
        entry = self.find(certificateId)
        made = datetime.datetime.fromtimestamp(entry.made, datetime.timezone.utc)
        return {"certificateDescription": {"certificateId": entry.id, "status": entry.status, "creationDate": made,
                                           "certificateArn": self.config.arn("cert", entry.id)}}

    def list_principal_things(self, principal):
        return {"things": list(self.find(principal.rpartition("/")[2]).things)}

    def update_certificate(self, certificateId, newStatus):
        entry = self.find(certificateId)
        entry.status = newStatus
        self.registry.save()
        self.broker.log("certificate", certificate=entry.id, status=newStatus, by="function")
        if newStatus != "ACTIVE":
            self.broker.disconnect_certificate(entry.id, f"certificate became {newStatus}")


class Rules:
    """The packaged rule and its function."""

    def __init__(self, packaging, config, log):
        self.log = log
        with open(os.path.join(packaging, "certificate-events-rule.json"), encoding="utf-8") as file:
            rule = json.loads(config.substitute(file.read()))
        unknown = set(rule) - {"sql", "description", "awsIotSqlVersion", "ruleDisabled", "actions"}
        if unknown or rule["awsIotSqlVersion"] != "2016-03-23" or rule["ruleDisabled"]:
            raise RuleError("a rule of another shape")
        [action] = rule["actions"]
        if not action["lambda"]["functionArn"].startswith(f"arn:aws:lambda:{config.region}:{config.account}:function:"):
            raise RuleError("not a function of this account")
        self.statement = Statement(rule["sql"])
        spec = importlib.util.spec_from_file_location("retire_certificate",
                                                      os.path.join(packaging, "retire_certificate.py"))
        self.function = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.function)

    def take(self, connection, message):
        """Called for every message that the broker has taken from a client."""
        if not mqtt.matches(self.statement.filter, message.topic):
            return
        try:
            members = json.loads(message.payload)
        except (ValueError, RecursionError):
            members = None
        if not isinstance(members, dict):
            self.log("rule", topic=message.topic, client=connection.client_id, outcome="not JSON")
            return
        event = self.statement.select(members, message.topic, connection.certificate.id, connection.client_id)
        if event is not None:
            connection.broker.start(self.call(connection.broker, event), connection.broker.background)

    async def call(self, broker, event):
        # AWS calls functions asynchronously: the PUBACK does not wait for them.
        await asyncio.sleep(broker.config.function_delay)
        done = self.function.handle(event, Iot(broker), datetime.datetime.now(datetime.timezone.utc))
        self.log("rule", kind=event.get("event"), gateway=event.get("gateway"), principal=event.get("principal"), **done)
