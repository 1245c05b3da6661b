# SPDX-License-Identifier: Apache-2.0
"""A proxy that knows CONNECT and nothing else, in threads of the test's own process, with a record of what came."""

import contextlib
import select
import socket
import threading

SLICE = 64 << 10
IDLE_S = 30


class ConnectProxy:
    """@refuse is the status with which every CONNECT is refused; 0 lets pass, wherever it goes.

    `seen` has an entry for each connection: {"line": its first line, "headers": {...}, "sent": bytes that the client sent
    through, "status": what it was answered}.
    """

    def __init__(self, refuse=0):
        self.refuse, self.seen = refuse, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        entry = {"line": "", "headers": {}, "sent": 0, "status": 0}
        self.seen.append(entry)
        with sock, contextlib.suppress(OSError, ValueError):
            sock.settimeout(IDLE_S)
            rest = self.read_head(sock, entry)
            method, target, _ = entry["line"].split(" ")
            entry["status"] = self.refuse or (200 if method == "CONNECT" else 405)
            if entry["status"] != 200:
                sock.sendall(f"HTTP/1.1 {entry['status']} No\r\nContent-Length: 0\r\n\r\n".encode())
                return
            host, _, port = target.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), timeout=IDLE_S) as other:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                other.sendall(rest)
                entry["sent"] += len(rest)
                self.pump(sock, other, entry)

    @staticmethod
    def read_head(sock, entry):
        """Fills in first line and headers; returns what came behind them."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(SLICE)
            if not more or len(data) > SLICE:
                raise ValueError("no head")
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        entry["line"], *lines = head.decode("latin-1").split("\r\n")
        entry["headers"] = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        return rest

    @staticmethod
    def pump(client, server, entry):
        while True:
            ready, _, _ = select.select([client, server], [], [], IDLE_S)
            if not ready:
                return
            for sock in ready:
                data = sock.recv(SLICE)
                if not data:
                    return
                if sock is client:
                    entry["sent"] += len(data)
                (server if sock is client else client).sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
