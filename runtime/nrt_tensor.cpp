// The C API's tensors and tensor sets.
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "runtime/nrt_internal.h"

using neuronc::runtime::allocate_tensor;
using neuronc::runtime::guarded;
using neuronc::runtime::HandleKind;
using neuronc::runtime::report;

namespace neuronc::runtime {
namespace {
std::atomic<uint64_t> num_allocated_bytes{0};
std::atomic<uint64_t> num_live_tensors{0};
}  // namespace

uint64_t tensor_bytes() { return num_allocated_bytes; }

bool allocate_tensor(nrt_tensor& tensor, size_t size_bytes) {
  constexpr size_t kAlignment = plan::kBufferAlignment;
  const size_t padded = (size_bytes + kAlignment) / kAlignment * kAlignment;
  if (padded < size_bytes) return false;
  if (tensor.is_list) clear_list(tensor, false);
  void* data = std::aligned_alloc(kAlignment, padded);
  if (data == nullptr) return false;
  std::memset(data, 0, padded);
  num_allocated_bytes += padded;
  tensor.owner = std::shared_ptr<std::byte>(static_cast<std::byte*>(data), [padded](std::byte* p) {
    num_allocated_bytes -= padded;
    std::free(p);
  });
  tensor.data = tensor.owner.get();
  tensor.size_bytes = size_bytes;
  tensor.has_shape = false;
  tensor.is_list = false;
  return true;
}

namespace {

// A plain lock, because a child of a fork can unlock it: one of readers and writers knows its writer by
// the thread's number, which the child has not.
struct Handles {
  std::mutex mutex;
  std::unordered_map<const void*, HandleKind> alive;

