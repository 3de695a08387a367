// The second operator table: how each operator is computed natively.
//
// `element` gives a result at an index, pulling operands at indices of its own choice; it serves
// operators whose elements are independent (elementwise, data movement, reductions, pooling,
// convolution in its plain form). `nest` builds all loops of a group around an anchor whose
// elements share work (softmax, normalisations, scans): it provides the anchor's result and calls
// store_results. An operator has one of the two; none means it runs on the host.
#pragma once

#include "backend/lower/emitter.h"
#include "ir/base/expected.h"
#include "ir/op.h"

namespace neuronc {

using ElementFn = Register (*)(GroupEmitter&, const Node&, size_t result_index, const LaneIndex&);
// Builds the loops; `tile` decomposition is the nest's own. `num_tiles` was asked before.
using NestFn = void (*)(GroupEmitter&, const Node&);
using NumTilesFn = int64_t (*)(const Graph& body, const Node&);
// Whether the operator's constant operands, attributes and types can be lowered at all.
using AcceptsFn = OrRefusal<void> (*)(const Module&, const Graph&, const Node&);

struct Lowering {
  ElementFn element = nullptr;
  NestFn nest = nullptr;
  NumTilesFn num_tiles = nullptr;  // with nest
  AcceptsFn accepts = nullptr;     // none: whatever the types allow

  explicit operator bool() const { return element != nullptr || nest != nullptr; }
};

// The row of `op`; empty where there is no native lowering.
const Lowering& lowering_of(Op op);

// Families fill their rows; called once, in lowering.cpp.
using LoweringTable = std::array<Lowering, kNumOps>;
void add_elementwise_lowerings(LoweringTable& table);
void add_data_movement_lowerings(LoweringTable& table);
void add_indexing_lowerings(LoweringTable& table);
void add_reduction_lowerings(LoweringTable& table);
void add_pooling_lowerings(LoweringTable& table);
void add_convolution_lowerings(LoweringTable& table);
void add_matmul_lowerings(LoweringTable& table);
void add_normalization_lowerings(LoweringTable& table);
void add_resize_lowerings(LoweringTable& table);
void add_quantization_lowerings(LoweringTable& table);
void add_recurrent_lowerings(LoweringTable& table);
void add_quantized_contraction_lowerings(LoweringTable& table);
void add_selection_lowerings(LoweringTable& table);
void add_attention_lowerings(LoweringTable& table);
void add_einsum_lowerings(LoweringTable& table);
void add_linear_algebra_lowerings(LoweringTable& table);
void add_loss_lowerings(LoweringTable& table);
void add_region_lowerings(LoweringTable& table);
void add_sampling_lowerings(LoweringTable& table);
void add_spectral_lowerings(LoweringTable& table);
void add_deform_columns_lowerings(LoweringTable& table);
void add_label_encoder_lowerings(LoweringTable& table);
void add_linear_attention_lowerings(LoweringTable& table);
void add_tensor_scatter_lowerings(LoweringTable& table);
void add_tree_ensemble_lowerings(LoweringTable& table);

inline Lowering& row(LoweringTable& table, Op op) { return table[static_cast<size_t>(op)]; }

}  // namespace neuronc
