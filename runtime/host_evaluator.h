// What the executor asks for to run host nodes; kept abstract so that plans are executed, and
// tested, without the graph IR.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ir/base/expected.h"
#include "ir/tensor.h"

namespace neuronc::runtime {

class HostEvaluator {
 public:
  virtual ~HostEvaluator() = default;

  // Evaluates node `host_node` of host.nir. Called by one thread at a time. Results may share
  // memory with operands; the caller copies what outlives them.
  // Errors: the node does not exist, or its operator refuses these operands.
  virtual OrRefusal<std::vector<HostValue>> evaluate(uint32_t host_node,
                                                     std::span<const HostValue> operands) = 0;
};

}  // namespace neuronc::runtime
