// The element types that operators take, against ONNX's own table.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rules.h"
#include "compiler/onnx/specification.h"

namespace neuronc::onnx {
namespace {

constexpr DType kSpecified[] = {DType::boolean, DType::i8,  DType::i16, DType::i32,   DType::i64,
                                DType::u8,      DType::u16, DType::u32, DType::u64,   DType::f16,
                                DType::bf16,    DType::f32, DType::f64, DType::string};

// The newest version of the operator that the rule reads and the installed table knows.
int64_t newest_version(const Rule& rule) {
  constexpr int64_t kNewestInTable = 17;
  int64_t version = std::max(rule.since_version, kNewestInTable);
  for (const Rule& other : all_rules()) {
    const bool is_later = other.domain == rule.domain && other.op_type == rule.op_type &&
                          other.since_version > rule.since_version;
    if (is_later) version = std::min(version, other.since_version - 1);
  }
  return version;
}

// Rules that turn other types into those of their operator.
bool converts(const Rule& rule) {
  return rule.import == import_through_float || rule.import == import_prelu ||
         rule.import == import_grid_sample || rule.import == import_imputer ||
         rule.import == import_svm_classifier || rule.import == import_tree_ensemble_classifier ||
         rule.import == import_tree_ensemble_regressor;
}

// Operand types that ONNX allows and the IR's operator does not take, as "Operator operand dtype".
// Models that have them are refused as unsupported.
const std::set<std::string> kUnsupported{
    "NonZero x string", "Resize x string",  // text is neither zero nor between texts
    "Trilu x string",                       // text has no zero
    "Split split f16",  "Split split f32",  "Split split f64",   // opset 1 alone had the operand
    "Tile repeats f16", "Tile repeats f32", "Tile repeats f64",  // the same, which its rule reads
};

std::set<std::string> missing_types() {
  std::set<std::string> missing;
  for (const Rule& rule : all_rules()) {
    if (converts(rule)) continue;
    const OpDef& def = op_def(rule.op);
    for (size_t i = 0; i < def.operands.size(); ++i) {
      for (DType dtype : kSpecified) {
        std::vector<Type> types(i);
        types.push_back(Type::unranked(dtype));
        const auto is_allowed = [&](int64_t version) {
          return allows_element_types(std::string(rule.domain), std::string(rule.op_type), version,
                                      types) == Allowed::yes;
        };
        if (!is_allowed(rule.since_version) && !is_allowed(newest_version(rule))) continue;
        if (def.operands[i].dtypes.contains(dtype)) continue;
        missing.insert(fmt::format("{} {} {}", rule.op_type, def.operands[i].name, name(dtype)));
      }
    }
  }
  return missing;
}

}  // namespace

TEST_CASE("operators take the element types that ONNX allows", "[import]") {
  CHECK(missing_types() == kUnsupported);
}

TEST_CASE("what ONNX does not allow is told from what this version does not do", "[import]") {
  const std::vector<Type> floats{Type::unranked(DType::f32)};
  const std::vector<Type> text{Type::unranked(DType::string)};
  const std::vector<Type> half{Type::unranked(DType::bf16)};
  CHECK(allows_element_types("", "Sin", 13, floats) == Allowed::yes);
  CHECK(allows_element_types("", "Sin", 13, text) == Allowed::no);
  CHECK(allows_element_types("", "Sin", 27, text) == Allowed::no);
  CHECK(allows_element_types("", "Sin", 27, half) == Allowed::unknown);
  CHECK(allows_element_types("com.example", "Sin", 1, text) == Allowed::unknown);
}

}  // namespace neuronc::onnx
