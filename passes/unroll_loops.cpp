// Implements unroll_loops.h.
#include "passes/unroll_loops.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "ir/evaluate_graph.h"
#include "passes/inline_body.h"

namespace neuronc {
namespace {

// ---- How often a loop runs

// Follows what depends on constants and the number of the trip, node by node.
class KnownValues {
 public:
  KnownValues(const Module& module, const Graph& body) : module_(module), body_(body) {}

  void set(ValueId value, const Tensor& tensor) { values_.insert_or_assign(value, tensor); }

  // Computes what follows from the values that are set.
  void spread(EvaluationBudget& budget) {
    for (NodeId id : body_.nodes()) evaluate(id, budget);
  }

  const Tensor* find(ValueId value) const {
    if (const Tensor* constant = module_.constant_of(body_, value)) return constant;
    const auto at = values_.find(value);
    return at == values_.end() ? nullptr : &at->second.tensor();
  }

 private:
  // Conditions are made of numbers; larger values have nothing to do with them.
  static constexpr int64_t kMostElements = 64;

  void evaluate(NodeId id, EvaluationBudget& budget) {
    const Node& node = body_.node(id);
    if (node.op == Op::constant || !node.bodies.empty() || node.has(Trait::random)) return;
    std::vector<HostValue> values;
    values.reserve(node.operands.size());
    std::vector<const HostValue*> operands;
    for (ValueId operand : node.operands) {
      const Tensor* tensor = operand ? find(operand) : nullptr;
      if (operand && (tensor == nullptr || tensor->num_elements() > kMostElements)) return;
      if (tensor != nullptr) values.emplace_back(*tensor);
      operands.push_back(tensor != nullptr ? &values.back() : nullptr);
    }
    for (ValueId result : node.results) {
      const Type& type = body_.type(result);
      if (type.is_static() && type.num_elements() > kMostElements) return;
    }
    if (!budget.take(EvaluationBudget::kPerNode)) return;
    auto results = evaluate_node(module_, body_, id, operands, &budget);
    if (!results || results->size() < node.results.size()) return;
    for (size_t i = 0; i < node.results.size(); ++i) {
      if ((*results)[i].kind != Type::Kind::tensor) continue;
      values_.insert_or_assign(node.results[i], std::move((*results)[i]));
    }
  }

  const Module& module_;
  const Graph& body_;
  std::unordered_map<ValueId, HostValue> values_;
};

// Runs a loop without its data: the number of its trips, as long as that is at most `most`.
class TripCounter {
 public:
  TripCounter(const Rewriter& rewriter, NodeId id)
      : rewriter_(rewriter),
        node_(rewriter.node(id)),
        body_(*node_.bodies[0]),
        num_carried_(static_cast<size_t>(node_.view().i64("num_carried"))) {}

  OrRefusal<int64_t> count(int64_t most) {
    int64_t limit = std::numeric_limits<int64_t>::max();
    if (node_.has_operand(0)) {
      const Tensor* trips = operand(0);
      if (trips == nullptr || trips->num_elements() != 1) return refuse("its trip count varies");
      limit = trips->i64(0);
    }
    if (node_.has_operand(1)) {
      const Tensor* condition = operand(1);
      if (condition == nullptr || condition->num_elements() != 1) {
        return refuse("its first condition is not known");
      }
      if (condition->i64(0) == 0) return 0;
    }
    if (limit <= 0) return 0;
    if (always_goes_on()) {
      if (limit > most) return refuse(fmt::format("{} trips are too many", limit));
      return limit;
    }
    return follow(limit, most);
  }

 private:
  const Tensor* operand(size_t i) const {
    return rewriter_.module.constant_of(rewriter_.graph, node_.operands[i]);
  }

  // The condition that the body is given holds, or the body would not run.
  bool always_goes_on() const {
    const ValueId next = body_.outputs()[0];
    if (next == body_.inputs()[1]) return true;
    const Tensor* constant = rewriter_.module.constant_of(body_, next);
    return constant != nullptr && constant->num_elements() == 1 && constant->i64(0) != 0;
  }

