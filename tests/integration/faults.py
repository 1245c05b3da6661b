# SPDX-License-Identifier: Apache-2.0
"""What tests tell about the faults that they have injected, for the table in doc/reliability.md."""

import re

FAULT = re.compile(r"F[0-9]{2}")
LENGTH_MAX = 160


def told(fault, result):
    """One line on standard output: this fault was injected, and what was seen. Call it when the assertions have held."""
    assert FAULT.fullmatch(fault) and 0 < len(result) <= LENGTH_MAX and result.isprintable(), (fault, result)
    print(f"FAULT {fault}: {result}", flush=True)
