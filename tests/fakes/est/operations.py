# SPDX-License-Identifier: Apache-2.0
"""The operations of RFC 7030, as the settings want them: cacerts, csrattrs, simpleenroll, simplereenroll."""

import base64
import binascii
import email.utils
import re
import time
from dataclasses import dataclass

from aws_iot import certs

from . import answers, der
from .answers import Answer, text
from .auth import Gatekeeper
from .body import LIBEST_WORDS, BadBody, Request, decode, layout
from .pki import to_der

OPERATIONS = {"cacerts": "GET", "csrattrs": "GET", "simpleenroll": "POST", "simplereenroll": "POST"}
KNOWN_TOO = ("serverkeygen", "fullcmc")     # of RFC 7030, not implemented here
PATH = re.compile(r"/\.well-known/est(?:/([^/?]+))?/([^/?]+)(?:\?.*)?")

P256, CHALLENGE = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a864886f70d010907")
EC_KEY, RSA_KEY = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a864886f70d010101")
P384, WITH_SHA256, WITH_SHA384 = (bytes.fromhex(h) for h in ("2b81040022", "2a8648ce3d040302", "2a8648ce3d040303"))
KEY_USAGE, EXTENDED_KEY_USAGE = bytes.fromhex("551d0f"), bytes.fromhex("551d25")

# globalsign's words
NAMES_WORDS = "Subject and SubjectAltName fields in CSR must be identical to certificate being renewed"


def oid(value):
    return der.item(der.OID, value)


def attribute(kind, *values):
    return der.item(der.SEQUENCE, oid(kind), der.item(der.SET, *values))


def attributes(*elements):
    return der.item(der.SEQUENCE, *elements)


WISHES = {
    "empty": attributes(),
    "binding": attributes(oid(CHALLENGE)),
    "p256": attributes(attribute(EC_KEY, oid(P256)), oid(WITH_SHA256)),
    "p384": attributes(attribute(EC_KEY, oid(P384)), oid(WITH_SHA384)),
    "rsa": attributes(attribute(RSA_KEY, b"\x02\x02\x10\x00")),
    "wishes": attributes(attribute(EC_KEY, oid(P256)), oid(WITH_SHA256), attribute(
        der.EXTENSION_REQUEST_OID, oid(KEY_USAGE), oid(EXTENDED_KEY_USAGE), oid(der.SAN_OID))),
    # RFC 7030 section 4.5.2: a channel binding, P-384 with SHA-384, an extension of nobody's.
    "example": base64.b64decode("MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="),
}


@dataclass
class Query:
    """One request, however it came."""

    method: str
    path: str
    version: str
    headers: dict       # by names in lower case; the last of several
    body: bytes
    connection: object  # server.Connection


class Refusal(Exception):
    """Ends an operation with an answer that is not its own."""

    def __init__(self, answer):
        super().__init__(answer.status)
        self.answer = answer


def retry_after(setting):
    """The value of Retry-After for a setting, or None."""
    kind, colon, seconds = setting.partition(":")
    if not colon:
        return setting or None
    when = time.time() + float(seconds)
    forms = {"imf": lambda: email.utils.formatdate(when, usegmt=True),
             "rfc850": lambda: time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(when)),
             "asctime": lambda: time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(when))}
    return forms[kind]()


