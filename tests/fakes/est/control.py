# SPDX-License-Identifier: Apache-2.0
"""The tests' way in: a Unix socket in the working directory, a JSON object a line, an answer a line.

{"op": "status"}                                     port, settings, faults, what was issued, fingerprints of the roots
{"op": "set", "name": SETTING, "value": VALUE}       see config.py
{"op": "fault", "name": NAME, "count": N, "operation": OP, ...}      see faults.py
{"op": "clear", "name": NAME}                        without name: every fault
{"op": "faults"}                                     the names and what they do, and the ways to break a body
{"op": "rollover", "same_name": BOOL}                a new root, issuing authority and the links; writes ca-N.pem
{"op": "server", "generation": N, "hosts": [...]}    another certificate for the server, the newest generation's without N;
{"op": "server", "pem": PATH}                        or key and chain of the caller's
{"op": "claim", "name": NAME, "subject": CN}         writes NAME.pem and NAME.key, the factory's
{"op": "pool"}                                       PEM of all authorities, by name
{"op": "revoke", "serial": HEX}                      what was issued is of no use any more
{"op": "reset"}                                      settings as at the start, no faults, one generation, a spent password is
                                                     good again, requests are put off anew; what was issued stays
{"op": "down"}, {"op": "up"}                         closes the port and drops what is open; opens the same port
{"op": "drop"}                                       drops what is open

The answer has "ok": true, or false and "error".
"""

import json
import os
import socketserver
import threading

from aws_iot import certs

from .answers import BROKEN, LAYOUTS
from .faults import NAMES
from .pki import digest


class Control:
    def __init__(self, server):
        self.server = server
        self.first = dict(vars(server.config))

    def start(self, path):
        if os.path.exists(path):
            os.unlink(path)
        control = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    self.wfile.write(json.dumps(control.answer(line)).encode() + b"\n")

        self.listener = socketserver.ThreadingUnixStreamServer(path, Handler)
        self.listener.daemon_threads = True
        os.chmod(path, 0o600)
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()

    def stop(self):
        self.listener.server_close()

    def answer(self, line):
        try:
            request = json.loads(line)
            handler = self.OPS[request.pop("op")]
            with self.server.lock:
                return {"ok": True, **(handler(self, **request) or {})}
        except Exception as error:          # whatever it was: told, not fatal
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    def status(self):
        server = self.server
        return {"port": server.port, "settings": vars(server.config), "faults": server.faults.armed, "issued": server.pki.issued,
                "roots": [digest(g.root.certificate) for g in server.pki.generations], "connections": len(server.connections)}

    def set(self, name, value):
        self.server.config.change(name, value)

    def fault(self, name, **arguments):
        self.server.faults.arm(name, **arguments)

    def clear(self, name=None):
        self.server.faults.clear(name)

    def names(self):
        return {"faults": NAMES, "bodies": list(BROKEN), "layouts": list(LAYOUTS)}

    def rollover(self, same_name=False):
        self.server.pki.rollover(same_name)
        self.server.write_anchors()
        return {"generation": len(self.server.pki.generations), "root": digest(self.server.pki.newest.root.certificate)}

    def certify(self, generation=None, hosts=None, pem=None):
        if pem is None:
            self.server.own_certificate(generation, hosts)
            return
        with open(pem, "rb") as file:
            self.server.write("private/server.pem", file.read())

    def claim(self, name, subject):
        if "/" in name:
            raise ValueError("name is a file name")
        self.server.claim(name, subject)

    def pool(self):
        return {"pool": {n: certs.cert_pem(c) for n, c in self.server.pki.pool().items()}}

    def revoke(self, serial):
        next(e for e in self.server.pki.issued if e["serial"] == serial)["revoked"] = True

    def reset(self):
        vars(self.server.config).update(self.first)
        self.server.faults.clear()
        self.server.operations.spent = False
        self.server.operations.waiting.clear()
        self.server.pki.begin_anew()
        self.server.own_certificate()

    def down(self):
        self.server.go_down()

    def up(self):
        self.server.go_up()

    def drop(self):
        for connection in list(self.server.connections):
            connection.drop()

    OPS = {"status": status, "set": set, "fault": fault, "clear": clear, "faults": names, "rollover": rollover,
           "server": certify, "claim": claim, "pool": pool, "revoke": revoke, "reset": reset, "down": down, "up": up,
           "drop": drop}
