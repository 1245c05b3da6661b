# SPDX-License-Identifier: Apache-2.0
"""What a document tells its reader to do: its fenced blocks, in their order, and a judge of what they print.

The documents that are run (test_documents.py) know these blocks, and no others:

    ```sh           a script for root's shell; it ends at the first command that fails
    ```sh host      the same on the machine that packages are built on
    ```console      a session: commands behind "# " (root) or "$ " (an operator), and below each what it prints
    ```ini, conf... a file; its first line names it: "# /etc/... " for the whole of it, "# at the end of /boot/..." to append

In what is printed, an ellipsis stands for anything within a line, and alone on a line for any lines, also none. How many
blanks there are makes no difference. A command with nothing below may print what it likes.
"""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
HEADING = re.compile(r"^(?P<level>#+) +(?P<title>.+?) *$")
FILE = re.compile(r"^(#|//) (?P<append>at the end of )?(?P<path>/[^\s:]+)(:.*)?$")
PROMPTS = {"# ": "root", "$ ": "operator"}
BLOCKS_MAX = 200        # of one document; more are a mistake of the parser


class Unclear(ValueError):
    """A block that nobody could run: says where, and why."""


@dataclass
class Block:
    """A fenced block, and where it is."""

    document: str
    line: int               # of its opening fence, from 1
    section: list           # the headings above it, outermost first
    info: list              # the words behind the fence
    text: str = ""

    def where(self):
        return f"{self.document}:{self.line} ({self.section[-1] if self.section else 'no section'})"


@dataclass
class Command:
    """Something for a shell of @user on @place ("guest" or "host"), and what it prints, or None."""

    text: str
    user: str = "root"
    place: str = "guest"
    expected: str = None
    block: Block = field(default=None, repr=False)


@dataclass
class File:
    """A file to write, or a text to append to one that is there."""

    path: str
    text: str
    append: bool = False
    block: Block = field(default=None, repr=False)


def blocks(text, document="document"):
    """Every fenced block, whatever its language. Fences within lists are indented; what is in them is, too."""
    found, section, open_block, indent = [], [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if open_block is not None:
            if fence and not fence["info"].strip():
                found.append(open_block)
                open_block = None
            else:
                open_block.text += line.removeprefix(indent) + "\n"
        elif fence:
            indent = fence["indent"]
            open_block = Block(document, number, list(section), fence["info"].split())
        elif HEADING.match(line):
            heading = HEADING.match(line)
            del section[len(heading["level"]) - 1:]
            section.append(heading["title"])
    if open_block is not None:
        raise Unclear(f"{open_block.where()}: the fence is never closed")
    if len(found) > BLOCKS_MAX:
        raise Unclear(f"{document}: {len(found)} blocks")
    return found


def of_section(found, title):
    """The blocks below the heading @title, and below those under it."""
    return [block for block in found if title in block.section]


def session(block):
    """The commands of a session, each with what it prints."""
    commands = []
    for line in block.text.splitlines():
        if line[:2] in PROMPTS:
            commands.append(Command(line[2:], PROMPTS[line[:2]], block=block))
        elif not commands:
            raise Unclear(f"{block.where()}: begins with no prompt: {line}")
        elif commands[-1].expected is None and commands[-1].text.endswith("\\"):
            commands[-1].text += "\n" + line
        else:
            commands[-1].expected = (commands[-1].expected or "") + line + "\n"
    if not commands:
        raise Unclear(f"{block.where()}: is empty")
    return commands


def file_of(block):
    first, _, rest = block.text.partition("\n")
    named = FILE.match(first)
    if not named:
        raise Unclear(f"{block.where()}: its first line names no file: {first}")
    # The line that names what is appended is for the reader; that of a whole file is a comment of it.
    return File(named["path"], rest if named["append"] else block.text, bool(named["append"]), block)


def steps(block):
    """What is to be done for a block: a list of Command and File."""
    language, where = (block.info + ["", ""])[:2]
    if where not in ("", "host") or len(block.info) > 2:
        raise Unclear(f"{block.where()}: what is '{' '.join(block.info)}'?")
    if language == "sh":
        return [Command(block.text, place=where or "guest", block=block)]
    if where:
        raise Unclear(f"{block.where()}: only scripts are for the host")
    if language == "console":
        return session(block)
    if language in ("ini", "conf"):
        return [file_of(block)]
    raise Unclear(f"{block.where()}: a block of '{language}' is none that can be run")


def pattern_of(expected):
    """A regular expression for what a document shows of an output."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
            continue
        parts = [r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in line.strip().split("…")]
        # re.split leaves empty words where a part begins or ends with a blank: these may be many blanks, but not none.
        pattern += r"[ \t]*" + "[^\n]*".join(p.replace(r"\s+", r"[ \t]+") for p in parts) + r"[ \t]*\n"
    return re.compile(pattern)


def matches(expected, printed):
    """Is @printed what the document shows? Empty lines at its beginning and end do not count."""
    return bool(pattern_of(expected).fullmatch(printed.strip("\n") + "\n"))