  bool has(const void* handle, HandleKind kind) const {
    const auto it = alive.find(handle);
    return it != alive.end() && it->second == kind;
  }
};

// Never destroyed: it outlives whatever frees tensors at exit.
Handles& handles() {
  static Handles* const kHandles = new Handles;
  return *kHandles;
}

void report_bad_handle(const void* handle, std::string_view what) {
  const char* why = "is null";
  if (handle != nullptr) {
    const std::lock_guard lock(handles().mutex);
    why = handles().alive.contains(handle) ? "is a handle of another kind" : "was destroyed";
  }
  report(NRT_INVALID_HANDLE, fmt::format("the {} {}", what, why));
}

bool check_handle(const void* handle, HandleKind kind, std::string_view what) {
  if (handle != nullptr) {
    const std::lock_guard lock(handles().mutex);
    if (handles().has(handle, kind)) return true;
  }
  report_bad_handle(handle, what);
  return false;
}

// Calls `visit` with each tensor of the set while no handle can be freed.
template <class Visit>
bool visit_tensors_of(const nrt_tensor_set* set, const Visit& visit) {
  if (!check_set(set)) return false;
  const std::string* bad_name = nullptr;
  const nrt_tensor* bad = nullptr;
  {
    const std::lock_guard lock(handles().mutex);
    for (const auto& [name, tensor] : set->tensors) {
      if (tensor != nullptr && handles().has(tensor, HandleKind::tensor)) {
        visit(tensor);
        continue;
      }
      bad_name = &name;
      bad = tensor;
      break;
    }
  }
  if (bad_name == nullptr) return true;
  report_bad_handle(bad, fmt::format("tensor `{}` of the set", *bad_name));
  return false;
}

NRT_STATUS hand_out(std::unique_ptr<nrt_tensor> made, nrt_tensor_t** tensor) {
  add_handle(made.get(), HandleKind::tensor);
  ++num_live_tensors;
  *tensor = made.release();
  return NRT_SUCCESS;
}

// Reports and gives false if [offset, offset + size) lies outside the tensor.
bool check_range(const nrt_tensor& tensor, size_t offset, size_t size) {
  if (offset <= tensor.size_bytes && size <= tensor.size_bytes - offset) return true;
  report(NRT_INVALID, fmt::format("{} bytes from {} on lie outside tensor `{}` of {} bytes", size,
                                  offset, tensor.name, tensor.size_bytes));
  return false;
}

}  // namespace

void lock_handles() { handles().mutex.lock(); }
void unlock_handles() { handles().mutex.unlock(); }

uint64_t num_tensors() { return num_live_tensors; }

void add_handle(const void* handle, HandleKind kind) {
  const std::lock_guard lock(handles().mutex);
  handles().alive.emplace(handle, kind);
}

bool remove_handle(const void* handle, HandleKind kind) {
  const std::lock_guard lock(handles().mutex);
  return handles().has(handle, kind) && handles().alive.erase(handle) > 0;
}

bool check_tensor(const nrt_tensor* tensor, std::string_view what) {
  return check_handle(tensor, HandleKind::tensor, what);
}

bool check_set(const nrt_tensor_set* set) {
  return check_handle(set, HandleKind::set, "tensor set");
}

bool check_tensors_of(const nrt_tensor_set* set) {
  return visit_tensors_of(set, [](const nrt_tensor*) {});
}

bool HeldTensors::hold(const nrt_tensor_set* set) {
  return visit_tensors_of(set, [this](nrt_tensor* tensor) {
    tensors_.push_back(tensor);
    tensor->num_holders.fetch_add(1, std::memory_order_relaxed);
  });
}

void HeldTensors::release() {
  for (nrt_tensor* tensor : std::exchange(tensors_, {})) let_go(tensor);
}

void let_go(nrt_tensor* tensor) {
  if (tensor->num_holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  clear_list(*tensor, false);
  delete tensor;
}

}  // namespace neuronc::runtime

using neuronc::runtime::add_handle;
using neuronc::runtime::check_range;
using neuronc::runtime::check_set;
using neuronc::runtime::check_tensor;
using neuronc::runtime::hand_out;
using neuronc::runtime::remove_handle;

extern "C" {

NRT_STATUS nrt_tensor_allocate(nrt_tensor_placement_t placement, int vnc, size_t size,
                               const char* name, nrt_tensor_t** tensor) {
  return guarded([&]() -> NRT_STATUS {
    if (tensor == nullptr) return report(NRT_INVALID, "`tensor` is null");
    const int number = neuronc::runtime::number_of(placement);
    if (number < NRT_TENSOR_PLACEMENT_DEVICE || number > NRT_TENSOR_PLACEMENT_VIRTUAL) {
      return report(NRT_INVALID, fmt::format("there is no placement {}", number));
    }
    if (vnc < -1) return report(NRT_INVALID, fmt::format("there is no core {}", vnc));
    auto result = std::make_unique<nrt_tensor>();
    result->name = name == nullptr ? "" : name;
    if (number == NRT_TENSOR_PLACEMENT_VIRTUAL) {
      result->size_bytes = size;
    } else if (!allocate_tensor(*result, size)) {
      return report(NRT_FAIL_HOST_MEM_ALLOC, fmt::format("no memory for {} bytes", size));
    }
    return hand_out(std::move(result), tensor);
  });
}

NRT_STATUS nrt_tensor_allocate_empty(const char* name, nrt_tensor_t** tensor) {
  return guarded([&]() -> NRT_STATUS {
    if (tensor == nullptr) return report(NRT_INVALID, "`tensor` is null");
    auto result = std::make_unique<nrt_tensor>();
    result->name = name == nullptr ? "" : name;
    return hand_out(std::move(result), tensor);
  });
}

NRT_STATUS nrt_tensor_allocate_slice(const nrt_tensor_t* source, size_t offset, size_t size,
                                     const char* name, nrt_tensor_t** tensor) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_tensor(source, "source tensor")) return NRT_INVALID_HANDLE;
    if (tensor == nullptr) return report(NRT_INVALID, "`tensor` is null");
    if (!check_range(*source, offset, size)) return NRT_INVALID;
    auto result = std::make_unique<nrt_tensor>();
    result->name = name == nullptr ? "" : name;
    result->data = source->data == nullptr ? nullptr : source->data + offset;
    result->size_bytes = size;
    result->owner = source->owner;
    return hand_out(std::move(result), tensor);
  });
}

NRT_STATUS nrt_tensor_attach_buffer(nrt_tensor_t* tensor, void* buffer, size_t size) {
  if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
  if (buffer == nullptr && size > 0) return report(NRT_INVALID, "`buffer` is null");
  neuronc::runtime::clear_list(*tensor, false);
  tensor->is_list = false;
  tensor->data = static_cast<std::byte*>(buffer);
  tensor->size_bytes = size;
  tensor->has_shape = false;
  return NRT_SUCCESS;
}