class Operations:
    """All connections' one; each call under the server's lock, but for what is slow on purpose."""

    def __init__(self, config, pki, faults, log):
        self.config, self.pki, self.faults, self.log = config, pki, faults, log
        self.gate = Gatekeeper(config)
        self.spent = False          # the one-time password
        self.waiting = {}           # how often a key's request was put off

    # --- the way to an operation --------------------------------------------------------------------------

    def answer(self, query):
        """The Answer to a request, or None: the connection is dropped."""
        found = PATH.fullmatch(query.path)
        label, operation = found.groups() if found else (None, "")
        facts = {"connection": query.connection.number, "method": query.method, "path": query.path, "operation": operation,
                 "label": label, "version": query.version, "host": query.headers.get("host"),
                 "type": query.headers.get("content-type"), "accept": query.headers.get("accept"),
                 "expect": query.headers.get("expect"), "transfer_encoding": query.headers.get("content-transfer-encoding"),
                 "authorization": (query.headers.get("authorization") or "").partition(" ")[0].lower() or None,
                 "certificate": query.connection.subject, "body": layout(query.body)}
        self.log("request", **facts)
        answer = self.fault(query, operation)
        if answer is None:
            answer = self.operate(query, label, operation)
            spoilt = self.faults.take("drop-after", operation)
            if spoilt is not None:
                answer = Answer(0, raw=b"")
        self.log("answer", connection=query.connection.number, operation=operation, status=answer.status,
                 type=answer.type, bytes=len(answer.body))
        return answer

    def fault(self, query, operation):
        """What the test has ordered instead of the operation, or None."""
        order = self.faults.take("status", operation)
        if order is not None:
            headers = list(order.get("headers", {}).items())
            return Answer(order["status"], order.get("text", "").encode(), order.get("type", "text/plain"), headers,
                          close=order.get("close", False))
        if self.faults.take("drop", operation) is not None:
            return Answer(0, raw=b"")
        order = self.faults.take("raw", operation)
        if order is not None:
            return Answer(0, raw=order.get("text", "").encode() or bytes.fromhex(order.get("hex", "")))
        order = self.faults.take("body", operation)
        if order is not None:
            return Answer(200, self.broken(query, order["how"]), order.get("type", answers.CERTS_ONLY))
        return None

    def broken(self, query, how):
        """A body that is wrong in the way of answers.BROKEN; the certificate in it is the request's, where it has one."""
        try:
            request = Request(decode(query.body, self.config.profile), self.config.profile)
        except BadBody:
            leaf = other = to_der(self.pki.newest.issuing.certificate)
        else:
            leaf = to_der(self.pki.certificate(request, self.config))
            other = to_der(self.pki.certificate(request, self.config, certs.new_key().public_key()))
        return answers.BROKEN[how](leaf, other)

    def operate(self, query, label, operation):
        try:
            self.check_path(query, label, operation)
            answer = {"cacerts": self.cacerts, "csrattrs": self.csrattrs, "simpleenroll": self.simpleenroll,
                      "simplereenroll": self.simplereenroll}[operation](query, label)
        except Refusal as refusal:
            return refusal.answer
        for name, key in (("cut", "bytes"), ("drip", "seconds")):
            order = self.faults.take(name, operation)
            if order is not None:
                setattr(answer, name, order[key])
        return answer

    def check_path(self, query, label, operation):
        if operation in KNOWN_TOO:
            self.log("forbidden", operation=operation)
            raise Refusal(text(501, f"{operation} is not implemented"))
        labels = self.config.labels.split()
        if operation not in OPERATIONS or (label is not None and label not in labels and "*" not in labels):
            raise Refusal(text(404, "Not found"))
        if query.method != OPERATIONS[operation]:
            raise Refusal(text(405, "Method not allowed", headers=[("Allow", OPERATIONS[operation])]))

    # --- who asks -------------------------------------------------------------------------------------------

    def refuse(self, why, status, words, **more):
        self.log("refused", stage="operation", reason=why, status=status)
        raise Refusal(self.words(status, words, **more))

    def words(self, status, words, **more):
        """globalsign says the status again."""
        return text(status, f"{status} {words}" if self.config.profile == "globalsign" else words, **more)

    def by_http(self, query):
        """Whether the request brings a good password; else why it is not one is recorded."""
        found = self.gate.judge(query.headers.get("authorization"), query.method, query.path)
        if found["good"] and self.spent:
            found |= {"good": False, "detail": "the password is spent"}
        if found["scheme"]:
            self.log("auth", connection=query.connection.number, **found)
        return found["good"]

    def authorise(self, query):
        """Lets pass, or refuses. By certificate only those of the setting."""
        need, mine = self.config.require, query.connection.certificate is not None
        if mine and self.config.cert_enrols == "claim":
            mine = self.pki.issuer_of(query.connection.certificate) is None
        http = self.by_http(query)
        if need == "none" or (need == "any" and (mine or http)):
            return http
        if need in ("certificate", "both") and not mine:
            self.refuse("certificate", 403, "A client certificate is required")
        if need != "certificate" and not http:
            self.challenge()
        return http

    def challenge(self):
        self.refuse("http", 401, "" if self.config.profile == "libest" else "authorization required",
                    headers=[("WWW-Authenticate", c) for c in self.gate.challenges()])

    # --- operations that anybody may ask for ------------------------------------------------------------------

    def cacerts(self, _query, label):
        self.trigger_all(label)
        found = [to_der(c) for c in self.pki.cacerts(self.config.cacerts)]
        return answers.pack(self.config, found, self.config.cacerts_type)

    def trigger_all(self, label):
        if self.config.profile == "globalsign" and label == "triggererrors":
            self.refuse("triggered", 500, "internal server error")

    def csrattrs(self, query, label):
        self.trigger_all(label)
        if self.config.protect_csrattrs:
            self.authorise(query)
        kind = self.config.csrattrs
        if self.config.profile == "globalsign" and label == "csrattrs":
            kind = "example"
        if kind == "none":
            return Answer(204)
        if kind in ("404", "501"):
            return text(int(kind), "No attributes here")
        try:
            data = WISHES[kind] if kind in WISHES else base64.b64decode(kind, validate=True)
        except binascii.Error:      # sent as it stands
            return Answer(200, kind.encode(), "application/csrattrs")
        return Answer(200, answers.LAYOUTS[self.config.layout](data), "application/csrattrs",
                      [("Content-Transfer-Encoding", "base64")])

    # --- enrolment --------------------------------------------------------------------------------------------

    def check_type(self, query):
        """Before anything else, as both observed servers do."""
        kind = (query.headers.get("content-type") or "").partition(";")[0].strip().lower()
        if kind == "application/pkcs10":
            return
        if self.config.profile == "libest":
            self.refuse("content type", 400, LIBEST_WORDS)
        if self.config.profile == "globalsign":
            self.refuse("content type", 415, "Content-Type must be application/pkcs10")
        self.refuse("content type", 415, "The content type must be application/pkcs10")

    def read(self, query):
        """The signing request in a body that is as it should be."""
        try:
            request = Request(decode(query.body, self.config.profile), self.config.profile)
        except BadBody as error:
            self.refuse("body", 400, str(error))
        self.log("csr", connection=query.connection.number, **request.facts())
        return request

    def check_binding(self, query, request):
        """Proof of possession, linked to this very connection (RFC 7030 section 3.5)."""
        if self.config.binding == "ignore":
            return
        given = request.challenge
        if given is None and self.config.binding != "required":
            return
        wanted = query.connection.binding()
        good = given is not None and given.rstrip("\n") == wanted
        self.log("binding", connection=query.connection.number, given=given, wanted=wanted, good=good)
        if not good:
            self.refuse("binding", 401, "Proof of Possession Mismatch.", close=True)

    def put_off(self, request):
        times = self.waiting.get(request.key_digest, 0)
        if self.config.pending in range(times + 1):
            return
        self.waiting[request.key_digest] = times + 1
        self.log("pending", key_sha256=request.key_digest, times=times + 1)
        self.postpone(self.config.retry_after)

    @staticmethod
    def postpone(when, words="Approval is awaited"):
        value = retry_after(when)
        raise Refusal(text(202, words, headers=[("Retry-After", value)] if value is not None else []))

    def simpleenroll(self, query, label):
        self.check_type(query)
        http = self.authorise(query)
        request = self.read(query)
        if self.config.profile == "globalsign" and label == "triggererrors":
            self.trigger(request)
        self.check_binding(query, request)
        if not self.config.enroll_known and self.pki.known(request.subject):
            self.refuse("known", 403, "This subject has a certificate; use simplereenroll")
        return self.issue(query, request, "simpleenroll", http)

    def trigger(self, request):
        """globalsign's own trouble, by the common name."""
        subject = request.csr.subject.rfc4514_string()
        if "Trigger Error Deferred" in subject:
            self.postpone("600", "202 triggered deferred response")
        if "Trigger Error Forbidden" in subject:
            self.refuse("triggered", 403, "triggered forbidden response")
        if "Trigger Error Unknown" in subject:
            self.refuse("triggered", 500, "internal server error")

    def simplereenroll(self, query, _label):
        if not self.config.reenroll:
            self.refuse("reenroll", 501, "simplereenroll is not implemented")
        self.check_type(query)
        mine = query.connection.certificate
        if mine is None or self.pki.issuer_of(mine) is None:
            self.refuse("certificate", 403, "simplereenroll takes the certificate that is to be renewed, and no other")
        if self.config.reenroll_http and not self.by_http(query):
            self.challenge()
        request = self.read(query)
        data = to_der(mine)
        if request.subject != der.certificate_subject(data) or request.san != der.certificate_san(data):
            self.refuse("names", 403, NAMES_WORDS)
        self.check_binding(query, request)
        return self.issue(query, request, "simplereenroll", False)

    def issue(self, query, request, operation, http):
        mine = query.connection.certificate
        if mine is not None and any(e["serial"] == f"{mine.serial_number:x}" and e["revoked"] for e in self.pki.issued):
            self.refuse("revoked", 403, "The certificate is revoked")
        self.put_off(request)
        made, entry = self.pki.issue(request, self.config, operation)
        self.spent = self.spent or (self.config.one_time and http)
        self.log("issued", connection=query.connection.number, **{k: v for k, v in entry.items() if k != "pem"})
        return answers.pack(self.config, answers.held(self.config, self.pki, made), self.config.certs_type)


