// `neuronc list-operators`: which ONNX operators are read from which opset on, what they become,
// and what the operators of the graph IR take and where they run. docs/operators.md is its
// --markdown.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "backend/lower/limits.h"
#include "backend/lower/lowering.h"
#include "compiler/commands/list.h"
#include "compiler/onnx/rules.h"
#include "ir/base/diagnostics.h"
#include "ir/control_flow.h"
#include "ir/op.h"

namespace neuronc {
namespace {

// "floats, i32": the names of groups where all of their members are there.
std::string dtypes_text(DTypeSet set) {
  struct Group {
    std::string_view name;
    DTypeSet members;
  };
  static constexpr Group kGroups[] = {
      {"any", kAny},       {"numbers and bool", kAnyNumeric}, {"ints and floats", kNumeric},
      {"ints", kInts},     {"signed ints", kSignedInts},      {"unsigned ints", kUnsignedInts},
      {"floats", kFloats}, {"small floats", kSmallFloats}};
  std::vector<std::string> words;
  for (const Group& group : kGroups) {
    if ((set.bits & group.members.bits) != group.members.bits) continue;
    words.emplace_back(group.name);
    set.bits &= ~group.members.bits;
  }
  for (unsigned i = 1; i < 32; ++i) {
    if ((set.bits >> i & 1u) != 0) words.emplace_back(name(static_cast<DType>(i)));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

// "x: floats; indices (optional): i32, i64"
std::string operands_text(std::span<const OperandSpec> specs) {
  std::vector<std::string> parts;
  for (const OperandSpec& spec : specs) {
    const std::string_view arity = spec.arity == Arity::optional   ? " (optional)"
                                   : spec.arity == Arity::variadic ? "..."
                                                                   : "";
    parts.push_back(fmt::format("{}{}: {}", spec.name, arity, dtypes_text(spec.dtypes)));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string place_of(Op op) {
  const OpDef& def = op_def(op);
  if (op == Op::constant || op == Op::group) return "core";
  if (has_blocks(op)) return "core";
  return lowering_of(op) && !def.has(Trait::host) ? "core" : "host";
}

// Control flow has no kernel of its own, so that no lowering states its limits (passes/place.cpp).
std::string_view limits_of(Op op) {
  if (op == Op::if_else) return "all in both branches on cores; one shape for both";
  if (op == Op::loop || op == Op::scan) {
    return "all in the body on cores; what is carried keeps its shape; results of each trip only "
           "where the number of trips is known";
  }
  return place_of(op) == "core" ? lowering_limits(op) : std::string_view();
}

// The operators of one domain: from which version on they are read, and what they become.
struct OnnxOperator {
  int64_t since = 0;
  std::vector<std::string> aims;
};

std::map<std::string, std::map<std::string, OnnxOperator>> onnx_operators() {
  std::map<std::string, std::map<std::string, OnnxOperator>> domains;
  for (const onnx::Rule& rule : onnx::all_rules()) {
    const std::string domain(rule.domain.empty() ? "ai.onnx" : rule.domain);
    auto [it, is_new] = domains[domain].emplace(rule.op_type, OnnxOperator{rule.since_version, {}});
    std::vector<std::string>& aims = it->second.aims;
    // Identity stands for rules that compose several operators.
    const bool is_composed = rule.op == Op::identity && rule.op_type != "Identity";
    std::string aim = is_composed ? "several" : std::string(name(rule.op));
    if (aims.empty() || aims.back() != aim) aims.push_back(std::move(aim));
  }
  return domains;
}

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

void print_text() {
  for (const auto& [domain, operators] : onnx_operators()) {
    for (const auto& [op_type, op] : operators) {
      print(fmt::format("{:<48} {:>2}+  {}\n", domain + "::" + op_type, op.since,
                        fmt::join(op.aims, ", ")));
    }
  }
  for (size_t i = 0; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    const OpDef& def = op_def(op);
    print(fmt::format("{:<28} {:<28} {} ({})\n", def.name, def.source, def.summary, place_of(op)));
  }
}

void print_markdown() {
  print(
      fmt::format("# Operators\n\n"
                  "Written by `neuronc list-operators --markdown` from the tables of import rules, "
                  "operators and\n"
                  "lowerings; a test keeps it as it is printed.\n\n"
                  "## What models may hold\n\n"
                  "Opsets {} to {} of ai.onnx are read; {} is in development. An operator is read "
                  "from the version\n"
                  "in the second column on, in all its later forms. The third names the operators "
                  "of the graph IR\n"
                  "that carry it; `several` stands for a composition without a main one.\n",
                  onnx::kOldestOpset, onnx::kNewestOpset, onnx::kNewestOpset));
  for (const auto& [domain, operators] : onnx_operators()) {
    print(fmt::format("\n### {}\n\n| operator | since | becomes |\n| --- | --- | --- |\n", domain));
    for (const auto& [op_type, op] : operators) {
      print(fmt::format("| {} | {} | {} |\n", op_type, op.since, fmt::join(op.aims, ", ")));
    }
  }
  print(
      "\n## The operators of the graph IR\n\n"
      "`core`: a NeuronCore computes it where all shapes are known and within the limits named; "
      "else,\n"
      "and where it says `host`, the runtime does, through the operator's definition.\n\n"
      "| operator | defined by | takes | makes | runs on | limits on cores |\n"
      "| --- | --- | --- | --- | --- | --- |\n");
  for (size_t i = 0; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    const OpDef& def = op_def(op);
    print(fmt::format("| {} | {} | {} | {} | {} | {} |\n", def.name, def.source,
                      operands_text(def.operands), operands_text(def.results), place_of(op),
                      limits_of(op)));
  }
}

}  // namespace

int run_list_operators(std::span<const std::string> args) {
  if (args.size() == 1 && (args[0] == "--help" || args[0] == "-h")) {
    print("usage: neuronc list-operators [--markdown]\n");
    return 0;
  }
  if (args.size() == 1 && args[0] == "--markdown") {
    print_markdown();
    return 0;
  }
  if (args.empty()) {
    print_text();
    return 0;
  }
  Diagnostics diagnostics;
  diagnostics.report(diag::usage_error, {},
                     fmt::format("`list-operators` takes `--markdown`, not `{}`", args[0]));
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
