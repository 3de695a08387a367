"""com.microsoft's attention for one token at a time, over caches and over sparse blocks."""

import numpy as np

from case import MICROSOFT, Collection, Const, coarse, ints
from case import coarse_random as random

CASES = Collection("decoding", domain=MICROSOFT)
add = CASES.add

i32 = np.int32
heads = {"num_heads": 2}
q, k, v = random(1, 3, 1, 8), random(2, 3, 1, 8), random(3, 3, 1, 8)
past = [random(4, 3, 2, 4, 4), random(5, 3, 2, 4, 4)]
mask = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 0, 0, 1]], i32)
bias = Const(random(6, 24))
op = "DecoderMaskedMultiHeadAttention"

add("cross", op, [q, *past], heads)
add("cross_mask", op, [q, *past, mask[:, 1:]], heads)

# Caches with room for 8 keys, of which the first 4 are there.
room = [random(8, 4, 2, 8, 4), random(9, 4, 2, 8, 4)]
four = [random(10, 4, 1, 8), random(11, 4, 1, 8), random(12, 4, 1, 8)]
shared = {**heads, "past_present_share_buffer": 1}
length, beams = np.array([4], i32), Const(np.array([2], i32))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def one_token(query, key, value, room, length, order=None, keys_seen=None, scale=0.5,
              score_bias=0):
    """[B, 1, 2 * 4] over caches [B, 2, M, 4]; `order` [B / W, W, M] names the beam of each old key."""
    caches = [x.copy() for x in room]
    for cache, new in zip(caches, (key, value)):
        cache[:, :, length] = new.reshape(-1, 2, 4)
    rows = []
    for b in range(query.shape[0]):
        parts = []
        for cache in caches:
            part = cache[b, :, :length + 1].astype(np.float64).copy()
            if order is not None:
                width = order.shape[1]
                for j in range(length):
                    part[:, j] = cache[b // width * width + order[b // width, b % width, j], :, j]
            parts.append(part)
        scores = np.einsum("nh,nth->nt", query[b].reshape(2, 4), parts[0]) * scale
        if keys_seen is not None:
            scores = np.where(keys_seen[b, :length + 1] != 0, scores, scores - 10000)
        scores = scores + np.squeeze(score_bias)
        rows.append(np.einsum("nt,nth->nh", softmax(scores), parts[1]).reshape(1, 8))
    return [np.stack(rows).astype(np.float32), *caches]

def behind(cache, count=1):
    return np.concatenate([cache, np.zeros((*cache.shape[:2], count, 4), np.float32)], 2)


grown = [behind(c) for c in past]
add("self", op, [q, k, v, None, None, *past], heads, num_outputs=3, expected=one_token(q, k, v, grown, 4))
none = [np.zeros((3, 2, 1, 4), np.float32)] * 2
add("self_first", op, [q, k, v], heads, num_outputs=3, expected=one_token(q, k, v, none, 0))
add("self_mask", op, [q, k, v, mask, None, *past], heads, num_outputs=3,
    expected=one_token(q, k, v, grown, 4, keys_seen=mask))
score_bias = random(7, 1, 2, 1, 5)
biased = [x + part for x, part in zip((q, k, v), np.split(bias.value, 3))]
add("self_bias", op, [q, k, v, None, score_bias, *past, None, None, None, bias],
    {**heads, "scale": 0.3}, num_outputs=3, expected=one_token(*biased, grown, 4, scale=0.3, score_bias=score_bias))
add("self_packed", op, [np.concatenate([q, k, v], -1), None, None, None, None, *past], heads, num_outputs=3,
    expected=one_token(q, k, v, grown, 4))

order = ints(13, 2, 2, 8, high=2, dtype=i32)
add("shared", op, [*four, None, None, *room, length], shared, num_outputs=3, expected=one_token(*four, room, 4))
add("shared_mask", op, [*four, ints(14, 4, 5, high=2, dtype=i32) | np.array([0, 0, 0, 0, 1], i32), None, *room, length],
    shared, num_outputs=3,
    expected=one_token(*four, room, 4, keys_seen=ints(14, 4, 5, high=2, dtype=i32) | np.array([0, 0, 0, 0, 1], i32)))
add("shared_beams", op, [*four, None, None, *room, length, beams, order], shared, num_outputs=3,
    expected=one_token(*four, room, 4, order))

x, w, b = random(20, 3, 1, 6), Const(random(21, 6, 24)), Const(random(22, 24))
both = np.stack(past)
op = "DecoderMaskedSelfAttention"
projected = x.astype(np.float64) @ w.value + b.value
parts = [part.astype(np.float32) for part in np.split(projected, 3, -1)]
expected = one_token(*parts, [behind(c) for c in past], 4)
add("projected", op, [x, w, b, None, both], heads, num_outputs=2, expected=[expected[0], np.stack(expected[1:])])
expected = one_token(*parts, [behind(c) for c in past], 4, keys_seen=mask)
add("projected_mask", op, [x, w, b, mask, both], heads, num_outputs=2,
    expected=[expected[0], np.stack(expected[1:])])
expected = one_token(*parts, [behind(c, 3) for c in past], 3)
add("projected_shared", op, [x, w, b, None, np.stack([behind(c, 3) for c in past]), None, np.array([3], i32)], shared,
    num_outputs=2, expected=[expected[0], np.stack(expected[1:])])

# ---- sparse attention: 4 heads over 2 of keys, of 16 numbers each, blocks of 16 keys


def sparse(name, batch, queries, lengths, layouts, attributes=None, rotary=False, packed=False):
    rows = Const(np.array([np.cumsum([0] + [len(r) for r in layout]) for layout in layouts], i32))
    columns = [[c for r in layout for c in r] for layout in layouts]
    longest = max(map(len, columns))
    columns = Const(np.array([c + [-1] * (longest - len(c)) for c in columns], i32))
    new = [random(30, batch, queries, 64), random(31, batch, queries, 32), random(32, batch, queries, 32)]
    given = [np.concatenate(new, -1), None, None] if packed else new
    caches = [random(33 + i, batch, 2, 64, 16) for i in range(2)]
    total = Const(np.array([max(lengths)], i32))
    inputs = [*given, *caches, rows, columns, total, np.array(lengths, i32)]
    settings = {"num_heads": 4, "kv_num_heads": 2, "sparse_block_size": 16, "do_rotary": int(rotary), **(attributes or {})}
    if rotary:
        angles = random(36, 64, 8, low=0, high=3)
        inputs += [Const(coarse(np.cos(angles))), Const(coarse(np.sin(angles)))]
        for i, size in ((0, 64), (1, 32)):
            new[i] = turned(new[i], size // 16, angles, lengths)
    expected = sparse_attention(new, caches, lengths, layouts, settings.get("scale", 0.25))
    add(f"sparse_{name}", "SparseAttention", inputs, settings, num_outputs=3, expected=expected)


def turned(x, heads, angles, lengths):
    """Halves of each head turned by the angles of their places."""
    batch, queries = x.shape[:2]
    result = np.zeros(x.shape, np.float32)
    for e in range(batch):
        angle = angles[max(lengths[e] - queries, 0):][:queries, None]
        cos, sin = (coarse(f(angle)).astype(np.float64) for f in (np.cos, np.sin))
        a, b = np.split(x[e].reshape(queries, heads, 16), 2, -1)
        both = [a * cos - b * sin, b * cos + a * sin]
        result[e] = np.concatenate(both, -1).reshape(queries, -1)
    return result


def sparse_attention(new, caches, lengths, layouts, scale):
    query, key, value = new
    caches = [c.copy() for c in caches]
    batch, queries = query.shape[:2]
    y = np.zeros((batch, queries, 64))
    for e in range(batch):
        begin = max(lengths[e] - queries, 0)
        for cache, fresh in zip(caches, (key, value)):
            cache[e, :, begin:begin + queries] = fresh[e].reshape(queries, 2, 16).transpose(1, 0, 2)
        for h in range(4):
            blocks = layouts[h % len(layouts)]
            for s in range(queries):
                place = begin + s
                seen = [j for j in range(place + 1) if j // 16 in blocks[place // 16]]
                scores = caches[0][e, h // 2, seen].astype(np.float64) @ query[e, s, 16 * h:16 * h + 16] * scale
                y[e, s, 16 * h:16 * h + 16] = softmax(scores) @ caches[1][e, h // 2, seen]
    return [y.astype(np.float32), *caches]


dense = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
banded, strided = [[0], [0, 1], [1, 2], [1, 2, 3]], [[0], [0, 1], [0, 1, 2], [0, 2, 3]]
sparse("prompt", 1, 40, [40], [banded])
sparse("prompt_layouts", 1, 40, [40], [banded, strided])
sparse("token", 2, 1, [50, 64], [banded, strided])
sparse("token_packed", 1, 1, [50], [strided], packed=True)
sparse("token_rotary", 1, 1, [50], [banded], rotary=True)
sparse("prompt_rotary", 1, 40, [40], [dense], {"scale": 0.3}, rotary=True)
