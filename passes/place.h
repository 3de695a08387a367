// place: says of every node whether a NeuronCore or the host runs it.
//
//   %0 = conv(%x, %w)            %0 = conv(%x, %w) core
//   %1 = string_normalizer(%s)   %1 = string_normalizer(%s) host   (strings)
//   %2 = non_zero(%0)       =>   %2 = non_zero(%0) host            (unknown dims)
//   %3 = constant {1}            %3 = constant {1} core
//
// A core takes tensors of static shape and numeric type that the target can lower; all else runs
// on the host by the operator's evaluator, and a remark says why.
#pragma once

#include <string>
#include <vector>

#include "passes/pass.h"

namespace neuronc {

// Stage recognised -> placed.
Expected<Changed> place(Module& module, const NoOptions& options, PassContext& context);

// Where the operations of a module run. Constants are no operations, and a fused group counts as
// what is in it; so the figures are the same from `placed` on, but for what fusing added or
// dropped.
struct PlacementSummary {
  struct HostNode {
    std::string label;  // the model's node
    std::string op;     // of the IR
    std::string reason;
  };
  int64_t num_in_model = 0;  // as it was imported
  int64_t num_after_optimizations = 0;
  int64_t num_on_cores = 0;
  int64_t num_on_host = 0;
  std::vector<HostNode> host_nodes;  // in execution order
};
PlacementSummary summarize_placement(const Module& module, const Target& target);

// The three lines that a compile prints.
std::string to_text(const PlacementSummary& summary);

// Why `node` must run on the host; no error: a core can run it.
OrRefusal<void> check_core_can_run(const Module& module, const Graph& graph, NodeId node,
                                   const Target& target);

}  // namespace neuronc
