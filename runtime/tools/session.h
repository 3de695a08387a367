// A model opened by a tool, and its tensors' types as the rest of the project names them.
#pragma once

#include <string>

#include "ir/base/dtype.h"
#include "runtime/include/nrt/nrt.hpp"
#include "runtime/tools/tool.h"

namespace neuronc::tools {

// nrt_init and loading. Errors carry the runtime's message.
// `num_cores` 0: those of the model.
Outcome<nrt::Model> open_model(const std::string& path, int num_cores = 0);

DType to_dtype(nrt_dtype_t dtype);

// "f32[1,3,224,224]"
std::string type_text(const nrt::TensorInfo& info);

}  // namespace neuronc::tools
