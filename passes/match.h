// What the rewrites of `recognise` are written with: reading an expression backwards from a value,
// whatever the order in which an exporter wrote its factors and terms.
//
//   Match match(module, graph);
//   Product p = match.product(y);          // y = 0.5 * x * (1 + erf(x / sqrt(2)))
//   p.coefficient == 0.5, p.factors == {x, sum}
//
// A `Match` remembers the inner nodes it has walked through; `is_closed` then says whether the root
// may be replaced: nothing outside of the expression uses a value inside it.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "ir/edit.h"
#include "ir/graph.h"

namespace neuronc {

// coefficient * factors[0] * factors[1] * ...; a power with a small whole exponent repeats its
// base.
struct Product {
  double coefficient = 1;
  std::vector<ValueId> factors;
};

// constant + sum of coefficient * value.
struct Term {
  double coefficient = 1;
  ValueId value;
};
struct Sum {
  double constant = 0;
  std::vector<Term> terms;
};

class Match {
 public:
  Match(const Module& module, const Graph& graph) : module_(&module), graph_(&graph) {}

  // The node that makes `value` if it is an `op`, then counted as inside; none otherwise.
  NodeId inside(ValueId value, Op op);
  void add_inside(NodeId node) { inside_.insert(node); }
  bool is_inside(NodeId node) const { return inside_.contains(node); }

  // The number all elements of a constant have.
  std::optional<double> splat(ValueId value) const;
  bool is_splat(ValueId value, double number) const;
  // Equal up to what the constants of a floating-point model are rounded to.
  static bool is_near(double a, double b, DType dtype = DType::f32);

  // The expression behind `value`. Nodes with one user are walked through, up to a bound; `value`
  // itself is, however many it has.
  Product product(ValueId value);
  Sum sum(ValueId value);

  // The value behind nodes that change the rank only: reshape, squeeze, unsqueeze, identity, an
  // expansion to the same shape.
  ValueId behind_reshapes(ValueId value);

  // Users of results of inside nodes are inside too, or `root`.
  bool is_closed(NodeId root) const;

  ValueId operand(NodeId node, size_t i) const {
    const Node& n = graph_->node(node);
    return i < n.operands.size() ? n.operands[i] : ValueId();
  }
  const Graph& graph() const { return *graph_; }
  const Module& module() const { return *module_; }

 private:
  bool has_one_user(ValueId value) const { return graph_->value(value).num_uses() == 1; }
  void add_factors(ValueId value, double exponent_sign, bool is_root, Product& product);
  void add_terms(ValueId value, double coefficient, bool is_root, Sum& sum);

  const Module* module_;
  const Graph* graph_;
  std::unordered_set<NodeId> inside_;
  int num_walked_ = 0;
};

// The axes of a reduction over `rank` dims, in [0, rank) and sorted; none if they are not constant.
std::optional<std::vector<int64_t>> reduced_axes(const Module& module, const Graph& graph,
                                                 NodeId reduction);

// Replaces the one result of `root` by a new node before it; `root` and what only it used go.
// `attributes` are given by name, the others have their defaults. Refuses what infers another
// type. Returns the new value.
OrRefusal<ValueId> replace_root(Module& module, Graph& graph, NodeId root, Op op,
                                std::vector<ValueId> operands,
                                std::vector<NamedAttribute> attributes = {});

// Inserts a node before `position` and returns its first result.
OrRefusal<ValueId> insert_op(Module& module, Graph& graph, NodeId position, Op op,
                             std::vector<ValueId> operands,
                             std::vector<NamedAttribute> attributes = {});
ValueId insert_constant(Module& module, Graph& graph, NodeId position, Tensor tensor);

}  // namespace neuronc
