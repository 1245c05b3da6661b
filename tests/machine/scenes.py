# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of the whole system share: an enrolled gateway that publishes, and the accounts of what it has read.

    System      an enrolled gateway: online, offline, drained; nothing lost and everything in order
    Source      a Modbus TCP server that numbers what it answers, over all starts of the gateway
"""

import re
import socketserver
import struct
import threading

from bench import Scenario
from gateway_bench import Scenario as Integration

# The line of `systemctl status` when there is nothing to say but that.
FINE = r"^enrolled; link online; (\d+) of \1 devices ok; \d+ packs wait$"
DROP_IN = "/run/systemd/system/tidegate.service.d/scenario.conf"


class Source(socketserver.ThreadingTCPServer):
    """Numbers its readings from 1 on: what arrives is 1, 2, 3 ..., or something was lost."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, machine):
        self.number, self.lock = 0, threading.Lock()
        super().__init__(("127.0.0.1", 0), Answer)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.connect(machine)

    def connect(self, machine):
        """Again after each boot. Not through the network that tests cut."""
        machine.reach(self.port)

    def take(self):
        with self.lock:
            self.number += 1
            return self.number

    def end(self):
        self.shutdown()
        self.server_close()


class Answer(socketserver.StreamRequestHandler):
    """Any read of two registers: the next number."""

    def handle(self):
        while len(request := self.rfile.read(12)) == 12:
            transaction, _, _, unit, function, _, count = struct.unpack(">HHHBBHH", request)
            assert (function, count) == (3, 2), "as configured"
            self.wfile.write(struct.pack(">HHHBBBI", transaction, 0, 7, unit, function, 4, self.server.take()))


class System(Scenario):
    """Starts each test with a gateway that is enrolled, where SNAPSHOT does not say otherwise, and stands still."""

    SNAPSHOT = "enrolled"
    EVERY = "500ms"

    def setUp(self):
        super().setUp()
        if self.SNAPSHOT != "enrolled":
            return
        self.config["device boiler"]["every"] = self.EVERY
        self.config["mqtt"]["keep-alive"] = "10s"
        self.config["rotation"]["probation"] = "2s"

    def add_source(self):
        """A second device, whose readings are numbered outside of the machine."""
        self.source = self.part(Source(self.machine))
        self.add_bus("plant", "modbus-tcp", host="127.0.0.1", port=self.source.port)
        # An answer that came too late would be counted and lost, so none is too late.
        self.add_device("plant", "plant", {"number": "holding 0 uint32"}, every=self.EVERY, timeout="30s", retries=0,
                        backoff="1s")

    def drop_in(self, *lines):
        """More for the unit's section [Service], for this boot."""
        self.machine.write(DROP_IN, "[Service]\n" + "".join(line + "\n" for line in lines))
        self.machine.run("systemctl daemon-reload")

    def go_online(self):
        self.start()
        self.wait_fine()

    def wait_fine(self, seconds=120):
        """Online, every device well, and nothing to complain about, in systemd's own words."""
        return self.wait_status_text(FINE, seconds)

    # --- what has arrived ------------------------------------------------------------------------------------------------

    def packs(self, device=None):
        return self.world.subscriber.packs(device)

    def wait_packs(self, count, seconds=60):
        """Until so many more have come."""
        before = len(self.world.subscriber.numbers())
        self.wait(f"{count} more packs", lambda: len(self.world.subscriber.numbers()) >= before + count, seconds)

    def wait_drained(self, seconds=60):
        """Until all that has been read up to now has arrived: of this start, nothing is missing and nothing out of order."""
        polls = sum(d["polls"] for d in self.ask("status")["devices"])

        def drained():
            numbers = self.world.subscriber.numbers()
            newest = [n for n in numbers if n >> 32 == max(numbers) >> 32]
            return len(newest) >= polls and not Integration.holes(numbers)
        self.wait(f"{polls} packs of this start", drained, seconds)
        Integration.assert_in_order(self, self.packs())

    def wait_all_numbers(self, seconds=60):
        """Until all that the source has answered up to now has arrived; over any number of starts."""
        newest = self.source.number

        def missing():
            there = {int(p.values["number"]) for p in self.packs("plant") if "number" in p.values}
            return [n for n in range(1, newest + 1) if n not in there]
        try:
            self.wait(f"readings 1 to {newest}", lambda: not missing(), seconds)
        except AssertionError as error:
            raise AssertionError(f"missing: {missing()[:20]}; {error}") from None
        Integration.assert_in_order(self, self.packs())
        return newest

    def messages(self, pattern):
        """Lines of the service's journal of this test that match."""
        text = self.machine.run(f"journalctl -q --no-pager -o cat --after-cursor='{self.judge.cursor}' -u tidegate.service")
        return [line for line in text.splitlines() if re.search(pattern, line)]
