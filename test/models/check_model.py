#!/usr/bin/python3
"""Whole-model checks over the command line, one check a call; ctest runs them (CMakeLists.txt).

usage: check_model.py BIN SHARED WORK CHECK MODEL [ARG...]
  verify MODEL MODE      every data set of the model passes `neuronc verify` with --auto-cast MODE
  cores MODEL MODE       every strategy on 1 to 64 cores gives the same bits, and so do 8
                         concurrent requests
  checked MODEL MODE     the kernel interpreter, every access checked, gives the bits of native code
  reproducible MODEL     the same bytes from another folder and with other thread counts
  limits MODEL S         compiles within S seconds of CPU time and twice the model's size + 300 MB
  top5 MODEL MODE N      the classes of the picture: N of the reference's five, the first one first

MODEL is a path below SHARED, `bench:NAME` for a generated benchmark model, or `seeded:NAME`.
Exit code 77 where SHARED does not hold the model: the test is skipped, visibly.
"""
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

SKIP = 77
STRATEGIES = ("pipeline", "tensor")
# For throughput `auto` makes these of most models.
STAGES_OF_TEAMS = ((4, "auto"), (6, "auto"))

# Cosines below which a narrow model counts as damaged; detection heads tolerate less.
MIN_COSINE = {"yolox_nano": {"all": "0.99"},
              "squeezenet1.1_int8_qdq": {"matmult": "0.999"},
              "micro_kws_int8_qdq": {"matmult": "0.999"}}


class Failure(Exception):
    """A check that did not hold, with the reason for the log."""


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(SKIP)


def run(command, expect=0, **options):
    """Runs a command, echoes it and its output, and checks its exit code."""
    print("+", " ".join(str(part) for part in command), flush=True)
    result = subprocess.run([str(part) for part in command], text=True, capture_output=True, **options)
    print(result.stdout + result.stderr, flush=True)
    if result.returncode != expect:
        raise Failure(f"exit code {result.returncode}, expected {expect}")
    return result


