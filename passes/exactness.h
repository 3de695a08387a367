// Which products may not compute with narrow operands: those on exact numbers. Positions,
// identifiers and counts lie beyond what BF16 tells apart, and an angle of a thousand turns keeps
// no digit behind the point.
//
//   %f = cast(%positions) {to = f32}            from integers
//   %a = matmul(%f, %inverse_frequencies)       an inner extent of 1: nothing evens out
//   %c = cos(%a)                                an angle
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "ir/graph.h"

namespace neuronc {

class Exactness {
 public:
  // `narrow` is the type that operands would take.
  Exactness(const Module& module, const Graph& graph, DType narrow);

  // Why the product `node` must keep its operands, as a phrase; empty where it need not.
  std::string reason_against(NodeId node);

 private:
  void mark_before(ValueId value);
  // Whether the value holds integers that `narrow` does not, moved but not computed with.
  bool comes_from_integers(ValueId value);
  bool holds_large_integers(ValueId constant);

  const Module& module_;
  const Graph& graph_;
  DType narrow_;
  std::unordered_set<NodeId> exact_products_;  // whose results reach an angle, an index, an integer
  std::unordered_set<NodeId> visited_;
  std::unordered_map<ValueId, bool> from_integers_;
};

}  // namespace neuronc
