// The process-wide state of the C API: what nrt_init made, the models that are loaded, messages and
// the log; and what becomes of all that in the child of a fork.
#include <fmt/format.h>
#include <pthread.h>
#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <set>

#include "ir/base/command.h"
#include "ir/base/text.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

enum class ApiState : uint8_t { uninitialized, ready, closed };

struct Api {
  std::mutex mutex;
  ApiState state = ApiState::uninitialized;
  std::shared_ptr<Cores> cores;
  std::map<const nrt_model*, std::shared_ptr<nrt_model>> models;
  std::map<const nrt_model*, std::shared_ptr<nrt_model>>
      leaving;                                  // until their last request is done
  std::set<const nrt_model*> models_of_parent;  // after a fork: handles that mean nothing here
};

// Never destroyed: whatever still runs when the process exits may use it.
Api& api() {
  static Api* const kApi = new Api;
  return *kApi;
}

// Nothing frees what somebody may still write to, or holds locks of threads that are gone; a checker of
// leaks finds it here.
template <class T>
void keep_for_ever(T value) {
  static auto* const kKept = new std::list<T>;
  kKept->push_back(std::move(value));
}

// A fork copies this process with the forking thread alone: workers are gone, and what they and
// other threads were doing stays half done for ever. So locks of the API are taken across the fork,
// and the child forgets the models and cores of its parent, without freeing them, and begins anew.
void before_fork() {
  api().mutex.lock();
  lock_handles();
}

void after_fork_in_parent() {
  unlock_handles();
  api().mutex.unlock();
}

void after_fork_in_child() {
  unlock_handles();
  Api& state = api();
  for (const auto& [handle, model] : state.models) state.models_of_parent.insert(handle);
  keep_for_ever(std::exchange(state.models, {}));
  keep_for_ever(std::exchange(state.leaving, {}));
  if (state.cores != nullptr) {
    if (const auto publication = state.cores->publication_after_fork()) publication->abandon();
    auto cores = state.cores->remade();
    keep_for_ever(std::exchange(state.cores, std::move(cores)));
  }
  Awake::forget_all();
  state.mutex.unlock();
}

// Threads may still run; but nobody is to find the file of a process that is gone.
void remove_published_file() {
  const std::unique_lock lock(api().mutex, std::try_to_lock);
  if (!lock || api().cores == nullptr) return;
  if (const auto publication = api().cores->publication()) publication->remove_file();
}

std::string& last_message() {
  thread_local std::string message;
  return message;
}

constexpr const char* kLogLevels[] = {"none", "error", "warn", "info", "debug", "trace"};

// The wanted level's place in kLogLevels, whatever its case.
size_t log_level() {
  static const size_t level = [] {
    const char* value = std::getenv("NEURON_RT_LOG_LEVEL");
    if (value == nullptr || *value == 0) return size_t{0};
    if (strcasecmp(value, "warning") == 0) value = "warn";
    for (size_t i = 0; i < std::size(kLogLevels); ++i) {
      if (strcasecmp(value, kLogLevels[i]) == 0) return i;
    }
    print_error("nrt: warning: NEURON_RT_LOG_LEVEL=`{}` is not error, warning, info or debug\n",
                printable_lines(value));
    return size_t{0};
  }();
  return level;
}

// Reports why the API is not ready; NRT_SUCCESS if it is. Under the mutex.
NRT_STATUS check_state() {
  if (api().state == ApiState::ready) return NRT_SUCCESS;
  if (api().state == ApiState::closed) return report(NRT_CLOSED, "nrt_close was called");
  return report(NRT_UNINITIALIZED, "nrt_init was not called");
}

}  // namespace

bool wants_log(std::string_view level) {
  const auto* it = std::find(std::begin(kLogLevels), std::end(kLogLevels), level);
  return static_cast<size_t>(it - std::begin(kLogLevels)) <= log_level();
}

NRT_STATUS report(NRT_STATUS code, std::string message) {
  last_message() = std::move(message);
  if (wants_log("error")) {
    print_error("nrt: error: {}: {}\n", nrt_get_status_as_str(code),
                printable_lines(last_message()));
  }
  return code;
}

NRT_STATUS report(const Status& status) { return report(status.code, status.message); }

