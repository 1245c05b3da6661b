#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that print readings: run at an interval, or kept running."""

import os

from bus_bench import BusScenario, main


class Exec(BusScenario):
    def script(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
        return path

    def test_a_program_is_run_at_each_interval(self):
        self.add_bus("x", "exec")
        self.add_device("d", "x", {
            "t": {"read": "t", "unit": "Cel", "scale": "0.1"}, "pump": "pump", "state": "state", "broken": "broken",
            "wrong": {"read": "wrong", "unit": "Cel"}, "missing": "missing", "old": "old"},
            every="200ms", timeout="10s", command=self.script("print", """
echo "t = 215 Cel"
echo "pump on"
echo "state \\"two words\\" $(date +%s)"
echo "broken ! no cable"
echo "wrong 5 K"
echo "old 5 2026-01-01T00:00:00Z"
echo "stranger 1"
echo "a line that nobody understands"
"""))
        self.start()
        got = self.read("d")
        self.assertAlmostEqual(got["t"]["value"], 21.5)
        self.assertEqual((got["pump"]["value"], got["state"]["value"]), (True, "two words"))
        for point, word in (("broken", "no cable"), ("wrong", "the program says K, unit = "), ("missing", "did not print it"),
                            ("old", "more than an hour back")):
            self.assertEqual(got[point]["quality"], "bad")
            self.assertIn(word, got[point]["reason"])

    def test_a_program_that_fails_hangs_or_babbles_is_told(self):
        self.add_bus("x", "exec")
        point = {"t": "t"}
        self.add_device("failing", "x", point, every="100ms", backoff="200ms", timeout="10s",
                        command=self.script("fail", "echo 'no such sensor' >&2; exit 3\n"))
        self.add_device("hanging", "x", point, every="100ms", backoff="200ms", timeout="300ms",
                        command=self.script("hang", "sleep 1000\n"))
        self.add_device("babbling", "x", point, every="100ms", backoff="200ms", timeout="10s",
                        command="/usr/bin/yes t 5")
        self.add_device("absent", "x", point, every="100ms", backoff="200ms", command="/nowhere/program")
        self.add_device("good", "x", point, every="100ms", timeout="10s", command="/bin/echo t 5")
        self.start()
        for device, word in (("failing", "exit status 3: no such sensor"), ("hanging", "did not end within 300 ms"),
                             ("babbling", "prints more than"), ("absent", "does not start")):
            self.wait_health(device, "dead")
            self.assertIn(word, self.device(device)["error"])
        self.assertEqual(self.value("good/t"), 5)
        self.stop()

    def test_a_program_is_kept_running_and_started_again(self):
        self.add_bus("x", "exec")
        self.add_device("d", "x", {"n": "n"}, mode="running", gather="50ms", command=self.script("program", f"""
echo $$ >>{self.path('pids')}
for i in 1 2 3; do echo "n $i"; sleep 0.2; done
[ -e {self.path('stay')} ] && {{ echo "n 99"; exec sleep 1000; }}
echo over >&2
exit 7
"""))
        self.start()
        watch = self.watch("d")
        self.wait("a second start", lambda: watch.values("d/n")[-3:] == [1, 2, 3] and len(watch.values("d/n")) > 3)
        reasons = {s["reason"] for s in watch.samples("d/n") if s["quality"] == "bad"}
        self.assertEqual(reasons, {"the program has ended: exit status 7: over"})
        with self.file_there("stay"):
            self.wait("a start that stays", lambda: 99 in watch.values("d/n"))
            self.stop()
        with open(self.path("pids"), encoding="ascii") as file:
            for pid in file.read().split():
                self.assertFalse(os.path.exists(f"/proc/{pid}"), "a program has outlived the agent")


if __name__ == "__main__":
    main()
