// The stored form of a plan: fixed little-endian tables, one file per lane (`sgNN/plan`).
//
// The first lane's file also holds the tables of the whole model. Every table is named by kind and
// record size in a directory, so that a newer minor version may add tables and lengthen records.
// Decoding checks every offset and count against the file before use; it does not judge the plan
// itself: verify.h does, and is to be run on whatever was decoded.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ir/base/expected.h"
#include "ir/plan/plan.h"

namespace neuronc::plan {

inline constexpr uint16_t kPlanMajorVersion = 1;
inline constexpr uint16_t kPlanMinorVersion = 1;

// One byte string per lane, lane 0 first. The same plan always gives the same bytes.
std::vector<std::vector<std::byte>> encode(const Plan& plan);

// The inverse of `encode`. Errors: a damaged or truncated file, a newer major version, files that
// do not belong together.
OrRefusal<Plan> decode(std::span<const std::span<const std::byte>> lane_files);

}  // namespace neuronc::plan
