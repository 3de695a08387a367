// A thin C++ wrapper of the C API: handles that clean up after themselves, and running on spans.
//
//   std::string error;
//   auto model = nrt::Model::load_file("model.neff", error);
//   std::vector<float> x(...), y(...);
//   model->run({std::as_bytes(std::span(x))}, {std::as_writable_bytes(std::span(y))}, error);
//
// Header only, over nrt/nrt.h. Every error leaves the message in `error`.
#pragma once

#include <nrt/nrt.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nrt {

struct TensorDeleter {
  void operator()(nrt_tensor_t* tensor) const { nrt_tensor_free(&tensor); }
};
using TensorPtr = std::unique_ptr<nrt_tensor_t, TensorDeleter>;

struct TensorSetDeleter {
  void operator()(nrt_tensor_set_t* set) const { nrt_destroy_tensor_set(&set); }
};
using TensorSetPtr = std::unique_ptr<nrt_tensor_set_t, TensorSetDeleter>;

struct ModelDeleter {
  void operator()(nrt_model_t* model) const { nrt_unload(model); }
};

// An input or output of a model.
struct TensorInfo {
  std::string name;
  nrt_dtype_t dtype = NRT_DTYPE_UNKNOWN;
  std::vector<int64_t> shape;  // -1: known only at run time
  size_t size_bytes = 0;       // 0: known only at run time
};

class Model {
 public:
  // nrt_init must have been called. `first_core` -1: the runtime chooses.
  static std::optional<Model> load_file(const std::string& path, std::string& error,
                                        int first_core = -1, NRT_STATUS* status = nullptr) {
    nrt_model_t* handle = nullptr;
    const NRT_STATUS result = nrt_load_file(path.c_str(), first_core, 0, &handle);
    if (status != nullptr) *status = result;
    return finish(result, handle, error);
  }
  static std::optional<Model> load(std::span<const std::byte> neff, std::string& error,
                                   int first_core = -1, NRT_STATUS* status = nullptr) {
    nrt_model_t* handle = nullptr;
    const NRT_STATUS result = nrt_load(neff.data(), neff.size(), first_core, 0, &handle);
    if (status != nullptr) *status = result;
    return finish(result, handle, error);
  }

  const std::vector<TensorInfo>& inputs() const { return inputs_; }
  const std::vector<TensorInfo>& outputs() const { return outputs_; }
  uint32_t num_cores() const {
    uint32_t count = 0;
    nrt_get_model_nc_count(handle_.get(), &count);
    return count;
  }
  nrt_model_info_t info() const {
    nrt_model_info_t info{};
    nrt_get_model_info(handle_.get(), &info, sizeof(info));
    return info;
  }
  nrt_model_t* handle() const { return handle_.get(); }

  // Runs one request on the caller's memory, in the order of inputs() and outputs(). Sizes must
  // match; outputs known only at run time need run_tensors(). Callable from many threads.
  NRT_STATUS run(const std::vector<std::span<const std::byte>>& inputs,
                 const std::vector<std::span<std::byte>>& outputs, std::string& error) const {
    if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size()) {
      error = "wrong number of inputs or outputs";
      return NRT_EXEC_BAD_INPUT;
    }
    std::vector<TensorPtr> input_tensors, output_tensors;
    for (const std::span<const std::byte> bytes : inputs) {
      // The runtime only reads inputs.
      input_tensors.push_back(attach(const_cast<std::byte*>(bytes.data()), bytes.size()));
    }
    for (const std::span<std::byte> bytes : outputs) {
      output_tensors.push_back(attach(bytes.data(), bytes.size()));
    }
    return run_tensors(input_tensors, output_tensors, error);
  }

  // The same on tensors; outputs without memory get some.
  NRT_STATUS run_tensors(const std::vector<TensorPtr>& inputs,
                         const std::vector<TensorPtr>& outputs, std::string& error) const {
    nrt_tensor_set_t *input_set = nullptr, *output_set = nullptr;
    nrt_allocate_tensor_set(&input_set);
    const TensorSetPtr own_inputs(input_set);
    nrt_allocate_tensor_set(&output_set);
    const TensorSetPtr own_outputs(output_set);
    for (size_t i = 0; i < inputs.size() && i < inputs_.size(); ++i) {
      nrt_add_tensor_to_tensor_set(input_set, inputs_[i].name.c_str(), inputs[i].get());
    }
    for (size_t i = 0; i < outputs.size() && i < outputs_.size(); ++i) {
      nrt_add_tensor_to_tensor_set(output_set, outputs_[i].name.c_str(), outputs[i].get());
    }
    const NRT_STATUS status = nrt_execute(handle_.get(), input_set, output_set);
    if (status != NRT_SUCCESS) error = nrt_get_last_message();
    return status;
  }

  // A tensor without memory; nrt_execute gives it some.
  static TensorPtr empty() {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate_empty("", &tensor);
    return TensorPtr(tensor);
  }

  // A tensor over the caller's memory, which must outlive it.
  static TensorPtr attach(void* data, size_t size_bytes) {
    TensorPtr tensor = empty();
    nrt_tensor_attach_buffer(tensor.get(), data, size_bytes);
    return tensor;
  }

 private:
  explicit Model(nrt_model_t* handle) : handle_(handle) {}

  static std::optional<Model> finish(NRT_STATUS status, nrt_model_t* handle, std::string& error) {
    if (status != NRT_SUCCESS) {
      error = nrt_get_last_message();
      return std::nullopt;
    }
    Model model(handle);
    nrt_tensor_info_array_t* info = nullptr;
    if (nrt_get_model_tensor_info(handle, &info) != NRT_SUCCESS) {
      error = nrt_get_last_message();
      return std::nullopt;
    }
    for (uint64_t i = 0; i < info->tensor_count; ++i) {
      const nrt_tensor_info_t& entry = info->tensor_array[i];
      auto& list = entry.usage == NRT_TENSOR_USAGE_INPUT ? model.inputs_ : model.outputs_;
      list.push_back({entry.name, entry.dtype,
                      std::vector<int64_t>(entry.shape, entry.shape + entry.ndim), entry.size});
    }
    nrt_free_model_tensor_info(info);
    return model;
  }

  std::unique_ptr<nrt_model_t, ModelDeleter> handle_;
  std::vector<TensorInfo> inputs_, outputs_;
};

}  // namespace nrt
