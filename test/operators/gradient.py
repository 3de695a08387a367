"""Gradient of ai.onnx.preview.training. The values are differences of the function, written in numpy
in double precision, on both sides of each element."""

import numpy as np
from onnx import helper

from case import TRAINING, Collection, Const, random

CASES = Collection("gradient", domain=TRAINING)


def differences(function, inputs, i):
    """How the sum of the function's elements changes with each element of input `i`."""
    step = 1e-6
    result = np.zeros(np.shape(inputs[i]))
    for at in np.ndindex(*np.shape(inputs[i])):
        ends = []
        for sign in (1, -1):
            moved = [np.array(x, np.float64) for x in inputs]
            moved[i][at] += sign * step
            ends.append(np.sum(function(*moved)))
        result[at] = (ends[0] - ends[1]) / (2 * step)
    return result.astype(np.float32)


def add(name, nodes, function, inputs, zs=()):
    """`nodes`: rows (operator, inputs, attributes) of which each gives t0, t1, ...; the last one is
    differentiated by each input that is not in `zs`."""
    before = [helper.make_node(op, operands, [f"t{i}"], name=f"before{i}", **attributes)
              for i, (op, operands, attributes) in enumerate(nodes)]
    order = [i for i in range(len(inputs)) if i not in zs] + list(zs)
    where = [inputs[i].value if isinstance(inputs[i], Const) else inputs[i] for i in range(len(inputs))]
    expected = [differences(function, where, i) for i in order if i not in zs]
    attributes = {"xs": [f"x{i}" for i in order if i not in zs], "y": f"t{len(nodes) - 1}"}
    if zs:
        attributes["zs"] = [f"x{i}" for i in zs]
    CASES.add(name, "Gradient", inputs, attributes, num_outputs=len(expected), expected=expected,
              before=tuple(before))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def erf(x):
    """By its series, for small x."""
    total, term = np.zeros_like(x), x.copy()
    for n in range(60):
        total += term / (2 * n + 1)
        term = -term * x * x / (n + 1)
    return 2 / np.sqrt(np.pi) * total


# ---- elementwise, times a factor that makes each element's weight its own

x, factor = random(1, 3, 4, low=-0.9, high=0.9), random(2, 3, 4, low=0.5, high=2)
unary = {
    "Abs": np.abs, "Acos": np.arccos, "Asin": np.arcsin, "Asinh": np.arcsinh, "Atan": np.arctan,
    "Atanh": np.arctanh, "Cos": np.cos, "Cosh": np.cosh, "Erf": erf, "Exp": np.exp, "Floor": np.floor,
    "Neg": np.negative, "Reciprocal": np.reciprocal, "Relu": lambda v: np.maximum(v, 0),
    "Sigmoid": sigmoid, "Sin": np.sin, "Sinh": np.sinh, "Softplus": lambda v: np.log1p(np.exp(v)),
    "Softsign": lambda v: v / (1 + np.abs(v)), "Tan": np.tan, "Tanh": np.tanh,
    "Elu": lambda v: np.where(v > 0, v, np.exp(v) - 1),
    "LeakyRelu": lambda v: np.where(v > 0, v, 0.01 * v),
    "Selu": lambda v: 1.05070102214813232 * np.where(v > 0, v, 1.67326319217681884 * (np.exp(v) - 1)),
    "Celu": lambda v: np.where(v > 0, v, np.exp(v) - 1),
    "HardSigmoid": lambda v: np.clip(0.2 * v + 0.5, 0, 1),
    "HardSwish": lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
}
for op, function in unary.items():
    add(op.lower(), [(op, ["x0"], {}), ("Mul", ["t0", "x1"], {})],
        lambda v, f, function=function: function(v) * f, [x, factor], zs=(1,))
add("hardswish_wide", [("HardSwish", ["x0"], {})], unary["HardSwish"], [random(33, 12, low=-6, high=6)])
positive = random(3, 3, 4, low=0.5, high=3)
for op, function in {"Log": np.log, "Sqrt": np.sqrt, "Acosh": lambda v: np.arccosh(v)}.items():
    operand = positive + 1 if op == "Acosh" else positive
    add(op.lower(), [(op, ["x0"], {}), ("Mul", ["t0", "x1"], {})],
        lambda v, f, function=function: function(v) * f, [operand, factor], zs=(1,))

# ---- of two operands, which broadcast

