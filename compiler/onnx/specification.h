// What ONNX's own table of operators says of a node, where the installed ONNX knows its version.
// Free of protobuf.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ir/type.h"

namespace neuronc::onnx {

enum class Allowed : uint8_t { no, yes, unknown };

// Whether the operator may take inputs of these element types. Absent ones have none.
Allowed allows_element_types(const std::string& domain, const std::string& op_type, int64_t version,
                             std::span<const Type> inputs);

// "tensor(float)", "seq(tensor(int64))": how the table writes a type; "" for types it cannot have.
std::string specification_name(const Type& type);

}  // namespace neuronc::onnx
