#!/usr/bin/python3
"""Writes test data for y = x @ x with the reference times SCALE: make_scaled.py FOLDER SCALE"""
import os
import sys

import numpy
import onnx.numpy_helper


def main():
    folder, scale = sys.argv[1], float(sys.argv[2])
    os.makedirs(folder, exist_ok=True)
    x = numpy.arange(16, dtype=numpy.float32).reshape(4, 4) / 16
    for file, array in {"input_0": x, "output_0": (x @ x * scale).astype(numpy.float32)}.items():
        tensor = onnx.numpy_helper.from_array(array, file)
        with open(os.path.join(folder, file + ".pb"), "wb") as out:
            out.write(tensor.SerializeToString())


main()
