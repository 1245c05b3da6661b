# SPDX-License-Identifier: Apache-2.0
"""AWS IoT policy documents: what a certificate may do.

Pure. A document is checked when it is loaded, and anything this evaluator does not understand is
an error then, since a policy that is half understood grants or refuses by accident and a test that passes
on it proves nothing.

The rules: nothing is allowed unless a statement allows it; any Deny that matches wins; * stands for any
run of characters (slashes too) and ? for one; MQTT's own + and # have no meaning here and are compared as
they are; a resource with a variable that has no value for this connection matches nothing.
"""

import json
import re

VARIABLE = re.compile(r"\$\{([^}]*)\}")
ACTIONS = {"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive", "iot:RetainPublish"}
OPERATORS = {"Bool", "StringEquals", "StringNotEquals", "StringLike", "StringNotLike"}
SIZE_MAX = 2048         # characters without white space: AWS refuses longer documents


class PolicyError(Exception):
    """A document that AWS, or this evaluator, would not accept."""


def as_list(value):
    return value if isinstance(value, list) else [value]


def strings(statement, name):
    values = as_list(statement.get(name))
    if not values or not all(isinstance(v, str) for v in values):
        raise PolicyError(f"{name} must be a string or a list of strings")
    return values


def compile_pattern(pattern, variables):
    """A regular expression for a policy string, or None when a variable in it has no value.

    Values of variables are quoted: a thing called "*" must not turn into a wildcard.
    """
    out, at = "", 0
    for match in VARIABLE.finditer(pattern):
        out += wildcards(pattern[at:match.start()])
        name = match.group(1)
        if name in ("*", "?", "$"):
            out += re.escape(name)
        elif variables.get(name) is None:
            return None
        else:
            out += re.escape(variables[name])
        at = match.end()
    return re.compile(out + wildcards(pattern[at:]), re.DOTALL)


def wildcards(text):
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)


def pattern_matches(pattern, text, variables):
    compiled = compile_pattern(pattern, variables)
    return compiled is not None and compiled.fullmatch(text) is not None


class Statement:
    def __init__(self, raw):
        if not isinstance(raw, dict):
            raise PolicyError("a statement must be an object")
        unknown = set(raw) - {"Sid", "Effect", "Action", "Resource", "Condition"}
        if unknown:
            raise PolicyError(f"unknown statement member {sorted(unknown)[0]}")
        if raw.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError("Effect must be Allow or Deny")
        self.allow = raw["Effect"] == "Allow"
        self.actions = strings(raw, "Action")
        self.resources = strings(raw, "Resource")
        for action in self.actions:
            if "*" not in action and action not in ACTIONS:
                raise PolicyError(f"unknown action {action}")
        for resource in self.resources:
            if resource != "*" and not resource.startswith("arn:aws:iot:"):
                raise PolicyError(f"not an AWS IoT resource: {resource}")
        self.conditions = list(self.read_conditions(raw.get("Condition", {})))

    @staticmethod
    def read_conditions(raw):
        if not isinstance(raw, dict):
            raise PolicyError("Condition must be an object")
        for operator, keys in raw.items():
            quantifier, _, name = operator.rpartition(":")
            if name not in OPERATORS or quantifier not in ("", "ForAllValues", "ForAnyValue"):
                raise PolicyError(f"unknown condition operator {operator}")
            if not isinstance(keys, dict):
                raise PolicyError(f"{operator} must be an object")
            for key in keys:
                yield quantifier, name, key, strings(keys, key)

    def applies(self, action, resource, variables):
        return (any(pattern_matches(a, action, {}) for a in self.actions)
                and any(r == "*" or pattern_matches(r, resource, variables) for r in self.resources)
                and all(holds(*c, variables) for c in self.conditions))


    def speaks_of(self, key):
        return any(condition[2] == key for condition in self.conditions)


def holds(quantifier, operator, key, wanted, variables):
    """One condition. Without a quantifier a key without a value fails, also for the Not operators."""
    have = variables.get(key)
    values = [] if have is None else as_list(have)
    negative = "Not" in operator

    def fits(value):
        if operator == "Bool":
            hit = any(value.lower() == w.lower() for w in wanted)
        elif operator.endswith("Like"):
            hit = any(pattern_matches(w, value, variables) for w in wanted)
        else:
            hit = value in wanted
        return hit != negative

    if quantifier == "ForAllValues":
        return all(fits(v) for v in values)     # true for none: that is how a plain CONNECT passes
    return any(fits(v) for v in values)


class Policy:
    """One checked document."""

    def __init__(self, document):
        if isinstance(document, str):
            try:
                document = json.loads(document)
            except ValueError as error:
                raise PolicyError(f"not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("Version") != "2012-10-17":
            raise PolicyError("Version must be 2012-10-17")
        if set(document) - {"Version", "Id", "Statement"}:
            raise PolicyError("unknown member in the policy document")
        compact = re.sub(r"\s", "", json.dumps(document, separators=(",", ":")))
        if len(compact) > SIZE_MAX:
            raise PolicyError(f"document has {len(compact)} characters, AWS takes {SIZE_MAX}")
        self.document = document
        self.size = len(compact)
        self.statements = [Statement(s) for s in as_list(document.get("Statement"))]


def evaluate(policies, action, resource, variables):
    """Returns (allowed, why): why is for the log, and for tests that ask which rule decided.

    A CONNECT with a last will or a persistent session is allowed only by a statement that speaks of
    iot:ConnectAttributes: what a plain statement grants is a plain connection.
    """
    allowed = False
    special = bool(variables.get("iot:ConnectAttributes"))
    for policy in policies:
        for statement in policy.statements:
            if statement.applies(action, resource, variables):
                if not statement.allow:
                    return False, "explicit deny"
                allowed = allowed or not special or statement.speaks_of("iot:ConnectAttributes")
    return allowed, "allowed" if allowed else "no statement allows it"
