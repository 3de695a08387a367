# Makes the first function call a second one twice, that a third one twice, and so on.
def doubling(model, levels):
    leaf = model.functions[0]
    name = leaf.name
    for i in range(levels):
        caller = model.functions.add()
        caller.CopyFrom(leaf)
        caller.name = name if i == levels - 1 else f"level{i}"
        del caller.node[:]
        callee = "leaf" if i == 0 else f"level{i - 1}"
        caller.node.add(op_type=callee, domain=caller.domain, input=["v"], output=["m"])
        caller.node.add(op_type=callee, domain=caller.domain, input=["m"], output=["r"])
    leaf.name = "leaf"