void set_reported_message(std::string message) { last_message() = std::move(message); }

const std::string& reported_message() { return last_message(); }

NRT_STATUS check_ready() {
  const std::lock_guard lock(api().mutex);
  return check_state();
}

NRT_STATUS initialise() {
  const std::lock_guard lock(api().mutex);
  if (api().state == ApiState::ready) return NRT_SUCCESS;
  static const int registered =
      pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  if (registered != 0) return report(NRT_RESOURCE, "no memory for fork handlers");
  static const int at_exit = std::atexit(remove_published_file);
  (void)at_exit;  // without it the file stays until somebody looks
  auto cores = Cores::from_environment();
  if (!cores) return report(cores.error());
  api().cores = std::move(*cores);
  api().state = ApiState::ready;
  return NRT_SUCCESS;
}

void close() {
  std::map<const nrt_model*, std::shared_ptr<nrt_model>> models;
  std::map<const nrt_model*, std::shared_ptr<nrt_model>> leaving;
  std::shared_ptr<Cores> cores;
  {
    const std::lock_guard lock(api().mutex);
    if (api().state != ApiState::ready) return;
    api().state = ApiState::closed;
    models.swap(api().models);
    leaving.swap(api().leaving);
    cores.swap(api().cores);
  }
  for (const auto& [handle, model] : models) unload(*model);
  for (const auto& [handle, model] : leaving) model->usage.wait_until_gone();
}

std::shared_ptr<Cores> current_cores() {
  const std::lock_guard lock(api().mutex);
  check_state();
  return api().cores;
}

std::shared_ptr<nrt_model> find_model(const nrt_model* handle, NRT_STATUS& status) {
  const std::lock_guard lock(api().mutex);
  const auto it = api().models.find(handle);
  if (it != api().models.end()) return it->second;
  if (api().models_of_parent.contains(handle)) {
    status = report(NRT_INVALID_HANDLE,
                    "the model was loaded by the parent process, before the fork; load it again in "
                    "this process");
    return nullptr;
  }
  status = check_state();
  if (status != NRT_SUCCESS) return nullptr;
  status = report(NRT_INVALID_HANDLE,
                  handle == nullptr ? "the model is null" : "the model is not loaded");
  return nullptr;
}

NRT_STATUS add_model(std::shared_ptr<nrt_model> model) {
  const std::lock_guard lock(api().mutex);
  if (const NRT_STATUS status = check_state(); status != NRT_SUCCESS) return status;
  const nrt_model* handle = model.get();
  api().models.emplace(handle, std::move(model));
  return NRT_SUCCESS;
}

bool forget_model_of_parent(const nrt_model* handle) {
  const std::lock_guard lock(api().mutex);
  return api().models_of_parent.erase(handle) > 0;
}

bool remove_model(const nrt_model* handle) {
  const std::lock_guard lock(api().mutex);
  return api().models.erase(handle) > 0;
}

std::vector<std::shared_ptr<nrt_model>> loaded_models() {
  const std::lock_guard lock(api().mutex);
  std::vector<std::shared_ptr<nrt_model>> models;
  for (const auto& [handle, model] : api().models) models.push_back(model);
  return models;
}

namespace {

// Nobody uses the model any more but a request that does not end, which may still write to it.
void free_model(nrt_model& model) {
  if (model.is_stuck()) {
    keep_for_ever(std::move(model.model));
    keep_for_ever(std::move(model.cores));
    return;
  }
  model.model.reset();
  model.cores.reset();
}

}  // namespace

void unload(nrt_model& model) {
  model.usage.close();
  free_model(model);
}

void unload_later(const std::shared_ptr<nrt_model>& model) {
  {
    const std::lock_guard lock(api().mutex);
    if (!api().models.contains(model.get())) return;  // another thread unloads it
    api().leaving.emplace(model.get(), model);
    api().models.erase(model.get());
  }
  if (model->usage.close_without_waiting()) free_left_model(*model);
}

void free_left_model(nrt_model& model) {
  free_model(model);
  {
    const std::lock_guard lock(api().mutex);
    api().leaving.erase(&model);
  }
  model.usage.show_gone();
}

}  // namespace neuronc::runtime
