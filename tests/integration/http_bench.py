# SPDX-License-Identifier: Apache-2.0
"""What the tests of the HTTPS client share: servers that do to a connection what a test wants, and the client by hand."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "fakes"))
from aws_iot import certs       # noqa: E402

NO_EXTENDED_MASTER_SECRET = 1   # SSL_OP_NO_EXTENDED_MASTER_SECRET, which Python has no name for
STAGES = ["local", "name", "connect", "proxy", "tls", "request", "answer", "done"]
EPERM, EIO, EINVAL, EPROTO, EMSGSIZE, EPROTONOSUPPORT, EOPNOTSUPP = 1, 5, 22, 71, 90, 93, 95
ECONNABORTED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH = 103, 104, 110, 113
PASSWORD = "corr3ct&horse\"bättery"


class Files:
    """One authority, a server's and a client's certificate, another authority that nobody trusts."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tidegate-http-")
        self.ca = certs.Authority.create(certs.name("http test CA"))
        self.write("ca.pem", certs.cert_pem(self.ca.certificate))
        key, server = self.ca.issue_server(["localhost", "127.0.0.1", "::1"])
        self.write("server.pem", certs.cert_pem(server) + certs.key_pem(key).decode())
        self.identity("client", self.ca)
        self.identity("stranger", certs.Authority.create(certs.name("stranger")))

    def identity(self, name, authority):
        key = certs.new_key()
        self.write(name + ".pem", certs.cert_pem(authority.issue(key.public_key(), subject=certs.name(name))))
        self.write(name + ".key", certs.key_pem(key).decode())

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def close(self):
        shutil.rmtree(self.dir)


class Connection:
    """The server's end of one connection, and what has come on it."""

    def __init__(self, sock, number):
        self.sock, self.number = sock, number
        self.file = sock.makefile("rb")

    def request(self):
        """Method, target, header fields in lower case, body; None at the end."""
        line = self.file.readline(65536)
        if not line:
            return None
        method, target, _ = line.decode().split(" ", 2)
        fields = {}
        while (line := self.file.readline(65536).strip()):
            name, _, value = line.decode().partition(":")
            fields[name.strip().lower()] = value.strip()
        return method, target, fields, self.file.read(int(fields.get("content-length", 0)))

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self, status=200, body=b"", **fields):
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self):
        """Ends without a word of TLS."""
        self.sock.shutdown(socket.SHUT_RDWR)


class Server:
    """Listens until it is closed. handle(connection) runs in a thread for each connection; requests are recorded.

    `tls` may be None (plain TCP) or "late": then handle() gets the bare socket and makes TLS itself.
    """

    def __init__(self, files, handle, family=socket.AF_INET, tls="1.2+", client=None, options=0, alpn=None):
        self.handle, self.tls = handle, tls
        self.context = self.make_context(files, tls, client, options, alpn) if tls else None
        self.listener = socket.socket(family)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.connections, self.requests, self.failures, self.bindings = 0, [], [], []
        self.threads, self.open = [], set()
        threading.Thread(target=self.accept, daemon=True).start()

    @staticmethod
    def make_context(files, tls, client, options, alpn):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.path("server.pem"))
        if tls == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if tls == "1.3":
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.path(client))
        if alpn:
            context.set_alpn_protocols(alpn)
        context.options |= options
        return context

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.add(sock)
            thread = threading.Thread(target=self.run, args=(sock, self.connections), daemon=True)
            self.threads.append(thread)
            thread.start()

    def run(self, raw, number):
        sock = raw
        try:
            if self.context and self.tls != "late":
                sock = self.context.wrap_socket(raw, server_side=True)
                self.open.add(sock)
                self.bindings.append(sock.get_channel_binding("tls-unique"))
            self.handle(Connection(sock, number))
            if isinstance(sock, ssl.SSLSocket):
                sock.unwrap()
        except (OSError, ValueError) as error:
            self.failures.append(error)
        finally:
            sock.close()
            self.open.discard(sock)
            self.open.discard(raw)

    def serve(self, answer):
        """A handler that reads requests and calls answer(connection, request) until that is false or they end."""
        def handle(connection):
            while (request := connection.request()):
                self.requests.append(request)
                if answer(connection, request) is False:
                    return
        self.handle = handle
        return self

    def close(self):
        self.listener.close()
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(10)


class Probe:
    """tests/integration/http-probe.c: one handle of the client."""

    def __init__(self, program, environment=None, **options):
        self.said = ""
        self.process = subprocess.Popen(
            [program] + [f"{name}={value}" for name, value in options.items()], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
        self.opened = self.read()

    def read(self):
        line = self.process.stdout.readline()
        self.said += line
        if not line:
            raise RuntimeError("the client ended: " + self.process.stderr.read())
        answer = json.loads(line)
        answer["error"] = -answer["error"]
        if "stage" in answer:
            answer["stage"] = STAGES[answer["stage"]]
        return answer

    def do(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        return self.read()

    def get(self, url):
        return self.do("get", url)

    def close(self):
        """Returns all that it has ever written."""
        out, err = self.process.communicate(timeout=30)
        if self.process.returncode:
            raise RuntimeError(f"the client ended with {self.process.returncode}: {err}")
        return self.said + out + err
