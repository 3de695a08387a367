// The graph as the chain of work that pipeline_split.h splits. Private to passes/.
//
// A unit is a kernel, in execution order. Views are carried with what they show, and a concat in
// place is made where its last part is made. What comes from the host or the caller costs a core
// nothing here: both live in memory that all cores read.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "ir/hardware_model.h"
#include "ir/target.h"
#include "passes/pipeline_split.h"
#include "passes/tensor_split.h"

namespace neuronc {

struct PartitionProblem {
  SplitProblem split;
  std::vector<NodeId> kernels;              // in execution order
  std::vector<uint32_t> unit_of_kernel;     // several a unit in very large graphs
  std::vector<TensorUnit> tensor_units;     // of each kernel
  std::vector<std::string_view> why_alone;  // of each kernel: why no cores share it, if none can
  std::vector<double> kernel_weight_bytes;
  double stored_weight_bytes = 0;  // of all constants; requests may read less of a table
  std::vector<NodeId> free_nodes;  // views and concats in place, in execution order
};

// What reading weights from memory takes longer than computing with them does.
double stall_ns(double weight_bytes, double compute_ns, double memory_bytes_per_s);

// Times are those that the target predicts for its variants on `hardware`. Tiles are those of the
// kernels, if several cores are to share them; otherwise one each.
enum class Tiles : uint8_t { one, of_kernels };
PartitionProblem make_partition_problem(const Module& module, const Target& target,
                                        const HardwareModel& hardware, Tiles tiles);

}  // namespace neuronc
