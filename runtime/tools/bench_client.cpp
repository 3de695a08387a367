// Implements bench_client.h.
#include "runtime/tools/bench_client.h"

#include <chrono>

namespace neuronc::tools {
namespace {

using Clock = std::chrono::steady_clock;

// The inputs that the ONNX Runtime benchmark uses: floats in [-0.5, 0.5) from a linear congruential
// generator whose product is rounded to f64, ids below 1000, masks of ones.
HostTensor seeded_input(const nrt::TensorInfo& info) {
  HostTensor tensor{to_dtype(info.dtype), info.shape, std::vector<std::byte>(info.size_bytes)};
  int64_t count = 1;
  for (int64_t dim : info.shape) count *= dim;
  if (tensor.dtype == DType::string) {
    tensor.bytes.assign(static_cast<size_t>(count), std::byte{0});
    return tensor;
  }
  const bool is_mask = info.name.find("mask") != std::string::npos;
  double state = 12345;
  for (int64_t i = 0; i < count; ++i) {
    if (is_float(tensor.dtype)) {
      const double product = state * 1103515245.0 + 12345.0;
      state = static_cast<double>(static_cast<uint64_t>(product) & 0x7fffffff);
      store_from_f64(tensor.dtype, tensor.bytes.data(), i, state / 2147483647.0 - 0.5);
    } else {
      store_from_i64(tensor.dtype, tensor.bytes.data(), i, is_mask ? 1 : (i * 37 + 11) % 1000);
    }
  }
  return tensor;
}

}  // namespace

BenchClient::BenchClient(const nrt::Model& model, const std::vector<HostTensor>& inputs)
    : model_(model) {
  nrt_tensor_set_t *input_set = nullptr, *output_set = nullptr;
  nrt_allocate_tensor_set(&input_set);
  nrt_allocate_tensor_set(&output_set);
  input_set_.reset(input_set);
  output_set_.reset(output_set);
  for (size_t i = 0; i < inputs.size(); ++i) {
    add(input_set, model.inputs()[i].name, to_runtime(inputs[i]));
  }
  for (const nrt::TensorInfo& info : model.outputs()) {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate_empty(info.name.c_str(), &tensor);
    add(output_set, info.name, nrt::TensorPtr(tensor));
  }
}

Outcome<double> BenchClient::run_ms() {
  const Clock::time_point begin = Clock::now();
  const NRT_STATUS status = nrt_execute(model_.handle(), input_set_.get(), output_set_.get());
  if (status == NRT_SUCCESS)
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  return tool_error(exit_code(status), "{} ({})", nrt_get_last_message(),
                    nrt_get_status_as_str(status));
}

void BenchClient::add(nrt_tensor_set_t* set, const std::string& name, nrt::TensorPtr tensor) {
  nrt_add_tensor_to_tensor_set(set, name.c_str(), tensor.get());
  tensors_.push_back(std::move(tensor));
}

Outcome<std::vector<HostTensor>> bench_inputs(const nrt::Model& model,
                                              const std::vector<std::string>& texts,
                                              std::optional<uint64_t> seed) {
  if (!texts.empty() || seed) {
    const auto files = parse_assignments(texts, "--input");
    if (!files) return tl::unexpected(files.error());
    return load_inputs(model, *files, {}, {}, seed.value_or(1));
  }
  std::vector<HostTensor> inputs;
  for (const nrt::TensorInfo& info : model.inputs()) {
    inputs.push_back(info.kind == NRT_VALUE_TENSOR ? seeded_input(info)
                                                   : random_input(info, 1, {}));
  }
  return inputs;
}

}  // namespace neuronc::tools
