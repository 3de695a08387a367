"""com.microsoft operators that fuse activations, products, convolutions and normalisations."""

import numpy as np

from case import MICROSOFT, Collection, Const, coarse_random, ints, random

CASES = Collection("contrib", domain=MICROSOFT)
add = CASES.add

x = random(1, 2, 3, 8, low=-3, high=3)
add("gelu", "Gelu", [x])
add("fast_gelu", "FastGelu", [x])
add("fast_gelu_bias", "FastGelu", [x, random(2, 8)])
add("bias_gelu", "BiasGelu", [x, random(2, 8)])
add("quick_gelu", "QuickGelu", [x])
add("quick_gelu_alpha", "QuickGelu", [x], {"alpha": 1.25})

a, b = random(3, 3, 5), random(4, 5, 7)
add("fused_matmul", "FusedMatMul", [a, b], {"alpha": 0.5})
add("fused_matmul_trans_a", "FusedMatMul", [a.T.copy(), b], {"alpha": 2.0, "transA": 1})
add("fused_matmul_trans_b", "FusedMatMul", [a, b.T.copy()], {"transB": 1})
add("fused_matmul_batch", "FusedMatMul", [random(5, 2, 3, 4, 5), random(6, 2, 3, 6, 5)],
    {"alpha": 1.5, "transB": 1})
add("fused_matmul_trans_batch_a", "FusedMatMul", [random(7, 4, 2, 3, 5), random(8, 2, 3, 5, 6)],
    {"transBatchA": 1})
add("fused_matmul_trans_batch_both", "FusedMatMul", [random(9, 4, 2, 3, 5), random(10, 5, 2, 3, 6)],
    {"transBatchA": 1, "transBatchB": 1})
add("fused_matmul_trans_batch_and_a", "FusedMatMul", [random(11, 4, 2, 3, 5), random(12, 2, 3, 4, 6)],
    {"transBatchA": 1, "transA": 1})
add("transpose_matmul", "TransposeMatMul", [a, b.T.copy()], {"transB": 1})
for activation, numbers in [("Relu", {}), ("LeakyRelu", {"activation_alpha": 0.3}), ("Tanh", {}),
                            ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4})]:
    add(f"fused_gemm_{activation}", "FusedGemm", [a, b.T.copy(), random(13, 7)],
        {"transB": 1, "activation": activation, "alpha": 0.5, "beta": 2.0, **numbers})

image, weight, bias = random(14, 1, 3, 6, 7), random(15, 4, 3, 3, 3), random(16, 4)
for activation, numbers in [("Relu", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.75]), ("Tanh", None),
                            ("Sigmoid", None), ("HardSigmoid", [0.3, 0.4])]:
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "activation": activation}
    if numbers:
        attributes["activation_params"] = numbers
    add(f"fused_conv_{activation}", "FusedConv", [image, Const(weight), Const(bias)], attributes)
add("fused_conv_add", "FusedConv", [image, Const(weight), Const(bias), random(17, 1, 4, 6, 7)],
    {"auto_pad": "SAME_UPPER", "activation": "Relu"})
add("fused_conv_strided", "FusedConv", [image, Const(weight)],
    {"strides": [2, 2], "dilations": [1, 2], "activation": "Relu"})

tokens, skip, gamma, beta = random(20, 2, 5, 12), random(21, 2, 5, 12), random(22, 12), random(23, 12)
add("skip_layer_normalization", "SkipLayerNormalization", [tokens, skip, gamma, beta], {"epsilon": 1e-3})
add("skip_layer_normalization_bias", "SkipLayerNormalization", [tokens, skip, gamma, beta, random(24, 12)],
    num_outputs=4, unused=(1, 2))
add("skip_layer_normalization_no_beta", "SkipLayerNormalization", [tokens, skip, gamma])
add("skip_layer_normalization_broadcast", "SkipLayerNormalization", [tokens, random(25, 1, 5, 12), gamma, beta])
add("skip_simplified_layer_normalization", "SkipSimplifiedLayerNormalization",
    [tokens, skip, gamma, random(26, 12)], {"epsilon": 1e-3}, num_outputs=4, unused=(1, 2))
