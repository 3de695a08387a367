// Asks the compiler's CPU detection, which also checks that the system saves wide registers.
#include "runtime/cpu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace neuronc::runtime {
namespace {

// Linux hands out the tile registers on request only, for the life of the process and its threads.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-tile") != 0 &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// The detection takes literals only, hence the macro.
#define NEURONC_ADD_FEATURE(name, detected) \
  if (__builtin_cpu_supports(detected) != 0) features.push_back(name)

void add_levels(std::vector<std::string_view>& features) {
  features.push_back("x86-64-v1");
  NEURONC_ADD_FEATURE("x86-64-v2", "x86-64-v2");
  NEURONC_ADD_FEATURE("x86-64-v3", "x86-64-v3");
  NEURONC_ADD_FEATURE("x86-64-v4", "x86-64-v4");
}

void add_vectors(std::vector<std::string_view>& features) {
  NEURONC_ADD_FEATURE("sse3", "sse3");
  NEURONC_ADD_FEATURE("ssse3", "ssse3");
  NEURONC_ADD_FEATURE("sse4.1", "sse4.1");
  NEURONC_ADD_FEATURE("sse4.2", "sse4.2");
  NEURONC_ADD_FEATURE("avx", "avx");
  NEURONC_ADD_FEATURE("avx2", "avx2");
  NEURONC_ADD_FEATURE("fma", "fma");
  NEURONC_ADD_FEATURE("f16c", "f16c");
  NEURONC_ADD_FEATURE("avxvnni", "avxvnni");
  NEURONC_ADD_FEATURE("avx512f", "avx512f");
  NEURONC_ADD_FEATURE("avx512bw", "avx512bw");
  NEURONC_ADD_FEATURE("avx512cd", "avx512cd");
  NEURONC_ADD_FEATURE("avx512dq", "avx512dq");
  NEURONC_ADD_FEATURE("avx512vl", "avx512vl");
  NEURONC_ADD_FEATURE("avx512ifma", "avx512ifma");
  NEURONC_ADD_FEATURE("avx512vbmi", "avx512vbmi");
  NEURONC_ADD_FEATURE("avx512vbmi2", "avx512vbmi2");
  NEURONC_ADD_FEATURE("avx512vnni", "avx512vnni");
  NEURONC_ADD_FEATURE("avx512bitalg", "avx512bitalg");
  NEURONC_ADD_FEATURE("avx512vpopcntdq", "avx512vpopcntdq");
  NEURONC_ADD_FEATURE("avx512bf16", "avx512bf16");
  NEURONC_ADD_FEATURE("avx512fp16", "avx512fp16");
}

void add_integers(std::vector<std::string_view>& features) {
  NEURONC_ADD_FEATURE("cx16", "cmpxchg16b");
  NEURONC_ADD_FEATURE("sahf", "lahf_lm");
  NEURONC_ADD_FEATURE("popcnt", "popcnt");
  NEURONC_ADD_FEATURE("bmi", "bmi");
  NEURONC_ADD_FEATURE("bmi2", "bmi2");
  NEURONC_ADD_FEATURE("lzcnt", "lzcnt");
  NEURONC_ADD_FEATURE("movbe", "movbe");
  NEURONC_ADD_FEATURE("xsave", "xsave");
}

void add_tiles(std::vector<std::string_view>& features) {
  if (!may_use_tiles()) return;
  features.push_back("amx-tile");
  NEURONC_ADD_FEATURE("amx-bf16", "amx-bf16");
  NEURONC_ADD_FEATURE("amx-int8", "amx-int8");
}

#undef NEURONC_ADD_FEATURE

const NeffTarget* find_target(std::span<const NeffTarget> targets, std::string_view isa) {
  const auto it = std::find_if(targets.begin(), targets.end(),
                               [&](const NeffTarget& target) { return target.isa == isa; });
  return it == targets.end() ? nullptr : &*it;
}

std::string names_of(std::span<const NeffTarget> targets) {
  std::vector<std::string_view> names;
  for (const NeffTarget& target : targets) names.push_back(target.isa);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::span<const std::string_view> cpu_features() {
  static const std::vector<std::string_view> list = [] {
    __builtin_cpu_init();
    std::vector<std::string_view> features;
    add_levels(features);
    add_integers(features);
    add_vectors(features);
    add_tiles(features);
    return features;
  }();
  return list;
}

std::vector<std::string_view> missing_features(const NeffTarget& target) {
  const std::span<const std::string_view> there = cpu_features();
  std::vector<std::string_view> missing;
  for (const std::string& feature : target.features) {
    if (std::find(there.begin(), there.end(), feature) == there.end()) missing.push_back(feature);
  }
  return missing;
}

std::vector<std::string> features_in_name(std::string_view isa) {
  std::vector<std::string> result;
  while (true) {
    const size_t comma = isa.find(',');
    std::string_view part = isa.substr(0, comma);
    if (part.starts_with('+')) part.remove_prefix(1);
    result.emplace_back(part);
    if (comma == std::string_view::npos) return result;
    isa.remove_prefix(comma + 1);
  }
}

bool cpu_multiplies_bf16_fast() {
  __builtin_cpu_init();
  return __builtin_cpu_is("intel") == 0;
}

const NeffTarget* best_target(std::span<const NeffTarget> targets, bool has_fast_bf16) {
  const NeffTarget* slow = nullptr;
  for (size_t i = targets.size(); i-- > 0;) {
    const std::vector<std::string>& features = targets[i].features;
    if (!missing_features(targets[i]).empty()) continue;
    const auto asks = [&](std::string_view feature) {
      return std::find(features.begin(), features.end(), feature) != features.end();
    };
    // Code for AMX multiplies by tiles and leaves vdpbf16ps alone.
    if (has_fast_bf16 || asks("amx-bf16") || !asks("avx512bf16")) return &targets[i];
    if (slow == nullptr) slow = &targets[i];
  }
  return slow;
}

Result<std::string> choose_target(std::span<const NeffTarget> targets, std::string_view wanted) {
  if (targets.empty()) return fail(NRT_INVALID, "the NEFF holds no code");
  if (!wanted.empty()) {
    const NeffTarget* target = find_target(targets, wanted);
    if (target == nullptr) {
      return fail(NRT_INVALID, "NEURON_RT_TARGET=`{}`: the NEFF has code for {}", wanted,
                  names_of(targets));
    }
    const std::vector<std::string_view> missing = missing_features(*target);
    if (missing.empty()) return target->isa;
    return fail(NRT_HW_ERROR, "NEURON_RT_TARGET=`{}`: this machine lacks {}", wanted,
                fmt::join(missing, ", "));
  }
  if (const NeffTarget* best = best_target(targets, cpu_multiplies_bf16_fast())) return best->isa;
  return fail(NRT_HW_ERROR,
              "the NEFF has code for {}, but this CPU lacks {}; compile the model with "
              "`--target-cpu x86-64-v2`, or on this machine with `--target-cpu native`",
              names_of(targets), fmt::join(missing_features(targets[0]), ", "));
}

}  // namespace neuronc::runtime
