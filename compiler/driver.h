// The steps of a compile, for the public API and the commands: options become a pipeline, the
// pipeline makes a module ready for code, and what happened becomes a report.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/compile_module.h"
#include "backend/machine.h"
#include "backend/neff_writer.h"
#include "compiler/include/neuronc/compiler.h"
#include "compiler/onnx/import.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/remarks.h"
#include "ir/target.h"
#include "passes/partition.h"
#include "passes/place.h"
#include "passes/runner.h"

namespace neuronc {

// A compile under way.
struct Compilation {
  std::string model_name;                       // the file
  onnx::ImportedModel model;                    // its module is what the passes work on
  std::vector<onnx::NodeStatus> survey;         // of the model's nodes, where it cannot be imported
  std::string pipeline;                         // as it ran
  PlacementSummary placement;                   // as `place` decided
  std::map<std::string, int64_t> index_bounds;  // of inputs (input_ranges.h)
  std::vector<PassTime> pass_times;
  Remarks remarks;
  // Per target, the least demanding first: the module from stage laid_out on (the first one's is
  // model.module), and after generate() the code.
  std::vector<Machine> machines;
  std::vector<Module> further_modules;  // of machines[1] and on
  std::vector<CompiledModel> codes;
  std::string partition_json;  // what the partitioner reported; empty: it did not run
  std::string timeline_json;   // of the predicted request
  int64_t num_groups = 1;      // of cores that run requests side by side
  std::string partition_text;  // the same for people
  struct Phase {
    std::string name;
    double time_ms = 0;
  };
  std::vector<Phase> phases;
  std::string cache_key;                 // of the result; empty: it is not kept (cache.h)
  std::vector<std::string> input_files;  // that were read
  // Tells the caller how far it is; false: the compile is to end. May be empty.
  std::function<bool(const Progress&)> tick;

  bool goes_on(const Progress& progress) const { return !tick || tick(progress); }
};

// Checks what the options ask for before anything is done. Errors: NEU0003, NEU0004.
Expected<void> check_options(const CompileOptions& options, Diagnostics& diagnostics);

// Refuses to write `output` over the file `input`. Errors: NEU0003.
Expected<void> check_output(const std::string& input, const std::string& output,
                            Diagnostics& diagnostics);

// The pipeline that `options` ask for: the level's, with the options' values given to its passes;
// or the text of --passes as it stands. Errors: those of parse_pipeline.
Expected<Pipeline> make_pipeline(const CompileOptions& options, Diagnostics& diagnostics);

// Imports a file, or a model in memory.
Expected<void> import_model(Compilation& compilation, const std::string& path,
                            const CompileOptions& options, Diagnostics& diagnostics);
Expected<void> import_model(Compilation& compilation, std::span<const std::byte> bytes,
                            const std::string& name, const std::string& folder,
                            const CompileOptions& options, Diagnostics& diagnostics);

// The machines that `options` compile for, the least demanding first. Errors: NEU0704, NEU0603.
Expected<std::vector<Machine>> make_machines(const CompileOptions& options,
                                             Diagnostics& diagnostics);

// The first of them: what all share is decided for it.
Expected<std::unique_ptr<Target>> make_target(const CompileOptions& options,
                                              Diagnostics& diagnostics);

// Runs the pipeline, leaving out the passes that start from a later stage than `last`, and checks
// the gate of --max-host-ops. Passes up to stage fused run once, those behind it for each machine, of
// which `target` is the first. Errors: those of the passes; NEU0903 (more host operations than
// allowed).
Expected<void> run_passes(Compilation& compilation, const CompileOptions& options, Stage last,
                          const Target& target, Diagnostics& diagnostics);

// Makes native code and plans of the partitioned modules. Errors: NEU07xx.
Expected<void> generate(Compilation& compilation, const CompileOptions& options,
                        Diagnostics& diagnostics);

// What goes into the NEFF; the spans point into `compilation`, the texts are the contents' own.
NeffContents neff_contents(const Compilation& compilation, const CompileOptions& options);

// The options that shape the NEFF's bytes, by their names on the command line.
std::vector<std::pair<std::string, std::string>> option_list(const CompileOptions& options);

// What the partitioner reports, as JSON text; its timeline apart, which is long.
std::string partition_json(const PartitionReport& report);
std::string timeline_json(const PartitionReport& report);

// The report as JSON text.
std::string report_json(const Compilation& compilation, const CompileOptions& options);

}  // namespace neuronc
