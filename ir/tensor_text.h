// Elements of tensors and attribute numbers as text: shortest decimals that read back as the same
// bits. Shared by printer and parser so that each is the other's inverse.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/tensor.h"

namespace neuronc {

std::string float_to_text(double value);
bool float_from_text(std::string_view text, double& value);
bool int_from_text(std::string_view text, int64_t& value);

// Element `index` of a numeric or bool tensor: `true`, `-3`, `0.1`, `nan`, or `0x7fc00001`: the
// bits, where no decimal gives them.
std::string element_to_text(const Tensor& tensor, int64_t index);
// Stores the element; false if `text` is no value of the element type.
bool element_from_text(std::string_view text, Tensor& tensor, int64_t index);

}  // namespace neuronc
