// Implements compile_options.h.
#include "compiler/commands/compile_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "compiler/report_page.h"
#include "ir/module_file.h"

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
    read_habits();
    if (diagnostics_.num_errors() != num_errors) return reported();
    return {};
  }

 private:
  void usage(const std::string& text) { diagnostics_.report(diag::usage_error, {}, text); }
  void unsupported(std::string_view option, std::string_view why) {
    diagnostics_.report(diag::not_yet_supported_option, {}, option, why);
  }

  void read_words() {
    options_.partition = partition_of(arguments_);
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

  // neuron-cc's words without a counterpart among the options.
  void read_habits() {
    if (arguments_.pipeline.ends_with("SaveTemps") && options_.dump_dir.empty()) {
      options_.dump_dir = arguments_.workdir.empty() ? "." : arguments_.workdir;
    }
    for (const std::string& option : arguments_.ignored) {
      diagnostics_.report(diag::ignored_option, {}, option,
                          "it is a setting of neuron-cc's that nothing here corresponds to");
    }
  }

  static PartitionStrategy partition_of(const CompileArguments& arguments) {
    const std::string& word = arguments.partition;
    if (word.empty() && !arguments.pipeline_cores.empty()) return PartitionStrategy::pipeline;
    return word == "pipeline" ? PartitionStrategy::pipeline
           : word == "tensor" ? PartitionStrategy::tensor
           : word == "data"   ? PartitionStrategy::data
                              : PartitionStrategy::automatic;
  }

  void read_cores() {
    const bool is_habit = !arguments_.pipeline_cores.empty();
    const std::string& text = is_habit ? arguments_.pipeline_cores : arguments_.num_neuroncores;
    if (text == "auto") {
      options_.num_neuroncores = 0;
      return;
    }
    const auto count = parse_count(text);
    if (count && *count > 0) {
      options_.num_neuroncores = *count;
    } else {
      usage(fmt::format("{} takes a positive number or `auto`, not `{}`",
                        is_habit ? "--neuroncore-pipeline-cores" : "--num-neuroncores", text));
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

}  // namespace

Expected<void> finish(CompileArguments& arguments, Diagnostics& diagnostics) {
  return Finisher(arguments, diagnostics).run();
}

Expected<void> write_report(const CompileArguments& arguments, const std::string& json,
                            Diagnostics& diagnostics) {
  if (arguments.report.empty()) return {};
  const bool is_page = arguments.report.ends_with(".html") || arguments.report.ends_with(".htm");
  return write_file(arguments.report, is_page ? report_page(json) : json, diagnostics);
}

}  // namespace neuronc
