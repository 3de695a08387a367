# Moves the first initializer's data into a file, from `offset` on.
def external(graph, location, offset=8):
    tensor = graph.initializer[0]
    del tensor.float_data[:]
    tensor.data_location = 1
    for key, value in (("location", location), ("offset", str(offset)), ("length", "8")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
