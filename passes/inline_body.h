// What the passes that dissolve control flow share: a body's nodes in place of their node.
#pragma once

#include <span>
#include <vector>

#include "passes/rewrite.h"

namespace neuronc {

// Copies the nodes of `body` in front of `position`, with `inputs` for the body's inputs, and
// returns the values that stand for its outputs. Sources are those of the body's nodes.
std::vector<ValueId> inline_body(Rewriter& rewriter, NodeId position, const Graph& body,
                                 std::span<const ValueId> inputs);

// Lets `values` stand for the results of `id`, which goes.
void replace_results(Rewriter& rewriter, NodeId id, std::span<const ValueId> values);

// The operations in a graph and its bodies, constants left out.
int64_t num_operations(const Graph& graph);

}  // namespace neuronc
