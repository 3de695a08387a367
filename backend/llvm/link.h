// Private to backend/llvm: links one object into a shared object, in process.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc::llvm_backend {

// Refuses undefined symbols. Nothing is left behind in the file system.
OrRefusal<std::vector<std::byte>> link_shared_object(std::span<const char> object);

}  // namespace neuronc::llvm_backend
