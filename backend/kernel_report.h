// What became of the model's nodes: one row per fused group, for neff.json and --report.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/machine.h"
#include "ir/graph.h"
#include "ir/target.h"

namespace neuronc {

struct KernelReport {
  std::string symbol;   // of the ELF; several rows may share one
  std::string variant;  // the kernel variant that lay-out chose; empty for copies
  CoreRange cores;
  std::vector<Source> nodes;  // the model's nodes behind it, in execution order, each once
  GroupCost cost;             // predicted
};

// The row of `node`, a group or a reorder; `symbol` is left empty.
KernelReport report_kernel(const Module& module, const Graph& graph, NodeId node,
                           const Machine& machine);

}  // namespace neuronc
