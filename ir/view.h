// Which data-moving operators are views of their operand's memory, and how.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "ir/storage.h"

namespace neuronc {

// The storages of the results of `node` (reshape, transpose, squeeze, unsqueeze, slice, split,
// expand, identity) as views of its operand's `storage`, without `base`; none where the memory
// order would have to change. Blocked storages have no views.
std::optional<std::vector<Storage>> views_of(const Module& module, const Graph& graph, NodeId node,
                                             const Storage& storage);

// Strides of `to` over memory in which `from` has `strides`; none if no strides do it.
std::optional<std::vector<int64_t>> reshape_strides(const std::vector<int64_t>& from,
                                                    const std::vector<int64_t>& strides,
                                                    const std::vector<int64_t>& to);

// Start and step of a slice along each dim of its operand, as its constant operands state.
struct SliceDim {
  int64_t start = 0;
  int64_t step = 1;
};
std::optional<std::vector<SliceDim>> slice_dims(const Module& module, const Graph& graph,
                                                NodeId node);

}  // namespace neuronc
