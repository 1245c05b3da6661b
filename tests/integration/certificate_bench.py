# SPDX-License-Identifier: Apache-2.0
"""Servers with certificates that are wrong in one way each, and an exact account of what a client says to them.

CELLS is the matrix: each cell has a server that must be refused, the words that say why, and a twin that differs in that one
thing and must be accepted. Nothing here knows what protocol is spoken behind the handshake.
"""

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from mqtt_bench import DAY, name, now, pem_cert, pem_key

HOUR = datetime.timedelta(hours=1)
SERVER, CLIENT = [Usage.SERVER_AUTH], [Usage.CLIENT_AUTH]
# What a client says after its ClientHello when it refuses: the compatibility ChangeCipherSpec and one alert.
LAST_WORDS = 6 + 5 + 2 + 17


def general(value):
    try:
        return x509.IPAddress(ipaddress.ip_address(value))
    except ValueError:
        return x509.DNSName(value)


class Made:
    """A certificate with its key, made to order by its issuer (None: itself)."""

    def __init__(self, cn, issuer=None, ca=False, sans=(), usage=None, begin=None, end=None, key=None, path_length=None,
                 permitted=None, critical=None, noted=None):
        self.cn, self.issuer = cn, issuer or self
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        public, authority = self.key.public_key(), self.issuer.key
        builder = (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(name(self.issuer.cn)).public_key(public)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(begin or now() - DAY).not_valid_after(end or now() + 30 * DAY)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), True)
                   .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), True))
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName([general(s) for s in sans]), False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), False)
        if permitted:
            builder = builder.add_extension(x509.NameConstraints([x509.DNSName(permitted)], None), True)
        for oid, is_critical in ((critical, True), (noted, False)):
            if oid:
                builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\5\0"), is_critical)
        self.pem = pem_cert(builder.sign(authority, hashes.SHA256()))

    def key_pem(self):
        return pem_key(self.key)


class Sha1(Made):
    """The same, signed with SHA-1 by the openssl command, as libraries no longer do it."""

    def __init__(self, directory, cn, issuer, sans):
        super().__init__(cn, issuer, sans=sans, usage=SERVER)
        request = (x509.CertificateSigningRequestBuilder().subject_name(name(cn)).sign(self.key, hashes.SHA256())
                   .public_bytes(serialization.Encoding.PEM))
        files = {"sha1.csr": request, "sha1-ca.pem": issuer.pem, "sha1-ca.key": issuer.key_pem(),
                 "sha1.ext": b"subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n" % sans[0].encode()}
        for file, data in files.items():
            with open(os.path.join(directory, file), "wb") as out:
                out.write(data)
        self.pem = subprocess.run(
            ["openssl", "x509", "-req", "-in", "sha1.csr", "-CA", "sha1-ca.pem", "-CAkey", "sha1-ca.key", "-sha1", "-days", "9",
             "-set_serial", "7", "-extfile", "sha1.ext"], cwd=directory, check=True, capture_output=True).stdout


class Side:
    """One server: what it presents, under which ca it is looked at, by which host, and which TLS it speaks."""

    def __init__(self, chain, ca, host="localhost", newest=None):
        self.chain, self.ca, self.host, self.newest = chain, ca, host, newest


class Cell:
    """@wrong must be refused with @words, @error of OpenSSL (None: not the certificate's fault); @right must be accepted."""

    def __init__(self, title, words, error, wrong, right):
        self.title, self.words, self.error, self.wrong, self.right = title, words, error, wrong, right