  OrRefusal<int64_t> follow(int64_t limit, int64_t most) const {
    EvaluationBudget budget{kBudget};
    std::vector<std::optional<Tensor>> carried(num_carried_);
    for (size_t i = 0; i < num_carried_; ++i) {
      if (const Tensor* initial = operand(i + 2)) carried[i] = *initial;
    }
    for (int64_t trip = 0; trip < most; ++trip) {
      KnownValues known(rewriter_.module, body_);
      known.set(body_.inputs()[0], Tensor::scalar(DType::i64, static_cast<double>(trip)));
      known.set(body_.inputs()[1], Tensor::scalar(DType::boolean, 1));
      for (size_t i = 2; i < node_.operands.size(); ++i) {
        const bool is_carried = i - 2 < num_carried_;
        const Tensor* tensor = !is_carried      ? operand(i)
                               : carried[i - 2] ? &*carried[i - 2]
                                                : nullptr;
        if (tensor != nullptr) known.set(body_.inputs()[i], *tensor);
      }
      known.spread(budget);
      const Tensor* goes_on = known.find(body_.outputs()[0]);
      if (goes_on == nullptr || goes_on->num_elements() != 1) {
        return refuse("its condition depends on data");
      }
      if (trip + 1 == limit || goes_on->i64(0) == 0) return trip + 1;
      for (size_t i = 0; i < num_carried_; ++i) {
        const Tensor* next = known.find(body_.outputs()[i + 1]);
        carried[i] = next != nullptr ? std::optional(*next) : std::nullopt;
      }
    }
    return refuse(fmt::format("more than {} trips are too many", most));
  }

  static constexpr double kBudget = 5e7;  // operations, a fraction of a second
  const Rewriter& rewriter_;
  const Node& node_;
  const Graph& body_;
  size_t num_carried_;
};

// ---- Unrolling

// How many trips may be put one behind another.
int64_t most_trips(const Graph& body, const UnrollLoopsOptions& options) {
  return options.max_operations / std::max<int64_t>(num_operations(body), 1);
}

// Collects what trips give, and puts it behind one another along a new axis. A loop without trips
// has what its body would have given as type.
class Stack {
 public:
  Stack(Type element, int64_t axis) : element_(std::move(element)), axis_(axis) {}

  OrRefusal<void> check(int64_t num_trips) const {
    if (!element_.is_tensor() || !element_.is_ranked) return refuse("a stacked output has no rank");
    if (num_trips == 0 && !element_.is_static()) {
      return refuse("the shape of an output without elements is not known");
    }
    return {};
  }

  void add(Rewriter& rewriter, NodeId position, ValueId value) {
    const ValueId axes = rewriter.make_constant(position, Tensor::ints(std::vector{axis_}));
    parts_.push_back(rewriter.make(position, Op::unsqueeze, {value, axes}));
  }

  ValueId finish(Rewriter& rewriter, NodeId position, bool is_reverse) {
    if (is_reverse) std::reverse(parts_.begin(), parts_.end());
    if (!parts_.empty()) return rewriter.make(position, Op::concat, parts_, {{"axis", axis_}});
    std::vector<int64_t> shape = element_.shape();
    shape.insert(shape.begin() + axis_, 0);
    return rewriter.make_constant(position, Tensor::zeros(element_.dtype, std::move(shape)));
  }