add("simplified_layer_normalization", "SimplifiedLayerNormalization", [tokens, gamma],
    {"axis": -1, "epsilon": 1e-4}, domain="", opset=17)
add("simplified_layer_normalization_deviation", "SimplifiedLayerNormalization", [tokens, random(27, 5, 12)],
    {"axis": 1}, domain="", opset=17, num_outputs=2)
embedding = [ints(30, 2, 5, high=9, dtype=np.int32), ints(31, 2, 5, high=2, dtype=np.int32),
             Const(random(32, 9, 8)), Const(random(33, 6, 8)), Const(random(34, 2, 8)), Const(random(35, 8)),
             Const(random(36, 8))]
add("embed_layer_normalization", "EmbedLayerNormalization", embedding, num_outputs=2)
add("embed_layer_normalization_mask", "EmbedLayerNormalization",
    [*embedding, np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], np.int32)], {"epsilon": 1e-6}, num_outputs=3)
add("embed_layer_normalization_positions", "EmbedLayerNormalization",
    [embedding[0], None, *embedding[2:4], None, *embedding[5:], None, ints(37, 2, 5, high=6, dtype=np.int32)],
    num_outputs=3)


def group_norm(x, gamma, beta, groups, epsilon, silu):
    """Of channels-last x, in f64."""
    n, h, w, c = x.shape
    grouped = x.astype(np.float64).reshape(n, h * w, groups, c // groups)
    centred = grouped - grouped.mean((1, 3), keepdims=True)
    normal = centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + epsilon)
    y = normal.reshape(n, h, w, c) * gamma + beta
    return (y / (1 + np.exp(-y)) if silu else y).astype(np.float32)


picture, scale, shift = coarse_random(40, 2, 4, 5, 8), coarse_random(41, 8), coarse_random(42, 8)
for silu in (0, 1):
    add(f"group_norm_{silu}", "GroupNorm", [picture, scale, shift], {"groups": 4, "activation": silu},
        expected=[group_norm(picture, scale, shift, 4, 1e-5, silu)])
added = (picture + coarse_random(43, 2, 1, 1, 8) + coarse_random(44, 8)).astype(np.float32)
add("skip_group_norm", "SkipGroupNorm", [picture, scale, shift, coarse_random(43, 2, 8), coarse_random(44, 8)],
    {"groups": 2, "activation": 1}, num_outputs=2,
    expected=[group_norm(added, scale, shift, 2, 1e-5, 1), added])
add("bias_add", "BiasAdd", [tokens, gamma, skip], expected=[tokens + gamma + skip])

add("expand_dims", "ExpandDims", [x, Const(np.int32(1))])
add("expand_dims_last", "ExpandDims", [x, Const(np.int32(-1))])
add("c_dist", "CDist", [random(45, 4, 6), random(46, 5, 6)], {"metric": "sqeuclidean"})
add("c_dist_euclidean", "CDist", [random(45, 4, 6), random(46, 5, 6)], {"metric": "euclidean"})
add("trilu", "Trilu", [random(47, 2, 4, 5), Const(np.int64(1))], {"upper": 0})
for mode in ("bilinear", "nearest", "bicubic"):
    add(f"grid_sample_{mode}", "GridSample", [random(48, 1, 2, 5, 6), random(49, 1, 4, 3, 2, low=-1.2, high=1.2)],
        {"mode": mode, "padding_mode": "border", "align_corners": 0})

routed = [random(50, 5, 8), random(51, 5, 4), Const(random(52, 4, 16, 8))]
second = Const(random(53, 4, 8, 16))
for activation in ("relu", "gelu", "silu"):
    add(f"moe_{activation}", "MoE", [*routed, None, second], {"k": 2, "activation_type": activation})
add("moe_normalised", "MoE", [*routed, Const(random(54, 4, 16)), second, Const(random(55, 4, 8))],
    {"k": 2, "activation_type": "relu", "normalize_routing_weights": 1})
