"""com.microsoft operators on quantised tensors."""

import numpy as np

from case import MICROSOFT, Collection, Const, ints, random

CASES = Collection("quantized", domain=MICROSOFT)
add = CASES.add

u8, i8 = np.uint8, np.int8


def scale(value):
    return Const(np.float32(value))


def zero(value, dtype=u8):
    return Const(dtype(value))


def byte(seed, *shape, dtype=u8):
    low = -128 if dtype is i8 else 0
    return ints(seed, *shape, low=low, high=low + 256, dtype=dtype)


a, b = byte(1, 2, 3, 8), byte(2, 2, 3, 8)
sa, sb = byte(3, 2, 3, 8, dtype=i8), byte(4, 1, 8, dtype=i8)
for name in ("Add", "Mul"):
    add(f"q_linear_{name}", f"QLinear{name}",
        [a, scale(0.0314), zero(120), b, scale(0.0517), zero(90), scale(0.0713), zero(128)])
    add(f"q_linear_{name}_signed", f"QLinear{name}",
        [sa, scale(0.0314), zero(-5, i8), sb, scale(0.0517), zero(7, i8), scale(0.0619), zero(3, i8)])
add("q_linear_Sigmoid", "QLinearSigmoid", [a, scale(0.0517), zero(120), scale(1 / 256), zero(0)])
add("q_linear_LeakyRelu", "QLinearLeakyRelu", [sa, scale(0.0517), zero(4, i8), scale(0.0431), zero(-3, i8)],
    {"alpha": 0.2})
add("q_linear_Softmax", "QLinearSoftmax", [a, scale(0.0431), zero(120), scale(1 / 256), zero(0)],
    {"axis": -1, "opset": 13})
add("q_linear_Softmax_12", "QLinearSoftmax", [a, scale(0.0431), zero(120), scale(1 / 256), zero(0)],
    {"axis": 1, "opset": 12})
image = byte(5, 1, 4, 6, 7)
add("q_linear_GlobalAveragePool", "QLinearGlobalAveragePool",
    [image, scale(0.0517), zero(100), scale(0.0431), zero(110)], {"channels_last": 0})
add("q_linear_GlobalAveragePool_last", "QLinearGlobalAveragePool",
    [byte(6, 2, 5, 4, 8), scale(0.0517), zero(100), scale(0.0431), zero(110)], {"channels_last": 1})
for last in (0, 1):
    add(f"q_linear_AveragePool_{last}", "QLinearAveragePool",
        [image, scale(0.0517), zero(100), scale(0.0431), zero(110)],
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1], "channels_last": last})
add("q_linear_Concat", "QLinearConcat",
    [scale(0.0517), zero(100), a, scale(0.0431), zero(90), byte(7, 2, 4, 8), scale(0.0713), zero(120)], {"axis": 1})
add("q_linear_Where", "QLinearWhere",
    [ints(8, 2, 3, 8, high=2).astype(bool), a, scale(0.0314), zero(120), b, scale(0.0517), zero(90), scale(0.0713),
     zero(128)])
add("q_linear_ReduceMean", "QLinearReduceMean", [a, scale(0.0314), zero(120), scale(0.0227), zero(100)],
    {"axes": [1], "keepdims": 1},
    expected=[np.clip(np.rint(((a.astype(np.float64) - 120) * 0.0314).mean(1, keepdims=True) / 0.0227) + 100, 0, 255)
              .astype(u8)])
conv = [scale(0.0227), zero(110), Const(byte(10, 5, 3, 3, 4, dtype=i8)), scale(0.01), zero(0, i8), scale(0.3), zero(120)]
add("q_linear_Conv_last", "QLinearConv", [byte(9, 1, 6, 7, 4), conv[0], conv[1],
    Const(byte(10, 5, 4, 3, 3, dtype=i8)), *conv[3:]], {"channels_last": 1, "pads": [1, 1, 1, 1]})
add("nhwc_max_pool", "NhwcMaxPool", [byte(11, 1, 6, 7, 4)], {"kernel_shape": [2, 3], "strides": [2, 1]})

m, n = byte(12, 4, 7), byte(13, 7, 9, dtype=i8)
columns = Const(random(14, 9, low=0.01, high=0.05))
add("q_gemm_float", "QGemm", [m, scale(0.0314), zero(120), Const(n), columns, Const(ints(15, 9, low=-5, high=5, dtype=i8)),
    Const(ints(16, 9, low=-900, high=900, dtype=np.int32))], {"alpha": 0.5})
add("q_gemm", "QGemm", [m, scale(0.0314), zero(120), Const(n.T.copy()), scale(0.0227), zero(3, i8),
    Const(ints(16, 9, low=-900, high=900, dtype=np.int32)), scale(0.7), zero(100)], {"transB": 1})
add("q_gemm_no_c", "QGemm", [m, scale(0.0314), zero(120), Const(n), scale(0.0227), zero(0, i8), None, scale(0.7), zero(100)])
add("matmul_integer_to_float", "MatMulIntegerToFloat",
    [byte(17, 2, 4, 7), Const(n), scale(0.0314), columns, zero(120), Const(np.zeros(9, i8)), Const(random(18, 9))])
