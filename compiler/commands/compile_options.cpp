// Implements compile_options.h.
#include "compiler/commands/compile_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "ir/base/command.h"
#include "ir/module_file.h"
#include "runtime/tools/command_line.h"

namespace neuronc {
namespace {

// Parses NAME=VALUE; names may hold `=`, values do not.
std::optional<std::pair<std::string, std::string>> split_binding(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

std::optional<int64_t> parse_count(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_good = error == std::errc() && end == text.data() + text.size() && number >= 0;
  return is_good ? std::optional(number) : std::nullopt;
}

std::optional<std::vector<int64_t>> parse_shape(std::string_view text) {
  std::vector<int64_t> shape;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const auto extent = parse_count(text.substr(0, comma));
    if (!extent) return std::nullopt;
    shape.push_back(*extent);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return std::nullopt;
  }
  return shape;
}

class Finisher {
 public:
  Finisher(CompileArguments& arguments, Diagnostics& diagnostics)
      : arguments_(arguments), options_(arguments.options), diagnostics_(diagnostics) {}

  Expected<void> run() {
    const size_t num_errors = diagnostics_.num_errors();
    read_words();
    read_cores();
    read_bindings();
    read_fixed_inputs();
    read_io_config();
    read_outputs();
    read_level();
    if (diagnostics_.num_errors() != num_errors) return reported();
    return {};
  }

 private:
  void usage(const std::string& text) { diagnostics_.report(diag::usage_error, {}, text); }
  void unsupported(std::string_view option, std::string_view why) {
    diagnostics_.report(diag::not_yet_supported_option, {}, option, why);
  }

  void read_words() {
    options_.partition = arguments_.partition == "pipeline" ? PartitionStrategy::pipeline
                         : arguments_.partition == "tensor" ? PartitionStrategy::tensor
                                                            : PartitionStrategy::automatic;
    options_.optimize_for =
        arguments_.optimize_for == "throughput" ? OptimizeFor::throughput : OptimizeFor::latency;
    read_fp32_cast();
    options_.auto_cast = arguments_.auto_cast == "all"    ? AutoCast::all
                         : arguments_.auto_cast == "none" ? AutoCast::none
                                                          : AutoCast::matmult;
    options_.auto_cast_type =
        arguments_.auto_cast_type == "fp16" ? AutoCastType::fp16 : AutoCastType::bf16;
    options_.numerics = arguments_.numerics == "strict" ? Numerics::strict : Numerics::fast;
    options_.reductions = arguments_.reductions == "fast" ? Reductions::fast : Reductions::fixed;
    if (arguments_.framework != "ONNX" && arguments_.framework != "onnx") {
      unsupported("--framework " + arguments_.framework, "models are read as ONNX files");
    }
  }

  // neuron-cc's spelling of --auto-cast and --auto-cast-type.
  void read_fp32_cast() {
    const std::string& word = arguments_.fp32_cast;
    if (word.empty()) return;
    if (word == "all" || word == "none" || word == "matmult") {
      arguments_.auto_cast = word;
    } else if (word == "matmult-bf16" || word == "matmult-fp16") {
      arguments_.auto_cast = "matmult";
      arguments_.auto_cast_type = word.substr(word.size() - 4);
    } else {
      unsupported("--fp32-cast " + word,
                  "the values all, matmult, matmult-bf16, matmult-fp16 and "
                  "none are");
    }
  }

  void read_level() {
    int num_levels = 0;
    for (int i = 0; i < 4; ++i) {
      if (!arguments_.levels[i]) continue;
      options_.optimization_level = i;
      ++num_levels;
    }
    if (num_levels > 1) usage("-O0, -O1, -O2 and -O3 exclude each other");
    for (const std::string& pattern : options_.keep_fp32) {
      if (pattern.empty()) usage("--keep-fp32 takes a regular expression, not an empty text");
    }
  }

  void read_cores() {
    if (arguments_.num_neuroncores == "auto") {
      options_.num_neuroncores = 0;
      return;
    }
    const auto count = parse_count(arguments_.num_neuroncores);
    if (count && *count > 0) {
      options_.num_neuroncores = *count;
    } else {
      usage(fmt::format("--num-neuroncores takes a positive number or `auto`, not `{}`",
                        arguments_.num_neuroncores));
    }
  }

