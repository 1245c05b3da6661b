#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Simulated buses, which show what the worker makes of devices that answer, do not, or speak unasked."""

from bus_bench import BusScenario, main, read_text


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

    def test_devices_that_speak_unasked_are_gathered_bounded_and_missed(self):
        self.add_bus("b", "sim", speaks="unasked", away_while=self.path("away"))
        self.add_device("talker", "b", {"n": "counter", "x": {"read": "constant 20", "scale": 0.1}}, every="20ms",
                        gather="200ms", stale_after="600ms", silent_while=self.path("silent"))
        self.start()
        watch = self.watch("talker")
        watch.wait(4)
        packs = [r for r in watch.readings() if len(r["samples"]) == 2]
        self.assertGreater(len(packs), 2)
        # Ten values or so are one pack, with the newest, which is scaled.
        steps = [b["samples"][0]["value"] - a["samples"][0]["value"] for a, b in zip(packs, packs[1:])]
        self.assertGreater(min(steps), 1, steps)
        self.assertEqual({r["samples"][1]["value"] for r in packs}, {2.0})
        self.assertEqual((self.device("talker")["asked"], self.device("talker")["health"]), (False, "ok"))
        self.assertEqual(self.value("talker/x"), 2.0)
        with self.file_there("silent"):
            self.wait_health("talker", "dead")
            self.assertEqual(self.device("talker")["error"], "nothing for 0.6 s")
            self.assertEqual(self.read("talker")["x"]["quality"], "stale")
        self.wait_health("talker", "ok")
        with self.file_there("away"):
            self.wait("the bus to be down", lambda: self.bus("b")["state"] == "down")
            self.wait_health("talker", "dead")
            self.assertIn("unplugged", self.bus("b")["error"])
        self.wait("the bus to be up", lambda: self.bus("b")["state"] == "up")
        self.wait_health("talker", "ok")
        self.assertIn("Bus b is back", self.agent.said())

    def test_totals_go_on_over_wraps_reloads_and_restarts(self):
        self.add_bus("b", "sim")
        self.add_device("meter", "b", {"energy": {"read": "counter step=1000 bits=12", "counter": 12, "scale": 0.5}},
                        every="1h")
        self.start()
        # 0 1000 2000 3000 4000 and, past 4096, 904: two wraps and what comes after them.
        got = [self.value("meter/energy") for _ in range(10)]
        self.assertEqual([b - a for a, b in zip(got, got[1:])], [500.0] * 9)
        self.reload()
        self.wait("the workers", lambda: self.ctl("read", "meter")[0] == 0)
        again = self.value("meter/energy")
        self.assertGreaterEqual(again, got[-1])
        self.stop()
        with open(self.agent.state + "/totals/meter.txt", encoding="ascii") as file:
            self.assertIn("energy", file.read())
        self.start()
        self.assertGreaterEqual(self.value("meter/energy"), again)
        self.stop()
        with open(self.agent.state + "/totals/meter.txt", "w", encoding="ascii") as file:
            file.write("tidegate totals 1\nenergy 1 2\ncrc 00000000\n")
        self.start()
        self.assertLess(self.value("meter/energy"), again)
        self.assertIn("The totals of device meter are lost", self.agent.said())

    def test_figures_are_printed_and_written_to_a_file(self):
        self.config["metrics"] = {"textfile": self.path("tidegate.prom")}
        self.add_bus("b", "sim", away_while=self.path("away"))
        self.add_bus("empty", "sim")
        self.add_device("d", "b", {"x": "constant 1"}, every="50ms", takes="120ms")
        self.start()
        self.wait("late polls", lambda: self.bus("b")["late"] > 3)
        code, text, _ = self.ctl("metrics")
        self.assertEqual(code, 0)
        self.assertIn('tidegate_bus_up{bus="b",type="sim"} 1\n', text)
        self.assertIn('tidegate_device_up{device="d",bus="b"} 1\n', text)
        self.assertRegex(text, r'tidegate_device_polls_skipped_total{device="d",bus="b"} [1-9]')
        self.assertIn("# TYPE tidegate_bus_requests_total counter\n", text)
        self.wait("the file", lambda: read_text(self.path("tidegate.prom")).startswith("# HELP tidegate_"), 30)
        screen = self.ctl("status")[1]
        self.assertRegex(screen, r"(?m)^buses +b +up, sim, for .*, \d+ requests")
        self.assertRegex(screen, r"polls skipped")


if __name__ == "__main__":
    main()