add("matmul_integer_to_float_plain", "MatMulIntegerToFloat", [m, Const(n), scale(0.0314), scale(0.0227)])
add("dynamic_quantize_matmul", "DynamicQuantizeMatMul",
    [random(19, 2, 4, 7), Const(n), scale(0.0227), zero(3, i8), Const(random(20, 9))])
add("dynamic_quantize_matmul_columns", "DynamicQuantizeMatMul", [random(19, 2, 4, 7), Const(n), columns])

for bits, block, k in [(4, 16, 32), (4, 16, 40), (8, 16, 40), (2, 16, 32)]:
    blocks = -(-k // block)
    packed = Const(byte(21 + bits, 9, blocks, block * bits // 8))
    scales = Const(random(22, 9 * blocks, low=0.01, high=0.1))
    x = random(23, 3, k)
    attributes = {"K": k, "N": 9, "bits": bits, "block_size": block}
    add(f"matmul_{bits}_bits_{k}", "MatMulNBits", [x, packed, scales], attributes)
    add(f"matmul_{bits}_bits_{k}_zero", "MatMulNBits",
        [x, packed, scales, Const(byte(24, 9 * (-(-blocks * bits // 8))))], attributes)
add("matmul_4_bits_float_zero_bias", "MatMulNBits",
    [random(23, 2, 3, 32), Const(byte(25, 9, 2, 8)), Const(random(22, 18, low=0.01, high=0.1)),
     Const(random(26, 18, low=6, high=9)), None, Const(random(27, 9))],
    {"K": 32, "N": 9, "bits": 4, "block_size": 16})
groups = np.repeat(np.arange(2, dtype=np.int32), 16)[np.argsort(random(36, 32))]
nibbles = [random(23, 3, 32), Const(byte(25, 9, 2, 8)), Const(random(22, 18, low=0.01, high=0.1))]
four = {"K": 32, "N": 9, "bits": 4, "block_size": 16}
add("matmul_4_bits_groups", "MatMulNBits", [*nibbles, None, Const(groups)], four)
low_first = lambda packed, columns: np.stack([packed & 15, packed >> 4], -1).reshape(9, columns).astype(np.float64)
steps = low_first(byte(25, 9, 2, 8), 32) - low_first(byte(24, 9), 2)[:, groups]
add("matmul_4_bits_groups_zero", "MatMulNBits", [*nibbles, Const(byte(24, 9)), Const(groups)], four,
    expected=[(random(23, 3, 32) @ (steps * random(22, 18, low=0.01, high=0.1).reshape(9, 2)[:, groups]).T)
              .astype(np.float32)])
for kind in (0, 1):
    add(f"matmul_bnb4_{kind}", "MatMulBnb4",
        [random(28, 3, 32), Const(byte(29, 9 * 16)), Const(random(30, 18, low=0.1, high=1))],
        {"K": 32, "N": 9, "block_size": 16, "quant_type": kind})
add("gather_block_quantized_8", "GatherBlockQuantized",
    [Const(byte(31, 6, 32)), ints(32, 2, 3, high=6), Const(random(33, 6, 2, low=0.01, high=0.1)),
     Const(byte(34, 6, 2))], {"gather_axis": 0, "quantize_axis": 1, "block_size": 16, "bits": 8})
add("gather_block_quantized_4", "GatherBlockQuantized",
    [Const(byte(35, 6, 16)), ints(32, 4, high=6), Const(random(33, 6, 2, low=0.01, high=0.1))],
    {"gather_axis": 0, "quantize_axis": 1, "block_size": 16, "bits": 4})


def lstm(x, w, r, bias):
    """One direction, gates i, o, f, c; the states of all steps, and the last ones."""
    hidden = r.shape[1]
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    h = c = np.zeros((x.shape[1], hidden))
    states = []
    for step in x.astype(np.float64):
        gates = step @ w.T + h @ r.T + bias[: 4 * hidden] + bias[4 * hidden :]
        i, o, f, g = np.split(gates, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)[:, None].astype(np.float32), h[None].astype(np.float32), c[None].astype(np.float32)


sequence, hidden = random(40, 3, 2, 5), 4
weight, recurrence = byte(41, 1, 5, 16, dtype=i8), byte(42, 1, 4, 16, dtype=i8)
gates = random(43, 1, 32)
add("dynamic_quantize_lstm", "DynamicQuantizeLSTM",
    [sequence, Const(weight), Const(recurrence), Const(gates), None, None, None, None,
     Const(np.array([0.01], np.float32)), Const(np.array([3], i8)), Const(np.array([0.02], np.float32)),
     Const(np.array([-2], i8))], {"hidden_size": hidden}, num_outputs=3,
    expected=list(lstm(sequence, (weight[0].T.astype(float) - 3) * np.float32(0.01),
                       (recurrence[0].T.astype(float) + 2) * np.float32(0.02), gates[0])))
