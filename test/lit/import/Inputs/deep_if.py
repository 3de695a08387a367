# Nests `depth` If nodes on the graph's condition around an Identity of its input.
def deep_if(graph, depth):
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    branch = lambda nodes: helper.make_graph(
        nodes, "b", [], [helper.make_tensor_value_info("o", FLOAT, [2])])
    nodes = [helper.make_node("Identity", ["x"], ["o"])]
    for i in range(depth):
        other = branch([helper.make_node("Neg", ["x"], ["o"])])
        nodes = [helper.make_node("If", ["p"], ["o"], name=f"if{depth - i}",
                                  then_branch=branch(nodes), else_branch=other)]
    del graph.node[:]
    graph.node.extend(nodes)
