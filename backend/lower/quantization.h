// Rounding to quantised integers, for all operators that do it.
#pragma once

#include "backend/lower/emitter.h"

namespace neuronc {

// The f32 `quotient` rounded to an integer (ties to even) and shifted by the f32 `zero_point`,
// within the range of `dtype`; NaN becomes the zero point.
Register saturated(kernel::Builder& b, Register quotient, Register zero_point, DType dtype);

}  // namespace neuronc
