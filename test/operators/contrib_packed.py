"""com.microsoft's operators on packed tokens, and its Fourier transforms. ONNX Runtime has most of
them on GPUs only: the values are numpy's."""

import numpy as np

from case import MICROSOFT, Collection, Const, coarse
from case import coarse_random as random

CASES = Collection("packed", domain=MICROSOFT)
add = CASES.add

i32 = np.int32
counts = np.array([1, 2, 4], i32)
is_token = np.arange(4) < counts[:, None]
offsets = np.concatenate([np.flatnonzero(is_token), np.flatnonzero(~is_token)]).reshape(3, 4).astype(i32)
bounds = np.concatenate([[0], np.cumsum(counts)]).astype(i32)
padded = random(1, 3, 4, 6)
add("remove_padding", "RemovePadding", [padded, counts], num_outputs=4,
    expected=[padded[is_token], offsets, bounds, np.array([4], i32)])
tokens = random(2, 7, 6)
restored = np.zeros((3, 4, 6), np.float32)
restored[is_token] = tokens
add("restore_padding", "RestorePadding", [tokens, offsets], expected=[restored])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, heads, scale=None, bias=None):
    """Of tokens [T, heads * size], between those of one sequence each."""
    rows = []
    for e in range(3):
        part = [np.stack(np.split(x[bounds[e]:bounds[e + 1]].astype(np.float64), heads, -1)) for x in (q, k, v)]
        factor = 1 / np.sqrt(part[0].shape[-1]) if scale is None else scale
        scores = part[0] @ part[1].swapaxes(-1, -2) * factor
        if bias is not None:
            scores = scores + bias[e % len(bias), :, :counts[e], :counts[e]]
        rows.append(np.concatenate(list(softmax(scores) @ part[2]), -1))
    return np.concatenate(rows).astype(np.float32)


w, b = random(3, 6, 24), random(4, 24)
parts = np.split(tokens.astype(np.float64) @ w + b, 3, -1)
score_bias = random(5, 1, 2, 4, 4)
inputs = [tokens, Const(w), Const(b), offsets, bounds]
add("attention", "PackedAttention", inputs, {"num_heads": 2}, expected=[attention(*parts, 2)])
add("attention_bias", "PackedAttention", [*inputs, score_bias], {"num_heads": 2, "scale": 0.4},
    expected=[attention(*parts, 2, 0.4, score_bias)])
wide = [Const(random(6, 6, 28)), Const(random(7, 28))]
parts = np.split(tokens.astype(np.float64) @ wide[0].value + wide[1].value, [8, 16], -1)
add("attention_sizes", "PackedAttention", [tokens, *wide, offsets, bounds],
    {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 12]}, expected=[attention(*parts, 2)])
q, k, v = random(8, 7, 8), random(9, 7, 8), random(10, 7, 8)
add("multi_head", "PackedMultiHeadAttention", [q, k, v, None, offsets, bounds], {"num_heads": 2},
    expected=[attention(q, k, v, 2)])
add("multi_head_bias", "PackedMultiHeadAttention", [q, k, v, Const(b), offsets, bounds, score_bias], {"num_heads": 2},
    expected=[attention(q + b[:8], k + b[8:16], v + b[16:], 2, None, score_bias)])
joined = np.stack([x.reshape(7, 2, 4) for x in (q, k, v)], 2)
add("multi_head_joined", "PackedMultiHeadAttention", [joined, None, None, None, offsets, bounds], {"num_heads": 2},
    expected=[attention(q, k, v, 2)])


def gated_bias(query, rel_pos, weight, bias, eco_a):
    """query [B, S, 2 * size] with its bias added."""
    by_head = query.reshape(3, 4, 2, -1).transpose(0, 2, 1, 3).astype(np.float64)
    gates = (by_head @ weight + bias).reshape(3, 2, 4, 2, -1).sum(-1)
    u, r = np.split(1 / (1 + np.exp(-gates)), 2, -1)
    return ((u * (r * eco_a - 1) + 2) * rel_pos).astype(np.float32)


query, query_bias = random(11, 3, 4, 12), random(12, 12)
rest = [random(13, 1, 2, 4, 4), random(14, 6, 8), random(15, 8), random(16, 1, 2, 1, 1)]
add("gated_bias", "GatedRelativePositionBias", [query, Const(query_bias), rest[0], *map(Const, rest[1:])],
    {"num_heads": 2}, expected=[gated_bias(query + query_bias, *rest)])
packed_query = random(17, 7, 12)
unpacked = np.zeros((3, 4, 12), np.float32)
unpacked[is_token] = packed_query + query_bias
# Of padding the gates are those of zeros without a bias.
add("gated_bias_packed", "GatedRelativePositionBias",
    [packed_query, Const(query_bias), rest[0], *map(Const, rest[1:]), offsets], {"num_heads": 2},
    expected=[gated_bias(unpacked, *rest)])


def pairs(x):
    return np.stack([x.real, x.imag], -1).astype(np.float32)


signal = random(20, 2, 6, 8)
bins = coarse(pairs(np.fft.rfft(random(22, 2, 6, 8).astype(np.float64))))
complex_spectrum = bins[..., 0] + 1j * bins[..., 1].astype(np.float64)
add("rfft", "Rfft", [signal], {"signal_ndim": 1, "normalized": 0, "onesided": 1},
    expected=[pairs(np.fft.rfft(signal.astype(np.float64)))])
add("rfft_2", "Rfft", [signal], {"signal_ndim": 2, "normalized": 0, "onesided": 1},
    expected=[pairs(np.fft.rfft2(signal.astype(np.float64)))])
add("irfft", "Irfft", [bins], {"signal_ndim": 1, "normalized": 0, "onesided": 1},
    expected=[np.fft.irfft(complex_spectrum).astype(np.float32)])
plane = np.fft.rfft2(random(22, 2, 6, 8).astype(np.float64))
add("irfft_2", "Irfft", [pairs(plane)], {"signal_ndim": 2, "normalized": 0, "onesided": 1},
    expected=[np.fft.irfft2(plane).astype(np.float32)])
a, c = random(23, 2, 3, 4, 2), random(24, 3, 1, 2)
wide_a, wide_c = a[..., 0] + 1j * a[..., 1], c[..., 0] + 1j * c[..., 1]
add("complex_mul", "ComplexMul", [a, c], expected=[pairs(wide_a * wide_c)])
add("complex_mul_conj", "ComplexMulConj", [a, c], expected=[pairs(wide_a * np.conj(wide_c))])