add("unfold_tensor", "UnfoldTensor", [random(56, 2, 7)], {"dim": 1, "size": 3, "step": 2})
add("unfold_tensor_first", "UnfoldTensor", [random(57, 5, 2, 3)], {"dim": 0, "size": 2, "step": 1})
heads = {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": "gated_delta"}
add("linear_attention", "LinearAttention",
    [random(60, 2, 5, 12), random(61, 2, 5, 6), random(62, 2, 5, 22), random(63, 2, 2, 3, 11),
     random(64, 2, 5, 2, low=-1, high=0), random(65, 2, 5, 2, low=0, high=1)], heads, num_outputs=2)
add("causal_conv", "CausalConvWithState",
    [random(66, 2, 5, 6), random(67, 5, 1, 4), random(68, 5), random(69, 2, 5, 3)], {"activation": "silu"},
    num_outputs=2)

matrices = random(70, 2, 4, 4) + 2 * np.eye(4, dtype=np.float32)
add("inverse", "Inverse", [matrices])
swiglu = {"k": 2, "activation_type": "swiglu", "activation_alpha": 1.702, "activation_beta": 1.0,
          "swiglu_limit": 0.75, "swiglu_fusion": 1, "normalize_routing_weights": 1}
rows = [random(71, 6, 16, low=-2, high=2), random(72, 6, 4, low=-2, high=2)]
wide = [Const(random(73, 4, 64, 16)), Const(random(74, 4, 64)), Const(random(75, 4, 16, 32)), Const(random(76, 4, 16))]
add("moe_swiglu", "MoE", [*rows, *wide], swiglu)
for bits in (4, 8):
    def packed(seed, *shape):
        return Const(ints(seed, *shape[:-1], shape[-1] * bits // 8, low=0, high=256, dtype=np.uint8))

    def steps(seed, *shape):
        return Const(random(seed, *shape, low=0.01, high=0.02) * 16 / 2**bits)
    add(f"q_moe_{bits}", "QMoE",
        [*rows, packed(77, 4, 64, 16), steps(78, 4, 64), wide[1], packed(79, 4, 16, 32), steps(80, 4, 16), wide[3]],
        {**swiglu, "expert_weight_bits": bits})
    add(f"q_moe_{bits}_blocks", "QMoE",
        [random(69, 6, 32, low=-2, high=2), rows[1], packed(81, 4, 64, 32), steps(82, 4, 64, 2), None,
         packed(83, 4, 32, 32), steps(84, 4, 32, 2), None],
        {**swiglu, "expert_weight_bits": bits, "block_size": 16})
boxes = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], [-0.2, 0.3, 0.6, 1.3], [0.8, 0.9, 0.2, 0.1]], np.float32)
places = np.array([0, 1, 1, 0], np.int32)
pictures = random(85, 2, 3, 7, 6)
for size in ([3, 4], [1, 5]):
    for mode in ("bilinear", "nearest"):
        add(f"crop_and_resize_{mode}_{size[0]}", "CropAndResize",
            [pictures, boxes, places, Const(np.array(size, np.int32))],
            {"mode": mode, "extrapolation_value": 0.5})
history = np.array([[1, 2, 3, 1, 2], [4, 4, 4, 4, 4], [0, 1, 2, 3, 4]], np.int64)
for size in (1, 3, 7):
    add(f"n_gram_repeat_block_{size}", "NGramRepeatBlock", [history, random(86, 3, 6)], {"ngram_size": size})
table = random(87, 8, 3)


def t5_buckets(num_queries, num_keys, num_buckets, max_distance, is_bidirectional):
    """As T5's layers say it, in numpy."""
    distance = np.arange(num_keys)[None, :] - np.arange(num_queries)[:, None]
    result = np.zeros_like(distance)
    if is_bidirectional:
        num_buckets //= 2
        result += (distance > 0) * num_buckets
        distance = np.abs(distance)
    else:
        distance = -np.minimum(distance, 0)
    exact = num_buckets // 2
    far = exact + (np.log(np.maximum(distance, 1) / exact) / np.log(max_distance / exact) *
                   (num_buckets - exact)).astype(np.int64)
    return result + np.where(distance < exact, distance, np.minimum(far, num_buckets - 1))


