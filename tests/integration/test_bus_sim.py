#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Simulated buses, which show what the worker makes of devices that answer, do not, or speak unasked."""

from bus_bench import BusScenario, main


class Sim(BusScenario):
    def test_signals_arrive_with_value_unit_and_quality(self):
        self.add_bus("b", "sim")
        self.add_device("d", "b", {
            "level": {"read": "constant 215", "scale": 0.1, "unit": "m"},
            "pump": "constant yes",
            "wave": {"read": "sine period=1s low=-2 high=2", "unit": "V"},
            "name": "text \"two words\"",
            "count": "counter step=5 start=100",
            "shaky": "constant 1 bad-every=2"}, every="50ms")
        self.start()
        watch = self.watch("d")
        watch.wait(4)
        got = self.read("d")
        self.assertEqual((got["pump"]["value"], got["name"]["value"]), (True, "two words"))
        self.assertEqual((got["level"]["value"], got["level"]["unit"]), (21.5, "m"))
        self.assertEqual(got["wave"]["unit"], "V")
        counts = watch.values("d/count")
        self.assertEqual(set(b - a for a, b in zip(counts, counts[1:])), {5})
        self.assertTrue(all(-2 <= v <= 2 for v in watch.values("d/wave")))
        self.assertEqual({s["quality"] for s in watch.samples("d/shaky")}, {"good", "bad"})

    def test_a_silent_device_harms_no_other(self):
        self.add_bus("b", "sim", away_while=self.path("away"))
        self.add_device("d", "b", {"x": "constant 1"}, every="100ms", backoff="300ms", silent_while=self.path("silent"))
        self.add_device("e", "b", {"x": "constant 1"}, every="100ms", backoff="300ms")
        self.start()
        self.wait_health("d", "ok")
        with self.file_there("silent"):
            self.wait_health("d", "dead")
            self.assertEqual(self.device("d")["error"], "timeout")
            self.assertEqual(self.device("e")["health"], "ok")
        self.wait_health("d", "ok")
        with self.file_there("away"):
            for name in ("d", "e"):
                self.wait_health(name, "dead")
                self.assertIn("unplugged", self.device(name)["error"])
        for name in ("d", "e"):
            self.wait_health(name, "ok")


if __name__ == "__main__":
    main()
