// Asks the compiler's CPU detection, which also checks that the system saves wide registers.
#include "runtime/cpu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace neuronc::runtime {
namespace {

struct Feature {
  std::string_view name;
  bool is_there;
};

// The detection takes literals only, hence the list.
const std::vector<Feature>& features() {
  static const std::vector<Feature> list = [] {
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("x86-64-v2") != 0;
    const bool v3 = __builtin_cpu_supports("x86-64-v3") != 0;
    const bool v4 = __builtin_cpu_supports("x86-64-v4") != 0;
    return std::vector<Feature>{
        {"x86-64-v1", true},
        {"x86-64-v2", v2},
        {"x86-64-v3", v3},
        {"x86-64-v4", v4},
        {"sse4.1", __builtin_cpu_supports("sse4.1") != 0},
        {"sse4.2", __builtin_cpu_supports("sse4.2") != 0},
        {"avx", __builtin_cpu_supports("avx") != 0},
        {"avx2", __builtin_cpu_supports("avx2") != 0},
        {"fma", __builtin_cpu_supports("fma") != 0},
        {"f16c", __builtin_cpu_supports("f16c") != 0},
        {"bmi", __builtin_cpu_supports("bmi") != 0},
        {"bmi2", __builtin_cpu_supports("bmi2") != 0},
        {"avx512f", __builtin_cpu_supports("avx512f") != 0},
        {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
        {"avx512cd", __builtin_cpu_supports("avx512cd") != 0},
        {"avx512dq", __builtin_cpu_supports("avx512dq") != 0},
        {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
        {"avx512vnni", __builtin_cpu_supports("avx512vnni") != 0},
        {"avx512bf16", __builtin_cpu_supports("avx512bf16") != 0},
        {"avx512fp16", __builtin_cpu_supports("avx512fp16") != 0},
        {"avx512vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
        {"avxvnni", __builtin_cpu_supports("avxvnni") != 0},
        {"amx-tile", __builtin_cpu_supports("amx-tile") != 0},
        {"amx-bf16", __builtin_cpu_supports("amx-bf16") != 0},
        {"amx-int8", __builtin_cpu_supports("amx-int8") != 0},
    };
  }();
  return list;
}

bool is_supported(std::string_view name) {
  const auto it = std::find_if(features().begin(), features().end(),
                               [&](const Feature& feature) { return feature.name == name; });
  return it != features().end() && it->is_there;
}

// The level and the features of "x86-64-v4,+avx512vnni".
std::vector<std::string_view> parts(std::string_view isa) {
  std::vector<std::string_view> result;
  while (true) {
    const size_t comma = isa.find(',');
    std::string_view part = isa.substr(0, comma);
    if (part.starts_with('+')) part.remove_prefix(1);
    result.push_back(part);
    if (comma == std::string_view::npos) return result;
    isa.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string missing_features(std::string_view isa) {
  std::vector<std::string_view> missing;
  for (std::string_view part : parts(isa)) {
    if (!is_supported(part)) missing.push_back(part);
  }
  return fmt::format("{}", fmt::join(missing, ", "));
}

Result<std::string> choose_isa(std::span<const std::string> isas) {
  if (isas.empty()) return fail(NRT_INVALID, "the NEFF holds no code");
  const std::string* best = nullptr;
  for (const std::string& isa : isas) {
    if (!missing_features(isa).empty()) continue;
    // Levels compare as text; behind the level, more features make the name longer.
    const auto key = [](const std::string& name) {
      return std::pair(parts(name)[0], parts(name).size());
    };
    if (best == nullptr || key(*best) < key(isa)) best = &isa;
  }
  if (best != nullptr) return *best;
  return fail(NRT_HW_ERROR,
              "the NEFF has code for {}, but this CPU lacks {}; compile the model with "
              "`--target-cpu x86-64-v2`, or on this machine with `--target-cpu native`",
              fmt::join(isas, ", "), missing_features(isas[0]));
}

}  // namespace neuronc::runtime
