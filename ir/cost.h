// What a node of the graph costs on one core of a hardware model: a roofline over its matrix
// arithmetic, its other arithmetic and the bytes it moves.
//
//   time = launch + max(matrix flops / matrix rate + other flops / vector rate,
//                       bytes read and written / rate of the memory on chip)
//
// What a kernel reads and writes, weights apart, and cannot be on chip at once comes from memory.
// Weights are taken to be on chip; what does not fit there is for the partitioner, which knows what
// shares a core. From stage laid_out bytes are those of the storages, before it those of the types.
// Unknown dims count as nothing.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/hardware_model.h"
#include "ir/target.h"

namespace neuronc {

// A node of a group's body whose time is known: a kernel variant predicted it.
struct KnownTime {
  NodeId node;  // none: there is no such node
  double time_ns = 0;
};

// The cost of a group, or of a single operator outside of one. Constants and views are free.
GroupCost predict_cost(const Module& module, const Graph& graph, NodeId node,
                       const HardwareModel& hardware, const KnownTime& known = {});

// The cost of control flow on a core, of the costs of what stands in its bodies: all trips, or the
// dearer branch.
using NodeCost = std::function<GroupCost(const Graph& body, NodeId node)>;
GroupCost cost_of_blocks(const Module& module, const Graph& graph, NodeId node,
                         const HardwareModel& hardware, const NodeCost& cost_of);

// What `node` reads of an operand: no more of a table than the elements that it copies from it.
double read_bytes(const Graph& graph, NodeId node, size_t operand_index);

// Whether executing `node` does nothing: a constant, or results that are views.
bool is_free(const Graph& graph, NodeId node);

// Bytes of `value` in memory: of its storage where it has one (for a view: those it shows),
// otherwise of its type; 0 where dims are unknown.
double size_bytes(const Graph& graph, ValueId value);

// The work of a whole graph by dtype of its matrix products, for reports.
struct GraphWork {
  double matmul_flops = 0;
  double other_flops = 0;
  double weight_bytes = 0;  // each constant once
};
GraphWork total_work(const Module& module, const Graph& graph);

}  // namespace neuronc
