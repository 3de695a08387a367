"""com.microsoft's attention operators."""

import numpy as np

from case import MICROSOFT, Collection, Const, ints, random

CASES = Collection("attention", domain=MICROSOFT)
add = CASES.add

i32 = np.int32
x, w, b = random(1, 2, 5, 6), Const(random(2, 6, 24)), Const(random(3, 24))
heads = {"num_heads": 2}
add("plain", "Attention", [x, w, b], heads)
add("unidirectional", "Attention", [x, w, b], {**heads, "unidirectional": 1})
add("scale", "Attention", [x, w, b], {**heads, "scale": 0.25})
add("hidden_sizes", "Attention", [x, Const(random(4, 6, 28)), Const(random(5, 28))],
    {**heads, "qkv_hidden_sizes": [8, 8, 12]})
add("mask_lengths", "Attention", [x, w, b, np.array([3, 5], i32)], heads)
add("mask_ends", "Attention", [x, w, b, np.array([3, 5, 0, 2], i32)], heads)
add("mask_2d", "Attention", [x, w, b, np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], i32)], heads)
add("mask_3d", "Attention", [x, w, b, ints(6, 2, 5, 5, high=2, dtype=i32) | np.eye(5, dtype=i32)], heads)
add("mask_filter", "Attention", [x, w, b, np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], i32)],
    {**heads, "mask_filter_value": -2.0})
add("bias", "Attention", [x, w, b, None, None, random(7, 2, 2, 5, 5)], heads)
add("past", "Attention", [x, w, b, None, random(8, 2, 2, 2, 3, 4)], heads, num_outputs=2)
add("past_causal", "Attention", [x, w, b, None, random(8, 2, 2, 2, 3, 4)], {**heads, "unidirectional": 1},
    num_outputs=2)
add("past_mask", "Attention", [x, w, b, ints(9, 2, 8, high=2, dtype=i32) | 1, random(8, 2, 2, 2, 3, 4)], heads,
    num_outputs=2)
add("present", "Attention", [x, w, b], heads, num_outputs=2)
u8 = np.uint8
quantised = [ints(10, 2, 5, 6, high=256, dtype=u8), Const(ints(11, 6, 24, high=256, dtype=u8)), b,
             Const(np.float32(0.02)), Const(np.float32(0.01)), None, Const(u8(128)), Const(u8(120))]
add("quantised", "QAttention", quantised, heads)
add("quantised_causal", "QAttention", [*quantised[:5], np.array([3, 5], i32), *quantised[6:]],
    {**heads, "unidirectional": 1})

q, k, v = random(20, 2, 5, 8), random(21, 2, 7, 8), random(22, 2, 7, 12)
add("multi_head", "MultiHeadAttention", [q, k, v], heads)
add("multi_head_bias", "MultiHeadAttention", [q, k, v, Const(random(23, 28))], heads)
add("multi_head_lengths", "MultiHeadAttention", [q, k, v, None, np.array([4, 7], i32)], heads)
add("multi_head_mask", "MultiHeadAttention", [q, k, v, None, ints(24, 2, 7, high=2, dtype=i32)], heads)
add("multi_head_mask_3d", "MultiHeadAttention", [q, k, v, None, ints(25, 2, 5, 7, high=2, dtype=i32)], heads)
add("multi_head_attention_bias", "MultiHeadAttention", [q, k, v, None, None, random(26, 1, 2, 5, 7)], heads)
add("multi_head_present", "MultiHeadAttention", [q, k, random(22, 2, 7, 8)], heads, num_outputs=3)
past = [random(27, 2, 2, 3, 4), random(28, 2, 2, 3, 4)]
own = [random(21, 2, 5, 8), random(22, 2, 5, 8)]
add("multi_head_past", "MultiHeadAttention", [q, *own, None, None, None, *past], heads, num_outputs=3)
add("multi_head_past_causal", "MultiHeadAttention", [q, *own, Const(random(29, 24)), None, None, *past],
    {**heads, "unidirectional": 1}, num_outputs=3)


