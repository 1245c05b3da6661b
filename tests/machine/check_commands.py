#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of commands.py, with documents that hold what a reader would trip over."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import Command, Unclear, blocks, matches, of_section, session, steps  # noqa: E402

DOCUMENT = """# Title

Prose with `ticks`, and ``` within a line.

## First

```sh
one
two
```

* a list with a block

  ```console
  # id -u
  0
  $ id -un
  operator
  ```

### Within the first

```ini
# /etc/x.conf
[a]
b = c
```

## Second

```sh host
three
```
"""


def only(text):
    found = blocks(text)
    assert len(found) == 1, found
    return found[0]


class Blocks(unittest.TestCase):
    def test_each_fence_is_found_with_its_line_and_its_headings(self):
        self.assertEqual([(b.line, b.section, b.info) for b in blocks(DOCUMENT)], [
            (7, ["Title", "First"], ["sh"]),
            (14, ["Title", "First"], ["console"]),
            (23, ["Title", "First", "Within the first"], ["ini"]),
            (31, ["Title", "Second"], ["sh", "host"])])

    def test_a_section_has_the_blocks_of_what_is_under_it(self):
        self.assertEqual([b.line for b in of_section(blocks(DOCUMENT), "First")], [7, 14, 23])
        self.assertEqual([b.line for b in of_section(blocks(DOCUMENT), "Second")], [31])
        self.assertEqual(of_section(blocks(DOCUMENT), "Third"), [])

    def test_a_block_in_a_list_loses_its_indent(self):
        self.assertEqual(blocks(DOCUMENT)[1].text, "# id -u\n0\n$ id -un\noperator\n")

    def test_a_heading_within_a_block_is_none(self):
        self.assertEqual(only("# A\n\n```sh\n# comment\n```\n").section, ["A"])

    def test_a_fence_that_is_never_closed_is_told(self):
        with self.assertRaisesRegex(Unclear, "document:3 .*never closed"):
            blocks("# A\n\n```sh\ntrue\n")


class Steps(unittest.TestCase):
    def test_a_script_is_one_step_of_root(self):
        self.assertEqual(steps(blocks(DOCUMENT)[0]), [Command("one\ntwo\n", block=blocks(DOCUMENT)[0])])

    def test_a_script_for_the_host_says_so(self):
        self.assertEqual([s.place for s in steps(blocks(DOCUMENT)[3])], ["host"])

    def test_a_session_has_a_step_for_each_prompt(self):
        self.assertEqual([(s.text, s.user, s.expected) for s in steps(blocks(DOCUMENT)[1])],
                         [("id -u", "root", "0\n"), ("id -un", "operator", "operator\n")])

    def test_a_command_with_nothing_below_may_print_what_it_likes(self):
        self.assertEqual([c.expected for c in session(only("```console\n# one\n# two\nx\n```\n"))], [None, "x\n"])

    def test_a_backslash_goes_on_in_the_next_line(self):
        self.assertEqual([(c.text, c.expected) for c in session(only("```console\n# one \\\n    two\nx\n```\n"))],
                         [("one \\\n    two", "x\n")])

    def test_a_file_is_named_by_its_first_line(self):
        step, = steps(blocks(DOCUMENT)[2])
        self.assertEqual((step.path, step.append, step.text), ("/etc/x.conf", False, "# /etc/x.conf\n[a]\nb = c\n"))

    def test_what_is_appended_comes_without_the_line_that_says_so(self):
        step, = steps(only("```ini\n# at the end of /boot/c.txt\n[all]\n```\n"))
        self.assertEqual((step.path, step.append, step.text), ("/boot/c.txt", True, "[all]\n"))

    def test_a_file_may_say_what_it_is_for(self):
        step, = steps(only("```conf\n// /etc/apt/apt.conf.d/52x: upgrades\nx;\n```\n"))
        self.assertEqual(step.path, "/etc/apt/apt.conf.d/52x")

    def test_what_nobody_could_run_is_told_with_its_place(self):
        for text, why in (("```\ntrue\n```\n", "document:1 .*block of ''"),
                          ("```python\ntrue\n```\n", "block of 'python'"),
                          ("```sh elsewhere\ntrue\n```\n", "what is 'sh elsewhere'"),
                          ("```console host\n# true\n```\n", "only scripts"),
                          ("```console\ntrue\n```\n", "no prompt"),
                          ("```console\n```\n", "is empty"),
                          ("```ini\n[a]\n```\n", "names no file")):
            with self.assertRaisesRegex(Unclear, why):
                steps(only(text))


class Output(unittest.TestCase):
    def assert_matches(self, expected, printed):
        self.assertTrue(matches(expected, printed), f"{expected!r} should match {printed!r}")

    def assert_differs(self, expected, printed):
        self.assertFalse(matches(expected, printed), f"{expected!r} should not match {printed!r}")

    def test_the_same_text_matches_and_another_does_not(self):
        self.assert_matches("a\nb\n", "a\nb\n")
        for printed in ("a\n", "a\nb\nc\n", "b\na\n", "a\nB\n", "", "x a\nb\n"):
            self.assert_differs("a\nb\n", printed)

    def test_an_ellipsis_stands_for_anything_within_its_line(self):
        for printed in ("up 3 s, fine\n", "up , fine\n", "up 3 days, 2 h, fine\n"):
            self.assert_matches("up …, fine\n", printed)
        self.assert_differs("up …, fine\n", "up 3\ns, fine\n")
        self.assert_matches("link online, …\n", "link online, for 3 s\n")
        self.assert_differs("link online, …\n", "link offline, for 3 s\n")

    def test_an_ellipsis_alone_stands_for_any_lines(self):
        for printed in ("a\nb\n", "a\nx\ny\nb\n"):
            self.assert_matches("a\n…\nb\n", printed)
        self.assert_differs("a\n…\nb\n", "a\nx\n")
        self.assert_matches("…\nb\n", "b\n")
        self.assert_matches("a\n…\n", "a\nb\n")

    def test_how_many_blanks_there_are_makes_no_difference(self):
        self.assert_matches("  a b\n", "a    b  \n")
        self.assert_differs("a b\n", "ab\n")
        self.assert_differs("ab\n", "a b\n")

    def test_letters_of_patterns_are_letters(self):
        self.assert_matches("[1.5] (x)*\n", "[1.5] (x)*\n")
        self.assert_differs("1.5\n", "1x5\n")


if __name__ == "__main__":
    unittest.main()
