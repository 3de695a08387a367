// Implements the public C++ API, include/neuronc/compiler.h.
#include <fmt/format.h>

#include <new>

#include "backend/llvm/codegen.h"
#include "backend/llvm/host_features.h"
#include "compiler/cache.h"
#include "compiler/driver.h"
#include "compiler/public_api.h"
#include "ir/base/entry.h"
#include "ir/base/output_file.h"
#include "ir/base/thread.h"

#ifndef NEURONC_VERSION
#define NEURONC_VERSION "0.1.0"
#endif

namespace neuronc {
namespace {

void finish(CompileResult& result, const Compilation& compilation, const CompileOptions& options,
            bool is_done, const Diagnostics& diagnostics) {
  for (const Diagnostic& d : diagnostics.all()) result.messages.push_back(to_message(d));
  result.exit_code = exit_code(diagnostics.worst());
  if (!is_done && result.exit_code == 0) result.exit_code = exit_code(ErrorClass::internal);
  result.input_files = compilation.input_files;
  if (result.is_from_cache) return;
  const PlacementSummary& placement = compilation.placement;
  result.operations = {placement.num_in_model, placement.num_after_optimizations,
                       placement.num_on_cores, placement.num_on_host};
  result.report_json = report_json(compilation, options);
  result.details.partition = compilation.partition_text;
  result.details.remarks = compilation.remarks.to_text();
  if (options.time_passes) result.details.times = to_text(compilation.pass_times);
  if (!options.time_passes) return;
  for (const Compilation::Phase& phase : compilation.phases) {
    result.details.times += fmt::format("{:<24} {:.3f} ms\n", phase.name, phase.time_ms);
  }
  for (const CompiledModel& code : compilation.codes)
    for (const PhaseTime& part : code.phases) {
      result.details.times +=
          fmt::format("  {:<22} {:.3f} ms\n", part.phase, static_cast<double>(part.time_ns) / 1e6);
    }
}

// Runs `steps` with a compilation and the options; what they report becomes the result's messages.
// Memory that cannot be had is the model's problem, not a crash.
template <class Steps>
CompileResult run_here(const CompileOptions& given, const Steps& steps) {
  const FloatEnvironment environment;
  const CompileOptions options = current_options(given);
  CompileResult result;
  Compilation compilation;
  Diagnostics diagnostics;
  Monitor monitor(options, diagnostics);
  compilation.tick = [&](const Progress& progress) { return monitor.tick(progress); };
  bool is_done = false;
  try {
    is_done = check_options(options, diagnostics).has_value() &&
              steps(compilation, options, diagnostics, result).has_value();
  } catch (const std::bad_alloc&) {
    diagnostics.report(diag::out_of_memory, {});
    result.neff.clear();
    is_done = false;
  }
  if (!monitor.cancelled_in().empty()) {
    // Behind the last step too: who cancelled wants no result.
    is_done = false;
    monitor.say_cancelled();
  }
  monitor.flush();
  finish(result, compilation, options, is_done, diagnostics);
  if (!result.is_ok()) result.neff.clear();
  keep_cached(compilation, options, diagnostics, result);
  monitor.flush();
  return result;
}

template <class Steps>
CompileResult run(const CompileOptions& given, const Steps& steps) {
  const NoCancellation whole;
  return with_room(kCompilerRoomBytes, [&] { return run_here(given, steps); });
}

Expected<void> check(Compilation& compilation, const CompileOptions& options,
                     Diagnostics& diagnostics) {
  NEURONC_ASSIGN(const auto target, make_target(options, diagnostics));
  return run_passes(compilation, options, Stage::placed, *target, diagnostics);
}

// From an imported model to its contents as a NEFF.
Expected<void> make_code(Compilation& compilation, const CompileOptions& options,
                         Diagnostics& diagnostics) {
  NEURONC_ASSIGN(const auto target, make_target(options, diagnostics));
  NEURONC_TRY(run_passes(compilation, options, Stage::partitioned, *target, diagnostics));
  return generate(compilation, options, diagnostics);
}

Expected<void> build(Compilation& compilation, const CompileOptions& options,
                     Diagnostics& diagnostics, CompileResult& result) {
  if (take_cached(compilation, options, diagnostics, result)) return {};
  NEURONC_TRY(make_code(compilation, options, diagnostics));
  auto neff = build_neff(neff_contents(compilation, options));
  if (!neff) {
    diagnostics.report(diag::cannot_write_file, {}, "the NEFF", neff.error().reason);
    return reported();
  }
  result.neff = std::move(*neff);
  return {};
}

Expected<void> write(Compilation& compilation, const CompileOptions& options,
                     const std::string& output, Diagnostics& diagnostics, CompileResult& result) {
  std::string error;
  if (!options.cache_dir.empty()) {
    // The bytes go to two places.
    NEURONC_TRY(build(compilation, options, diagnostics, result));
    if (!compilation.goes_on({"write"})) return reported();
    error = write_output_file(output, result.neff);
  } else {
    NEURONC_TRY(make_code(compilation, options, diagnostics));
    if (!compilation.goes_on({"write"})) return reported();
    const auto written = write_neff(output, neff_contents(compilation, options));
    if (!written) error = written.error().reason;
  }
  if (error.empty()) return {};
  diagnostics.report(diag::cannot_write_file, {}, output, error);
  return reported();
}

}  // namespace

CompileResult compile_file(const std::string& path, const CompileOptions& given) {
  return run(given,
             [&](Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult& result) -> Expected<void> {
               NEURONC_TRY(import_model(compilation, path, options, diagnostics));
               return build(compilation, options, diagnostics, result);
             });
}

CompileResult compile_bytes(std::span<const std::byte> model, const std::string& name,
                            const CompileOptions& given, const std::string& folder) {
  return run(given,
             [&](Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult& result) -> Expected<void> {
               NEURONC_TRY(import_model(compilation, model, name, folder, options, diagnostics));
               return build(compilation, options, diagnostics, result);
             });
}

CompileResult compile_file_to(const std::string& path, const std::string& output,
                              const CompileOptions& given) {
  CompileResult result = run(given,
                             [&](Compilation& compilation, const CompileOptions& options,
                                 Diagnostics& diagnostics, CompileResult& done) -> Expected<void> {
                               NEURONC_TRY(check_output(path, output, diagnostics));
                               NEURONC_TRY(import_model(compilation, path, options, diagnostics));
                               return write(compilation, options, output, diagnostics, done);
                             });
  result.neff.clear();
  return result;
}

CompileResult check_file(const std::string& path, const CompileOptions& given) {
  return run(given,
             [&](Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult&) -> Expected<void> {
               NEURONC_TRY(import_model(compilation, path, options, diagnostics));
               return check(compilation, options, diagnostics);
             });
}

CompileResult check_bytes(std::span<const std::byte> model, const std::string& name,
                          const CompileOptions& given, const std::string& folder) {
  return run(given,
             [&](Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult&) -> Expected<void> {
               NEURONC_TRY(import_model(compilation, model, name, folder, options, diagnostics));
               return check(compilation, options, diagnostics);
             });
}

std::string CompileResult::messages_text() const {
  std::string text;
  for (const Message& message : messages) text += message.text + "\n";
  return text;
}

std::string llvm_version() { return llvm_library_version(); }

std::string compiler_version() { return "neuronc " NEURONC_VERSION; }

}  // namespace neuronc
