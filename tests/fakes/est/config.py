# SPDX-License-Identifier: Apache-2.0
"""What can be set at start, and through the control socket while it runs."""

from dataclasses import dataclass

from standin import Settings

# What an observed server does otherwise than the defaults; a profile is a set of settings, and the strictness of body.py.
PROFILES = {
    "rfc": {},
    "libest": {"tls_max": "1.2", "http2": False, "labels": "", "layout": "64lf", "http_auth": "digest-plain", "require": "http",
               "reenroll_http": True, "sans": "drop"},
    "globalsign": {"labels": "*", "layout": "76crlf", "require": "none", "binding": "ignore", "csrattrs": "empty",
                   "extended_usage": "both", "cacerts": "issuing-1 root-1"},
}


@dataclass
class Config(Settings):
    profile: str = "rfc"                # how strict: rfc, libest, globalsign; see PROFILES
    # TLS
    tls_min: str = "1.2"                # 1.2 or 1.3
    tls_max: str = "1.3"
    http2: bool = True                  # offered by ALPN (needs python3-h2)
    client_certificate: str = "optional"    # what the handshake asks for: no, optional, required
    server_chain: str = "full"          # full, leaf, cross (with NewWithOld, after a rollover)
    binding: str = "check"              # a challengePassword: ignore, check where there is one, required
    # Who may enrol
    require: str = "any"                # none, any (certificate or HTTP), certificate, http, both
    http_auth: str = "basic"            # challenges, in order: basic digest digest-plain digest-sha256 bearer; "" none
    realm: str = "estrealm"
    username: str = "gateway"
    password: str = "correct horse"
    one_time: bool = False              # the password is spent by the first certificate that it brings
    protect_csrattrs: bool = False      # csrattrs for the authorised only
    cert_enrols: str = "any"            # whose certificates may use simpleenroll: any, claim (the factory's only)
    reenroll_http: bool = False         # simplereenroll wants HTTP authentication beside the certificate
    reenroll: bool = True               # False: simplereenroll is not implemented (501)
    enroll_known: bool = True           # False: simpleenroll is refused for a subject that has a certificate
    # What is issued
    life: float = 30 * 86400.0          # seconds
    server_life: float = 0.0            # seconds of the server's own certificate; 0: as its authority's
    backdate: float = 120.0             # seconds by which notBefore lies behind the time of issue
    subject: str = "asked"              # asked, or a common name that all get
    strings: str = ""                   # how the authority writes names: "" as asked, printable, utf8
    sans: str = "asked"                 # asked, drop, or a DNS name that is added
    extended_usage: str = "client"      # client, server, both, none
    # Answers
    labels: str = "plant-3"             # which are known, with spaces between; * any, "" none
    cacerts: str = "auto"               # auto, or names of pki.Pki.pool() with spaces between
    csrattrs: str = "none"              # none (204), 404, 501, empty, binding, rsa, p384, example, wishes, or base64
    layout: str = "64lf"                # see answers.LAYOUTS
    certs_type: str = "application/pkcs7-mime; smime-type=certs-only"
    cacerts_type: str = "application/pkcs7-mime"
    chain: str = "leaf"                 # what an answer holds: leaf, full, root, reversed, extras
    transfer: str = "length"            # length, chunked, close
    connection_close: bool = False      # one request a connection
    pending: int = 0                    # how often a request is put off with 202; -1 until it is set to 0
    retry_after: str = "2"              # seconds; imf:N rfc850:N asctime:N dates N seconds ahead; "" none; else as it stands
    date: str = ""                      # "": true; a number of seconds to be ahead; none: no Date at all
    delay: float = 0.0                  # seconds before each answer

    def change(self, name, value):
        super().change(name, value)
        if name == "profile":
            for setting, setting_value in PROFILES[value].items():
                super().change(setting, setting_value)
