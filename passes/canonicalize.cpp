// Implements canonicalize.h.
#include "passes/canonicalize.h"

#include <algorithm>
#include <numeric>

#include "passes/rewrite.h"

namespace neuronc {
namespace {

Changed remove_identity(Rewriter& rewriter, NodeId id) {
  if (rewriter.node(id).op != Op::identity) return Changed::no;
  rewriter.replace(id, rewriter.node(id).operands[0]);
  return Changed::yes;
}

Changed trim_operands(Rewriter& rewriter, NodeId id) {
  Changed changed = Changed::no;
  while (!rewriter.node(id).operands.empty() && !rewriter.node(id).operands.back()) {
    rewriter.edit.erase_operand(id, rewriter.node(id).operands.size() - 1);
    changed = Changed::yes;
  }
  return changed;
}

Changed put_constant_second(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (!node.has(Trait::commutative) || node.operands.size() != 2) return Changed::no;
  if (rewriter.constant(id, 0) == nullptr || rewriter.constant(id, 1) != nullptr) {
    return Changed::no;
  }
  const ValueId constant = node.operands[0], other = node.operands[1];
  rewriter.edit.set_operand(id, 0, other);
  rewriter.edit.set_operand(id, 1, constant);
  return Changed::yes;
}

// `axis` counts the dims of operand 0 in these operators.
bool has_axis_of_operand(Op op) {
  return op == Op::concat || op == Op::split || op == Op::gather || op == Op::gather_elements ||
         op == Op::scatter_elements;
}

Changed make_axis_positive(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (!has_axis_of_operand(node.op)) return Changed::no;
  const int64_t axis = node.view().i64("axis");
  const Type& type = rewriter.type(node.operands[0]);
  if (axis >= 0 || !type.is_ranked) return Changed::no;
  rewriter.edit.set_attribute(id, "axis", axis + type.rank());
  return Changed::yes;
}

Changed spell_out_permutation(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::transpose || !node.view().ints("perm").empty()) return Changed::no;
  const Type& type = rewriter.type(node.operands[0]);
  if (!type.is_ranked || type.rank() < 2) return Changed::no;
  std::vector<int64_t> perm(type.dims.size());
  std::iota(perm.rbegin(), perm.rend(), 0);
  rewriter.edit.set_attribute(id, "perm", std::move(perm));
  return Changed::yes;
}

// reshape, squeeze and unsqueeze of a static result: reshape to exactly these extents.
Changed spell_out_shape(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::reshape && node.op != Op::squeeze && node.op != Op::unsqueeze) {
    return Changed::no;
  }
  const Type type = rewriter.type(node.results[0]);
  if (!type.is_static()) return Changed::no;
  const std::vector<int64_t> shape = type.shape();
  const bool has_zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (node.op == Op::reshape && rewriter.constant_ints(id, 1) == shape &&
      (node.view().i64("allowzero") != 0) == has_zero) {
    return Changed::no;
  }
  const ValueId operand = node.operands[0];
  const ValueId constant = rewriter.make_constant(id, Tensor::ints(shape));
  return rewriter.replace_by(id, Op::reshape, {operand, constant},
                             {{"allowzero", int64_t{has_zero ? 1 : 0}}});
}

using Rule = Changed (*)(Rewriter&, NodeId);
constexpr Rule kRules[] = {remove_identity,    trim_operands,         put_constant_second,
                           make_axis_positive, spell_out_permutation, spell_out_shape,
                           split_einsum,       make_einsum_matmul};

}  // namespace

Expected<Changed> canonicalize(Module& module, const NoOptions&, PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    changed |= refine_types(module, graph);
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) {
      for (Rule rule : kRules) {
        if (graph.node(id).is_erased) break;
        changed |= rule(rewriter, id);
      }
    }
  });
  return changed;
}

}  // namespace neuronc
