// Implements lowering.h.
#include "backend/lower/lowering.h"

namespace neuronc {

const Lowering& lowering_of(Op op) {
  static const LoweringTable kTable = [] {
    LoweringTable table{};
    add_elementwise_lowerings(table);
    add_data_movement_lowerings(table);
    add_indexing_lowerings(table);
    add_reduction_lowerings(table);
    add_pooling_lowerings(table);
    add_convolution_lowerings(table);
    add_matmul_lowerings(table);
    add_normalization_lowerings(table);
    add_resize_lowerings(table);
    add_quantization_lowerings(table);
    add_recurrent_lowerings(table);
    add_quantized_contraction_lowerings(table);
    add_selection_lowerings(table);
    add_attention_lowerings(table);
    add_einsum_lowerings(table);
    add_linear_algebra_lowerings(table);
    add_loss_lowerings(table);
    add_region_lowerings(table);
    add_sampling_lowerings(table);
    add_spectral_lowerings(table);
    add_deform_columns_lowerings(table);
    add_label_encoder_lowerings(table);
    add_linear_attention_lowerings(table);
    add_tensor_scatter_lowerings(table);
    add_tree_ensemble_lowerings(table);
    return table;
  }();
  return kTable[static_cast<size_t>(op)];
}

}  // namespace neuronc
