// All changes of a graph. Keeps uses, order and output counts right; copies sources.
//
//   GraphEditor edit(graph);
//   ValueId y = edit.insert_before(node, Op::add, {a, b}, {type}).result();
//   edit.replace_all_uses(old_value, y);
//   edit.erase_if_unused(node);
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "ir/base/expected.h"
#include "ir/graph.h"

namespace neuronc {

struct NodeSpec {
  Op op = Op::identity;
  std::vector<ValueId> operands;
  std::vector<Type> result_types;
  std::vector<AttributeValue> attributes;  // complete, in schema order; empty: all defaults
  std::vector<std::unique_ptr<Graph>> bodies;
  SourceId source;
  Placement placement = Placement::unplaced;
};

class GraphEditor {
 public:
  explicit GraphEditor(Graph& graph) : graph_(graph) {}

  ValueId add_input(Type type, std::string name);
  void add_output(ValueId value, std::string name);
  void set_output(size_t index, ValueId value);
  void set_outputs(std::vector<ValueId> values, std::vector<std::string> names);
  void erase_input(size_t index);  // unused inputs of bodies only

  // New nodes; `append` at the end, the others beside a node. Returns the node; its results are
  // graph.node(id).results.
  NodeId append(NodeSpec spec);
  NodeId insert_before(NodeId position, NodeSpec spec);
  NodeId insert_after(NodeId position, NodeSpec spec);

  void set_operand(NodeId node, size_t index, ValueId value);
  void add_operand(NodeId node, ValueId value);
  void erase_operand(NodeId node, size_t index);  // the later ones move up
  void set_attribute(NodeId node, std::string_view name, AttributeValue value);
  void set_op(NodeId node, Op op, std::vector<AttributeValue> attributes);
  void set_type(ValueId value, Type type);
  void set_name(ValueId value, std::string name);
  void set_storage(ValueId value, Storage storage);
  void set_placement(NodeId node, Placement placement, CoreRange cores = {});
  void set_source(NodeId node, SourceId source);

  // Every use of `from`, graph outputs included, becomes a use of `to`.
  void replace_all_uses(ValueId from, ValueId to);
  // Uses by nodes other than `except`.
  void replace_uses_except(ValueId from, ValueId to, NodeId except);

  void move_before(NodeId node, NodeId position);
  void erase(NodeId node);               // results must be unused
  Changed erase_if_unused(NodeId node);  // and then its operands' producers, transitively

  Node& mutable_node(NodeId id) { return graph_.nodes_[id.index]; }  // not operands nor results
  Graph& graph() { return graph_; }

  static std::unique_ptr<Graph> clone(const Graph& graph);
  // Two graphs of one module change places.
  static void swap(Graph& a, Graph& b);

 private:
  NodeId create(NodeSpec spec);
  void link_before(NodeId node, NodeId position);  // none: at the end
  void unlink(NodeId node);
  void add_use(ValueId value, Use use);
  void remove_use(ValueId value, Use use);

  Graph& graph_;
};

// A copy of `graph` with the same ids (erased slots included).
std::unique_ptr<Graph> clone_graph(const Graph& graph);

// Infers the result types of a node about to be made from operand values of `graph`.
OrRefusal<std::vector<Type>> infer_types(const Module& module, const Graph& graph, Op op,
                                         std::span<const ValueId> operands,
                                         std::span<const AttributeValue> attributes,
                                         size_t num_results = 1);

}  // namespace neuronc
