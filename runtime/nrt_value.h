// Values that are known to hosts only, and those sized at run time, across the C API: strings,
// sequences, optionals and tensors of open extents.
#pragma once

#include <string>

#include "ir/tensor.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {

// "seq(f32[2,-1])"
std::string type_text(const plan::TensorSpec& spec);

// Refuses an input whose tensor has a size and no memory.
Result<Done> check_memory(const plan::TensorSpec& spec, const nrt_tensor& tensor);

// What the caller gives for an input that is not static. Refers to the caller's memory.
// Errors: NRT_EXEC_BAD_INPUT.
Result<HostValue> value_from_tensor(const plan::TensorSpec& spec, const nrt_tensor& tensor);

// Gives an output its value: memory, size and shape.
// Errors: NRT_RESOURCE for an attached buffer that is too small, NRT_FAIL_HOST_MEM_ALLOC.
Result<Done> store_value(const plan::TensorSpec& spec, const HostValue& value, nrt_tensor& tensor);

}  // namespace neuronc::runtime
