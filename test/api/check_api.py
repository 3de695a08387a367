#!/usr/bin/env python3
"""Checks that a library's interface is the one that its headers and the committed list say.

usage: check_api.py LIST LIBRARY COMPILER HEADER... [--update] [-- FLAGS]

Every function that a header declares can be linked; the library exports these and nothing else; the
names, and the sizes and offsets of public structures, are those of LIST. A change of LIST is a change of
the interface: a structure only grows at its end, and a removed or changed line needs a new minor version.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What a structure's lines in the list are made of. Only structures that cross the C interface or say
# their own size may be read by other versions.
STRUCTS = {
    "nrt.h": ["nrt_tensor_info_t", "nrt_tensor_info_array_t", "nrt_version_t", "nrt_model_info_t",
              "nrt_memory_stats_t", "nrt_neff_compat_t"],
    "neuronc.h": ["neuronc_message", "neuronc_progress", "neuronc_external_data", "neuronc_job",
                  "neuronc_tensor"],
    "compiler.h": ["CompileOptions"],
}


LINKERS_OWN = {"__bss_start", "_edata", "_end"}


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def functions(text):
    """The names behind NRT_API or NEURONC_API; members as Class::name."""
    names = []
    for match in re.finditer(r"\b(?:NRT|NEURONC)_API\s+[^;{]*?(\w+)\s*\([^;{]*;", without_comments(text)):
        if "__attribute__" not in match.group(0):
            names.append(match.group(1))
    return names


def fields(text, struct):
    body = re.search(r"struct %s\s*\{(.*?)\n\};" % struct, text, re.S) or re.search(
        r"struct \w+\s*\{([^}]*)\}\s*%s;" % struct, text, re.S) or re.search(
        r"struct %s\s*\{([^}]*)\}" % struct, text, re.S)
    names = []
    for line in without_comments(body.group(1)).split(";"):
        line = line.split("=")[0].strip()
        match = re.search(r"(\w+)(\[[^\]]*\])?$", line)
        if match and " " in line:
            names.append(match.group(1))
    return names


def program(headers):
    lines = ["#include <cstddef>", "#include <cstdio>"]
    lines += [f'#include "{header}"' for header in headers]
    lines += ["#pragma GCC diagnostic ignored \"-Winvalid-offsetof\"",
              "using namespace std;", "int main() {", "  const volatile void* p = nullptr;"]
    for header in headers:
        text = Path(header).read_text()
        scope = "neuronc::" if Path(header).name == "compiler.h" else ""
        for name in functions(text):
            if name == "messages_text":
                lines.append("  p = (void*)(size_t)neuronc::CompileResult().messages_text().size();")
            else:
                lines.append(f"  p = reinterpret_cast<const void*>(&{scope}{name});")
        for struct in STRUCTS.get(Path(header).name, []):
            lines.append(f'  printf("struct {struct} %zu\\n", sizeof({scope}{struct}));')
            for field in fields(text, struct):
                lines.append(f'  printf("struct {struct}.{field} %zu\\n", '
                             f"offsetof({scope}{struct}, {field}));")
    return "\n".join(lines + ["  return p == nullptr;", "}"]) + "\n"


def exported(library):
    listed = subprocess.run(["nm", "-DC", "--defined-only", library], capture_output=True, text=True,
                            check=True).stdout
    names = set()
    for line in listed.splitlines():
        kind, name = line.split(maxsplit=2)[1:] if line[0] != " " else line.split(maxsplit=1)
        # V, u and weak ones are what the standard library shares between libraries.
        if kind in "TDB" and not name.startswith("std::") and name not in LINKERS_OWN:
            names.add(re.sub(r"\[abi:cxx11\]", "", name))
    return sorted(names)


def interface(library, compiler, headers, flags):
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "api.cpp", Path(folder) / "api"
        source.write_text(program(headers))
        folder_of_library = Path(library).parent
        subprocess.run([compiler, "-std=c++20", "-o", binary, source, library, *flags,
                        f"-Wl,-rpath,{folder_of_library}"], check=True)
        layout = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
    return "".join(f"export {name}\n" for name in exported(library)) + layout


def main():
    args = sys.argv[1:]
    flags = args[args.index("--") + 1:] if "--" in args else []
    args = args[:args.index("--")] if "--" in args else args
    update = "--update" in args
    listed, library, compiler, *headers = [a for a in args if a != "--update"]
    made = interface(library, compiler, headers, flags)
    # What an options structure of another version carries over is listed by hand.
    for header in headers:
        if Path(header).name != "compiler.h":
            continue
        taken = (Path(header).parents[2] / "public_api.cpp").read_text()
        missing = [f for f in fields(Path(header).read_text(), "CompileOptions")
                   if f != "size_bytes" and f"&O::{f})" not in taken]
        if missing:
            print(f"current_options does not take over {missing}")
            return 1
    if update:
        Path(listed).write_text(made)
        return 0
    known = Path(listed).read_text()
    if made == known:
        return 0
    print(f"the interface of {Path(library).name} is not the one in {listed}:")
    for line in sorted(set(known.splitlines()) - set(made.splitlines())):
        print("- " + line)
    for line in sorted(set(made.splitlines()) - set(known.splitlines())):
        print("+ " + line)
    print("if that is meant: " + " ".join(["check_api.py", "--update", listed, "..."]))
    return 1


sys.exit(main())
