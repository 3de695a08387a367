// Lowers every group of a module and gathers what the kernels need: each different kernel once,
// each different constant once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/lower/lowered.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/plan/plan.h"

namespace neuronc {

// Lowers one group or reorder; backend/variants/lower_group.h for a given processor. Each pass gives
// the kernel of the next variant, beginning with the one that the group names.
using LowerFunction =
    std::function<OrRefusal<LoweredKernel>(const Module&, const Graph&, NodeId, size_t pass)>;

// Tensors of weights.bin: equal bytes are kept once, in the order of their first use.
class ConstantTable {
 public:
  // The index of the tensor's bytes in `entries`.
  uint32_t add(const Tensor& tensor, std::string name);

  const std::vector<plan::Constant>& entries() const { return entries_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  std::vector<Tensor> take_tensors() { return std::move(tensors_); }

 private:
  std::vector<plan::Constant> entries_;
  std::vector<Tensor> tensors_;
  std::map<Hash128, uint32_t> index_of_;
};

// Kernels that differ in structure, each under a symbol of its own.
class KernelTable {
 public:
  struct Entry {
    kernel::Kernel kernel;
    std::string symbol;
    std::vector<std::string> aliases;  // one per model node that it computes
    uint32_t num_buffers = 0;
  };

  // Takes the kernel in, unless there is an equal one.
  plan::KernelId add(kernel::Kernel kernel, uint32_t num_buffers);
  // A further name for a kernel, if nothing has that name already.
  void add_alias(plan::KernelId kernel, std::string_view model_node);

  // Whether an equal kernel was taken in.
  bool holds(const kernel::Kernel& kernel) const;

  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<Entry> take_entries() { return std::move(entries_); }
  // A name as add_alias made it, in another table.
  void keep_alias(plan::KernelId kernel, std::string alias);

 private:
  std::vector<Entry> entries_;
  std::map<Hash128, plan::KernelId> id_of_;
  std::map<std::string, plan::KernelId> symbols_;  // aliases too
};

// `text` with everything but [A-Za-z0-9_.] replaced by `_`.
std::string to_symbol(std::string_view text);

// One group or reorder, in execution order; those of bodies that cores run stand where their node
// does. The bytes of packed buffers are in the constant table.
struct LoweredNode {
  const Graph* graph = nullptr;  // of the module that was lowered
  NodeId node;
  plan::KernelId kernel;
  int64_t num_tiles = 0;
  std::vector<KernelBuffer> buffers;       // without `packed`
  std::vector<uint32_t> packed_constants;  // per buffer; of no meaning for the other kinds
};

struct LoweredModule {
  std::vector<LoweredNode> nodes;
  KernelTable kernels;
  ConstantTable constants;
};

// All groups and reorders that cores run; every kernel verifies. Where a variant's does
// not, the next variant's is taken. Warns: NEU0707. Errors: NEU0701, all of them reported.
Expected<LoweredModule> lower_module(const Module& module, const LowerFunction& lower,
                                     Diagnostics& diagnostics);

}  // namespace neuronc
