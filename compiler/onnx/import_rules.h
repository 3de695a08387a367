// The rule functions, by the file that holds them. Names follow import_<operator>[_<version>];
// a rule without version takes every version from the one in rules.def on.
#pragma once

#include "compiler/onnx/rules.h"

namespace neuronc::onnx {

// rule_tools.cpp: operands in order, attributes by name, as the IR operator's schema has them.
void import_direct(NodeContext& node, const Rule& rule);

#define NEURONC_IMPORT(name) void import_##name(NodeContext& node, const Rule& rule);
// import_control_flow.cpp
NEURONC_IMPORT(if)
NEURONC_IMPORT(loop)
NEURONC_IMPORT(scan)
NEURONC_IMPORT(scan_8)
NEURONC_IMPORT(sequence_map)
// import_elementwise.cpp
NEURONC_IMPORT(binary_1)
NEURONC_IMPORT(cast)
NEURONC_IMPORT(cast_like)
NEURONC_IMPORT(clip_1)
NEURONC_IMPORT(dropout)
NEURONC_IMPORT(mean)
NEURONC_IMPORT(n_ary)
NEURONC_IMPORT(pow_1)
NEURONC_IMPORT(grid_sample)
NEURONC_IMPORT(prelu)
NEURONC_IMPORT(through_float)
// import_attention.cpp
NEURONC_IMPORT(attention)
NEURONC_IMPORT(causal_conv_with_state)
NEURONC_IMPORT(deform_conv)
NEURONC_IMPORT(swiglu)
// import_contrib.cpp
NEURONC_IMPORT(bias_add)
NEURONC_IMPORT(bias_gelu)
NEURONC_IMPORT(bias_split_gelu)
NEURONC_IMPORT(c_dist)
NEURONC_IMPORT(crop)
NEURONC_IMPORT(embed_layer_normalization)
NEURONC_IMPORT(expand_dims)
NEURONC_IMPORT(fused_conv)
NEURONC_IMPORT(fused_gemm)
NEURONC_IMPORT(fused_matmul)
NEURONC_IMPORT(group_norm)
NEURONC_IMPORT(image_scaler)
NEURONC_IMPORT(quick_gelu)
NEURONC_IMPORT(scaled)
NEURONC_IMPORT(simplified_layer_normalization)
NEURONC_IMPORT(skip_layer_normalization)
NEURONC_IMPORT(unfold_tensor)
// import_contrib_attention.cpp
NEURONC_IMPORT(contrib_attention)
NEURONC_IMPORT(multi_head_attention)
NEURONC_IMPORT(q_attention)
// import_contrib_cached_attention.cpp
NEURONC_IMPORT(contrib_rotary_embedding)
NEURONC_IMPORT(decoder_masked_multi_head_attention)
NEURONC_IMPORT(decoder_masked_self_attention)
NEURONC_IMPORT(group_query_attention)
NEURONC_IMPORT(sparse_attention)
// import_contrib_packed.cpp
NEURONC_IMPORT(gated_relative_position_bias)
NEURONC_IMPORT(packed_attention)
NEURONC_IMPORT(packed_multi_head_attention)
NEURONC_IMPORT(remove_padding)
NEURONC_IMPORT(restore_padding)
// import_contrib_plain.cpp
NEURONC_IMPORT(bias_softmax)
NEURONC_IMPORT(contrib_unique)
NEURONC_IMPORT(crop_and_resize)
NEURONC_IMPORT(gemm_fast_gelu)
NEURONC_IMPORT(matmul_integer_16)
NEURONC_IMPORT(mul_integer)
NEURONC_IMPORT(n_gram_repeat_block)
NEURONC_IMPORT(q_embed_layer_normalization)
NEURONC_IMPORT(reduce_sum_integer)
NEURONC_IMPORT(relative_position_bias)
NEURONC_IMPORT(torch_embedding)
// import_contrib_quantized.cpp
NEURONC_IMPORT(dynamic_quantize_lstm)
NEURONC_IMPORT(dynamic_quantize_matmul)
NEURONC_IMPORT(gather_block_quantized)
NEURONC_IMPORT(matmul_bnb4)
NEURONC_IMPORT(matmul_integer_to_float)
NEURONC_IMPORT(matmul_n_bits)
NEURONC_IMPORT(nhwc_max_pool)
NEURONC_IMPORT(q_gemm)
NEURONC_IMPORT(q_linear_binary)
NEURONC_IMPORT(q_linear_concat)
NEURONC_IMPORT(q_linear_conv_last)
NEURONC_IMPORT(q_linear_pool)
NEURONC_IMPORT(q_linear_reduce_mean)
NEURONC_IMPORT(q_linear_softmax)
NEURONC_IMPORT(q_linear_unary)
NEURONC_IMPORT(q_linear_where)
// import_convolution.cpp
NEURONC_IMPORT(conv)
NEURONC_IMPORT(conv_quantised)
NEURONC_IMPORT(conv_transpose)
NEURONC_IMPORT(global_lp_pool)
NEURONC_IMPORT(pool)
// import_experts.cpp
NEURONC_IMPORT(flex_attention)
NEURONC_IMPORT(mixture_of_experts)
NEURONC_IMPORT(quantised_mixture_of_experts)
// import_matrix.cpp
NEURONC_IMPORT(gemm)
// import_ml.cpp
NEURONC_IMPORT(array_feature_extractor)
NEURONC_IMPORT(binarizer)
NEURONC_IMPORT(category_mapper)
NEURONC_IMPORT(feature_vectorizer)
NEURONC_IMPORT(imputer)
NEURONC_IMPORT(label_encoder)
NEURONC_IMPORT(linear_classifier)
NEURONC_IMPORT(linear_regressor)
NEURONC_IMPORT(normalizer)
NEURONC_IMPORT(one_hot_encoder)
NEURONC_IMPORT(scaler)
NEURONC_IMPORT(svm_classifier)
NEURONC_IMPORT(svm_regressor)
NEURONC_IMPORT(zip_map)
// import_ml_trees.cpp
NEURONC_IMPORT(tree_ensemble)
NEURONC_IMPORT(tree_ensemble_classifier)
NEURONC_IMPORT(tree_ensemble_regressor)
// import_normalization.cpp
NEURONC_IMPORT(batch_normalization)
NEURONC_IMPORT(group_normalization)
NEURONC_IMPORT(mean_variance_normalization)
NEURONC_IMPORT(softmax)
NEURONC_IMPORT(softmax_1)
// import_random.cpp
NEURONC_IMPORT(random)
// import_reduction.cpp
NEURONC_IMPORT(reduce)
NEURONC_IMPORT(reduce_l1)
NEURONC_IMPORT(reduce_l2)
NEURONC_IMPORT(reduce_log_sum)
NEURONC_IMPORT(reduce_log_sum_exp)
NEURONC_IMPORT(reduce_sum_square)
NEURONC_IMPORT(softmax_cross_entropy_loss)
NEURONC_IMPORT(top_k_1)
// import_resize.cpp
NEURONC_IMPORT(resize)
NEURONC_IMPORT(resize_10)
NEURONC_IMPORT(roi_align_10)
NEURONC_IMPORT(upsample)
// import_sequence.cpp
NEURONC_IMPORT(concat_from_sequence)
NEURONC_IMPORT(optional)
NEURONC_IMPORT(sequence_at)
NEURONC_IMPORT(sequence_construct)
NEURONC_IMPORT(sequence_empty)
NEURONC_IMPORT(sequence_erase)
NEURONC_IMPORT(sequence_insert)
NEURONC_IMPORT(sequence_length)
NEURONC_IMPORT(split_to_sequence)
// import_gradient.cpp
NEURONC_IMPORT(gradient)
// import_signal.cpp
NEURONC_IMPORT(complex_mul)
NEURONC_IMPORT(dft_17)
NEURONC_IMPORT(irfft)
NEURONC_IMPORT(rfft)
// import_training.cpp
NEURONC_IMPORT(adagrad)
NEURONC_IMPORT(adam)
NEURONC_IMPORT(momentum)
// import_shape.cpp
NEURONC_IMPORT(concat_1)
NEURONC_IMPORT(constant)
NEURONC_IMPORT(constant_of_shape)
NEURONC_IMPORT(flatten)
NEURONC_IMPORT(gather)
NEURONC_IMPORT(gather_nd)
NEURONC_IMPORT(pad_1)
NEURONC_IMPORT(reshape_1)
NEURONC_IMPORT(shape)
NEURONC_IMPORT(slice_1)
NEURONC_IMPORT(split)
NEURONC_IMPORT(squeeze_1)
NEURONC_IMPORT(tile_1)
#undef NEURONC_IMPORT

}  // namespace neuronc::onnx
