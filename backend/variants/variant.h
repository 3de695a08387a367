// Kernel variants: fast ways to compute a group, chosen by predicted time.
//
// A variant serves one kind of anchor. It predicts the time of a group or refuses it with a reason
// that reaches the remarks; it says in which memory order it wants operands and results, and where
// it takes elementwise work in; it lowers the group. "default" (backend/lower/) takes every group.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/lower/lowered.h"
#include "backend/machine.h"
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
  const Machine& machine;

  const Node& anchor_node() const { return body.node(anchor); }
  // The type of an operand or result of the anchor.
  std::vector<int64_t> operand_shape(size_t i) const {
    return body.type(anchor_node().operands[i]).shape();
  }
  DType operand_dtype(size_t i) const { return body.type(anchor_node().operands[i]).dtype; }
  std::vector<int64_t> result_shape() const { return body.type(anchor_node().results[0]).shape(); }
  // The group's operand behind a value of the body; none if the body computes it.
  ValueId outer_of(ValueId body_value) const;
  // The tensor behind operand `i` of the anchor, where it is a constant.
  const Tensor* constant_operand(size_t i) const;
};

struct Variant {
  std::string_view name;
  // The predicted time of the group in nanoseconds on one core of the machine's hardware model, or
  // why the variant cannot compute it. Asked from stage fused on.
  OrRefusal<double> (*predict_ns)(const GroupContext&);
  // Plans once; called for groups that predict_ns accepted, when storages are settled.
  OrRefusal<LoweredKernel> (*lower)(const GroupContext&);
  // Memory order wanted for operand `i` of the anchor, and for the group's results.
  DimOrder (*operand_order)(const GroupContext&, size_t anchor_operand);
  DimOrder (*result_order)(const GroupContext&);
  // Asked before fusion: whether work on operand `i` of the anchor costs no more than once per
  // element where this variant reads it.
  OrRefusal<void> (*prologue)(const Module&, const Graph&, const Node& anchor, size_t operand);
  // Its kernels are cut as CodeOptions::blocking says.
  bool has_blockings = false;
};

// Variants of groups anchored by `op`; "default" is not among them.
std::span<const Variant* const> variants_of(Op op);

// The variant of least predicted time, none if all refuse; refusals are appended where wanted.
struct BestVariant {
  const Variant* variant = nullptr;
  double time_ns = 0;
};
BestVariant best_variant(const GroupContext& context, std::vector<std::string>* refusals = nullptr);

// A way to compute a group that may turn out faster than the predicted one.
struct Candidate {
  std::string variant;
  Blocking blocking;
};
// The `chosen` variant first, then the others whose predicted time is within `factor` of it, then
// other blockings of the chosen one. One alone: there is nothing to choose.
std::vector<Candidate> candidates(const GroupContext& context, std::string_view chosen,
                                  double factor);

// The anchor of a body: its only operator that is not elementwise; none if all are.
NodeId find_anchor(const Graph& body);

// The variants, a family a file.
extern const Variant kAttentionBlocks;
extern const Variant kConvDirect;
extern const Variant kConvPlanar;
extern const Variant kConvDepthwise;
extern const Variant kConvTaps;
extern const Variant kConvTransposePhases;
extern const Variant kConvWinograd;
extern const Variant kMatmulPacked;
extern const Variant kMatmulDots;
extern const Variant kMatmulDynamic;
extern const Variant kPoolSeparable;
extern const Variant kRecurrentProducts;
extern const Variant kRegionChannels;
extern const Variant kSampleChannels;
extern const Variant kTopKRadix;
extern const Variant kTopKTournament;

// Whether attention in one kernel is faster than its products and softmax apart.
OrRefusal<void> attention_gains(const GroupContext& context);

// Orders that conv-like variants share. Images are operand 0 and what has the result's shape.
DimOrder channels_last(size_t rank);
DimOrder image_operand_order(const GroupContext& context, size_t operand);
DimOrder image_result_order(const GroupContext& context);
DimOrder no_order(const GroupContext&, size_t);
DimOrder no_result_order(const GroupContext&);
OrRefusal<void> no_prologue(const Module&, const Graph&, const Node&, size_t);

// "conv_3x3_64_relu": the operators of the body and what tells kernels apart at a glance.
std::string kernel_name(const GroupContext& context);

}  // namespace neuronc
