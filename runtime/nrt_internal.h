// What the files of the C API share: the objects behind the handles, the process-wide state, and
// how errors leave.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/base/entry.h"
#include "runtime/include/nrt/nrt.h"
#include "runtime/model.h"
#include "runtime/numerics.h"

namespace neuronc::runtime {

// Counts the calls that use a model; unloading lets no more in, and waits for them or leaves the rest
// to who is the last.
class Usage {
 public:
  // False if the model is being unloaded. Either way exit() is called in the end.
  bool enter() { return (state_.fetch_add(1, std::memory_order_acq_rel) & kClosing) == 0; }
  // True: the caller was the last, and frees the model.
  bool exit() {
    const uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
    if (before == (kClosing | 1)) left_.signal();
    return before == (kLeftToLast | 1) && claim();
  }
  void close() {
    state_.fetch_or(kClosing, std::memory_order_acq_rel);
    wait_until([this] { return state_.load(std::memory_order_acquire) == kClosing; });
  }
  // True: nobody was there, and the caller frees the model.
  bool close_without_waiting() {
    state_.fetch_or(kLeftToLast, std::memory_order_acq_rel);
    return claim();
  }
  // The model was freed by who was told to.
  void show_gone() {
    state_.fetch_or(kGone, std::memory_order_acq_rel);
    left_.signal();
  }
  void wait_until_gone() {
    wait_until([this] { return (state_.load(std::memory_order_acquire) & kGone) != 0; });
  }

 private:
  static constexpr uint32_t kClosing = uint32_t{1} << 31;
  static constexpr uint32_t kLeftToLast = kClosing | uint32_t{1} << 30;
  static constexpr uint32_t kClaimed = kLeftToLast | uint32_t{1} << 29;
  static constexpr uint32_t kGone = uint32_t{1} << 28;

  // Calls that come too late count for a moment, so several may think that they were the last.
  bool claim() {
    uint32_t expected = kLeftToLast;
    return state_.compare_exchange_strong(expected, kClaimed, std::memory_order_acq_rel);
  }
  template <class Condition>
  void wait_until(const Condition& condition) {
    while (true) {
      const uint32_t seen = left_.now();
      if (condition()) return;
      left_.wait(seen);
    }
  }

  std::atomic<uint32_t> state_{0};
  WakeWord left_;
};

}  // namespace neuronc::runtime

struct nrt_model {
  std::shared_ptr<neuronc::runtime::Cores> cores;  // outlives the model
  std::unique_ptr<neuronc::runtime::Model> model;
  neuronc::runtime::NumericsCheck numerics = neuronc::runtime::NumericsCheck::none;
  bool needs_room = false;  // requests go down into blocks or bodies
  // By name: models have tens of thousands, and callers ask for each.
  std::unordered_map<std::string_view, nrt_value_kind_t> input_kinds;
  std::unordered_map<std::string_view, nrt_value_kind_t> output_kinds;
  neuronc::runtime::Usage usage;
  std::mutex profile_mutex;
  std::shared_ptr<neuronc::runtime::Profile> profile;  // null: none is being made
  std::string profile_file;

  neuronc::runtime::Executor& choose_executor() { return model->choose_executor(); }
  bool is_stuck() const { return model->is_stuck(); }
};

struct nrt_tensor {
  std::string name;
  std::byte* data = nullptr;
  size_t size_bytes = 0;
  std::shared_ptr<std::byte> owner;  // null: the caller's memory, or none
  std::vector<int64_t> shape;        // given by an execution, or for a list
  bool has_shape = false;
  // The value of a sequence or an optional; its elements are handles too.
  bool is_list = false;
  bool has_value = false;
  std::vector<nrt_tensor*> elements;
  std::atomic<uint32_t> num_holders{1};  // its handle, and requests that go on without their caller
};

struct nrt_tensor_set {
  std::map<std::string, nrt_tensor*, std::less<>> tensors;
};

namespace neuronc::runtime {

// Keeps the message for nrt_get_last_message and gives the code.
NRT_STATUS report(const Status& status);
NRT_STATUS report(NRT_STATUS code, std::string message);
const std::string& reported_message();
void set_reported_message(std::string message);
bool wants_log(std::string_view level);  // "error", "warn", "info", "debug"

// NRT_SUCCESS between nrt_init and nrt_close; reports otherwise.
NRT_STATUS check_ready();
NRT_STATUS initialise();
void close();

// Null before nrt_init and after nrt_close (reported).
std::shared_ptr<Cores> current_cores();

// The loaded models by handle.
NRT_STATUS add_model(std::shared_ptr<nrt_model> model);
bool remove_model(const nrt_model* handle);            // false: there is no such handle
bool forget_model_of_parent(const nrt_model* handle);  // in the child of a fork; likewise
// Null, with the status that was reported, if the handle is not loaded here.
std::shared_ptr<nrt_model> find_model(const nrt_model* handle, NRT_STATUS& status);
std::vector<std::shared_ptr<nrt_model>> loaded_models();
// Waits for those who use the model, and frees it.
void unload(nrt_model& model);
// The same without waiting: who uses the model last frees it. nrt_close waits for that.
void unload_later(const std::shared_ptr<nrt_model>& model);
void free_left_model(nrt_model& model);

// A loaded model that stays loaded while this lives.
class ModelInUse {
 public:
  explicit ModelInUse(const nrt_model* handle) : model_(find_model(handle, status_)) {
    if (model_ == nullptr || model_->usage.enter()) return;
    leave();
    status_ = report(NRT_INVALID_HANDLE, "the model is not loaded");
  }
  ~ModelInUse() { leave(); }
  ModelInUse(ModelInUse&& other) noexcept
      : status_(other.status_), model_(std::move(other.model_)) {}
  ModelInUse& operator=(ModelInUse&&) = delete;

