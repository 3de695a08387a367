"""The test of the documents fails where it must: what a page shows and a command does not print, a failing command,
a block that nobody runs, an excerpt that is none.

usage: test_run_page.py
"""
import os
import tempfile
import unittest
from pathlib import Path

import run_page


class Pages(unittest.TestCase):
    def problems(self, text):
        with tempfile.TemporaryDirectory() as scratch:
            page, folder = Path(scratch) / "page.md", Path(scratch) / "folder"
            page.write_text(text)
            folder.mkdir()
            return run_page.run_page(page, folder, dict(os.environ))[0]

    def test_what_holds(self):
        self.assertEqual(self.problems("```console\n$ echo a; echo b >&2\nb\na\n$ false\n$ echo $?\n1\n$ x=1\n$ export y=2\n"
                                       "$ echo $y\n2\n```\n"), [])
        self.assertEqual(self.problems("```console\n$ seq 9\n1\n...\n9\n$ echo time 12 ms\ntime ... ms\n```\n"), [])
        self.assertEqual(self.problems("```console\n$ cat <<END\n> in\n> END\nin\n$ echo a \\\n    b\na b\n```\n"), [])
        self.assertEqual(self.problems("```pycon\n>>> x = 1\n```\n```pycon\n>>> x\n1\n```\n"), [])
        self.assertEqual(self.problems("<!-- not run: a reason -->\n```sh\nreboot\n```\n```text\na -> b\n```\n"), [])
        self.assertEqual(self.problems("<!-- from CMakePresets.json -->\n```json\n\"version\":\n```\n"), [])

    def test_what_does_not(self):
        for text, said in (("```console\n$ echo a\nb\n```", "prints\na\n"), ("```console\n$ echo a\n```", "prints"),
                           ("```console\n$ true\na\n```", "prints"), ("```console\n$ false\n```", "exits with 1"),
                           ("```console\n$ seq 9\n...\n8\n```", "prints"), ("```pycon\n>>> 1 + 1\n3\n```", "Got:\n    2"),
                           ("```\nls\n```", "neither run"), ("```text\n$ ls\n```", "neither run"),
                           ("```sh\nls\n```", "neither run"),
                           ("<!-- from CMakePresets.json -->\n```json\nno such words\n```", "no part of")):
            found = self.problems(text + "\n")
            self.assertEqual(len(found), 1, text)
            self.assertIn(said, found[0])


if __name__ == "__main__":
    unittest.main()
