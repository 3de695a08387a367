// What the passes may ask of a backend: the abstract machine. Implemented in backend/.
//
// All answers are pure functions of the module: passes may ask in any order and as often as they
// like, from several compiles at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/expected.h"
#include "ir/graph.h"

namespace neuronc {

struct HardwareModel;

// A kernel variant a group can take, or why a better one cannot.
struct VariantChoice {
  std::string name;                   // "conv.direct", "default"
  std::vector<std::string> refusals;  // "conv.winograd: stride 2", for the remarks
};

// The dim order, outermost first, in which a kernel wants a value stored; empty: no preference.
using DimOrder = std::vector<int>;

struct GroupCost {
  double time_ns = 0;  // predicted, one core
  double flops = 0;
  double weight_bytes = 0;  // constants as stored
  double bytes_read = 0;    // activations
  double bytes_written = 0;
};

// The tiles of a kernel that cores may share; one: the first of them computes it alone.
struct KernelTiles {
  int64_t count = 1;
  std::string_view why_one;  // for a remark, where `count` is 1
};

class Target {
 public:
  virtual ~Target() = default;

  virtual std::string_view name() const = 0;  // "x86-64-v3"

  // Whether a NeuronCore can run `node` (static shapes, numeric dtypes, a lowering exists).
  virtual OrRefusal<void> can_lower(const Module& module, const Graph& graph,
                                    NodeId node) const = 0;

  // Whether `node`, an elementwise or data-moving operator, may be computed inside another
  // operator's kernel, element by element.
  virtual OrRefusal<void> can_inline(const Module& module, const Graph& graph,
                                     NodeId node) const = 0;

  // Whether elementwise work on operand `operand_index` of anchor `node` can be done where the
  // anchor reads it, without being repeated for many results.
  virtual OrRefusal<void> accepts_prologue(const Module& module, const Graph& graph, NodeId node,
                                           size_t operand_index) const = 0;

  // At stage cast: whether `node`, which stands for several operators, is computed faster than
  // they are.
  virtual OrRefusal<void> gains_by_joining(const Module& module, const Graph& graph,
                                           NodeId node) const = 0;

  // From stage fused: the best kernel variant of a group. Every group has at least "default".
  virtual VariantChoice choose_variant(const Module& module, const Graph& graph,
                                       NodeId group) const = 0;
  virtual DimOrder preferred_operand_order(const Module& module, const Graph& graph, NodeId group,
                                           size_t operand_index) const = 0;
  virtual DimOrder preferred_result_order(const Module& module, const Graph& graph, NodeId group,
                                          size_t result_index) const = 0;

  // Whether a core can hold and copy values of `dtype` at all.
  virtual bool can_hold(DType dtype) const = 0;

  // How values of `dtype` are carried in memory between kernels (bf16 in f32 where the machine has
  // no bf16 arithmetic).
  virtual DType storage_dtype(DType dtype) const = 0;

  // From stage fused: predicted work of a group on one core of `hardware`.
  virtual GroupCost cost(const Module& module, const Graph& graph, NodeId group,
                         const HardwareModel& hardware) const = 0;

  // From stage laid_out: what cores may share of a group's or reorder's kernel.
  virtual KernelTiles tiles(const Module& module, const Graph& graph, NodeId node) const = 0;
};

}  // namespace neuronc
