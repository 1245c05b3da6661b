# SPDX-License-Identifier: Apache-2.0
"""Sockets, TLS, start and stop. A thread for each connection.

Each connection gets a TLS context of its own: so there is no session to resume, roots and settings count from the next handshake
on, and the secrets of one connection can be asked for. Python knows the Finished messages of TLS 1.2 (tls-unique), but
not the exporter of TLS 1.3 (RFC 9266); that is worked out here from the exporter secret which OpenSSL tells a
key log (RFC 8446 section 7.5), and is so an opinion of its own about what the client should have found.
"""

import base64
import contextlib
import os
import signal
import socket
import ssl
import threading
import time
import traceback

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from aws_iot import certs
from standin import EventLog

from . import wire
from .control import Control
from .faults import Faults
from .operations import Operations
from .pki import Pki

try:
    from . import wire2
except ImportError:         # no python3-h2: HTTP/1.1 alone is offered
    wire2 = None

VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
            "1.3": ssl.TLSVersion.TLSv1_3}
ASKS = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
OLD_CIPHERS = "ALL:@SECLEVEL=0"
CONNECTIONS_MAX = 64
HANDSHAKE_S, IDLE_S = 10, 60


def exporter(secret, label, length, algorithm):
    """TLS 1.3's exporter with an empty context (RFC 8446 section 7.5)."""
    def expand(key, name, context, size):
        text = b"tls13 " + name
        info = size.to_bytes(2, "big") + bytes([len(text)]) + text + bytes([len(context)]) + context
        return HKDFExpand(algorithm, size, info).derive(key)

    def digest(data):
        made = hashes.Hash(algorithm)
        made.update(data)
        return made.finalize()

    derived = expand(secret, label, digest(b""), algorithm.digest_size)
    return expand(derived, b"exporter", digest(b""), length)


class Connection:
    """One TCP connection from accept to close, on a thread of its own."""

    def __init__(self, server, sock, number):
        self.server, self.number = server, number
        self.config, self.log, self.faults = server.config, server.log, server.faults
        self.plain, self.sock = sock, None
        self.reader, self.requests = None, 0
        self.torn = False           # the answer was cut, or was none
        self.certificate = self.subject = None
        self.keys = server.path(f"private/keys-{number}")
        self.seen = {}

    def run(self):
        try:
            if self.faults.take("accept-drop") is not None:
                return
            if self.faults.take("accept-hang") is not None:
                self.server.stopping.wait(3600)
                return
            if self.shake():
                self.converse()
        except (wire.Ended, OSError, wire.BadRequest):
            pass
        except Exception:           # a mistake of the stand-in: the tests look for it
            self.log("internal-error", detail=traceback.format_exc())
        finally:
            self.close()

    def shake(self):
        """The handshake; returns whether it succeeded."""
        self.plain.settimeout(HANDSHAKE_S)
        kept = self.plain.dup()     # SSLSocket closes its own when the handshake fails, and the alert may be lost
        try:
            self.sock = self.server.context(self).wrap_socket(self.plain, server_side=True)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or repr(error)
            self.log("refused", stage="tls", connection=self.number, reason=reason, sni=self.seen.get("sni"))
            self.linger(kept)
            return False
        finally:
            kept.close()
        self.sock.settimeout(IDLE_S)
        data = self.sock.getpeercert(binary_form=True)
        if data:
            self.certificate = x509.load_der_x509_certificate(data)
            self.subject = self.certificate.subject.rfc4514_string()
        self.log("tls", connection=self.number, version=self.sock.version(), cipher=self.sock.cipher()[0],
                 alpn=self.sock.selected_alpn_protocol(), sni=self.seen.get("sni"), certificate=self.subject,
                 serial=f"{self.certificate.serial_number:x}" if data else None, resumed=self.sock.session_reused,
                 peer=self.sock.getpeername()[0])
        self.torn = self.faults.take("tls-drop") is not None
        return not self.torn and self.faults.take("tls-end") is None

    @staticmethod
    def linger(sock):
        """Reads on a little: closed with something unread, the kernel resets and the alert may be lost."""
        with contextlib.suppress(OSError):
            sock.settimeout(1)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass

    def converse(self):
        if self.sock.selected_alpn_protocol() == "h2":
            wire2.serve(self, self.server.operations)
        else:
            wire.serve(self, self.server.operations)

    def answer(self, operations, query):
        order = self.faults.take("late")
        self.wait(self.config.delay + (order["seconds"] if order else 0))
        with self.server.lock:
            return operations.answer(query)

    def wait(self, seconds):
        if seconds and self.server.stopping.wait(seconds):
            raise wire.Ended

    def binding(self):
        """The base64 text that a request on this connection must carry as its challengePassword."""
        if self.sock.version() == "TLSv1.3":
            with open(self.keys, encoding="ascii") as file:
                [secret] = [line.split()[2] for line in file if line.startswith("EXPORTER_SECRET ")]
            algorithm = hashes.SHA384() if self.sock.cipher()[0].endswith("SHA384") else hashes.SHA256()
            return base64.b64encode(exporter(bytes.fromhex(secret), b"EXPORTER-Channel-Binding", 32, algorithm)).decode()
        return base64.b64encode(self.sock.get_channel_binding("tls-unique")).decode()

    def drop(self):
        """From another thread: whatever it waits for ends."""
        with contextlib.suppress(OSError):
            (self.sock or self.plain).shutdown(socket.SHUT_RDWR)

    def close(self):
        if self.sock is not None:
            self.log("closed", connection=self.number, requests=self.requests,
                     bytes=self.reader.total if self.reader else 0)
            with contextlib.suppress(OSError):
                self.say_goodbye()
        (self.sock or self.plain).close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.keys)
        self.server.connections.discard(self)

    def say_goodbye(self):
        """close_notify, by which the peer can tell an end from a cut; none where something was to be cut."""
        self.sock.settimeout(1)
        if self.torn:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(1 << 16):
                pass
        elif not self.server.stopping.is_set():
            self.sock = self.sock.unwrap()


