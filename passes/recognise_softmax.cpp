// Rules of recognise: softmax and log-softmax.
#include "passes/recognise_rules.h"

namespace neuronc {
namespace {

struct Softmax {
  ValueId x;
  int64_t axis = 0;
};

// The value that exp is taken of, without the shift by its own maximum: softmax shifts by itself.
ValueId without_shift(Match& match, ValueId z, int64_t axis) {
  const Graph& graph = match.graph();
  const NodeId sub = z ? graph.producer(z) : NodeId();
  if (!sub || graph.node(sub).op != Op::sub) return z;
  const ValueId x = match.operand(sub, 0);
  // The walk is repeated on a match of its own, so that a failure leaves nothing inside.
  Match trial = match;
  trial.add_inside(sub);
  ValueId shift = trial.behind_reshapes(match.operand(sub, 1));
  if (const NodeId clamp = trial.inside(shift, Op::max)) {
    for (size_t i = 0; i < 2; ++i) {
      if (match.splat(match.operand(clamp, i))) {
        shift = trial.behind_reshapes(match.operand(clamp, 1 - i));
      }
    }
  }
  const NodeId maximum = trial.inside(shift, Op::reduce_max);
  if (!maximum || match.operand(maximum, 0) != x) return z;
  const auto axes = reduced_axes(match.module(), graph, maximum);
  if (!axes || *axes != std::vector<int64_t>{axis}) return z;
  if (!is_reduced_type(graph.type(match.operand(sub, 1)), graph.type(x), *axes)) return z;
  match = trial;
  return x;
}

// `sum` as the sum of `e` = exp(z) over one axis.
OrRefusal<Softmax> match_sum_of_exp(Match& match, ValueId e, ValueId sum) {
  const Graph& graph = match.graph();
  const ValueId reduced = match.behind_reshapes(sum);
  const NodeId reduction = match.inside(reduced, Op::reduce_sum);
  const NodeId exp = match.inside(e, Op::exp);
  if (!reduction || !exp || match.operand(reduction, 0) != e) return refuse("");
  const auto axes = reduced_axes(match.module(), graph, reduction);
  if (!axes || axes->size() != 1) return refuse("the sum is not over one axis");
  if (!is_reduced_type(graph.type(sum), graph.type(e), *axes)) {
    return refuse("the sum does not broadcast along its own axis");
  }
  const int64_t axis = axes->front();
  return Softmax{without_shift(match, match.operand(exp, 0), axis), axis};
}

Attempt rewrite(Module& module, Graph& graph, NodeId root, const Match& match,
                const OrRefusal<Softmax>& softmax, Op op) {
  const std::string what(name(op));
  if (!softmax && softmax.error().reason.empty()) return Attempt::not_this();
  if (!softmax) return Attempt::missed(what + " not recognised: " + softmax.error().reason);
  if (!match.is_closed(root)) return Attempt::missed(what + " not recognised: " + kOtherUsers);
  return Attempt::of(
      graph, replace_root(module, graph, root, op, {softmax->x}, {{"axis", softmax->axis}}), what);
}

// exp(z) / sum(exp(z))
Attempt match_quotient(Module& module, Graph& graph, NodeId root) {
  Match match(module, graph);
  const auto softmax = match_sum_of_exp(match, match.operand(root, 0), match.operand(root, 1));
  return rewrite(module, graph, root, match, softmax, Op::softmax);
}

// exp(z) * reciprocal(sum(exp(z)))
Attempt match_scaled(Module& module, Graph& graph, NodeId root) {
  for (size_t i = 0; i < 2; ++i) {
    Match match(module, graph);
    const NodeId inverse = match.inside(match.operand(root, i), Op::reciprocal);
    if (!inverse) continue;
    const auto softmax =
        match_sum_of_exp(match, match.operand(root, 1 - i), match.operand(inverse, 0));
    return rewrite(module, graph, root, match, softmax, Op::softmax);
  }
  return Attempt::not_this();
}

// z - log(sum(exp(z)))
Attempt match_difference(Module& module, Graph& graph, NodeId root) {
  Match match(module, graph);
  const NodeId log = match.inside(match.behind_reshapes(match.operand(root, 1)), Op::log);
  if (!log) return Attempt::not_this();
  const ValueId z = match.operand(root, 0);
  const NodeId sum = graph.producer(match.behind_reshapes(match.operand(log, 0)));
  if (!sum || graph.node(sum).op != Op::reduce_sum) return Attempt::not_this();
  const ValueId e = match.operand(sum, 0);
  const NodeId exp = graph.producer(e);
  if (!exp || graph.node(exp).op != Op::exp || match.operand(exp, 0) != z) {
    return Attempt::not_this();
  }
  auto softmax = match_sum_of_exp(match, e, match.operand(log, 0));
  if (softmax && !is_reduced_type(graph.type(match.operand(root, 1)), graph.type(z),
                                  std::vector<int64_t>{softmax->axis})) {
    return Attempt::not_this();
  }
  return rewrite(module, graph, root, match, softmax, Op::log_softmax);
}

// log(softmax(x))
Attempt match_log(Module& module, Graph& graph, NodeId root) {
  Match match(module, graph);
  const NodeId softmax = match.inside(match.operand(root, 0), Op::softmax);
  if (!softmax) return Attempt::not_this();
  const Softmax found{match.operand(softmax, 0), graph.node(softmax).view().i64("axis")};
  return rewrite(module, graph, root, match, found, Op::log_softmax);
}

constexpr Rule kRules[] = {{Op::div, match_quotient},
                           {Op::mul, match_scaled},
                           {Op::sub, match_difference},
                           {Op::log, match_log}};

}  // namespace

std::span<const Rule> softmax_rules() { return kRules; }

}  // namespace neuronc
