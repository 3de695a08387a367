// Runs a pipeline over a module.
//
// Before anything runs the order of stages is checked. After every pass the verifier runs if the
// module changed, and the pass's `Changed` is compared with what the module's text says: always in
// builds with assertions, otherwise with VerifyEach::yes. A pass that dies leaves a reproduction
// behind: the module before it, the rest of the pipeline, and the command that runs them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "passes/pass.h"
#include "passes/pipeline.h"

namespace neuronc {

enum class VerifyEach : bool { no, yes };

struct RunnerOptions {
#ifdef NEURONC_ASSERTIONS
  VerifyEach verify_each = VerifyEach::yes;
#else
  VerifyEach verify_each = VerifyEach::no;
#endif
  std::string print_after;     // a pass's name, or "all"
  bool print_changed = false;  // after each pass that changed the module
  std::string stop_after;      // a pass's name: the pipeline ends behind its first run
  std::string dump_dir;        // a file `NN-pass.nir` after each changing pass
  std::string crash_dir;       // where the reproduction of a crash goes; empty: none is kept
  std::function<void(std::string_view)> print;   // takes what print_* asks for; none: stderr
  std::function<bool(const Pass&)> before_pass;  // false: the pipeline ends with an error
  std::function<void(const Pass&, const Module&)> after_pass;  // sees the module after each run
};

struct PassTime {
  std::string_view pass;
  int64_t num_runs = 0;
  int64_t num_changes = 0;
  int64_t time_ns = 0;  // of the pass alone
  int64_t verify_time_ns = 0;
};

struct PipelineResult {
  Changed changed = Changed::no;
  bool is_stopped = false;      // by stop_after
  std::vector<PassTime> times;  // in the order of first runs
};

// Errors: NEU0504 (order of stages), NEU0505 (unknown pass in print_after or stop_after), NEU0510
// (a pass broke the module), NEU0511 (a pass misreported its change), and those of the passes.
Expected<PipelineResult> run_pipeline(Module& module, const Pipeline& pipeline,
                                      PassContext& context, const RunnerOptions& options = {});

// The table of --time-passes.
std::string to_text(const std::vector<PassTime>& times);

}  // namespace neuronc
