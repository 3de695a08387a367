// The table of import rules: rules.def, checked to be sorted by a unit test.
#include "compiler/onnx/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "compiler/onnx/import_rules.h"

namespace neuronc::onnx {
namespace {

constexpr std::string_view kAi = "";
constexpr std::string_view kMl = "ai.onnx.ml";
constexpr std::string_view kMicrosoft = "com.microsoft";

constexpr Rule kRules[] = {
#define RULE(domain, op_type, since, function, op) {domain, #op_type, since, function, Op::op},
#define DIRECT(domain, op_type, since, op) {domain, #op_type, since, import_direct, Op::op},
#include "compiler/onnx/rules.def"
#undef DIRECT
#undef RULE
};

auto key(const Rule& rule) { return std::tuple(rule.domain, rule.op_type, rule.since_version); }

}  // namespace

std::span<const Rule> all_rules() { return kRules; }

const Rule* find_rule(std::string_view domain, std::string_view op_type, int64_t version) {
  const auto it =
      std::upper_bound(std::begin(kRules), std::end(kRules), std::tuple(domain, op_type, version),
                       [](const auto& wanted, const Rule& rule) { return wanted < key(rule); });
  if (it == std::begin(kRules)) return nullptr;
  const Rule& rule = *std::prev(it);
  return rule.domain == domain && rule.op_type == op_type ? &rule : nullptr;
}

std::string why_no_rule(std::string_view domain, std::string_view op_type, int64_t version) {
  const auto it = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    return rule.domain == domain && rule.op_type == op_type;
  });
  if (it != std::end(kRules)) {
    return fmt::format("it exists from opset {} on, but the model uses opset {}", it->since_version,
                       version);
  }
  if (domain == kMl && (op_type == "CastMap" || op_type == "DictVectorizer")) {
    return "it reads a map, and only tensors, sequences and optionals can be given to a model";
  }
  if (domain == kAi || domain == kMl || domain.starts_with("ai.onnx.preview") ||
      domain == kMicrosoft)
    return "this version has no import rule for it";
  return fmt::format("domain `{}` is not part of ONNX", domain);
}

}  // namespace neuronc::onnx
