// Implements compat.h.
#include "compiler/commands/compat.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "backend/isa.h"
#include "compiler/commands/compile_options.h"
#include "ir/base/command.h"
#include "runtime/compat.h"
#include "runtime/cpu.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;
using runtime::Compatibility;

struct CompatArguments {
  std::string file;
  std::string target_cpu;
  bool is_json = false;
};

std::string_view machine_name(const CompatArguments& arguments) {
  return arguments.target_cpu.empty() ? "this machine" : std::string_view(arguments.target_cpu);
}

void print_text(const CompatArguments& arguments, const Compatibility& found) {
  if (!found.header) return;
  print_names("{}: format {}.{}, {}, {} NeuronCores\n", arguments.file, found.header->major,
              found.header->minor, found.header->compiler_version, found.header->num_cores);
  for (const Compatibility::Fit& target : found.targets) {
    print_names("  {:<20} {}\n", target.isa,
                target.missing.empty()
                    ? "runs"
                    : fmt::format("does not run, missing: {}", fmt::join(target.missing, ", ")));
  }
  if (!found.chosen.empty()) {
    print_names("{} would run {}\n", machine_name(arguments), found.chosen);
  }
}

void print_json(const CompatArguments& arguments, const Compatibility& found) {
  Json targets = Json::array();
  for (const Compatibility::Fit& target : found.targets) {
    targets.push_back(
        {{"name", target.isa}, {"runs", target.missing.empty()}, {"missing", target.missing}});
  }
  const auto field = [&](auto get) { return found.header ? Json(get(*found.header)) : Json(); };
  const Json json = {
      {"schema", "neuronc-compat"},
      {"version", 1},
      {"neff", arguments.file},
      {"machine", machine_name(arguments)},
      {"runs", found.status.code == NRT_SUCCESS},
      {"reason", found.status.message.empty() ? Json() : Json(found.status.message)},
      {"target", found.chosen.empty() ? Json() : Json(found.chosen)},
      {"format", field([](const NeffHeader& h) { return fmt::format("{}.{}", h.major, h.minor); })},
      {"compiler", field([](const NeffHeader& h) { return std::string(h.compiler_version); })},
      {"neuroncores", field([](const NeffHeader& h) { return h.num_cores; })},
      {"targets", std::move(targets)}};
  fmt::print("{}\n", json.dump(2, ' ', true, Json::error_handler_t::replace));
}

void report_failure(const CompatArguments& arguments, const Compatibility& found,
                    Diagnostics& diagnostics) {
  const Location location{arguments.file};
  if (found.status.code == NRT_SUCCESS) return;
  if (found.status.code == NRT_HW_ERROR || found.status.code == NRT_UNSUPPORTED_NEFF_VERSION) {
    diagnostics.report(diag::neff_does_not_run, location, machine_name(arguments),
                       found.status.message);
  } else {
    diagnostics.report(diag::unusable_neff, location, found.status.message);
  }
}

void compat(const CompatArguments& arguments, Diagnostics& diagnostics) {
  std::vector<std::string_view> features;
  Isa isa;
  if (arguments.target_cpu.empty()) {
    const auto here = runtime::cpu_features();
    features.assign(here.begin(), here.end());
  } else {
    auto described = describe(arguments.target_cpu);
    if (!described) {
      diagnostics.report(diag::unknown_processor, {}, arguments.target_cpu,
                         described.error().reason);
      return;
    }
    isa = std::move(*described);
    features = isa.features;
    features.push_back(isa.llvm_cpu);
  }
  const Compatibility found = runtime::check_compatibility(arguments.file, features);
  arguments.is_json ? print_json(arguments, found) : print_text(arguments, found);
  report_failure(arguments, found, diagnostics);
}

}  // namespace

int run_compat(std::span<const std::string> args) {
  CLI::App app("Says whether a NEFF runs on this machine, or on one of another instruction set.",
               "neuronc compat");
  CompatArguments arguments;
  app.add_option("file", arguments.file, "the NEFF")->required();
  app.add_option("--target-cpu", arguments.target_cpu,
                 "the machine: x86-64-v3, x86-64-v4, ...; default: this one");
  app.add_flag("--json", arguments.is_json, "print JSON (docs/schema/compat.v1.schema.json)");
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  compat(arguments, diagnostics);
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
