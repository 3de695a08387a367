// Implements variant.h: the ordered lists.
#include "backend/variants/variant.h"

#include <numeric>

#include "ir/base/check.h"

namespace neuronc {

std::vector<const Variant*> variants_of(Op op) {
  switch (op) {
    case Op::conv:
      return {&kConvDepthwise, &kConvDirect};
    case Op::matmul:
    case Op::gemm:
      return {&kMatmulPacked, &kMatmulDynamic};
    default:
      return {};
  }
}

NodeId find_anchor(const Graph& body) {
  NodeId anchor;
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    if (node.op == Op::constant || node.has(Trait::elementwise)) continue;
    NEURONC_CHECK(!anchor);
    anchor = id;
  }
  return anchor;
}

const Tensor* GroupContext::constant_operand(size_t i) const {
  if (!anchor_node().has_operand(i)) return nullptr;
  const ValueId value = anchor_node().operands[i];
  if (const Tensor* inside = module.constant_of(body, value)) return inside;
  for (size_t k = 0; k < body.inputs().size(); ++k) {
    if (body.inputs()[k] == value) return module.constant_of(graph, graph.node(group).operands[k]);
  }
  return nullptr;
}

DimOrder channels_last(size_t rank) {
  DimOrder order{0};
  for (size_t d = 2; d < rank; ++d) order.push_back(static_cast<int>(d));
  order.push_back(1);
  return order;
}

DimOrder no_order(const GroupContext&, size_t) { return {}; }
DimOrder no_result_order(const GroupContext&) { return {}; }

std::string kernel_name(const GroupContext& context) {
  std::string text;
  size_t num_named = 0;
  size_t num_ops = 0;
  const auto append = [&](std::string_view part) {
    if (!text.empty()) text += '_';
    text += part;
  };
  if (context.anchor) append(context.anchor_node().def().name);
  for (NodeId id : context.body.nodes()) {
    const Node& node = context.body.node(id);
    if (node.op == Op::constant || id == context.anchor) continue;
    ++num_ops;
    if (num_named < 4) {
      append(node.def().name);
      ++num_named;
    }
  }
  if (num_ops > num_named) append("and" + std::to_string(num_ops - num_named));
  const Node& last = context.body.node(context.body.last_node());
  for (int64_t extent : context.body.type(last.results[0]).shape()) {
    text += text.empty() || text.back() == 'x' ? "" : "_";
    text += std::to_string(extent);
  }
  return text;
}

}  // namespace neuronc