class Pki:
    """One root that clients trust, one that only the system does, and the matrix made from both."""

    def __init__(self, directory):
        self.directory = directory
        self.root = Made("plant root", ca=True, end=now() + 400 * DAY)
        self.issuing = Made("plant issuing CA", self.root, ca=True)
        self.public = Made("public root", ca=True, end=now() + 400 * DAY)
        self.client = Made("gateway", self.root, usage=CLIENT)
        self.ca = self.write("ca.pem", self.root.pem)
        self.both = self.write("both.pem", self.root.pem + self.public.pem)
        self.environment = self.make_system_store()
        self.cells = self.make_cells()

    def write(self, file, data):
        path = os.path.join(self.directory, file)
        with open(path, "wb") as out:
            out.write(data)
        return path

    def make_system_store(self):
        """Where OpenSSL of a process with this environment looks for the system's own authorities."""
        folder = os.path.join(self.directory, "system")
        os.mkdir(folder)
        bundle = self.write("system/bundle.pem", self.public.pem + self.root.pem)
        self.write("system/public.pem", self.public.pem)
        subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
        return {"SSL_CERT_FILE": bundle, "SSL_CERT_DIR": folder, "CURL_CA_BUNDLE": bundle}

    def server(self, **changes):
        """A server's certificate that is good but for @changes."""
        options = {"cn": "server", "issuer": self.root, "sans": ["localhost"], "usage": SERVER}
        options.update(changes)
        return Made(**options)

    def side(self, *chain, ca=None, **options):
        return Side(list(chain), ca or self.ca, **options)

    def below(self, above, *more, **options):
        """A chain with an authority of its own that is made with @options."""
        authority = Made("odd CA", above, ca=True, **options)
        last = authority
        chain = [authority]
        for cn in more:
            last = Made(cn, last, ca=True)
            chain.insert(0, last)
        return [self.server(issuer=last)] + chain

    def make_cells(self):
        server, side, plain = self.server, self.side, self.side(self.server())
        alone = server(issuer=None)
        cn_only = {"cn": "localhost", "sans": ()}
        of_public = [server(issuer=self.public), self.public]
        of_issuing = [server(issuer=self.issuing), self.issuing]
        address = {"host": "127.0.0.1"}
        return [
            Cell("expired", r"has expired \(", 10, side(server(begin=now() - 9 * DAY, end=now() - HOUR)), plain),
            Cell("not yet valid", r"is not valid yet \(", 9, side(server(begin=now() + 2 * DAY, end=now() + 9 * DAY)), plain),
            Cell("wrong name", r"\(other\.example\) is not for the name localhost", 62, side(server(sans=["other.example"])),
                 side(server(sans=["other.example", "localhost"]))),
            Cell("CN only", r"has no alternative names, and its common name does not count", 62, side(server(**cn_only)),
                 side(server(cn="localhost"))),
            Cell("IP mismatch", r"is not for the address 127\.0\.0\.1", 64,
                 side(server(cn="127.0.0.1", sans=["127.0.0.2", "localhost"]), **address),
                 side(server(sans=["127.0.0.1"]), **address)),
            Cell("wrong EKU", r"is not meant for TLS servers", 26, side(server(usage=CLIENT)), side(server(usage=SERVER + CLIENT))),
            Cell("self-signed", r"is signed by itself and not in ca", 18, side(alone),
                 side(alone, ca=self.write("alone.pem", alone.pem))),
            Cell("CA from the system store", r"chain ends in 'CN=public root', which is not in ca: .*system's own list", 19,
                 side(*of_public), side(*of_public, ca=self.both)),
            Cell("missing intermediate", r"was not sent along and is not in ca \(CN=plant issuing CA\)", 20,
                 side(of_issuing[0]), side(*of_issuing)),
            Cell("unknown critical extension", r"critical extension that is not known here \(1\.3\.6\.1\.4\.1\.99999\.7\)", 34,
                 side(server(critical="1.3.6.1.4.1.99999.7")), side(server(noted="1.3.6.1.4.1.99999.7"))),
            Cell("path length", r"\(CN=odd CA\) allows fewer authorities below it", 25,
                 side(*self.below(self.root, "extra CA", path_length=0)), side(*self.below(self.root, "extra CA", path_length=1))),
            Cell("name constraint", r"is for a name that an authority above it may not certify", 47,
                 side(*self.below(self.root, permitted="elsewhere.example")), side(*self.below(self.root, permitted="localhost"))),
            Cell("RSA-1024", r"has too weak a key \(RSA, 1024 bits\)", 66,
                 side(server(key=rsa.generate_private_key(65537, 1024))), side(server(key=rsa.generate_private_key(65537, 2048)))),
            Cell("SHA-1 signature", r"is signed with too weak a digest \(ecdsa-with-SHA1\)", 68,
                 side(Sha1(self.directory, "server", self.root, ["localhost"])), plain),
            Cell("TLS 1.1 only", r"protocol version \(alert 70\): it speaks neither TLS 1\.2 nor 1\.3", None,
                 side(server(), newest=ssl.TLSVersion.TLSv1_1), side(server(), newest=ssl.TLSVersion.TLSv1_2)),
        ]

    def further_cells(self):
        """Other ways to the same ends. Their words need not be the only ones of their kind."""
        server, side = self.server, self.side
        far = Made("public CA", self.public, ca=True)
        return [
            Cell("CA from the system store that is not sent", r"is not in ca \(CN=public root\): .*system's own list", 20,
                 side(server(issuer=self.public)), side(server(issuer=self.public), ca=self.both)),
            Cell("CA from the system store behind an intermediate", r"chain ends in 'CN=public root', which is not in ca",
                 20, side(server(issuer=far), far), side(server(issuer=far), far, ca=self.both)),
            Cell("an authority that is weak", r"above the \w+ \(CN=odd CA\) has too weak a key \(RSA, 1024 bits\)", 67,
                 side(*self.below(self.root, key=rsa.generate_private_key(65537, 1024))), side(*self.below(self.root))),
            Cell("an authority that has expired", r"above the \w+ \(CN=odd CA\) has expired", 10,
                 side(*self.below(self.root, begin=now() - 9 * DAY, end=now() - HOUR)), side(*self.below(self.root))),
            Cell("an intermediate as anchor", r"is in ca without its own issuer \(CN=plant root\)", 2,
                 side(server(issuer=self.issuing), ca=self.write("issuing.pem", self.issuing.pem)),
                 side(server(issuer=self.issuing), ca=self.write("whole.pem", self.issuing.pem + self.root.pem))),
        ]


