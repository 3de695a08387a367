// The C API's set-up and models.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "ir/base/command.h"
#include "ir/base/text.h"
#include "runtime/cpu.h"
#include "runtime/nrt_dtypes.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

Result<Verify> verify_mode() {
  const char* value = std::getenv("NEURON_RT_VERIFY");
  const std::string_view text = value == nullptr ? "" : value;
  if (text == "metadata") return Verify::metadata;
  if (text.empty() || text == "all") return Verify::all;
  return fail(NRT_INVALID, "NEURON_RT_VERIFY=`{}` is not all or metadata", text);
}

Result<Weights> weights_mode() {
  const char* value = std::getenv("NEURON_RT_LOAD");
  const std::string_view text = value == nullptr ? "" : value;
  if (text == "copy") return Weights::copied;
  if (text.empty() || text == "map") return Weights::mapped;
  return fail(NRT_INVALID, "NEURON_RT_LOAD=`{}` is not map or copy", text);
}

bool needs_room(const plan::Plan& plan) {
  return std::any_of(plan.lanes.begin(), plan.lanes.end(), [](const plan::Lane& lane) {
    return lane.kind == plan::LaneKind::host || lane.blocks.size() > 1;
  });
}

NRT_STATUS load_image(const Result<std::shared_ptr<const NeffImage>>& image, int32_t vnc,
                      int32_t vnc_count, nrt_model** result) {
  if (!image) return report(image.error());
  if (vnc < -1 || vnc_count < -1) {
    return report(NRT_INVALID,
                  fmt::format("core {} and count {} may be -1 or more", vnc, vnc_count));
  }
  auto handle = std::make_shared<nrt_model>();
  handle->cores = current_cores();
  if (handle->cores == nullptr) return check_ready();
  auto numerics = numerics_check_from_environment();
  if (!numerics) return report(numerics.error());
  handle->numerics = *numerics;
  handle->cores->publish();
  auto model = Model::load(*image, *handle->cores, vnc, vnc_count, *numerics);
  if (!model) return report(model.error());
  handle->model = std::move(*model);
  const plan::Plan& plan = handle->model->plan();
  handle->needs_room = needs_room(plan);
  for (const plan::TensorSpec& spec : plan.inputs) {
    handle->input_kinds.emplace(spec.name, to_nrt(spec.kind));
  }
  for (const plan::TensorSpec& spec : plan.outputs) {
    handle->output_kinds.emplace(spec.name, to_nrt(spec.kind));
  }
  if (wants_log("info")) {
    const nrt_model_info_t info = handle->model->info();
    print_error("nrt: info: loaded `{}` for {} on {} NeuronCores, {} bytes of memory\n",
                printable_lines(info.name), printable_lines(info.target), info.nc_count,
                info.memory_bytes);
  }
  nrt_model* const made = handle.get();
  if (const NRT_STATUS status = add_model(std::move(handle)); status != NRT_SUCCESS) return status;
  *result = made;
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
}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_init(nrt_framework_type_t framework, const char*, const char*) {
  return guarded([&]() -> NRT_STATUS {
    const int number = number_of(framework);
    if (number <= NRT_FRAMEWORK_TYPE_INVALID || number > NRT_FRAMEWORK_TYPE_MXNET) {
      return report(NRT_INVALID, fmt::format("there is no framework {}", number));
    }
    return initialise();
  });
}

void nrt_close(void) {
  guarded([]() -> NRT_STATUS {
    if (Completions::is_current_thread()) {
      return report(NRT_INVALID, "nrt_close was called by a completion, which it would wait for");
    }
    close();
    return NRT_SUCCESS;
  });
}

