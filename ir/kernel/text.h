// The text form of kernels; parse(print(k)) prints the same text again.
//
//   kernel @add_f32 tiles 16 {
//     read %x: f32[1024]
//     write %y: f32[1024]
//     for %i1 in [0, 64) step 8 {
//       v0 = load %x[64*%t + %i1] : f32x8
//       v1 = constant 0x3f800000 : f32x8
//       v2 = add v0, v1 : f32x8
//       store %y[64*%t + %i1], v2
//     }
//   }
#pragma once

#include <string>
#include <string_view>

#include "ir/base/expected.h"
#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

std::string print(const Kernel& kernel);
std::string print(const Kernel& kernel, IndexId index);
std::string print_op(const Kernel& kernel, OpId op);  // one line, no nested blocks

// The refusal names line and column.
OrRefusal<Kernel> parse(std::string_view text);

}  // namespace neuronc::kernel
