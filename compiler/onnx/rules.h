// The import rules: which function takes a node of an ONNX operator, from which version on.
//
// Version knowledge ends here. A rule leaves the IR's one form of its operator: the newest ONNX
// version's operands, with older attributes made constant operands.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

struct Rule;
using ImportFn = void (*)(NodeContext& node, const Rule& rule);

struct Rule {
  std::string_view domain;  // "" is ai.onnx
  std::string_view op_type;
  int64_t since_version;  // of the domain
  ImportFn import;
  Op op = Op::identity;  // for the generic rules: the IR operator it becomes
};

// Every rule, sorted by domain, op_type and since_version.
std::span<const Rule> all_rules();

// The rule for `op_type` at `version`: the newest that is not newer. nullptr: not supported.
const Rule* find_rule(std::string_view domain, std::string_view op_type, int64_t version);

// Why there is none, as a phrase.
std::string why_no_rule(std::string_view domain, std::string_view op_type, int64_t version);

// What the rules were written for: opsets of ai.onnx, and versions of the file format.
inline constexpr int64_t kOldestOpset = 1;
inline constexpr int64_t kNewestOpset = 28;
inline constexpr int64_t kNewestReleasedOpset = 27;
inline constexpr int64_t kOldestIrVersion = 3;
inline constexpr int64_t kNewestIrVersion = 13;

}  // namespace neuronc::onnx
