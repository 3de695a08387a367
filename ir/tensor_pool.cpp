// Implements tensor_pool.h.
#include "ir/tensor_pool.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace neuronc {
namespace {

constexpr size_t kAlignment = 64;
// From here on a buffer is mapped by itself: its pages come zeroed, and huge ones make few faults.
constexpr size_t kMappedBytes = size_t{4} << 20;

std::byte* map_pages(size_t size) {
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  // A wish, granted or not.
  (void)::madvise(mapped, size, MADV_HUGEPAGE);
  return static_cast<std::byte*>(mapped);
}

std::byte* acquire(size_t size) {
  if (size >= kMappedBytes) return map_pages(size);
  return static_cast<std::byte*>(
      ::operator new(size == 0 ? 1 : size, std::align_val_t{kAlignment}));
}

void give_back(std::byte* bytes, size_t size) {
  if (size >= kMappedBytes) {
    ::munmap(bytes, size);
  } else {
    ::operator delete(bytes, std::align_val_t{kAlignment});
  }
}

// Sizes that differ a little, as those of found boxes do, share buffers: eight sizes an octave.
size_t capacity_for(size_t size) {
  size_t step = TensorPool::kLeastBytes / 8;
  while (step * 16 <= size) step *= 2;
  return (size + step - 1) / step * step;
}

}  // namespace

class TensorPoolState {
 public:
  explicit TensorPoolState(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  ~TensorPoolState() { close(); }
  TensorPoolState(const TensorPoolState&) = delete;
  TensorPoolState& operator=(const TensorPoolState&) = delete;

  struct Buffer {
    std::byte* bytes = nullptr;
    size_t capacity = 0;
    bool is_zeroed = false;
  };

  // The smallest kept buffer that is at most twice as large, or a new one.
  Buffer take(size_t size) {
    const size_t capacity = capacity_for(size);
    {
      const std::lock_guard lock(mutex_);
      const auto found = kept_.lower_bound(capacity);
      if (found != kept_.end() && found->first <= 2 * capacity) {
        const Buffer buffer{found->second, found->first, false};
        kept_.erase(found);
        kept_bytes_ -= buffer.capacity;
        return buffer;
      }
    }
    return {acquire(capacity), capacity, capacity >= kMappedBytes};
  }

  // What is over the limit goes back to the system, largest first.
  void put(std::byte* bytes, size_t capacity) {
    const std::lock_guard lock(mutex_);
    if (is_closed_ || capacity > limit_bytes_) return give_back(bytes, capacity);
    while (kept_bytes_ + capacity > limit_bytes_) {
      const auto largest = std::prev(kept_.end());
      kept_bytes_ -= largest->first;
      give_back(largest->second, largest->first);
      kept_.erase(largest);
    }
    try {
      kept_.emplace(capacity, bytes);
      kept_bytes_ += capacity;
    } catch (const std::bad_alloc&) {
      give_back(bytes, capacity);
    }
  }

  // From here on buffers go back to the system as their tensors end.
  void close() {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    for (const auto& [capacity, bytes] : kept_) give_back(bytes, capacity);
    kept_.clear();
    kept_bytes_ = 0;
  }

  uint64_t kept_bytes() const {
    const std::lock_guard lock(mutex_);
    return kept_bytes_;
  }

 private:
  const uint64_t limit_bytes_;
  mutable std::mutex mutex_;
  std::multimap<size_t, std::byte*> kept_;  // by capacity
  uint64_t kept_bytes_ = 0;
  bool is_closed_ = false;
};

namespace {

thread_local const std::shared_ptr<TensorPoolState>* scope_pool = nullptr;

enum class Content : uint8_t { zeroed, any };

std::shared_ptr<std::byte> allocate(size_t size, Content content) {
  if (scope_pool != nullptr && size >= TensorPool::kLeastBytes) {
    const TensorPoolState::Buffer buffer = (*scope_pool)->take(size);
    if (content == Content::zeroed && !buffer.is_zeroed) std::memset(buffer.bytes, 0, size);
    const size_t capacity = buffer.capacity;
    return {buffer.bytes, [pool = *scope_pool, capacity](std::byte* p) { pool->put(p, capacity); }};
  }
  std::byte* bytes = acquire(size);
  if (content == Content::zeroed && size < kMappedBytes) std::memset(bytes, 0, size);
  return {bytes, [size](std::byte* p) { give_back(p, size); }};
}

}  // namespace

TensorPool::TensorPool(uint64_t limit_bytes)
    : state_(std::make_shared<TensorPoolState>(limit_bytes)) {}
TensorPool::~TensorPool() { state_->close(); }

uint64_t TensorPool::kept_bytes() const { return state_->kept_bytes(); }

TensorPool::Scope::Scope(TensorPool& pool) : outer_(scope_pool) { scope_pool = &pool.state_; }
TensorPool::Scope::~Scope() { scope_pool = outer_; }

std::shared_ptr<std::byte> allocate_zeroed(size_t size_bytes) {
  return allocate(size_bytes, Content::zeroed);
}

std::shared_ptr<std::byte> allocate_unfilled(size_t size_bytes) {
  return allocate(size_bytes, Content::any);
}

Tensor unfilled_tensor(DType dtype, std::vector<int64_t> shape) {
  if (dtype == DType::string) return Tensor::zeros(dtype, std::move(shape));
  const auto size = static_cast<size_t>(num_elements(shape) * size_bytes(dtype));
  auto buffer = allocate_unfilled(size);
  const std::span<const std::byte> bytes(buffer.get(), size);
  return Tensor::borrow(dtype, std::move(shape), bytes, std::move(buffer));
}

}  // namespace neuronc
