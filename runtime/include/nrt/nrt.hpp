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

#include <chrono>
#include <cstddef>
#include <functional>
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
  // Of sequences and optionals the members above tell of the tensors inside.
  nrt_value_kind_t kind = NRT_VALUE_TENSOR;
};

class Model {
 public:
  // nrt_init must have been called. `first_core` -1: the runtime chooses. `num_cores` 0: as many as
  // the model was compiled for; see nrt_load.
  static std::optional<Model> load_file(const std::string& path, std::string& error,
                                        int first_core = -1, NRT_STATUS* status = nullptr,
                                        int num_cores = 0) {
    nrt_model_t* handle = nullptr;
    const NRT_STATUS result = nrt_load_file(path.c_str(), first_core, num_cores, &handle);
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
    const TensorSetPtr input_set = make_set(inputs_, inputs);
    const TensorSetPtr output_set = make_set(outputs_, outputs);
    return told(nrt_execute(handle_.get(), input_set.get(), output_set.get()), error);
  }

  // The same, and gives up after `timeout`: NRT_TIMEOUT. After NRT_EXEC_UNIT_UNRECOVERABLE the
  // tensors must stay.
  template <class Rep, class Period>
  NRT_STATUS run_tensors_for(std::chrono::duration<Rep, Period> timeout,
                             const std::vector<TensorPtr>& inputs,
                             const std::vector<TensorPtr>& outputs, std::string& error) const {
    const auto limit = std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count();
    const TensorSetPtr input_set = make_set(inputs_, inputs);
    const TensorSetPtr output_set = make_set(outputs_, outputs);
    return told(nrt_execute_timeout(handle_.get(), input_set.get(), output_set.get(),
                                    limit < 0 ? 0 : static_cast<uint64_t>(limit)),
                error);
  }

  // Starts a request; `done` is called on a thread of the runtime when it has ended, unless this
  // returns an error. The tensors must stay until then. `done` may not throw.
  NRT_STATUS run_async(const std::vector<TensorPtr>& inputs, const std::vector<TensorPtr>& outputs,
                       std::function<void(NRT_STATUS, const std::string& message)> done,
                       std::string& error) const {
    using Callback = std::function<void(NRT_STATUS, const std::string&)>;
    const TensorSetPtr input_set = make_set(inputs_, inputs);
    const TensorSetPtr output_set = make_set(outputs_, outputs);
    auto callback = std::make_unique<Callback>(std::move(done));
    const NRT_STATUS status = nrt_execute_async(
        handle_.get(), input_set.get(), output_set.get(),
        [](void* data, NRT_STATUS ended, const char* message) {
          const std::unique_ptr<Callback> own(static_cast<Callback*>(data));
          (*own)(ended, message);
        },
        callback.get());
    if (status == NRT_SUCCESS) static_cast<void>(callback.release());  // the request owns it
    return told(status, error);
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

  // A list, the value of a sequence or an optional: absent until something is appended, if
  // `has_value` is false.
  static TensorPtr list(bool has_value = true) {
    TensorPtr tensor = empty();
    nrt_tensor_list_clear(tensor.get(), has_value ? 1 : 0);
    return tensor;
  }

  // Appends a tensor of the given shape, whose memory must outlive the list if it is the caller's.
  static NRT_STATUS append(const TensorPtr& list, const TensorPtr& element,
                           const std::vector<int64_t>& shape) {
    const NRT_STATUS status =
        nrt_tensor_set_shape(element.get(), shape.data(), static_cast<uint32_t>(shape.size()));
    if (status != NRT_SUCCESS) return status;
    return nrt_tensor_list_append(list.get(), element.get());
  }

 private:
  explicit Model(nrt_model_t* handle) : handle_(handle) {}

  static TensorSetPtr make_set(const std::vector<TensorInfo>& infos,
                               const std::vector<TensorPtr>& tensors) {
    nrt_tensor_set_t* set = nullptr;
    nrt_allocate_tensor_set(&set);
    for (size_t i = 0; i < tensors.size() && i < infos.size(); ++i) {
      nrt_add_tensor_to_tensor_set(set, infos[i].name.c_str(), tensors[i].get());
    }
    return TensorSetPtr(set);
  }

  static NRT_STATUS told(NRT_STATUS status, std::string& error) {
    if (status != NRT_SUCCESS) error = nrt_get_last_message();
    return status;
  }

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
      nrt_get_model_value_kind(handle, entry.usage, entry.name, &list.back().kind);
    }
    nrt_free_model_tensor_info(info);
    return model;
  }

  std::unique_ptr<nrt_model_t, ModelDeleter> handle_;
  std::vector<TensorInfo> inputs_, outputs_;
};

}  // namespace nrt
