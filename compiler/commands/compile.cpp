// Implements compile.h.
#include "compiler/commands/compile.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "compiler/commands/compile_options.h"
#include "compiler/driver.h"

namespace neuronc {
namespace {

// MODEL.onnx becomes MODEL.neff in the current folder.
std::string default_output(const std::string& model) {
  return std::filesystem::path(model).filename().replace_extension(".neff").string();
}

void print_details(const CompileResult& result, const CompileArguments& arguments) {
  std::fputs(result.details.times.c_str(), stderr);
  if (!arguments.is_verbose) return;
  std::fputs(result.details.partition.c_str(), stderr);
  std::fputs(result.details.remarks.c_str(), stderr);
}

}  // namespace

int run_compile(std::span<const std::string> args) {
  CLI::App app("Compiles an ONNX model for NeuronCores.", "neuronc");
  CompileArguments arguments;
  std::string model, output;
  app.add_option("model", model, "the model (.onnx)")->required();
  app.add_option("-o,--output", output, "the NEFF to write; default: the model's name with .neff");
  declare_compile_options(app, arguments);
  if (const auto code = parse_arguments(app, args)) return *code;

  Diagnostics diagnostics;
  int code = 0;
  if (finish(arguments, diagnostics)) {
    if (output.empty()) output = default_output(model);
    arguments.options.crash_dir = ".";
    if (!check_output(model, arguments.report, diagnostics) ||
        !check_output(output, arguments.report, diagnostics)) {
      std::fputs(diagnostics.to_text().c_str(), stderr);
      return exit_code(diagnostics.worst());
    }
    const CompileResult result = compile_file_to(model, output, arguments.options);
    print_result(result, arguments);
    print_details(result, arguments);
    code = result.exit_code;
    static_cast<void>(write_report(arguments, result.report_json, diagnostics));
  }
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return code != 0 ? code : exit_code(diagnostics.worst());
}

}  // namespace neuronc
