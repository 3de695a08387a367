// Gives every dim of the model's inputs a number: from the file, --dim, or --input-shape.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/onnx/import.h"
#include "compiler/onnx/proto_types.h"

namespace neuronc::onnx {

struct DeclaredInput {
  std::string name;
  DeclaredType type;
};

// The types of the inputs, in order. Errors (NEU0209, NEU0210, NEU0211) are reported together.
std::optional<std::vector<Type>> bind_inputs(const std::vector<DeclaredInput>& inputs,
                                             const ImportOptions& options, const std::string& file,
                                             Diagnostics& diagnostics);

// "f32[batch,3,?]".
std::string to_text(const DeclaredType& type);

}  // namespace neuronc::onnx
