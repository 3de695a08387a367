// The C API's nrt_check_neff.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "runtime/compat.h"
#include "runtime/cpu.h"
#include "runtime/nrt_internal.h"

namespace neuronc::runtime {
namespace {

std::vector<std::string_view> words_in(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    if (blank > 0) words.push_back(text.substr(0, blank));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return words;
}

// Cut where it does not fit; the end stays a zero byte.
template <size_t N>
void copy_text(char (&to)[N], std::string_view text) {
  text.copy(to, N - 1);
}

nrt_neff_compat_t to_c(const Compatibility& found) {
  nrt_neff_compat_t compat{};
  if (found.header) {
    compat.format_major = found.header->major;
    compat.format_minor = found.header->minor;
    compat.nc_count = found.header->num_cores;
    copy_text(compat.compiler_version, found.header->compiler_version);
  }
  copy_text(compat.target, found.chosen);
  std::vector<std::string_view> names;
  for (const Compatibility::Fit& target : found.targets) names.push_back(target.isa);
  copy_text(compat.targets, fmt::format("{}", fmt::join(names, " ")));
  if (!found.targets.empty()) {
    copy_text(compat.missing, fmt::format("{}", fmt::join(found.targets.front().missing, " ")));
  }
  return compat;
}

}  // namespace
}  // namespace neuronc::runtime

using namespace neuronc::runtime;  // NOLINT: the API's functions are this file

extern "C" {

NRT_STATUS nrt_check_neff(const char* path, const char* features, nrt_neff_compat_t* compat,
                          size_t size) {
  return guarded([&]() -> NRT_STATUS {
    if (path == nullptr) return report(NRT_INVALID, "`path` is null");
    const auto given = features == nullptr ? std::vector<std::string_view>() : words_in(features);
    const Compatibility found = check_compatibility(
        path, features == nullptr ? cpu_features() : std::span<const std::string_view>(given));
    if (compat != nullptr) {
      const nrt_neff_compat_t filled = to_c(found);
      std::memset(compat, 0, size);
      std::memcpy(compat, &filled, std::min(size, sizeof(filled)));
    }
    return found.status.code == NRT_SUCCESS ? NRT_SUCCESS : report(found.status);
  });
}

}  // extern "C"