 private:
  Type element_;
  int64_t axis_;
  std::vector<ValueId> parts_;
};

OrRefusal<void> check_stacks(std::span<const Stack> stacks, int64_t num_trips) {
  for (const Stack& stack : stacks) NEURONC_TRY(stack.check(num_trips));
  return {};
}

OrRefusal<void> unroll_loop(Rewriter& rewriter, NodeId id, const UnrollLoopsOptions& options) {
  const Graph& body = *rewriter.node(id).bodies[0];
  const auto num_carried = static_cast<size_t>(rewriter.node(id).view().i64("num_carried"));
  NEURONC_ASSIGN(const int64_t num_trips,
                 TripCounter(rewriter, id).count(most_trips(body, options)));
  std::vector<Stack> stacks;
  for (size_t i = 1 + num_carried; i < body.outputs().size(); ++i) {
    stacks.emplace_back(body.type(body.outputs()[i]), 0);
  }
  NEURONC_TRY(check_stacks(stacks, num_trips));
  std::vector<ValueId> inputs = rewriter.node(id).operands;
  if (num_trips > 0) inputs[1] = rewriter.make_constant(id, Tensor::scalar(DType::boolean, 1));
  for (int64_t trip = 0; trip < num_trips; ++trip) {
    inputs[0] = rewriter.make_constant(id, Tensor::scalar(DType::i64, static_cast<double>(trip)));
    const std::vector<ValueId> outputs = inline_body(rewriter, id, body, inputs);
    std::copy_n(outputs.begin() + 1, num_carried, inputs.begin() + 2);
    for (size_t i = 0; i < stacks.size(); ++i) {
      stacks[i].add(rewriter, id, outputs[1 + num_carried + i]);
    }
  }
  std::vector<ValueId> results(inputs.begin() + 2,
                               inputs.begin() + 2 + static_cast<int64_t>(num_carried));
  for (Stack& stack : stacks) results.push_back(stack.finish(rewriter, id, false));
  replace_results(rewriter, id, results);
  return {};
}

// A scan with its attributes spelled out.
struct Scan {
  struct Way {
    int64_t axis = 0;
    bool is_reverse = false;
  };
  size_t num_states = 0;
  std::vector<Way> inputs, outputs;
  int64_t num_trips = 0;
};

Scan::Way way_of(const OpView& op, std::string_view kind, size_t i, int64_t rank) {
  const auto entry = [&](std::string_view what) -> int64_t {
    const std::vector<int64_t>& list = op.ints(fmt::format("scan_{}_{}", kind, what));
    return i < list.size() ? list[i] : 0;
  };
  const int64_t axis = entry("axes");
  return {axis < 0 ? axis + rank : axis, entry("directions") != 0};
}

OrRefusal<Scan> scan_of(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const OpView op = node.view();
  const Graph& body = *node.bodies[0];
  Scan scan{.num_states = static_cast<size_t>(op.i64("num_states"))};
  for (size_t i = 0; i < static_cast<size_t>(op.i64("num_scan_inputs")); ++i) {
    const Type& type = rewriter.type(node.operands[scan.num_states + i]);
    if (!type.is_tensor() || !type.is_static()) return refuse("what it scans has no known shape");
    scan.inputs.push_back(way_of(op, "input", i, type.rank()));
    scan.num_trips = type.shape()[static_cast<size_t>(scan.inputs.back().axis)];
  }
  for (size_t i = scan.num_states; i < body.outputs().size(); ++i) {
    const Type& type = body.type(body.outputs()[i]);
    if (!type.is_ranked) return refuse("a stacked output has no rank");
    scan.outputs.push_back(way_of(op, "output", i - scan.num_states, type.rank() + 1));
  }
  return scan;
}

// Slice `at` of `value` along `axis`, without the axis.
ValueId slice_at(Rewriter& rewriter, NodeId position, ValueId value, int64_t axis, int64_t at) {
  const auto list = [&](int64_t number) {
    return rewriter.make_constant(position, Tensor::ints(std::vector{number}));
  };
  const ValueId slice =
      rewriter.make(position, Op::slice, {value, list(at), list(at + 1), list(axis)});
  return rewriter.make(position, Op::squeeze, {slice, list(axis)});
}

OrRefusal<void> unroll_scan(Rewriter& rewriter, NodeId id, const UnrollLoopsOptions& options) {
  const Graph& body = *rewriter.node(id).bodies[0];
  NEURONC_ASSIGN(const Scan scan, scan_of(rewriter, id));
  if (scan.num_trips > most_trips(body, options)) {
    return refuse(fmt::format("{} trips are too many", scan.num_trips));
  }
  std::vector<Stack> stacks;
  for (size_t i = 0; i < scan.outputs.size(); ++i) {
    stacks.emplace_back(body.type(body.outputs()[scan.num_states + i]), scan.outputs[i].axis);
  }
  NEURONC_TRY(check_stacks(stacks, scan.num_trips));
  const std::vector<ValueId> operands = rewriter.node(id).operands;
  std::vector<ValueId> inputs = operands;
  for (int64_t trip = 0; trip < scan.num_trips; ++trip) {
    for (size_t i = 0; i < scan.inputs.size(); ++i) {
      const auto [axis, is_reverse] = scan.inputs[i];
      inputs[scan.num_states + i] = slice_at(rewriter, id, operands[scan.num_states + i], axis,
                                             is_reverse ? scan.num_trips - 1 - trip : trip);
    }
    const std::vector<ValueId> outputs = inline_body(rewriter, id, body, inputs);
    std::copy_n(outputs.begin(), scan.num_states, inputs.begin());
    for (size_t i = 0; i < stacks.size(); ++i) {
      stacks[i].add(rewriter, id, outputs[scan.num_states + i]);
    }
  }
  std::vector<ValueId> results(inputs.begin(),
                               inputs.begin() + static_cast<int64_t>(scan.num_states));
  for (size_t i = 0; i < stacks.size(); ++i) {
    results.push_back(stacks[i].finish(rewriter, id, scan.outputs[i].is_reverse));
  }
  replace_results(rewriter, id, results);
  return {};
}

Changed unroll_node(Rewriter& rewriter, NodeId id, const UnrollLoopsOptions& options) {
  const Node& node = rewriter.node(id);
  const bool is_loop = node.op == Op::loop;
  if (!is_loop && node.op != Op::scan) return Changed::no;
  // Each trip draws numbers of its own.
  const OrRefusal<void> done = has_random(node) ? refuse("it draws random numbers")
                               : is_loop        ? unroll_loop(rewriter, id, options)
                                                : unroll_scan(rewriter, id, options);
  if (done) return Changed::yes;
  rewriter.remarks.missed(
      rewriter.label(id),
      fmt::format("`{}` not unrolled: {}", is_loop ? "loop" : "scan", done.error().reason));
  return Changed::no;
}

}  // namespace

Expected<Changed> unroll_loops(Module& module, const UnrollLoopsOptions& options,
                               PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) changed |= unroll_node(rewriter, id, options);
    changed |= refine_types(module, graph);
  });
  return changed;
}

}  // namespace neuronc
