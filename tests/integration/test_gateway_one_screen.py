#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`tidegate status` tells the whole story on one screen: while all is well, without broker, without TPM, without both."""

from gateway_bench import Scenario, main

LINES, COLUMNS = 24, 100


class OneScreen(Scenario):
    def screen(self):
        code, out, error = self.agent.ctl("status")
        self.assertEqual((code, error), (0, ""))
        lines = out.splitlines()
        self.assertLessEqual(len(lines), LINES, out)
        for line in lines:
            self.assertLessEqual(len(line), COLUMNS, out)
            self.assertTrue(line.isprintable(), line)
        heads = [line.split()[0] for line in lines if not line.startswith(" ")]
        self.assertEqual([h for h in heads if h not in ("enrolment", "renewal")],
                         ["gateway", "identity", "TPM", "link", "spool", "buses", "devices"])
        return {head: next(block for block in self.blocks(lines) if block.startswith(head)) for head in heads}

    @staticmethod
    def blocks(lines):
        """Each head with the lines that belong to it, as one line."""
        found = []
        for line in lines:
            if line.startswith(" "):
                found[-1] += " " + line.strip()
            else:
                found.append(line)
        return found

    def test_the_whole_story(self):
        self.cloud.ask("hook", verdict="refuse")
        self.agent.start()
        self.wait("a refusal", lambda: self.agent.status()["enrolment"]["error"])
        screen = self.screen()
        self.assertRegex(screen["identity"], "none")
        self.assertRegex(screen["enrolment"], "step registered refused: .*pre-provisioning hook")
        self.assertRegex(screen["link"], "waits for enrolment|no identity")
        self.cloud.ask("hook", verdict="allow")
        self.wait("the end of the attempt", lambda: self.agent.status()["enrolment"]["state"] == "waiting")
        self.assertEqual(self.agent.ctl("enroll")[0], 0)
        self.wait_online()
        self.wait_packs(3)

        screen = self.screen()
        self.assertRegex(screen["gateway"], r"gateway +[0-9a-f]{16}, .*up \d+ s.*clock")
        self.assertRegex(screen["identity"], r"current, CN=AWS IoT Certificate, generation 1.*until 2049-12-31")
        self.assertRegex(screen["TPM"], "ok, .*key usable")
        self.assertRegex(screen["link"], r"online, localhost:\d+")
        self.assertRegex(screen["devices"], "1 of 1 ok.*boiler .*ok")
        self.assertNotIn("enrolment", screen)

        self.broker.kill()
        self.wait_offline()
        self.wait("rows on the disk", lambda: self.agent.status()["spool"]["disk_packs"] > 5)
        screen = self.screen()
        self.assertRegex(screen["link"], r"(offline|connecting), localhost:\d+ .*localhost:\d+: .*(refused|closed|ended)")
        self.assertRegex(screen["spool"], r"[1-9]\d* on disk \([0-9.]+ KB\), oldest of 20")

        self.tpm.kill()
        self.wait("a missing TPM", lambda: self.agent.status()["tpm"]["state"] == "away", 40)
        self.modbus.end()
        self.wait("a dead device", lambda: self.agent.device()["health"] == "dead")
        screen = self.screen()
        self.assertRegex(screen["TPM"], r"away.*check \[tpm\] tcti")
        self.assertRegex(screen["devices"], "0 of 1 ok.*boiler .*dead")

        self.broker.start()
        self.wait("a link that blames the TPM", lambda: "TPM" in (self.agent.status()["link"]["error"] or ""), 45)
        self.assertRegex(self.screen()["link"], "TPM")


if __name__ == "__main__":
    main()
