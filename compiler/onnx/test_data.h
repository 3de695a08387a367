// ONNX test data: folders of input_N.pb and output_N.pb, as values. Free of protobuf.
#pragma once

#include <string>
#include <vector>

#include "compiler/onnx/import.h"
#include "ir/tensor.h"

namespace neuronc::onnx {

// Reads one TensorProto, SequenceProto or OptionalProto, as `kind` says. Errors: NEU0001, NEU0219.
Expected<HostValue> read_value_file(const std::string& path, Type::Kind kind,
                                    Diagnostics& diagnostics);

struct TestData {
  std::string folder;
  std::vector<HostValue> inputs;   // in the order of the model's inputs
  std::vector<HostValue> outputs;  // in the order of its outputs; empty where there are none
};

// Reads a folder for a model. Files are matched by number; where the tensors inside carry names of
// the model's inputs, by name. Errors: NEU0001, NEU0219.
Expected<TestData> read_test_data(const std::string& folder, const ModelSignature& signature,
                                  Diagnostics& diagnostics);

// The shapes of the data's tensor inputs, to bind the model's dims.
std::map<std::string, std::vector<int64_t>> input_shapes(const TestData& data,
                                                         const ModelSignature& signature);

}  // namespace neuronc::onnx
