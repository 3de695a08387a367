// The tensor that an input is fixed to (--fix-input NAME=FILE).
#pragma once

#include <string>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/tensor.h"

namespace neuronc {

// Reads a .npy or .pb file for the input `name`. Errors: NEU0222.
Expected<Tensor> read_fixed_input(const std::string& name, const std::string& path,
                                  Diagnostics& diagnostics);

}  // namespace neuronc
