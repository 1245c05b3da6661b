# SPDX-License-Identifier: Apache-2.0
"""The world of the gateway in the machine: cloud, broker and subscriber of tests/integration, on the host's loopback.

    World       starts them, tells the gateway how to reach them, enrols it, and goes back with the machine's snapshots, so that
                the cloud knows the certificates that the machine has, and no others
"""

import os
import shutil
import stat
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../integration"))

from gateway_bench import Broker, Cloud, Subscriber     # noqa: E402

CONF = "/etc/tidegate"
CLAIM = "/var/lib/tidegate/claim"


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tg-world-")
        self.cloud = Cloud(self.dir, host="cloud.test")
        self.broker = Broker(self.dir, self.cloud, names=("localhost", "broker.test"))
        self.subscriber = Subscriber(self.dir, self.broker)

    def config(self):
        """Of a gateway that enrols at this cloud and publishes to this broker: two sources that need no bus."""
        return {
            "gateway": {"id": "%t", "labels.site": "machine"},
            "enrolment": {"method": "aws-fleet", "subject": "CN=%i"},
            "enrolment.aws-fleet": {
                "endpoint": "cloud.test", "port": self.cloud.port, "ca": CONF + "/cloud.pem",
                "claim-certificate": CLAIM + "/claim.pem", "claim-key": CLAIM + "/claim.key", "template": "tidegate-fleet",
                "rotation-template": "tidegate-rotation", "parameter.SerialNumber": "%i"},
            "rotation": {"jitter": "0%"},
            "mqtt": {"endpoint": "broker.test", "port": self.broker.port, "ca": CONF + "/broker.pem"},
            "bus signals": {"type": "sim"},
            "device boiler": {"bus": "signals", "every": "1s"},
            "point boiler/number": {"read": "counter"},
            "point boiler/temperature": {"read": "sine period=1m low=40 high=60", "unit": "Cel"},
        }

    def give(self, machine):
        """What a gateway must have before it can enrol: whom to trust, and the claim."""
        for name, path in (("cloud.pem", self.cloud.path("server-ca.pem")), ("broker.pem", self.broker.ca)):
            machine.write(f"{CONF}/{name}", text_of(path))
        machine.run(f"install -d -o tidegate -g tidegate -m 0700 {CLAIM}")
        for name in ("claim.pem", "claim.key"):
            machine.write(f"{CLAIM}/{name}", text_of(self.cloud.path(name)), 0o400, "tidegate:tidegate")

    # --- with the machine's snapshots ------------------------------------------------------------------------------------

    def keep(self, name):
        """What the cloud knows now. It and the broker are started again: nothing is in their memory alone."""
        self.stop()
        shutil.copytree(self.cloud.dir, f"{self.dir}/cloud.{name}", symlinks=True, ignore=no_sockets)
        self.start()

    def reset(self, name):
        """Back to what the cloud knew, if that was kept; a new broker that nobody has talked to."""
        self.stop()
        if os.path.isdir(f"{self.dir}/cloud.{name}"):
            shutil.rmtree(self.cloud.dir)
            shutil.copytree(f"{self.dir}/cloud.{name}", self.cloud.dir, symlinks=True)
        for path in (self.broker.log, self.broker.dir + "/mosquitto.db", self.subscriber.log):
            if os.path.exists(path):
                os.unlink(path)
        self.start()

    def stop(self):
        self.subscriber.end()
        self.broker.kill()
        self.cloud.stop()

    def start(self):
        self.cloud.start()
        self.broker.start()

    def end(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def no_sockets(directory, names):
    return [name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(directory, name)).st_mode)]


def text_of(path):
    with open(path, encoding="ascii") as file:
        return file.read()
