// Implements check.h.
#include "compiler/commands/check.h"

#include <fmt/format.h>

#include <cstdio>

#include "compiler/commands/compile_options.h"
#include "compiler/driver.h"
#include "ir/base/text.h"

namespace neuronc {
namespace {

void print_operations(const Compilation& compilation, const Target& target) {
  const Module& module = compilation.model.module;
  const Graph& graph = module.graph();
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == Op::constant) continue;
    const bool is_on_host = node.placement == Placement::host;
    const auto fits = check_core_can_run(module, graph, id, target);
    fmt::print("{:<11} {:<22} {}{}\n", is_on_host ? "host" : "NeuronCore", node.def().name,
               printable(node_label(module, graph, id)),
               fits ? "" : ": " + printable(fits.error().reason));
  }
}

// The same for a model that could not be imported, by its own nodes and operators.
void print_survey(const std::vector<onnx::NodeStatus>& survey) {
  for (const onnx::NodeStatus& status : survey) {
    fmt::print("{:<11} {:<22} {}{}\n", onnx::name(status.kind), printable(status.op),
               printable(status.node),
               status.reason.empty() ? "" : ": " + printable(status.reason));
  }
}

Expected<void> run_steps(Compilation& compilation, const std::string& path,
                         const CompileArguments& arguments, Diagnostics& diagnostics) {
  NEURONC_TRY(import_model(compilation, path, arguments.options, diagnostics));
  NEURONC_ASSIGN(const auto target, make_target(arguments.options, diagnostics));
  const auto passed =
      run_passes(compilation, arguments.options, Stage::placed, *target, diagnostics);
  if (compilation.model.module.stage == Stage::placed) {
    print_operations(compilation, *target);
    if (!arguments.is_quiet) std::fputs(to_text(compilation.placement).c_str(), stderr);
  }
  return passed;
}

Expected<void> check(const std::string& path, CompileArguments& arguments,
                     Diagnostics& diagnostics) {
  NEURONC_TRY(finish(arguments, diagnostics));
  NEURONC_TRY(check_options(arguments.options, diagnostics));
  Compilation compilation;
  const auto passed = run_steps(compilation, path, arguments, diagnostics);
  print_survey(compilation.survey);
  if (arguments.is_verbose) std::fputs(compilation.remarks.to_text().c_str(), stderr);
  NEURONC_TRY(write_report(arguments, report_json(compilation, arguments.options), diagnostics));
  return passed;
}

}  // namespace

int run_check(std::span<const std::string> args) {
  CLI::App app("Says which operations of a model can be compiled, and where each would run.",
               "neuronc check");
  CompileArguments arguments;
  std::string model;
  app.add_option("model", model, "the model (.onnx)")->required();
  declare_compile_options(app, arguments);
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  const bool is_done = check(model, arguments, diagnostics).has_value();
  std::fputs(diagnostics.to_text().c_str(), stderr);
  if (!is_done && !diagnostics.has_errors()) return exit_code(ErrorClass::internal);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
