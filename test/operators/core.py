"""Operators of ONNX newer than its packaged tests, with values worked out in numpy."""

import numpy as np

from onnx import TensorProto, helper

from case import Collection, Const, Typed, ints, random

CASES = Collection("core")
add = CASES.add
f32 = np.float32


def attention(q, k, v, bias=0.0, scale=None, cap=0.0):
    """y and the scores at each point, of [B, heads, length, size]; heads of keys serve runs of queries."""
    k, v = (np.repeat(t, q.shape[1] // t.shape[1], 1).astype(np.float64) for t in (k, v))
    raw = q @ k.swapaxes(-1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    capped = cap * np.tanh(raw / cap) if cap else raw
    masked = capped + bias
    weights = np.exp(masked - masked.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return [t.astype(f32) for t in (weights @ v, raw, capped, masked, weights)]


def causal(queries, keys, before):
    """What hides later keys; `before`: keys before the first query, for each batch entry."""
    place = np.arange(queries)[:, None] + np.reshape(before, (-1, 1, 1, 1))
    return np.where(np.arange(keys) <= place, 0, -np.inf)


q, k, v = random(1, 2, 4, 3, 8), random(2, 2, 2, 7, 8), random(3, 2, 2, 7, 6)
past_k, past_v = random(4, 2, 2, 5, 8), random(5, 2, 2, 5, 6)
lengths = np.array([4, 7], np.int64)
padding = np.where(np.arange(7) < lengths.reshape(2, 1, 1, 1), 0, -np.inf)
new = {"opset": 24}
add("attention_present", "Attention", [q, k, v, None, past_k, past_v], {"is_causal": 1}, num_outputs=3,
    expected=[attention(q, np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2), causal(3, 12, 5))[0],
              np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)], **new)
add("attention_lengths", "Attention", [q, k, v, None, None, None, lengths],
    expected=[attention(q, k, v, padding)[0]], **new)
add("attention_lengths_causal", "Attention", [q, k, v, None, None, None, lengths], {"is_causal": 1},
    expected=[attention(q, k, v, padding + causal(3, 7, lengths - 3))[0]], **new)
mask = random(6, 3, 7)
add("attention_mask_causal", "Attention", [q, k, v, mask], {"is_causal": 1},
    expected=[attention(q, k, v, mask + causal(3, 7, [0, 0]))[0]], **new)
short = random(7, 3, 5)
add("attention_short_mask", "Attention", [q, k, v, short],
    expected=[attention(q, k, v, np.pad(short, [(0, 0), (0, 2)], constant_values=-np.inf))[0]], **new)
shown = ints(8, 3, 5, high=2).astype(bool) | np.eye(3, 5, dtype=bool)
add("attention_short_bool_mask", "Attention", [q, k, v, shown],
    expected=[attention(q, k, v, np.pad(np.where(shown, 0, -np.inf), [(0, 0), (0, 2)], constant_values=-np.inf))[0]],
    **new)
for mode in range(4):
    parts = attention(q, k, v, mask, cap=1.5)
    add(f"attention_scores_{mode}", "Attention", [q, k, v, mask], {"softcap": 1.5, "qk_matmul_output_mode": mode},
        num_outputs=4, unused=(1, 2), expected=[parts[0], parts[1 + mode]], **new)
flat = lambda t: t.transpose(0, 2, 1, 3).reshape(t.shape[0], t.shape[2], -1)
add("attention_flat_present", "Attention", [flat(q), flat(k), flat(v), None, past_k, past_v],
    {"q_num_heads": 4, "kv_num_heads": 2}, num_outputs=3,
    expected=[flat(attention(q, np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2))[0]),
              np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)], **new)


def written(past, update, places, axis, circular=False):
    present = past.copy()
    for b in range(past.shape[0]):
        for i in range(update.shape[axis]):
            at = (places[b] + i) % past.shape[axis] if circular else places[b] + i
            np.moveaxis(present, axis, 1)[b, at] = np.moveaxis(update, axis, 1)[b, i]
    return present


