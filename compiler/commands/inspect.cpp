// Implements inspect.h.
#include "compiler/commands/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "compiler/commands/compile_options.h"
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
  bool is_json = false;
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
    const std::string path(base_name(member.name));
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

void print_header(const NeffImage& image) {
  const NeffHeader& header = image.header();
  fmt::print("name: {}\nformat: {}.{}\ncompiler: {}\nuuid: {}\ncores: {}\nlanes: {}\n", header.name,
             header.major, header.minor, header.compiler_version, runtime::uuid_text(header),
             header.num_cores, header.num_lanes);
  for (const runtime::NeffTarget& target : image.targets()) {
    const auto missing = runtime::missing_features(target);
    fmt::print("target: {} ({})\n", target.isa,
               missing.empty() ? "runs here" : fmt::format("lacks {}", fmt::join(missing, ", ")));
  }
  const auto chosen = runtime::choose_target(image.targets(), "");
  fmt::print("used here: {}\n", chosen ? *chosen : "none");
  fmt::print("\nmembers:\n");
  for (const NeffMemberView& member : image.members()) {
    fmt::print("  {:>12}  {:>12}  {}\n", member.offset_bytes, member.bytes.size(), member.name);
  }
}

Expected<void> print_all(const InspectArguments& arguments, const NeffImage& image,
                         Diagnostics& diagnostics) {
  print_header(image);
  if (const NeffMemberView* json = image.find("neff.json")) {
    fmt::print("\nneff.json:\n{}\n", text_of(*json));
  }
  if (const NeffMemberView* host = image.find("host.nir")) {
    fmt::print("\nhost.nir:\n{}\n", text_of(*host));
  }
  for (const std::string& isa : image.isas()) {
    const auto plan = image.read_plan(isa);
    if (!plan) return damaged(arguments, plan.error().message, diagnostics);
    fmt::print("\nplan of {}:\n{}", isa, to_text(*plan));
  }
  return {};
}

Expected<void> inspect(const InspectArguments& arguments, Diagnostics& diagnostics) {
  const auto image = NeffImage::open(arguments.file, runtime::Verify::all);
  if (!image) return damaged(arguments, image.error().message, diagnostics);
  if (!arguments.extract.empty()) return extract(arguments, **image, diagnostics);
  if (!arguments.is_json) return print_all(arguments, **image, diagnostics);
  const NeffMemberView* json = (*image)->find("neff.json");
  if (json == nullptr) return damaged(arguments, "it has no neff.json", diagnostics);
  fmt::print("{}\n", text_of(*json));
  return {};
}

}  // namespace

int run_inspect(std::span<const std::string> args) {
  CLI::App app("Prints what a NEFF holds.", "neuronc inspect");
  InspectArguments arguments;
  app.add_option("file", arguments.file, "the NEFF")->required();
  app.add_flag("--json", arguments.is_json, "print neff.json alone");
  app.add_option("--extract", arguments.extract, "write this member to a file of its name here");
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  const bool is_done = inspect(arguments, diagnostics).has_value();
  std::fputs(diagnostics.to_text().c_str(), stderr);
  if (!is_done && !diagnostics.has_errors()) return exit_code(ErrorClass::internal);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
