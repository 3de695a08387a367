// The inputs and outputs of neuron-run: from files and pictures to tensors, and back to files and
// text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tools/image.h"
#include "runtime/tools/session.h"

namespace neuronc::tools {

// One tensor's bytes and, for outputs, the shape it was given; or a list of tensors.
struct HostTensor {
  DType dtype = DType::none;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  // Sequences and optionals (list_values.h).
  nrt_value_kind_t kind = NRT_VALUE_TENSOR;
  bool has_value = true;
  std::vector<HostTensor> elements;
  friend bool operator==(const HostTensor&, const HostTensor&) = default;
};

// Whether a file's elements are the bits of a type that .npy lacks.
bool is_stand_in(DType file, DType wanted);

// A handle on the value's bytes.
nrt::TensorPtr to_runtime(const HostTensor& value);

// What a request gave for an output that is a tensor.
HostTensor from_runtime_tensor(DType dtype, const nrt_tensor_t* tensor);

// "NAME=FILE" texts as a map; errors name the text and say what is expected.
Outcome<std::map<std::string, std::string>> parse_assignments(const std::vector<std::string>& texts,
                                                              const std::string& option);

// Inputs that index something, with the number that their elements must be below, as the model's
// metadata says.
using InputRanges = std::map<std::string, uint64_t>;
InputRanges input_ranges(const nrt::Model& model);

// An input made of a seed: floats evenly in [-0.5, 0.5), integers below their range or else 0 and
// 1, which lengths and masks may be; strings empty.
HostTensor random_input(const nrt::TensorInfo& info, uint64_t seed, const InputRanges& ranges);

// The model's inputs in order, each from a file or a picture, checked against its type. Those that
// are not given are made of `seed`; without one they are an error.
Outcome<std::vector<HostTensor>> load_inputs(const nrt::Model& model,
                                             const std::map<std::string, std::string>& files,
                                             const std::map<std::string, std::string>& pictures,
                                             const ImageOptions& options,
                                             std::optional<uint64_t> seed = {});

// One request; the outputs in the model's order.
Outcome<std::vector<HostTensor>> run_request(const nrt::Model& model,
                                             const std::vector<HostTensor>& inputs);

// Writes DIRECTORY/NAME.npy (strings: NAME.txt, one a line); slashes in names become underscores.
Outcome<void> write_outputs(const nrt::Model& model, const std::vector<HostTensor>& outputs,
                            const std::string& directory);

// Type, range and first elements, a line per output.
std::string describe_outputs(const nrt::Model& model, const std::vector<HostTensor>& outputs);

// The `count` largest elements of `output` with their index and, if there are any, labels.
std::string top_elements(const HostTensor& output, size_t count,
                         const std::vector<std::string>& labels);

}  // namespace neuronc::tools
