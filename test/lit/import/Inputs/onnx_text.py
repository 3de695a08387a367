#!/usr/bin/python3
"""Writes the ONNX model whose text stands in a test file.

usage: onnx_text.py TEST OUT.onnx [CHANGE...]

The model is every line of TEST that does not start with `//` (ONNX's own text form). CHANGE is a
Python statement over `model`, `graph` and `onnx`, for what the text form cannot say.
"""
import sys

import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.parser


def main():
    test, out, *changes = sys.argv[1:]
    with open(test) as file:
        text = "".join(line for line in file if not line.startswith("//"))
    model = onnx.parser.parse_model(text)
    scope = {"model": model, "graph": model.graph, "onnx": onnx}
    for change in changes:
        exec(change, scope)
    with open(out, "wb") as file:
        file.write(model.SerializeToString())


main()