class Checks:
    def __init__(self, bin_dir, shared, work):
        self.bin, self.shared, self.work = Path(bin_dir), Path(shared), Path(work)
        self.work.mkdir(parents=True, exist_ok=True)

    def tool(self, name):
        return self.bin / name

    def model(self, name):
        """The model file, made first where it is generated."""
        kind, _, rest = name.partition(":")
        if kind == "bench":
            return self.generated(rest, self.shared / "bench/make_models.py", lambda script, out: [
                script, out.parent, rest])
        if kind == "seeded":
            return self.generated("seeded_" + rest, self.shared / "seeded/make_seeded_model.py",
                                  lambda script, out: [
                                      script, self.shared / f"light/light_{rest}/model.onnx", out])
        path = self.shared / name / "model.onnx"
        if not path.exists():
            skip(f"{path} is absent")
        return path

    def generated(self, name, script, arguments):
        if not script.exists():
            skip(f"{script} is absent")
        out = self.work / f"{name}.onnx"
        if not out.exists():
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                draft = Path(folder) / f"{name}.onnx"
                run(["/usr/bin/python3", *arguments(script, draft)])
                os.replace(draft, out)
        return out

    def data_sets(self, name):
        kind, _, rest = name.partition(":")
        folder = self.shared / ("seeded/" + rest if kind == "seeded" else name)
        sets = sorted(folder.glob("test_data_set_*"))
        if not sets:
            skip(f"{folder} has no data sets")
        return sets

    def dims(self, model, inputs):
        """--input-shape flags that bind the model's free dims to the data."""
        flags = []
        for name, array in inputs.items():
            shape = ",".join(str(extent) for extent in array.shape)
            if shape:
                flags += ["--input-shape", f"{name}={shape}"]
        return flags

    def inputs(self, model, data_set):
        graph = onnx.load(str(model), load_external_data=False).graph
        weights = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in weights]
        return {name: load_tensor(data_set / f"input_{i}.pb") for i, name in enumerate(names)}

    def compile(self, model, out, *options):
        run([self.tool("neuronc"), model, "-o", out, "-q", *options])
        return out

    def execute(self, neff, inputs, folder, *options, env=None):
        """Runs a NEFF on arrays; returns {file name: bytes} of its outputs."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        flags = []
        for i, (name, array) in enumerate(inputs.items()):
            np.save(folder / f"in{i}.npy", array)
            flags += ["--input", f"{name}={folder / f'in{i}.npy'}"]
        out = folder / "out"
        run([self.tool("neuron-run"), neff, *flags, "--output-dir", out, *options],
            env=env)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}

    def verify(self, name, mode):
        model = self.model(name)
        flags = ["--auto-cast", mode]
        if mode != "none":
            stem = name.split("/")[-1]
            flags += ["--min-cosine", MIN_COSINE.get(stem, {}).get(mode, "0.995")]
        for data_set in self.data_sets(name):
            run([self.tool("neuronc"), "verify", model, "--test-data", data_set, *flags])

    def cores(self, name, mode):
        model = self.model(name)
        inputs = self.inputs(model, self.data_sets(name)[0])
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            reference = None
            cases = [*itertools.product((1, 2, 3, 4, 8, 16, 64), STRATEGIES), *STAGES_OF_TEAMS]
            for cores, strategy in cases:
                objective = ["--optimize-for", "throughput"] if strategy == "auto" else []
                neff = self.compile(model, Path(folder) / f"{cores}.neff", "--num-neuroncores",
                                    cores, "--partition", strategy, *objective, "--target-cpu",
                                    "native", "--auto-cast", mode, *self.dims(model, inputs))
                runs = [[]]
                if cores in (2, 4):
                    runs.append(["--concurrency", "8", "--repeat", "24"])
                for options in runs:
                    folder_name = f"{cores}{strategy}{len(options)}"
                    outputs = self.execute(neff, inputs, Path(folder) / folder_name, *options,
                                           env={**os.environ, "NEURON_RT_NUM_CORES": "64"})
                    if not outputs:
                        raise Failure("there are no outputs")
                    reference = reference or outputs
                    if outputs != reference:
                        raise Failure(f"{strategy} on {cores} cores differs from one core")

    def checked(self, name, mode):
        model = self.model(name)
        inputs = self.inputs(model, self.data_sets(name)[0])
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            neff = self.compile(model, Path(folder) / "m.neff", "--num-neuroncores", "2",
                                "--emit-kernels", "--auto-cast", mode, *self.dims(model, inputs))
            native = self.execute(neff, inputs, Path(folder) / "native")
            checked = self.execute(neff, inputs, Path(folder) / "checked",
                                   env={**os.environ, "NEURON_RT_CHECK": "1"})
            if not native or native != checked:
                raise Failure("interpreted kernels differ from native code")

    def reproducible(self, name):
        model = self.model(name)
        inputs = self.inputs(model, self.data_sets(name)[0])
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            built = []
            # The compiler makes as many threads as it has processors.
            every = os.sched_getaffinity(0)
            for i, processors in enumerate(({min(every)}, every)):
                home = Path(folder) / ("deep/er" * i or "flat")
                home.mkdir(parents=True)
                shutil.copy(model, home / "model.onnx")
                run([self.tool("neuronc"), "model.onnx", "-o", "model.neff", "-q",
                     "--num-neuroncores", "4", *self.dims(model, inputs)],
                    cwd=home, preexec_fn=lambda: os.sched_setaffinity(0, processors))
                built.append((home / "model.neff").read_bytes())
            if built[0] != built[1]:
                raise Failure("two builds differ")

    def limits(self, name, seconds):
        """The least CPU time of up to three compiles counts: a busy machine only adds to it."""
        model = self.model(name)
        bound = 2 * model.stat().st_size + 300e6
        least = float("inf")
        for _ in range(3):
            cpu, wall, peak = self.measured_compile(model)
            print(f"compiled in {cpu:.2f} s of CPU time ({wall:.2f} s), bound {seconds} s; "
                  f"peak memory {peak / 1e6:.0f} MB, bound {bound / 1e6:.0f} MB")
            if peak > bound:
                raise Failure("compiling took too much memory")
            least = min(least, cpu)
            if least <= float(seconds):
                return
        raise Failure("compiling took too long")

    def measured_compile(self, model):
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            start = time.monotonic()
            process = subprocess.Popen([self.tool("neuronc"), model, "-o",
                                        Path(folder) / "model.neff", "--time-passes"])
            # The usage of this process alone; generating the model took more.
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - start
        if status != 0:
            raise Failure(f"wait status {status}")
        return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024

    def top5(self, name, mode, wanted):
        model = self.model(name)
        for data_set in self.data_sets(name):
            inputs = self.inputs(model, data_set)
            reference = load_tensor(data_set / "output_0.pb").ravel()
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                neff = self.compile(model, Path(folder) / "m.neff", "--auto-cast", mode)
                self.execute(neff, inputs, folder)
                got = np.load(next((Path(folder) / "out").glob("*.npy"))).ravel()
            expected, found = best(reference), best(got)
            print("reference", expected, "found", found)
            if expected[0] != found[0] or len(set(expected) & set(found)) < int(wanted):
                raise Failure("the classes differ")


def best(scores):
    return [int(i) for i in np.argsort(-scores, kind="stable")[:5]]


def load_tensor(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def main():
    bin_dir, shared, work, check, *arguments = sys.argv[1:]
    try:
        getattr(Checks(bin_dir, shared, work), check)(*arguments)
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)


if __name__ == "__main__":
    main()
