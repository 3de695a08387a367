// Kernel variants: fast ways to compute a group, tried in order, best first.
//
// A variant serves one kind of anchor. It accepts a group or refuses it with a reason that reaches
// the remarks; it says in which memory order it wants operands and results; it lowers the group.
// "default" (backend/lower/) takes every group and comes last.
#pragma once

#include <string_view>
#include <vector>

#include "backend/llvm/codegen.h"
#include "backend/lower/lowered.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/target.h"

namespace neuronc {

// A group as variants see it.
struct GroupContext {
  const Module& module;
  const Graph& graph;
  NodeId group;
  const Graph& body;
  NodeId anchor;  // in the body: the one operator that is not elementwise; none: all are
  const TargetIsa& isa;

  const Node& anchor_node() const { return body.node(anchor); }
  // The type of an operand or result of the anchor.
  std::vector<int64_t> operand_shape(size_t i) const {
    return body.type(anchor_node().operands[i]).shape();
  }
  std::vector<int64_t> result_shape() const { return body.type(anchor_node().results[0]).shape(); }
  // The tensor behind operand `i` of the anchor, where it is a constant.
  const Tensor* constant_operand(size_t i) const;
};

struct Variant {
  std::string_view name;
  OrRefusal<void> (*accepts)(const GroupContext&);
  LoweredKernel (*lower)(const GroupContext&);
  // Memory order wanted for operand `i` of the anchor, and for the group's results.
  DimOrder (*operand_order)(const GroupContext&, size_t anchor_operand);
  DimOrder (*result_order)(const GroupContext&);
  // The part of the machine's peak that it reaches on large problems, for the cost model.
  double efficiency;
};

// Variants of groups anchored by `op`, best first; "default" is not among them.
std::vector<const Variant*> variants_of(Op op);

// The anchor of a body: its only operator that is not elementwise; none if all are.
NodeId find_anchor(const Graph& body);

// The variants, a family a file.
extern const Variant kConvDirect;
extern const Variant kConvDepthwise;
extern const Variant kMatmulPacked;
extern const Variant kMatmulDynamic;

// Orders that conv-like variants share.
DimOrder channels_last(size_t rank);
DimOrder no_order(const GroupContext&, size_t);
DimOrder no_result_order(const GroupContext&);

// "conv_3x3_64_relu": the operators of the body and what tells kernels apart at a glance.
std::string kernel_name(const GroupContext& context);

}  // namespace neuronc
