#!/usr/bin/env python3
"""Judges the planner of cores on real models.

    cores.py predict   BIN MODEL.onnx... [--model FILE]   predicted against measured times of kernels
    cores.py auto      BIN MODEL.onnx... [--model FILE]   what `auto` takes against the best that was measured
    cores.py identical BIN MODEL.onnx... the same bits on 1 to 64 cores in every strategy
    cores.py speed     BIN MODEL.onnx...                  one core against two, and four on as many processors

BIN holds the commands. Times are predicted by a hardware model of this machine, which is calibrated unless FILE
has it. Nothing else should run, but for `identical`. Symbolic dims are given as `MODEL.onnx:NAME=N,NAME=N`.
"""
import argparse
import filecmp
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STRATEGIES = ("pipeline", "tensor", "auto", "throughput", "data")
NUMBERS = (1, 2, 3, 4, 8, 16, 64)


def run(command, environment=None):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          env=dict(os.environ, **(environment or {})))
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Bench:
    def __init__(self, arguments, work):
        self.bin, self.work = Path(arguments.bin).resolve(), Path(work)
        self.models = arguments.models
        self.hardware = arguments.model

    def calibrate(self):
        if self.hardware is None:
            self.hardware = self.work / "here.model"
            run([self.bin / "neuron-bench", "--calibrate", "-o", self.hardware])
        return ["--target-cpu", "native", "--hardware-model", self.hardware]

    def compile(self, model, cores, options):
        path, _, dims = model.partition(":")
        neff = self.work / f"{Path(path).parent.name}-{Path(path).stem}.neff"
        command = [self.bin / "neuronc", path, "-q", "-o", neff, "--num-neuroncores", cores, *options]
        for dim in filter(None, dims.split(",")):
            command += ["--dim", dim]
        run(command)
        return neff

    def name(self, model):
        path = Path(model.partition(":")[0])
        return path.parent.name if path.stem == "model" else path.stem

    def latency_ms(self, neff, seconds=2, inflight=1, cores=None):
        command = [self.bin / "neuron-bench", neff, "--seconds", seconds, "--inflight", inflight, "--json"]
        result = json.loads(run(command + (["--cores", cores] if cores else [])))
        return result["latency_ms"]["p50"], 1000 / result["throughput_per_s"]


def predict(bench):
    options, errors, stages = bench.calibrate(), [], []
    print(f"{'model':<24} {'median error':>12} {'of all time':>12} {'latency ms':>11} {'predicted':>10} stage")
    for model in bench.models:
        trace = bench.work / "trace.json"
        neff = bench.compile(model, 1, options)
        text = run([bench.bin / "neuron-profile", "run", neff, "-o", trace, "--requests", 12])
        found = re.search(r"median error ([\d.]+) %, of all their time ([\d.]+) %", text)
        latency = re.search(r"latency ([\d.]+) us.*predicted ([\d.]+) us", text)
        neff = bench.compile(model, 2, [*options, "--partition", "pipeline"])
        text = run([bench.bin / "neuron-profile", "run", neff, "-o", trace, "--requests", 24, "--inflight", 4])
        stage = re.search(r"slowest stage: (\d+) measured, (\d+) predicted", text)
        errors.append(float(found[1]))
        if stage:
            stages.append(stage[1] == stage[2])
        print(f"{bench.name(model):<24} {found[1]:>10} % {found[2]:>10} % {float(latency[1]) / 1000:>11.2f} "
              f"{float(latency[2]) / 1000:>10.2f} {'/'.join(stage.groups()) if stage else '-'}", flush=True)
    print(f"median over {len(errors)} models: {statistics.median(errors):.1f} %; the slowest of two stages is the "
          f"predicted one in {sum(stages)} of {len(stages)}")
    return 0


