// Implements driver.h.
#include "compiler/driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "backend/cpu_target.h"
#include "backend/llvm/host_features.h"
#include "backend/neff_json.h"
#include "backend/variants/product/bytes.h"
#include "compiler/fixed_input.h"
#include "compiler/input_ranges.h"
#include "compiler/tune.h"
#include "ir/base/check.h"
#include "ir/base/output_file.h"
#include "ir/base/text.h"
#include "ir/hardware_model.h"
#include "ir/verifier.h"
#include "passes/partition.h"

namespace neuronc {
namespace {

// Measures a phase and appends it to the compilation.
class PhaseTimer {
 public:
  PhaseTimer(Compilation& compilation, std::string name)
      : compilation_(compilation), name_(std::move(name)), start_(Clock::now()) {}
  ~PhaseTimer() {
    const std::chrono::duration<double, std::milli> time = Clock::now() - start_;
    compilation_.phases.push_back({name_, time.count()});
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Compilation& compilation_;
  std::string name_;
  Clock::time_point start_;
};

// Reads the files that inputs are fixed to.
Expected<onnx::ImportOptions> import_options(Compilation& compilation,
                                             const CompileOptions& options,
                                             Diagnostics& diagnostics) {
  onnx::ImportOptions result{options.dims, options.input_shapes, {}};
  for (const auto& [name, value] : options.fixed_inputs) {
    if (!value.ends_with(".npy") && !value.ends_with(".pb")) {
      result.fixed_inputs[name].number = value;
      continue;
    }
    NEURONC_ASSIGN(result.fixed_inputs[name].tensor, read_fixed_input(name, value, diagnostics));
    compilation.input_files.push_back(value);
  }
  if (!builtin_hardware_model_text(options.hardware_model)) {
    compilation.input_files.push_back(options.hardware_model);
  }
  result.outputs = options.outputs;
  result.external_data_dirs = options.external_data_dirs;
  result.external_data = options.external_data;
  return result;
}

// Sets an option of every pass of that name; the level's text states the rest.
void set_option(std::vector<PipelineItem>& items, std::string_view pass, std::string_view option,
                const std::variant<int64_t, std::string>& value) {
  for (PipelineItem& item : items) {
    set_option(item.body, pass, option, value);
    if (!item.pass || item.pass->info().name != pass) continue;
    bool is_set = false;
    for (PassOption& candidate : item.pass->options()) {
      if (candidate.name != option) continue;
      if (auto* const* text = std::get_if<std::string*>(&candidate.target)) {
        **text = std::get<std::string>(value);
        is_set = true;
      } else if (auto* const* number = std::get_if<int64_t*>(&candidate.target)) {
        **number = std::get<int64_t>(value);
        is_set = true;
      }
    }
    NEURONC_CHECK(is_set);
  }
}

std::string_view name(AutoCast cast) {
  switch (cast) {
    case AutoCast::matmult:
      return "matmult";
    case AutoCast::all:
      return "all";
    case AutoCast::none:
      return "none";
  }
  return "matmult";
}

std::string_view name(PartitionStrategy strategy) {
  switch (strategy) {
    case PartitionStrategy::automatic:
      return "auto";
    case PartitionStrategy::pipeline:
      return "pipeline";
    case PartitionStrategy::tensor:
      return "tensor";
    case PartitionStrategy::data:
      return "data";
  }
  return "auto";
}

// What the pass makes of it: the code of `data` is one core's.
std::string pass_strategy(const CompileOptions& options) {
  return options.partition == PartitionStrategy::data ? "auto"
                                                      : std::string(name(options.partition));
}
int64_t split_cores(const CompileOptions& options) {
  return options.partition == PartitionStrategy::data ? 1 : options.num_neuroncores;
}

// One regular expression for several.
std::string alternatives(const std::vector<std::string>& expressions) {
  if (expressions.size() == 1) return expressions[0];
  std::vector<std::string> grouped;
  for (const std::string& e : expressions) grouped.push_back("(" + e + ")");
  return fmt::format("{}", fmt::join(grouped, "|"));
}

void apply_options(Pipeline& pipeline, const CompileOptions& options) {
  const auto set = [&](std::string_view pass, std::string_view option, auto value) {
    set_option(pipeline.items, pass, option, value);
  };
  const std::string type = options.auto_cast_type == AutoCastType::bf16 ? "bf16" : "fp16";
  const std::string numerics = options.numerics == Numerics::strict ? "strict" : "fast";
  set("cast", "mode", std::string(name(options.auto_cast)));
  set("cast", "type", type);
  set("cast", "keep-fp32", alternatives(options.keep_fp32));
  set("cast", "numerics", numerics);
  set("partition", "cores", split_cores(options));
  set("partition", "strategy", pass_strategy(options));
  set("partition", "optimize-for",
      std::string(options.optimize_for == OptimizeFor::latency ? "latency" : "throughput"));
  set("partition", "hardware", options.hardware_model);
  const std::string mode(name(options.auto_cast));
  set("narrow-edges", "mode", mode);
  set("narrow-edges", "type", type);
}

// The passes that start at `last` or before it.
std::vector<PipelineItem> up_to(std::vector<PipelineItem> items, Stage last) {
  std::vector<PipelineItem> kept;
  for (PipelineItem& item : items) {
    if (item.pass) {
      const PassInfo& info = item.pass->info();
      if (info.establishes ? *info.establishes > last : info.earliest > last) continue;
    } else {
      item.body = up_to(std::move(item.body), last);
    }
    kept.push_back(std::move(item));
  }
  return kept;
}

int64_t num_passes(const std::vector<PipelineItem>& items) {
  int64_t count = 0;
  for (const PipelineItem& item : items) count += item.pass ? 1 : num_passes(item.body);
  return count;
}

// The others: what up_to leaves out.
std::vector<PipelineItem> behind(std::vector<PipelineItem> items, Stage last) {
  std::vector<PipelineItem> kept;
  for (PipelineItem& item : items) {
    if (item.pass) {
      const PassInfo& info = item.pass->info();
      if (!(info.establishes ? *info.establishes > last : info.earliest > last)) continue;
    } else {
      item.body = behind(std::move(item.body), last);
      if (item.body.empty()) continue;
    }
    kept.push_back(std::move(item));
  }
  return kept;
}

Expected<void> unsupported(Diagnostics& diagnostics, std::string_view option,
                           std::string_view reason) {
  diagnostics.report(diag::not_yet_supported_option, {}, option, reason);
  return reported();
}

Expected<void> usage(Diagnostics& diagnostics, const std::string& text) {
  diagnostics.report(diag::usage_error, {}, text);
  return reported();
}

Expected<void> report_cores(Compilation& compilation, const CompileOptions& options,
                            const Target& target, Diagnostics& diagnostics) {
  PartitionOptions partition;
  partition.cores = split_cores(options);
  partition.strategy = pass_strategy(options);
  if (options.partition == PartitionStrategy::data) partition.groups = options.num_neuroncores;
  partition.optimize_for = options.optimize_for == OptimizeFor::latency ? "latency" : "throughput";
  partition.hardware = options.hardware_model;
  NEURONC_ASSIGN(const PartitionReport report,
                 report_partition(compilation.model.module, target, partition, diagnostics));
  compilation.timeline_json = timeline_json(report);
  compilation.num_groups = report.groups;
  compilation.partition_json = partition_json(report);
  compilation.partition_text = to_text(report);
  return {};
}

// The nodes on the host with the reason, one a note; of many the first.
void add_host_nodes(const Compilation& compilation, Diagnostic& diagnostic) {
  constexpr size_t kMostNotes = 20;
  const auto& nodes = compilation.placement.host_nodes;
  for (size_t i = 0; i < std::min(nodes.size(), kMostNotes); ++i) {
    diagnostic.notes.push_back(
        fmt::format("{} ({}): {}", nodes[i].label, nodes[i].op, nodes[i].reason));
  }
  if (nodes.size() > kMostNotes) {
    diagnostic.notes.push_back(fmt::format("and {} more", nodes.size() - kMostNotes));
  }
}

void warn_of_host_nodes(const Compilation& compilation, Diagnostics& diagnostics) {
  const PlacementSummary& placement = compilation.placement;
  if (placement.num_on_host == 0) return;
  add_host_nodes(compilation,
                 diagnostics.report(diag::host_operations, Location{compilation.model_name},
                                    placement.num_on_host, placement.num_after_optimizations));
}

// The gate of --max-host-ops.
Expected<void> check_host_gate(const Compilation& compilation, const CompileOptions& options,
                               Diagnostics& diagnostics) {
  const int64_t num_on_host = compilation.placement.num_on_host;
  if (options.max_host_ops < 0 || num_on_host <= options.max_host_ops) {
    warn_of_host_nodes(compilation, diagnostics);
    return {};
  }
  Diagnostic& diagnostic =
      diagnostics.report(diag::too_many_host_operations, Location{compilation.model_name},
                         num_on_host, options.max_host_ops);
  add_host_nodes(compilation, diagnostic);
  return reported();
}

// The text of --passes states the options of its passes: those of the command line would do nothing.
Expected<void> check_pass_text(const CompileOptions& options, Diagnostics& diagnostics) {
  const CompileOptions defaults;
  const std::pair<std::string_view, bool> given[] = {
      {"--num-neuroncores", options.num_neuroncores != defaults.num_neuroncores},
      {"--partition", options.partition != defaults.partition},
      {"--optimize-for", options.optimize_for != defaults.optimize_for},
      {"--auto-cast", options.auto_cast != defaults.auto_cast},
      {"--auto-cast-type", options.auto_cast_type != defaults.auto_cast_type},
      {"--keep-fp32", options.keep_fp32 != defaults.keep_fp32},
  };
  for (const auto& [option, is_given] : given) {
    if (!is_given) continue;
    return usage(diagnostics, fmt::format("{} has no effect with --passes: write the option into "
                                          "the text of its pass",
                                          option));
  }
  return {};
}

// "a=1,b=2"; each name quoted like a word of the text forms.
template <class Bindings, class ToText>
std::string bindings_text(const Bindings& bindings, const ToText& value_text) {
  std::string text;
  for (const auto& [name, value] : bindings) {
    text +=
        fmt::format("{}{}={}", text.empty() ? "" : ",", word_or_quoted(name), value_text(value));
  }
  return text;
}

}  // namespace

// Enumerations come from other languages too, as numbers.
static bool are_choices_known(const CompileOptions& options) {
  return options.partition <= PartitionStrategy::data &&
         options.optimize_for <= OptimizeFor::throughput && options.auto_cast <= AutoCast::none &&
         options.auto_cast_type <= AutoCastType::fp16 && options.numerics <= Numerics::strict &&
         options.reductions <= Reductions::fast;
}

Expected<void> check_options(const CompileOptions& options, Diagnostics& diagnostics) {
  if (!are_choices_known(options)) {
    return usage(diagnostics, "an option has a value that this version does not know");
  }
  if (options.optimization_level < 0 || options.optimization_level > 3) {
    return usage(diagnostics, "the optimization level must be 0 to 3");
  }
  if (options.num_neuroncores < 0) {
    return usage(diagnostics, "--num-neuroncores must be a positive number or `auto`");
  }
  if (options.partition == PartitionStrategy::data && options.num_neuroncores > kMaxCores) {
    diagnostics.report(diag::bad_core_count, {}, options.num_neuroncores, kMaxCores);
    return reported();
  }
  if (options.num_jobs < 0 || options.num_jobs > 1024) {
    return usage(diagnostics, "--jobs takes a number from 1 to 1024");
  }
  for (const auto& [dim, number] : options.dims) {
    if (number < 0) return usage(diagnostics, fmt::format("--dim {}={} is negative", dim, number));
  }
  if (!options.passes.empty()) NEURONC_TRY(check_pass_text(options, diagnostics));
  if (!options.tune_file.empty() && !options.tune) {
    return usage(diagnostics, "--tune-file has no effect without --tune");
  }
  if (options.reductions == Reductions::fast) {
    return unsupported(diagnostics, "--reductions fast", "reductions have a fixed order");
  }
  return {};
}

Expected<void> check_output(const std::string& input, const std::string& output,
                            Diagnostics& diagnostics) {
  if (input.empty() || output.empty() || !is_same_file(input, output)) return {};
  diagnostics.report(diag::usage_error, {},
                     fmt::format("`{}` would be written over `{}`", output, input));
  return reported();
}

Expected<Pipeline> make_pipeline(const CompileOptions& options, Diagnostics& diagnostics) {
  if (!options.passes.empty()) return parse_pipeline(options.passes, diagnostics);
  const auto& level = optimization_levels()[static_cast<size_t>(options.optimization_level)];
  NEURONC_ASSIGN(Pipeline pipeline, parse_pipeline(level.pipeline, diagnostics));
  apply_options(pipeline, options);
  return pipeline;
}

static void add_external_files(Compilation& compilation) {
  const std::vector<std::string>& files = compilation.model.external_files;
  compilation.input_files.insert(compilation.input_files.end(), files.begin(), files.end());
}

Expected<void> import_model(Compilation& compilation, const std::string& path,
                            const CompileOptions& options, Diagnostics& diagnostics) {
  const PhaseTimer timer(compilation, "import");
  compilation.model_name = path;
  if (!compilation.goes_on({"import"})) return reported();
  NEURONC_ASSIGN(const onnx::ImportOptions import,
                 import_options(compilation, options, diagnostics));
  compilation.input_files.insert(compilation.input_files.begin(), path);
  NEURONC_ASSIGN(compilation.model,
                 onnx::import_file(path, import, diagnostics, &compilation.survey));
  add_external_files(compilation);
  return {};
}

Expected<void> import_model(Compilation& compilation, std::span<const std::byte> bytes,
                            const std::string& name, const std::string& folder,
                            const CompileOptions& options, Diagnostics& diagnostics) {
  const PhaseTimer timer(compilation, "import");
  compilation.model_name = name;
  if (!compilation.goes_on({"import"})) return reported();
  NEURONC_ASSIGN(const onnx::ImportOptions import,
                 import_options(compilation, options, diagnostics));
  NEURONC_ASSIGN(compilation.model,
                 onnx::import_bytes(bytes, name, folder, import, diagnostics, &compilation.survey));
  add_external_files(compilation);
  return {};
}

Expected<std::vector<Machine>> make_machines(const CompileOptions& options,
                                             Diagnostics& diagnostics) {
  NEURONC_ASSIGN(HardwareModel hardware, load_hardware_model(options.hardware_model, diagnostics));
  auto isas = describe_list(options.target_cpu);
  if (!isas) {
    diagnostics.report(diag::unknown_processor, {}, options.target_cpu, isas.error().reason);
    return reported();
  }
  std::vector<Machine> machines;
  const auto packs = std::make_shared<PackCache>();
  for (Isa& isa : *isas) {
    HardwareModel rates = hardware.for_target(isa.name);
    Machine machine{std::move(isa), std::move(rates), {}, packs};
    machine.code.opt_level = options.optimization_level == 0 ? 0 : 2;
    machine.code.is_strict = options.numerics == Numerics::strict;
    machines.push_back(std::move(machine));
  }
  return machines;
}

Expected<std::unique_ptr<Target>> make_target(const CompileOptions& options,
                                              Diagnostics& diagnostics) {
  NEURONC_ASSIGN(std::vector<Machine> machines, make_machines(options, diagnostics));
  return std::make_unique<CpuTarget>(std::move(machines[0]));
}

namespace {

// Whether a kernel multiplies bytes, so that instructions for it pay.
bool has_byte_products(Module& module) {
  bool found = false;
  for_each_graph(module, [&](Graph& graph) {
    for (NodeId id : graph.nodes()) found |= is_byte_contraction(graph.node(id).op);
  });
  return found;
}

// What the first machine's predictions chose is for all machines: a NEFF has one number of cores.
void fix_partition(Pipeline& rest, const Module& module) {
  int64_t num_cores = 0, team = 1;
  const Graph& graph = module.graph();
  for (NodeId id : graph.nodes()) {
    const CoreRange& cores = graph.node(id).cores;
    if (graph.node(id).placement != Placement::core || cores.is_none()) continue;
    num_cores = std::max<int64_t>(num_cores, cores.end());
    team = std::max<int64_t>(team, cores.count);
  }
  if (num_cores == 0) return;
  set_option(rest.items, "partition", "cores", num_cores);
  set_option(rest.items, "partition", "team", team);
  set_option(rest.items, "partition", "strategy", std::string("auto"));
}

// Runs the passes from stage fused on for every machine but the first.
Expected<void> run_further_targets(Compilation& compilation, const Pipeline& rest,
                                   const RunnerOptions& runner, Diagnostics& diagnostics) {
  for (size_t i = 1; i < compilation.machines.size(); ++i) {
    Module& module = compilation.further_modules[i - 1];
    const CpuTarget target(compilation.machines[i]);
    // What can be said of all of them has been said of the first.
    Remarks remarks;
    PassContext context{target, diagnostics, remarks};
    NEURONC_ASSIGN(PipelineResult result, run_pipeline(module, rest, context, runner));
    for (const PassTime& time : result.times) compilation.pass_times.push_back(time);
    NEURONC_TRY(verify(module, diagnostics, compilation.model_name));
  }
  return {};
}

}  // namespace

Expected<void> run_passes(Compilation& compilation, const CompileOptions& options, Stage last,
                          const Target& target, Diagnostics& diagnostics) {
  const PhaseTimer timer(compilation, "passes");
  NEURONC_ASSIGN(Pipeline pipeline, make_pipeline(options, diagnostics));
  pipeline.items = up_to(std::move(pipeline.items), last);
  compilation.pipeline = to_text(pipeline);
  Module& module = compilation.model.module;
  compilation.index_bounds = index_bounds(module);
  RunnerOptions runner;
  runner.print_after = options.print_after;
  runner.print_changed = options.print_changed;
  runner.dump_dir = options.dump_dir;
  runner.crash_dir = options.crash_dir;
  runner.print = options.print;
  runner.after_pass = [&](const Pass& pass, const Module& after) {
    if (pass.info().establishes != Stage::placed) return;
    compilation.placement = summarize_placement(after, target);
  };
  int64_t num_runs = 0;
  const auto total = num_passes(pipeline.items);
  runner.before_pass = [&](const Pass& pass) {
    return compilation.goes_on({"passes", pass.info().name, std::min(num_runs++, total), total});
  };
  compilation.placement.num_in_model = module.num_model_ops;
  NEURONC_ASSIGN(compilation.machines, make_machines(options, diagnostics));
  // Parsed again rather than copied: a pass owns its options.
  NEURONC_ASSIGN(Pipeline rest, parse_pipeline(compilation.pipeline, diagnostics));
  rest.items = behind(std::move(rest.items), Stage::fused);
  pipeline.items = up_to(std::move(pipeline.items), Stage::fused);
  PassContext context{target, diagnostics, compilation.remarks};
  NEURONC_ASSIGN(PipelineResult result, run_pipeline(module, pipeline, context, runner));
  compilation.pass_times = std::move(result.times);
  if (options.target_cpu == "default" && has_byte_products(module)) {
    // Elsewhere x86-64-v4-vnni is x86-64-v4.
    CompileOptions more = options;
    more.target_cpu = "default,x86-64-v4-vnni";
    NEURONC_ASSIGN(compilation.machines, make_machines(more, diagnostics));
  }
  if (!rest.items.empty()) {
    for (size_t i = 1; i < compilation.machines.size(); ++i) {
      compilation.further_modules.push_back(module.clone());
    }
    NEURONC_ASSIGN(PipelineResult more, run_pipeline(module, rest, context, runner));
    for (const PassTime& time : more.times) compilation.pass_times.push_back(time);
  }
  NEURONC_TRY(verify(module, diagnostics, compilation.model_name));
  NEURONC_TRY(check_host_gate(compilation, options, diagnostics));
  if (!rest.items.empty()) {
    runner.print_after.clear();
    runner.print_changed = false;
    runner.dump_dir.clear();
    if (module.stage == Stage::partitioned) {
      NEURONC_TRY(report_cores(compilation, options, target, diagnostics));
      fix_partition(rest, module);
    }
    NEURONC_TRY(run_further_targets(compilation, rest, runner, diagnostics));
  }
  return {};
}

Expected<void> generate(Compilation& compilation, const CompileOptions& options,
                        Diagnostics& diagnostics) {
  if (options.tune) {
    const PhaseTimer tuning(compilation, "tune");
    NEURONC_TRY(tune(compilation, options, diagnostics));
  }
  const PhaseTimer timer(compilation, "code");
  if (!compilation.goes_on({"code"})) return reported();
  const auto num_targets = static_cast<int64_t>(compilation.machines.size());
  for (int64_t i = 0; i < num_targets; ++i) {
    const auto at = static_cast<size_t>(i);
    const Module& module = i == 0 ? compilation.model.module : compilation.further_modules[at - 1];
    CompileModuleOptions backend;
    backend.num_threads = static_cast<int>(options.num_jobs);
    // Targets have about as many kernels each.
    backend.progress = [&](int64_t done, int64_t total) {
      return compilation.goes_on({"code", "", i * total + done, num_targets * total});
    };
    NEURONC_ASSIGN(CompiledModel code,
                   compile_module(module, compilation.machines[at], backend, diagnostics));
    compilation.codes.push_back(std::move(code));
  }
  // Targets lay memory out in their own ways, and may have more or fewer copies to share.
  uint32_t num_cores = 0;
  for (const CompiledModel& code : compilation.codes) {
    num_cores = std::max(num_cores, plan::num_cores(code.plan));
  }
  for (CompiledModel& code : compilation.codes) plan::add_idle_lanes(code.plan, num_cores);
  return {};
}

// What `native` is on this machine, so that the same options give the same bytes anywhere.
static std::string resolved_cpu(const std::string& cpu) {
  const auto isas = describe_list(cpu);
  if (!isas) return cpu;
  std::string text;
  for (const Isa& isa : *isas) text += (text.empty() ? "" : ",") + isa.name;
  return text;
}

// Numbers as they were given; what stood in files is part of the model.
static std::string fixed_input_list(const CompileOptions& options) {
  std::string text;
  for (const auto& [name, value] : options.fixed_inputs) {
    const bool is_file = value.ends_with(".npy") || value.ends_with(".pb");
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, is_file ? "(file)" : value);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> option_list(const CompileOptions& options) {
  return {{"num-neuroncores", std::to_string(options.num_neuroncores)},
          {"partition", std::string(name(options.partition))},
          {"optimize-for", options.optimize_for == OptimizeFor::latency ? "latency" : "throughput"},
          {"auto-cast", std::string(name(options.auto_cast))},
          {"auto-cast-type", options.auto_cast_type == AutoCastType::bf16 ? "bf16" : "fp16"},
          {"keep-fp32", alternatives(options.keep_fp32)},
          {"dim", bindings_text(options.dims, [](int64_t n) { return std::to_string(n); })},
          {"input-shape", bindings_text(options.input_shapes,
                                        [](const std::vector<int64_t>& shape) {
                                          return fmt::format("{}", fmt::join(shape, "x"));
                                        })},
          {"outputs", fmt::format("{}", fmt::join(options.outputs, ","))},
          {"numerics", options.numerics == Numerics::strict ? "strict" : "fast"},
          {"reductions", options.reductions == Reductions::fixed ? "fixed" : "fast"},
          {"fix-input", fixed_input_list(options)},
          {"target-cpu", resolved_cpu(options.target_cpu)},
          {"hardware-model", options.hardware_model},
          {"emit-kernels", options.emit_kernels ? "true" : "false"},
          {"O", std::to_string(options.optimization_level)},
          {"tune", options.tune ? "true" : "false"},
          {"passes", options.passes}};
}

NeffContents neff_contents(const Compilation& compilation, const CompileOptions& options) {
  const PlacementSummary& placement = compilation.placement;
  NeffJsonInfo info;
  info.compiler_version = compiler_version();
  info.llvm_version = llvm_version();
  info.options = option_list(options);
  info.model_hash = to_hex(compilation.model.hash);
  info.num_ops_in_model = placement.num_in_model;
  info.num_ops_after_optimizations = placement.num_after_optimizations;
  info.num_ops_on_cores = placement.num_on_cores;
  info.num_ops_on_host = placement.num_on_host;
  for (const PlacementSummary::HostNode& node : placement.host_nodes) {
    info.host_nodes.push_back({node.label, node.op, node.reason});
  }
  info.partition_report = compilation.partition_json;
  info.num_groups = compilation.num_groups;
  info.index_bounds = compilation.index_bounds;

  NeffContents contents;
  contents.name = compilation.model.module.name;
  contents.compiler_version = compiler_version();
  contents.json = neff_json(compilation.codes, info);
  // Host nodes are placed before any target is looked at.
  const CompiledModel& first = compilation.codes[0];
  contents.host_nir = first.host_nir;
  if (!first.host_nirc.empty()) {
    contents.more.push_back({"host.nirc", std::as_bytes(std::span(first.host_nirc))});
  }
  for (const CompiledModel& code : compilation.codes) {
    contents.variants.push_back({code.isa, code.code, code.plan});
    if (options.emit_kernels) contents.variants.back().kernels = code.kernel_text;
    for (size_t i = 0; i < code.constants.size(); ++i) {
      contents.constants.push_back({code.plan.constants[i].hash, code.constants[i].bytes()});
    }
  }
  return contents;
}

}  // namespace neuronc
