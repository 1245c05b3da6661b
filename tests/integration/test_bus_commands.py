#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands without a broker: tidegate write, safe states, devices that do not answer, and an agent killed in between."""

import json
import os
import time

from bus_bench import BusScenario, main, read_text

OUTPUT = {"write": "yes"}


class Commands(BusScenario):
    def setUp(self):
        super().setUp()
        self.add_bus("b", "sim", write_log=self.path("writes"))

    def plant(self, every="200ms", **points):
        self.add_device("plant", "b", {name: {"read": "constant 5", **OUTPUT, **keys} for name, keys in points.items()},
                        every=every, backoff="1s", silent_while=self.path("silent"))

    def writes(self):
        return read_text(self.path("writes")).splitlines()

    def ledger(self):
        return read_text(self.agent.state + "/commands")

    def write(self, point, value):
        """(exit code, result)."""
        code, out, error = self.ctl("--json", "write", point, value)
        return code, json.loads(out) if out else error

    def test_a_person_sets_a_point_and_is_told(self):
        self.plant(level={"scale": 0.1, "min": 0, "max": 50}, mode={"read": "text \"off season\""},
                   pump={"read": "constant no"}, fixed={"write": "no"})
        self.start()
        code, result = self.write("plant/level", "21.5")
        self.assertEqual((code, result["status"], result["reason"], result["value"]), (0, "done", None, 21.5))
        self.assertRegex(result["time"], r"^20\d\d-.*Z$")
        self.assertEqual(self.value("plant/level"), 21.5)
        self.assertEqual(len(self.writes()), 1)
        self.assertIn("215", self.writes()[0])
        self.assertIn(result["id"], self.ledger())

        code, out, _ = self.ctl("write", "plant/level", "7")
        self.assertEqual((code, out), (0, "plant/level done, it is 7\n"))
        code, result = self.write("plant/mode", "summer")
        self.assertEqual((code, result["value"]), (0, "summer"))
        for word, value in (("on", True), ("no", False), ("1", True), ("0", False), ("yes", True)):
            code, result = self.write("plant/pump", word)
            self.assertEqual((code, result["value"]), (0, value), result)

        before = self.writes()
        for point, value, status, reason in [("plant/level", "50.5", "refused", "above max"),
                                             ("plant/level", "-5", "refused", "below min"),
                                             ("plant/fixed", "1", "refused", "write = yes"),
                                             ("plant/level", "high", "refused", ""),
                                             ("plant/mode", "5", "refused", "takes a text"),
                                             ("plant/pump", "2", "refused", "yes or no")]:
            code, result = self.write(point, value)
            self.assertEqual((code, result["status"]), (1, status), result)
            self.assertIn(reason, result["reason"])
        code, out, _ = self.ctl("write", "plant/level", "51")
        self.assertEqual(code, 1)
        self.assertRegex(out, "^plant/level refused: 51 is above max = 50")
        self.assertEqual(self.writes(), before)
        for point in ("plant/none", "kettle/level"):
            code, _, error = self.ctl("write", point, "1")
            self.assertEqual(code, 2, error)
        self.assertEqual(self.ctl("write", "plant", "1")[0], 2)
        self.assertEqual(self.ctl("write", "plant/level")[0], 2)
        counts = self.status()["commands"]
        self.assertEqual((counts["done"], counts["waiting"]), (8, 0))
        self.assertGreaterEqual(counts["refused"], 5)
        self.assertIn("8 done", self.ctl("status")[1])

    def test_a_device_that_does_not_answer_is_told_in_words(self):
        self.plant(level={})
        self.add_bus("c", "sim", away_while=self.path("away"))
        self.add_device("far", "c", {"level": {"read": "constant 5", **OUTPUT}}, every="200ms", backoff="1s")
        self.start()
        with self.file_there("silent"), self.file_there("away"):
            self.wait_health("plant", "dead")
            self.wait_health("far", "dead")
            for device in ("plant", "far"):
                code, result = self.write(device + "/level", "7")
                self.assertEqual((code, result["status"]), (1, "failed"), result)
                self.assertIn("does not answer", result["reason"])
        # Nothing is written later, and what never began is not in the ledger.
        self.wait_health("plant", "ok")
        self.assertEqual(self.value("plant/level"), 5)
        self.assertEqual(self.writes(), [])
        self.assertEqual(self.ledger(), "")
        self.wait("a command that is done", lambda: self.write("plant/level", "7")[0] == 0)

    def test_an_output_falls_to_its_safe_state(self):
        self.plant(valve={"safe": 1, "safe-after": "1s"}, pump={"read": "constant yes", "safe": 0, "safe-after": "1s"},
                   held={"safe": 1, "safe-after": "1h"})
        self.start()
        self.wait("both to fall", lambda: set(self.device("plant")["safe"]) == {"valve", "pump"})
        self.assertEqual((self.value("plant/valve"), self.value("plant/pump"), self.value("plant/held")), (1, False, 5))
        self.assertEqual(len(self.writes()), 2)
        self.assertEqual(self.agent.said().count("falls to its safe state"), 2)
        self.assertIn("valve in its safe state", self.ctl("status")[1])
        # A command sets it again, and the silence begins anew.
        self.assertEqual(self.write("plant/valve", "9")[0], 0)
        self.assertEqual(self.value("plant/valve"), 9)
        with self.file_there("silent"):
            self.wait("a failure", lambda: self.status()["commands"]["unsafe"])
            self.assertIn("cannot be brought to its safe state", self.agent.said())
        self.wait("it to fall again", lambda: self.value("plant/valve") == 1)
        # A reload that changes nothing writes nothing.
        count = len(self.writes())
        self.reload()
        time.sleep(1.5)
        self.assertEqual(len(self.writes()), count)
        self.assertEqual(set(self.device("plant")["safe"]), {"valve", "pump"})

    def test_killed_before_the_result_it_is_unknown_and_never_repeated(self):
        # The device takes long: the agent is killed while it waits for it.
        self.plant(level={})
        self.config["device plant"]["takes"] = "1500ms"
        self.config["device plant"]["every"] = "1h"
        self.start()
        self.wait("the first poll", lambda: self.device("plant")["polls"])
        import threading
        writer = threading.Thread(target=lambda: self.ctl("write", "plant/level", "7"))
        writer.start()
        self.wait("the ledger", lambda: "\tplant\tlevel\t" in self.ledger())
        self.agent.kill()
        writer.join()
        self.assertNotIn(" D\t", self.ledger())
        before = len(self.writes())
        self.agent.start()
        self.wait("its result", lambda: self.status()["commands"]["unknown"] == 1)
        self.assertRegex(self.ledger(), r" D\t\d+\tlocal-\w+\tunknown\ti?\w*\t.*stopped")
        self.assertEqual(len(self.writes()), before)
        self.stop()
        self.agent.start()
        self.assertEqual(self.status()["commands"]["unknown"], 0)

    def test_a_person_looks_round(self):
        self.plant(level={})
        self.add_bus("empty", "sim")
        self.start()
        table = self.ask("probe", "plant")
        self.assertEqual(set(table), {"columns", "rows", "notes"})
        self.assertTrue(all(len(row) == len(table["columns"]) for row in table["rows"]))
        self.assertIn("level", json.dumps(table["rows"]))
        code, out, _ = self.ctl("probe", "plant")
        self.assertEqual(code, 0)
        self.assertGreaterEqual(len(out.splitlines()), 1 + len(table["rows"]))
        self.ask("probe", "empty")
        self.assertEqual(self.ctl("probe", "kettle")[0], 2)
        self.assertEqual(self.ctl("probe")[0], 2)

    def test_without_a_ledger_nothing_is_executed(self):
        self.plant(level={})
        self.start()
        os.mkdir(self.agent.state + "/commands")
        self.stop()
        self.agent.start()
        code, result = self.write("plant/level", "7")
        self.assertEqual((code, result["status"]), (1, "failed"), result)
        self.assertIn("ledger", result["reason"])
        self.assertEqual(self.writes(), [])


if __name__ == "__main__":
    main()
