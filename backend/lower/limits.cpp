// Implements limits.h.
#include "backend/lower/limits.h"

namespace neuronc {

std::string_view lowering_limits(Op op) {
  switch (op) {
    case Op::attention:
      return "one result; at most 16384 keys; masks of at most four axes";
    case Op::rotary_embedding:
      return "cosines and sines for every token";
    case Op::conv:
    case Op::conv_transpose:
      return "results up to f32";
    case Op::col2im:
      return "constant block shape";
    case Op::slice:
      return "constant starts, ends, axes and steps";
    case Op::pad:
      return "constant padding";
    case Op::deform_columns:
    case Op::inverse:
    case Op::det:
    case Op::negative_log_likelihood_loss:
      return "operands with elements";
    case Op::pow:
      return "floats";
    case Op::mod:
      return "integers";
    case Op::bit_cast:
      return "no 16-bit floats to read, no bool to make";
    case Op::cast:
      return "types of 8 bits or more, no small floats";
    case Op::scatter_elements:
    case Op::scatter_nd:
    case Op::max_unpool:
      return "operands with elements";
    case Op::cum_sum:
    case Op::cum_prod:
      return "constant axis";
    case Op::label_encoder:
      return "at most 4096 keys";
    case Op::linear_attention:
      return "floats up to f32; keys of at most 4096 numbers";
    case Op::gemm:
      return "integers without fractional factors";
    case Op::layer_normalization:
      return "one result";
    case Op::batch_normalization:
      return "inference; one result";
    case Op::max_pool:
      return "one result";
    case Op::lp_pool:
    case Op::global_lp_pool:
      return "norms 1 and 2";
    case Op::quantize_linear:
      return "f32; 8 bits or more; no blocks";
    case Op::dequantize_linear:
      return "8 bits or more; no blocks";
    case Op::matmul_integer:
    case Op::q_linear_matmul:
    case Op::conv_integer:
    case Op::q_linear_conv:
      return "one scale and zero point, or one per output channel of the weights";
    case Op::rnn:
    case Op::gru:
    case Op::lstm:
      return "f32; constant weights; the usual activations; no lengths, clipping or peepholes; at "
             "most 4096 hidden units";
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_prod:
    case Op::reduce_max:
    case Op::reduce_min:
      return "constant axes; means of floats and i64";
    case Op::resize:
      return "constant scales or sizes; integers by nearest only; no regions outside";
    case Op::grid_sample:
      return "at most three spatial axes";
    case Op::dft:
    case Op::stft:
      return "constant extents of at most 65536";
    case Op::tree_ensemble:
      return "constant tables; at most 8192 targets";
    default:
      return "";
  }
}

}  // namespace neuronc
