// Which code of a NEFF this machine runs: features of the processor that the system lets us use.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace neuronc::runtime {

// A folder of a NEFF with code and plans, and what the machine must have to run them.
struct NeffTarget {
  std::string isa;                    // the folder's name, "x86-64-v4-bf16"
  std::vector<std::string> features;  // by LLVM's names: "avx2", "avx512bf16", "amx-tile", ...
  uint32_t num_groups = 1;            // of cores, that the model was compiled for
};

// The names of the features that this machine has; "x86-64-v2" and the further levels are among
// them. For the AMX ones the system is asked once whether this process may use them.
std::span<const std::string_view> cpu_features();

// What of the target's features this machine lacks.
std::vector<std::string_view> missing_features(const NeffTarget& target);

// The features behind a folder's name that says them itself: "x86-64-v4,+avx512vnni".
std::vector<std::string> features_in_name(std::string_view isa);

// Whether vdpbf16ps is faster than two fma. On Intel's processors it is not: 88 against 175 GFLOP/s
// on a core of Emerald Rapids.
bool cpu_multiplies_bf16_fast();

// The last of `targets` (ascending by preference) that this machine runs, nullptr if none; one that
// multiplies BF16 only as a last resort where that is slow.
const NeffTarget* best_target(std::span<const NeffTarget> targets, bool has_fast_bf16);

// The best of `targets` for this machine; with a `wanted` name (not
// empty, NEURON_RT_TARGET) that one. Errors: NRT_HW_ERROR if the machine runs none of them or not
// the wanted one, NRT_INVALID if there is no code or none of that name; with what to do about it.
Result<std::string> choose_target(std::span<const NeffTarget> targets, std::string_view wanted);

}  // namespace neuronc::runtime