class Server:
    def __init__(self, directory, config, hosts):
        self.directory, self.config, self.hosts = directory, config, hosts
        self.port = 0
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.connections, self.counted = set(), 0
        self.listener = None
        self.log = EventLog(self.path("events.jsonl"))
        self.faults = Faults(self.log)
        os.makedirs(self.path("private"), mode=0o700, exist_ok=True)
        self.pki = Pki(self.path("private"))
        self.operations = Operations(config, self.pki, self.faults, self.log)
        self.own_certificate()
        self.write_anchors()
        if not os.path.exists(self.path("claim.pem")):
            self.claim("claim", "claim")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, data):
        """Replaces a file in the working directory; keys are their owner's."""
        temporary = self.path(name) + ".new"
        mode = 0o600 if name.endswith(".key") or name.startswith("private/") else 0o644
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.replace(temporary, self.path(name))

    def write_anchors(self):
        """ca.pem, the first root; ca-N.pem, each."""
        for g in self.pki.generations:
            pem = certs.cert_pem(g.root.certificate).encode()
            self.write(f"ca-{g.number}.pem", pem)
            self.write(f"issuing-{g.number}.pem", certs.cert_pem(g.issuing.certificate).encode())
            if g.number == 1:
                self.write("ca.pem", pem)

    def claim(self, name, common_name):
        key, chain = self.pki.claim(common_name)
        self.write(f"{name}.key", key)
        self.write(f"{name}.pem", chain)

    # --- TLS ------------------------------------------------------------------------------------------------------

    def own_certificate(self, number=None, hosts=None):
        """A certificate for the server from a generation, the newest when none is named."""
        key, made, generation = self.pki.server(hosts or self.hosts, number, self.config.server_life)
        held = [made]
        if self.config.server_chain != "leaf":
            held.append(generation.issuing.certificate)
        if self.config.server_chain == "cross":
            held += [c for n, c in generation.links.items() if n.startswith("new-with-old")]
        self.write("private/server.pem", key + "".join(certs.cert_pem(c) for c in held).encode())

    def context(self, connection):
        config = self.config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(OLD_CIPHERS if config.tls_min < "1.2" else CIPHERS)
        context.minimum_version, context.maximum_version = VERSIONS[config.tls_min], VERSIONS[config.tls_max]
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_cert_chain(self.path("private/server.pem"))
        context.set_alpn_protocols(["h2", "http/1.1"] if config.http2 and wire2 else ["http/1.1"])
        context.verify_mode = ASKS[config.client_certificate]
        context.load_verify_locations(cadata="\n".join(certs.cert_pem(c) for c in self.pki.anchors()))
        context.keylog_filename = connection.keys

        def on_name(_socket, server_name, _context):
            connection.seen["sni"] = server_name

        context.sni_callback = on_name
        return context

    # --- start and stop -------------------------------------------------------------------------------------------

    def go_up(self):
        if self.listener is not None:
            return
        family = socket.AF_INET6 if ":" in self.bind else socket.AF_INET
        self.listener = socket.create_server((self.bind, self.port), family=family, backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self.connections) >= CONNECTIONS_MAX:
                sock.close()
                continue
            self.counted += 1
            connection = Connection(self, sock, self.counted)
            self.connections.add(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def go_down(self):
        """Refuses connections and drops those there are."""
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)     # wakes the thread that accepts
            self.listener.close()
            self.listener = None
        for connection in list(self.connections):
            connection.drop()

    def run(self, bind, port):
        self.bind, self.port = bind, port
        control = Control(self)
        self.go_up()
        control.start(self.path("control.sock"))
        self.write("port", str(self.port).encode())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        print(f"ready port={self.port}", flush=True)
        while not self.stopping.wait(3600):
            pass
        control.stop()
        self.go_down()
        end = time.monotonic() + 2
        while self.connections and time.monotonic() < end:
            time.sleep(0.02)
        os.unlink(self.path("port"))