  void read_bindings() {
    for (const std::string& text : arguments_.dims) {
      const auto binding = split_binding(text);
      const auto number = binding ? parse_count(binding->second) : std::nullopt;
      if (number) {
        options_.dims[binding->first] = *number;
      } else {
        usage(fmt::format("--dim takes NAME=N, not `{}`", text));
      }
    }
    for (const std::string& text : arguments_.input_shapes) {
      const auto binding = split_binding(text);
      const auto shape = binding ? parse_shape(binding->second) : std::nullopt;
      if (shape) {
        options_.input_shapes[binding->first] = *shape;
      } else {
        usage(fmt::format("--input-shape takes NAME=D,D,..., not `{}`", text));
      }
    }
  }

  void read_fixed_inputs() {
    for (const std::string& text : arguments_.fixed_inputs) {
      const auto binding = split_binding(text);
      if (binding && !binding->second.empty()) {
        options_.fixed_inputs[binding->first] = binding->second;
      } else {
        usage(fmt::format("--fix-input takes NAME=VALUE or NAME=FILE, not `{}`", text));
      }
    }
  }

  // {"inputs": {"NAME": [[1, 3, 224, 224], "float32"]}, "outputs": ["NAME"]}, as text or a file.
  void read_io_config() {
    if (arguments_.io_config.empty()) return;
    std::string text = arguments_.io_config;
    if (text.find('{') == std::string::npos) {
      auto file = read_file(text, diagnostics_);
      if (!file) return;
      text = std::move(*file);
    }
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return usage("--io-config is not a JSON object");
    if (json.contains("outputs")) read_config_outputs(json["outputs"]);
    if (!json.contains("inputs")) return;
    if (!json["inputs"].is_object()) return usage("`inputs` in --io-config is not an object");
    for (const auto& [name, entry] : json["inputs"].items()) {
      const auto& shape =
          entry.is_array() && !entry.empty() && entry[0].is_array() ? entry[0] : entry;
      std::vector<int64_t> extents;
      for (const auto& extent : shape) {
        if (extent.is_number_unsigned()) extents.push_back(extent.get<int64_t>());
      }
      if (!shape.is_array() || extents.size() != shape.size()) {
        return usage(
            fmt::format("the shape of `{}` in --io-config is not a list of numbers", name));
      }
      options_.input_shapes[name] = extents;
    }
  }

  void read_config_outputs(const nlohmann::json& outputs) {
    if (!outputs.is_array()) return usage("`outputs` in --io-config is not a list");
    for (const auto& output : outputs) {
      if (!output.is_string()) return usage("an output in --io-config is not a name");
      options_.outputs.push_back(output.get<std::string>());
    }
  }

  // Of both --outputs and --io-config the former counts. A name may not hold a comma there.
  void read_outputs() {
    if (arguments_.outputs.empty()) return;
    options_.outputs.clear();
    std::string_view rest = arguments_.outputs;
    while (true) {
      const size_t comma = rest.find(',');
      options_.outputs.emplace_back(rest.substr(0, comma));
      if (options_.outputs.back().empty()) return usage("--outputs takes names between commas");
      if (comma == std::string_view::npos) return;
      rest.remove_prefix(comma + 1);
    }
  }