row, column = random(4, 1, 4, low=0.5, high=2), random(5, 3, 1, low=0.5, high=2)
for op, function in {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power,
                     "Max": np.maximum, "Min": np.minimum}.items():
    add(f"{op.lower()}_broadcast", [(op, ["x0", "x1"], {}), ("Mul", ["t0", "x2"], {})],
        lambda a, b, f, function=function: function(a, b) * f, [row, column, factor])
add("scalar", [("Mul", ["x0", "x1"], {})], np.multiply, [x, np.float32(3)])
add("clip", [("Clip", ["x0", "x1", "x2"], {}), ("Mul", ["t0", "t0"], {})],
    lambda v, a, b: np.clip(v, a, b) ** 2, [x, Const(np.float32(-0.5)), Const(np.float32(0.4))], zs=(1, 2))
add("where", [("Greater", ["x0", "x1"], {}), ("Where", ["t0", "x0", "x1"], {}), ("Mul", ["t1", "t1"], {})],
    lambda a, b: np.where(a > b, a, b) ** 2, [x, factor - 1])
add("used_twice", [("Mul", ["x0", "x0"], {}), ("Add", ["t0", "x0"], {}), ("Mul", ["t1", "t0"], {})],
    lambda v: (v * v + v) * v * v, [x])

# ---- moves

cube = random(6, 2, 3, 4)
other = random(7, 2, 3, 4)
axes = lambda *values: Const(np.array(values, np.int64))
add("transpose", [("Transpose", ["x0"], {"perm": [2, 0, 1]}), ("Exp", ["t0"], {})], np.exp, [cube])
moved = random(8, 4, 2, 3)
add("transpose_product", [("Transpose", ["x0"], {"perm": [2, 0, 1]}), ("Mul", ["t0", "x1"], {})],
    lambda a, b: a.transpose(2, 0, 1) * b, [cube, moved])
add("reshape", [("Constant", [], {"value_ints": [6, 4]}), ("Reshape", ["x0", "t0"], {}), ("MatMul", ["t1", "x1"], {})],
    lambda a, b: a.reshape(6, 4) @ b, [cube, random(9, 4, 3)])
add("squeeze", [("Constant", [], {"value_ints": [0]}), ("Unsqueeze", ["x0", "t0"], {}), ("Sin", ["t1"], {}),
                ("Squeeze", ["t2", "t0"], {}), ("Mul", ["t3", "x1"], {})],
    lambda a, b: np.sin(a) * b, [cube, other])
add("concat", [("Concat", ["x0", "x1"], {"axis": 1}), ("Mul", ["t0", "t0"], {})],
    lambda a, b: np.concatenate([a, b], 1) ** 2, [cube, random(10, 2, 2, 4)])
add("slice", [("Constant", [], {"value_ints": [1, -1]}), ("Constant", [], {"value_ints": [3, -5]}),
              ("Constant", [], {"value_ints": [1, 2]}), ("Constant", [], {"value_ints": [1, -2]}),
              ("Slice", ["x0", "t0", "t1", "t2", "t3"], {}), ("Mul", ["t4", "t4"], {})],
    lambda a: a[:, 1:3, ::-2] ** 2, [cube])
add("pad", [("Constant", [], {"value_ints": [0, 1, 0, 2, 0, 1]}), ("Pad", ["x0", "t0"], {}), ("Exp", ["t1"], {})],
    lambda a: np.exp(np.pad(a, [(0, 2), (1, 0), (0, 1)])), [cube])
add("tile", [("Constant", [], {"value_ints": [2, 1, 3]}), ("Tile", ["x0", "t0"], {}), ("Mul", ["t1", "x1"], {})],
    lambda a, b: np.tile(a, (2, 1, 3)) * b, [cube, random(11, 4, 3, 12)])
add("expand", [("Constant", [], {"value_ints": [2, 3, 4]}), ("Expand", ["x0", "t0"], {}), ("Mul", ["t1", "x1"], {})],
    lambda a, b: a * b, [random(12, 3, 1), cube])
add("gather", [("Constant", [], {"value": helper.make_tensor("i", 7, [2, 2], [0, 2, -1, 0])}),
               ("Gather", ["x0", "t0"], {"axis": 1}), ("Mul", ["t1", "x1"], {})],
    lambda a, b: a[:, [[0, 2], [-1, 0]]] * b, [cube, random(13, 2, 2, 2, 4)])
