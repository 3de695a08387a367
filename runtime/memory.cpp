// Maps memory; large pieces are over-allocated by one huge page to be aligned on it.
#include "runtime/memory.h"

#include <sys/mman.h>

namespace neuronc::runtime {
namespace {
constexpr uint64_t kHugePage = uint64_t{2} << 20;
}

Result<Memory> Memory::allocate(uint64_t size_bytes) {
  Memory memory;
  if (size_bytes == 0) return memory;
  const bool is_large = size_bytes >= kHugePage;
  const uint64_t mapping_bytes = is_large ? size_bytes + kHugePage : size_bytes;
  void* mapping =
      mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    return fail(NRT_FAIL_HOST_MEM_ALLOC, "no memory for {} bytes", size_bytes);
  }
  memory.mapping_ = mapping;
  memory.mapping_bytes_ = mapping_bytes;
  memory.data_ = static_cast<std::byte*>(mapping);
  if (is_large) {
    const auto address = reinterpret_cast<uintptr_t>(mapping);
    memory.data_ += (kHugePage - address % kHugePage) % kHugePage;
    madvise(memory.data_, size_bytes, MADV_HUGEPAGE);
  }
  return memory;
}

Memory::~Memory() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

}  // namespace neuronc::runtime