  CompileArguments& arguments_;
  CompileOptions& options_;
  Diagnostics& diagnostics_;
};

// The words as CLI11 wants them: last first, and -O2 as the long flag it is declared as.
std::vector<std::string> command_line_words(std::span<const std::string> args) {
  std::vector<std::string> words;
  for (const std::string& arg : args) {
    const bool is_level = arg.size() == 3 && arg.starts_with("-O");
    words.insert(words.begin(), is_level ? "-" + arg : arg);
  }
  return words;
}

}  // namespace

void declare_compile_options(CLI::App& app, CompileArguments& a) {
  const auto word = [&](const std::string& option, std::string& value, std::string help,
                        std::vector<std::string> words) {
    app.add_option(option, value, std::move(help))->check(CLI::IsMember(std::move(words)));
  };
  app.add_option("--num-neuroncores,--neuroncore-pipeline-cores", a.num_neuroncores,
                 "how many NeuronCores the model is split over, or `auto`");
  word("--partition", a.partition, "how it is split", {"auto", "pipeline", "tensor"});
  word("--optimize-for", a.optimize_for, "what splitting aims at", {"latency", "throughput"});
  word("--auto-cast", a.auto_cast, "which operators compute with narrow operands",
       {"matmult", "all", "none"});
  word("--auto-cast-type", a.auto_cast_type, "the narrow type", {"bf16", "fp16"});
  app.add_option("--fp32-cast", a.fp32_cast, "neuron-cc's word for --auto-cast");
  app.add_option("--keep-fp32", a.options.keep_fp32, "nodes that keep FP32 (regular expression)")
      ->allow_extra_args(false);
  word("--numerics", a.numerics, "strict: every operator's result is rounded", {"fast", "strict"});
  word("--reductions", a.reductions, "fixed: sums do not depend on N", {"fixed", "fast"});
  app.add_option("--dim", a.dims, "NAME=N: the number of a symbolic dim")->allow_extra_args(false);
  app.add_option("--input-shape", a.input_shapes, "NAME=D,D,...: the shape of an input")
      ->allow_extra_args(false);
  app.add_option("--fix-input", a.fixed_inputs,
                 "NAME=VALUE or NAME=FILE (.npy, .pb): an input becomes a constant")
      ->allow_extra_args(false);
  app.add_option("--io-config", a.io_config, "neuron-cc's JSON of inputs' shapes and outputs");
  app.add_option("--outputs", a.outputs, "A,B: cut the graph at these values");
  app.add_option("--external-data-dir", a.options.external_data_dirs,
                 "a further folder in which external data may lie")
      ->allow_extra_args(false);
  app.add_option("--jobs", a.options.num_jobs, "threads; default: as many as the process may use")
      ->check(CLI::Range(1, 1024));
  app.add_option("--framework", a.framework, "ONNX");
  app.add_option(
      "--target-cpu", a.options.target_cpu,
      "instruction sets, separated by commas: x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4-vnni, "
      "x86-64-v4-bf16, native, or default (all from x86-64-v3 on that differ)");
  app.add_option("--hardware-model", a.options.hardware_model, "inf1, host, or a file");
  for (int i = 0; i < 4; ++i) app.add_flag(fmt::format("--O{}", i), a.levels[i]);
  app.add_option("--passes", a.options.passes, "the pipeline, instead of the level's");
  app.add_option("--max-host-ops", a.options.max_host_ops, "fail if more run on the host")
      ->check([](const std::string& text) {
        return parse_count(text) ? std::string() : "a number from 0 is wanted, not `" + text + "`";
      });
  app.add_flag("--emit-kernels", a.options.emit_kernels,
               "put the kernels' text into the NEFF, for NEURON_RT_CHECK=1");
  app.add_option("--report", a.report, "write what was done and why, as JSON");
  app.add_option("--print-after", a.options.print_after,
                 "print the module after this pass, or all");
  app.add_flag("--print-changed", a.options.print_changed, "print the module after each change");
  app.add_flag("--time-passes", a.options.time_passes, "print how long each pass took");
  app.add_option("--dump-dir", a.options.dump_dir, "a file here after each change");
  auto* verbose =
      app.add_flag("-v,--verbose", a.is_verbose, "also print what was not done and why");
  app.add_flag("-q,--quiet", a.is_quiet, "print errors and warnings only")->excludes(verbose);
}

Expected<void> finish(CompileArguments& arguments, Diagnostics& diagnostics) {
  return Finisher(arguments, diagnostics).run();
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
      const std::string near = nearest_option(app, word);
      if (!near.empty()) diagnostic.notes.push_back(fmt::format("did you mean `{}`?", near));
    }
    return exit_code(ErrorClass::usage);
  }
  return std::nullopt;
}

std::optional<int> parse_arguments(CLI::App& app, std::span<const std::string> args) {
  Diagnostics diagnostics;
  app.set_version_flag("--version",
                       fmt::format("{} (LLVM {})", compiler_version(), llvm_version()));
  const auto code = parse_arguments(app, args, diagnostics);
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return code;
}

Expected<void> write_report(const CompileArguments& arguments, const std::string& json,
                            Diagnostics& diagnostics) {
  if (arguments.report.empty()) return {};
  return write_file(arguments.report, json, diagnostics);
}

void print_result(const CompileResult& result, const CompileArguments& arguments) {
  std::fputs(result.messages_text().c_str(), stderr);
  const OperationCounts& counts = result.operations;
  if (arguments.is_quiet || counts.num_after_optimizations == 0) return;
  print_error(
      "Number of operations in model: {}\n"
      "Number of operations after optimizations: {}\n"
      "Number of operations placed on NeuronCores: {}\n",
      counts.num_in_model, counts.num_after_optimizations, counts.num_on_neuroncores);
}

}  // namespace neuronc