class Account:
    """What one client said: bytes as they came, and what they were."""

    def __init__(self):
        self.raw = self.hello = 0  # bytes in all, and up to the end of the first flight
        self.data = b""            # after the handshake
        self.handshake = False     # complete
        self.certificate = False   # the client showed one


class Server(threading.Thread):
    """Presents @side to all who come and keeps accounts. @answer(data) gives the reply to what came, None to hang up."""

    def __init__(self, side, pki, answer):
        super().__init__(daemon=True)
        self.side, self.answer, self.accounts = side, answer, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # As careless as a server can be: whatever is refused is refused by the client.
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        if side.newest:
            self.context.minimum_version = min(side.newest, ssl.TLSVersion.TLSv1)
            self.context.maximum_version = side.newest
        file = os.path.join(pki.directory, "server-%d.pem" % id(self))
        with open(file, "wb") as out:
            out.write(b"".join(c.pem for c in side.chain) + side.chain[0].key_pem())
        self.context.load_cert_chain(file)
        self.context.load_verify_locations(pki.ca)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        # Where the client looks first: "localhost" is ::1 on many machines.
        family, _, _, _, found = socket.getaddrinfo(side.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)[0]
        self.listener = socket.create_server((found[0], 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.address = "[%s]:%d" % (found[0], self.port) if family == socket.AF_INET6 else "%s:%d" % (found[0], self.port)
        self.client, self.stopping = None, False
        self.start()

    def run(self):
        while not self.stopping:
            try:
                self.client, _ = self.listener.accept()
            except OSError:
                return
            account = Account()
            self.accounts.append(account)
            try:
                with self.client:
                    self.serve(self.client, account)
            except (OSError, ssl.SSLError, EOFError):
                pass

    def stop(self):
        self.stopping = True
        for s in (self.client, self.listener):
            try:
                if s:
                    s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def serve(self, connection, account):
        """TLS in memory, so that every byte is seen as it came."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def perform(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    pass
                finally:
                    if outgoing.pending:
                        account.hello = account.hello or account.raw
                        connection.sendall(outgoing.read())
                received = connection.recv(1 << 16)
                if not received:
                    raise EOFError
                account.raw += len(received)
                incoming.write(received)

        perform(tls.do_handshake)
        account.handshake = True
        account.certificate = tls.getpeercert(binary_form=True) is not None
        while True:
            received = perform(lambda: tls.read(1 << 16))
            account.data += received
            reply = self.answer(account.data) if received else None
            if reply is None:
                return
            if reply:
                perform(lambda r=reply: tls.write(r))
