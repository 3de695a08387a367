// The public API's looks at a NEFF and at codes of messages.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <new>

#include "compiler/public_api.h"
#include "ir/base/entry.h"
#include "runtime/neff_reader.h"

namespace neuronc {
namespace {

using runtime::NeffImage;
using runtime::NeffMemberView;

void fill(InspectResult& result, const NeffImage& image) {
  const NeffHeader& header = image.header();
  result.name = header.name;
  result.uuid = runtime::uuid_text(header);
  result.compiler_version = header.compiler_version;
  result.num_neuroncores = header.num_cores;
  for (const NeffMemberView& member : image.members()) {
    result.members.push_back({std::string(member.name), member.offset_bytes, member.bytes.size()});
  }
  if (const NeffMemberView* json = image.find("neff.json")) {
    result.json.assign(reinterpret_cast<const char*>(json->bytes.data()), json->bytes.size());
  }
  const std::vector<runtime::NeffTarget> targets = image.targets();
  for (const runtime::NeffTarget& target : targets) {
    result.targets.push_back(
        {target.isa, target.features, runtime::missing_features(target).empty()});
  }
  if (const auto chosen = runtime::choose_target(targets, "")) result.target_here = *chosen;
}

template <class Open>
InspectResult inspect_here(const std::string& name, const Open& open) {
  InspectResult result;
  Diagnostics diagnostics;
  try {
    const auto image = open();
    if (image) {
      fill(result, **image);
    } else {
      diagnostics.report(diag::unusable_neff, Location{name}, image.error().message);
    }
  } catch (const std::bad_alloc&) {
    diagnostics.report(diag::out_of_memory, {});
  }
  for (const Diagnostic& d : diagnostics.all()) result.messages.push_back(to_message(d));
  result.exit_code = exit_code(diagnostics.worst());
  return result;
}

template <class Open>
InspectResult inspect(const std::string& name, const Open& open) {
  const NoCancellation whole;
  return with_room(kCompilerRoomBytes, [&] { return inspect_here(name, open); });
}

}  // namespace

InspectResult inspect_file(const std::string& path) {
  return inspect(path, [&] { return NeffImage::open(path, runtime::Verify::all); });
}

InspectResult inspect_bytes(std::span<const std::byte> neff) {
  return inspect("", [&] { return NeffImage::copy(neff, runtime::Verify::all); });
}

std::string explain(std::string_view code) {
  std::string wanted(code);
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const DiagnosticInfo& info : all_diagnostics()) {
    if (info.code != wanted) continue;
    const std::string_view severity = info.severity == Severity::error     ? "error"
                                      : info.severity == Severity::warning ? "warning"
                                                                           : "note";
    return fmt::format("{} ({}, exit code {})\n  {}\n\n{}\n", info.code, severity,
                       exit_code(info.error_class), info.format, info.explain);
  }
  return {};
}

}  // namespace neuronc