def attention(q, k, v):
    """Of [B, L, heads, size]."""
    q, k, v = (t.transpose(0, 2, 1, 3).astype(np.float64) for t in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    y = weights / weights.sum(-1, keepdims=True) @ v
    return y.transpose(0, 2, 1, 3).reshape(*y.transpose(0, 2, 1, 3).shape[:2], -1).astype(np.float32)


packed, packed_keys = random(30, 2, 5, 2, 3, 4), random(31, 2, 7, 2, 2, 4)
add("multi_head_packed", "MultiHeadAttention", [packed], heads,
    expected=[attention(packed[:, :, :, 0], packed[:, :, :, 1], packed[:, :, :, 2])])
add("multi_head_packed_keys", "MultiHeadAttention", [q, packed_keys], heads,
    expected=[attention(q.reshape(2, 5, 2, 4), packed_keys[:, :, :, 0], packed_keys[:, :, :, 1])])
add("multi_head_cross", "MultiHeadAttention", [q, random(32, 2, 2, 7, 4), random(33, 2, 2, 7, 4)], heads)

tables = [Const(np.cos(random(40, 16, 4, low=0, high=3))), Const(np.sin(random(40, 16, 4, low=0, high=3)))]
tokens = random(41, 2, 5, 24)
add("rotary", "RotaryEmbedding", [tokens, ints(42, 2, 5, high=16), *tables])
add("rotary_offset", "RotaryEmbedding", [tokens, np.array([3], np.int64), *tables])
add("rotary_interleaved", "RotaryEmbedding", [tokens, ints(42, 2, 5, high=16), *tables], {"interleaved": 1})
add("rotary_4d", "RotaryEmbedding", [random(43, 2, 3, 5, 8), ints(42, 2, 5, high=16), *tables])
add("rotary_partial", "RotaryEmbedding", [random(44, 2, 5, 36), ints(42, 2, 5, high=16), *tables],
    {"num_heads": 3, "rotary_embedding_dim": 8})


def group(name, batch, queries, total, lengths, cache, attributes=None, rotary=False, packed=False, tail=(),
          num_outputs=3, expected=None):
    """GroupQueryAttention of 4 heads over 2 of keys, of 8 numbers each, or 16 where they turn."""
    size = 16 if rotary or tail else 8
    q = random(50, batch, queries, 4 * size)
    k, v = random(51, batch, queries, 2 * size), random(52, batch, queries, 2 * size)
    inputs = [np.concatenate([q, k, v], -1), None, None] if packed else [q, k, v]
    caches = [random(53 + i, batch, 2, cache, size) for i in range(2)] if cache else [None, None]
    inputs += [*caches, np.array(lengths, i32), Const(np.array(total, i32))]
    if rotary or tail:
        angles = random(56, 16, 8, low=0, high=3)
        inputs += [Const(np.cos(angles)), Const(np.sin(angles))]
    settings = {"num_heads": 4, "kv_num_heads": 2, "do_rotary": int(rotary), **(attributes or {})}
    add(f"group_query_{name}", "GroupQueryAttention", [*inputs, *tail], settings, num_outputs=num_outputs,
        expected=expected)


group("prompt", 2, 5, 5, [4, 4], 0)
group("prompt_rotary", 2, 5, 5, [4, 4], 0, rotary=True)
group("prompt_packed", 2, 5, 5, [4, 4], 0, rotary=True, packed=True)
group("prompt_window", 1, 6, 6, [5], 0, {"local_window_size": 3})
group("prompt_softcap", 1, 6, 6, [5], 0, {"softcap": 0.5, "scale": 0.5})
group("prompt_smooth", 1, 5, 5, [4], 0, {"smooth_softmax": 1})
group("prompt_interleaved", 1, 5, 5, [4], 0, {"rotary_interleaved": 1}, rotary=True)
group("token", 2, 1, 7, [6, 6], 6)
group("token_rotary", 2, 1, 7, [6, 6], 6, rotary=True)


def ragged(lengths):
    """What one token of each entry sees: its own part of the cache, and itself."""
    query, key, value = random(50, 2, 1, 32), random(51, 2, 1, 16), random(52, 2, 1, 16)
    rows = []
    for entry, length in enumerate(lengths):
        parts = [np.concatenate([random(53 + i, 2, 2, 6, 8)[entry].transpose(1, 0, 2)[:length],
                                 new[entry].reshape(1, 2, 8)]) for i, new in enumerate((key, value))]
        wide = [np.repeat(part, 2, 1)[None] for part in parts]
        rows.append(attention(query[entry].reshape(1, 1, 4, 8), *wide))
    return np.concatenate(rows)


group("token_lengths", 2, 1, 7, [6, 4], 6, num_outputs=1, expected=[ragged([6, 4])])
group("token_window", 2, 1, 7, [6, 6], 6, {"local_window_size": 4})
group("token_smooth", 2, 1, 7, [6, 5], 6, {"smooth_softmax": 1})
group("more_tokens", 1, 3, 9, [8], 6, rotary=True)
group("sink", 1, 5, 5, [4], 0, tail=(None, None, Const(random(55, 4))))
