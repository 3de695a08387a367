// Sequences and optionals of neuron-run: between files and the runtime's lists.
//
// An input is a folder of files in the order of their numbers (0.npy, 1.npy, ...), ONNX's
// SequenceProto or OptionalProto (.pb), or, for an optional tensor, one file. An optional that is
// not given is absent.
#pragma once

#include <string>
#include <vector>

#include "runtime/tools/run_inputs.h"

namespace neuronc::tools {

bool is_list(const nrt::TensorInfo& info);

// The value at `path` for an input that is a list. Errors name the file.
Outcome<HostTensor> load_list_input(const nrt::TensorInfo& info, const std::string& path);

// A list whose handle refers to the bytes of `value`.
nrt::TensorPtr to_runtime_list(const HostTensor& value);

// What a request gave.
HostTensor from_runtime_list(const nrt::TensorInfo& info, const nrt_tensor_t* list);

}  // namespace neuronc::tools
