# SPDX-License-Identifier: Apache-2.0
"""What a test has left in the journal that no test may leave: failed units, dumped cores, denials, a service without a word.

A judge listens from when it is made. Its patterns are of Debian 12: the kernel's audit records come through journald's audit
socket and, while no daemon takes them, through the kernel's own log.
"""

import re

WRONG = {
    "a denial by AppArmor": re.compile(r'apparmor="DENIED"'),
    "a denial by seccomp": re.compile(r"type=1326 |\bSECCOMP auid="),
    "a dumped core": re.compile(r"dumped core|code=dumped|potentially unexpected fatal signal"),
    "a fault in the kernel": re.compile(r"\bkernel: .*(\bOops\b|\bBUG:|Call trace:|Unable to handle kernel)"),
    "a unit that systemd does not like": re.compile(
        r"\bsystemd\S*\[\d+\]: .*(tidegate\S*:\d+: |tidegate\S*\.rules:\d+|Unknown (key|lvalue|section))"),
}


class Judge:
    def __init__(self, machine):
        self.machine = machine
        self.excuses = []
        self.start_anew()

    def start_anew(self):
        """From here on: what was before is forgotten, as behind a power cut, where the journal may have lost its place."""
        self.cursor = re.search(r"^-- cursor: (\S+)$", self.machine.run("journalctl -q -n 0 --show-cursor"), re.MULTILINE).group(1)

    def excuse(self, pattern):
        self.excuses.append(re.compile(pattern))

    def complaints(self):
        """Texts; none is good."""
        # The audit's records arrive behind those of the service.
        text = self.machine.run(f"journalctl --sync; journalctl -q --no-pager -o short-monotonic --after-cursor='{self.cursor}' "
                                "| cat; echo; systemctl list-units --failed --plain --no-legend --no-pager | cat; "
                                "systemctl show tidegate.service -p ActiveState,StatusText")
        lines = text.splitlines()
        found = [f"{what}: {line}" for line in lines for what, pattern in WRONG.items() if pattern.search(line)]
        found += [f"a failed unit: {line}" for line in lines if re.search(r"^\S+\.\w+ +\S+ +failed ", line)]
        if "ActiveState=active" in lines and "StatusText=" in lines:
            found.append("the service runs and says nothing of its state")
        return [line for line in found if not any(pattern.search(line) for pattern in self.excuses)]
