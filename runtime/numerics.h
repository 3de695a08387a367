// NEURON_RT_CHECK_NUMERICS: looking for elements that are not finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ir/base/dtype.h"
#include "runtime/status.h"

namespace neuronc::runtime {

enum class NumericsCheck : uint8_t { none, nan, infinity, both };

// Reads the environment variable: "1", "nan", "inf"; unset, "" or "0": none. Errors: NRT_INVALID.
Result<NumericsCheck> numerics_check_from_environment();

struct NonFinite {
  int64_t num_nans = 0;
  int64_t num_infinities = 0;
  int64_t first = -1;  // index of the first that is looked for; -1: there is none
};

// Of elements of a floating-point type; other types have none.
NonFinite find_non_finite(DType dtype, std::span<const std::byte> bytes, NumericsCheck check);

// "3 NaNs and 1 infinity, the first at element 17"
std::string to_text(const NonFinite& found);

}  // namespace neuronc::runtime
