// What the files of join-quantized share.
#pragma once

#include <optional>
#include <vector>

#include "passes/rewrite.h"

namespace neuronc {

// A dequantize_linear node: what it reads, and its constant parameters.
struct Dequantized {
  ValueId bytes;
  ValueId zero_point;  // none: 0
  const Tensor* scale = nullptr;
  const Tensor* zero = nullptr;
  int64_t axis = 0;  // of the scale, where there are several

  bool is_per_tensor() const { return scale->num_elements() == 1; }
};

// None where `id` does not dequantise bytes to f32 by constant parameters.
std::optional<Dequantized> dequantized(const Rewriter& r, NodeId id);

// Those of `node` that `op` has too.
std::vector<NamedAttribute> attributes_for(Op op, const Node& node);

// Lets a table of its 256 results stand for a quantize_linear of a function of one quantised number.
Changed join_table(Rewriter& r, NodeId quantize);

}  // namespace neuronc
