// Implements gates.h and the small functions of outcome.h.
#include "compiler/commands/gates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "backend/isa.h"
#include "compiler/commands/compile_options.h"
#include "compiler/public_api.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

std::optional<double> number_at(const Json& json, const Json::json_pointer& pointer) {
  if (!json.contains(pointer) || !json.at(pointer).is_number()) return std::nullopt;
  return json.at(pointer).get<double>();
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

bool holds(const std::vector<std::string>& codes, const std::string& code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// `-Werror` for one message: it says by what it became an error.
void promote(Message& message, const std::string& option) {
  message.severity = Message::Severity::error;
  if (const size_t at = message.text.find("warning["); at != std::string::npos) {
    message.text.replace(at, 7, "error");
  }
  message.hints.push_back("this warning is an error because of " + option);
  message.text += "\n  note: " + message.hints.back();
}

bool is_warning(const Message& message) { return message.severity == Message::Severity::warning; }

int64_t leave_out(std::vector<Message>& messages, const GateLimits& limits) {
  return static_cast<int64_t>(std::erase_if(messages, [&](const Message& message) {
    return is_warning(message) && holds(limits.allow, message.code);
  }));
}

int64_t promote_all(std::vector<Message>& messages, const std::string& denied) {
  int64_t count = 0;
  for (Message& message : messages) {
    if (!is_warning(message) || (denied != "all" && denied != message.code)) continue;
    promote(message, "--deny " + denied);
    ++count;
  }
  return count;
}

void filter_warnings(ModelOutcome& outcome, const GateLimits& limits) {
  outcome.num_allowed += leave_out(outcome.messages, limits);
  for (const std::string& denied : limits.deny) {
    const int64_t count = promote_all(outcome.messages, denied);
    outcome.gates.push_back({"deny " + denied, std::to_string(count), "0", count == 0});
    if (count > 0)
      outcome.exit_code = worst_exit_code(outcome.exit_code, exit_code(ErrorClass::gate));
  }
}

// Numbers without a fraction as such: bytes are bytes.
std::string number_text(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                              : fmt::format("{:.6g}", value);
}

class GateKeeper {
 public:
  explicit GateKeeper(ModelOutcome& outcome) : outcome_(outcome) {}

  void at_most(const std::string& name, std::optional<double> measured,
               std::optional<double> limit) {
    if (!measured || !limit) return;
    judge(name, number_text(*measured), number_text(*limit), *measured <= *limit);
  }

  // Gates that others reported already are shown alone.
  void show(const std::string& name, std::optional<double> measured, std::optional<double> limit,
            bool is_passed) {
    if (!measured || !limit) return;
    outcome_.gates.push_back({name, number_text(*measured), number_text(*limit), is_passed});
  }

  void require_target(const std::string& target) {
    const std::vector<std::string>& targets = outcome_.figures.targets;
    const auto isa = describe(target);
    judge("require-target", fmt::format("{}", fmt::join(targets, ", ")), target,
          isa && holds(targets, isa->name));
  }

 private:
  void judge(const std::string& name, const std::string& measured, const std::string& limit,
             bool is_passed) {
    outcome_.gates.push_back({name, measured, limit, is_passed});
    if (is_passed) return;
    Diagnostics diagnostics;
    diagnostics.report(diag::gate_failed, Location{outcome_.model}, "--" + name, measured, limit);
    outcome_.messages.push_back(to_message(diagnostics.all()[0]));
    outcome_.exit_code = worst_exit_code(outcome_.exit_code, exit_code(ErrorClass::gate));
  }

  ModelOutcome& outcome_;
};

bool is_warning_code(const std::string& code) {
  for (const DiagnosticInfo& info : all_diagnostics()) {
    if (info.code == code) return info.severity == Severity::warning;
  }
  return false;
}

}  // namespace

void declare_gates(CLI::App& app, GateLimits& limits, GateScope scope) {
  const auto gate = [&](const std::string& option, auto& value, const std::string& help) {
    return app.add_option(option, value, help)->group(std::string(kGateGroup));
  };
  gate("--max-latency-us", limits.max_latency_us,
       "fail if a request is predicted to take longer (--hardware-model)")
      ->check(non_negative());
  if (scope == GateScope::code) {
    gate("--max-neff-bytes", limits.max_neff_bytes, "fail if the NEFF is larger")
        ->check(whole_number(0));
    gate("--max-arena-bytes", limits.max_arena_bytes,
         "fail if intermediate results take more memory, of all cores together")
        ->check(whole_number(0));
  }
  gate("--require-target", limits.required_targets, "fail without code for this instruction set")
      ->allow_extra_args(false);
  gate("--deny", limits.deny, "a warning that is an error: its code, or `all`")
      ->allow_extra_args(false);
  gate("--allow", limits.allow, "a warning that is left out: its code")->allow_extra_args(false);
}

Expected<void> check_limits(const GateLimits& limits, Diagnostics& diagnostics) {
  const auto check_code = [&](std::string_view option, const std::string& code) {
    if (is_warning_code(code)) return;
    diagnostics
        .report(diag::usage_error, {},
                fmt::format("{} takes the code of a warning, not `{}`", option, code))
        .notes.push_back("`neuronc list-errors` lists the codes");
  };
  for (const std::string& code : limits.deny) {
    if (code != "all") check_code("--deny", code);
  }
  for (const std::string& code : limits.allow) check_code("--allow", code);
  for (const std::string& target : limits.required_targets) {
    const auto isa = describe(target);
    if (!isa) diagnostics.report(diag::unknown_processor, {}, target, isa.error().reason);
  }
  if (diagnostics.has_errors()) return reported();
  return {};
}

Figures figures_of(const std::string& report_json) {
  using Pointer = Json::json_pointer;
  Figures figures;
  const Json report = Json::parse(report_json, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) return figures;
  const auto num_after = number_at(report, Pointer("/operations/after_optimizations"));
  if (num_after.value_or(0) > 0) {
    figures.host_ops = number_at(report, Pointer("/operations/on_host"));
  }
  if (const auto ns = number_at(report, Pointer("/partition/latency_ns"))) {
    figures.latency_us = *ns / 1000;
  }
  if (report.contains("targets")) {
    for (const Json& target : report["targets"]) {
      const auto bytes = number_at(target, Pointer("/total_arena_bytes"));
      if (bytes) figures.arena_bytes = std::max(figures.arena_bytes.value_or(0), *bytes);
    }
  }
  const Pointer targets("/options/target-cpu");
  if (report.contains(targets) && report.at(targets).is_string()) {
    figures.targets = split(report.at(targets).get<std::string>());
  }
  return figures;
}

void apply_gates(BatchOutcome& batch, const GateLimits& limits) {
  leave_out(batch.messages, limits);
  for (const std::string& denied : limits.deny) {
    if (promote_all(batch.messages, denied) == 0) continue;
    batch.exit_code = worst_exit_code(batch.exit_code, exit_code(ErrorClass::gate));
  }
}

void apply_gates(ModelOutcome& outcome, const GateLimits& limits) {
  filter_warnings(outcome, limits);
  GateKeeper keeper(outcome);
  const Figures& figures = outcome.figures;
  const auto max_host_ops = static_cast<double>(limits.max_host_ops);
  if (limits.max_host_ops >= 0) {
    keeper.show("max-host-ops", figures.host_ops, max_host_ops,
                figures.host_ops.value_or(0) <= max_host_ops);
  }
  keeper.at_most("max-neff-bytes", figures.neff_bytes, limits.max_neff_bytes);
  keeper.at_most("max-arena-bytes", figures.arena_bytes, limits.max_arena_bytes);
  keeper.at_most("max-latency-us", figures.latency_us, limits.max_latency_us);
  if (limits.min_cosine) {
    keeper.show("min-cosine", figures.min_cosine, limits.min_cosine,
                figures.min_cosine.value_or(1) >= *limits.min_cosine);
  }
  keeper.at_most("max-error", figures.max_error, limits.max_error);
  if (outcome.exit_code != 0 && outcome.exit_code != exit_code(ErrorClass::gate)) return;
  for (const std::string& target : limits.required_targets) keeper.require_target(target);
}

int worst_exit_code(int a, int b) {
  constexpr int kOrder[] = {70, 2, 1, 3, 5};
  for (const int code : kOrder) {
    if (a == code || b == code) return code;
  }
  return std::max(a, b);
}

void add_messages(ModelOutcome& outcome, const Diagnostics& diagnostics, bool is_done) {
  for (const Diagnostic& d : diagnostics.all()) outcome.messages.push_back(to_message(d));
  int code = exit_code(diagnostics.worst());
  if (!is_done && code == 0) code = exit_code(ErrorClass::internal);
  outcome.exit_code = worst_exit_code(outcome.exit_code, code);
}

}  // namespace neuronc
