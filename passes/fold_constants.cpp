// Implements fold_constants.h.
#include "passes/fold_constants.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/evaluate_graph.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

// Operators whose result follows from the operand's type alone.
bool depends_on_type_alone(const Graph& graph, const Node& node) {
  return (node.op == Op::shape || node.op == Op::size) && graph.type(node.operands[0]).is_static();
}

bool is_candidate(const Module& module, const Graph& graph, const Node& node) {
  if (node.op == Op::constant || node.op == Op::group || has_random(node)) return false;
  if (depends_on_type_alone(graph, node)) return true;
  return std::all_of(node.operands.begin(), node.operands.end(), [&](ValueId operand) {
    return !operand || module.constant_of(graph, operand) != nullptr;
  });
}

// The bytes of strings are not counted; they are small.
double size_or_zero(const Type& type) {
  return type.is_static() ? static_cast<double>(type.size_bytes()) : 0;
}

OrRefusal<void> check_limits(const Graph& graph, const Node& node,
                             const FoldConstantsOptions& options) {
  std::vector<Type> operands, results;
  double operand_bytes = 0, result_bytes = 0;
  for (ValueId operand : node.operands) {
    operands.push_back(operand ? graph.type(operand) : Type());
    operand_bytes += size_or_zero(operands.back());
  }
  for (ValueId result : node.results) {
    results.push_back(graph.type(result));
    result_bytes += size_or_zero(results.back());
  }
  if (result_bytes > operand_bytes && result_bytes > static_cast<double>(options.max_bytes)) {
    return refuse(fmt::format("the result takes {} bytes", result_bytes));
  }
  const double flops = node.def().flops(node.view(), operands, results);
  if (flops > static_cast<double>(options.max_flops)) {
    return refuse(fmt::format("it takes {:.3g} operations", flops));
  }
  return {};
}

// Bodies run as often as the data say, so their work is counted while they run. Each node may take
// half of what is left, so that none leaves the others without.
OrRefusal<std::vector<HostValue>> evaluate(const Module& module, const Graph& graph, NodeId id,
                                           EvaluationBudget& budget) {
  const Node& node = graph.node(id);
  std::vector<HostValue> values(node.operands.size());
  std::vector<const HostValue*> operands(node.operands.size(), nullptr);
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!node.operands[i]) continue;
    values[i] = *module.constant_of(graph, node.operands[i]);
    operands[i] = &values[i];
  }
  if (node.bodies.empty()) return evaluate_node(module, graph, id, operands);
  EvaluationBudget own{budget.num_operations / 2};
  budget.num_operations -= own.num_operations;
  auto results = evaluate_node(module, graph, id, operands, &own);
  budget.num_operations += std::max(own.num_operations, 0.0);
  return results;
}

// The value of `shape` or `size` of a static type.
Tensor answer_type_query(const Graph& graph, const Node& node) {
  const Type& type = graph.type(node.operands[0]);
  if (node.op == Op::size) {
    return Tensor::scalar(DType::i64, static_cast<double>(type.num_elements()));
  }
  const auto clamped = [&](int64_t axis) {
    return std::clamp<int64_t>(axis < 0 ? axis + type.rank() : axis, 0, type.rank());
  };
  const std::vector<int64_t> shape = type.shape();
  const int64_t begin = clamped(node.view().i64("start"));
  const int64_t end = node.view().has("end") ? clamped(node.view().i64("end")) : type.rank();
  const auto length = static_cast<size_t>(std::max<int64_t>(end - begin, 0));
  return Tensor::ints(std::span(shape).subspan(static_cast<size_t>(begin), length));
}

class Folder {
 public:
  Folder(Module& module, Graph& graph, const FoldConstantsOptions& options,
         EvaluationBudget& budget, Remarks& remarks)
      : rewriter_{module, graph, remarks}, options_(options), budget_(budget) {}

  Changed fold(NodeId id) {
    const Node& node = rewriter_.node(id);
    if (!is_candidate(rewriter_.module, rewriter_.graph, node)) return Changed::no;
    const bool is_used = std::any_of(node.results.begin(), node.results.end(), [&](ValueId v) {
      return !rewriter_.graph.value(v).is_unused();
    });
    if (!is_used) return Changed::no;
    if (depends_on_type_alone(rewriter_.graph, node)) {
      std::vector<HostValue> answer{answer_type_query(rewriter_.graph, node)};
      return store(id, answer);
    }
    const auto checked = check_limits(rewriter_.graph, node, options_);
    if (!checked) return miss(id, checked.error().reason);
    auto values = evaluate(rewriter_.module, rewriter_.graph, id, budget_);
    if (!values) return miss(id, values.error().reason);
    return store(id, *values);
  }

 private:
  Changed miss(NodeId id, const std::string& reason) {
    rewriter_.remarks.missed(
        rewriter_.label(id),
        fmt::format("{} of constants not folded: {}", rewriter_.node(id).def().name, reason));
    return Changed::no;
  }

  Changed store(NodeId id, std::vector<HostValue>& values) {
    const size_t num_results = rewriter_.node(id).results.size();
    if (values.size() < num_results) return miss(id, "its evaluator gave too few results");
    for (size_t i = 0; i < num_results; ++i) {
      if (values[i].kind != Type::Kind::tensor) return miss(id, "a result is not a tensor");
    }
    for (size_t i = 0; i < num_results; ++i) {
      const ValueId result = rewriter_.node(id).results[i];
      if (rewriter_.graph.value(result).is_unused()) continue;
      const ValueId constant = rewriter_.make_constant(id, std::move(values[i].elements[0]));
      rewriter_.edit.set_name(constant, rewriter_.graph.value(result).name);
      rewriter_.edit.replace_all_uses(result, constant);
    }
    rewriter_.edit.erase_if_unused(id);
    return Changed::yes;
  }

  Rewriter rewriter_;
  const FoldConstantsOptions& options_;
  EvaluationBudget& budget_;
};

}  // namespace

Expected<Changed> fold_constants(Module& module, const FoldConstantsOptions& options,
                                 PassContext& context) {
  Changed changed = Changed::no;
  // One for all bodies: a thousand endless loops must not take a thousand times as long.
  EvaluationBudget budget{static_cast<double>(options.max_flops)};
  for_each_graph(module, [&](Graph& graph) {
    Folder folder(module, graph, options, budget, context.remarks);
    for (NodeId id : graph.nodes()) {
      if (!graph.node(id).is_erased) changed |= folder.fold(id);
    }
    // What became known may be a shape operand of later nodes.
    changed |= refine_types(module, graph);
  });
  return changed;
}

}  // namespace neuronc
