// Implements inspect.h.
#include "compiler/commands/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "compiler/commands/compile_options.h"
#include "compiler/commands/models.h"
#include "compiler/commands/neff_summary.h"
#include "compiler/commands/signature_header.h"
#include "ir/base/command.h"
#include "ir/base/text.h"
#include "ir/module_file.h"
#include "ir/plan/text.h"
#include "runtime/neff_reader.h"

namespace neuronc {
namespace {

using runtime::NeffImage;
using runtime::NeffMemberView;

struct InspectArguments {
  std::string file;
  std::string extract;
  std::string output;  // where to; empty: a file of the member's name
  std::string header;
  std::string header_name;
  bool is_json = false;
  bool shows_inside = false;
};

std::string_view text_of(const NeffMemberView& member) {
  return {reinterpret_cast<const char*>(member.bytes.data()), member.bytes.size()};
}

Expected<void> damaged(const InspectArguments& arguments, const std::string& reason,
                       Diagnostics& diagnostics) {
  diagnostics.report(diag::unusable_neff, Location{arguments.file}, reason);
  return reported();
}

// A member's own name: what stands behind the last slash.
std::string_view base_name(std::string_view name) { return name.substr(name.rfind('/') + 1); }

Expected<void> extract(const InspectArguments& arguments, const NeffImage& image,
                       Diagnostics& diagnostics) {
  for (const NeffMemberView& member : image.members()) {
    if (member.name != arguments.extract && base_name(member.name) != arguments.extract) continue;
    if (arguments.output == kStandardStream) {
      fmt::print("{}", text_of(member));
      return {};
    }
    const std::string path =
        arguments.output.empty() ? std::string(base_name(member.name)) : arguments.output;
    NEURONC_TRY(write_file(path, text_of(member), diagnostics));
    fmt::print("{}\n", path);
    return {};
  }
  std::string names;
  for (const NeffMemberView& member : image.members()) names += fmt::format(" {}", member.name);
  diagnostics.report(
      diag::usage_error, {},
      fmt::format("there is no member `{}`; there are:{}", arguments.extract, names));
  return reported();
}

std::string bytes_text(double bytes) {
  if (bytes < 10e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 10e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.1f} MB", bytes / 1e6);
}

void print_tensors(std::string_view title, const std::vector<NeffSummary::Tensor>& tensors) {
  for (const NeffSummary::Tensor& tensor : tensors) {
    print_names("{:<9} {:<28} {}\n", title, printable(tensor.name), tensor.type);
  }
}

void print_targets(const NeffSummary& summary) {
  print_names("\n{:<24} {:>10} {:>10} {:>10}\n", "target", "code", "arenas", "channels");
  for (const NeffSummary::Target& target : summary.targets) {
    const std::string_view note = target.isa == summary.target_here ? "  used here"
                                  : target.runs_here                ? "  runs here"
                                                                    : "";
    print_names("{:<24} {:>10} {:>10} {:>10}{}\n", target.isa, bytes_text(target.code_bytes),
                bytes_text(target.arena_bytes), bytes_text(target.channel_bytes), note);
  }
}

void print_kernels(const NeffSummary& summary) {
  constexpr size_t kMost = 10;
  std::vector<NeffSummary::Kernel> kernels = summary.kernels;
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const auto& a, const auto& b) { return a.time_ns > b.time_ns; });
  double total_ns = 0;
  for (const auto& kernel : kernels) total_ns += kernel.time_ns;
  print_names("\n{} kernels, predicted on hardware model `{}`; the longest:\n", kernels.size(),
              summary.hardware);
  print_names("{:>10} {:>6} {:>4}  {:<30} {:<22} {}\n", "us", "share", "core", "kernel", "variant",
              "nodes");
  for (size_t i = 0; i < std::min(kMost, kernels.size()); ++i) {
    const NeffSummary::Kernel& kernel = kernels[i];
    const double share = total_ns > 0 ? 100 * kernel.time_ns / total_ns : 0;
    print_names("{:>10.2f} {:>5.1f}% {:>4}  {:<30} {:<22} {}\n", kernel.time_ns / 1000, share,
                kernel.core, printable(kernel.symbol),
                kernel.variant.empty() ? "default" : kernel.variant,
                printable(fmt::format("{}", fmt::join(kernel.nodes, " ")), 60));
  }
}

void print_host_nodes(const NeffSummary& summary) {
  if (summary.host_nodes.empty()) return;
  print_names("\noperations on the host:\n");
  for (const auto& [node, reason] : summary.host_nodes) {
    print_names("  {}: {}\n", printable(node), printable(reason));
  }
}

