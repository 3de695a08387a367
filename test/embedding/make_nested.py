"""usage: make_nested.py DEPTH OUT.onnx -- bodies of If in bodies of If; what a false condition takes is the deepest."""
import sys

from onnx import TensorProto, helper, save


def value(name, shape=(4,), dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


depth = int(sys.argv[1])
body = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "deepest", [], [value("y")])
for i in range(depth):
    other = helper.make_graph([helper.make_node("Relu", ["x"], [f"o{i}"])], f"other{i}", [], [value(f"o{i}")])
    choice = helper.make_node("If", ["c"], [f"y{i}"], then_branch=other, else_branch=body)
    body = helper.make_graph([choice], f"body{i}", [], [value(f"y{i}")])
inputs = [value("x"), value("c", (), TensorProto.BOOL)]
graph = helper.make_graph(list(body.node), "nested", inputs, list(body.output))
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[2])
