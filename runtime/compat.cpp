// Implements compat.h.
#include "runtime/compat.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "runtime/neff_reader.h"

namespace neuronc::runtime {
namespace {

// What the header says of itself; a version that cannot be read further is said all the same.
std::optional<NeffHeader> peek_header(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;  // reading may wait
  std::ifstream file(path, std::ios::binary);
  NeffHeader header{};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof(header))) return std::nullopt;
  if (std::memcmp(header.magic, kNeffMagic, sizeof(kNeffMagic)) != 0) return std::nullopt;
  header.name[sizeof(header.name) - 1] = 0;
  header.compiler_version[sizeof(header.compiler_version) - 1] = 0;
  return header;
}

Status no_code(const std::vector<Compatibility::Fit>& targets) {
  if (targets.empty()) return {NRT_INVALID, "the NEFF holds no code"};
  std::vector<std::string> names;
  for (const auto& target : targets) names.push_back(target.isa);
  return {NRT_HW_ERROR,
          fmt::format("it has code for {}; for {} are missing: {}", fmt::join(names, ", "),
                      names.front(), fmt::join(targets.front().missing, ", "))};
}

}  // namespace

Compatibility check_compatibility(const std::string& path,
                                  std::span<const std::string_view> features) {
  Compatibility result;
  result.header = peek_header(path);
  const auto image = NeffImage::open(path, Verify::metadata);
  if (!image) {
    result.status = image.error();
    return result;
  }
  for (const NeffTarget& target : (*image)->targets()) {
    Compatibility::Fit fit{target.isa, {}};
    for (const std::string& feature : target.features) {
      if (std::find(features.begin(), features.end(), feature) == features.end()) {
        fit.missing.push_back(feature);
      }
    }
    if (fit.missing.empty()) result.chosen = target.isa;
    result.targets.push_back(std::move(fit));
  }
  result.status = result.chosen.empty() ? no_code(result.targets) : Status{NRT_SUCCESS, {}};
  return result;
}

}  // namespace neuronc::runtime
