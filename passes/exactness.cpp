// Implements exactness.h.
#include "passes/exactness.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace neuronc {
namespace {

bool is_product(const Node& node) { return node.def().precision == Precision::matmul; }

// The integers up to this magnitude are values of the narrow type.
double largest_exact_integer(DType narrow) { return narrow == DType::f16 ? 2048 : 256; }

bool holds_all_integers(DType narrow, DType integers) {
  const bool is_byte = integer_bits(integers) <= 8;
  return integers == DType::boolean || (is_byte && largest_exact_integer(narrow) >= 255);
}

// The operands of `node` that angles, indices and whole numbers are made of.
std::vector<ValueId> exact_operands(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::sin:
    case Op::cos:
    case Op::tan:
      return {node.operands[0]};
    case Op::cast:
      if (is_integer(graph.type(node.results[0]).dtype)) return {node.operands[0]};
      return {};
    case Op::one_hot:
      return {node.operands[0]};
    case Op::range:
      return node.operands;
    default:
      return {};
  }
}

// The number of terms of each of a product's sums; 0 where it is not known.
int64_t inner_extent(const Graph& graph, const Node& node) {
  const Type& a = graph.type(node.operands[0]);
  const Type& w = graph.type(node.operands[1]);
  if (!a.is_static() || !w.is_static() || a.dims.empty() || w.dims.empty()) return 0;
  switch (node.op) {
    case Op::matmul:
      return a.dims.back().number();
    case Op::gemm:
      return a.dims[node.view().i64("transA") != 0 ? 0 : a.dims.size() - 1].number();
    case Op::conv:
      return w.dims[0].number() == 0 ? 0 : w.num_elements() / w.dims[0].number();
    default:
      return 0;
  }
}

}  // namespace

Exactness::Exactness(const Module& module, const Graph& graph, DType narrow)
    : module_(module), graph_(graph), narrow_(narrow) {
  for (NodeId id : graph.nodes()) {
    for (ValueId operand : exact_operands(graph, graph.node(id))) {
      if (operand) mark_before(operand);
    }
  }
}

// Marks the products behind `value`, and stops at them.
void Exactness::mark_before(ValueId value) {
  std::vector<ValueId> pending{value};
  while (!pending.empty()) {
    const ValueId next = pending.back();
    pending.pop_back();
    const NodeId producer = graph_.producer(next);
    if (!producer || !is_float(graph_.type(next).dtype)) continue;
    if (!visited_.insert(producer).second) continue;
    const Node& node = graph_.node(producer);
    if (is_product(node)) {
      exact_products_.insert(producer);
      continue;
    }
    for (ValueId operand : node.operands) {
      if (operand) pending.push_back(operand);
    }
  }
}

bool Exactness::holds_large_integers(ValueId constant) {
  const Tensor* tensor = module_.constant_of(graph_, constant);
  if (tensor == nullptr || !is_float(tensor->dtype())) return false;
  bool is_beyond = false;
  for (int64_t i = 0; i < tensor->num_elements(); ++i) {
    const double value = tensor->f64(i);
    if (std::trunc(value) != value || !std::isfinite(value)) return false;
    is_beyond |= std::fabs(value) > largest_exact_integer(narrow_);
  }
  return is_beyond;
}

bool Exactness::comes_from_integers(ValueId value) {
  std::vector<ValueId> pending{value};
  std::vector<ValueId> walked;
  bool found = false;
  std::unordered_set<ValueId> seen;
  while (!pending.empty() && !found) {
    const ValueId next = pending.back();
    pending.pop_back();
    if (!seen.insert(next).second) continue;
    walked.push_back(next);
    if (const auto it = from_integers_.find(next); it != from_integers_.end()) {
      found = it->second;
      continue;
    }
    const NodeId producer = graph_.producer(next);
    if (!producer) continue;
    const Node& node = graph_.node(producer);
    if (node.op == Op::constant) {
      found = holds_large_integers(next);
    } else if (node.op == Op::cast) {
      const DType from = graph_.type(node.operands[0]).dtype;
      found = is_integer(from) && !holds_all_integers(narrow_, from);
      if (is_float(from)) pending.push_back(node.operands[0]);
    } else if (node.op == Op::one_hot || node.op == Op::range) {
      found = true;
    } else if (node.has(Trait::moves_data) || node.op == Op::where) {
      for (ValueId operand : node.operands) {
        if (operand && is_float(graph_.type(operand).dtype)) pending.push_back(operand);
      }
    }
  }
  // What was walked through without finding anything need not be walked again.
  if (!found) {
    for (ValueId clean : walked) from_integers_[clean] = false;
  }
  from_integers_[value] = found;
  return found;
}

std::string Exactness::reason_against(NodeId id) {
  const Node& node = graph_.node(id);
  if (exact_products_.contains(id)) return "its result becomes an angle, an index or an integer";
  if (inner_extent(graph_, node) == 1) return "its sums have one term";
  for (size_t i = 0; i < 2; ++i) {
    if (comes_from_integers(node.operands[i])) return "an operand holds integers";
  }
  return "";
}

}  // namespace neuronc
