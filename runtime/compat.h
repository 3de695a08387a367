// Whether a machine runs a NEFF, found out without loading it: header and metadata are read and
// checked, weights are not.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/neff_format.h"
#include "runtime/status.h"

namespace neuronc::runtime {

struct Compatibility {
  struct Fit {
    std::string isa;
    std::vector<std::string> missing;  // features; empty: its code runs
  };
  // NRT_SUCCESS, or why it does not run: NRT_HW_ERROR (no code for the machine),
  // NRT_UNSUPPORTED_NEFF_VERSION, NRT_INVALID (no NEFF, damaged).
  Status status;
  std::optional<NeffHeader> header;  // as far as the file is a NEFF, of whatever version
  std::vector<Fit> targets;          // the best last
  std::string chosen;                // the target that would run
};

// Of a machine with these features, by the names of cpu_features().
Compatibility check_compatibility(const std::string& path,
                                  std::span<const std::string_view> features);

}  // namespace neuronc::runtime
