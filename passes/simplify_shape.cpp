// Data movement that cancels, merges, or moves nothing.
#include <algorithm>
#include <numeric>

#include "passes/simplify.h"

namespace neuronc {
namespace {

bool has_same_static_type(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const Type& result = rewriter.type(node.results[0]);
  return result.is_static() && result == rewriter.type(node.operands[0]);
}

Changed drop(Rewriter& rewriter, NodeId id) {
  rewriter.replace(id, rewriter.node(id).operands[0]);
  return Changed::yes;
}

// reshape to the shape that is there; reshape of reshape.
Changed merge_reshapes(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::reshape || !rewriter.type(node.results[0]).is_static()) return Changed::no;
  if (has_same_static_type(rewriter, id)) return drop(rewriter, id);
  const NodeId inner = rewriter.operand_of(id, 0, Op::reshape);
  // A shape that keeps extents of its operand (0) would keep other ones.
  if (!inner || rewriter.constant_ints(id, 1) != rewriter.type(node.results[0]).shape()) {
    return Changed::no;
  }
  rewriter.edit.set_operand(id, 0, rewriter.node(inner).operands[0]);
  rewriter.edit.erase_if_unused(inner);
  return Changed::yes;
}

bool is_identity(const std::vector<int64_t>& perm) {
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

Changed merge_transposes(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::transpose) return Changed::no;
  const std::vector<int64_t> outer = node.view().ints("perm");
  if (outer.empty()) return Changed::no;
  if (is_identity(outer)) return drop(rewriter, id);
  const NodeId inner_id = rewriter.operand_of(id, 0, Op::transpose);
  if (!inner_id) return Changed::no;
  const std::vector<int64_t> inner = rewriter.node(inner_id).view().ints("perm");
  if (inner.size() != outer.size()) return Changed::no;
  std::vector<int64_t> merged;
  for (int64_t dim : outer) merged.push_back(inner[static_cast<size_t>(dim)]);
  rewriter.edit.set_operand(id, 0, rewriter.node(inner_id).operands[0]);
  rewriter.edit.set_attribute(id, "perm", merged);
  rewriter.edit.erase_if_unused(inner_id);
  return Changed::yes;
}

// A transpose that moves only dims of extent 1 leaves the elements where they are.
Changed make_transpose_reshape(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::transpose) return Changed::no;
  const Type type = rewriter.type(node.operands[0]);
  const Type result = rewriter.type(node.results[0]);
  if (!type.is_static() || !result.is_static() || result.num_elements() == 0) return Changed::no;
  int64_t last = -1;
  for (int64_t dim : node.view().ints("perm")) {
    if (type.dims[static_cast<size_t>(dim)].number() == 1) continue;
    if (dim < last) return Changed::no;
    last = dim;
  }
  if (node.view().ints("perm").empty()) return Changed::no;
  const ValueId operand = node.operands[0];
  const ValueId shape = rewriter.make_constant(id, Tensor::ints(result.shape()));
  return rewriter.replace_by(id, Op::reshape, {operand, shape});
}

// expand, tile, slice and pad that give back what they take.
Changed drop_moving_nothing(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::expand && node.op != Op::tile && node.op != Op::slice && node.op != Op::pad) {
    return Changed::no;
  }
  if (!has_same_static_type(rewriter, id)) return Changed::no;
  if (node.op == Op::slice && node.has_operand(4)) {
    const Tensor* steps = rewriter.constant(id, 4);
    if (steps == nullptr || !is_all(*steps, 1)) return Changed::no;
  }
  if (node.op == Op::pad) {
    const Tensor* pads = rewriter.constant(id, 1);
    if (pads == nullptr || !is_all(*pads, 0)) return Changed::no;
  }
  return drop(rewriter, id);
}

// An expand whose user broadcasts anyway.
Changed bypass_expand(Rewriter& rewriter, NodeId id) {
  Changed changed = Changed::no;
  for (size_t i = 0; i < rewriter.node(id).operands.size(); ++i) {
    const Node& node = rewriter.node(id);
    if (!node.has(Trait::elementwise) || node.operands.size() < 2) return changed;
    const NodeId expand = rewriter.operand_of(id, i, Op::expand);
    if (!expand || !rewriter.type(node.results[0]).is_static()) continue;
    std::vector<ValueId> operands = node.operands;
    operands[i] = rewriter.node(expand).operands[0];
    const auto types =
        infer_types(rewriter.module, rewriter.graph, node.op, operands, node.attributes);
    if (!types || (*types)[0] != rewriter.type(node.results[0])) continue;
    rewriter.edit.set_operand(id, i, operands[i]);
    rewriter.edit.erase_if_unused(expand);
    changed = Changed::yes;
  }
  return changed;
}

