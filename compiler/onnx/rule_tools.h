// Helpers that several rules share.
#pragma once

#include <string_view>
#include <vector>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

// The node's attributes that `op`'s schema has, converted to its kinds. Attributes that ONNX once
// had and that say nothing about the result (consumed_inputs) are left out; one that neither the
// schema nor `handled` knows is an error of the node.
std::vector<NamedAttribute> direct_attributes(NodeContext& node, Op op,
                                              std::vector<std::string_view> handled = {});

// Emits `op` with `operands` and the node's attributes, and sets the node's outputs.
void emit_direct(NodeContext& node, Op op, std::vector<ValueId> operands,
                 std::vector<std::string_view> handled = {});

// Axis counted from the front; an error of the node where it is out of range. `extra`: 1 where the
// axis may stand behind the last one.
int64_t normalised_axis(NodeContext& node, int64_t axis, int64_t rank, int64_t extra = 0);

// `value` reshaped to `shape`; itself where it has that shape already.
ValueId reshape_to(NodeContext& node, ValueId value, const std::vector<int64_t>& shape);

// The opset < 7 form of broadcasting: `b` is given trailing extents of 1 so that its first axis
// meets axis `axis` of `a`.
ValueId align_to_axis(NodeContext& node, ValueId a, ValueId b, int64_t axis);

// import_convolution.cpp: by the node's attributes; the weight is input 1, or 3 of q_linear_conv.
ValueId emit_conv(NodeContext& node, std::vector<ValueId> operands);
ValueId emit_conv_quantised(NodeContext& node, Op op, std::vector<ValueId> operands);
// Attributes that the pool's schema does not have stand in `handled`.
ValueId emit_pool(NodeContext& node, Op op, ValueId x, std::vector<std::string_view> handled);

// import_contrib_quantized.cpp: bytes of packed fields, the lowest first, as one element a field
// along the last axis.
ValueId unpacked(NodeContext& node, ValueId packed, int64_t bits);

}  // namespace neuronc::onnx