void nrt_tensor_free(nrt_tensor_t** tensor) {
  if (tensor == nullptr) return;
  if (*tensor != nullptr && remove_handle(*tensor, HandleKind::tensor)) {
    --neuronc::runtime::num_live_tensors;
    neuronc::runtime::let_go(*tensor);
  }
  *tensor = nullptr;
}

NRT_STATUS nrt_tensor_read(const nrt_tensor_t* tensor, void* buffer, size_t offset, size_t size) {
  if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
  if (buffer == nullptr && size > 0) return report(NRT_INVALID, "`buffer` is null");
  if (!check_range(*tensor, offset, size)) return NRT_INVALID;
  if (size > 0 && tensor->data == nullptr) return report(NRT_INVALID, "the tensor has no memory");
  if (size > 0) std::memcpy(buffer, tensor->data + offset, size);
  return NRT_SUCCESS;
}

NRT_STATUS nrt_tensor_write(nrt_tensor_t* tensor, const void* buffer, size_t offset, size_t size) {
  if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
  if (buffer == nullptr && size > 0) return report(NRT_INVALID, "`buffer` is null");
  if (!check_range(*tensor, offset, size)) return NRT_INVALID;
  if (size > 0 && tensor->data == nullptr) return report(NRT_INVALID, "the tensor has no memory");
  if (size > 0) std::memcpy(tensor->data + offset, buffer, size);
  return NRT_SUCCESS;
}

size_t nrt_tensor_get_size(const nrt_tensor_t* tensor) {
  return check_tensor(tensor) ? tensor->size_bytes : 0;
}

void* nrt_tensor_get_va(const nrt_tensor_t* tensor) {
  return check_tensor(tensor) ? tensor->data : nullptr;
}

NRT_STATUS nrt_tensor_get_shape(const nrt_tensor_t* tensor, const int64_t** dims, uint32_t* ndim) {
  if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
  if (dims == nullptr || ndim == nullptr) return report(NRT_INVALID, "a result pointer is null");
  if (!tensor->has_shape) {
    return report(NRT_INVALID, "the tensor has no shape: no execution has written it");
  }
  *dims = tensor->shape.data();
  *ndim = static_cast<uint32_t>(tensor->shape.size());
  return NRT_SUCCESS;
}

NRT_STATUS nrt_allocate_tensor_set(nrt_tensor_set_t** set) {
  return guarded([&]() -> NRT_STATUS {
    if (set == nullptr) return report(NRT_INVALID, "`set` is null");
    auto made = std::make_unique<nrt_tensor_set>();
    add_handle(made.get(), HandleKind::set);
    *set = made.release();
    return NRT_SUCCESS;
  });
}

void nrt_destroy_tensor_set(nrt_tensor_set_t** set) {
  if (set == nullptr) return;
  if (*set != nullptr && remove_handle(*set, HandleKind::set)) delete *set;
  *set = nullptr;
}

NRT_STATUS nrt_add_tensor_to_tensor_set(nrt_tensor_set_t* set, const char* name,
                                        nrt_tensor_t* tensor) {
  return guarded([&]() -> NRT_STATUS {
    if (!check_set(set)) return NRT_INVALID_HANDLE;
    if (!check_tensor(tensor)) return NRT_INVALID_HANDLE;
    if (name == nullptr) return report(NRT_INVALID, "`name` is null");
    set->tensors.insert_or_assign(name, tensor);
    return NRT_SUCCESS;
  });
}

NRT_STATUS nrt_get_tensor_from_tensor_set(nrt_tensor_set_t* set, const char* name,
                                          nrt_tensor_t** tensor) {
  if (!check_set(set)) return NRT_INVALID_HANDLE;
  if (name == nullptr || tensor == nullptr) return report(NRT_INVALID, "an argument is null");
  const auto it = set->tensors.find(std::string_view(name));
  if (it == set->tensors.end()) {
    return report(NRT_INVALID, fmt::format("the tensor set has no `{}`", name));
  }
  *tensor = it->second;
  return NRT_SUCCESS;
}

}  // extern "C"
