// Implements inline_branches.h.
#include "passes/inline_branches.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/target.h"
#include "passes/inline_body.h"

namespace neuronc {
namespace {

// Movements that take no positions from data.
bool moves_by_shape(Op op) {
  switch (op) {
    case Op::concat:
    case Op::expand:
    case Op::identity:
    case Op::pad:
    case Op::reshape:
    case Op::slice:
    case Op::split:
    case Op::squeeze:
    case Op::transpose:
    case Op::unsqueeze:
      return true;
    default:
      return false;
  }
}

// Whether `node` may be computed although its result may not be wanted.
OrRefusal<void> check_harmless(const Module& module, const Graph& graph, NodeId id,
                               const Target& target) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return {};
  const bool is_total = node.has(Trait::elementwise) || node.has(Trait::reduction) ||
                        node.has(Trait::matmul_like) || moves_by_shape(node.op);
  if (!is_total || node.has(Trait::random) || node.has(Trait::host)) {
    return refuse(fmt::format("`{}` is computed only where it is wanted", node.def().name));
  }
  for (ValueId result : node.results) {
    if (!graph.type(result).is_static()) {
      return refuse(fmt::format("the shape of a result of `{}` is not known", node.def().name));
    }
  }
  return target.can_lower(module, graph, id);
}

double flops_of(const Graph& body) {
  double flops = 0;
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    std::vector<Type> operands, results;
    for (ValueId operand : node.operands) {
      operands.push_back(operand ? body.type(operand) : Type());
    }
    for (ValueId result : node.results) results.push_back(body.type(result));
    flops += node.def().flops(node.view(), operands, results);
  }
  return flops;
}

// What is computed together fuses with what is around it, and cores share it; more work than that is
// worth is left to whoever wants it.
OrRefusal<void> check_work(const Node& node, int64_t max_flops) {
  const double a = flops_of(*node.bodies[0]), b = flops_of(*node.bodies[1]);
  if (std::max(a, b) <= static_cast<double>(max_flops)) return {};
  return refuse(
      fmt::format("one takes {:.3g} operations, the other {:.3g}", std::max(a, b), std::min(a, b)));
}

OrRefusal<void> check_branches(const Rewriter& rewriter, NodeId id, const Target& target,
                               int64_t max_flops) {
  const Node& node = rewriter.node(id);
  for (const auto& body : node.bodies) {
    for (NodeId inner : body->nodes()) {
      NEURONC_TRY(check_harmless(rewriter.module, *body, inner, target));
    }
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    const Type& a = node.bodies[0]->type(node.bodies[0]->outputs()[i]);
    const Type& b = node.bodies[1]->type(node.bodies[1]->outputs()[i]);
    if (a != b || !a.is_tensor() || !a.is_static() || !kAnyNumeric.contains(a.dtype)) {
      return refuse("the branches give different types");
    }
  }
  const Type& condition = rewriter.type(node.operands[0]);
  if (!condition.is_static() || condition.num_elements() != 1) {
    return refuse("the condition is not known to be one element");
  }
  return check_work(node, max_flops);
}

std::vector<ValueId> captures_of(const Node& node) {
  return {node.operands.begin() + 1, node.operands.end()};
}

Changed take_branch(Rewriter& rewriter, NodeId id, bool condition) {
  const std::vector<ValueId> captures = captures_of(rewriter.node(id));
  const Graph& body = *rewriter.node(id).bodies[condition ? 0 : 1];
  replace_results(rewriter, id, inline_body(rewriter, id, body, captures));
  return Changed::yes;
}

Changed select_between(Rewriter& rewriter, NodeId id) {
  const std::vector<ValueId> captures = captures_of(rewriter.node(id));
  ValueId condition = rewriter.node(id).operands[0];
  if (!rewriter.type(condition).dims.empty()) {
    const ValueId shape = rewriter.make_constant(id, Tensor::ints(std::vector<int64_t>{}));
    condition = rewriter.make(id, Op::reshape, {condition, shape});
  }
  std::vector<ValueId> branches[2];
  for (size_t i = 0; i < 2; ++i) {
    branches[i] = inline_body(rewriter, id, *rewriter.node(id).bodies[i], captures);
  }
  std::vector<ValueId> values;
  for (size_t i = 0; i < branches[0].size(); ++i) {
    values.push_back(
        branches[0][i] == branches[1][i]
            ? branches[0][i]
            : rewriter.make(id, Op::where, {condition, branches[0][i], branches[1][i]}));
  }
  replace_results(rewriter, id, values);
  return Changed::yes;
}

Changed inline_node(Rewriter& rewriter, NodeId id, const Target& target, int64_t max_flops) {
  const Tensor* condition = rewriter.constant(id, 0);
  if (condition != nullptr && condition->num_elements() == 1) {
    return take_branch(rewriter, id, condition->i64(0) != 0);
  }
  const OrRefusal<void> fits = check_branches(rewriter, id, target, max_flops);
  if (fits) return select_between(rewriter, id);
  rewriter.remarks.missed(rewriter.label(id),
                          "the branches of `if_else` stay apart: " + fits.error().reason);
  return Changed::no;
}

}  // namespace

Expected<Changed> inline_branches(Module& module, const InlineBranchesOptions& options,
                                  PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) {
      if (graph.node(id).op == Op::if_else)
        changed |= inline_node(rewriter, id, context.target, options.max_flops);
    }
  });
  return changed;
}

}  // namespace neuronc
