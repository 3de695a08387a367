"""neuron-top shows the processes that use libnrt, their models, requests and cores; a process that ends or is killed,
and the child of a fork, leave nothing wrong behind, and what cannot be published is no fault of the model's.
    test_top.py BIN_FOLDER LIBNRT WORK_FOLDER
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

BIN, LIBNRT, WORK = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
GLYPHS = pathlib.Path(__file__).parent.parent.parent / "examples/glyphs/glyphs.onnx"
SHARED = WORK / "shared"
ENVIRONMENT = dict(os.environ, NEURON_RT_USAGE=str(SHARED))


def files():
    return sorted(SHARED.iterdir())


def top(*options):
    text = subprocess.run([BIN / "neuron-top", *options], env=ENVIRONMENT, check=True, capture_output=True,
                          text=True).stdout
    return text


def processes():
    return {p["pid"]: p for p in json.loads(top("-j", "-d", "0.2"))["neuron_runtime_data"]}


def wait_for(condition):
    for _ in range(600):
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def start_bench(cores):
    return subprocess.Popen([BIN / "neuron-bench", WORK / "m.neff", "--seconds", "600", "--cores", str(cores),
                             "--inflight", str(cores)], env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def check_running():
    bench = start_bench(2)
    try:
        def has_requests():
            process = processes().get(bench.pid)
            models = process["report"]["memory_used"]["loaded_models"] if process else []
            return process if models and models[0]["completed_per_s"] > 0 else None
        process = wait_for(has_requests)
        assert process["neuron_runtime_tag"] == "neuron-bench", process
        report = process["report"]
        [model] = report["memory_used"]["loaded_models"]
        assert model["name"] == "glyphs" and model["neuroncore_count"] == 2, model
        assert model["completed"] > 0 and model["failed"] == 0 and 0 <= model["in_flight"] <= 2, model
        assert model["mean_latency_ms"] > 0 and model["weight_bytes"] > 0, model
        cores = report["neuroncore_counters"]["neuroncores_in_use"]
        shares = [core["neuroncore_utilization"] for core in cores.values()]
        assert len(shares) == 2 and all(0 <= share <= 100 for share in shares) and max(shares) > 0, cores
        assert report["memory_used"]["neuron_runtime_used_bytes"]["host"] > 0
        text = top("-d", "0.1")
        assert f"{bench.pid} neuron-bench" in text and "glyphs" in text and "NC0" in text, text
        listed = json.loads(subprocess.run([BIN / "neuron-ls", "-j"], env=ENVIRONMENT, check=True, capture_output=True,
                                           text=True).stdout)
        assert any(p["pid"] == bench.pid for p in listed[0]["neuron_processes"]), listed[0]
        # A reader without a terminal leaves when its reader does.
        subprocess.run(f"'{BIN}/neuron-top' -d 0.01 -n 3 | head -n 1", shell=True, env=ENVIRONMENT, check=True,
                       stdout=subprocess.DEVNULL)
    finally:
        bench.send_signal(signal.SIGKILL)
        bench.wait()
    assert len(files()) == 1
    assert processes() == {} and files() == [], "what a killed process left is removed"


def check_unnamed():
    """By default counters are in memory without a name: found while a process lives, and nothing stays of it."""
    environment = {k: v for k, v in os.environ.items() if k != "NEURON_RT_USAGE"}

    def seen():
        text = subprocess.run([BIN / "neuron-top", "-j", "-d", "0.1"], env=environment, check=True,
                              capture_output=True, text=True).stdout
        return {p["pid"]: p for p in json.loads(text)["neuron_runtime_data"]}

    bench = subprocess.Popen([BIN / "neuron-bench", WORK / "m.neff", "--seconds", "600"], env=environment,
                             stdout=subprocess.DEVNULL)
    try:
        def has_model():
            process = seen().get(bench.pid)
            return process and process["report"]["memory_used"]["loaded_models"]
        [model] = wait_for(has_model)
        assert model["name"] == "glyphs", model
    finally:
        bench.send_signal(signal.SIGKILL)
        bench.wait()
    assert bench.pid not in seen()
    for folder in ["/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "/dev/shm")]:
        assert not list(pathlib.Path(folder).glob(f"neuron-rt.*.{bench.pid}.*")), folder


def in_python(code, **environment):
    prelude = f"""
import ctypes, os, sys
lib = ctypes.CDLL({LIBNRT!r})
def load():
    model = ctypes.c_void_p()
    status = lib.nrt_load_file({str(WORK / 'm.neff')!r}.encode(), -1, -1, ctypes.byref(model))
    assert status == 0, status
    return model
assert lib.nrt_init(1, b"", b"") == 0
def files():
    return sorted(os.listdir({str(SHARED)!r}))
"""
    subprocess.run([sys.executable, "-B", "-c", prelude + code], env=dict(ENVIRONMENT, **environment), check=True)


def check_lifetimes():
    in_python("assert files() == []\nload()\nassert len(files()) == 1, files()")
    assert files() == [], "a process that ends without nrt_close leaves no file"
    in_python("load()\nlib.nrt_close()\nassert files() == []\nassert lib.nrt_init(1, b'', b'') == 0\nload()\n"
              "assert len(files()) == 1")
    assert files() == []
    # The child has nothing of its parent's, may publish its own, and takes nothing along when it ends.
    in_python("""
load()
[mine] = files()
child = os.fork()
if child == 0:
    assert files() == [mine]
    load()
    assert len(files()) == 2, files()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert files() == [mine], files()
child = os.fork()
if child == 0:
    os.kill(os.getpid(), 9)
os.waitpid(child, 0)
assert files() == [mine], files()
""")
    assert files() == []
    # More models than there are places.
    in_python("models = [load() for _ in range(70)]\nfor m in models: assert lib.nrt_unload(m) == 0\nload()")


def check_nothing_published():
    in_python("load()\nassert files() == []", NEURON_RT_USAGE="0")
    in_python("load()", NEURON_RT_USAGE="/proc")
    in_python("load()", NEURON_RT_USAGE=str(WORK / "absent"))
    # Files of another kind under such a name.
    (SHARED / "neuron-rt.0.1.0").mkdir()
    (SHARED / "neuron-rt.0.2.0").symlink_to("/etc/passwd")
    in_python("load()")
    assert processes() == {}
    shutil.rmtree(SHARED)
    SHARED.mkdir()


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    SHARED.mkdir(parents=True)
    subprocess.run([BIN / "neuronc", GLYPHS, "-q", "--target-cpu", "x86-64-v3", "-o", WORK / "m.neff"], check=True)
    assert processes() == {}
    check_running()
    check_unnamed()
    check_lifetimes()
    check_nothing_published()


main()
