// The C API's profiles.
#include <mutex>

#include "ir/base/output_file.h"
#include "runtime/nrt_internal.h"
#include "runtime/profile_trace.h"

namespace neuronc::runtime {
namespace {

NRT_STATUS start(nrt_model& model, const char* file) {
  const std::lock_guard lock(model.profile_mutex);
  if (model.profile != nullptr) {
    return report(NRT_INVALID, fmt::format("the model is being profiled, for `{}`: stop that first",
                                           model.profile_file));
  }
  model.profile = std::make_shared<Profile>();
  model.profile_file = file;
  model.model->set_profile(model.profile);
  return NRT_SUCCESS;
}

// The profile that is made for `file`, which ends here; null if the model has another or none.
std::shared_ptr<Profile> end_profile(nrt_model& model, std::string_view file) {
  const std::lock_guard lock(model.profile_mutex);
  if (model.profile == nullptr || model.profile_file != file) return nullptr;
  model.model->set_profile(nullptr);
  return std::move(model.profile);
}

std::string trace_of(const Model& model, Profile& profile) {
  const NeffMemberView* metadata = model.image().find("neff.json");
  const std::string_view json =
      metadata == nullptr ? std::string_view()
                          : std::string_view(reinterpret_cast<const char*>(metadata->bytes.data()),
                                             metadata->bytes.size());
  const nrt_model_info_t info = model.info();
  const ProfiledModel profiled{info.name, info.uuid, info.target, model.core_ids()};
  return trace_json(profiled, model.plan(), profile_costs(model.plan(), model.isa(), json),
                    profile.take());
}

}  // namespace
}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_profile_start(nrt_model_t* model, const char* filename) {
  return guarded([&]() -> NRT_STATUS {
    if (filename == nullptr || *filename == 0) return report(NRT_INVALID, "`filename` is empty");
    const std::string error = neuronc::why_no_output_file(filename);
    if (!error.empty()) {
      return report(NRT_RESOURCE, fmt::format("cannot write `{}`: {}", filename, error));
    }
    const ModelInUse in_use(model);
    if (!in_use) return in_use.status();
    return start(*in_use, filename);
  });
}

NRT_STATUS nrt_profile_stop(const char* filename) {
  return guarded([&]() -> NRT_STATUS {
    if (const NRT_STATUS status = check_ready(); status != NRT_SUCCESS) return status;
    if (filename == nullptr) return report(NRT_INVALID, "`filename` is null");
    for (const std::shared_ptr<nrt_model>& handle : loaded_models()) {
      const ModelInUse in_use(handle.get());
      if (!in_use) continue;  // unloaded meanwhile
      const std::shared_ptr<Profile> profile = end_profile(*in_use, filename);
      if (profile == nullptr) continue;
      const std::string trace = trace_of(*in_use->model, *profile);
      const std::string error =
          neuronc::write_output_file(filename, std::as_bytes(std::span(trace)));
      if (error.empty()) return NRT_SUCCESS;
      return report(NRT_RESOURCE, fmt::format("cannot write `{}`: {}", filename, error));
    }
    return report(NRT_INVALID, fmt::format("no loaded model is being profiled for `{}`", filename));
  });
}

}  // extern "C"