const char* nrt_get_status_as_str(NRT_STATUS status) {
  switch (number_of(status)) {
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

const char* nrt_get_last_message(void) { return reported_message().c_str(); }

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
  const std::shared_ptr<Cores> cores = current_cores();
  if (cores == nullptr) return check_ready();
  return get_count(count, cores->num_visible());
}

NRT_STATUS nrt_get_total_vnc_count(uint32_t* count) { return nrt_get_total_nc_count(count); }
NRT_STATUS nrt_get_visible_vnc_count(uint32_t* count) { return nrt_get_visible_nc_count(count); }

NRT_STATUS nrt_load(const void* neff, size_t size, int32_t vnc, int32_t vnc_count,
                    nrt_model_t** model) {
  return guarded_with_room([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (neff == nullptr || model == nullptr) return report(NRT_INVALID, "an argument is null");
    const std::span bytes(static_cast<const std::byte*>(neff), size);
    const Result<Verify> verify = verify_mode();
    if (!verify) return report(verify.error());
    return load_image(NeffImage::copy(bytes, *verify), vnc, vnc_count, model);
  });
}

NRT_STATUS nrt_load_file(const char* path, int32_t vnc, int32_t vnc_count, nrt_model_t** model) {
  return guarded_with_room([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (path == nullptr || model == nullptr) return report(NRT_INVALID, "an argument is null");
    const Result<Weights> weights = weights_mode();
    if (!weights) return report(weights.error());
    const Result<Verify> verify = verify_mode();
    if (!verify) return report(verify.error());
    return load_image(NeffImage::open(path, *verify, *weights), vnc, vnc_count, model);
  });
}

NRT_STATUS nrt_unload(nrt_model_t* model) {
  return guarded([&]() -> NRT_STATUS {
    if (forget_model_of_parent(model)) return NRT_SUCCESS;
    NRT_STATUS status = NRT_SUCCESS;
    const std::shared_ptr<nrt_model> handle = find_model(model, status);
    if (handle == nullptr) return status;
    if (ModelInUse in_use(model); !in_use || in_use->is_stuck()) {
      if (!in_use) return in_use.status();
      return report(NRT_EXEC_UNIT_UNRECOVERABLE,
                    "a request of the model does not end, and may still use its memory");
    }
    if (Completions::is_current_thread()) {
      unload_later(handle);  // waiting would keep the model's other completions from being called
    } else if (remove_model(model)) {
      unload(*handle);
    }
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_nc_count(const nrt_model_t* model, uint32_t* count) {
  const ModelInUse in_use(model);
  if (!in_use) return in_use.status();
  return get_count(count, in_use->model->info().nc_count);
}

NRT_STATUS nrt_get_model_vnc_count(const nrt_model_t* model, uint32_t* count) {
  return nrt_get_model_nc_count(model, count);
}

NRT_STATUS nrt_get_model_info(const nrt_model_t* model, nrt_model_info_t* info, size_t size) {
  return guarded([&]() -> NRT_STATUS {
    if (info == nullptr) return report(NRT_INVALID, "`info` is null");
    const ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    const nrt_model_info_t filled = in_use->model->info();
    std::memset(info, 0, size);
    std::memcpy(info, &filled, std::min(size, sizeof(filled)));
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_metadata(const nrt_model_t* model, const char** json, size_t* size) {
  return guarded([&]() -> NRT_STATUS {
    if (json == nullptr || size == nullptr) return report(NRT_INVALID, "an argument is null");
    const ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    const NeffMemberView* member = in_use->model->image().find("neff.json");
    if (member == nullptr) return report(NRT_INVALID, "the NEFF has no neff.json");
    *json = reinterpret_cast<const char*>(member->bytes.data());
    *size = member->bytes.size();
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_tensor_info(nrt_model_t* model, nrt_tensor_info_array_t** tensor_info) {
  return guarded([&]() -> NRT_STATUS {
    if (tensor_info == nullptr) return report(NRT_INVALID, "`tensor_info` is null");
    const ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    const neuronc::plan::Plan& plan = in_use.plan();
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
    add_handle(&info->array, HandleKind::tensor_info);
    *tensor_info = &info.release()->array;
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_free_model_tensor_info(nrt_tensor_info_array_t* tensor_info) {
  if (tensor_info == nullptr) return NRT_SUCCESS;
  return guarded([&]() -> NRT_STATUS {
    if (!remove_handle(tensor_info, HandleKind::tensor_info)) {
      return report(NRT_INVALID_HANDLE, "the description of tensors was freed");
    }
    // The array is the first member.
    delete reinterpret_cast<TensorInfo*>(tensor_info);
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_model_value_kind(nrt_model_t* model, nrt_tensor_usage_t usage, const char* name,
                                    nrt_value_kind_t* kind) {
  return guarded([&]() -> NRT_STATUS {
    if (name == nullptr || kind == nullptr) return report(NRT_INVALID, "an argument is null");
    const ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    const bool is_input = number_of(usage) == NRT_TENSOR_USAGE_INPUT;
    const auto& kinds = is_input ? in_use->input_kinds : in_use->output_kinds;
    const auto found = kinds.find(name);
    if (found == kinds.end()) {
      return report(NRT_INVALID,
                    fmt::format("the model has no {} `{}`", is_input ? "input" : "output", name));
    }
    *kind = found->second;
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_memory_stats(nrt_memory_stats_t* stats, size_t size) {
  return guarded([&]() -> NRT_STATUS {
    if (stats == nullptr) return report(NRT_INVALID, "`stats` is null");
    nrt_memory_stats_t filled{};
    for (const std::shared_ptr<nrt_model>& handle : loaded_models()) {
      const ModelInUse in_use(handle.get());
      if (!in_use) continue;
      const nrt_model_info_t info = in_use->model->info();
      ++filled.num_models;
      filled.code_bytes += info.code_bytes;
      filled.weight_bytes += info.weight_bytes;
      filled.model_bytes += info.memory_bytes;
    }
    filled.num_tensors = num_tensors();
    filled.tensor_bytes = tensor_bytes();
    std::memset(stats, 0, size);
    std::memcpy(stats, &filled, std::min(size, sizeof(filled)));
    return NRT_SUCCESS;
  });
}

}  // extern "C"
