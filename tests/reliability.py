#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of faults, doc/reliability.md, out of tests/faults.ini and of what the tests have told.

    reliability.py --check            the table is whole, and the document says what it says
    reliability.py --write [LOGS]     makes the document anew; LOGS: a directory that tests/run.sh filled (build/logs)

A test tells with a line "FAULT F08: what was seen" on its standard output (tests/integration/faults.py) that it has
injected a fault and that what it asserts has held. Results that LOGS does not have are kept from the document as it
is, with their date: not every machine can run every ring.
"""

import argparse
import configparser
import datetime
import glob
import os
import re
import sys
import xml.etree.ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(TOP, "tests/faults.ini")
DOCUMENT = os.path.join(TOP, "doc/reliability.md")
PREFACE = os.path.join(TOP, "tests/reliability.md.in")
MARK = "<!-- table -->\n"
FAULTS = [f"F{n:02}" for n in range(1, 46)]
TOLD = re.compile(r"\bFAULT (F[0-9]{2}): (.+)$", re.MULTILINE)       # behind what unittest has begun to say
RESULT = re.compile(r"`([^`]+)`, (\d{4}-\d\d-\d\d): (.*)")
NONE = "not run yet"


class Row:
    """One fault: @tests are files below tests/, or there is a reason in @absent why there are none."""

    def __init__(self, section):
        self.fault, self.does = section["fault"], section["does"]
        self.inject = section.get("inject", "")
        self.tests = section.get("tests", "").split()
        self.absent = section.get("absent", "")


def load_table():
    parser = configparser.ConfigParser(interpolation=None)
    with open(TABLE, encoding="utf-8") as file:
        parser.read_file(file)
    return {name: Row(parser[name]) for name in parser.sections()}


def problems_of(table):
    """What is wrong with the table itself."""
    found = []
    if list(table) != FAULTS:
        found.append(f"the sections are not {FAULTS[0]} to {FAULTS[-1]}, each once, in order")
    for name, row in table.items():
        if not row.tests and not row.absent:
            found.append(f"{name}: neither tests nor a reason why there are none")
        if row.tests and not row.inject:
            found.append(f"{name}: does not say how it is injected")
        for test in row.tests:
            path = os.path.join(TOP, "tests", test)
            if not os.path.isfile(path):
                found.append(f"{name}: there is no tests/{test}")
            elif name not in open(path, encoding="utf-8").read():
                found.append(f"{name}: tests/{test} never tells of it")
    return found


# --- what the tests have told ---------------------------------------------------------------------------------------------


def date_of(path):
    return datetime.date.fromtimestamp(os.path.getmtime(path)).isoformat()


def told_by_ctest(path):
    """(test, text of its output) of those that passed; ctest writes one file a run."""
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.get("status") == "run" and case.find("failure") is None:
            yield case.get("name"), case.findtext("system-out") or ""


def told_by_step(path):
    """The same for a step of tests/run.sh that is no run of ctest."""
    with open(path, encoding="utf-8", errors="replace") as file:
        yield os.path.basename(path)[:-len(".log")].strip("-"), file.read()


def results_of_logs(logs):
    """{fault: {test: (date, text)}}"""
    found, texts = {}, {}
    by_ctest = sorted(glob.glob(os.path.join(logs, "*.xml")))
    steps = [p for p in sorted(glob.glob(os.path.join(logs, "*.log"))) if p[:-len(".log")] + ".xml" not in by_ctest]
    for paths, read in ((by_ctest, told_by_ctest), (steps, told_by_step)):
        for path in paths:
            for test, output in read(path):
                for fault, text in TOLD.findall(output):
                    texts.setdefault((fault, test, date_of(path)), []).append(text.strip())
    for (fault, test, date), some in texts.items():
        found.setdefault(fault, {})[test] = (date, "; ".join(dict.fromkeys(some)))
    return found


def cells_of(line):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def results_of_document(text):
    found = {}
    for line in text.splitlines():
        cells = cells_of(line)
        if len(cells) != 5 or cells[0] not in FAULTS:
            continue
        for part in cells[4].split("<br>"):
            m = RESULT.fullmatch(part.strip())
            if m:
                found.setdefault(cells[0], {})[m[1]] = (m[2], m[3])
    return found


# --- the document ---------------------------------------------------------------------------------------------------------


def row_text(name, row, results):
    how = row.inject
    if row.tests:
        how += " (" + ", ".join(f"`{test}`" for test in row.tests) + ")"
    if row.absent:
        how += ("<br>" if how else "") + f"Not injected: {row.absent}"
    last = "<br>".join(f"`{test}`, {date}: {text}" for test, (date, text) in sorted(results.items()))
    if not last:
        last = NONE if row.tests else "–"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (name, row.fault, row.does, how, last)) + " |\n"


def document(table, results):
    with open(PREFACE, encoding="utf-8") as file:
        before, _, after = file.read().partition(MARK)
    rows = "".join(row_text(name, row, results.get(name, {})) for name, row in table.items())
    return before + "| | fault | what the gateway does | how it is injected | last results |\n|---|---|---|---|---|\n" + rows + after


def read_document():
    try:
        with open(DOCUMENT, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("logs", nargs="?", default=os.path.join(TOP, "build/logs"))
    arguments = parser.parse_args()
    table, now = load_table(), read_document()
    problems, results = problems_of(table), results_of_document(now)
    if arguments.write:
        for fault, tests in results_of_logs(arguments.logs).items():
            results.setdefault(fault, {}).update(tests)
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(document(table, results))
    elif document(table, results) != now:
        problems.append("doc/reliability.md is not what tests/reliability.py --write makes of the table")
    problems += [f"{name}: no test has told of it yet" for name, row in table.items() if row.tests and not results.get(name)]
    for problem in problems:
        print(problem, file=sys.stderr)
    told = sum(1 for name in table if results.get(name))
    print(f"{len(table)} faults, {told} of them with results, {sum(1 for row in table.values() if not row.tests)} not injected")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
