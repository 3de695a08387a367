// Implements input_ranges.h.
#include "compiler/input_ranges.h"

#include <algorithm>

#include "ir/op.h"

namespace neuronc {
namespace {

// The input that `value` holds the elements of; none if it holds others.
ValueId origin(const Graph& graph, ValueId value) {
  while (value) {
    const NodeId producer = graph.value(value).producer;
    if (!producer) return value;
    const Node& node = graph.node(producer);
    const bool keeps_elements = node.op == Op::cast || node.op == Op::reshape ||
                                node.op == Op::expand || node.op == Op::transpose ||
                                node.op == Op::slice;
    if (!keeps_elements) return {};
    value = node.operands[0];
  }
  return {};
}

}  // namespace

std::map<std::string, int64_t> index_bounds(const Module& module) {
  std::map<std::string, int64_t> bounds;
  const Graph& graph = module.graph();
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op != Op::gather && node.op != Op::gather_elements) continue;
    const Type& data = graph.type(node.operands[0]);
    const ValueId input = origin(graph, node.operands[1]);
    if (!input || !data.is_ranked || data.dims.empty()) continue;
    const int64_t rank = static_cast<int64_t>(data.dims.size());
    const int64_t axis = node.view().i64("axis");
    const Dim& extent = data.dims[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
    if (!extent.is_number()) continue;
    const auto [it, is_new] = bounds.emplace(graph.value(input).name, extent.number());
    it->second = std::min(it->second, extent.number());
  }
  return bounds;
}

}  // namespace neuronc
