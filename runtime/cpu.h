// Which instruction sets this CPU runs, under the names that NEFF folders have.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runtime/status.h"

namespace neuronc::runtime {

// Empty if this CPU runs code for `isa` ("x86-64-v4,+avx512vnni"), else what it lacks.
std::string missing_features(std::string_view isa);

// The best of `isas` that this CPU runs: the highest level, then the most features.
// Errors: NRT_HW_ERROR if it runs none of them, with what to do about it.
Result<std::string> choose_isa(std::span<const std::string> isas);

}  // namespace neuronc::runtime
