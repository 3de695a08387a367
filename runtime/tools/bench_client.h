// Requests as a server would send them, with tensors and sets made once: for tools that measure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tools/run_inputs.h"

namespace neuronc::tools {

class BenchClient {
 public:
  // `model` outlives the client.
  BenchClient(const nrt::Model& model, const std::vector<HostTensor>& inputs);

  // One request; its time.
  Outcome<double> run_ms();

 private:
  void add(nrt_tensor_set_t* set, const std::string& name, nrt::TensorPtr tensor);

  const nrt::Model& model_;
  std::vector<nrt::TensorPtr> tensors_;
  nrt::TensorSetPtr input_set_, output_set_;
};

// With a seed or `files` ("NAME=FILE") as neuron-run makes them; else those of the benchmark of ONNX
// Runtime: floats in [-0.5, 0.5), ids below 1000, masks of ones.
Outcome<std::vector<HostTensor>> bench_inputs(const nrt::Model& model,
                                              const std::vector<std::string>& files,
                                              std::optional<uint64_t> seed);

}  // namespace neuronc::tools
