#!/usr/bin/python3
"""What compiling costs: CPU time and size of the NEFF, for models or a folder of seeded graphs.

usage: compile_costs.py BIN [--seconds S] [--match REGEX] MODEL.onnx|GRAPHS...

Each model is compiled for x86-64-v3 and for the default targets. Prints the CPU time of the first, the size of
the second and of the weights, and names what is above the bounds: S seconds of CPU (4), 1.2 times the weights
and 1 MB. Exit code 5 if there is any. GRAPHS is the unpacked ../shared/zoo/graphs.tar.xz: NAME.onnx without the
values of its large weights, which NAME.json describes and which are seeded here.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

SIZE_FACTOR, SIZE_BYTES = 1.2, 1 << 20
UNKNOWN_EXTENT = 16


def tensors(graph):
    """Every tensor of a graph and of the bodies within."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


def seed(model, path):
    """Gives the weights values whose mean, spread and ends are those of the trained ones."""
    facts = json.loads(path.with_suffix(".json").read_text())
    random = np.random.RandomState(7)
    for tensor in tensors(model.graph):
        if not tensor.doc_string.startswith("seeded:"):
            continue
        fact = facts[tensor.doc_string.removeprefix("seeded:")]
        if "values" in fact:
            values = np.full(fact["shape"], fact["values"][0])
        else:
            values = random.standard_normal(fact["shape"]).astype(np.float32) * fact["std"] + fact["mean"]
            values = np.clip(values, fact["lo"], fact["hi"])
        tensor.raw_data = values.astype(fact["dtype"]).tobytes()
        tensor.doc_string = ""


def input_shapes(model):
    """Options that fix the extents which the model leaves open."""
    weights = {tensor.name for tensor in model.graph.initializer}
    options = []
    for value in model.graph.input:
        shape = value.type.tensor_type.shape.dim
        if value.name in weights or all(dim.HasField("dim_value") for dim in shape):
            continue
        is_sound = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        extents = [str(dim.dim_value if dim.HasField("dim_value") else 2 if i == 0 else
                       4000 if is_sound and i == 1 else UNKNOWN_EXTENT)
                   for i, dim in enumerate(shape)]
        options += ["--input-shape", f"{value.name}={','.join(extents)}"]
    return options


def compile_model(neuronc, path, out, options):
    """The CPU seconds of one compile and the size of what it wrote."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([neuronc, path, "-o", out, "-q", *options], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        return None, result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "no message"
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, os.path.getsize(out)


def measure(neuronc, path, work):
    """A row of the table, or the reason why there is none; and whether it is above a bound."""
    model = onnx.load(path)
    if path.with_suffix(".json").exists():
        seed(model, path)
    filled, out = work / "model.onnx", work / "model.neff"
    filled.write_bytes(model.SerializeToString())
    weights = sum(len(tensor.raw_data) for tensor in tensors(model.graph))
    shapes = input_shapes(model)
    seconds, _ = compile_model(neuronc, filled, out, [*shapes, "--target-cpu", "x86-64-v3"])
    if seconds is None:
        return None, _
    all_seconds, size = compile_model(neuronc, filled, out, shapes)
    if all_seconds is None:
        return None, size
    return (seconds, size, weights), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--match", default="")
    arguments = parser.parse_args()
    paths = [p for m in arguments.models for p in (sorted(m.glob("*.onnx")) if m.is_dir() else [m])]
    paths = [p for p in paths if re.search(arguments.match, p.stem)]
    num_above = 0
    print(f"{'model':44s} {'CPU s':>7s} {'NEFF MB':>8s} {'weights':>8s}")
    with tempfile.TemporaryDirectory() as work:
        for path in paths:
            row, reason = measure(arguments.bin / "neuronc", path, Path(work))
            if row is None:
                print(f"{path.stem:44s} not compiled: {reason[:100]}", flush=True)
                num_above += 1
                continue
            seconds, size, weights = row
            above = ["CPU"] * (seconds > arguments.seconds)
            above += ["size"] * (size > SIZE_FACTOR * weights + SIZE_BYTES)
            num_above += len(above) > 0
            print(f"{path.stem:44s} {seconds:7.2f} {size / 2**20:8.2f} {weights / 2**20:8.2f} "
                  f"{' '.join(above)}", flush=True)
    print(f"{len(paths)} models, {num_above} above a bound")
    sys.exit(5 if num_above else 0)


if __name__ == "__main__":
    main()
