#!/usr/bin/python3
"""Writes the operator cases as folders in the form of ONNX's node tests, and the list of their names.

usage: make_cases.py FOLDER [--record ORT]

Expected values are worked out in numpy by the case's own file, or are those of ONNX Runtime, which
expected/*.json keep. --record makes these anew: ORT is a folder in which `npm install
onnxruntime-node` was run. What ONNX Runtime cannot run is named.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import case as case_module

HERE = pathlib.Path(__file__).resolve().parent
FILES = ["contrib", "contrib_attention", "contrib_decoding", "contrib_packed",
         "contrib_quantized", "ml", "core", "gradient", "halves", "pictures"]


def expected_path(file):
    return HERE / "expected" / f"{file}.json"


def from_json(entry):
    if entry["dtype"] == "str":
        return np.array(entry["data"], dtype=object).reshape(entry["shape"])
    data = [float(v) if isinstance(v, str) else v for v in entry["data"]]
    return np.array(data, dtype=entry["dtype"]).reshape(entry["shape"])


def to_json(array):
    if array.dtype.kind in "iub":
        data = [int(v) for v in array.reshape(-1)]
    elif array.dtype.kind == "f":
        digits = {2: 5, 4: 9, 8: 17}[array.dtype.itemsize]
        data = [float(f"{v:.{digits}g}") if np.isfinite(v) else str(v) for v in array.reshape(-1)]
    else:
        return {"dtype": "str", "shape": list(array.shape), "data": list(array.reshape(-1))}
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def write_case(folder, case, expected):
    if case.half:
        halves = [case_module.halved(value, case.half) for value in case.inputs]
        case = dataclasses.replace(case, inputs=halves)
        expected = [case_module.halved(value, case.half) for value in expected]
    data = folder / case.name / "test_data_set_0"
    data.mkdir(parents=True)
    model = case_module.model_of(case, expected)
    (folder / case.name / "model.onnx").write_bytes(model.SerializeToString())
    inputs = [v for v in case.inputs if v is not None and not isinstance(v, case_module.Const)]
    for i, (value, info) in enumerate(zip(inputs, model.graph.input)):
        (data / f"input_{i}.pb").write_bytes(
            case_module.to_proto(value, info.name).SerializeToString())
    for i, (value, info) in enumerate(zip(expected, model.graph.output)):
        (data / f"output_{i}.pb").write_bytes(
            case_module.to_proto(value, info.name).SerializeToString())


def record(cases, ort):
    """What ONNX Runtime computes: {name: [arrays]} and what it said of the others."""
    recorded, refused = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        jobs = []
        for case in cases:
            folder = pathlib.Path(scratch) / case.name
            folder.mkdir()
            model = case_module.model_of(case, None)
            (folder / "model.onnx").write_bytes(model.SerializeToString())
            inputs = []
            values = [v for v in case.inputs if v is not None and not isinstance(v, case_module.Const)]
            for value, info in zip(values, model.graph.input):
                array = np.ascontiguousarray(value)
                inputs.append({"name": info.name, "shape": list(np.shape(value)),
                               "type": "string" if array.dtype.kind in "OU" else str(array.dtype)})
                if array.dtype.kind in "OU":
                    inputs[-1]["strings"] = [str(s) for s in array.reshape(-1)]
                else:
                    (folder / info.name).write_bytes(array.tobytes())
            jobs.append({"folder": str(folder), "inputs": inputs})
        (pathlib.Path(scratch) / "jobs.json").write_text(json.dumps(jobs))
        subprocess.run(["node", str(HERE / "run_ort.js"), scratch + "/jobs.json"], cwd=ort, check=True)
        for case in cases:
            folder = pathlib.Path(scratch) / case.name
            result = json.loads((folder / "result.json").read_text())
            if "error" in result:
                refused[case.name] = result["error"]
                continue
            recorded[case.name] = []
            for i, output in enumerate(result["outputs"]):
                if "strings" in output:
                    array = np.array(output["strings"], dtype=object)
                else:
                    array = np.frombuffer((folder / f"output{i}").read_bytes(), dtype=output["type"])
                recorded[case.name].append(array.reshape(output["shape"]))
    return recorded, refused


def main():
    out = pathlib.Path(sys.argv[1])
    ort = os.path.abspath(sys.argv[sys.argv.index("--record") + 1]) if "--record" in sys.argv else None
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    lines = []
    for file in FILES:
        cases = importlib.import_module(file).CASES.cases
        open_cases = [c for c in cases if c.expected is None]
        if ort:
            recorded, refused = record(open_cases, ort)
            recorded = {c.recorded or c.name: recorded[c.name] for c in open_cases if c.name in recorded}
            for name, why in refused.items():
                print(f"{name}: {why}", file=sys.stderr)
            text = ",\n".join(f"{json.dumps(n)}: {json.dumps([to_json(a) for a in arrays])}"
                              for n, arrays in sorted(recorded.items()))
            if recorded:
                expected_path(file).write_text("{\n" + text + "\n}\n")
        known = json.loads(expected_path(file).read_text()) if open_cases else {}
        for case in cases:
            name = case.recorded or case.name
            if case.expected is None and name not in known:
                sys.exit(f"{case.name} has no expected values")
            expected = case.expected
            if expected is None:
                expected = [from_json(entry) for entry in known[name]]
            write_case(out, case, expected)
            lines.append(f"{case.name} pass\n")
    (out / "list.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
