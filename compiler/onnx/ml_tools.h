// What the import rules of ai.onnx.ml share: labels, post transforms, numbers in attributes.
#pragma once

#include <string>
#include <vector>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

// x as f32, or as f64 where it is that.
ValueId as_scores(NodeContext& node, ValueId x);

// Floats that stand in the attribute `name`, or in the tensor attribute `name` + "_as_tensor".
std::vector<double> numbers_of(NodeContext& node, const std::string& name);
// A constant of the element type of `like`.
ValueId constant_like(NodeContext& node, ValueId like, std::vector<int64_t> shape,
                      const std::vector<double>& numbers);

// The node's class labels: strings or integers, whichever attribute is given; none where neither
// is.
Tensor labels_of(NodeContext& node, std::string_view ints, std::string_view strings);

// Scores [rows, n] as `name` says: NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT.
ValueId post_transformed(NodeContext& node, ValueId scores, const std::string& name);

// [rows, 1] and [rows, 1] side by side.
ValueId beside(NodeContext& node, ValueId left, ValueId right);

}  // namespace neuronc::onnx
