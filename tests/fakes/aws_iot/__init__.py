# SPDX-License-Identifier: Apache-2.0
"""The stand-in for AWS IoT Core. What it imitates, and how well, is told at the top of ../aws_iot.py.

mqtt          the packets
policy        policy documents and their evaluation
certs         certificate authorities, issuing, the check of signing requests, spoilt certificates
registry      what AWS keeps for an account: certificates, things, policies, tokens; saved to a file
templates     provisioning templates
provisioning  the two calls of fleet provisioning, and the ways in which their answers can go wrong
rules         the packaged rule on events and the function behind it
faults        what a test has asked to go wrong
sessions      the record of who was connected when
broker        connections, limits, routing
control       the tests' way in: a Unix socket
server        sockets, TLS, start and stop
"""
