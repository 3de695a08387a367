// The scalar functions evaluators compute with: kernel IR's expansions, never libm, so that folded
// constants do not depend on the machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "ir/kernel/math.h"

namespace neuronc::ops {

namespace math = kernel::math;

// The terms and the root of a p-norm; exact for p = 1 and 2.
class LpNorm {
 public:
  explicit LpNorm(int64_t p) : p_(p) {}
  double power(double x) const {
    x = std::fabs(x);
    return p_ == 1 ? x : p_ == 2 ? x * x : math::pow(x, static_cast<double>(p_));
  }
  double root(double sum) const {
    return p_ == 1 ? sum : p_ == 2 ? std::sqrt(sum) : math::pow(sum, 1 / static_cast<double>(p_));
  }

 private:
  int64_t p_;
};

}  // namespace neuronc::ops
