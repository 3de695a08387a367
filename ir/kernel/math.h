// Transcendental functions, defined once: the same expansion is built as kernel IR (vectors) and
// evaluated on plain scalars, with the same bits. Nothing here calls libm.
//
// Every function takes and gives f32 or f64 (any number of lanes in kernel IR). Special values are
// those of C99 Annex F; NaN gives NaN; denormals are exact inputs and results. Largest errors, in
// units of the last place of the result, over the whole range (tests hold them):
//
//                 f32    f64                      f32    f64
//   exp           1.5    2        sin, cos        2      2
//   expm1         2      3        tan             4      4
//   log, log1p    1.5    2        asin, acos      3      4
//   tanh          2.5    4        atan            2      3
//   erf           2      4        sinh, cosh      3      4
//   sigmoid       2.5    4        asinh..atanh    4      6
//   softplus      3      4        pow             4      8
#pragma once

#include "ir/kernel/builder.h"

// X(name, summary)
#define NEURONC_MATH_UNARY(X)                  \
  X(acos, "inverse cosine, in [0, pi]")        \
  X(acosh, "inverse hyperbolic cosine")        \
  X(asin, "inverse sine, in [-pi/2, pi/2]")    \
  X(asinh, "inverse hyperbolic sine")          \
  X(atan, "inverse tangent, in [-pi/2, pi/2]") \
  X(atanh, "inverse hyperbolic tangent")       \
  X(cos, "cosine")                             \
  X(cosh, "hyperbolic cosine")                 \
  X(erf, "error function")                     \
  X(exp, "e to the x")                         \
  X(expm1, "exp(x) - 1 without cancellation")  \
  X(log, "natural logarithm")                  \
  X(log1p, "log(1 + x) without cancellation")  \
  X(sigmoid, "1 / (1 + exp(-x))")              \
  X(sin, "sine")                               \
  X(sinh, "hyperbolic sine")                   \
  X(softplus, "log(1 + exp(x))")               \
  X(tan, "tangent")                            \
  X(tanh, "hyperbolic tangent")

namespace neuronc::kernel::math {

#define NEURONC_DECLARE(name, summary) \
  Value name(Builder& b, Value x);     \
  float name(float x);                 \
  double name(double x);
NEURONC_MATH_UNARY(NEURONC_DECLARE)
#undef NEURONC_DECLARE

// x to the power y; special cases as C99's pow.
Value pow(Builder& b, Value x, Value y);
float pow(float x, float y);
double pow(double x, double y);

}  // namespace neuronc::kernel::math
