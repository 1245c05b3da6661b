#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Documents that lead somewhere: links and their anchors, the README's list of documents, blocks that the machine's test of
the documents can run, and messages that the programs really say."""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests/machine"))

import commands     # noqa: E402

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(#(?P<anchor>[^)\s]+))?\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
TROUBLE = re.compile(r"^\| (`[^|]+`) \|")
RUN = {"README.md": "Installation", "doc/raspberry-pi.md": None}    # as test_documents.py follows them
LINKS_MIN = 40      # there are more; fewer are a mistake of this program

failed = []


def complain(text):
    failed.append(text)
    print(f"FAILED: {text}")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def pages():
    """What is committed, or about to be."""
    out = subprocess.run(["find", ".", "-name", "*.md", "-not", "-path", "./build/*"], cwd=TOP, capture_output=True, text=True,
                         check=True).stdout
    return sorted(os.path.normpath(path) for path in out.splitlines())


def anchors(text):
    """Those that a forge makes of headings: lower case, hyphens for blanks, a number behind one that comes again."""
    found = {}
    for line in FENCED.sub("", text).splitlines():
        heading = commands.HEADING.match(line)
        if heading:
            name = re.sub(r"[^\w\- ]", "", heading["title"].lower()).replace(" ", "-")
            found[name] = found.get(name, -1) + 1
    return {f"{name}-{n}" if n else name for name, last in found.items() for n in range(last + 1)}


def links():
    known = {page: anchors(read(page)) for page in pages()}
    count = 0
    for page in known:
        for link in LINK.finditer(CODE.sub("", FENCED.sub("", read(page)))):
            count += 1
            target = os.path.normpath(os.path.join(os.path.dirname(page), link["path"])) if link["path"] else page
            if not os.path.exists(os.path.join(TOP, target)):
                complain(f"{page} links to {link['path']}, which is not there")
            elif link["anchor"] and link["anchor"] not in known.get(target, ()):
                complain(f"{page} links to {target}#{link['anchor']}, which is no heading there")
    if count < LINKS_MIN:
        complain(f"only {count} links were found")


def index():
    readme = read("README.md")
    for name in sorted(os.listdir(os.path.join(TOP, "doc"))):
        if f"](doc/{name})" not in readme:
            complain(f"README.md does not name doc/{name}")


def installed():
    """What a page of the package refers to in doc/ is in the package, too."""
    listed = re.search(r"install\(FILES ((?:\.\./doc/\S+\.md ?)+)", read("packaging/CMakeLists.txt"))
    names = {os.path.basename(path.strip(")")) for path in listed.group(1).split()} if listed else set()
    if len(names) < 5:
        complain("packaging/CMakeLists.txt installs no documents")
    for name in sorted(names):
        for link in LINK.finditer(FENCED.sub("", read(f"doc/{name}"))):
            path = link["path"]
            if path.endswith(".md") and "/" not in path and path not in names:
                complain(f"the package has {name}, which links to {path}, and not that")


def blocks():
    for page, section in RUN.items():
        found = commands.blocks(read(page), page)
        found = commands.of_section(found, section) if section else found
        for block in found:
            try:
                commands.steps(block)
            except commands.Unclear as error:
                complain(str(error))


def words_of_programs():
    """All string literals of the sources, those side by side as one."""
    text = ""
    for top in ("agent", "lib", "provisioning"):
        for folder, _, names in sorted(os.walk(os.path.join(TOP, top))):
            text += "".join(read(os.path.join(folder, name)) for name in sorted(names) if name.endswith(".c"))
    return re.sub(r'"\s*\n\s*"', "", text)


def troubles():
    """The first column of the table of troubles: what `tidegate status` says, with an ellipsis for what varies."""
    said, count = words_of_programs(), 0
    table = read("doc/raspberry-pi.md").partition("## When something is wrong")[2]
    for line in table.splitlines():
        row = TROUBLE.match(line)
        for message in re.findall(r"`([^`]+)`", row.group(1)) if row else ():
            count += 1
            # "TPM away" is put together of a word of the line and the name of a state.
            for part in re.split(r"…|^TPM ", message):
                if part.strip() and part.strip() not in said:
                    complain(f"no program says '{part.strip()}' (doc/raspberry-pi.md)")
    if count < 10:
        complain(f"only {count} messages were found in doc/raspberry-pi.md")


for check in (links, index, installed, blocks, troubles):
    check()
if not failed:
    print("links lead somewhere, commands can be run, and messages are what the programs say")
sys.exit(1 if failed else 0)