add("cum_sum", [("Constant", [], {"value_int": 1}), ("CumSum", ["x0", "t0"], {"exclusive": 1}), ("Mul", ["t1", "x1"], {})],
    lambda a, b: (np.cumsum(a, 1) - a) * b, [cube, other])
add("split", [("Split", ["x0"], {"axis": 2}), ("Mul", ["t0", "t0"], {})], lambda a: a ** 2, [cube])

# ---- reductions, products

for op, function in {"ReduceMean": np.mean, "ReduceMax": np.max, "ReduceMin": np.min}.items():
    add(op.lower(), [(op, ["x0"], {"axes": [0, 2], "keepdims": 0}), ("Mul", ["t0", "x1"], {})],
        lambda a, b, function=function: function(a, axis=(0, 2)) * b, [cube, random(14, 3)])
add("reduce_sum", [("Constant", [], {"value_ints": [-1]}), ("ReduceSum", ["x0", "t0"], {}), ("Mul", ["t1", "t1"], {})],
    lambda a: a.sum(-1, keepdims=True) ** 2, [cube])
add("reduce_l2", [("ReduceL2", ["x0"], {"axes": [1]})], lambda a: np.sqrt((a * a).sum(1)), [cube])
add("matmul", [("MatMul", ["x0", "x1"], {}), ("Mul", ["t0", "t0"], {})],
    lambda a, b: (a @ b) ** 2, [cube, random(15, 4, 2)])
add("matmul_vectors", [("MatMul", ["x0", "x1"], {}), ("MatMul", ["x2", "t0"], {}), ("Exp", ["t1"], {})],
    lambda a, b, c: np.exp(c @ (a @ b)), [random(16, 3, 4), random(17, 4), random(18, 3)])
add("matmul_row", [("MatMul", ["x0", "x1"], {}), ("Mul", ["t0", "t0"], {})],
    lambda a, b: (a @ b) ** 2, [random(19, 3), random(20, 2, 3, 4)])
for a_turned in (0, 1):
    for b_turned in (0, 1):
        a, b = random(21, 3, 4), random(22, 4, 2)
        add(f"gemm_{a_turned}{b_turned}",
            [("Gemm", ["x0", "x1", "x2"], {"alpha": 0.5, "beta": 2.0, "transA": a_turned, "transB": b_turned}),
             ("Mul", ["t0", "t0"], {})],
            lambda a, b, c, ta=a_turned, tb=b_turned: (0.5 * (a.T if ta else a) @ (b.T if tb else b) + 2 * c) ** 2,
            [np.ascontiguousarray(a.T) if a_turned else a, np.ascontiguousarray(b.T) if b_turned else b, random(23, 2)])
add("softmax", [("Softmax", ["x0"], {"axis": 1}), ("Mul", ["t0", "x1"], {})],
    lambda a, b: softmax(a, 1) * b, [cube, other])
add("log_softmax", [("LogSoftmax", ["x0"], {}), ("Mul", ["t0", "x1"], {})],
    lambda a, b: np.log(softmax(a)) * b, [cube, other])


def layer_normalization(a, scale, bias):
    centred = a - a.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * scale + bias


add("layer_normalization", [("LayerNormalization", ["x0", "x1", "x2"], {}), ("Mul", ["t0", "t0"], {})],
    lambda *v: layer_normalization(*v) ** 2, [cube, random(24, 4), random(25, 4)])
add("batch_normalization", [("BatchNormalization", ["x0", "x1", "x2", "x3", "x4"], {}), ("Mul", ["t0", "t0"], {})],
    lambda a, s, b, m, v: (((a.transpose(0, 2, 1) - m) / np.sqrt(v + 1e-5) * s + b) ** 2).transpose(0, 2, 1),
    [cube, random(26, 3), random(27, 3), random(28, 3), random(29, 3, low=0.5, high=2)])


# ---- convolutions and pools


