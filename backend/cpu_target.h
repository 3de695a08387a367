// The host CPU as a machine of NeuronCores: what the passes ask, answered from the lowering table,
// the list of kernel variants and the hardware model.
#pragma once

#include <utility>

#include "backend/machine.h"
#include "ir/target.h"

namespace neuronc {

class CpuTarget : public Target {
 public:
  explicit CpuTarget(Machine machine) : machine_(std::move(machine)) {}

  const Machine& machine() const { return machine_; }

  std::string_view name() const override { return machine_.isa.name; }
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
  bool can_hold(DType dtype) const override;
  DType storage_dtype(DType dtype) const override;
  GroupCost cost(const Module& module, const Graph& graph, NodeId group,
                 const HardwareModel& hardware) const override;
  KernelTiles tiles(const Module& module, const Graph& graph, NodeId node) const override;

 private:
  Machine machine_;
};

}  // namespace neuronc
