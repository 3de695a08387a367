// Implements the table of compile_options.h: the options' spelling, help and groups, and how a
// command line is read. Manual pages and completions are made of these tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "compiler/commands/compile_options.h"
#include "runtime/tools/command_line.h"
#include "runtime/tools/option_pages.h"

namespace neuronc {
namespace {

constexpr const char* kCommon = "Common options";
constexpr const char* kPrecision = "Precision";
constexpr const char* kInputs = "Inputs and outputs of the model";
constexpr const char* kCode = "Cores and code";
constexpr const char* kInside = "Looking inside";
constexpr const char* kHabits = "neuron-cc's habits";

// neuron-cc's options that nothing here corresponds to, and why.
struct IgnoredOption {
  const char* name;
  bool has_value;
};
constexpr IgnoredOption kIgnored[] = {
    {"--enable-fast-loading-neuron-binaries", false},
    {"--enable-fast-context-switch", false},
    {"--enable-saturate-infinity", false},
    {"--fast-math", true},
    {"--batching-en", false},
    {"--rematerialization-en", false},
    {"--spill-dis", false},
    {"--sb-size", true},
    {"--static-weights", false},
    {"--model-type", true},
};

class Declarer {
 public:
  Declarer(CLI::App& app, CompileArguments& arguments) : app_(app), a_(arguments) {}

  void declare() {
    common();
    precision();
    inputs();
    code();
    inside();
    habits();
  }

 private:
  template <class T>
  CLI::Option* option(const char* group, const std::string& name, T& value,
                      const std::string& help) {
    return app_.add_option(name, value, help)->group(group);
  }
  void word(const char* group, const std::string& name, std::string& value, const std::string& help,
            std::vector<std::string> words) {
    option(group, name, value, help)->check(CLI::IsMember(std::move(words)));
  }

  void common() {
    auto* cores = option(kCommon, "--num-neuroncores", a_.num_neuroncores,
                         "how many NeuronCores the model is split over, or `auto`");
    option(kHabits, "--neuroncore-pipeline-cores", a_.pipeline_cores,
           "its word for --num-neuroncores with --partition pipeline")
        ->excludes(cores);
    option(
        kCommon, "--target-cpu", a_.options.target_cpu,
        "instruction sets, separated by commas: x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4-vnni, "
        "x86-64-v4-bf16, x86-64-v4-amx, native, or default (all from x86-64-v3 on that differ)");
    option(kCommon, "--report", a_.report, "write what was done and why: JSON, or a page (.html)");
    option(kCommon, "--cache-dir", a_.options.cache_dir,
           "keep results here and take them from here; default: $NEURONC_CACHE");
    option(kCommon, "--cache-limit", a_.options.cache_limit_bytes,
           "bytes the cache may hold; the oldest results go first")
        ->check(whole_number(1));
    auto* verbose =
        app_.add_flag("-v,--verbose", a_.is_verbose, "also print what was not done and why")
            ->group(kCommon);
    app_.add_flag("-q,--quiet", a_.is_quiet, "print errors and warnings only")
        ->group(kCommon)
        ->excludes(verbose);
    option(std::string(kGateGroup).c_str(), "--max-host-ops", a_.options.max_host_ops,
           "fail if more operations run on the host")
        ->check(whole_number(0));
  }

  void precision() {
    word(kPrecision, "--auto-cast", a_.auto_cast, "which operators compute with narrow operands",
         {"matmult", "all", "none"});
    word(kPrecision, "--auto-cast-type", a_.auto_cast_type, "the narrow type", {"bf16", "fp16"});
    option(kPrecision, "--keep-fp32", a_.options.keep_fp32,
           "nodes that keep FP32 (regular expression)")
        ->allow_extra_args(false);
    word(kPrecision, "--numerics", a_.numerics, "strict: every operator's result is rounded",
         {"fast", "strict"});
    word(kPrecision, "--reductions", a_.reductions, "fixed: sums do not depend on N",
         {"fixed", "fast"});
  }

