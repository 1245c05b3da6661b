# SPDX-License-Identifier: Apache-2.0
"""Sockets, TLS, the account's furniture, start and stop.

Each connection gets a TLS context of its own. That is how it has no session cache to resume from (Python
cannot switch OpenSSL's off, and AWS issues no tickets), and how certificates and authorities registered
while the stand-in runs count from the next handshake on.
"""

import asyncio
import asyncio.sslproto
import contextlib
import os
import signal
import socket
import ssl

from cryptography import x509

from standin import EventLog

from . import certs
from .broker import Broker, Connection
from .control import Control
from .faults import Faults
from .provisioning import Hook, Provisioning
from .registry import Registry, Thing
from .rules import Rules

ALPN = "x-amzn-mqtt-ca"
CONNECTIONS_MAX = 256
CIPHERS = "ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=2"


class AlertingProtocol(asyncio.sslproto.SSLProtocol):
    """asyncio throws the alert of a failed handshake away; devices shall see what they would see elsewhere."""

    def _on_handshake_complete(self, handshake_exc):
        if handshake_exc is not None:
            self._process_outgoing()
        super()._on_handshake_complete(handshake_exc)


asyncio.sslproto.SSLProtocol = AlertingProtocol


class Server:
    def __init__(self, directory, config, packaging, hosts, jitr_ca=None):
        self.directory = directory
        self.config = config
        self.hosts = hosts
        self.port = 0
        self.tasks = set()
        self.log = EventLog(self.path("events.jsonl"))
        self.registry = Registry(self.path("registry.json"), config.token_life)
        self.registry.load()
        self.faults = Faults(self.log, lambda: self.registry.certificates, lambda: self.broker.sessions)
        self.make_authorities()
        self.jitr = self.load_jitr(jitr_ca)
        self.hook = Hook(os.path.join(packaging, "pre_provisioning_hook.py"), self.registry, config)
        self.provisioning = Provisioning(config, self.registry, self.issuing, self.faults, self.hook, self.log)
        self.broker = Broker(config, self.registry, self.provisioning, self.faults,
                             Rules(packaging, config, self.log), self.log)
        self.listener = self.accepting = None
        self.rising = None                  # the task that ends a time of being down
        self.furnish(packaging)

    def path(self, name):
        return os.path.join(self.directory, name)

    # --- the account -----------------------------------------------------------------------------------

    def make_authorities(self):
        """The issuing authority, and a server chain with an intermediate, as Amazon's has."""
        private = self.path("private")
        os.makedirs(private, mode=0o700, exist_ok=True)
        issuing, server = os.path.join(private, "issuing.pem"), os.path.join(private, "server-root.pem")
        if not os.path.exists(issuing):
            certs.Authority.create(certs.AWS_ISSUER, path_length=0).save(issuing)
            certs.Authority.create(certs.name("Stand-in Root CA")).save(server)
        self.issuing = certs.Authority.load(issuing)
        root = certs.Authority.load(server)
        middle = certs.Authority.create(certs.name("Stand-in Server CA"), root, path_length=0)
        key, leaf = middle.issue_server(self.hosts)
        self.server_pem = os.path.join(private, "server.pem")
        self.write("private/server.pem", certs.key_pem(key) + (certs.cert_pem(leaf)
                                                               + certs.cert_pem(middle.certificate)).encode())
        self.write("server-ca.pem", certs.cert_pem(root.certificate).encode())
        self.write("device-ca.pem", certs.cert_pem(self.issuing.certificate).encode())

    def write(self, name, data):
        """Replaces a file in the working directory. Keys are their owner's; other brokers read the rest."""
        temporary = self.path(name) + ".new"
        mode = 0o600 if name.endswith(".key") or name.startswith("private/") else 0o644
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.replace(temporary, self.path(name))

    @staticmethod
    def load_jitr(path):
        if path is None:
            return []
        with open(path, "rb") as file:
            return [x509.load_pem_x509_certificate(file.read())]

    def furnish(self, packaging):
        """Policies, templates, the claim certificate and the observer's."""
        def text(name):
            with open(os.path.join(packaging, name), encoding="utf-8") as file:
                return self.config.substitute(file.read())

        self.registry.add_policy("TidegateClaim", text("claim-policy.json"))
        self.registry.add_policy("TidegateGateway", text("thing-policy.json"))
        self.registry.add_policy("Observer", self.observer_policy())
        self.provisioning.add_template(self.config.template, text("fleet-template.json"))
        self.provisioning.add_template(self.config.rotation_template, text("rotation-template.json"))
        for name, policy, origin in (("claim", "TidegateClaim", "claim"), ("observer", "Observer", "operator")):
            if not os.path.exists(self.path(name + ".pem")):
                self.issue(name, [policy], origin)
        self.registry.save()

    def observer_policy(self):
        """For whoever watches what gateways publish and sends them commands."""
        arn = self.config.arn
        return {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client", "observer*"),
             "Condition": {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": arn("topicfilter", "*")},
            {"Effect": "Allow", "Action": ["iot:Publish", "iot:RetainPublish", "iot:Receive"],
             "Resource": arn("topic", "*")}]}

    def issue(self, name, policies, origin, thing=None, kind="EXCLUSIVE_THING", status="ACTIVE"):
        """A certificate with its key in files NAME.pem and NAME.key."""
        key = certs.new_key()
        certificate = self.issuing.issue(key.public_key())
        entry = self.registry.add_certificate(certs.certificate_id(certificate), certs.cert_pem(certificate),
                                              status, origin, policies)
        self.attach(entry, thing, kind)
        self.write(name + ".key", certs.key_pem(key))
        self.write(name + ".pem", entry.pem.encode())
        return entry

    def attach(self, entry, thing, kind):
        if thing is not None:
            self.registry.things.setdefault(thing, Thing(thing))
            self.registry.attach(entry, thing, kind)
        self.registry.save()

    # --- connections -----------------------------------------------------------------------------------

    def tls_context(self, seen):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_cert_chain(self.server_pem)
        context.set_alpn_protocols([ALPN])
        context.verify_mode = ssl.CERT_REQUIRED
        # A certificate that was registered by itself is its own anchor; AWS asks for no authority then.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        anchors = [certs.cert_pem(self.issuing.certificate)] + [certs.cert_pem(c) for c in self.jitr]
        anchors += [c.pem for c in self.registry.certificates.values() if c.origin == "operator"]
        context.load_verify_locations(cadata="\n".join(anchors))
        self.refuse_in_handshake(context)

        def on_name(_socket, server_name, _context):
            seen["sni"] = server_name
            return None if server_name in self.hosts else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = on_name
        return context

    def refuse_in_handshake(self, context):
        """Certificates with the fault tls-alert are on a revocation list of this handshake."""
        revoked = self.faults.revoked()
        if not revoked:
            return
        pems = {c.id: c.pem for c in self.registry.certificates.values()}
        self.write("private/crl.pem", certs.revocations(self.issuing, revoked, pems))
        context.load_verify_locations(cafile=self.path("private/crl.pem"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    async def handle(self, sock):
        """One TCP connection from accept to close."""
        if self.faults.take("accept-drop") is not None:
            sock.close()
            return
        if self.faults.take("accept-hang") is not None:
            try:
                await asyncio.sleep(3600)
            finally:
                sock.close()
        seen, loop = {}, asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 16)
        protocol = asyncio.StreamReaderProtocol(reader)
        kept = sock.dup()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self.tls_context(seen),
                ssl_handshake_timeout=self.config.connect_timeout, ssl_shutdown_timeout=1)
        except OSError as error:
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or repr(error)
            if reason == "certificate revoked":
                self.faults.note_alert()
            self.log("refused", stage="tls", reason=reason, sni=seen.get("sni"))
            sock.close()
            await self.linger(kept)
            return
        finally:
            kept.close()
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self.converse(reader, writer, seen)
        finally:
            writer.close()

    @staticmethod
    async def linger(sock):
        """Reads on a little: closed with something unread, the kernel resets and the alert may be lost."""
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(1):
                while await asyncio.get_running_loop().sock_recv(sock, 1 << 16):
                    pass
        except OSError:
            pass

    async def converse(self, reader, writer, seen):
        tls = writer.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True)
        id_, subject = certs.fingerprint(der), certs.subject_text(der)
        facts = {"certificate": id_, "subject": subject, "sni": seen.get("sni"), "tls": tls.version(),
                 "cipher": tls.cipher()[0], "alpn": tls.selected_alpn_protocol()}
        self.log("tls", **facts, resumed=tls.session_reused)
        if self.faults.take("tls-drop", certificate=id_) is not None:
            return
        if self.config.require_alpn and facts["alpn"] != ALPN:
            self.log("refused", stage="alpn", certificate=id_, reason="not an MQTT client")
            return
        entry = self.registry.certificates.get(id_)
        if entry is None:
            self.unknown(der, id_)
            return
        if entry.status != "ACTIVE" and self.config.refuse_at == "tls":
            self.log("refused", stage="certificate", certificate=id_, reason=entry.status)
            return
        await Connection(self.broker, reader, writer, entry, subject).run()

    def unknown(self, der, id_):
        """Drops an unregistered certificate; one from an authority with auto-registration is registered."""
        self.log("refused", stage="certificate", certificate=id_, reason="not registered")
        certificate = x509.load_der_x509_certificate(der)
        for authority in self.jitr:
            if certificate.issuer == authority.subject:
                self.registry.add_certificate(id_, certs.cert_pem(certificate), "PENDING_ACTIVATION", "jitr")
                self.log("registered", certificate=id_, subject=certs.subject_text(der))

    # --- start and stop --------------------------------------------------------------------------------

    async def accept_forever(self):
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self.tasks) >= CONNECTIONS_MAX:
                sock.close()
                continue
            self.broker.start(self.handle(sock), self.tasks)

    def go_up(self):
        if self.listener is None:
            self.listener = socket.create_server((self.bind, self.port), backlog=64)
            self.listener.setblocking(False)
            self.port = self.listener.getsockname()[1]
            self.accepting = asyncio.ensure_future(self.accept_forever())

    def go_down(self, seconds=None):
        """Refuses connections and drops those there are, until go_up() or for a time."""
        if self.rising is not None:
            self.rising.cancel()
        if self.listener is not None:
            self.accepting.cancel()
            # At once, and not when the task has noticed: the number may be another socket's by then.
            asyncio.get_running_loop().remove_reader(self.listener)
            self.listener.close()
            self.listener = None
        for connection in list(self.broker.sessions.values()):
            connection.kill("SERVER_INITIATED_DISCONNECT", "the endpoint goes down")
        for task in self.tasks:             # handshakes, and connections before CONNECT
            task.cancel()
        self.rising = asyncio.ensure_future(self.rise_after(seconds)) if seconds is not None else None

    async def rise_after(self, seconds):
        await asyncio.sleep(seconds)
        self.go_up()

    async def expire_tokens(self):
        while True:
            for id_ in self.registry.expire():
                self.log("expired", certificate=id_, reason="not registered within the token's life")
            await asyncio.sleep(min(1, self.config.token_life / 4))

    async def run(self, bind, port):
        self.bind, self.port = bind, port
        self.go_up()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        control = Control(self)
        await control.start(self.path("control.sock"))
        expiring = asyncio.ensure_future(self.expire_tokens())
        self.log("start", port=self.port)
        self.write("port", f"{self.port}\n".encode())
        print(f"ready port={self.port}", flush=True)
        await stop.wait()
        self.go_down()
        ending = [self.accepting, expiring, *self.tasks, *self.broker.background]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0.05)           # lets transports that were just closed say goodbye
        control.listener.close()
        with contextlib.suppress(FileNotFoundError):    # Python 3.13 removes it by itself
            os.unlink(self.path("control.sock"))
        self.log("stop")
