// Implements nrt_runner.h.
#include "compiler/runner/nrt_runner.h"

#include <fmt/format.h>

#include <cstring>
#include <deque>
#include <optional>
#include <string>

#include "runtime/include/nrt/nrt.hpp"
#include "runtime/nrt_dtypes.h"

namespace neuronc {
namespace {

OrRefusal<void> check(NRT_STATUS status) {
  if (status == NRT_SUCCESS) return {};
  return refuse(fmt::format("{}: {}", nrt_get_status_as_str(status), nrt_get_last_message()));
}

// A tensor's bytes as the runtime takes them: strings end with a zero byte each.
std::vector<std::byte> runtime_bytes(const Tensor& tensor) {
  if (tensor.dtype() != DType::string) return {tensor.bytes().begin(), tensor.bytes().end()};
  std::vector<std::byte> bytes;
  for (const std::string& text : tensor.strings()) {
    const auto* data = reinterpret_cast<const std::byte*>(text.c_str());
    bytes.insert(bytes.end(), data, data + text.size() + 1);
  }
  return bytes;
}

// A value as the runtime takes it; `buffers` keeps its bytes.
OrRefusal<nrt::TensorPtr> to_runtime(const HostValue& value,
                                     std::deque<std::vector<std::byte>>& buffers) {
  const auto attach = [&buffers](const Tensor& tensor) {
    std::vector<std::byte>& bytes = buffers.emplace_back(runtime_bytes(tensor));
    return nrt::Model::attach(bytes.data(), bytes.size());
  };
  if (value.kind == Type::Kind::tensor) return attach(value.tensor());
  nrt::TensorPtr list = nrt::Model::list(value.has_value);
  for (const Tensor& element : value.elements) {
    NEURONC_TRY(check(nrt::Model::append(list, attach(element), element.shape())));
  }
  return list;
}

OrRefusal<Tensor> tensor_from_runtime(const nrt_tensor_t* source, DType dtype) {
  const int64_t* dims = nullptr;
  uint32_t rank = 0;
  NEURONC_TRY(check(nrt_tensor_get_shape(source, &dims, &rank)));
  std::vector<int64_t> shape(dims, dims + rank);
  std::vector<std::byte> bytes(nrt_tensor_get_size(source));
  if (!bytes.empty()) NEURONC_TRY(check(nrt_tensor_read(source, bytes.data(), 0, bytes.size())));
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  if (dtype == DType::string) {
    const auto* position = reinterpret_cast<const char*>(bytes.data());
    const char* const end = position + bytes.size();
    for (std::string& text : tensor.mutable_strings()) {
      if (position >= end) return refuse("a string output is truncated");
      text.assign(position, strnlen(position, static_cast<size_t>(end - position)));
      position += text.size() + 1;
    }
    return tensor;
  }
  if (static_cast<int64_t>(bytes.size()) != tensor.size_bytes()) {
    return refuse(fmt::format("an output has {} bytes, not {}", bytes.size(), tensor.size_bytes()));
  }
  if (!bytes.empty()) std::memcpy(tensor.mutable_data(), bytes.data(), bytes.size());
  return tensor;
}

OrRefusal<HostValue> from_runtime(const nrt_tensor_t* source, const nrt::TensorInfo& info) {
  const DType dtype = runtime::from_nrt(info.dtype);
  HostValue value;
  value.kind = runtime::from_nrt(info.kind);
  if (value.kind == Type::Kind::tensor) return tensor_from_runtime(source, dtype);
  size_t count = 0;
  int has_value = 0;
  NEURONC_TRY(check(nrt_tensor_list_get_count(source, &count, &has_value)));
  value.has_value = has_value != 0;
  for (size_t i = 0; i < count; ++i) {
    nrt_tensor_t* element = nullptr;
    NEURONC_TRY(check(nrt_tensor_list_get(source, i, &element)));
    NEURONC_ASSIGN(Tensor tensor, tensor_from_runtime(element, dtype));
    value.elements.push_back(std::move(tensor));
  }
  return value;
}

class NrtRunner final : public ModelRunner {
 public:
  OrRefusal<void> load(std::span<const std::byte> neff) {
    // A second call says that the runtime is there already.
    NEURONC_TRY(check(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "")));
    std::string error;
    NRT_STATUS status = NRT_SUCCESS;
    model_ = nrt::Model::load(neff, error, -1, &status);
    return check(status);
  }

  OrRefusal<std::vector<HostValue>> run(std::span<const HostValue> values) override {
    const size_t num_inputs = model_->inputs().size();
    if (values.size() != num_inputs) {
      return refuse(fmt::format("{} inputs are given, {} are needed", values.size(), num_inputs));
    }
    std::deque<std::vector<std::byte>> buffers;
    std::vector<nrt::TensorPtr> inputs, outputs;
    for (const HostValue& value : values) {
      NEURONC_ASSIGN(nrt::TensorPtr input, to_runtime(value, buffers));
      inputs.push_back(std::move(input));
    }
    for (size_t i = 0; i < model_->outputs().size(); ++i) outputs.push_back(nrt::Model::empty());
    std::string error;
    NEURONC_TRY(check(model_->run_tensors(inputs, outputs, error)));
    std::vector<HostValue> read;
    for (size_t i = 0; i < outputs.size(); ++i) {
      NEURONC_ASSIGN(HostValue value, from_runtime(outputs[i].get(), model_->outputs()[i]));
      read.push_back(std::move(value));
    }
    return read;
  }

 private:
  std::optional<nrt::Model> model_;
};

}  // namespace

OrRefusal<std::unique_ptr<ModelRunner>> nrt_runner(std::span<const std::byte> neff) {
  auto runner = std::make_unique<NrtRunner>();
  NEURONC_TRY(runner->load(neff));
  return std::unique_ptr<ModelRunner>(std::move(runner));
}

}  // namespace neuronc
