// Zeroed memory of a model: arenas, channel slots, shared memory. Mapped straight from the
// system, on huge pages where it is large, so that loading touches nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "runtime/status.h"

namespace neuronc::runtime {

class Memory {
 public:
  Memory() = default;
  // At least 64-byte aligned (2 MiB from that size on); 0 bytes give no memory.
  // Errors: NRT_FAIL_HOST_MEM_ALLOC.
  static Result<Memory> allocate(uint64_t size_bytes);
  ~Memory();
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }

  std::byte* data() const { return data_; }

 private:
  void swap(Memory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(mapping_, other.mapping_);
    std::swap(mapping_bytes_, other.mapping_bytes_);
  }

  std::byte* data_ = nullptr;
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
};

}  // namespace neuronc::runtime
