# SPDX-License-Identifier: Apache-2.0
"""A light bench for buses, for the scenarios in test_bus_*.py: tidegated in the foreground, and nothing else.

No TPM, no broker, nothing enrolled: what devices say is seen with `tidegate watch`, `read` and `status`, what is written with
`write`. The programs are those of $TIDEGATE_BUILD, of any preset; a report of a sanitizer in any log fails the test.

    class Kitchen(BusScenario):
        def test_the_light_is_on(self):
            self.add_bus("b", "sim")
            self.add_device("kitchen", "b", {"light": "constant yes"}, every="100ms")
            self.start()
            self.assertIs(self.value("kitchen/light"), True)
"""

import contextlib
import glob
import json
import os
import shutil
import tempfile
import threading
import subprocess
import unittest

from gateway_bench import BUILD, SANITIZER, Agent, die_with_parent, main, read_text, wait_for  # noqa: F401


class Watch:
    """`tidegate watch --json` in the background: every reading of a device, or of all, from its start on."""

    def __init__(self, agent, device=None):
        self.lines, self.lock = [], threading.Lock()
        self.popen = subprocess.Popen([BUILD + "/agent/tidegate", "--socket", agent.socket, "--json", "watch",
                                       *([device] if device else [])], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        for line in self.popen.stdout:
            with self.lock:
                self.lines.append(json.loads(line))

    def readings(self):
        """So far: {"device": ..., "samples": [...]} in their order."""
        with self.lock:
            return [line for line in self.lines if "samples" in line]

    def samples(self, point):
        """Of DEVICE/POINT so far."""
        device, _, name = point.partition("/")
        return [s for r in self.readings() if r["device"] == device for s in r["samples"] if s["point"] == name]

    def values(self, point):
        """The good values of DEVICE/POINT so far."""
        return [s["value"] for s in self.samples(point) if s["quality"] == "good"]

    def wait(self, count=1, seconds=30):
        return wait_for(f"{count} readings", lambda: len(self.readings()) >= count and self.readings(), seconds)

    def end(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(20)
        self.thread.join(20)
        self.popen.stdout.close()


class BusScenario(unittest.TestCase):
    """A directory, a configuration and an agent for every test."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tg-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self.look_at_logs)
        self.failed_before = self.failures()
        self.agent = self.part(Agent(self))
        # The TPM that is not there is told in status and log, and readings do not need it.
        self.config = {"gateway": {"id": "bench"}, "tpm": {"tcti": f"swtpm:path={self.dir}/no-tpm"},
                       "enrolment": {"method": "none"}}

    def part(self, part):
        """Anything with end(), which is called at the end of the test."""
        self.addCleanup(part.end)
        return part

    def failures(self):
        result = self._outcome.result
        return len(result.failures) + len(result.errors)

    def look_at_logs(self):
        logs = sorted(glob.glob(self.dir + "/*.log") + glob.glob(self.dir + "/*/log"))
        reports = [log for log in logs if SANITIZER.search(read_text(log))]
        if reports or self.failures() > self.failed_before:
            for log in logs:
                text = read_text(log)
                print(f"--- {os.path.relpath(log, self.dir)}:", text if log in reports else text[-6000:], sep="\n")
        self.assertEqual(reports, [], "a sanitizer has something to report")

    # --- configuration: before start(), or before reload() ---------------------------------------------------------

    def add_bus(self, name, kind, **keys):
        """Keys as in the file, with underscores for hyphens."""
        self.config[f"bus {name}"] = {"type": kind, **self.keys(keys)}

    def add_device(self, name, bus, points, **keys):
        """@points: name -> read, or name -> all its keys."""
        self.config[f"device {name}"] = {"bus": bus, **self.keys(keys)}
        for point, what in points.items():
            self.config[f"point {name}/{point}"] = self.keys(what) if isinstance(what, dict) else {"read": what}

    @staticmethod
    def keys(keys):
        return {name.replace("_", "-"): value for name, value in keys.items()}

    def write_config(self):
        with open(self.agent.conf, "w", encoding="utf-8") as file:
            for section, keys in self.config.items():
                lines = [f"{k} = {v}\n" for k, vs in keys.items() for v in (vs if isinstance(vs, list) else [vs])]
                file.write(f"[{section}]\n" + "".join(lines) + "\n")
        os.chmod(self.agent.conf, 0o640)

    def path(self, name):
        return os.path.join(self.dir, name)

    # --- the agent -----------------------------------------------------------------------------------------------------

    def start(self):
        """Writes the configuration, starts the agent and waits until it answers."""
        self.write_config()
        return self.agent.start()

    def stop(self):
        self.assertEqual(self.agent.stop(), 0)

    def reload(self):
        self.write_config()
        code, _, error = self.agent.ctl("reload")
        self.assertEqual(code, 0, error)

    def ctl(self, *arguments, seconds=60):
        """The `tidegate` program: (exit code, standard output, standard error)."""
        return self.agent.ctl(*arguments, seconds=seconds)

    def ask(self, *arguments):
        """What `tidegate --json ...` prints; it must succeed."""
        code, out, error = self.ctl("--json", *arguments)
        self.assertEqual((code, error), (0, ""))
        return json.loads(out)

    def refused(self, *arguments):
        """The error text of a `tidegate` that must fail."""
        code, _, error = self.ctl(*arguments)
        self.assertNotEqual(code, 0)
        return error

    def status(self):
        return self.agent.status()

    def device(self, name):
        return self.agent.device(name)

    def bus(self, name):
        return next(b for b in self.status()["buses"] if b["name"] == name)

    def read(self, device):
        """Reads now: {point: sample}, good or bad."""
        _, out, error = self.ctl("--json", "read", device)
        self.assertTrue(out, error)
        return {s["point"]: s for s in json.loads(out)["samples"]}

    def value(self, point):
        """The good value of DEVICE/POINT, read now."""
        sample = self.read(point)[point.partition("/")[2]]
        self.assertEqual(sample["quality"], "good", sample)
        return sample["value"]

    def watch(self, device=None):
        return self.part(Watch(self.agent, device))

    # --- waiting ---------------------------------------------------------------------------------------------------------

    def wait(self, what, condition, seconds=30):
        try:
            return wait_for(what, condition, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.last_status()}") from None

    def last_status(self):
        try:
            return json.dumps({k: v for k, v in self.status().items() if k in ("buses", "devices")})
        except (OSError, AssertionError, ValueError) as error:
            return f"none ({error})"

    def wait_health(self, device, health, seconds=30):
        return self.wait(f"{device} to be {health}", lambda: self.device(device)["health"] == health, seconds)

    @contextlib.contextmanager
    def file_there(self, name):
        """A file of that name in the directory of the test, for silent-while and away-while."""
        with open(self.path(name), "w", encoding="ascii"):
            pass
        try:
            yield self.path(name)
        finally:
            os.unlink(self.path(name))
