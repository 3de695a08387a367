// The C API's set-up, models and execution.
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>

#include "ir/base/command.h"
#include "runtime/cpu.h"
#include "runtime/nrt_dtypes.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

enum class ApiState : uint8_t { uninitialized, ready, closed };

// The process-wide state of the API: what nrt_init made, and the models that are loaded, by which
// a handle is known to be alive.
struct Api {
  std::mutex mutex;
  ApiState state = ApiState::uninitialized;
  std::unique_ptr<Cores> cores;
  std::map<const nrt_model*, std::shared_ptr<nrt_model>> models;
};

Api& api() {
  static Api instance;
  return instance;
}

std::string& last_message() {
  thread_local std::string message;
  return message;
}

bool wants_log(std::string_view level) {
  static const std::string_view wanted = [] {
    const char* value = std::getenv("NEURON_RT_LOG_LEVEL");
    return std::string_view(value == nullptr ? "" : value);
  }();
  constexpr std::string_view kLevels[] = {"error", "warning", "info", "debug"};
  const auto rank = [&](std::string_view text) {
    return std::find(std::begin(kLevels), std::end(kLevels), text) - std::begin(kLevels);
  };
  return rank(wanted) < 4 && rank(level) <= rank(wanted);
}

Verify verify_mode() {
  const char* value = std::getenv("NEURON_RT_VERIFY");
  const bool is_metadata = value != nullptr && std::string_view(value) == "metadata";
  return is_metadata ? Verify::metadata : Verify::all;
}

// The live model behind a handle, or null (reported).
std::shared_ptr<nrt_model> find_model(const nrt_model* handle) {
  const std::lock_guard lock(api().mutex);
  const auto it = api().models.find(handle);
  if (it != api().models.end()) return it->second;
  report(NRT_INVALID_HANDLE, handle == nullptr ? "the model is null" : "the model is not loaded");
  return nullptr;
}

NRT_STATUS load_image(Result<std::shared_ptr<const NeffImage>> image, int32_t vnc,
                      int32_t vnc_count, nrt_model** result) {
  if (!image) return report(image.error());
  if (vnc < -1 || vnc_count < -1) {
    return report(NRT_INVALID,
                  fmt::format("core {} and count {} may be -1 or more", vnc, vnc_count));
  }
  auto model = Model::load(std::move(*image), *api().cores, vnc, vnc_count);
  if (!model) return report(model.error());
  auto handle = std::make_shared<nrt_model>();
  handle->model = std::move(*model);
  if (wants_log("info")) {
    const plan::Plan& plan = handle->model->plan();
    print_error("nrt: info: loaded `{}` on {} NeuronCores, {} arena bytes\n", plan.model_name,
                plan::num_cores(plan), handle->model->executor().arena_bytes());
  }
  const std::lock_guard lock(api().mutex);
  *result = handle.get();
  api().models.emplace(handle.get(), std::move(handle));
  return NRT_SUCCESS;
}

// The array and everything it points to are one allocation with this behind it.
struct TensorInfo {
  nrt_tensor_info_array_t array{};
  std::vector<nrt_tensor_info_t> tensors;
  std::vector<std::string> names;
  std::vector<std::vector<int64_t>> shapes;
};

NRT_STATUS get_count(uint32_t* count, uint32_t value) {
  if (count == nullptr) return report(NRT_INVALID, "`count` is null");
  *count = value;
  return NRT_SUCCESS;
}

}  // namespace

NRT_STATUS report(NRT_STATUS code, std::string message) {
  last_message() = std::move(message);
  if (wants_log("error")) {
    print_error("nrt: error: {}: {}\n", nrt_get_status_as_str(code), last_message());
  }
  return code;
}

NRT_STATUS report(const Status& status) { return report(status.code, status.message); }

NRT_STATUS check_ready() {
  const std::lock_guard lock(api().mutex);
  if (api().state == ApiState::ready) return NRT_SUCCESS;
  if (api().state == ApiState::closed) return report(NRT_CLOSED, "nrt_close was called");
  return report(NRT_UNINITIALIZED, "nrt_init was not called");
}

}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_init(nrt_framework_type_t framework, const char*, const char*) {
  return guarded([&]() -> NRT_STATUS {
    if (framework <= NRT_FRAMEWORK_TYPE_INVALID || framework > NRT_FRAMEWORK_TYPE_MXNET) {
      return report(NRT_INVALID,
                    fmt::format("there is no framework {}", static_cast<int>(framework)));
    }
    const std::lock_guard lock(api().mutex);
    if (api().state == ApiState::ready) return NRT_SUCCESS;
    auto cores = Cores::from_environment();
    if (!cores) return report(cores.error());
    api().cores = std::move(*cores);
    api().state = ApiState::ready;
    return NRT_SUCCESS;
  });
}

