"""Runs the commands that a page shows and compares what they print with what stands there.

usage: run_page.py PAGE.md BIN_FOLDER PYTHON_FOLDER

Each fenced block is one of
  ```console   `$ COMMAND` lines (`> ` goes on with one), each followed by what it prints, standard error first; all of a page run in
               one shell, in a folder that holds a copy of examples/. A line `...` stands for any lines, `...` in
               a line for any text. A command succeeds unless `$ echo $?` follows it.
  ```pycon     a doctest; all of a page share one session
  ```text      a drawing or a format, no commands
and any block behind `<!-- from FILE -->` is a part of that file, word for word. Commands that a test cannot run
stand behind `<!-- not run: REASON -->`.
"""
import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"^\$ |^(neuronc|neuron-\w+|cmake|apt-get|pip|python3?) ", re.MULTILINE)


class Block:
    def __init__(self, line, language, note, text):
        self.line, self.language, self.note, self.text = line, language, note, text


def blocks_of(page):
    lines, blocks, start, note = page.read_text().splitlines(), [], None, ""
    for number, line in enumerate(lines, 1):
        fence = re.match(r"\s*```(\w*)\s*$", line)
        if fence and start is None:
            start, language = number, fence[1]
        elif fence:
            text = textwrap.dedent("\n".join(lines[start:number - 1])) + "\n"
            blocks.append(Block(start, language, note, text))
            start, note = None, ""
        elif start is None and line.strip():
            found = re.match(r"\s*<!-- (from \S+|not run: .+?) -->$", line)
            note = found[1] if found else ""
    return blocks


def squeezed(text):
    return [" ".join(line.split()) for line in text.strip("\n").splitlines()]


def line_matches(wanted, found):
    return re.fullmatch(".*".join(re.escape(part) for part in wanted.split("...")), found) is not None


def matches(wanted, found):
    """Whether lines fit, `...` standing for any of them."""
    if not wanted:
        return not found
    if wanted[0] == "...":
        return any(matches(wanted[1:], found[i:]) for i in range(len(found) + 1))
    return bool(found) and line_matches(wanted[0], found[0]) and matches(wanted[1:], found[1:])


def commands_in(text):
    """(command, what it prints) of a console block."""
    found = []
    is_open = False
    for line in text.splitlines():
        if is_open or (found and not found[-1][1] and line.startswith("> ")):
            found[-1][0] += "\n" + line.removeprefix("> ")
        elif line.startswith("$ "):
            found.append([line[2:], ""])
        elif found:
            found[-1][1] += line + "\n"
        else:
            raise ValueError("it begins with no command")
        is_open = (is_open or line.startswith("$ ")) and line.endswith("\\")
    return found


class Shell:
    """One bash for all commands of a page."""

    def __init__(self, folder, env):
        self.folder, self.env, self.state = folder, env, folder.parent / "state"
        self.state.write_text("")
        self.code = 0

    def run(self, command):
        output = self.folder.parent / "output"
        errors = self.folder.parent / "errors"
        script = (f"source {self.state}\ncd {self.folder}\n(exit {self.code})\n{command}\ncode=$?\n"
                  f"export -p > {self.state}\nexit $code\n")
        with open(output, "w") as out, open(errors, "w") as err:
            self.code = subprocess.run(["bash", "-c", script], env=self.env, stdout=out, stderr=err).returncode
        return errors.read_text() + output.read_text()


def run_console(block, shell, report):
    commands = commands_in(block.text)
    for index, (command, wanted) in enumerate(commands):
        found = shell.run(command)
        is_expected = index + 1 < len(commands) and commands[index + 1][0] == "echo $?"
        if shell.code != 0 and not is_expected:
            report(block, f"`{command}` exits with {shell.code}:\n{found}")
        if not matches(squeezed(wanted), squeezed(found)):
            report(block, f"`{command}` prints\n{found}and not\n{wanted}")


def run_doctest(block, page, names, report):
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.text, names, page.name, page.name, block.line)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    lines = []
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=lines.append, clear_globs=False)
    names.update(test.globs)
    if lines:
        report(block, "".join(lines))


def run_page(page, folder, env):
    problems = []

    def report(block, text):
        problems.append(f"{page.name}:{block.line}: {text}")

    shell, names = Shell(folder, env), {}
    num_run = 0
    for block in blocks_of(page):
        if block.note.startswith("from "):
            # A page may leave out what stands around an excerpt, and its indentation.
            source = textwrap.dedent((ROOT / block.note[5:]).read_text())
            wanted = squeezed(block.text)
            if "\n".join(wanted) not in "\n".join(squeezed(source)):
                report(block, f"it is no part of {block.note[5:]}")
        elif block.note.startswith("not run: "):
            pass
        elif block.language == "console":
            num_run += 1
            run_console(block, shell, report)
        elif block.language == "pycon":
            num_run += 1
            run_doctest(block, page, names, report)
        elif block.language != "text" or COMMAND.search(block.text):
            report(block, f"a block of {block.language or 'no language'} is neither run nor excused")
    return problems, num_run


def main():
    page, bin_folder, python_folder = Path(sys.argv[1]).resolve(), *map(os.path.abspath, sys.argv[2:])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        folder.mkdir()
        shutil.copytree(ROOT / "examples", folder / "examples")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NEURON", "PYTHON"))}
        env.update(PATH=f"{bin_folder}:/usr/bin:{env['PATH']}", PYTHONPATH=python_folder, LC_ALL="C.UTF-8",
                   PYTHONDONTWRITEBYTECODE="1", HOME=scratch)
        sys.path.insert(0, python_folder)
        os.chdir(folder)
        problems, num_run = run_page(page, folder, env)
        os.chdir("/")
    print("\n".join(problems))
    print(f"{page.name}: {num_run} blocks run, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
