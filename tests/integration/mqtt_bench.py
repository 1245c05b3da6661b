# SPDX-License-Identifier: Apache-2.0
"""What the tests of lib/mqtt share: certificates, mosquitto, and the probe program that is driven by lines."""

import datetime
import ipaddress
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def pem_cert(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


class Authority:
    """An EC P-256 certificate authority that signs what a test asks for, right or wrong."""

    def __init__(self, directory, cn="test CA"):
        self.directory, self.cn = directory, cn
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(cn, cn, self.key.public_key(), now() - 400 * DAY, now() + 400 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        self.cert = builder.sign(self.key, hashes.SHA256())
        self.file = self.write(cn.replace(" ", "-") + ".pem", pem_cert(self.cert))

    @staticmethod
    def _builder(subject, issuer, public, begin, end):
        return (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
                .public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(begin).not_valid_after(end)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False))

    def write(self, file, data):
        path = os.path.join(self.directory, file)
        with open(path, "wb") as out:
            out.write(data)
        return path

    def issue(self, file, cn, sans=(), server=False, key=None, begin=None, end=None):
        """Returns the path of one PEM file with certificate and key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(cn, self.cn, key.public_key(), begin or now() - DAY, end or now() + 30 * DAY)
        names = []
        for san in sans:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(san)))
            except ValueError:
                names.append(x509.DNSName(san))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        cert = builder.sign(self.key, hashes.SHA256())
        return self.write(file, pem_cert(cert) + pem_key(key))

    def revoke(self, file, bundle):
        with open(bundle, "rb") as source:
            cert = x509.load_pem_x509_certificate(source.read())
        entry = (x509.RevokedCertificateBuilder().serial_number(cert.serial_number)
                 .revocation_date(now() - DAY).build())
        crl = (x509.CertificateRevocationListBuilder().issuer_name(name(self.cn)).last_update(now() - DAY)
               .next_update(now() + DAY).add_revoked_certificate(entry).sign(self.key, hashes.SHA256()))
        return self.write(file, crl.public_bytes(serialization.Encoding.PEM))


def weak_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def localhost():
    """Where a client looks that tries one address at a time: ::1 comes first on many machines."""
    return socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)[0][4][0]


def stop(process):
    """Ends a process that we started, by its PID."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()


class Mosquitto:
    """A broker that demands client certificates, on a free port."""

    def __init__(self, directory, ca, server, extra=""):
        self.port = free_port()
        config = os.path.join(directory, "mosquitto-%d.conf" % self.port)
        self.log = os.path.join(directory, "mosquitto-%d.log" % self.port)
        with open(config, "w", encoding="ascii") as out:
            out.write("per_listener_settings false\nallow_anonymous false\npersistence false\nlog_dest file %s\nlog_type all\n"
                      "user root\n" % self.log)
            for address in sorted({localhost(), "127.0.0.1"}):
                out.write("listener %d %s\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n"
                          "use_identity_as_username true\n%s\n" % (self.port, address, ca, server, server, extra))
        self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("mosquitto does not listen")

    def stop(self):
        stop(self.process)

    def wait_log(self, pattern, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                if re.search(pattern, log.read()):
                    return True
            time.sleep(0.1)
        return False


class Event:
    def __init__(self, line):
        self.line = line
        self.type, rest = line.split(" ", 1)
        for key in ("cause", "code", "cookie", "granted", "retained", "session", "notbefore", "peer", "reset"):
            found = re.search(r"\b%s=(-?\d+)" % key, rest)
            setattr(self, key, int(found.group(1)) if found else None)
        self.text = rest.split("text=", 1)[1]

    def __repr__(self):
        return self.line


class Probe:
    """tests/integration/mqtt-probe.c under way."""

    def __init__(self, program, environment=None, wrap=(), **options):
        arguments = list(wrap) + [program] + ["%s=%s" % (k.replace("_", "-"), v) for k, v in options.items()]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})}, errors="replace")
        self.events, self.answers, self.leftover = queue.Queue(), queue.Queue(), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready = self.answers.get(timeout=30)

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("= "):
                self.answers.put(line[2:])
            else:
                self.events.put(Event(line))

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=60)

    def memory(self, field="VmRSS"):
        """KiB, of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(field + r":\s+(\d+) kB", status.read()).group(1))

    def ok(self, command):
        answer = self.say(command)
        if not answer.startswith("0 "):
            raise AssertionError("%s: %s" % (command, answer))
        return self

    def event(self, *types, seconds=40):
        """The next event; with types: the next of these, the others are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            if not types or event.type in types:
                return event

    def quit(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
            self.process.stdin.close()
            code = self.process.wait(30)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            stop(self.process)
            code = self.process.returncode
        self.reader.join(5)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        code = self.quit()
        if kind is None and code != 0:
            raise AssertionError("the probe ended with %s" % code)
