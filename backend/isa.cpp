// Implements isa.h.
#include "backend/isa.h"

#include <algorithm>
#include <array>

#include "backend/llvm/host_features.h"

namespace neuronc {
namespace {

// A feature and what it gives.
struct FeatureRow {
  std::string_view name;
  bool Isa::* gives = nullptr;
  int vector_bytes = 0;  // registers at least this wide
  int num_vector_registers = 0;
};

constexpr std::array kFeatures = {
    // x86-64-v2
    FeatureRow{"cx16"},
    FeatureRow{"sahf"},
    FeatureRow{"popcnt"},
    FeatureRow{"sse3"},
    FeatureRow{"ssse3"},
    FeatureRow{"sse4.1"},
    FeatureRow{"sse4.2"},
    // x86-64-v3
    FeatureRow{"avx", nullptr, 32},
    FeatureRow{"avx2", nullptr, 32},
    FeatureRow{"bmi"},
    FeatureRow{"bmi2"},
    FeatureRow{"f16c", &Isa::has_f16c},
    FeatureRow{"fma", &Isa::has_fma},
    FeatureRow{"lzcnt"},
    FeatureRow{"movbe"},
    FeatureRow{"xsave"},
    // x86-64-v4
    FeatureRow{"avx512f", &Isa::has_avx512, 64, 32},
    FeatureRow{"avx512bw"},
    FeatureRow{"avx512cd"},
    FeatureRow{"avx512dq"},
    FeatureRow{"avx512vl"},
    // beyond the levels
    FeatureRow{"avx512vnni", &Isa::has_avx512_vnni},
    FeatureRow{"avx512bf16", &Isa::has_avx512_bf16},
    FeatureRow{"avx512vbmi", &Isa::has_avx512_vbmi},
    FeatureRow{"avx512fp16", &Isa::has_avx512_fp16},
    FeatureRow{"amx-tile"},
    FeatureRow{"amx-bf16", &Isa::has_amx_bf16},
    FeatureRow{"amx-int8", &Isa::has_amx_int8},
};

// A target is a target before it and more features.
struct TargetRow {
  std::string_view name;
  std::string_view base;
  std::string_view llvm_cpu;
  std::string_view features;  // separated by blanks
  // Whether a NEFF for any machine holds it: what differs from its base in speed.
  bool is_default = true;
};

constexpr std::array kTargets = {
    TargetRow{"x86-64-v2", "", "x86-64-v2", "cx16 sahf popcnt sse3 ssse3 sse4.1 sse4.2", false},
    TargetRow{"x86-64-v3", "x86-64-v2", "x86-64-v3",
              "avx avx2 bmi bmi2 f16c fma lzcnt movbe xsave"},
    TargetRow{"x86-64-v4", "x86-64-v3", "x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
    TargetRow{"x86-64-v4-vnni", "x86-64-v4", "x86-64-v4", "avx512vnni", false},
    TargetRow{"x86-64-v4-bf16", "x86-64-v4-vnni", "x86-64-v4", "avx512bf16 avx512vbmi"},
    TargetRow{"x86-64-v4-amx", "x86-64-v4-bf16", "x86-64-v4",
              "avx512fp16 amx-tile amx-bf16 amx-int8"},
};

const FeatureRow* find_feature(std::string_view name) {
  const auto* row = std::find_if(kFeatures.begin(), kFeatures.end(),
                                 [&](const FeatureRow& f) { return f.name == name; });
  return row == kFeatures.end() ? nullptr : row;
}

const TargetRow* find_target(std::string_view name) {
  const auto* row = std::find_if(kTargets.begin(), kTargets.end(),
                                 [&](const TargetRow& t) { return t.name == name; });
  return row == kTargets.end() ? nullptr : row;
}

void add_feature(Isa& isa, const FeatureRow& feature) {
  if (isa.has(feature.name)) return;
  isa.features.push_back(feature.name);
  if (feature.gives != nullptr) isa.*feature.gives = true;
  isa.vector_bytes = std::max(isa.vector_bytes, feature.vector_bytes);
  isa.num_vector_registers = std::max(isa.num_vector_registers, feature.num_vector_registers);
}

// Calls `visit` for every part of `text` between separators, empty ones left out.
template <class Visit>
void for_each_part(std::string_view text, std::string_view separators, Visit visit) {
  while (!text.empty()) {
    const size_t end = text.find_first_of(separators);
    if (end != 0) visit(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

Isa make_isa(const TargetRow& target) {
  Isa isa;
  if (!target.base.empty()) isa = make_isa(*find_target(target.base));
  isa.name = target.name;
  isa.llvm_cpu = target.llvm_cpu;
  for_each_part(target.features, " ",
                [&](std::string_view name) { add_feature(isa, *find_feature(name)); });
  return isa;
}

bool host_runs(const Isa& isa) {
  return std::all_of(isa.features.begin(), isa.features.end(), host_has_feature);
}

OrRefusal<Isa> describe_native() {
  for (size_t i = kTargets.size(); i-- > 0;) {
    Isa isa = make_isa(kTargets[i]);
    // Code for AMX multiplies by tiles and leaves vdpbf16ps alone.
    const bool is_slow = isa.has_avx512_bf16 && !isa.has_amx_bf16 && !host_multiplies_bf16_fast();
    if (!host_runs(isa) || is_slow) continue;
    return isa;
  }
  return refuse("this machine has less than x86-64-v2");
}

std::string handled_names() {
  std::string text;
  for (const TargetRow& target : kTargets) text += std::string(target.name) + ", ";
  return text + "default and native";
}

}  // namespace

bool Isa::has(std::string_view feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

std::string Isa::llvm_features() const {
  const TargetRow* level = find_target(llvm_cpu);
  const Isa base = make_isa(*level);
  std::string text;
  for (std::string_view feature : features) {
    if (base.has(feature)) continue;
    text += (text.empty() ? "+" : ",+") + std::string(feature);
  }
  return text;
}

OrRefusal<Isa> describe(std::string_view text) {
  if (text == "native") return describe_native();
  const size_t end = text.find_first_of(",+");
  const TargetRow* target = find_target(text.substr(0, end));
  if (target == nullptr) {
    return refuse("unknown target processor `" + std::string(text.substr(0, end)) +
                  "`; handled are " + handled_names());
  }
  Isa isa = make_isa(*target);
  if (end == std::string_view::npos) return isa;
  std::string unknown;
  for_each_part(text.substr(end), ",+", [&](std::string_view name) {
    const FeatureRow* feature = find_feature(name);
    const bool is_usable = feature != nullptr && (isa.has(name) || isa.has_avx512);
    if (!is_usable && unknown.empty()) unknown = name;
    if (!is_usable || isa.has(name)) return;
    add_feature(isa, *feature);
    isa.name += "+" + std::string(name);
  });
  if (unknown.empty()) return isa;
  return refuse("unknown processor feature `" + unknown + "` for `" + std::string(target->name) +
                "`");
}

Isa common_isa() { return make_isa(*find_target("x86-64-v3")); }

OrRefusal<std::vector<Isa>> describe_list(std::string_view text) {
  std::vector<Isa> list;
  const auto add = [&](Isa isa) {
    const auto same = [&](const Isa& other) { return other.name == isa.name; };
    if (std::none_of(list.begin(), list.end(), same)) list.push_back(std::move(isa));
  };
  std::vector<std::string> parts;
  for_each_part(text, ",", [&](std::string_view part) {
    // ",+feature" belongs to the target before it.
    if (part[0] == '+' && !parts.empty()) {
      parts.back() += part;
    } else {
      parts.emplace_back(part);
    }
  });
  for (const std::string& part : parts) {
    if (part == "default") {
      for (const TargetRow& target : kTargets) {
        if (target.is_default) add(make_isa(target));
      }
      continue;
    }
    NEURONC_ASSIGN(Isa isa, describe(part));
    add(std::move(isa));
  }
  if (list.empty()) return refuse("no target processor is named");
  // A machine that has more features is the more demanding one.
  std::stable_sort(list.begin(), list.end(), [](const Isa& a, const Isa& b) {
    return a.features.size() < b.features.size();
  });
  return list;
}

std::vector<std::string_view> target_names() {
  std::vector<std::string_view> names;
  for (const TargetRow& target : kTargets) names.push_back(target.name);
  return names;
}

std::vector<std::string_view> known_features() {
  std::vector<std::string_view> names;
  for (const FeatureRow& feature : kFeatures) names.push_back(feature.name);
  return names;
}

}  // namespace neuronc
