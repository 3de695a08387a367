// --outputs: a model cut at values inside of it.
#pragma once

#include <span>
#include <string>

#include "compiler/onnx/model_file.h"

namespace neuronc::onnx {

// Makes the values `outputs` the outputs of `model`, in this order, and leaves out nodes, inputs
// and initializers that they do not need. Errors: NEU0210 (no such value).
Expected<void> cut_at_outputs(ModelProto& model, std::span<const std::string> outputs,
                              const std::string& file, Diagnostics& diagnostics);

}  // namespace neuronc::onnx
