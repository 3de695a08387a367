// The table of import rules: sorted, and found by version.
#include <catch2/catch.hpp>
#include <set>
#include <tuple>

#include "compiler/onnx/rules.h"

namespace neuronc::onnx {
namespace {

TEST_CASE("rules are sorted by domain, operator and version", "[import]") {
  const auto rules = all_rules();
  for (size_t i = 1; i < rules.size(); ++i) {
    const auto before =
        std::tuple(rules[i - 1].domain, rules[i - 1].op_type, rules[i - 1].since_version);
    const auto here = std::tuple(rules[i].domain, rules[i].op_type, rules[i].since_version);
    INFO(rules[i].op_type << "-" << rules[i].since_version);
    CHECK(before < here);
  }
}

TEST_CASE("the newest rule that is not newer than the model is found", "[import]") {
  CHECK(find_rule("", "Squeeze", 12)->since_version == 1);
  CHECK(find_rule("", "Squeeze", 13)->since_version == 13);
  CHECK(find_rule("", "Squeeze", kNewestOpset)->since_version == 13);
  CHECK(find_rule("", "Gelu", 19) == nullptr);
  CHECK(find_rule("", "Nothing", 13) == nullptr);
  CHECK(find_rule("com.example", "Add", 13) == nullptr);
  CHECK(why_no_rule("", "Gelu", 19) == "it exists from opset 20 on, but the model uses opset 19");
}

TEST_CASE("every operator that models can have is the aim of a rule", "[import]") {
  std::set<Op> aims;
  for (const Rule& rule : all_rules()) aims.insert(rule.op);
  for (size_t i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    if (op_def(op).has(Trait::internal)) continue;
    INFO(name(op));
    CHECK(aims.contains(op));
  }
}

}  // namespace
}  // namespace neuronc::onnx
