// Fuses operators into groups, one kernel each.
//
//   %c = conv(%x, %w, %b)            %r, %n = group(%x, %w, %b, %s) {
//   %a = add(%c, %s)                   conv, add, relu, cast: one loop nest,
//   %r = relu(%a)             ->       intermediate values stay in registers
//   %n = cast(%r)                    }
//
// Consumers join the group that computes the last of their operands (a value used elsewhere too
// becomes one more result); elementwise producers used by one anchor alone move into it. Operators
// that only move data stay outside, where lay-out can make views of them.
#pragma once

#include "ir/base/expected.h"
#include "ir/graph.h"
#include "passes/pass.h"

namespace neuronc {

struct FuseOptions {
  int64_t max_group_size = 48;  // operators in one group, a bound on code size
  std::vector<PassOption> options() {
    return {{"max-group-size", &max_group_size, "operators in one group, a bound on code size"}};
  }
};

// Stage cast -> fused. Every node on a NeuronCore is then a group, a constant or a view candidate.
Expected<Changed> fuse(Module& module, const FuseOptions& options, PassContext& context);

// Whether lay-out can make `node` a view of its operand's memory, given a suitable storage of it.
bool is_view_candidate(const Module& module, const Graph& graph, NodeId node);

}  // namespace neuronc
