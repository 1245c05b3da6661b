#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From nothing to readings with any EST server and Debian's tpm2-openssl, and on to the next key while they flow."""

import unittest

from est_gateway_bench import EstScenario
from gateway_bench import main
from tpm_bench import packaged_version


@unittest.skipIf(packaged_version() < (1, 3, 0), "tpm2-openssl is missing or older than 1.3.0")
class Packaged(EstScenario):
    SERVER = {"life": 20, "backdate": 0}
    ROTATION = {"renew-at": "50%"}

    def first_config(self):
        config = super().first_config()
        config["tpm"]["openssl-provider"] = "tpm2"
        return config

    def test_enrols_and_renews_with_the_key_that_readings_go_out_by(self):
        self.start_agent()
        self.wait_generation(1)
        self.est.set(life=86400)
        self.wait_packs(len(self.subscriber.numbers()) + 5)
        self.wait_generation(2, 40)
        self.wait_settled()
        self.wait_packs(len(self.subscriber.numbers()) + 5)
        self.assert_promise(self.wait_drained())
        [asked] = self.est.enrolments("simplereenroll")
        self.assertIn(self.agent.status()["id"], str(asked["certificate"]))
        keys = [issued["key_sha256"] for issued in self.est.issued()]
        self.assertEqual(len(set(keys)), 2)


if __name__ == "__main__":
    main()