void nrt_close(void) {
  std::map<const nrt_model*, std::shared_ptr<nrt_model>> models;
  std::unique_ptr<Cores> cores;
  {
    const std::lock_guard lock(api().mutex);
    if (api().state != ApiState::ready) return;
    api().state = ApiState::closed;
    models.swap(api().models);
    cores.swap(api().cores);
  }
  for (auto& [handle, model] : models) {
    const std::unique_lock alone(model->in_use);
    model->model.reset();
  }
}

const char* nrt_get_status_as_str(NRT_STATUS status) {
  switch (status) {
    case NRT_SUCCESS:
      return "NRT_SUCCESS";
    case NRT_FAILURE:
      return "NRT_FAILURE";
    case NRT_INVALID:
      return "NRT_INVALID";
    case NRT_INVALID_HANDLE:
      return "NRT_INVALID_HANDLE";
    case NRT_RESOURCE:
      return "NRT_RESOURCE";
    case NRT_TIMEOUT:
      return "NRT_TIMEOUT";
    case NRT_HW_ERROR:
      return "NRT_HW_ERROR";
    case NRT_QUEUE_FULL:
      return "NRT_QUEUE_FULL";
    case NRT_LOAD_NOT_ENOUGH_NC:
      return "NRT_LOAD_NOT_ENOUGH_NC";
    case NRT_UNSUPPORTED_NEFF_VERSION:
      return "NRT_UNSUPPORTED_NEFF_VERSION";
    case NRT_FAIL_HOST_MEM_ALLOC:
      return "NRT_FAIL_HOST_MEM_ALLOC";
    case NRT_UNINITIALIZED:
      return "NRT_UNINITIALIZED";
    case NRT_CLOSED:
      return "NRT_CLOSED";
    case NRT_QUEUE_EMPTY:
      return "NRT_QUEUE_EMPTY";
    case NRT_EXEC_UNIT_UNRECOVERABLE:
      return "NRT_EXEC_UNIT_UNRECOVERABLE";
    case NRT_EXEC_BAD_INPUT:
      return "NRT_EXEC_BAD_INPUT";
    case NRT_EXEC_COMPLETED_WITH_NUM_ERR:
      return "NRT_EXEC_COMPLETED_WITH_NUM_ERR";
    case NRT_EXEC_COMPLETED_WITH_ERR:
      return "NRT_EXEC_COMPLETED_WITH_ERR";
    case NRT_EXEC_NC_BUSY:
      return "NRT_EXEC_NC_BUSY";
    case NRT_EXEC_OOB:
      return "NRT_EXEC_OOB";
  }
  return "unknown status";
}

const char* nrt_get_last_message(void) { return last_message().c_str(); }

NRT_STATUS nrt_get_version(nrt_version_t* version, size_t size) {
  if (version == nullptr || size < sizeof(nrt_version_t)) {
    return report(NRT_INVALID, "`version` is null or too small");
  }
  *version = {};
  version->rt_minor = 1;
  std::strncpy(version->rt_detail, "neuronc reference runtime 0.1.0", sizeof(version->rt_detail));
  return NRT_SUCCESS;
}

const char* nrt_get_cpu_features(void) {
  static const std::string* const kText =
      new std::string(fmt::format("{}", fmt::join(cpu_features(), " ")));
  return kText->c_str();
}

NRT_STATUS nrt_get_total_nc_count(uint32_t* count) { return get_count(count, total_cores()); }

NRT_STATUS nrt_get_visible_nc_count(uint32_t* count) {
  if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
  return get_count(count, api().cores->num_visible());
}

NRT_STATUS nrt_get_total_vnc_count(uint32_t* count) { return nrt_get_total_nc_count(count); }
NRT_STATUS nrt_get_visible_vnc_count(uint32_t* count) { return nrt_get_visible_nc_count(count); }

NRT_STATUS nrt_load(const void* neff, size_t size, int32_t vnc, int32_t vnc_count,
                    nrt_model_t** model) {
  return guarded([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (neff == nullptr || model == nullptr) return report(NRT_INVALID, "an argument is null");
    const std::span bytes(static_cast<const std::byte*>(neff), size);
    return load_image(NeffImage::copy(bytes, verify_mode()), vnc, vnc_count, model);
  });
}

NRT_STATUS nrt_load_file(const char* path, int32_t vnc, int32_t vnc_count, nrt_model_t** model) {
  return guarded([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (path == nullptr || model == nullptr) return report(NRT_INVALID, "an argument is null");
    return load_image(NeffImage::open(path, verify_mode()), vnc, vnc_count, model);
  });
}

