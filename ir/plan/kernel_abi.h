// How a kernel is called: the contract between generated code, the runtime and the interpreter.
#pragma once

#include <cstdint>

namespace neuronc::plan {

// One argument of a kernel. Arena, channel, expanded and constant memory is 64-byte aligned at the
// starts that the plan aligns; nothing is assumed of a caller's inputs and outputs.
struct KernelBuffer {
  void* data;
};
static_assert(sizeof(KernelBuffer) == sizeof(void*));

// Runs tiles [tile_begin, tile_end) of a kernel; 0 is success, anything else ends the request.
// Symbols have C linkage and this signature.
using KernelFunction = int32_t (*)(const KernelBuffer* buffers, int64_t tile_begin,
                                   int64_t tile_end);

// What a kernel may return.
inline constexpr int32_t kKernelOk = 0;
inline constexpr int32_t kKernelIndexOutOfRange = 1;  // a checked index that came from data

inline constexpr uint64_t kBufferAlignment = 64;

}  // namespace neuronc::plan