// tile as an expansion along new axes, which moves whole rows.
Changed make_tile_expand(Rewriter& rewriter, NodeId id) {
  constexpr size_t kMaxRank = 8;
  const Node& node = rewriter.node(id);
  if (node.op != Op::tile) return Changed::no;
  const auto repeats = rewriter.constant_ints(id, 1);
  const Type type = rewriter.type(node.operands[0]), result = rewriter.type(node.results[0]);
  if (!repeats || !type.is_static() || !result.is_static()) return Changed::no;
  if (repeats->size() != type.dims.size() || result.num_elements() == 0) return Changed::no;
  std::vector<int64_t> apart, expanded;
  for (size_t d = 0; d < repeats->size(); ++d) {
    const int64_t extent = type.dims[d].number();
    if ((*repeats)[d] != 1) {
      apart.push_back(1);
      expanded.push_back((*repeats)[d]);
    }
    if ((*repeats)[d] != 1 && extent == 1) continue;
    apart.push_back(extent);
    expanded.push_back(extent);
  }
  if (expanded.size() > kMaxRank) return Changed::no;
  const auto ints = [&](const std::vector<int64_t>& numbers) {
    return rewriter.make_constant(id, Tensor::ints(numbers));
  };
  ValueId value = node.operands[0];
  if (apart != type.shape()) value = rewriter.make(id, Op::reshape, {value, ints(apart)});
  if (expanded == result.shape()) {
    return rewriter.replace_by(id, Op::expand, {value, ints(expanded)});
  }
  value = rewriter.make(id, Op::expand, {value, ints(expanded)});
  return rewriter.replace_by(id, Op::reshape, {value, ints(result.shape())});
}

// Indices that are expanded to the updates of unknown extents: the host need not write them out.
Changed bypass_expanded_indices(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::scatter_elements || rewriter.type(node.results[0]).is_static()) {
    return Changed::no;
  }
  const NodeId expand = rewriter.operand_of(id, 1, Op::expand);
  if (!expand || node.view().i64("expands_indices") != 0) return Changed::no;
  const ValueId indices = rewriter.node(expand).operands[0];
  const Type &from = rewriter.type(indices), &to = rewriter.type(node.operands[1]);
  if (!from.is_ranked || !to.is_ranked || from.rank() != to.rank()) return Changed::no;
  rewriter.edit.set_operand(id, 1, indices);
  rewriter.edit.set_attribute(id, "expands_indices", int64_t{1});
  rewriter.edit.erase_if_unused(expand);
  return Changed::yes;
}

// concat of concats along the same axis.
Changed flatten_concat(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::concat) return Changed::no;
  std::vector<ValueId> operands;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const NodeId inner = rewriter.operand_of(id, i, Op::concat);
    if (inner && rewriter.has_one_use(node.operands[i]) &&
        rewriter.node(inner).view().i64("axis") == node.view().i64("axis") &&
        node.view().i64("axis") >= 0) {
      const auto& parts = rewriter.node(inner).operands;
      operands.insert(operands.end(), parts.begin(), parts.end());
    } else {
      operands.push_back(node.operands[i]);
    }
  }
  if (operands.size() == node.operands.size()) return Changed::no;
  return rewriter.replace_by(id, Op::concat, operands, {{"axis", node.view().i64("axis")}});
}

// gather of one known index: a slice, which may be a view of its operand, without the axis.
Changed make_gather_slice(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::gather) return Changed::no;
  const Tensor* index = rewriter.constant(id, 1);
  const Type type = rewriter.type(node.operands[0]);
  const Type result = rewriter.type(node.results[0]);
  if (index == nullptr || index->num_elements() != 1 || !type.is_static()) return Changed::no;
  const int64_t axis = node.view().i64("axis");
  if (!result.is_static() || axis < 0) return Changed::no;
  const int64_t extent = type.dims[static_cast<size_t>(axis)].number();
  const int64_t start = index->i64(0) < 0 ? index->i64(0) + extent : index->i64(0);
  if (start < 0 || start >= extent) return Changed::no;
  const ValueId x = node.operands[0];
  const auto one_int = [&](int64_t number) {
    return rewriter.make_constant(id, Tensor::ints(std::span(&number, 1)));
  };
  const ValueId slice =
      rewriter.make(id, Op::slice, {x, one_int(start), one_int(start + 1), one_int(axis)});
  if (!slice) return Changed::no;
  return rewriter.replace_by(id, Op::reshape,
                             {slice, rewriter.make_constant(id, Tensor::ints(result.shape()))});
}

constexpr SimplifyRule kRules[] = {make_tile_expand, bypass_expanded_indices, merge_reshapes,
                                   merge_transposes, make_transpose_reshape,  drop_moving_nothing,
                                   bypass_expand,    flatten_concat,          make_gather_slice};

}  // namespace

std::span<const SimplifyRule> shape_rules() { return kRules; }

}  // namespace neuronc
