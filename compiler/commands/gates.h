// Gates: limits on figures of a model, so that a command can fail where it would only report.
// Each appears in the output with its name, the measured value and the limit; exit code 5.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "compiler/commands/outcome.h"
#include "ir/base/expected.h"

namespace neuronc {

struct GateLimits {
  int64_t max_host_ops = -1;  // a compile option, checked by the driver (NEU0903); shown here
  std::optional<int64_t> max_neff_bytes;
  std::optional<int64_t> max_arena_bytes;
  std::optional<double> max_latency_us;
  std::optional<double> min_cosine;  // checked by `verify` (NEU0901), shown with the others
  std::optional<double> max_error;
  std::vector<std::string> required_targets;
  std::vector<std::string> deny;   // codes of warnings, or `all`
  std::vector<std::string> allow;  // codes of warnings that are left out

  // Whether there is a gate that is known only when the code has been made.
  bool need_code() const { return max_neff_bytes || max_arena_bytes; }
  bool has_any() const { return need_code() || max_latency_us || !required_targets.empty(); }
};

// What a command can measure: placement and prediction, or the code too.
enum class GateScope : uint8_t { placement, code };

void declare_gates(CLI::App& app, GateLimits& limits, GateScope scope);

// Errors: NEU0003 (codes and targets that there are not).
Expected<void> check_limits(const GateLimits& limits, Diagnostics& diagnostics);

// The figures in a report (--report), as far as the command came.
Figures figures_of(const std::string& report_json);

// Takes out and promotes warnings, then holds the outcome's figures against the limits.
void apply_gates(ModelOutcome& outcome, const GateLimits& limits);

// The same for warnings that belong to no model, those of the options.
void apply_gates(BatchOutcome& batch, const GateLimits& limits);

}  // namespace neuronc
