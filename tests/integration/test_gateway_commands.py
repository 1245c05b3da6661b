#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands from the broker to the registers of a Modbus server, and their results."""

import json
import signal
import subprocess
import sys
import time

from gateway_bench import BUILD, FAKES, Scenario, main, read_text

sys.path.insert(0, FAKES)
from modbus_line import Line  # noqa: E402


class Commands(Scenario):
    EVERY = "500ms"

    def add_devices(self):
        self.line = Line(BUILD + "/tests/fakes/modbus-line", "tcp")
        self.addCleanup(self.line.close)
        self.addCleanup(self.line.process.send_signal, signal.SIGCONT)
        self.line("unit", 1)
        self.add_device("boiler", self.line, {"setpoint": "holding 42 int16", "ramp": "holding 3 int16"}, unit=1)
        self.config["point boiler/setpoint"].update({"scale": "0.1", "write": "yes", "min": "-10", "max": "50"})
        # Refusals are answered, too, as fast as a test wants them.
        self.config["mqtt"]["rate-limit"] = "none"

    def setUp(self):
        super().setUp()
        self.pem = self.broker.authority.issue("sender.pem", "sender")
        self.agent.start()
        self.id = self.wait_online()["id"]
        self.topic = f"tidegate/{self.id}/boiler/set"

    # --- the sender ------------------------------------------------------------------------------------------------------

    def publish(self, *payloads, topic=None, options=("-q", "1")):
        """Each as one message, over one connection."""
        done = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(self.broker.port), "--cafile", self.broker.ca,
                               "--cert", self.pem, "--key", self.pem, "-i", "sender", *options, "-l", "-t",
                               topic or self.topic], input="\n".join(payloads) + "\n", text=True, capture_output=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def command(self, name, value, **more):
        return json.dumps({"id": name, "point": "setpoint", "value": value, **more})

    def results(self, name=None):
        found = [json.loads(payload) for _, topic, payload in self.subscriber.messages() if topic == self.topic + "/result"]
        return [r for r in found if name in (None, r["id"])]

    def result(self, name, count=1):
        return self.wait(f"result {count} of {name}", lambda: len(self.results(name)) >= count and self.results(name))[-1]

    def execute(self, name, value, **more):
        self.publish(self.command(name, value, **more))
        return self.result(name)

    def register(self):
        """As the server has it, in tenths."""
        return self.line.words(1, "holding", 42)[0]

    def begun(self):
        return read_text(self.agent.state + "/commands").count(" B\t")

    def leave_the_bus_to_commands(self):
        """So that a server that is stopped is in the middle of a command, and not of a poll."""
        self.config["device boiler"].update({"timeout": "20s", "every": "1h"})
        self.write_config()
        self.assertEqual(self.agent.ctl("reload")[0], 0)
        self.wait("its poll", lambda: self.agent.device()["health"] == "ok" and (self.agent.device()["next_s"] or 0) > 1000)

    # --- stories -----------------------------------------------------------------------------------------------------------

    def test_a_command_is_carried_out_once_and_answered(self):
        result = self.execute("one", 21.5)
        self.assertEqual((result["status"], result["reason"], result["value"]), ("done", None, 21.5))
        self.assertEqual(result["point"], "setpoint")
        self.assertRegex(result["time"], r"^20\d\d-\d\d-\d\dT.*Z$")
        self.assertEqual(self.register(), 215)

        # Delivered again, with another value even, it is answered and not executed.
        self.assertEqual(self.execute("two", 30)["status"], "done")
        self.publish(self.command("one", 21.5), self.command("one", 7))
        self.assertEqual(self.result("one", 3), result)
        self.assertEqual(self.register(), 300)
        self.assertEqual(self.begun(), 2)
        # Also by the next run.
        self.assertEqual(self.agent.stop(), 0)
        self.agent.start()
        self.wait_online()
        self.publish(self.command("one", 7))
        self.assertEqual(self.result("one", 4), result)
        self.assertEqual((self.register(), self.begun()), (300, 2))

    def test_what_may_not_be_is_refused_with_the_reason(self):
        now = time.time()
        bad = [("hot", self.command("hot", 50.1), "above max"), ("cold", self.command("cold", -10.1), "below min"),
               ("type", self.command("type", "warm"), ""), ("truth", self.command("truth", True), ""),
               ("between", self.command("between", 21.53), ""),
               ("late", self.command("late", 20, expires=now - 5), "expired"),
               ("ms", self.command("ms", 20, expires=int(now * 1000)), "seconds"),
               ("typo", self.command("typo", 20, expire=now + 60), "expire"),
               ("point", json.dumps({"id": "point", "point": "pressure", "value": 1}), "no point"),
               ("fixed", json.dumps({"id": "fixed", "point": "ramp", "value": 1}), "write = yes"),
               (None, "not json", "not JSON"), (None, "[]", "object")]
        self.publish(*(payload for _, payload, _ in bad))
        for name, _, reason in bad:
            results = self.wait(f"the result of {name}", lambda: [r for r in self.results(name) if reason in (r["reason"] or "")])
            self.assertEqual(results[0]["status"], "refused", results)
        # Only what the device's type cannot hold has got as far as the ledger.
        self.assertEqual(self.begun(), 3)
        self.publish(self.command("late", 20, expires=int(now) + 600))
        self.assertEqual(self.result("late", 2)["status"], "done")
        self.publish(self.command("hot", 20))
        self.assertEqual(self.result("hot", 2)["status"], "done")

        # No device of that name, and a retained one: the first has an answer, the other is none.
        self.publish(self.command("lost", 1), topic=f"tidegate/{self.id}/kettle/set")
        self.wait("its answer", lambda: any(t == f"tidegate/{self.id}/kettle/set/result" and "kettle" in p
                                            for _, t, p in self.subscriber.messages()))
        self.assertEqual(self.agent.stop(), 0)
        self.publish(self.command("kept", 33), options=("-q", "1", "-r"))
        self.agent.start()
        self.wait_online()
        self.wait("the retained one", lambda: self.agent.status()["commands"]["ignored"] == 1)
        self.assertEqual(self.execute("after", 22)["status"], "done")
        self.assertEqual(self.results("kept"), [])

    def test_killed_between_ledger_and_answer_it_is_unknown_and_read_back(self):
        self.leave_the_bus_to_commands()
        self.line.process.send_signal(signal.SIGSTOP)
        self.publish(self.command("cut", 12.3))
        self.wait("the ledger", lambda: "\tcut\t" in read_text(self.agent.state + "/commands"))
        time.sleep(0.5)
        self.agent.kill()
        self.line.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.results("cut"), [])
        self.agent.start()
        self.wait_online()
        result = self.result("cut")
        self.assertEqual(result["status"], "unknown", result)
        self.assertIn("stopped", result["reason"])
        # The request was on its way, and the server carried it out when it came to life.
        self.assertEqual(result["value"], 12.3)
        self.assertEqual(self.execute("next", 20)["status"], "done")
        self.publish(self.command("cut", 12.3))
        self.assertEqual(self.result("cut", 2), result)
        self.assertEqual((self.register(), self.begun()), (200, 2))

    def test_a_result_is_kept_until_the_broker_has_it(self):
        self.leave_the_bus_to_commands()
        # Under way while the broker goes.
        self.line.process.send_signal(signal.SIGSTOP)
        self.publish(self.command("slow", 17))
        self.wait("the command", lambda: self.agent.status()["commands"]["waiting"])
        self.broker.stop()
        self.line.process.send_signal(signal.SIGCONT)
        self.wait("its end", lambda: self.agent.status()["commands"]["done"] == 1)
        self.wait("the result to wait", lambda: self.agent.status()["commands"]["results_waiting"] == 1)
        # Not even a restart loses it.
        self.agent.kill()
        self.broker.start()
        self.agent.start()
        self.wait_online()
        result = self.result("slow")
        self.assertEqual((result["status"], result["value"]), ("done", 17))
        self.wait("the ledger to know", lambda: " T\tslow" in read_text(self.agent.state + "/commands"))
        self.agent.stop()
        self.agent.start()
        self.wait_online()
        self.assertEqual(self.execute("again", 18)["status"], "done")
        self.assertEqual(len(self.results("slow")), 1)

    def test_thousands_of_commands_do_no_harm(self):
        polls = self.agent.device()["polls"]
        self.publish(*(self.command(f"flood-{i}", 20 + i % 10) for i in range(2000)), "x" * 5000)
        status = self.wait_online()
        self.wait("the end of it", lambda: (c := self.agent.status()["commands"])["waiting"] == 0
                  and c["results_waiting"] == 0)
        self.assertEqual(self.execute("behind", 25)["status"], "done")
        counts = self.agent.status()["commands"]
        self.assertGreater(counts["done"], 0)
        for result in self.results():
            self.assertIn(result["status"], ("done", "refused", "failed"), result)
        # Each executed one has its result, once.
        self.wait("all results", lambda: self.agent.status()["commands"]["results_waiting"] == 0)
        done = [r["id"] for r in self.results() if r["status"] == "done"]
        self.assertEqual((len(done), len(set(done))), (counts["done"], counts["done"]))
        self.assertEqual(self.begun(), counts["done"])
        # Polls went on meanwhile, over the same session.
        self.wait("polls", lambda: self.agent.device()["polls"] > polls)
        self.assertEqual(self.agent.status()["link"]["connects"], status["link"]["connects"])

    def test_a_server_that_is_silent_or_away_is_answered_for(self):
        for trouble, cure in (("dead 1", "alive 1"), ("unplug", "plug")):
            self.line(*trouble.split())
            self.wait("it to be missed", lambda: self.agent.device()["health"] == "dead")
            name = trouble.replace(" ", "-")
            result = self.execute(name, 20)
            self.assertEqual((result["status"], result["value"]), ("failed", None), result)
            self.assertIn("does not answer", result["reason"])
            self.line(*cure.split())
            self.wait("it to be back", lambda: self.agent.device()["health"] == "ok")
            self.wait("its turn", lambda: self.execute(name, 20)["status"] == "done" or self.publish(self.command(name, 20)))
        # It refuses, and does it all the same.
        self.line("misdeed", 1, "exception", 4)
        self.publish(self.command("refused", 21))
        result = self.result("refused")
        self.assertEqual(result["status"], "unknown", result)
        self.assertIn("exception 4", result["reason"])
        self.line("misdeed", 1, "none")
        self.assertEqual(self.execute("at last", 22)["status"], "done")


if __name__ == "__main__":
    main()
