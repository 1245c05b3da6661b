# SPDX-License-Identifier: Apache-2.0
"""The little of DER that decides byte for byte: what a library reads and writes again may not be what was sent."""

SEQUENCE, SET, OID, OCTETS, CONTEXT_0, CONTEXT_3 = 0x30, 0x31, 0x06, 0x04, 0xa0, 0xa3
SAN_OID = bytes.fromhex("551d11")
EXTENSION_REQUEST_OID = bytes.fromhex("2a864886f70d01090e")
SIGNED_DATA_OID = bytes.fromhex("2a864886f70d010702")
DATA_OID = bytes.fromhex("2a864886f70d010701")


class BadDer(ValueError):
    pass


def item(tag, *contents):
    """One element with its length, from the parts of its contents."""
    body = b"".join(contents)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def split(data):
    """The elements that @data is made of: a list of (tag, contents, the whole element)."""
    found, at = [], 0
    while at < len(data):
        if at + 2 > len(data):
            raise BadDer("cut short")
        tag, size, head = data[at], data[at + 1], 2
        if size & 0x80:
            count = size & 0x7f
            size, head = int.from_bytes(data[at + 2:at + 2 + count], "big"), 2 + count
        if at + head + size > len(data):
            raise BadDer("cut short")
        found.append((tag, data[at + head:at + head + size], data[at:at + head + size]))
        at += head + size
    return found


def inside(data):
    """What is in the one element that @data is."""
    elements = split(data)
    if len(elements) != 1:
        raise BadDer("something follows")
    return split(elements[0][1])


def request_subject(csr):
    return split(inside(csr)[0][1])[1][2]


def certificate_subject(certificate):
    fields = split(inside(certificate)[0][1])
    if fields[0][0] == CONTEXT_0:
        fields = fields[1:]
    return fields[4][2]


def extension(extensions, oid):
    """The value of an extension in the contents of a SEQUENCE OF Extension, or b""."""
    for _, contents, _ in split(extensions):
        fields = split(contents)
        if fields[0][1] == oid:
            return fields[-1][1]
    return b""


def request_san(csr):
    for tag, contents, _ in split(inside(csr)[0][1]):
        if tag != CONTEXT_0:
            continue
        for _, attribute, _ in split(contents):
            fields = split(attribute)
            if fields[0][1] == EXTENSION_REQUEST_OID:
                return extension(split(fields[1][1])[0][1], SAN_OID)
    return b""


def certificate_san(certificate):
    for tag, contents, _ in split(inside(certificate)[0][1]):
        if tag == CONTEXT_3:
            return extension(split(contents)[0][1], SAN_OID)
    return b""


def certs_only(certificates, content_type=SIGNED_DATA_OID, signers=b""):
    """A degenerate SignedData that holds @certificates (DER) in the order given; no field for them when there is none."""
    held = item(CONTEXT_0, *certificates) if certificates else b""
    signed = item(SEQUENCE, b"\x02\x01\x01", item(SET), item(SEQUENCE, item(OID, DATA_OID)), held, item(SET, signers))
    return item(SEQUENCE, item(OID, content_type), item(CONTEXT_0, signed))
