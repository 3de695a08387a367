#!/usr/bin/env python3
"""Compares single products and convolutions with oneDNN's rate on the same shapes, one core.

    rates.py BIN [--shared DIR] [--rounds R]

BIN holds neuronc and neuron-bench. oneDNN's rates come from onednn_rates.cpp in DIR/bench, which is built
here (apt-get install libdnnl-dev). Inputs and results are of the product's own type, images channels-last,
as oneDNN chooses; weights are constant. Rounds alternate; the table shows medians.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

TYPES = {"f32": (TensorProto.FLOAT, "none"), "bf16": (TensorProto.BFLOAT16, "matmult")}


def constant(name, dtype, shape, random):
    values = random.standard_normal(shape).astype(np.float32)
    if dtype == TensorProto.FLOAT:
        raw = values.tobytes()
    else:
        raw = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return helper.make_tensor(name, dtype, shape, raw, raw=True)


def save(path, nodes, dtype, x, y, weights):
    graph = helper.make_graph(nodes, "product", [helper.make_tensor_value_info("x", dtype, x)],
                              [helper.make_tensor_value_info("y", dtype, y)], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.save(model, path)


def make_matmul(path, dtype, m, n, k, random):
    save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], dtype, [m, k], [m, n],
         constant("w", dtype, [k, n], random))


def make_conv(path, dtype, channels, size, outputs, window, stride, random):
    pad = window // 2
    result = (size + 2 * pad - window) // stride + 1
    nodes = [helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
             helper.make_node("Conv", ["a", "w"], ["b"], pads=[pad] * 4, strides=[stride] * 2),
             helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 1])]
    save(path, nodes, dtype, [1, size, size, channels], [1, result, result, outputs],
         constant("w", dtype, [outputs, channels, window, window], random))
    return 2 * channels * outputs * window * window * result * result


def problems(lines, folder):
    """{line's name: (NEFF, operations)} for what onednn_rates prints."""
    random = np.random.default_rng(5)
    found = {}
    for line in lines:
        words = line.split()
        numbers = [int(x) for x in re.findall(r"\d+", line.split(" f32 ")[0].split(" bf16 ")[0])]
        kind = "f32" if " f32 " in line else "bf16"
        dtype, _ = TYPES[kind]
        name = line[: line.index(f" {kind} ")] + " " + kind
        path = folder / f"{len(found)}.onnx"
        if words[0] == "conv":
            flops = make_conv(path, dtype, *numbers, random)
        else:
            make_matmul(path, dtype, *numbers, random)
            flops = 2 * numbers[0] * numbers[1] * numbers[2]
        found[name] = (path, kind, flops)
    return found


def onednn_rates(program):
    output = subprocess.run([program], env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
                            stdout=subprocess.PIPE, check=True).stdout
    return output.strip().splitlines()


def rate_of(line):
    return float(re.search(r"([\d.]+) GFLOP/s", line).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    here = Path(__file__).resolve()
    parser.add_argument("--shared", type=Path, default=here.parents[3] / "shared")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = options.shared / "bench" / "onednn_rates.cpp"
    if not source.exists():
        print(f"SKIPPED: {source} is absent")
        return
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        program = folder / "onednn_rates"
        if subprocess.run(["g++", "-O2", source, "-ldnnl", "-o", program]).returncode != 0:
            print("SKIPPED: oneDNN is not installed (libdnnl-dev)")
            return
        peer = {}
        ours = {}
        table = {}
        for _ in range(options.rounds):
            lines = onednn_rates(program)
            if not table:
                table = problems(lines, folder)
                for path, kind, _ in table.values():
                    subprocess.run([options.bin / "neuronc", path, "-o", path.with_suffix(".neff"), "-q",
                                    "--auto-cast", TYPES[kind][1]], check=True)
            for (name, (path, _, flops)), line in zip(table.items(), lines):
                peer.setdefault(name, []).append(rate_of(line))
                result = subprocess.run([options.bin / "neuron-bench", path.with_suffix(".neff"),
                                         "--seconds", "0.2", "--json"], text=True, check=True,
                                        stdout=subprocess.PIPE).stdout
                ms = json.loads(result)["latency_ms"]["p50"]
                ours.setdefault(name, []).append(flops / ms * 1e-6)
        print(f"{'GFLOP/s':<28}{'neuronc':>9}{'oneDNN':>9}{'ratio':>8}")
        for name in table:
            a, b = statistics.median(ours[name]), statistics.median(peer[name])
            print(f"{name:<28}{a:>9.1f}{b:>9.1f}{a / b:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
