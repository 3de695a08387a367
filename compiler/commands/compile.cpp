// Implements compile.h.
#include "compiler/commands/compile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
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

// Shows on a terminal what a compile of more than a second is doing, in one line that goes away.
class ProgressLine {
 public:
  ProgressLine() : is_shown_(isatty(STDERR_FILENO) == 1), begin_(Clock::now()) {}
  ~ProgressLine() {
    if (is_drawn_) std::fputs("\r\x1b[K", stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool show(const Progress& progress) {
    const Clock::time_point now = Clock::now();
    if (!is_shown_ || now - begin_ < kPatience || now - drawn_at_ < kInterval) return true;
    drawn_at_ = now;
    is_drawn_ = true;
    const std::string_view unit = progress.phase == "code" ? "kernel " : "";
    std::string line = fmt::format("\r\x1b[Kneuronc: {}", progress.phase);
    if (!progress.detail.empty()) line += fmt::format(": {}", progress.detail);
    if (progress.total > 0)
      line += fmt::format(": {}{} of {}", unit, progress.done, progress.total);
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPatience{1000};
  static constexpr std::chrono::milliseconds kInterval{100};

  bool is_shown_;
  bool is_drawn_ = false;
  Clock::time_point begin_;
  Clock::time_point drawn_at_;
};

// The line is gone before the result is printed.
CompileResult compile(const std::string& model, const std::string& output,
                      CompileArguments& arguments) {
  ProgressLine line;
  if (!arguments.is_quiet) {
    arguments.options.progress = [&line](const Progress& progress) { return line.show(progress); };
  }
  return compile_file_to(model, output, arguments.options);
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
    const CompileResult result = compile(model, output, arguments);
    print_result(result, arguments);
    print_details(result, arguments);
    code = result.exit_code;
    static_cast<void>(write_report(arguments, result.report_json, diagnostics));
  }
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return code != 0 ? code : exit_code(diagnostics.worst());
}

}  // namespace neuronc
