# SPDX-License-Identifier: Apache-2.0
"""Lines of a GPIO chip: levels, edges with the kernel's time, counters, a chip that is unplugged."""

import faults
from bench import Scenario, full


class Gpio(Scenario):
    def setUp(self):
        super().setUp()
        # The kernel warns of a chip that goes while a line of it is held, as at the end of each test.
        self.excuse(r"kernel: Call trace:")
        self.chip = self.bridge()
        self.add_bus("header", "gpio", chip="cp2112_gpio")
        self.add_device("cellar", "header", {"water": "line 2 edge=both", "energy": "line 3 count=rising",
                                             "inverted": "line 4 active-low"}, every="1s", backoff="1s")

    def pulses(self, count, first):
        """One by one: the bridge looks at its inputs some 25 times a second."""
        for n in range(count):
            self.chip.ask("line", 3, 1)
            self.wait(f"pulse {first + n}", lambda: self.value("cellar/energy") == first + n)
            self.chip.ask("line", 3, 0)
            self.machine.run("sleep 0.3")

    def test_levels_and_edges_arrive_with_their_time(self):
        self.start()
        self.wait_health("cellar", "ok")
        watch = self.watch("cellar")
        self.assertIs(self.value("cellar/inverted"), True)
        for level in (True, False, True):
            before = float(self.machine.run("date +%s.%N"))
            self.chip.ask("line", 2, int(level))
            self.wait(f"the line to be {level}", lambda: watch.values("cellar/water")[-1:] == [level])
            after = float(self.machine.run("date +%s.%N"))
            told = [watch.when(r) for r in watch.readings()
                    if any(s["point"] == "water" and s["value"] is level for s in r["samples"])]
            self.assertTrue(any(before - 1 < t <= after for t in told), (before, told, after))    # whole seconds

    def test_pulses_are_counted(self):
        self.start()
        self.wait_health("cellar", "ok")
        self.pulses(4, 1)

    @full
    def test_the_count_goes_on_after_a_restart(self):
        self.config["device cellar"]["totals-interval"] = "1h"
        self.start()
        self.wait_health("cellar", "ok")
        self.pulses(3, 1)
        self.stop()
        self.start()
        self.wait_health("cellar", "ok")
        self.assertEqual(self.value("cellar/energy"), 3)
        self.pulses(1, 4)

    def test_a_command_sets_an_output_and_silence_lets_it_fall(self):
        self.add_device("relay", "header", {"valve": {"read": "line 6 output", "write": "yes", "safe": "0",
                                                      "safe-after": "8s"}}, every="1s")
        self.start()
        self.wait_health("relay", "ok")
        self.assertEqual(self.chip.output(6), 0)
        done = self.ctl("write", "relay/valve", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.chip.output(6), 1)
        self.assertIs(self.value("relay/valve"), True)
        self.wait("the safe state", lambda: self.chip.output(6) == 0)
        self.assertEqual(self.ctl("write", "cellar/water", "1").returncode, 1)

    @full
    def test_probing_shows_the_lines(self):
        self.start()
        table = self.ask("probe", "header")
        self.assertTrue(any("water" in row or "2" in row for row in table["rows"]), table)
        self.assertEqual(len(table["rows"]), 8)

    def test_the_chip_is_unplugged_and_found_again(self):
        self.start()
        self.wait_health("cellar", "ok")
        self.chip.end()
        self.wait_health("cellar", "dead")
        self.chip = self.bridge()
        self.chip.ask("line", 2, 1)
        self.wait_health("cellar", "ok")
        self.wait("the level", lambda: self.read("cellar")["water"]["value"] is True)
        faults.told("F37", "GPIO chip unplugged and back: dead with the reason, then found again by its label")
