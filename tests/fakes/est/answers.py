# SPDX-License-Identifier: Apache-2.0
"""Layouts of an answer's base64, what a certs-only answer may hold, and every way to break one."""

import base64
import re
from dataclasses import dataclass, field

from aws_iot import certs

from . import der
from .pki import to_der


def lines(data, columns, end):
    text = base64.b64encode(data)
    return end.join(text[i:i + columns] for i in range(0, len(text), columns)) + end


def blanks(data):
    """White space wherever a sender may have put it."""
    return b"\r\n \t" + b" \r\n\t".join(re.findall(rb".{1,61}", base64.b64encode(data))) + b"\n\n "


def armour(data):
    return b"-----BEGIN PKCS7-----\n" + lines(data, 64, b"\n") + b"-----END PKCS7-----\n"


LAYOUTS = {
    "64lf": lambda data: lines(data, 64, b"\n"),
    "64crlf": lambda data: lines(data, 64, b"\r\n"),
    "76lf": lambda data: lines(data, 76, b"\n"),
    "76crlf": lambda data: lines(data, 76, b"\r\n"),
    "64lf-open": lambda data: lines(data, 64, b"\n").rstrip(),
    "76crlf-open": lambda data: lines(data, 76, b"\r\n").rstrip(),
    "one": base64.b64encode,
    "one-lf": lambda data: base64.b64encode(data) + b"\n",
    "blanks": blanks,
    "armour": armour,
    "der": bytes,
}

CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
HTML = b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please log in.</body></html>\n"


@dataclass
class Answer:
    status: int
    body: bytes = b""
    type: str = ""
    headers: list = field(default_factory=list)
    close: bool = False         # the connection ends with it
    transfer: str = ""          # as the setting; "" is the setting's
    cut: int = -1               # so many bytes of the body, then the connection is cut
    drip: float = 0             # seconds between two bytes of the body
    raw: bytes = None           # instead of all of it: these bytes, and the end


def text(status, words, **more):
    return Answer(status, (words + "\n").encode() if words else b"", "text/plain" if words else "", **more)


def held(config, pki, made):
    """The certificates of an answer to an enrolment, in their order."""
    g = pki.newest
    leaf, issuing, root = to_der(made), to_der(g.issuing.certificate), to_der(g.root.certificate)
    stranger = certs.Authority.create(certs.name("Nobody's CA"))
    return {"leaf": [leaf], "full": [leaf, issuing], "root": [leaf, issuing, root], "reversed": [root, issuing, leaf],
            "extras": [to_der(stranger.certificate), issuing, to_der(stranger.issue(certs.new_key().public_key())),
                       leaf, root]}[config.chain]


def pack(config, certificates, kind):
    return Answer(200, LAYOUTS[config.layout](der.certs_only(certificates)), kind, [("Content-Transfer-Encoding", "base64")])


# --- broken ones --------------------------------------------------------------------------------------------------


def cms(certificates, **how):
    return lines(der.certs_only(certificates, **how), 64, b"\n")


def cut_der(leaf, _other):
    return lines(der.certs_only([leaf])[:-40], 64, b"\n")


# name: the bytes of the body, from DER of the right certificate and of one for another key
BROKEN = {
    "empty": lambda leaf, other: b"",
    "blank": lambda leaf, other: b"\r\n\r\n",
    "html": lambda leaf, other: HTML,
    "garbage": lambda leaf, other: lines(bytes(range(256)) * 3, 64, b"\n"),
    "not-base64": lambda leaf, other: b"\x00\xff\xfe{}" * 100,
    "half-base64": lambda leaf, other: cms([leaf])[:201],
    "cut-der": cut_der,
    "trailing": lambda leaf, other: lines(der.certs_only([leaf]) + b"\x05\x00", 64, b"\n"),
    "null-signed": lambda leaf, other: b"MAsGCSqGSIb3DQEHAg==\n",
    "no-certificates": lambda leaf, other: cms([]),
    "data": lambda leaf, other: cms([leaf], content_type=der.DATA_OID),
    "other-key": lambda leaf, other: cms([other]),
    "bare-certificate": lambda leaf, other: lines(leaf, 64, b"\n"),
    # With as many signatures, all but the first of them wrong.
    "many": lambda leaf, other: cms([leaf] + [other[:-2] + i.to_bytes(2, "big") for i in range(199)]),
    "bad-certificate": lambda leaf, other: cms([leaf[:-20] + bytes(20)]),
    "not-a-certificate": lambda leaf, other: cms([der.item(der.SEQUENCE, b"\x02\x01\x01")]),
}
