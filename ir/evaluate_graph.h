// Evaluates graphs on host values, node by node, with the operators' own evaluators: the oracle of
// the tests, and what runs host nodes. Storage and placement are ignored. Values are freed after
// their last use.
#pragma once

#include <span>
#include <vector>

#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace neuronc {

// How much evaluating may take, in operations: one an element made, those that the operator counts,
// and a fixed number for each node and body. Folding sets one, since a loop can be endless; host
// nodes of the runtime have none.
struct EvaluationBudget {
  double num_operations = 0;  // left
  static constexpr double kPerNode = 1000;

  // Refuses once the budget is used up.
  OrRefusal<void> take(double num);
};

// The graph's outputs for `inputs`, one value per graph input. Refuses with the node that failed
// and its reason; a module that verifies and inputs of the declared types fail only where the
// operator's semantics say so (an index out of range...). `trip` as in EvaluateInput.
OrRefusal<std::vector<HostValue>> evaluate_graph(const Module& module, const Graph& graph,
                                                 std::span<const HostValue> inputs,
                                                 EvaluationBudget* budget = nullptr,
                                                 uint64_t trip = 0);

// One node on given operands (nullptr: absent); control flow and groups evaluate their bodies.
OrRefusal<std::vector<HostValue>> evaluate_node(const Module& module, const Graph& graph,
                                                NodeId node,
                                                std::span<const HostValue* const> operands,
                                                EvaluationBudget* budget = nullptr,
                                                uint64_t trip = 0);

// Whether `value` may stand for `type`: kind, element type, rank and the extents that are numbers.
// Refuses with what is wrong.
OrRefusal<void> check_value(const HostValue& value, const Type& type, const Module& module);

}  // namespace neuronc