def auto(bench):
    """Within 5 % of the best plan on 1, 2 and 4 cores, for latency: several rounds in turns, the best of each."""
    options, ratios = bench.calibrate(), []
    for model in bench.models:
        neffs = {}
        for cores in (1, 2, 4):
            for strategy in (("auto",) if cores == 1 else ("pipeline", "tensor")):
                neffs[cores, strategy] = bench.compile(model, cores, [*options, "--partition", strategy]).rename(
                    bench.work / f"{cores}-{strategy}.neff")
        neffs["auto", ""] = bench.compile(model, "auto", options)
        times = {plan: [] for plan in neffs}
        for _ in range(3):
            for plan, neff in neffs.items():
                times[plan].append(bench.latency_ms(neff, 1)[0])
        best = {plan: min(values) for plan, values in times.items()}
        mine = best.pop(("auto", ""))
        plan = min(best, key=best.get)
        ratios.append(mine / best[plan])
        print(f"{bench.name(model):<24} auto {mine:.3f} ms, the best {best[plan]:.3f} ms ({plan[0]} cores, "
              f"{plan[1]}): {100 * (ratios[-1] - 1):+.1f} %", flush=True)
    within = sum(ratio <= 1.05 for ratio in ratios)
    print(f"`auto` is within 5 % of the best plan on 1, 2 or 4 cores for {within} of {len(ratios)} models")
    return 0 if within == len(ratios) else 5


def identical(bench):
    num_runs = 0
    for model in bench.models:
        first = None
        for strategy in STRATEGIES:
            choice = (["--partition", "auto", "--optimize-for", "throughput"] if strategy == "throughput"
                      else ["--partition", strategy])
            for cores in NUMBERS:
                neff = bench.compile(model, cores, ["--target-cpu", "native", *choice])
                out = bench.work / f"out-{num_runs}"
                run([bench.bin / "neuron-run", neff, "--random", 7, "--output-dir", out],
                    {"NEURON_RT_NUM_CORES": "64"})
                num_runs += 1
                files = sorted(path.name for path in out.iterdir())
                if first is None:
                    first = out, files
                equal, different, failed = filecmp.cmpfiles(first[0], out, first[1], shallow=False)
                if different or failed or files != first[1]:
                    print(f"{bench.name(model)}: {strategy} on {cores} cores gives other bits: {different + failed}")
                    return 5
                if out != first[0]:
                    for file in out.iterdir():
                        file.unlink()
        print(f"{bench.name(model)}: the same bits on {', '.join(map(str, NUMBERS))} cores in "
              f"{len(STRATEGIES)} strategies", flush=True)
    print(f"{num_runs} plans of {len(bench.models)} models")
    return 0


def speed(bench):
    options = bench.calibrate()
    print(f"{'model':<24} {'1 core ms':>10} {'tensor 2':>9} {'pipeline 2':>11} {'data 2':>7} {'4 on 2':>7}")
    for model in bench.models:
        plans = {"one": (1, []), "tensor": (2, ["--partition", "tensor"]), "pipeline": (2, ["--partition", "pipeline"]),
                 "four": (4, ["--partition", "tensor"])}
        neffs = {name: bench.compile(model, cores, [*options, *choice]).rename(bench.work / f"{name}.neff")
                 for name, (cores, choice) in plans.items()}
        times = {name: [] for name in (*plans, "stream", "data")}
        for _ in range(3):
            for name in ("one", "tensor", "four"):
                times[name].append(bench.latency_ms(neffs[name], 1)[0])
            times["stream"].append(bench.latency_ms(neffs["pipeline"], 1, inflight=4)[1])
            times["data"].append(bench.latency_ms(neffs["one"], 1, inflight=4, cores=2)[1])
        best = {name: min(values) for name, values in times.items() if values}
        print(f"{bench.name(model):<24} {best['one']:>10.3f} {best['one'] / best['tensor']:>8.2f}x "
              f"{best['one'] / best['stream']:>10.2f}x {best['one'] / best['data']:>6.2f}x "
              f"{100 * (best['four'] / best['tensor'] - 1):>+6.1f}%", flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["predict", "auto", "identical", "speed"])
    parser.add_argument("bin")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--model", help="a hardware model of this machine")
    arguments = parser.parse_args()
    if arguments.model:
        arguments.model = Path(arguments.model).resolve()
    with tempfile.TemporaryDirectory() as work:
        return globals()[arguments.what](Bench(arguments, work))


if __name__ == "__main__":
    sys.exit(main())
