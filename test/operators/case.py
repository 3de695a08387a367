"""Small models of one operator with inputs from a fixed generator: what the case files are made of."""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

MICROSOFT = "com.microsoft"
ML = "ai.onnx.ml"
TRAINING = "ai.onnx.preview.training"

# Element types that numpy lacks go by number: their arrays hold one element a byte.
NUMBERS = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "str": 8,
    "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
    "uint4": 21, "int4": 22, "float4e2m1": 23, "uint2": 25, "int2": 26,
}
PER_BYTE = {21: 2, 22: 2, 23: 2, 25: 4, 26: 4}


@dataclass
class Typed:
    """Values of an element type that numpy lacks, as the bits of each element."""

    dtype: str
    array: np.ndarray


@dataclass
class Const:
    """An operand that is an initializer, not an input."""

    value: object


@dataclass
class Case:
    name: str
    op: str
    inputs: list
    attributes: dict
    domain: str = ""
    opset: int = 0
    num_outputs: int = 1
    unused: tuple = ()  # outputs that are left out
    expected: list = None  # arrays; None: recorded ones
    before: tuple = ()  # nodes that stand before the operator's
    reads: tuple = ()  # what the operator's node reads, of the inputs and of what stands before it
    half: str = ""  # the element type that stands for float32 in the model and its data
    recorded: str = ""  # under which name the values are recorded; empty: the case's own


def random(seed, *shape, low=-1.0, high=1.0, dtype=np.float32):
    """Numbers of a small linear congruential generator, the same in every version of numpy."""
    state = (seed * 2654435761 + 12345) % 2**32
    count = int(np.prod(shape, dtype=np.int64))
    values = np.empty(count)
    for i in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        values[i] = (state >> 8) / 2**24
    values = low + (high - low) * values.reshape(shape)
    if np.dtype(dtype).kind in "iu":
        return np.floor(values).astype(dtype)
    return values.astype(dtype)


def ints(seed, *shape, low=0, high=10, dtype=np.int64):
    return random(seed, *shape, low=low, high=high, dtype=dtype)


def bfloat16_bits(array):
    """Of float32, rounded to nearest even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).reshape(np.shape(array)).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def coarse(array):
    """Multiples of 1/128, of eight bits at most: float16 and bfloat16 hold them as they are."""
    bits = bfloat16_bits(np.round(array * 128) / 128)
    return (bits.astype(np.uint32) << 16).view(np.float32).reshape(np.shape(array))


def coarse_random(seed, *shape, low=-1.0, high=1.0):
    return coarse(random(seed, *shape, low=low, high=high))


def halved(value, dtype):
    """float32 as `dtype`, rounded to nearest even; a constant's content too."""
    if isinstance(value, Const):
        return Const(halved(value.value, dtype))
    if value is None or isinstance(value, Typed) or np.asarray(value).dtype != np.float32:
        return value
    if dtype == "float16":
        return np.asarray(value).astype(np.float16)
    return Typed(dtype, bfloat16_bits(value))


def type_number(value):
    if isinstance(value, Typed):
        return NUMBERS[value.dtype]
    kind = np.asarray(value).dtype
    return NUMBERS["str"] if kind.kind in "OU" else NUMBERS[str(kind)]


def to_proto(value, name):
    number = type_number(value)
    array = value.array if isinstance(value, Typed) else np.asarray(value)
    proto = TensorProto()
    proto.name = name
    proto.data_type = number
    proto.dims.extend(array.shape)
    if number == NUMBERS["str"]:
        proto.string_data.extend(str(s).encode() for s in array.reshape(-1))
    elif number in PER_BYTE:
        per_byte = PER_BYTE[number]
        bits = 8 // per_byte
        packed = bytearray(-(-array.size // per_byte))
        for i, field_ in enumerate(array.reshape(-1)):
            packed[i // per_byte] |= (int(field_) & ((1 << bits) - 1)) << (bits * (i % per_byte))
        proto.raw_data = bytes(packed)
    else:
        proto.raw_data = np.ascontiguousarray(array).tobytes()
    return proto


def shape_of(value):
    return list(value.array.shape if isinstance(value, Typed) else np.asarray(value).shape)


def model_of(case, expected):
    """The case's model; the types of its outputs are those of `expected`."""
    names, graph_inputs, initializers = [], [], []
    for i, value in enumerate(case.inputs):
        if value is None:
            names.append("")
            continue
        name = f"x{i}"
        names.append(name)
        if isinstance(value, Const):
            initializers.append(to_proto(value.value, name))
        else:
            graph_inputs.append(helper.make_tensor_value_info(name, type_number(value), shape_of(value)))
    while names and not names[-1]:
        names.pop()
    outputs = ["" if i in case.unused else f"y{i}" for i in range(case.num_outputs)]
    node = helper.make_node(case.op, case.reads or names, outputs, domain=case.domain, name="node")
    for key, value in case.attributes.items():
        if isinstance(value, Typed) or (isinstance(value, np.ndarray)):
            node.attribute.append(helper.make_attribute(key, to_proto(value, key)))
        else:
            node.attribute.append(helper.make_attribute(key, value))
    given = [f"y{i}" for i in range(case.num_outputs) if i not in case.unused]
    if expected is None:
        graph_outputs = [ValueInfoProto(name=name) for name in given]
    else:
        graph_outputs = [
            # What stands before may give as many rows as its values say.
            helper.make_tensor_value_info(name, type_number(value), None if case.reads else shape_of(value))
            for name, value in zip(given, expected)
        ]
    graph = helper.make_graph([*case.before, node], "case", graph_inputs, graph_outputs, initializers)
    default = {MICROSOFT: 1, ML: 3, TRAINING: 1}.get(case.domain, 0)
    imports = [helper.make_opsetid("", case.opset if not case.domain else 17)]
    if case.domain:
        imports.append(helper.make_opsetid(case.domain, case.opset or default))
    model = helper.make_model(graph, opset_imports=imports, producer_name="neuronc")
    model.ir_version = 8 if case.domain or case.opset < 20 else 10
    return model


class Collection:
    """The cases of one file."""

    def __init__(self, prefix, **defaults):
        self.prefix, self.defaults, self.cases = prefix, defaults, []

    def add(self, name, op, inputs, attributes=None, **more):
        settings = dict(self.defaults, **more)
        self.cases.append(Case(f"{self.prefix}_{name}", op, inputs, attributes or {}, **settings))
