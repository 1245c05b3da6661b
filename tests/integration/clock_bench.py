# SPDX-License-Identifier: Apache-2.0
"""A gateway whose wall clock is wrong, in a world whose clock is right.

The world (the cloud, the broker, its authority) lives 300 days from now, so that everything there is younger than the day
of the release, which is all that a gateway out of its box knows of the time. The gateway has a clock and a /run of its
own: no D-Bus, and the mark of systemd-timesyncd where a test wants it.
"""

import datetime
import os
import shutil
import struct
import tempfile
import time
import unittest.mock

import mqtt_bench
from gateway_bench import BUILD, KEEP_LOADED, Scenario

SHIM = BUILD + "/tests/fakes/libclock-shim.so"
DAY = 86400
WORLD = 300 * DAY
YEARS = 2 * 365 * DAY
# Nothing of this machine's own time keeping is seen: mark and clock file of systemd-timesyncd, the system bus.
PRIVATE = ("mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/timesync && mount --bind '{sync}' /run/systemd/timesync && "
           "if [ -d /var/lib/systemd ]; then mount -t tmpfs tmpfs /var/lib/systemd; fi && exec \"$@\"")


class Clock:
    """The wall clock of some processes: this machine's and an offset, which can change under them."""

    def __init__(self, path, offset):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(8))
        self.set(offset)

    def set(self, offset):
        self.offset = offset
        file = os.open(self.path, os.O_WRONLY)
        os.pwrite(file, struct.pack("=q", int(offset * 1e6)), 0)
        os.close(file)

    def now(self):
        return time.time() + self.offset


def iso(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()


class ClockScenario(Scenario):
    OFFSET = -YEARS     # of the gateway's clock, to the world's

    def setUp(self):
        self.own = tempfile.mkdtemp(prefix="tg-clock-")
        self.addCleanup(shutil.rmtree, self.own, ignore_errors=True)
        os.mkdir(self.own + "/timesync")
        self.world = Clock(self.own + "/world", WORLD)
        self.clock = Clock(self.own + "/gateway", WORLD + self.OFFSET)
        self.patch(unittest.mock.patch.dict(os.environ, {
            "LD_PRELOAD": SHIM, "TIDEGATE_CLOCK_FILE": self.world.path}))
        self.patch(unittest.mock.patch("mqtt_bench.now", self.world_date))
        super().setUp()

    def patch(self, patch):
        patch.start()
        self.addCleanup(patch.stop)

    def world_date(self):
        return datetime.datetime.fromtimestamp(self.world.now(), datetime.timezone.utc).replace(microsecond=0, tzinfo=None)

    # --- what happens to the gateway ---------------------------------------------------------------------------------

    def start_agent(self):
        private = PRIVATE.format(sync=self.own + "/timesync")
        return self.agent.start(wrap=[
            "env", f"LD_PRELOAD={SHIM}:{KEEP_LOADED['LD_PRELOAD']}", "TIDEGATE_CLOCK_FILE=" + self.clock.path,
            "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "unshare", "--mount", "--propagation", "private", "sh", "-c",
            private, "sh"])

    def set_clock(self, offset):
        """Somebody sets the gateway's clock: @offset to the world's."""
        self.clock.set(self.world.offset + offset)

    def synchronise(self):
        """systemd-timesyncd sets the clock right and says so."""
        self.set_clock(0)
        mark = self.own + "/timesync/synchronized"
        with open(mark + ".new", "wb"):
            pass
        os.utime(mark + ".new", (self.clock.now(), self.clock.now()))
        os.rename(mark + ".new", mark)

    def renew_broker(self, days_old):
        """The broker gets a certificate that is so old."""
        begin = self.world_date() - datetime.timedelta(days=days_old)
        self.broker.authority.issue("server.pem", "localhost", ["localhost"], True, begin=begin,
                                    end=begin + datetime.timedelta(days=90))
        self.broker.kill()
        self.broker.start()

    # --- what it says ------------------------------------------------------------------------------------------------

    def clock_status(self):
        return self.agent.status()["clock"]

    def wait_clock(self, state, seconds=30):
        return self.wait(f"a clock that is {state}",
                         lambda: (self.clock_status()["state"] == state and self.agent.status()), seconds)

    def wait_floor(self, *sources):
        return self.wait(f"a floor by the {' or '.join(sources)}",
                         lambda: (self.clock_status()["floor_source"] in sources and self.agent.status()))

    def wait_event(self, event, count=1):
        return self.wait(f"{count} events {event}",
                         lambda: len(self.subscriber.events(event)) >= count and self.subscriber.events(event))[-1]

    def wait_new_pack(self, condition):
        """A pack that comes from now on and is as it should be."""
        seen = self.subscriber.numbers()
        return self.wait("such a pack",
                         lambda: next((p for p in self.subscriber.packs() if p.seq not in seen and condition(p)), None))

    def assert_now(self, seconds, delta=90):
        self.assertAlmostEqual(seconds, self.world.now(), delta=delta)
