#!/usr/bin/python3
"""Writes test data for y = x[i] with an index that does not exist: make_data.py FOLDER"""
import os
import sys

import numpy
import onnx.numpy_helper


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    arrays = {
        "input_0": numpy.arange(4, dtype=numpy.float32),
        "input_1": numpy.array([7], dtype=numpy.int64),
        "output_0": numpy.zeros(1, dtype=numpy.float32),
    }
    names = {"input_0": "x", "input_1": "i", "output_0": "y"}
    for file, array in arrays.items():
        tensor = onnx.numpy_helper.from_array(array, names[file])
        with open(os.path.join(folder, file + ".pb"), "wb") as out:
            out.write(tensor.SerializeToString())


main()
