// Private to backend/llvm: links objects into a shared object, in process.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc::llvm_backend {

// The objects in their order. Refuses undefined symbols. Nothing is left behind in the file system.
OrRefusal<std::vector<std::byte>> link_shared_object(
    std::span<const std::span<const char>> objects);

}  // namespace neuronc::llvm_backend
