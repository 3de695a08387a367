// What lowering makes of a fused group (or a reorder): one kernel, and what its buffers are.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "ir/kernel/kernel.h"
#include "ir/tensor.h"

namespace neuronc {

// Behind one buffer parameter of a kernel.
struct KernelBuffer {
  enum class Kind : uint8_t {
    operand,    // operand `index` of the group, at its storage's offset
    result,     // result `index` of the group, at its storage's offset
    packed,     // a constant in the form the kernel reads; `packed` has the bytes
    workspace,  // scratch of the running core, contents undefined
  };
  Kind kind = Kind::operand;
  uint32_t index = 0;
  int64_t size_bytes = 0;  // from the pointer handed over to the last byte a kernel may touch
  Tensor packed;

  // A result that may take the memory of operand `in_place_of`, which the kernel reads at each
  // element before it writes that element; -1: none.
  int32_t in_place_of = -1;
};

struct LoweredKernel {
  kernel::Kernel kernel;
  std::vector<KernelBuffer> buffers;  // in the order of the kernel's parameters
};

}  // namespace neuronc
