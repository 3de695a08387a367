// narrow-edges: bulk values between fused groups become bf16 (or fp16), for --auto-cast all.
//
//   %0 = group(%x) : f32[1,64,56,56] {       %0 = group(%x) : bf16[1,64,56,56] {
//     ... %r = relu(%c)  output %r             ... %n = cast(%r) {to = bf16}  output %n
//   }                                     =>   }
//   %1 = group(%0) { input %a ... }          %1 = group(%0) { input %a  %w = cast(%a) {to = f32}
//   ... }
//
// Inside a group everything stays f32. A value keeps f32 where a reduction, normalisation or other
// statistic makes it or reads it first, where the caller, the host or a constant shares its memory,
// and where it is small: narrowing it would gain nothing.
#pragma once

#include <string>
#include <vector>

#include "passes/pass.h"

namespace neuronc {

struct NarrowEdgesOptions {
  std::string mode = "all";
  std::string type = "bf16";
  int64_t min_elements = 1024;
  std::vector<PassOption> options() {
    return {
        {"mode", &mode, "as of cast; all but `all` changes nothing", {"matmult", "all", "none"}},
        {"type", &type, "the narrow type", {"bf16", "fp16"}},
        {"min-elements", &min_elements, "values with fewer elements keep f32"}};
  }
};

// Stage fused, kept.
Expected<Changed> narrow_edges(Module& module, const NarrowEdgesOptions& options,
                               PassContext& context);

}  // namespace neuronc
