# SPDX-License-Identifier: Apache-2.0
"""What a test has asked to go wrong.

A fault is armed by name for a number of occasions, and may be narrowed to a client id, a topic or a
call, or to connections under one certificate: that of an id, or "next", the first to connect of those
issued after the fault was armed. The code asks take() at the place where the fault would strike; an
unarmed fault costs nothing and an unknown name is refused when it is armed, so that a test cannot pass on a
spelling mistake.
"""

import fnmatch

from .certs import SPOILT

# name: what happens. "api" narrows to "create" or "register", "client" and "topic" are shell patterns,
# "contains" narrows to messages with that text in their payload, "certificate" to an id or to "next". "offline" is
# a pattern of client ids that must all be away: what tells connections apart before they have said who they are.
NAMES = {
    "accept-drop": "close the TCP connection as soon as it is accepted",
    "accept-hang": "accept, then never answer the TLS handshake",
    "tls-alert": "refuse the certificate in the handshake, as a revoked one",
    "tls-drop": "close right after the TLS handshake",
    "connect-drop": "close instead of CONNACK",
    "connect-hang": "never send CONNACK",
    "connack": "refuse with CONNACK `code`",
    "connack-drop": "close right after CONNACK 0",
    "session-drop": "close `seconds` after CONNACK 0",
    "publish-deny": "close on a PUBLISH, as on a policy violation; the message is not taken",
    "puback-drop-before": "take the message, close before PUBACK",
    "puback-drop-after": "take the message, close right after PUBACK",
    "puback-never": "take the message, send no PUBACK",
    "puback-late": "take the message, send PUBACK after `seconds`",
    "puback-twice": "send PUBACK twice",
    "puback-foreign": "send a PUBACK for a packet identifier that is not in use",
    "puback-lie": "send PUBACK, do not take the message",
    "suback-fail": "answer SUBSCRIBE with 0x80",
    "suback-never": "never answer SUBSCRIBE",
    "suback-drop": "close instead of SUBACK",
    "read-stop": "stop reading from the connection for `seconds` (its receive window fills up)",
    "ping-never": "never answer PINGREQ",
    "reply-never": "never answer the call",
    "reply-late": "answer the call after `seconds`",
    "reply-twice": "answer the call twice",
    "reply-before-puback": "answer the call before its PUBACK",
    "reply-drop-before": "do what was asked, close instead of answering",
    "reply-drop-after": "answer, then close",
    "reply-error": "refuse with `statusCode`, `errorCode`, `errorMessage`",
    "reply-garbage": "answer with bytes that are not JSON",
    "reply-empty": "answer with an empty payload",
    "reply-cut": "answer with half of the JSON",
    "reply-unknown-fields": "answer with members that nobody has documented",
    "reply-wrong-types": "answer with every member of the wrong type",
    "reply-missing": "answer without the members named in `members`",
    "reply-deep": "answer with JSON nested `depth` levels deep",
    "reply-oversized": "answer with `bytes` bytes of JSON",
    "reply-duplicate-keys": "answer with every member twice, the second one empty",
    "certificate": "issue a certificate that is spoilt in the way named by `how`",
}


class Faults:
    """@certificates() are the ids that there are, @clients() the client ids that are connected."""

    def __init__(self, log, certificates=dict, clients=dict):
        self.log = log
        self.certificates = certificates
        self.clients = clients
        self.armed = []

    def arm(self, name, count=1, client="*", topic="*", api="*", contains="", certificate="*", offline=None,
            **arguments):
        if name not in NAMES:
            raise ValueError(f"no fault is called {name}")
        if not isinstance(count, int):
            raise ValueError("count must be a number; -1 is for ever")
        if name == "certificate" and arguments.get("how") not in SPOILT:
            raise ValueError(f"how must be one of {', '.join(SPOILT)}")
        self.armed.append({"name": name, "count": count, "client": client, "topic": topic, "api": api,
                           "contains": contains, "certificate": certificate, "offline": offline,
                           "known": list(self.certificates()) if certificate == "next" else [],
                           "arguments": arguments})

    def clear(self, name=None):
        self.armed = [f for f in self.armed if name is not None and f["name"] != name]

    @staticmethod
    def means(fault, certificate):
        """Whether a fault is meant for connections under a certificate."""
        if fault["certificate"] == "next":
            return certificate != "" and certificate not in fault["known"]
        return fault["certificate"] in ("*", certificate)

    def is_away(self, pattern):
        return pattern is None or not any(fnmatch.fnmatchcase(c, pattern) for c in self.clients())

    def take(self, name, client="", topic="", api="", payload=b"", certificate=""):
        """The arguments of the fault if it strikes now, else None. Counts the occasion."""
        for fault in self.armed:
            if (fault["name"] == name and fnmatch.fnmatchcase(client, fault["client"])
                    and fnmatch.fnmatchcase(topic, fault["topic"])
                    and fnmatch.fnmatchcase(api, fault["api"])
                    and fault["contains"].encode() in payload
                    and self.means(fault, certificate) and self.is_away(fault["offline"])):
                if fault["certificate"] == "next":
                    fault["certificate"] = certificate
                self.strike(fault, client=client, topic=topic, api=api, certificate=certificate)
                return fault["arguments"]
        return None

    def strike(self, fault, **where):
        fault["count"] -= 1
        if fault["count"] == 0:
            self.armed.remove(fault)
        self.log("fault", name=fault["name"], **where)

    def revoked(self):
        """The certificates that a handshake refuses now."""
        alerts = [f for f in self.armed if f["name"] == "tls-alert"]
        return [c for c in self.certificates() if any(self.means(f, c) for f in alerts)]

    def note_alert(self):
        """A handshake was refused for a certificate of revoked()."""
        for fault in [f for f in self.armed if f["name"] == "tls-alert"][:1]:
            self.strike(fault)
