#!/usr/bin/env python3
"""Checks what compilers do not: the layering of folders, file lengths, words that mark unfinished
work, public headers. Prints one line per problem, FILE:LINE: TEXT.

  lint.py                all but the formatting
  lint.py --format       the formatting alone
  lint.py --fix-format   formats every source
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Which folders each folder may include (docs/architecture.md); itself always. Longer paths win.
LAYERS = {
    "ir": ["ir"],
    "passes": ["ir", "passes"],
    "backend": ["ir", "backend", "runtime/neff_format.h"],
    "backend/llvm": ["ir", "backend"],
    "compiler": ["ir", "passes", "backend", "runtime", "compiler"],
    "compiler/onnx": ["ir", "compiler/onnx"],
    "runtime": ["ir", "runtime"],
    "test": ["ir", "passes", "backend", "runtime", "compiler", "test"],
    "examples": ["compiler/include", "runtime/include", "neuronc", "nrt"],
}
# Folders of the only code that may see a library, by a pattern of its headers.
PRIVATE_LIBRARIES = {
    r"(llvm|llvm-c|lld)/": ["backend/llvm"],
    r"(onnx|google/protobuf)/": ["compiler/onnx", "test"],
}
# Headers that may include a private library because nobody outside their folder includes them.
PRIVATE_HEADERS = ["backend/llvm", "compiler/onnx"]

MAX_LINES = 800
# Longer files, each with the reason.
LONG_FILES = {}

FORBIDDEN_WORDS = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b|\bplaceholder\b|\bfor now\b|\bnot implemented yet\b", re.IGNORECASE)

SOURCE_ENDINGS = {".h", ".cpp", ".c"}
TEXT_ENDINGS = SOURCE_ENDINGS | {".def", ".py", ".txt", ".cmake", ".md", ".sh", ".nir", ".test"}


def files():
    """Every tracked or new file that is not ignored."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True)
    if listed.returncode == 0:
        return sorted(path for path in map(Path, listed.stdout.split("\n"))
                      if (ROOT / path).is_file())
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*")
                  if path.is_file() and "build" not in path.parts)


def longest_match(path, table):
    """The value of the deepest folder of `table` that holds `path`."""
    folders = [folder for folder in table if str(path).startswith(folder + "/")]
    return table[max(folders, key=len)] if folders else None


def is_under(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def check_includes(path, lines, report):
    allowed = longest_match(path, LAYERS)
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        bracket, header = match.groups()
        if bracket == '"' and allowed is not None and not is_under(header, allowed):
            if (ROOT / header).exists():
                report(path, number, f"{path.parts[0]}/ may not include {header}")
            elif not (ROOT / path.parent / header).exists() and header.endswith((".h", ".def")):
                if not is_generated(header):
                    report(path, number, f"{header} is not found from the root")
        for pattern, folders in PRIVATE_LIBRARIES.items():
            if bracket == "<" and re.match(pattern, header) and not is_under(str(path), folders):
                report(path, number, f"only {', '.join(folders)} may see <{header}>")
        if path.suffix == ".h" and bracket == "<" and not is_under(str(path), PRIVATE_HEADERS):
            if any(re.match(pattern, header) for pattern in PRIVATE_LIBRARIES):
                report(path, number, f"a header may not show <{header}>")


def is_generated(header):
    return (ROOT / (header + ".in")).exists() or header.endswith(".pb.h")


def check_text(path, lines, report):
    limit = LONG_FILES.get(str(path), (MAX_LINES,))[0]
    if path.suffix in SOURCE_ENDINGS and len(lines) > limit:
        report(path, len(lines), f"{len(lines)} lines, the limit is {limit}")
    if path == Path("test/lint/lint.py"):
        return
    for number, line in enumerate(lines, 1):
        match = FORBIDDEN_WORDS.search(line)
        if match and path.suffix != ".md":
            report(path, number, f"the word `{match.group()}`")
        if line.rstrip("\n") != line.rstrip("\n").rstrip() and path.suffix in SOURCE_ENDINGS:
            report(path, number, "blanks at the end of the line")


def check_headers(path, lines, report):
    if path.suffix in SOURCE_ENDINGS and not (lines and lines[0].startswith(("//", "/*"))):
        report(path, 1, "the file does not open with a comment that says what it is")
    if path.suffix == ".h" and not any("#pragma once" in line or "#ifndef" in line
                                       for line in lines[:60]):
        report(path, 1, "the header has no guard")


def check_text_tests(path, lines, report):
    if path.parts[:2] == ("test", "lit") and path.suffix in {".nir", ".nki", ".test"}:
        if "Inputs" not in path.parts and not (lines and re.match(r"(//|#) [A-Z]", lines[0])):
            report(path, 1, "the test does not open with the sentence that it protects")


# Diagnostics that no test can bring about, each with the reason.
UNTESTED_DIAGNOSTICS = {
    "NEU0005": "memory that runs out",
    "NEU0701": "an internal error: placement asks the same table",
    "NEU0702": "an internal error: LLVM refuses a kernel that verified",
    "NEU0703": "an internal error: the planner makes a plan that does not verify",
}


def check_diagnostics(report):
    """Every code of diagnostics.def is named by some test."""
    table = Path("ir/base/diagnostics.def")
    tested = "".join((ROOT / path).read_text(errors="replace") for path in files()
                     if path.parts[0] == "test" and path.suffix in TEXT_ENDINGS
                     and path != Path("test/lint/lint.py"))
    for number, line in enumerate((ROOT / table).read_text().splitlines(), 1):
        match = re.match(r"DIAGNOSTIC\((NEU\d+), (\w+)", line)
        if not match or match.group(1) in UNTESTED_DIAGNOSTICS:
            continue
        code, name = match.groups()
        if code not in tested and not re.search(rf"diag::{name}\b", tested):
            report(table, number, f"no test names {code} ({name})")


def check_format(sources, report):
    """Formatting, where this machine has the formatter the project is formatted with."""
    tool = shutil.which("clang-format-19") or shutil.which("/usr/lib/llvm-19/bin/clang-format")
    if tool is None:
        print("note: clang-format-19 is not installed; formatting is not checked")
        return
    for start in range(0, len(sources), 50):
        batch = [str(path) for path in sources[start:start + 50]]
        result = subprocess.run([tool, "--dry-run", "--Werror", "--ferror-limit=1"] + batch,
                                cwd=ROOT, text=True, capture_output=True)
        for match in re.finditer(r"^(\S+?):(\d+):\d+: error", result.stderr, re.MULTILINE):
            report(Path(match.group(1)), int(match.group(2)), "not formatted by clang-format-19")


def main():
    problems = []

    def report(path, line, text):
        problems.append(f"{path}:{line}: {text}")

    sources = []
    for path in files():
        if path.suffix not in TEXT_ENDINGS:
            continue
        lines = (ROOT / path).read_text(errors="replace").splitlines(keepends=True)
        check_text(path, lines, report)
        check_text_tests(path, lines, report)
        if path.suffix in SOURCE_ENDINGS:
            sources.append(path)
            check_includes(path, lines, report)
            check_headers(path, lines, report)
    check_diagnostics(report)
    if "--fix-format" in sys.argv:
        subprocess.run(["clang-format-19", "-i"] + [str(path) for path in sources], cwd=ROOT,
                       check=True)
    if "--format" in sys.argv:
        problems.clear()
        check_format(sources, report)
    print("\n".join(sorted(problems)))
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