for name, lengths, attributes in [("both", (7, 7), {"is_bidirectional": 1}), ("behind", (9, 9), {}),
                                  ("longer", (3, 5), {"is_bidirectional": 1})]:
    add(f"relative_position_bias_{name}", "RelativePositionBias",
        [table, *[Const(np.array([n], np.int64)) for n in lengths]], {"max_distance": 20, **attributes},
        expected=[table[t5_buckets(*lengths, 8, 20, attributes)].transpose(2, 0, 1)[None]])
bytes_ = ints(88, 2, 5, low=0, high=256, dtype=np.uint8)
add("mul_integer", "MulInteger", [bytes_, Const(np.uint8(7)), bytes_[::-1].copy(), Const(np.uint8(3))],
    expected=[(bytes_.astype(np.int32) - 7) * (bytes_[::-1].astype(np.int32) - 3)])
add("reduce_sum_integer", "ReduceSumInteger", [bytes_], {"axes": [1], "keepdims": 1},
    expected=[bytes_.astype(np.uint32).sum(1, keepdims=True, dtype=np.uint32)])
add("matmul_integer_16", "MatMulInteger16", [ints(89, 3, 4, low=-3000, high=3000, dtype=np.int16),
                                             ints(90, 4, 5, low=-3000, high=3000, dtype=np.int16)])
add("unique", "Unique", [np.array([3, 1, 3, 2, 1, 1], np.float32)], num_outputs=3)
add("torch_embedding", "TorchEmbedding", [table, history], expected=[table[history]])
a, b, c = coarse_random(91, 2, 3, 5), coarse_random(92, 5, 4), coarse_random(93, 4)
sums = (a.astype(np.float64) @ b + c)
add("gemm_fast_gelu", "GemmFastGelu", [a, b, c],
    expected=[(sums / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (sums + 0.044715 * sums**3)))).astype(np.float32)])
for axis, bias in ((3, coarse_random(95, 2, 1, 1, 5)), (2, coarse_random(96, 4, 5))):
    sums = np.exp((coarse_random(94, 2, 3, 4, 5).astype(np.float64) + bias).reshape(6, 20) if axis == 2 else
                  coarse_random(94, 2, 3, 4, 5).astype(np.float64) + bias)
    add(f"bias_softmax_{axis}", "BiasSoftmax", [coarse_random(94, 2, 3, 4, 5), bias],
        {"axis": axis, "is_inner_broadcast": 1},
        expected=[(sums / sums.sum(-1, keepdims=True)).reshape(2, 3, 4, 5).astype(np.float32)])
add("q_embed_layer_norm", "QEmbedLayerNormalization",
    [ints(96, 2, 4, high=9, dtype=np.int32), ints(97, 2, 4, high=2, dtype=np.int32),
     *[Const(ints(98 + i, *shape, low=0, high=256, dtype=np.uint8))
       for i, shape in enumerate([(9, 8), (4, 8), (2, 8), (8,), (8,)])],
     np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32),
     *[Const(np.float32(0.01 * (i + 1))) for i in range(5)], *[Const(np.uint8(120 + i)) for i in range(5)]],
    {"epsilon": 1e-5}, num_outputs=2)

# What exporters before opset 7 left behind; the operators are gone from ONNX.
old = {"domain": "", "opset": 1}
add("affine", "Affine", [x], {"alpha": 2.0, "beta": -0.5}, **old)
add("parametric_softplus", "ParametricSoftplus", [x], {"alpha": 2.0, "beta": 0.5}, **old)
add("scaled_tanh", "ScaledTanh", [x], {"alpha": 2.0, "beta": 0.5}, **old)
add("image_scaler", "ImageScaler", [image], {"scale": 0.5, "bias": [0.1, 0.2, 0.3]}, **old)
add("crop", "Crop", [image], {"border": [1, 2, 3, 1]}, **old)
add("crop_scale", "Crop", [image], {"border": [1, 2, 1, 1], "scale": [3, 4]}, **old)
add("layer_normalization_1", "LayerNormalization", [tokens, gamma, beta], {"axis": -1}, domain="", opset=12)
