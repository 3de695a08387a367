// Makes one kernel of those that differ in scalars only.
//
//   mul by 2.0, mul by 3.0, mul by 0.5, mul by 7.0   become   mul by scalars[0]
//
// A scalar that differs becomes an element of a further parameter, a small constant of each node;
// scalars on which all agree stay in the code. A few kernels stay as they are: code with its own
// scalars may be a little faster.
#pragma once

#include "backend/plan/lower_module.h"

namespace neuronc {

// So many kernels of one structure become one.
inline constexpr size_t kFewestShared = 4;

void share_kernels(LoweredModule& lowered);

}  // namespace neuronc