void print_summary(const InspectArguments& arguments, const InspectResult& inspected) {
  const NeffSummary summary = summarize(inspected);
  std::error_code error;
  const auto size_bytes = static_cast<double>(std::filesystem::file_size(arguments.file, error));
  print_names("{:<9} {}\n{:<9} {}\n{:<9} {}\n", "name", printable(summary.name), "uuid",
              summary.uuid, "compiler", printable(summary.compiler));
  print_names("{:<9} {:.0f} operations on {} NeuronCores, {:.0f} on the host\n", "work",
              summary.num_operations - summary.num_host_operations, summary.num_neuroncores,
              summary.num_host_operations);
  if (summary.num_groups > 1) {
    print_names("{:<9} {}, loaded onto {} times as many NeuronCores or as many as there are\n",
                "partition", summary.strategy, summary.num_groups);
  }
  print_names("{:<9} {} ({} of weights)\n", "size", bytes_text(error ? 0 : size_bytes),
              bytes_text(summary.weight_bytes));
  if (summary.latency_us > 0) {
    print_names("{:<9} {:.2f} us a request, one every {:.2f} us (predicted)\n", "time",
                summary.latency_us, summary.period_us);
  }
  print_tensors("input", summary.inputs);
  print_tensors("output", summary.outputs);
  print_targets(summary);
  print_kernels(summary);
  print_host_nodes(summary);
}

Expected<void> print_inside(const InspectArguments& arguments, const NeffImage& image,
                            Diagnostics& diagnostics) {
  print_names("\nmembers:\n");
  for (const NeffMemberView& member : image.members()) {
    print_names("  {:>12}  {:>12}  {}\n", member.offset_bytes, member.bytes.size(), member.name);
  }
  if (const NeffMemberView* host = image.find("host.nir")) {
    print_names("\nhost.nir:\n{}\n", text_of(*host));
  }
  for (const std::string& isa : image.isas()) {
    const auto plan = image.read_plan(isa);
    if (!plan) return damaged(arguments, plan.error().message, diagnostics);
    print_names("\nplan of {}:\n{}", isa, to_text(*plan));
  }
  return {};
}

// neff.json, and what the container says, under "container".
std::string complete_json(const InspectResult& inspected) {
  using Json = nlohmann::ordered_json;
  Json json = Json::parse(inspected.json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) json = Json::object();
  Json& container = json["container"];
  container = {{"name", inspected.name},
               {"uuid", inspected.uuid},
               {"compiler", inspected.compiler_version},
               {"neuroncores", inspected.num_neuroncores},
               {"target_here", inspected.target_here},
               {"targets", Json::array()},
               {"members", Json::array()}};
  for (const InspectResult::Target& target : inspected.targets) {
    container["targets"].push_back(
        {{"name", target.name}, {"features", target.features}, {"runs_here", target.runs_here}});
  }
  for (const InspectResult::Member& member : inspected.members) {
    container["members"].push_back({{"name", member.name},
                                    {"offset_bytes", member.offset_bytes},
                                    {"size_bytes", member.size_bytes}});
  }
  return json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n";
}

Expected<void> write_header(const InspectArguments& arguments, const NeffImage& image,
                            Diagnostics& diagnostics) {
  const std::vector<std::string> isas = image.isas();
  if (isas.empty()) return damaged(arguments, "it has code for no instruction set", diagnostics);
  // Signatures are the same for all of them.
  const auto plan = image.read_plan(isas.front());
  if (!plan) return damaged(arguments, plan.error().message, diagnostics);
  const InspectResult inspected = inspect_file(arguments.file);
  const std::string name = arguments.header_name.empty()
                               ? std::filesystem::path(arguments.file).stem().string()
                               : arguments.header_name;
  const auto num_neuroncores = static_cast<size_t>(inspected.num_neuroncores);
  return write_file(arguments.header,
                    signature_header(name, *plan, inspected.uuid, num_neuroncores), diagnostics);
}

Expected<void> inspect(const InspectArguments& arguments, Diagnostics& diagnostics) {
  const auto image = NeffImage::open(arguments.file, runtime::Verify::all);
  if (!image) return damaged(arguments, image.error().message, diagnostics);
  if (!arguments.extract.empty()) return extract(arguments, **image, diagnostics);
  if (!arguments.header.empty()) return write_header(arguments, **image, diagnostics);
  const InspectResult inspected = inspect_file(arguments.file);
  if (arguments.is_json) {
    std::fputs(complete_json(inspected).c_str(), stdout);
    return {};
  }
  print_summary(arguments, inspected);
  return arguments.shows_inside ? print_inside(arguments, **image, diagnostics) : Expected<void>();
}

}  // namespace

int run_inspect(std::span<const std::string> args) {
  CLI::App app("Prints what a NEFF holds.", "neuronc inspect");
  InspectArguments arguments;
  app.add_option("file", arguments.file, "the NEFF")->required();
  app.add_flag("--json", arguments.is_json, "print all there is as JSON");
  app.add_flag("--plan", arguments.shows_inside,
               "also print the members, the plans and the host's graph");
  auto* extract = app.add_option("--extract", arguments.extract,
                                 "write this member (neff.json, code.so, ...) to a file");
  app.add_option("-o,--output", arguments.output,
                 "that file, or - for standard output; default: the member's name, here")
      ->needs(extract);
  auto* header = app.add_option("--header", arguments.header,
                                "write inputs and outputs as a C header to this file");
  app.add_option("--header-name", arguments.header_name,
                 "what its names begin with; default: the NEFF's own name")
      ->needs(header);
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  const bool is_done = inspect(arguments, diagnostics).has_value();
  std::fputs(diagnostics.to_text().c_str(), stderr);
  if (!is_done && !diagnostics.has_errors()) return exit_code(ErrorClass::internal);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