  void inputs() {
    option(kInputs, "--dim", a_.dims, "NAME=N: the number of a symbolic dim")
        ->allow_extra_args(false);
    option(kInputs, "--input-shape", a_.input_shapes, "NAME=D,D,...: the shape of an input")
        ->allow_extra_args(false);
    option(kInputs, "--fix-input", a_.fixed_inputs,
           "NAME=VALUE or NAME=FILE (.npy, .pb): an input becomes a constant")
        ->allow_extra_args(false);
    option(kInputs, "--outputs", a_.outputs, "A,B: cut the graph at these values");
    option(kInputs, "--external-data-dir", a_.options.external_data_dirs,
           "a further folder in which external data may lie")
        ->allow_extra_args(false);
  }

  void code() {
    word(kCode, "--partition", a_.partition, "how the model is split",
         {"auto", "pipeline", "tensor", "data"});
    word(kCode, "--optimize-for", a_.optimize_for, "what splitting aims at",
         {"latency", "throughput"});
    option(kCode, "--hardware-model", a_.options.hardware_model, "inf1, host, or a file");
    option(kCode, "--jobs", a_.options.num_jobs, "threads; default: as many as the process may use")
        ->check(CLI::Range(1, 1024));
    constexpr const char* kLevels[] = {"no optimisation but what code needs", "what is quick to do",
                                       "the default", "all there is"};
    for (int i = 0; i < 4; ++i) {
      app_.add_flag(fmt::format("--O{}", i), a_.levels[i],
                    fmt::format("or -O{}: {}", i, kLevels[i]))
          ->group(kCode);
    }
    option(kCode, "--passes", a_.options.passes, "the pipeline, instead of the level's");
    app_.add_flag("--tune", a_.options.tune,
                  "measure on this machine which kernels are fastest, and take those")
        ->group(kCode);
    option(kCode, "--tune-file", a_.options.tune_file,
           "where --tune keeps what it measured; default: tuning.txt in --cache-dir, or in the "
           "user's cache folder");
    app_.add_flag("--emit-kernels", a_.options.emit_kernels,
                  "put the kernels' text into the NEFF, for NEURON_RT_CHECK=1")
        ->group(kCode);
  }

  void inside() {
    option(kInside, "--print-after", a_.options.print_after,
           "print the module after this pass, or all");
    app_.add_flag("--print-changed", a_.options.print_changed, "print the module after each change")
        ->group(kInside);
    app_.add_flag("--time-passes", a_.options.time_passes, "print how long each pass took")
        ->group(kInside);
    option(kInside, "--dump-dir", a_.options.dump_dir, "a file here after each change");
  }

  void habits() {
    option(kHabits, "--framework", a_.framework, "ONNX");
    option(kHabits, "--io-config", a_.io_config, "JSON of inputs' shapes and outputs");
    option(kHabits, "--fp32-cast", a_.fp32_cast, "its word for --auto-cast");
    option(kHabits, "--workdir", a_.workdir, "the folder of what is written");
    option(kHabits, "--pipeline", a_.pipeline,
           "`compile`, or `compile SaveTemps`, which is --dump-dir")
        ->check(CLI::IsMember({"compile", "compile SaveTemps", "SaveTemps"}));
    for (const IgnoredOption& ignored : kIgnored) {
      std::vector<std::string>& seen = a_.ignored;
      const std::string name = ignored.name;
      if (ignored.has_value) {
        app_.add_option_function<std::string>(
                name, [&seen, name](const std::string&) { seen.push_back(name); },
                "accepted, without an effect")
            ->group(kHabits);
      } else {
        app_.add_flag_callback(
                name, [&seen, name] { seen.push_back(name); }, "accepted, without an effect")
            ->group(kHabits);
      }
    }
  }

