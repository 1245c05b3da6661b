# SPDX-License-Identifier: Apache-2.0
"""HTTP authentication: Basic (RFC 7617) and Digest (RFC 7616 with qop=auth, MD5 and SHA-256)."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
NONCES_MAX = 1024


class Gatekeeper:
    """Knows the nonces that it gave out. @config is looked at on each occasion."""

    def __init__(self, config):
        self.config = config
        self.nonces = {}

    def challenges(self):
        """The values of WWW-Authenticate, one for each scheme that is set."""
        realm = self.config.realm
        made = {
            "basic": lambda: f'Basic realm="{realm}"',
            "digest": lambda: f'Digest realm="{realm}", qop="auth", algorithm=MD5, nonce="{self.nonce()}"',
            # libest's own, word for word but for the nonce's value.
            "digest-plain": lambda: f'Digest qop="auth", realm="{realm}", nonce="{self.nonce()}"',
            "digest-sha256": lambda: f'Digest realm="{realm}", qop="auth", algorithm=SHA-256, nonce="{self.nonce()}"',
            "bearer": lambda: f'Bearer realm="{realm}"',
        }
        return [made[scheme]() for scheme in self.config.http_auth.split()]

    def nonce(self):
        if len(self.nonces) >= NONCES_MAX:
            self.nonces.clear()
        value = secrets.token_hex(8)
        self.nonces[value] = set()
        return value

    def judge(self, header, method, path):
        """What an Authorization header is worth: what is known of it, with `good` true or false. Never the password."""
        scheme, _, rest = (header or "").partition(" ")
        scheme = scheme.lower()
        if not header:
            return {"scheme": None, "good": False}
        offered = self.config.http_auth.split()
        if scheme == "basic":
            return {"scheme": scheme, **self.basic(rest, "basic" in offered)}
        if scheme == "digest":
            return {"scheme": scheme, **self.digest(rest, method, path, offered)}
        return {"scheme": scheme, "good": False}

    def same(self, given, wanted):
        return hmac.compare_digest(given.encode(), wanted.encode())

    def basic(self, text, offered):
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return {"good": False, "detail": "cannot be read"}
        good = offered and self.same(user, self.config.username) and self.same(password, self.config.password)
        return {"user": user, "good": good}

    def digest(self, text, method, path, offered):
        given = {k.lower(): (a or b) for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', text)}
        algorithm = given.get("algorithm", "MD5").upper()
        named = {"MD5": {"digest", "digest-plain"}, "SHA-256": {"digest-sha256"}}.get(algorithm, set())
        found = {"user": given.get("username", ""), "algorithm": algorithm, "good": False}
        if not named & set(offered):
            return {**found, "detail": "an algorithm that was not offered"}
        used = self.nonces.get(given.get("nonce"))
        if used is None or given.get("nc") in used:
            return {**found, "detail": "a nonce that is not known, or a count for the second time"}
        if given.get("uri") != path or given.get("qop") != "auth" or given.get("realm") != self.config.realm:
            return {**found, "detail": "another request's"}
        used.add(given.get("nc"))

        def of(*parts):
            return HASHES[algorithm](":".join(parts).encode()).hexdigest()

        wanted = of(of(self.config.username, self.config.realm, self.config.password), given["nonce"], given.get("nc", ""),
                    given.get("cnonce", ""), "auth", of(method, path))
        return {**found, "good": self.same(given.get("response", ""), wanted)}
