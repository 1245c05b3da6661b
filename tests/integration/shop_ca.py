# SPDX-License-Identifier: Apache-2.0
"""The authority of a small shop: a root that signs an intermediate that signs devices, by openssl's own commands in a directory.

What is in here is what doc/enrolment-manual.md tells people to type.
"""

import os
import subprocess

DEVICE = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
AUTHORITY = "basicConstraints = critical, CA:TRUE{}\nkeyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n"

# `openssl ca` keeps a database of what it has signed.
CA_CONF = """[ca]
default_ca = devices
[devices]
dir = {dir}
database = $dir/index.txt
new_certs_dir = $dir/issued
serial = $dir/serial
certificate = $dir/{ca}.pem
private_key = $dir/{ca}.key
default_md = sha256
default_days = 365
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = device
[any]
countryName = optional
organizationName = optional
commonName = supplied
[device]
{device}"""


class Shop:
    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory + "/issued")
        self.write("device.ext", DEVICE)
        self.write("index.txt", "")
        self.write("serial", "1000\n")
        self.make_root("root")
        self.make_intermediate("issuing", "root")
        self.write("ca.conf", CA_CONF.format(dir=directory, ca="issuing", device=DEVICE))

    def path(self, name):
        return f"{self.dir}/{name}"

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)

    def read(self, *names):
        """The files' texts, one behind the other."""
        text = ""
        for name in names:
            with open(self.path(name), encoding="utf-8") as file:
                text += file.read()
        return text

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.dir, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def make_root(self, name, *options):
        self.write(name + ".ext", AUTHORITY.format(""))
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name + ".key")
        self.openssl("req", "-new", "-key", name + ".key", "-subj", f"/O=Shop/CN={name}", "-out", name + ".csr")
        self.openssl("x509", "-req", "-in", name + ".csr", "-signkey", name + ".key", "-days", "3650", "-extfile", name + ".ext",
                     "-out", name + ".pem", *options)

    def request_intermediate(self, name):
        self.write(name + ".ext", AUTHORITY.format(", pathlen:0") + "authorityKeyIdentifier = keyid\n")
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name + ".key")
        self.openssl("req", "-new", "-key", name + ".key", "-subj", f"/O=Shop/CN={name}", "-out", name + ".csr")

    def make_intermediate(self, name, root):
        self.request_intermediate(name)
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", root + ".pem", "-CAkey", root + ".key", "-CAcreateserial",
                     "-days", "1825", "-extfile", name + ".ext", "-out", name + ".pem")

    def make_expired_intermediate(self, name, root):
        """By `openssl ca`: `x509` has no dates before 3.4, and takes no days below none after it."""
        self.request_intermediate(name)
        self.write(name + ".conf", CA_CONF.format(dir=self.dir, ca=root, device=self.read(name + ".ext")))
        self.openssl("ca", "-batch", "-notext", "-config", name + ".conf", "-in", name + ".csr", "-startdate", "20240101000000Z",
                     "-enddate", "20250101000000Z", "-out", name + ".pem")

    def sign(self, request, out="device.pem", ca="issuing", ext=DEVICE, days="365", options=()):
        """openssl x509 -req, for a request in a file; the certificate alone."""
        extensions = self.write("asked.ext", ext)
        self.openssl("x509", "-req", "-in", request, "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial", "-days", days,
                     "-extfile", extensions, "-out", out, *options)
        return self.path(out)

    def sign_by_ca(self, request, *options, out="device.pem"):
        """openssl ca, whose output has the certificate's text in front; it puts the subject into the order of its policy."""
        self.openssl("ca", "-batch", "-config", "ca.conf", "-in", request, "-out", out, *options)
        return self.path(out)

    def chain(self, *names, out="chain.pem"):
        return self.write(out, self.read(*names))

    def pkcs7(self, *names, out="chain.p7b", form="PEM"):
        self.openssl("crl2pkcs7", "-nocrl", *(a for n in names for a in ("-certfile", n)), "-outform", form, "-out", out)
        return self.path(out)