cache, update = random(10, 2, 3, 6, 5), random(11, 2, 3, 2, 5)
for mode, places in [("linear", [4, 1]), ("circular", [5, 1])]:
    add(f"tensor_scatter_{mode}", "TensorScatter", [cache, update, np.array(places, np.int64)], {"mode": mode},
        expected=[written(cache, update, places, 2, mode == "circular")], **new)
add("tensor_scatter_start", "TensorScatter", [cache, update], expected=[written(cache, update, [0, 0], 2)], **new)
wide = random(12, 2, 3, 6, 2)
add("tensor_scatter_last", "TensorScatter", [cache, wide, np.array([3, 0], np.int64)], {"axis": -1},
    expected=[written(cache, wide, [3, 0], 3)], **new)
rows = ints(13, 2, 6)
add("tensor_scatter_rank_2", "TensorScatter", [rows, ints(14, 2, 2), np.array([1, 4], np.int64)], {"axis": 1},
    expected=[written(rows, ints(14, 2, 2), [1, 4], 1)], **new)


def deform_conv(x, w, offset, b=None, mask=None, group=1, offset_group=1, strides=(1, 1), pads=(0, 0, 0, 0),
                dilations=(1, 1)):
    """Tap by tap, in f64; what lies outside is 0."""
    n, channels, height, width = x.shape
    m, depth, r, s = w.shape
    _, _, p, q = offset.shape
    offset = offset.reshape(n, offset_group, r, s, 2, p, q).astype(np.float64)
    factor = np.ones((n, offset_group, r, s, p, q)) if mask is None else mask.reshape(n, offset_group, r, s, p, q)
    y = np.zeros((n, m, p, q)) + (0 if b is None else b.reshape(1, -1, 1, 1))

    def pixel(image, row, column):
        inside = 0 <= row < height and 0 <= column < width
        return float(image[row, column]) if inside else 0.0

    for i in np.ndindex(n, channels, r, s, p, q):
        e, c, tr, ts, row, column = i
        g = c // (channels // offset_group)
        at_row = row * strides[0] - pads[0] + tr * dilations[0] + offset[e, g, tr, ts, 0, row, column]
        at_column = column * strides[1] - pads[1] + ts * dilations[1] + offset[e, g, tr, ts, 1, row, column]
        top, left = int(np.floor(at_row)), int(np.floor(at_column))
        down, right = at_row - top, at_column - left
        value = ((1 - down) * ((1 - right) * pixel(x[e, c], top, left) + right * pixel(x[e, c], top, left + 1))
                 + down * ((1 - right) * pixel(x[e, c], top + 1, left) + right * pixel(x[e, c], top + 1, left + 1)))
        of_group = c // depth
        outputs = slice(of_group * (m // group), (of_group + 1) * (m // group))
        y[e, outputs, row, column] += w[outputs, c % depth, tr, ts] * value * factor[e, g, tr, ts, row, column]
    return y.astype(f32)


image = random(20, 2, 4, 6, 7)
moved = {"opset": 19}
offset = random(21, 2, 18, 4, 5, low=-2, high=2)
weight = random(22, 3, 4, 3, 3)
add("deform_conv", "DeformConv", [image, weight, offset], expected=[deform_conv(image, weight, offset)], **moved)
factors = random(23, 2, 9, 4, 5, low=0, high=1)
bias = random(24, 3)
add("deform_conv_mask", "DeformConv", [image, weight, offset, bias, factors],
    expected=[deform_conv(image, weight, offset, bias, factors)], **moved)
add("deform_conv_mask_no_bias", "DeformConv", [image, weight, offset, None, factors],
    expected=[deform_conv(image, weight, offset, None, factors)], **moved)
window = {"strides": [2, 1], "pads": [1, 2, 1, 0], "dilations": [1, 2]}
offset = random(25, 2, 16, 4, 7, low=-2, high=2)
weight = random(26, 6, 2, 2, 2)
add("deform_conv_groups", "DeformConv", [image, weight, offset], {"group": 2, "offset_group": 2, **window},
    expected=[deform_conv(image, weight, offset, group=2, offset_group=2, **window)], **moved)


def linear_attention(q, k, v, rule, past=None, decay=None, beta=None, erase=None, q_heads=1, kv_heads=1, scale=None):
    """Step by step, in f64."""
    b, length, _ = q.shape
    split = lambda t, heads: t.reshape(b, length, heads, -1).astype(np.float64)
    q, k, v = split(q, q_heads), split(k, kv_heads), split(v, kv_heads)
    state = np.zeros((b, kv_heads, k.shape[-1], v.shape[-1])) if past is None else past.astype(np.float64)
    decay = None if decay is None else split(decay, kv_heads)
    erase = np.ones_like(k) if erase is None else split(erase, kv_heads)
    out = np.zeros((b, length, q_heads, v.shape[-1]))
    for t in range(length):
        value = v[:, t]
        if decay is not None:
            state = state * np.exp(decay[:, t])[..., None]
        if beta is not None:
            known = np.einsum("bhdm,bhd->bhm", state, k[:, t] * erase[:, t])
            value = beta[:, t].reshape(b, -1, 1) * (value - known)
        state = state + k[:, t, :, :, None] * value[:, :, None, :]
        shown = np.repeat(state, q_heads // kv_heads, 1)
        out[:, t] = np.einsum("bhd,bhdm->bhm", q[:, t], shown) * (scale or 1 / np.sqrt(k.shape[-1]))
    return [out.reshape(b, length, -1).astype(f32), state.astype(f32)]


q, k, v = random(30, 2, 5, 12), random(31, 2, 5, 6), random(32, 2, 5, 22)
state = random(33, 2, 2, 3, 11)
gates = {"decay": random(34, 2, 5, 2, low=-1, high=0), "beta": random(35, 2, 5, 2, low=0, high=1)}
vector = random(36, 2, 5, 6, low=-1, high=0)
heads = {"q_num_heads": 4, "kv_num_heads": 2}
numbers = {"q_heads": 4, "kv_heads": 2}
next_opset = {"opset": 27, "num_outputs": 2}
for rule, used in [("linear", []), ("gated", ["decay"]), ("delta", ["beta"]), ("gated_delta", ["decay", "beta"])]:
    given = {name: gates[name] for name in used}
    inputs = [q, k, v, state, given.get("decay"), given.get("beta")]
    add(f"linear_attention_{rule}", "LinearAttention", inputs, {"update_rule": rule, **heads},
        expected=linear_attention(q, k, v, rule, state, **given, **numbers), **next_opset)
add("linear_attention_start", "LinearAttention", [q, k, v], {"update_rule": "linear", "scale": 0.5, **heads},
    opset=27, expected=linear_attention(q, k, v, "linear", scale=0.5, **numbers)[:1])
add("linear_attention_vector_gates", "LinearAttention",
    [q, k, v, None, vector, gates["beta"][:, :, :1].copy(), random(37, 2, 5, 6)], heads,
    expected=linear_attention(q, k, v, "gated_delta", None, vector, gates["beta"][:, :, :1], random(37, 2, 5, 6), **numbers),
    **next_opset)


def causal_conv(x, w, b=None, past=None, silu=False):
    before = w.shape[2] - 1
    whole = np.concatenate([np.zeros((*x.shape[:2], before), f32) if past is None else past, x], 2)
    y = sum(whole[:, :, i : i + x.shape[2]].astype(np.float64) * w[:, 0, i : i + 1] for i in range(w.shape[2]))
    y = y + (0 if b is None else b.reshape(1, -1, 1))
    return [(y / (1 + np.exp(-y)) if silu else y).astype(f32), whole[:, :, whole.shape[2] - before :]]


signal, taps = random(40, 2, 5, 6), random(41, 5, 1, 4)
add("causal_conv", "CausalConvWithState", [signal, taps], expected=causal_conv(signal, taps), **next_opset)
add("causal_conv_state", "CausalConvWithState", [signal, taps, random(42, 5), random(43, 2, 5, 3)],
    {"activation": "silu"}, expected=causal_conv(signal, taps, random(42, 5), random(43, 2, 5, 3), True), **next_opset)
add("causal_conv_short", "CausalConvWithState", [signal[:, :, :1].copy(), taps, None, random(43, 2, 5, 3)],
    {"activation": "swish"}, expected=causal_conv(signal[:, :, :1], taps, None, random(43, 2, 5, 3), True), **next_opset)
a, b = random(50, 3, 7, low=-3, high=3), random(51, 3, 7)
for alpha in (1.0, 1.7):
    add(f"swiglu_{alpha}", "SwiGLU", [a, b], {"alpha": alpha}, opset=27,
        expected=[(a.astype(np.float64) / (1 + np.exp(-alpha * a.astype(np.float64))) * b).astype(f32)])

draws = lambda seed: np.random.RandomState(seed)
add("random_uniform", "RandomUniform", [], {"shape": [3, 400], "seed": 7.0, "low": -1.0, "high": 3.0}, opset=22,
    expected=[(draws(7).rand(3, 400) * 4 - 1).astype(f32)])
add("random_normal", "RandomNormal", [], {"shape": [3, 5], "seed": 8.0, "mean": 2.0, "scale": 0.5}, opset=22,
    expected=[(draws(8).randn(3, 5) * 0.5 + 2).astype(f32)])
chances = random(60, 4, 9, low=0, high=1)
chances[0, :2] = [0, 1]
add("bernoulli", "Bernoulli", [chances], {"seed": 9.0}, opset=22,
    expected=[draws(9).binomial(1, p=chances.astype(np.float64)).astype(f32)])
signal = random(61, 3, 4, 5)
for ratio in (0.5, 0.75):
    kept = draws(3).uniform(0, 1, signal.shape) >= ratio
    add(f"training_dropout_{ratio}", "Dropout", [signal, Const(f32(ratio)), Const(np.array(True))], {"seed": 3},
        opset=13, num_outputs=2, expected=[np.where(kept, signal / f32(1 - ratio), 0).astype(f32), kept])
training = np.array(True)
kept = draws(3).uniform(0, 1, signal.shape) >= 0.5
add("training_dropout_asked", "Dropout", [signal, Const(f32(0.5)), training], {"seed": 3}, opset=13,
    expected=[np.where(kept, signal * 2, 0)])
bits = ints(62, 3, 7, high=2).astype(bool)
add("bit_cast_bool", "BitCast", [bits], {"to": 3}, opset=26, expected=[bits.astype(np.int8)])
numbers = np.array([-9, -8, -7.75, -1.5, -0.5, 0, 0.5, 1.75, 7, 8, 15, 16], f32)
for name, number, width in [("int4", 22, 4), ("uint4", 21, 4), ("int2", 26, 2), ("uint2", 25, 2)]:
    low = np.trunc(numbers).astype(np.int64) & (2**width - 1)
    add(f"cast_{name}", "Cast", [numbers], {"to": number}, opset=25, expected=[Typed(name, low)])
for size in (8, 10):
    spectrum = random(63, 1, size, 2)
    flat = np.zeros((1, size, 2), f32)
    flat[:, :, 0] = 1
    for name, values in [("random", spectrum), ("flat", flat)]:
        signal = np.fft.ifft(values[..., 0].astype(np.float64) + 1j * values[..., 1], axis=1)
        add(f"inverse_dft_{name}_{size}", "DFT", [values, None, Const(np.int64(1))], {"inverse": 1}, opset=20,
            expected=[np.stack([signal.real, signal.imag], -1).astype(f32)])

words = np.array([["www.google.com", "www.facebook.com"], ["www.bbc.co.uk", ""]], dtype=object)
add("regex", "RegexFullMatch", [words], {"pattern": r"www\.[\w.-]+\.\bcom\b"}, opset=20,
    expected=[np.array([[True, True], [False, False]])])


def scores_graph(op, number):
    """One step on scores: a graph with one input and one output."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("s", "t")]
    constant = helper.make_tensor("c", TensorProto.FLOAT, [], [number])
    return helper.make_graph([helper.make_node(op, ["s", "c"], ["t"])], "step", info[:1], info[1:], [constant])


preview = {"domain": "ai.onnx.preview", "opset": 1}
q, k, v = random(70, 2, 4, 3, 8), random(71, 2, 2, 7, 8), random(72, 2, 2, 7, 6)
add("flex_attention", "FlexAttention", [q, k, v], expected=attention(q, k, v)[:1], **preview)
add("flex_attention_scale", "FlexAttention", [q, k, v], {"scale": 0.25}, expected=attention(q, k, v, scale=0.25)[:1],
    **preview)
add("flex_attention_steps", "FlexAttention", [q, k, v],
    {"score_mod": scores_graph("Mul", 0.5), "prob_mod": scores_graph("Add", 0.25)},
    expected=[(attention(q, k, v, scale=0.5 / np.sqrt(8))[0]
               + 0.25 * np.repeat(v, 2, 1).astype(np.float64).sum(2, keepdims=True)).astype(f32)], **preview)

# ---- selections


def suppressed(boxes, scores, limit, threshold, is_centred=False):
    """Every box with every one that stays, as the specification says it."""
    rows = []
    wide = boxes.astype(np.float64)
    if is_centred:
        x, y, w, h = np.moveaxis(wide, -1, 0)
        wide = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)
    low, high = np.minimum(wide[..., :2], wide[..., 2:]), np.maximum(wide[..., :2], wide[..., 2:])
    for batch in range(len(scores)):
        for label, line in enumerate(scores[batch]):
            kept = []
            for i in np.argsort(-line, kind="stable"):
                if len(kept) == limit:
                    break
                lows, highs = low[batch][kept + [i]], high[batch][kept + [i]]
                sides = np.maximum(np.minimum(highs[:-1], highs[-1]) - np.maximum(lows[:-1], lows[-1]), 0)
                areas = np.prod(highs - lows, -1)
                shared = np.prod(sides, -1)
                if np.all(shared <= threshold * (areas[:-1] + areas[-1] - shared)):
                    kept.append(i)
            rows += [[batch, label, i] for i in kept]
    return np.array(rows, np.int64).reshape(-1, 3)


def random_boxes(seed, count, largest):
    """Boxes of all sizes up to `largest`, from 1 on."""
    corner = random(seed, 1, count, 2, low=0, high=1000)
    sizes = 2 ** random(seed + 1, 1, count, 2, low=0, high=np.log2(largest))
    return np.concatenate([corner, corner + sizes], -1).astype(np.float32)


scores = random(120, 1, 2, 300, low=0, high=1)
grid_boxes = np.concatenate([random_boxes(124, 300, 300)[..., :2], np.full((1, 300, 2), 10, np.float32)], -1)
for name, boxes, limit, threshold, is_centred in (
        ("small", random_boxes(121, 300, 30), 300, 0.1, False), ("all_sizes", random_boxes(122, 300, 900), 300, 0.3, False),
        ("limited", random_boxes(122, 300, 900), 7, 0.3, False), ("no_overlap", random_boxes(123, 300, 500), 300, 0.0, False),
        ("one_column", random_boxes(123, 300, 500) * np.array([1, 0, 1, 0], np.float32) + np.array([0, 0, 0, 9], np.float32),
         300, 0.2, False),
        ("offset_by_class", random_boxes(122, 300, 900) + ints(125, 1, 300, 1, high=20).astype(np.float32) * 2000, 300, 0.3,
         False),
        ("centred", grid_boxes, 300, 0.1, True)):
    add(f"suppression_{name}", "NonMaxSuppression",
        [boxes, scores, Const(np.int64(limit)), Const(np.float32(threshold))], {"center_point_box": int(is_centred)},
        opset=11, expected=[suppressed(boxes, scores, limit, np.float32(threshold), is_centred)])
endless = random_boxes(121, 4, 30)
endless[0, 2, 2:] = np.inf
add("suppression_endless", "NonMaxSuppression",
    [endless, np.array([[[1, 4, 3, 2]]], np.float32), Const(np.int64(4)), Const(np.float32(0.1))], opset=11,
    expected=[np.array([[0, 0, i] for i in (1, 2, 3, 0)], np.int64)])


def best(x, k, largest):
    """NaN is the greatest; of equal ones the first comes first."""
    order = np.argsort(np.where(np.isnan(x), np.inf, x), -1, kind="stable")
    if largest:
        order = x.shape[-1] - 1 - np.argsort(np.where(np.isnan(x), np.inf, x)[..., ::-1], -1, kind="stable")[..., ::-1]
    order = order[..., :k]
    return [np.take_along_axis(x, order, -1), order.astype(np.int64)]


tied = np.round(random(126, 3, 200, low=-20, high=20)) + np.float32(0)
tied[1, 40] = np.nan
for k in (1, 5, 60, 200):
    for largest in (0, 1):
        # The number of elements is known when the model runs, so that the host selects.
        add(f"top_{k}_of_200_{largest}", "TopK", [tied, np.array([k], np.int64)], {"largest": largest}, opset=11,
            num_outputs=2, expected=best(tied, k, largest))
        add(f"top_{k}_of_200_{largest}_static", "TopK", [tied, Const(np.array([k], np.int64))], {"largest": largest},
            opset=11, num_outputs=2, expected=best(tied, k, largest))

# ---- rows whose number follows from data, through layers of a network


def network_of_kept(name, scores, limit):
    """Of the rows that score above a half, `limit` at most go through two layers."""
    kept = np.flatnonzero(scores > 0.5)[:limit]
    rows, w, b, v = random(130, 20, 6), random(131, 6, 40), random(132, 40), random(133, 40, 3)
    before = (
        helper.make_node("Greater", ["x0", "x1"], ["is_kept"]), helper.make_node("NonZero", ["is_kept"], ["where"]),
        helper.make_node("Squeeze", ["where", "x2"], ["line"]),
        helper.make_node("Slice", ["line", "x2", "x3", "x2"], ["kept"]), helper.make_node("Gather", ["x4", "kept"], ["t"]),
        helper.make_node("Gemm", ["t", "x5", "x6"], ["u"]), helper.make_node("Relu", ["u"], ["r"]), helper.make_node("MatMul", ["r", "x7"], ["z"]))
    zero = Const(np.array([0], np.int64))
    inputs = [scores, Const(np.float32(0.5)), Const(np.array([0], np.int64)), Const(np.array([limit], np.int64)), rows,
              Const(w), Const(b), Const(v)]
    y = np.maximum(rows[kept].astype(np.float64) @ w + b, 0) @ v
    weights = np.exp(y - y.max(-1, keepdims=True, initial=0))
    add(f"kept_rows_{name}", "Softmax", inputs, {"axis": 1}, opset=13, before=before, reads=("z",),
        expected=[(weights / weights.sum(-1, keepdims=True)).astype(f32)])


for name, scores, limit in (("some", random(134, 20, low=0, high=1), 12), ("limited", random(134, 20, low=0.4, high=1), 5),
                            ("none", random(134, 20, low=0, high=0.4), 12), ("all", random(134, 20, low=0.6, high=1), 20)):
    network_of_kept(name, scores, limit)
