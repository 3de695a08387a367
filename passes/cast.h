// cast: the operands of matmul-like operators become narrow; they accumulate in f32 and give f32.
//
//   %h = relu(%g)                             %h = relu(%g)
//   %r = reshape(%h, {8, 64})                 %n = cast(%h) {to = bf16}
//   %y = matmul(%r, %w)                  =>   %r = reshape(%n, {8, 64}) : bf16
//                                             %y = matmul(%r, %w_bf16) {result_type = f32}
//
// Only f32 operands of nodes on cores are cast, each value once. A cast stands right behind the
// operator that computes the value, above what only moves it, so that it can join that operator's
// group. Constants are converted here. `mode=all` does the same; narrow-edges does the rest once
// groups are formed. Products on exact numbers (exactness.h) keep f32, and remarks say why. With
// `numerics=strict` every operator's result is rounded to the narrow type.
#pragma once

#include <string>
#include <vector>

#include "passes/pass.h"

namespace neuronc {

struct CastOptions {
  std::string mode = "matmult";
  std::string type = "bf16";
  std::string keep_fp32;
  std::string numerics = "fast";
  std::vector<PassOption> options() {
    return {{"mode", &mode, "which operators", {"matmult", "all", "none"}},
            {"type", &type, "the narrow type", {"bf16", "fp16"}},
            {"keep-fp32", &keep_fp32, "regular expression of node names that keep f32"},
            {"numerics", &numerics, "strict: every result is rounded", {"fast", "strict"}}};
  }
};

// Stage placed -> cast. Errors: NEU0521 (bad regular expression). Warns: NEU0522 (a constant
// exceeds FP16's range).
Expected<Changed> cast(Module& module, const CastOptions& options, PassContext& context);

// bf16 or f16 for the option's text.
DType narrow_dtype(std::string_view type);

}  // namespace neuronc
