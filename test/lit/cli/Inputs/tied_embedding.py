"""Writes MODEL.onnx, whose table of words is gathered from and, transposed, multiplied by, and test data.

usage: tied_embedding.py MODEL.onnx DATA_FOLDER float|float16|bfloat16
"""

import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 801, 91  # neither a multiple of a panel's columns nor of a group of k


def tensor(name, values, dtype):
    """The values, of which each is one of bfloat16, as they are stored."""
    if dtype == TensorProto.BFLOAT16:
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return helper.make_tensor(name, dtype, values.shape, bits.tobytes(), raw=True)
    return numpy_helper.from_array(values.astype(helper.mapping.TENSOR_TYPE_TO_NP_TYPE[dtype]), name)


def main():
    model, folder, kind = sys.argv[1], pathlib.Path(sys.argv[2]), TensorProto.DataType.Value(sys.argv[3].upper())
    words = np.random.default_rng(1).integers(-128, 128, (ROWS, COLUMNS)).astype(np.float32) / 64
    ids = np.array([0, 17, ROWS - 1, -1, -ROWS, 400], np.int64)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["words", "ids"], ["rows"]),
         helper.make_node("Transpose", ["words"], ["transposed"], perm=[1, 0]),
         helper.make_node("MatMul", ["rows", "transposed"], ["scores"])],
        "tied", [helper.make_tensor_value_info("ids", TensorProto.INT64, ids.shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in ("rows", "scores")], [tensor("words", words, kind)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    pathlib.Path(model).write_bytes(proto.SerializeToString())
    folder.mkdir(exist_ok=True)
    (folder / "input_0.pb").write_bytes(numpy_helper.from_array(ids, "ids").SerializeToString())
    rows = words[ids]
    scores = rows @ words.T
    if kind == TensorProto.BFLOAT16:  # rounded towards zero, which the tolerance covers
        scores = (scores.view(np.uint32) & 0xFFFF0000).view(np.float32)
    for i, (name, values) in enumerate((("rows", rows), ("scores", scores))):
        (folder / f"output_{i}.pb").write_bytes(tensor(name, values, kind).SerializeToString())


main()
