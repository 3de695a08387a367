// Implements evaluate_graph.h.
#include "ir/evaluate_graph.h"

#include <fmt/format.h>

#include <optional>

namespace neuronc {
namespace {

// The values of one graph while it runs.
class Frame {
 public:
  explicit Frame(const Graph& graph)
      : values_(graph.num_value_slots()), num_uses_left_(graph.num_value_slots()) {
    for (NodeId node : graph.nodes()) {
      for (ValueId operand : graph.node(node).operands) {
        if (operand) ++num_uses_left_[operand.index];
      }
    }
    for (ValueId output : graph.outputs()) ++num_uses_left_[output.index];
  }

  HostValue& operator[](ValueId id) { return values_[id.index]; }
  void set(ValueId id, HostValue value) {
    if (num_uses_left_[id.index] > 0) values_[id.index] = std::move(value);
  }
  void release_operands(const Node& node) {
    for (ValueId operand : node.operands) {
      if (operand && --num_uses_left_[operand.index] == 0) values_[operand.index] = HostValue();
    }
  }

 private:
  std::vector<HostValue> values_;
  std::vector<size_t> num_uses_left_;
};

std::string_view kind_text(Type::Kind kind) {
  constexpr std::string_view kNames[] = {"nothing", "a tensor", "a sequence", "an optional",
                                         "an optional sequence"};
  return kNames[static_cast<size_t>(kind)];
}

OrRefusal<void> check_tensor(const Tensor& tensor, const Type& type, const Module& module) {
  bool fits = tensor.dtype() == type.dtype;
  if (type.is_ranked) {
    fits = fits && tensor.shape().size() == type.dims.size();
    for (size_t d = 0; fits && d < type.dims.size(); ++d) {
      fits = !type.dims[d].is_number() || type.dims[d].number() == tensor.shape()[d];
    }
  }
  if (fits) return {};
  return refuse(fmt::format("it is {}, not {}", to_text(tensor.type()), to_text(type, &module)));
}

// What the operator counts and makes, as far as the operands tell before it starts; no value where
// they do not.
std::optional<double> expected_work(const Graph& graph, const Node& node,
                                    std::span<const HostValue* const> operands) {
  std::vector<Type> types;
  std::vector<const Tensor*> constants;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool is_tensor = operands[i] != nullptr && operands[i]->kind == Type::Kind::tensor;
    constants.push_back(is_tensor ? &operands[i]->tensor() : nullptr);
    types.push_back(is_tensor ? constants[i]->type()
                              : (node.operands[i] ? graph.type(node.operands[i]) : Type()));
  }
  const auto results =
      node.bodies.empty()
          ? infer_checked({node.view(), types, constants, node.results.size()})
          : OrRefusal<std::vector<Type>>(refuse("its bodies are counted node by node"));
  if (!results) return std::nullopt;
  double num_made = 0;
  for (const Type& type : *results) {
    if (!type.is_static()) return std::nullopt;
    num_made += static_cast<double>(type.num_elements());
  }
  return node.def().flops(node.view(), types, *results) + num_made;
}

// Elements, and the bytes of texts, which no type tells.
double work_made(std::span<const HostValue> values, bool are_elements_counted) {
  double count = 0;
  for (const HostValue& value : values) {
    for (const Tensor& tensor : value.elements) {
      if (!are_elements_counted) count += static_cast<double>(tensor.num_elements());
      if (tensor.dtype() != DType::string) continue;
      for (const std::string& text : tensor.strings()) count += static_cast<double>(text.size());
    }
  }
  return count;
}

}  // namespace

OrRefusal<void> check_value(const HostValue& value, const Type& type, const Module& module) {
  if (value.kind != type.kind) {
    return refuse(fmt::format("it is {}, not {}", kind_text(value.kind), kind_text(type.kind)));
  }
  if (value.kind == Type::Kind::tensor && value.elements.size() != 1) {
    return refuse("it holds no tensor");
  }
  for (const Tensor& tensor : value.elements) NEURONC_TRY(check_tensor(tensor, type, module));
  return {};
}

OrRefusal<void> EvaluationBudget::take(double num) {
  num_operations -= num;
  if (num_operations >= 0) return {};
  return refuse("it takes too many operations");
}

OrRefusal<std::vector<HostValue>> evaluate_node(const Module& module, const Graph& graph, NodeId id,
                                                std::span<const HostValue* const> operands,
                                                EvaluationBudget* budget, uint64_t trip) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) {
    return std::vector<HostValue>{module.constant(std::get<ConstantId>(node.attributes[0]))};
  }
  uint64_t num_runs = 0;  // of bodies
  const BodyEvaluator evaluate_body = [&](size_t body, std::span<const HostValue> inputs) {
    constexpr uint64_t kSpread = 0x9e3779b97f4a7c15u;
    return evaluate_graph(module, *node.bodies[body], inputs, budget, trip * kSpread + num_runs++);
  };
  if (node.op == Op::group) {
    std::vector<HostValue> inputs;
    for (const HostValue* operand : operands) {
      if (operand == nullptr || node.bodies.size() != 1) return refuse("the group is malformed");
      inputs.push_back(*operand);
    }
    return evaluate_body(0, inputs);
  }
  std::vector<Type> types;
  for (ValueId result : node.results) types.push_back(graph.type(result));
  EvaluateInput input{node.view(), operands, types, node.results.size()};
  input.evaluate_body = &evaluate_body;
  input.trip = trip;
  return node.def().evaluate(input);
}

OrRefusal<std::vector<HostValue>> evaluate_graph(const Module& module, const Graph& graph,
                                                 std::span<const HostValue> inputs,
                                                 EvaluationBudget* budget, uint64_t trip) {
  if (budget != nullptr) NEURONC_TRY(budget->take(EvaluationBudget::kPerNode));
  if (inputs.size() != graph.inputs().size()) {
    return refuse(
        fmt::format("the graph takes {} inputs, not {}", graph.inputs().size(), inputs.size()));
  }
  Frame frame(graph);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueId input = graph.inputs()[i];
    if (const auto checked = check_value(inputs[i], graph.type(input), module); !checked) {
      return refuse(
          fmt::format("input {} `{}`: {}", i, graph.value(input).name, checked.error().reason));
    }
    frame.set(input, inputs[i]);
  }
  std::vector<const HostValue*> operands;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    operands.clear();
    for (ValueId operand : node.operands) {
      operands.push_back(operand ? &frame[operand] : nullptr);
    }
    std::optional<double> work;
    if (budget != nullptr) {
      work = expected_work(graph, node, operands);
      NEURONC_TRY(budget->take(EvaluationBudget::kPerNode + work.value_or(0)));
    }
    auto results = evaluate_node(module, graph, id, operands, budget, trip);
    if (budget != nullptr && results) {
      NEURONC_TRY(budget->take(work_made(*results, work.has_value())));
    }
    if (!results || results->size() < node.results.size()) {
      const std::string node_name = node.source ? module.source(node.source).node : "";
      return refuse(fmt::format("{} \"{}\": {}", node.def().name, node_name,
                                results ? "it gave too few results" : results.error().reason));
    }
    frame.release_operands(node);
    for (size_t i = 0; i < node.results.size(); ++i) {
      frame.set(node.results[i], std::move((*results)[i]));
    }
  }
  std::vector<HostValue> outputs;
  for (ValueId output : graph.outputs()) outputs.push_back(frame[output]);
  return outputs;
}

}  // namespace neuronc