  CLI::App& app_;
  CompileArguments& a_;
};

std::string wanted_from(std::string_view least, const std::string& text) {
  return fmt::format("a number from {} is wanted, not `{}`", least, text);
}

// neuron-cc's `--verbose LEVEL`: a number or a word of Python's logging. No value: it is none.
std::optional<bool> is_verbose_level(const std::string& word) {
  std::string level;
  for (const char c : word) level += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (level == "debug" || level == "info") return true;
  if (level == "warn" || level == "warning" || level == "error" || level == "critical")
    return false;
  const bool is_number = !level.empty() && level.size() < 4 &&
                         level.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) return std::nullopt;
  return std::stoi(level) >= 1 && std::stoi(level) <= 20;
}

// neuron-cc spells options with underscores too; values keep theirs.
std::string with_hyphens(std::string word) {
  if (!word.starts_with("--")) return word;
  const size_t end = std::min(word.find('='), word.size());
  std::replace(word.begin(), word.begin() + static_cast<int64_t>(end), '_', '-');
  return word;
}

// The words as CLI11 wants them: last first, -O2 as the long flag it is declared as, `--pipeline`
// and `--verbose` with their words in one.
std::vector<std::string> command_line_words(std::span<const std::string> args) {
  std::vector<std::string> words;
  for (size_t i = 0; i < args.size(); ++i) {
    const bool is_level =
        args[i].size() == 3 && args[i].starts_with("-O") && args[i][2] >= '0' && args[i][2] <= '3';
    std::string word = is_level ? "-" + args[i] : with_hyphens(args[i]);
    const std::string next = i + 1 < args.size() ? args[i + 1] : "";
    if (word == "--verbose" && is_verbose_level(next)) {
      ++i;
      if (!*is_verbose_level(next)) continue;
    }
    if (word == "--pipeline" && next == "compile" && i + 2 < args.size() &&
        args[i + 2] == "SaveTemps") {
      word = "--pipeline=compile SaveTemps";
      i += 2;
    }
    words.push_back(std::move(word));
  }
  std::reverse(words.begin(), words.end());
  return words;
}

}  // namespace

CLI::Validator whole_number(int64_t least) {
  return {[least](const std::string& text) {
            int64_t number = 0;
            const char* end = text.data() + text.size();
            const auto parsed = std::from_chars(text.data(), end, number);
            const bool is_good = parsed.ec == std::errc() && parsed.ptr == end && number >= least;
            return is_good ? std::string() : wanted_from(std::to_string(least), text);
          },
          "", "whole number"};
}

CLI::Validator non_negative() {
  return {[](const std::string& text) {
            double number = 0;
            const char* end = text.data() + text.size();
            const auto parsed = std::from_chars(text.data(), end, number);
            const bool is_good = parsed.ec == std::errc() && parsed.ptr == end && number >= 0;
            return is_good ? std::string() : wanted_from("0", text);
          },
          "", "number from 0"};
}

void declare_compile_options(CLI::App& app, CompileArguments& arguments) {
  Declarer(app, arguments).declare();
}

std::optional<int> parse_arguments(CLI::App& app, std::span<const std::string> args,
                                   Diagnostics& diagnostics) {
  try {
    app.parse(command_line_words(args));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    // CLI11 notices a missing model before a misspelt option, which is likelier to be the cause.
    const std::vector<std::string> unknown = app.remaining();
    Diagnostic& diagnostic = diagnostics.report(
        diag::usage_error, {},
        unknown.empty()
            ? error.what()
            : fmt::format("unknown option or argument `{}`", fmt::join(unknown, "`, `")));
    for (const std::string& word : unknown) {
      if (word.starts_with("-O") || word.starts_with("--O")) {
        diagnostic.notes.push_back("the levels of optimization are -O0, -O1, -O2 and -O3");
        continue;
      }
      const std::string near = nearest_option(app, word);
      if (!near.empty()) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", near));
    }
    return exit_code(ErrorClass::usage);
  }
  return std::nullopt;
}

std::optional<int> parse_arguments(CLI::App& app, std::span<const std::string> args) {
  app.set_version_flag("-V,--version",
                       fmt::format("{} (LLVM {})", compiler_version(), llvm_version()));
  if (const auto code = print_page(app, args)) return code;
  Diagnostics diagnostics;
  const auto code = parse_arguments(app, args, diagnostics);
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return code;
}

}  // namespace neuronc
