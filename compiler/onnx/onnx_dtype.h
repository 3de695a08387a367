// ONNX's numbers for element types, without protobuf.
#pragma once

#include <cstdint>
#include <string>

#include "ir/base/dtype.h"

namespace neuronc::onnx {

// The element type behind an ONNX TensorProto.DataType number; none for undefined and complex.
DType dtype_from_onnx(int32_t data_type);
// "complex64" and so on, for messages about types that have no DType.
std::string onnx_dtype_name(int32_t data_type);

}  // namespace neuronc::onnx
