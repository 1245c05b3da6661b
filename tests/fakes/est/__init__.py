# SPDX-License-Identifier: Apache-2.0
"""The parts of the EST stand-in (est_server.py).

    config      what can be set
    pki         roots, issuing authorities, rollover, what has been issued
    der         the little of DER that decides byte for byte
    body        a request's base64 and what is in it; as strict as the servers that were observed
    auth        Basic and Digest
    answers     layouts of an answer, and every way to break one
    operations  cacerts, csrattrs, simpleenroll, simplereenroll
    wire        HTTP/1.1 on one connection; wire2: HTTP/2
    server      sockets, TLS, start and stop
    control     the tests' way in
"""
