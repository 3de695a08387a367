// What the native form of each operator does not take, in words: for lists that people read. The
// rules themselves are the `accepts` functions of the lowerings; a test checks that an operator has
// one exactly where it has words here.
#pragma once

#include <string_view>

#include "ir/op.h"

namespace neuronc {

// Empty: whatever its types allow. Static shapes are a condition of all.
std::string_view lowering_limits(Op op);

}  // namespace neuronc