NRT_STATUS nrt_unload(nrt_model_t* model) {
  return guarded([&]() -> NRT_STATUS {
    const std::shared_ptr<nrt_model> handle = find_model(model);
    if (handle == nullptr) return NRT_INVALID_HANDLE;
    {
      const std::lock_guard lock(api().mutex);
      api().models.erase(model);
    }
    const std::unique_lock alone(handle->in_use);
    handle->model.reset();
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_nc_count(const nrt_model_t* model, uint32_t* count) {
  const std::shared_ptr<nrt_model> handle = find_model(model);
  if (handle == nullptr) return NRT_INVALID_HANDLE;
  const std::shared_lock in_use(handle->in_use);
  if (handle->model == nullptr) return report(NRT_INVALID_HANDLE, "the model is not loaded");
  return get_count(count, neuronc::plan::num_cores(handle->model->plan()));
}

NRT_STATUS nrt_get_model_vnc_count(const nrt_model_t* model, uint32_t* count) {
  return nrt_get_model_nc_count(model, count);
}

NRT_STATUS nrt_get_model_info(const nrt_model_t* model, nrt_model_info_t* info, size_t size) {
  return guarded([&]() -> NRT_STATUS {
    if (info == nullptr) return report(NRT_INVALID, "`info` is null");
    const std::shared_ptr<nrt_model> handle = find_model(model);
    if (handle == nullptr) return NRT_INVALID_HANDLE;
    const std::shared_lock in_use(handle->in_use);
    if (handle->model == nullptr) return report(NRT_INVALID_HANDLE, "the model is not loaded");
    const nrt_model_info_t filled = handle->model->info();
    std::memset(info, 0, size);
    std::memcpy(info, &filled, std::min(size, sizeof(filled)));
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_tensor_info(nrt_model_t* model, nrt_tensor_info_array_t** tensor_info) {
  return guarded([&]() -> NRT_STATUS {
    if (tensor_info == nullptr) return report(NRT_INVALID, "`tensor_info` is null");
    const std::shared_ptr<nrt_model> handle = find_model(model);
    if (handle == nullptr) return NRT_INVALID_HANDLE;
    const std::shared_lock in_use(handle->in_use);
    if (handle->model == nullptr) return report(NRT_INVALID_HANDLE, "the model is not loaded");
    const neuronc::plan::Plan& plan = handle->model->plan();
    auto info = std::make_unique<TensorInfo>();
    for (const auto* list : {&plan.inputs, &plan.outputs}) {
      for (const neuronc::plan::TensorSpec& spec : *list) {
        info->names.push_back(spec.name);
        info->shapes.push_back(spec.dims);
        const auto usage = list == &plan.inputs ? NRT_TENSOR_USAGE_INPUT : NRT_TENSOR_USAGE_OUTPUT;
        info->tensors.push_back({nullptr, usage, spec.size_bytes, to_nrt(spec.dtype), nullptr,
                                 static_cast<uint32_t>(spec.dims.size())});
      }
    }
    for (size_t i = 0; i < info->tensors.size(); ++i) {
      info->tensors[i].name = info->names[i].c_str();
      info->tensors[i].shape = info->shapes[i].data();
    }
    info->array = {info->tensors.size(), info->tensors.data()};
    *tensor_info = &info.release()->array;
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_free_model_tensor_info(nrt_tensor_info_array_t* tensor_info) {
  // The array is the first member.
  delete reinterpret_cast<TensorInfo*>(tensor_info);
  return NRT_SUCCESS;
}

NRT_STATUS nrt_execute(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                       nrt_tensor_set_t* output_set) {
  return guarded([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (!check_tensors_of(input_set) || !check_tensors_of(output_set)) return NRT_INVALID_HANDLE;
    const std::shared_ptr<nrt_model> handle = find_model(model);
    if (handle == nullptr) return NRT_INVALID_HANDLE;
    const std::shared_lock in_use(handle->in_use);
    if (handle->model == nullptr) return report(NRT_INVALID_HANDLE, "the model is not loaded");
    const neuronc::plan::Plan& plan = handle->model->plan();
    auto request = BoundRequest::bind(plan, *input_set, *output_set);
    if (!request) return report(request.error());
    if (auto done = handle->model->executor().run(request->io()); !done) {
      return report(done.error());
    }
    if (auto done = request->store_outputs(plan); !done) return report(done.error());
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_execute_repeat(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                              nrt_tensor_set_t* output_set, int repeat_count) {
  if (repeat_count < 0) return report(NRT_INVALID, "`repeat_count` is negative");
  for (int i = 0; i < repeat_count; ++i) {
    const NRT_STATUS status = nrt_execute(model, input_set, output_set);
    if (status != NRT_SUCCESS) return status;
  }
  return NRT_SUCCESS;
}

}  // extern "C"
