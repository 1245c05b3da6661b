#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bounds in doc/limits.md are those of the source, and no mailbox between threads is missing there."""

import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<bound>\d+) \| `(?P<name>\w+)` (?P<file>\S+) \| (?P<then>[^|]+) \|$")
MAILBOX = re.compile(r"tg_mailbox_new\((\w+),")
DEFINE = r"^#define[ \t]+{}[ \t]+(?:\\\n[ \t]*)?([^/\n]+)"
INCLUDED = ("include", "lib", "agent")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def sources():
    for top in INCLUDED:
        for folder, _, names in os.walk(os.path.join(TOP, top)):
            yield from (os.path.relpath(os.path.join(folder, n), TOP) for n in names if n.endswith((".c", ".h")))


def all_defines():
    """Names that are numbers, or sums and products of such."""
    found = {}
    for path in sources():
        for name, text in re.findall(r"^#define[ \t]+(\w+)[ \t]+(?:\\\n[ \t]*)?([^/\n]+)", read(path), re.MULTILINE):
            found.setdefault(name, text)
    return found


def value(text, defines, depth=0):
    """Of an expression with +, *, << and parentheses; anything else is no bound."""
    text = re.sub(r"\b(\d+)[uUlL]+\b", r"\1", text.strip())
    text = re.sub(r"\b[A-Z]\w+\b", lambda m: str(value(defines[m[0]], defines, depth + 1)), text)
    if depth > 8 or not re.fullmatch(r"[\d+*<() ]+", text):
        raise ValueError(text)
    return eval(text, {"__builtins__": {}})  # pylint: disable=eval-used


def main():
    defines, wrong, rows = all_defines(), [], []
    for number, line in enumerate(read("doc/limits.md").splitlines(), 1):
        row = ROW.match(line)
        if not row:
            if line.startswith("| ") and not line.startswith("| what |"):
                wrong.append(f"doc/limits.md:{number}: not a row: {line}")
            continue
        rows.append(row)
        text = row["name"]
        if not text.isdigit():
            own = re.search(DEFINE.format(text), read(row["file"]), re.MULTILINE)
            if not own:
                wrong.append(f"doc/limits.md:{number}: no {text} in {row['file']}")
                continue
            text = own[1]
        elif f"tg_mailbox_new({text}," not in read(row["file"]):
            wrong.append(f"doc/limits.md:{number}: no mailbox of {text} in {row['file']}")
        try:
            if value(text, defines) != int(row["bound"]):
                wrong.append(f"doc/limits.md:{number}: {row['bound']}, but {row['name']} is {value(text, defines)}")
        except (ValueError, KeyError) as error:
            wrong.append(f"doc/limits.md:{number}: {row['name']} is not understood: {error}")
    told = {(r["name"], r["file"] if r["name"].isdigit() else None) for r in rows}
    boxes = 0
    for path in sources():
        for name in MAILBOX.findall(read(path)) if path != "lib/base/mailbox.c" and path.endswith(".c") else ():
            boxes += 1
            if (name, path if name.isdigit() else None) not in told:
                wrong.append(f"{path}: a mailbox of {name} that doc/limits.md does not have")
    if len(rows) < 20 or boxes < 8:
        wrong.append(f"only {len(rows)} rows and {boxes} mailboxes found")
    print("\n".join(wrong) or f"{len(rows)} bounds are as in the source, {boxes} mailboxes are among them")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
