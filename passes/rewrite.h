// What local rewrites share: making nodes beside another, replacing results, refining types.
//
// A rule looks at one node and either changes the graph around it and returns Changed::yes, or
// leaves everything as it was.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/edit.h"
#include "ir/graph.h"
#include "ir/remarks.h"

namespace neuronc {

struct Rewriter {
  Module& module;
  Graph& graph;
  Remarks& remarks;
  GraphEditor edit{graph};

  const Node& node(NodeId id) const { return graph.node(id); }
  const Type& type(ValueId id) const { return graph.type(id); }
  // The node behind operand `i`, if it is of `op`; none otherwise.
  NodeId operand_of(NodeId id, size_t i, Op op) const;
  // The tensor of a constant operand; nullptr where it is absent or not constant.
  const Tensor* constant(NodeId id, size_t i) const;
  // The integers of a constant operand.
  std::optional<std::vector<int64_t>> constant_ints(NodeId id, size_t i) const;
  bool has_one_use(ValueId id) const { return graph.value(id).num_uses() == 1; }

  // A constant in front of `position`.
  ValueId make_constant(NodeId position, Tensor tensor);
  // A node in front of `position`, with its source and placement; its first result, of the type
  // that inference gives. None, and nothing made, where inference refuses.
  ValueId make(NodeId position, Op op, std::vector<ValueId> operands,
               std::vector<NamedAttribute> attributes = {});
  // Lets `value` stand for result 0 of `id`, which goes, with what only it used.
  void replace(NodeId id, ValueId value);
  // Lets `op` with these operands and attributes stand for `id`; no where inference refuses.
  Changed replace_by(NodeId id, Op op, std::vector<ValueId> operands,
                     std::vector<NamedAttribute> attributes = {});
  std::string label(NodeId id) const;
};

// Whether the node, or one in its bodies, gives random numbers: none stands for another then.
bool has_random(const Node& node);

// True if all elements of a numeric tensor equal `number`, and there is one.
bool is_all(const Tensor& tensor, double number);

// The more precise of two types of the same value: numbers stand before symbols, those before
// unknown dims.
Type refined(const Type& a, const Type& b);

// Infers the types of all results anew and refines the declared ones.
Changed refine_types(Module& module, Graph& graph);

}  // namespace neuronc
