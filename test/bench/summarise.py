#!/usr/bin/env python3
"""Prints the medians of compare.sh's runs, the ratio to ONNX Runtime, and the bound for each model.

    summarise.py RUNS.jsonl [--gate]

Each line of RUNS.jsonl is {"model", "peer": one line of ort_bench.js, "ours": neuron-bench --json}.
With --gate the exit code is 5 when a model is slower than its bound allows.
"""
import json
import statistics
import sys

# How many times ONNX Runtime's latency a model may take.
BOUNDS = {"resnet50": 1.5, "mobilenetv2": 2.0, "bert_base_s128": 1.5, "mlp_gemv": 1.5}


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


def summarise(model, runs):
    """One row of the table, and whether the model keeps its bound."""
    peer_ms = median(runs, lambda run: run["peer"]["median_ms"])
    ours_ms = median(runs, lambda run: run["ours"]["latency_ms"]["p50"])
    peer_load_ms = median(runs, lambda run: run["peer"]["load_ms"])
    ours_load_ms = median(runs, lambda run: run["ours"]["load_ms"])
    peer_mib = median(runs, lambda run: run["peer"]["peak_mib"])
    ours_mib = median(runs, lambda run: run["ours"]["peak_rss_mib"])
    ratio, bound = ours_ms / peer_ms, BOUNDS.get(model)
    kept = bound is None or ratio <= bound
    verdict = "" if bound is None else f"{bound:.1f} {'kept' if kept else 'EXCEEDED'}"
    return (f"{model:<20}{ours_ms:>11.3f}{peer_ms:>11.3f}{ratio:>8.2f}  {verdict:<14}"
            f"{ours_load_ms:>9.1f}{peer_load_ms:>9.1f}{ours_mib:>9.0f}{peer_mib:>9.0f}"), kept


def main(arguments):
    paths = [argument for argument in arguments if argument != "--gate"]
    if len(paths) != 1:
        sys.exit(__doc__)
    runs = read_runs(paths[0])
    if not runs:
        sys.exit("summarise: no runs: the folder of models holds no .onnx file")
    print(f"{'':20}{'median latency (ms)':^22}{'':8}  {'':14}{'load (ms)':^18}{'peak (MiB)':^18}")
    print(f"{'model':<20}{'neuronc':>11}{'ORT':>11}{'ratio':>8}  {'bound':<14}"
          + f"{'neuronc':>9}{'ORT':>9}" * 2)
    rows = [summarise(model, model_runs) for model, model_runs in runs.items()]
    print("\n".join(row for row, _ in rows))
    if "--gate" in arguments and not all(kept for _, kept in rows):
        sys.exit(5)


if __name__ == "__main__":
    main(sys.argv[1:])
