// Private to backend/llvm: lays objects out as one shared object and applies their relocations.
//
// No linker does this for us: those there are keep state for the process, take over its signal
// handlers and want a lock. Nothing here outlives a call, so any number of threads may link at
// once.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc::llvm_backend {

// The objects, which LLVM made for x86-64 ELF, in their order. Refuses undefined symbols, writable
// data, and whatever a dynamic linker would have to do.
OrRefusal<std::vector<std::byte>> link_shared_object(
    std::span<const std::span<const char>> objects);

}  // namespace neuronc::llvm_backend
