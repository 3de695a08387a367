// A machine that can run every operator a NeuronCore could in principle: static shapes, numeric
// element types, no host operator. It makes no code. Pass tests and `neuronc opt --target
// reference` use it, so that what passes decide can be seen apart from what a backend can do.
#pragma once

#include "ir/target.h"

namespace neuronc {

class ReferenceTarget final : public Target {
 public:
  std::string_view name() const override { return "reference"; }
  OrRefusal<void> can_lower(const Module& module, const Graph& graph, NodeId node) const override;
  OrRefusal<void> can_inline(const Module& module, const Graph& graph, NodeId node) const override;
  OrRefusal<void> accepts_prologue(const Module& module, const Graph& graph, NodeId node,
                                   size_t operand_index) const override;
  OrRefusal<void> gains_by_joining(const Module& module, const Graph& graph,
                                   NodeId node) const override;
  VariantChoice choose_variant(const Module& module, const Graph& graph,
                               NodeId group) const override;
  DimOrder preferred_operand_order(const Module& module, const Graph& graph, NodeId group,
                                   size_t operand_index) const override;
  DimOrder preferred_result_order(const Module& module, const Graph& graph, NodeId group,
                                  size_t result_index) const override;
  bool can_hold(DType dtype) const override { return kAnyNumeric.contains(dtype); }
  DType storage_dtype(DType dtype) const override { return dtype; }
  GroupCost cost(const Module& module, const Graph& graph, NodeId group,
                 const HardwareModel& hardware) const override;
  KernelTiles tiles(const Module& module, const Graph& graph, NodeId node) const override;
};

}  // namespace neuronc
