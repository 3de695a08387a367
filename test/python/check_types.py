"""mypy finds nothing in the package, strictly, and the stub of the extension module says what is there.

usage: check_types.py BUILD/python
"""
import os
import subprocess
import sys
import tempfile

build = sys.argv[1]
with tempfile.TemporaryDirectory() as cache:
    env = {**os.environ, "MYPYPATH": build}
    base = [sys.executable, "-m", "mypy", "--cache-dir", cache]
    checks = [
        base + ["--strict", "--ignore-missing-imports", "-p", "neuronc"],
        [sys.executable, "-m", "mypy.stubtest", "neuronc._neuronc", "--ignore-missing-stub",
         "--allowlist", os.path.join(os.path.dirname(os.path.abspath(__file__)), "stubtest_allowlist.txt")],
    ]
    # What a user writes is checked too: right calls pass, wrong ones do not.
    for name, text, good in (
        ("right", "import neuronc\nwith neuronc.compile('m', num_neuroncores=4).load() as m:\n"
                  "    print(m.run({'x': 1})['y'].shape, m.inputs[0].dtype.upper())\n", True),
        ("wrong", "import neuronc\nneuronc.compile('m', num_neuroncores=[4])\n", False),
        ("misspelt", "import neuronc\nneuronc.compile('m', num_neuroncore=4)\n", False),
    ):
        path = os.path.join(cache, name + ".py")
        with open(path, "w") as file:
            file.write(text)
        found = subprocess.run(base + ["--strict", path], env=env, cwd=cache, capture_output=True, text=True)
        if (found.returncode == 0) != good:
            sys.exit(f"mypy on {name}:\n{found.stdout}{found.stderr}")
    for check in checks:
        found = subprocess.run(check, env=env, cwd=cache, capture_output=True, text=True)
        print(found.stdout, found.stderr, end="")
        if found.returncode != 0:
            sys.exit("failed: " + " ".join(check))