  explicit operator bool() const { return model_ != nullptr; }
  NRT_STATUS status() const { return status_; }
  nrt_model& operator*() const { return *model_; }
  nrt_model* operator->() const { return model_.get(); }
  const plan::Plan& plan() const { return model_->model->plan(); }

 private:
  void leave() {
    if (model_ != nullptr && model_->usage.exit()) free_left_model(*model_);
    model_ = nullptr;
  }

  NRT_STATUS status_ = NRT_SUCCESS;
  std::shared_ptr<nrt_model> model_;
};

// A constant as the caller gave it: one of C's may have a value that C++ does not know of.
template <class Enum>
int number_of(const Enum& constant) {
  static_assert(sizeof(Enum) == sizeof(int));
  int number = 0;
  std::memcpy(&number, &constant, sizeof(number));
  return number;
}

// Runs `body`, which returns an NRT_STATUS; nothing thrown inside leaves the C API, and no thread is
// cancelled in it.
template <class Body>
NRT_STATUS guarded(const Body& body) {
  const NoCancellation whole;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report(NRT_FAIL_HOST_MEM_ALLOC, "out of memory");
  } catch (const std::exception& exception) {
    return report(NRT_FAILURE, exception.what());
  }
}

// Loading goes down into plans and modules; so do requests of models with control flow or host nodes.
inline constexpr size_t kRoomBytes = size_t{512} << 10;

// The same where there is room for `body`, whose message is the calling thread's in any case.
template <class Body>
NRT_STATUS guarded_with_room(const Body& body) {
  if (has_room(kRoomBytes)) return guarded(body);
  return guarded([&]() -> NRT_STATUS {
    NRT_STATUS status = NRT_SUCCESS;
    std::string message;
    run_elsewhere([&] {
      status = guarded(body);
      message = reported_message();
    });
    if (status != NRT_SUCCESS) set_reported_message(std::move(message));
    return status;
  });
}

// The tensors, sets and descriptions that exist, so that a handle that was destroyed, or is of another
// kind, is refused.
enum class HandleKind : uint8_t { tensor, set, tensor_info };
void add_handle(const void* handle, HandleKind kind);
bool remove_handle(const void* handle, HandleKind kind);  // false: there is no such handle
// Across a fork.
void lock_handles();
void unlock_handles();

// Memory of tensors that the runtime allocated.
uint64_t num_tensors();
uint64_t tensor_bytes();

// Report NRT_INVALID_HANDLE and give false if the handle is null or was destroyed; the set's
// tensors are looked at too.
bool check_tensor(const nrt_tensor* tensor, std::string_view what = "tensor");
bool check_set(const nrt_tensor_set* set);
bool check_tensors_of(const nrt_tensor_set* set);

// The tensors of a request that goes on when its caller has returned: they live as long as this, even if
// their handles are freed.
class HeldTensors {
 public:
  HeldTensors() = default;
  ~HeldTensors() { release(); }
  HeldTensors(HeldTensors&& other) noexcept : tensors_(std::exchange(other.tensors_, {})) {}
  HeldTensors& operator=(HeldTensors&&) = delete;

  // Adds those of a set; false as of check_tensors_of.
  bool hold(const nrt_tensor_set* set);
  void release();

 private:
  std::vector<nrt_tensor*> tensors_;
};
// Frees the tensor if its handle and all requests have let go of it.
void let_go(nrt_tensor* tensor);

// Makes the tensor a list without elements.
void clear_list(nrt_tensor& list, bool has_value);
// A new element at the list's end.
nrt_tensor& add_element(nrt_tensor& list);

// Gives the tensor zeroed memory of its own, 64-byte aligned; false if there is none.
bool allocate_tensor(nrt_tensor& tensor, size_t size_bytes);

// The tensors of one request, checked against the model's signature.
class BoundRequest {
 public:
  // Errors: NRT_EXEC_BAD_INPUT with the tensor's name.
  static Result<BoundRequest> bind(const plan::Plan& plan, const nrt_tensor_set& inputs,
                                   const nrt_tensor_set& outputs);
  // Valid while the request stays where it is.
  RequestIo io();
  // Gives outputs their shapes, and those sized at run time their bytes.
  Result<Done> store_outputs(const plan::Plan& plan);
  // Errors: NRT_EXEC_COMPLETED_WITH_NUM_ERR for an output with such elements.
  Result<Done> check_numerics(const plan::Plan& plan, NumericsCheck check) const;

 private:
  std::vector<const std::byte*> inputs_;
  std::vector<std::byte*> outputs_;
  std::vector<HostValue> host_inputs_;
  std::vector<HostValue> host_outputs_;
  std::vector<nrt_tensor*> output_tensors_;
  std::string first_non_finite_;  // where it was computed, if a checker runs the kernels
};

}  // namespace neuronc::runtime
