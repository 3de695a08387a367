// Implements nrt_runner.h.
#include "compiler/runner/nrt_runner.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "runtime/nrt.h"

namespace neuronc {
namespace {

DType dtype_from_nrt(nrt_dtype_t dtype) {
  switch (dtype) {
    case NRT_DTYPE_UINT64:
      return DType::u64;
    case NRT_DTYPE_INT8:
      return DType::i8;
    case NRT_DTYPE_UINT8:
      return DType::u8;
    case NRT_DTYPE_INT16:
      return DType::i16;
    case NRT_DTYPE_UINT16:
      return DType::u16;
    case NRT_DTYPE_BFLOAT16:
      return DType::bf16;
    case NRT_DTYPE_FLOAT16:
      return DType::f16;
    case NRT_DTYPE_INT32:
      return DType::i32;
    case NRT_DTYPE_UINT32:
      return DType::u32;
    case NRT_DTYPE_FLOAT32:
      return DType::f32;
    case NRT_DTYPE_INT64:
      return DType::i64;
    case NRT_DTYPE_FP8_E4:
      return DType::f8e4m3fn;
    case NRT_DTYPE_FP8_E5:
      return DType::f8e5m2;
    case NRT_DTYPE_BOOL:
      return DType::boolean;
    case NRT_DTYPE_FLOAT64:
      return DType::f64;
    case NRT_DTYPE_STRING:
      return DType::string;
    case NRT_DTYPE_INT4:
      return DType::i4;
    case NRT_DTYPE_UINT4:
      return DType::u4;
    case NRT_DTYPE_INT2:
      return DType::i2;
    case NRT_DTYPE_UINT2:
      return DType::u2;
    case NRT_DTYPE_FP8_E4_FNUZ:
      return DType::f8e4m3fnuz;
    case NRT_DTYPE_FP8_E5_FNUZ:
      return DType::f8e5m2fnuz;
    case NRT_DTYPE_FP8_E8M0:
      return DType::f8e8m0;
    case NRT_DTYPE_FP4_E2M1:
      return DType::f4e2m1;
    case NRT_DTYPE_UNKNOWN:
      break;
  }
  return DType::none;
}

OrRefusal<void> check(NRT_STATUS status) {
  if (status == NRT_SUCCESS) return {};
  return refuse(fmt::format("{}: {}", nrt_get_status_as_str(status), nrt_get_last_message()));
}

// A tensor set and the tensors in it.
class TensorSet {
 public:
  TensorSet() = default;
  TensorSet(const TensorSet&) = delete;
  TensorSet& operator=(const TensorSet&) = delete;
  ~TensorSet() {
    if (set_ != nullptr) nrt_destroy_tensor_set(&set_);
    for (nrt_tensor_t* tensor : tensors_) nrt_tensor_free(&tensor);
  }
  OrRefusal<void> create() { return check(nrt_allocate_tensor_set(&set_)); }
  OrRefusal<nrt_tensor_t*> add(const std::string& name) {
    nrt_tensor_t* tensor = nullptr;
    NEURONC_TRY(check(nrt_tensor_allocate_empty(name.c_str(), &tensor)));
    tensors_.push_back(tensor);
    NEURONC_TRY(check(nrt_add_tensor_to_tensor_set(set_, name.c_str(), tensor)));
    return tensor;
  }
  nrt_tensor_set_t* get() const { return set_; }

 private:
  nrt_tensor_set_t* set_ = nullptr;
  std::vector<nrt_tensor_t*> tensors_;
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::none;
};

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

class NrtRunner final : public ModelRunner {
 public:
  NrtRunner() = default;
  NrtRunner(const NrtRunner&) = delete;
  NrtRunner& operator=(const NrtRunner&) = delete;
  ~NrtRunner() override {
    if (model_ != nullptr) nrt_unload(model_);
  }

  OrRefusal<void> load(std::span<const std::byte> neff) {
    // A second call says that the runtime is there already.
    NEURONC_TRY(check(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "")));
    NEURONC_TRY(check(nrt_load(neff.data(), neff.size(), -1, -1, &model_)));
    nrt_tensor_info_array_t* infos = nullptr;
    NEURONC_TRY(check(nrt_get_model_tensor_info(model_, &infos)));
    for (uint64_t i = 0; i < infos->tensor_count; ++i) {
      const nrt_tensor_info_t& info = infos->tensor_array[i];
      auto& list = info.usage == NRT_TENSOR_USAGE_INPUT ? inputs_ : outputs_;
      list.push_back({info.name, dtype_from_nrt(info.dtype)});
    }
    return check(nrt_free_model_tensor_info(infos));
  }

  OrRefusal<std::vector<HostValue>> run(std::span<const HostValue> values) override {
    if (values.size() != inputs_.size()) {
      return refuse(
          fmt::format("{} inputs are given, {} are needed", values.size(), inputs_.size()));
    }
    TensorSet inputs, outputs;
    NEURONC_TRY(inputs.create());
    NEURONC_TRY(outputs.create());
    std::vector<std::vector<std::byte>> buffers(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].kind != Type::Kind::tensor) return refuse("the runtime takes tensors only");
      buffers[i] = runtime_bytes(values[i].tensor());
      NEURONC_ASSIGN(nrt_tensor_t * tensor, inputs.add(inputs_[i].name));
      NEURONC_TRY(check(nrt_tensor_attach_buffer(tensor, buffers[i].data(), buffers[i].size())));
    }
    std::vector<nrt_tensor_t*> results;
    for (const TensorInfo& info : outputs_) {
      NEURONC_ASSIGN(nrt_tensor_t * tensor, outputs.add(info.name));
      results.push_back(tensor);
    }
    NEURONC_TRY(check(nrt_execute(model_, inputs.get(), outputs.get())));
    std::vector<HostValue> read;
    for (size_t i = 0; i < results.size(); ++i) {
      NEURONC_ASSIGN(Tensor tensor, tensor_from_runtime(results[i], outputs_[i].dtype));
      read.emplace_back(std::move(tensor));
    }
    return read;
  }

 private:
  nrt_model_t* model_ = nullptr;
  std::vector<TensorInfo> inputs_, outputs_;
};

}  // namespace

OrRefusal<std::unique_ptr<ModelRunner>> nrt_runner(std::span<const std::byte> neff) {
  auto runner = std::make_unique<NrtRunner>();
  NEURONC_TRY(runner->load(neff));
  return std::unique_ptr<ModelRunner>(std::move(runner));
}

}  // namespace neuronc
