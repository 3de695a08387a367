"""com.microsoft's operators in float16 and bfloat16: other files' cases with inputs that both hold as
they are. The values are those of the same numbers in float32, rounded."""

import dataclasses
import importlib

import numpy as np

from case import MICROSOFT, Collection, Const, coarse

CASES = Collection("halves", domain=MICROSOFT)

NAMES = {
    "contrib": [
        "gelu", "fast_gelu_bias", "bias_gelu", "quick_gelu", "fused_matmul_trans_a", "fused_gemm_Tanh",
        "fused_conv_Sigmoid", "skip_layer_normalization", "skip_simplified_layer_normalization",
        "simplified_layer_normalization", "embed_layer_normalization", "group_norm_1", "skip_group_norm",
        "grid_sample_bilinear", "moe_relu", "linear_attention", "causal_conv", "gemm_fast_gelu", "bias_softmax_3",
        "layer_normalization_1"],
    "contrib_attention": [
        "plain", "mask_2d", "past", "multi_head_bias", "multi_head_cross", "rotary", "group_query_prompt_rotary",
        "group_query_token"],
    "contrib_quantized": ["matmul_4_bits_32", "gather_block_quantized_8"],
    "contrib_decoding": [
        "self_mask", "self_bias", "cross", "shared_beams", "projected_mask", "sparse_prompt_layouts",
        "sparse_token_rotary"],
    "contrib_packed": [
        "remove_padding", "restore_padding", "attention_bias", "multi_head_joined", "gated_bias", "rfft", "irfft",
        "complex_mul"],
}


def coarse_input(value):
    if isinstance(value, Const):
        return Const(coarse_input(value.value))
    if value is None or np.asarray(value).dtype != np.float32:
        return value
    return coarse(np.asarray(value))


def is_same(a, b):
    a, b = (x.value if isinstance(x, Const) else x for x in (a, b))
    return a is None or np.array_equal(a, b)


for file, names in NAMES.items():
    collection = importlib.import_module(file).CASES
    cases = {case.name: case for case in collection.cases}
    for name in names:
        original = cases[f"{collection.prefix}_{name}"]
        inputs = [coarse_input(value) for value in original.inputs]
        if original.expected is not None and not all(map(is_same, inputs, original.inputs)):
            raise ValueError(f"the values of {original.name} are those of other inputs")
        for half, short in (("float16", "f16"), ("bfloat16", "bf16")):
            CASES.cases.append(dataclasses.replace(
                original, name=f"halves_{original.name}_{short}", half=half,
                inputs=inputs, recorded=f"halves_{original.name}"))
