// Implements fold_constants.h.
#include "passes/fold_constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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

double size_or_zero(const Type& type) {
  if (!type.is_static()) return 0;
  if (type.dtype != DType::string) return static_cast<double>(type.size_bytes());
  return static_cast<double>(type.num_elements()) * sizeof(std::string);
}

// With the texts of strings, which types know nothing of.
double size_bytes_of(const Tensor& tensor) {
  double bytes = size_or_zero(tensor.type());
  if (tensor.dtype() != DType::string) return bytes;
  for (const std::string& text : tensor.strings()) bytes += static_cast<double>(text.size());
  return bytes;
}

// The bytes of the results, as far as their types say.
OrRefusal<double> check_limits(const Graph& graph, const Node& node,
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
  return result_bytes;
}

// What one run of the pass may make, all operators together. A chain of small steps must not make
// much out of little, and a module keeps every constant that it ever had.
struct Budget {
  static constexpr double kMostMadePerByte = 8;

  EvaluationBudget operations;
  double growth_bytes = 0;  // of the constants in use
  double made_bytes = 0;

  static Budget of(Module& module, const FoldConstantsOptions& options) {
    std::set<ConstantId> used;
    for_each_graph(module, [&](Graph& graph) {
      for (const NodeId id : graph.nodes()) {
        const Node& node = graph.node(id);
        if (node.op == Op::constant) used.insert(std::get<ConstantId>(node.attributes[0]));
      }
    });
    Budget budget{{static_cast<double>(options.max_flops)},
                  static_cast<double>(options.max_growth)};
    for (const ConstantId id : used) budget.made_bytes += size_bytes_of(module.constant(id));
    budget.made_bytes = budget.made_bytes * kMostMadePerByte + budget.growth_bytes;
    return budget;
  }

  OrRefusal<void> take(double bytes, double freed_bytes) {
    const double growth = std::max(bytes - freed_bytes, 0.0);
    if (bytes > made_bytes || growth > growth_bytes) {
      return refuse(fmt::format("the result takes {} bytes, too many with all others", bytes));
    }
    made_bytes -= bytes;
    growth_bytes -= growth;
    return {};
  }
};

// The bytes of operands that nobody else uses.
double freed_bytes(const Graph& graph, NodeId id) {
  const std::vector<ValueId>& operands = graph.node(id).operands;
  double bytes = 0;
  for (const ValueId operand : std::set<ValueId>(operands.begin(), operands.end())) {
    if (!operand) continue;
    const Value& value = graph.value(operand);
    const bool is_last =
        value.num_output_uses == 0 &&
        std::all_of(value.uses.begin(), value.uses.end(), [&](Use use) { return use.node == id; });
    if (is_last) bytes += size_or_zero(value.type);
  }
  return bytes;
}

// Bodies run as often as the data say, so their work is counted while they run. Each node may take
// half of what is left, so that none leaves the others without.
OrRefusal<std::vector<HostValue>> evaluate(const Module& module, const Graph& graph, NodeId id,
                                           const FoldConstantsOptions& options, Budget& budget) {
  const Node& node = graph.node(id);
  std::vector<HostValue> values(node.operands.size());
  std::vector<const HostValue*> operands(node.operands.size(), nullptr);
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!node.operands[i]) continue;
    values[i] = *module.constant_of(graph, node.operands[i]);
    operands[i] = &values[i];
    const Tensor& tensor = values[i].tensor();
    if (tensor.dtype() == DType::string &&
        size_bytes_of(tensor) > static_cast<double>(options.max_bytes)) {
      return refuse("its texts take too many bytes");
    }
  }
  if (node.bodies.empty()) return evaluate_node(module, graph, id, operands);
  EvaluationBudget own{budget.operations.num_operations / 2};
  budget.operations.num_operations -= own.num_operations;
  auto results = evaluate_node(module, graph, id, operands, &own);
  budget.operations.num_operations += std::max(own.num_operations, 0.0);
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
  Folder(Module& module, Graph& graph, const FoldConstantsOptions& options, Budget& budget,
         Remarks& remarks)
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
    // First by what the types say, so that nothing large is made to be thrown away.
    Budget trial = budget_;
    const double freed = freed_bytes(rewriter_.graph, id);
    if (const auto fits = trial.take(*checked, freed); !fits) return miss(id, fits.error().reason);
    auto values = evaluate(rewriter_.module, rewriter_.graph, id, options_, budget_);
    if (!values) return miss(id, values.error().reason);
    double bytes = 0;
    for (const HostValue& value : *values) {
      for (const Tensor& tensor : value.elements) bytes += size_bytes_of(tensor);
    }
    if (const auto fits = budget_.take(bytes, freed); !fits) return miss(id, fits.error().reason);
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
  Budget& budget_;
};

}  // namespace

Expected<Changed> fold_constants(Module& module, const FoldConstantsOptions& options,
                                 PassContext& context) {
  Changed changed = Changed::no;
  // One for all bodies: a thousand endless loops must not take a thousand times as long.
  Budget budget = Budget::of(module, options);
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
