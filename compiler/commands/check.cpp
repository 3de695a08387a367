// Implements check.h.
#include "compiler/commands/check.h"

#include "compiler/commands/batch.h"
#include "compiler/commands/models.h"
#include "compiler/driver.h"

namespace neuronc {
namespace {

void add_operations(ModelOutcome& outcome, const Compilation& compilation, const Target& target) {
  const Module& module = compilation.model.module;
  const Graph& graph = module.graph();
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == Op::constant) continue;
    const bool is_on_host = node.placement == Placement::host;
    const auto fits = check_core_can_run(module, graph, id, target);
    outcome.nodes.push_back({is_on_host ? "host" : "NeuronCore", std::string(node.def().name),
                             node_label(module, graph, id), fits ? "" : fits.error().reason});
  }
}

// The same for a model that could not be imported, by its own nodes and operators.
void add_survey(ModelOutcome& outcome, const std::vector<onnx::NodeStatus>& survey) {
  for (const onnx::NodeStatus& status : survey) {
    outcome.nodes.push_back(
        {std::string(onnx::name(status.kind)), status.op, status.node, status.reason});
  }
}

Expected<void> import(Compilation& compilation, const std::string& model,
                      const CompileOptions& options, Diagnostics& diagnostics) {
  if (model != kStandardStream) return import_model(compilation, model, options, diagnostics);
  NEURONC_ASSIGN(const std::vector<std::byte> bytes, read_standard_input(diagnostics));
  return import_model(compilation, bytes, std::string(kStandardInputName), ".", options,
                      diagnostics);
}

// A predicted time needs the module as it would be partitioned; the table is of stage `placed`.
Expected<void> predict(const Compilation& placed, const std::string& model,
                       const BatchArguments& arguments, ModelOutcome& outcome,
                       Diagnostics& diagnostics) {
  if (!arguments.limits.max_latency_us || placed.survey.size() > 0) return {};
  const CompileOptions& options = arguments.compile.options;
  Compilation compilation;
  Diagnostics again;  // what is to be said has been
  NEURONC_TRY(import(compilation, model, options, again));
  NEURONC_ASSIGN(const auto target, make_target(options, diagnostics));
  NEURONC_TRY(run_passes(compilation, options, Stage::partitioned, *target, again));
  outcome.figures.latency_us = figures_of(report_json(compilation, options)).latency_us;
  return {};
}

Expected<void> run_steps(Compilation& compilation, const std::string& model,
                         const BatchArguments& arguments, ModelOutcome& outcome,
                         Diagnostics& diagnostics) {
  const CompileOptions& options = arguments.compile.options;
  NEURONC_TRY(import(compilation, model, options, diagnostics));
  NEURONC_ASSIGN(const auto target, make_target(options, diagnostics));
  const auto passed = run_passes(compilation, options, Stage::placed, *target, diagnostics);
  if (compilation.model.module.stage != Stage::placed) return passed;
  const PlacementSummary& placement = compilation.placement;
  outcome.operations = {placement.num_in_model, placement.num_after_optimizations,
                        placement.num_on_cores, placement.num_on_host};
  add_operations(outcome, compilation, *target);
  NEURONC_TRY(passed);
  return predict(compilation, model, arguments, outcome, diagnostics);
}

ModelOutcome check(const BatchArguments& arguments, const std::string& model) {
  ModelOutcome outcome;
  Diagnostics diagnostics;
  Compilation compilation;
  bool is_done = run_steps(compilation, model, arguments, outcome, diagnostics).has_value();
  add_survey(outcome, compilation.survey);
  const std::string report = report_json(compilation, arguments.compile.options);
  const auto latency_us = outcome.figures.latency_us;
  outcome.figures = figures_of(report);
  if (latency_us) outcome.figures.latency_us = latency_us;
  if (arguments.compile.is_verbose) outcome.details = compilation.remarks.to_text();
  is_done = write_report(arguments.compile, report, diagnostics).has_value() && is_done;
  add_messages(outcome, diagnostics, is_done);
  return outcome;
}

}  // namespace

int run_check(std::span<const std::string> args) {
  CLI::App app("Says which operations of models can be compiled, and where each would run.",
               "neuronc check");
  BatchArguments arguments;
  arguments.command = "check";
  declare_batch_options(app, arguments, GateScope::placement);
  if (const auto code = parse_arguments(app, args)) return *code;
  BatchSteps steps;
  steps.run = [&](const std::string& model, size_t) { return check(arguments, model); };
  return run_batch(arguments, steps);
}

}  // namespace neuronc