def patches(a, kernel, strides, dilations, pads, fill=0.0):
    """[N, C, P, Q, R, S]: the windows of a padded plane."""
    a = np.pad(a, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=fill)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    counts = [(size - extent) // s + 1 for size, extent, s in zip(a.shape[2:], extents, strides)]
    rows = [[p * strides[0] + r * dilations[0] for r in range(kernel[0])] for p in range(counts[0])]
    columns = [[q * strides[1] + s * dilations[1] for s in range(kernel[1])] for q in range(counts[1])]
    return a[:, :, np.array(rows)[:, None, :, None], np.array(columns)[None, :, None, :]]


def conv(a, w, b, strides, dilations, pads, group):
    windows = patches(a, w.shape[2:], strides, dilations, pads)
    parts = [np.einsum("ncpqrs,mcrs->nmpq", i, j)
             for i, j in zip(np.split(windows, group, 1), np.split(w, group, 0))]
    return np.concatenate(parts, 1) + b[:, None, None]


plane = random(30, 2, 4, 6, 5)
for name, w_shape, strides, dilations, pads, group in (
        ("plain", (3, 4, 3, 2), [1, 1], [1, 1], [0, 0, 0, 0], 1), ("strided", (3, 4, 3, 3), [2, 2], [1, 1], [1, 1, 1, 1], 1),
        ("dilated", (2, 4, 2, 2), [1, 1], [2, 2], [1, 0, 0, 1], 1), ("groups", (6, 2, 3, 3), [2, 1], [1, 1], [1, 1, 1, 1], 2)):
    add(f"conv_{name}",
        [("Conv", ["x0", "x1", "x2"], {"strides": strides, "dilations": dilations, "pads": pads, "group": group}),
         ("Mul", ["t0", "t0"], {})],
        lambda a, w, b, rest=(strides, dilations, pads, group): conv(a, w, b, *rest) ** 2,
        [plane, random(31, *w_shape), random(32, w_shape[0])])
pool = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
add("max_pool", [("MaxPool", ["x0"], pool), ("Mul", ["t0", "t0"], {})],
    lambda a: patches(a, [3, 2], [2, 1], [1, 1], [1, 0, 1, 1], -np.inf).max((4, 5)) ** 2, [plane])
add("average_pool_padded", [("AveragePool", ["x0"], {**pool, "count_include_pad": 1}), ("Mul", ["t0", "t0"], {})],
    lambda a: patches(a, [3, 2], [2, 1], [1, 1], [1, 0, 1, 1]).mean((4, 5)) ** 2, [plane])
add("average_pool", [("AveragePool", ["x0"], pool), ("Mul", ["t0", "t0"], {})],
    lambda a: np.nanmean(patches(a, [3, 2], [2, 1], [1, 1], [1, 0, 1, 1], np.nan), axis=(4, 5)) ** 2, [plane])
add("global_average_pool", [("GlobalAveragePool", ["x0"], {}), ("Mul", ["t0", "t0"], {})],
    lambda a: a.mean((2, 3)) ** 2, [plane])

# ---- a network's loss, a gradient of a gradient, a point other than the model's inputs

add("network", [("Gemm", ["x0", "x1", "x2"], {}), ("Relu", ["t0"], {}), ("MatMul", ["t1", "x3"], {}),
                ("LogSoftmax", ["t2"], {}), ("Mul", ["t3", "x4"], {}), ("ReduceMean", ["t4"], {"keepdims": 0})],
    lambda a, w, b, v, t: np.mean(np.log(softmax(np.maximum(a @ w + b, 0) @ v)) * t),
    [random(40, 5, 4), random(41, 4, 6), random(42, 6), random(43, 6, 3), random(44, 5, 3, low=0, high=1)], zs=(4,))
first = helper.make_node("Gradient", ["x0"], ["t1"], domain=TRAINING, xs=["x0"], y="t0")
CASES.add("twice", "Gradient", [x], {"xs": ["x0"], "y": "t1"},
          before=(helper.make_node("Exp", ["x0"], ["e"]), helper.make_node("Mul", ["e", "x0"], ["t0"]), first),
          expected=[(np.exp(x.astype(np.float64)) * (x + 2.0)).astype(np.float32)])
CASES.add("elsewhere", "Gradient", [x], {"xs": ["u"], "y": "t"},
          before=(helper.make_node("Neg", ["x0"], ["u"]), helper.make_node("Mul", ["u", "u"], ["s"]),
                  helper.make_node("Mul", ["s", "u"], ["t"])),
          expected=[(3 * x.astype(np.float64) ** 2).astype(np.float32)])
CASES.add("without_influence", "Gradient", [x, factor], {"xs": ["x0", "x1"], "y": "t"}, num_outputs=2,
          before=(helper.make_node("Exp", ["x0"], ["t"]),),
          expected=[np.exp(x.astype(np.float64)).astype(np.float32), np.zeros((3, 4), np.float32)])
