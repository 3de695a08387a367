#!/usr/bin/env python3
"""Prints the medians of compare.sh's runs, ONNX Runtime's latency over ours, and what it took.

    summarise.py RUNS.jsonl [--peak GFLOPS] [--gate]

Each line of RUNS.jsonl is {"model", "compile_cpu_s", "neff_bytes", "onnx_bytes", "flops", "peer": one
line of ort_bench.js, "ours": neuron-bench --json}. With --gate the exit code is 5 when a model's ratio
is below its bound.
"""
import argparse
import json
import statistics
import sys

# ONNX Runtime's latency over ours that a model must reach with --gate on any machine.
BOUNDS = {"resnet50": 0.9, "mobilenetv2": 0.9, "bert_base_s128": 0.9, "mlp_gemv": 1.7, "vgg16": 0.9,
          "resnet18_b8": 0.9, "vit_b16": 0.9, "gpt2_s64": 0.9, "gpt2_s1": 1.7}


def read_runs(path):
    """The runs by model, in the order of the file."""
    runs = {}
    with open(path) as file:
        for line in file:
            run = json.loads(line)
            runs.setdefault(run["model"], []).append(run)
    return runs


def median(runs, value_of):
    return statistics.median(value_of(run) for run in runs)


def summarise(model, runs, peak_gflops):
    """One row of the table, and whether the model keeps its bound."""
    peer_ms = median(runs, lambda run: run["peer"]["median_ms"])
    ours_ms = median(runs, lambda run: run["ours"]["latency_ms"]["p50"])
    ours_load_ms = median(runs, lambda run: run["ours"]["load_ms"])
    ours_mib = median(runs, lambda run: run["ours"]["peak_rss_mib"])
    peer_mib = median(runs, lambda run: run["peer"]["peak_mib"])
    about = runs[0]
    gflops = about["flops"] / ours_ms * 1e-6
    share = f"{100 * gflops / peak_gflops:.0f}%" if peak_gflops > 0 else "-"
    ratio, bound = peer_ms / ours_ms, BOUNDS.get(model)
    kept = bound is None or ratio >= bound
    size = about["neff_bytes"] / about["onnx_bytes"]
    mark = "" if kept else "  BELOW " + str(bound)
    return (f"{model:<16}{ours_ms:>9.3f}{peer_ms:>10.3f}{ratio:>7.2f}{gflops:>9.1f}{share:>6}"
            f"{about['compile_cpu_s']:>9.1f}{about['neff_bytes'] / 1e6:>9.1f}{size:>6.2f}"
            f"{ours_load_ms:>8.1f}{ours_mib:>8.0f}{peer_mib:>8.0f}{mark}"), kept


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs")
    parser.add_argument("--peak", type=float, default=0, help="GFLOP/s of one core")
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    runs = read_runs(options.runs)
    if not runs:
        sys.exit("summarise: no runs: the folder of models holds no .onnx file")
    print(f"{'':16}{'latency (ms)':^19}{'ORT /':>7}{'':9}{'of':>6}{'compile':>9}{'NEFF':>9}{'of':>6}"
          f"{'load':>8}{'peak (MiB)':^16}")
    print(f"{'model':<16}{'neuronc':>9}{'ORT':>10}{'ours':>7}{'GFLOP/s':>9}{'peak':>6}{'CPU s':>9}"
          f"{'MB':>9}{'onnx':>6}{'ms':>8}{'ours':>8}{'ORT':>8}")
    rows = [summarise(model, model_runs, options.peak) for model, model_runs in runs.items()]
    print("\n".join(row for row, _ in rows))
    if options.peak > 0:
        print(f"peak of one core: {options.peak:.0f} GFLOP/s")
    if options.gate and not all(kept for _, kept in rows):
        sys.exit(5)


if __name__ == "__main__":
    main()
