// How ONNX stores elements of fewer than eight bits.
#pragma once

#include "ir/base/dtype.h"

namespace neuronc {

// Elements that one stored byte holds: 2 of four bits, 4 of two.
constexpr int elements_per_byte(DType dtype) {
  switch (dtype) {
    case DType::u4:
    case DType::i4:
    case DType::f4e2m1:
      return 2;
    case DType::u2:
    case DType::i2:
      return 4;
    default:
      return 1;
  }
}

}  // namespace neuronc
