// fold-constants: computes what depends on constants alone, once and for all.
//
//   %1 = constant {2, 3} : i64[2]
//   %2 = mul(%1, %1) : i64[2]            =>    %2 = constant {4, 9} : i64[2]
//   %3 = shape(%x) : i64[2]                    %3 = constant {8, 5} : i64[2]      (%x : f32[8,5])
//
// Random operators are never folded. A result larger than its operands and `max-bytes` stays, as
// does one that takes more than `max-flops` to compute; a remark says so. Loops and branches share
// one such budget, which counts every trip. All results together may add `max-growth` bytes to the
// constants in use, and take eight times the bytes of those that there were: chains stop there.
#pragma once

#include "passes/pass.h"

namespace neuronc {

struct FoldConstantsOptions {
  int64_t max_bytes = int64_t{1} << 20;
  int64_t max_flops = 200'000'000;
  int64_t max_growth = int64_t{256} << 20;
  std::vector<PassOption> options() {
    return {{"max-bytes", &max_bytes, "of a result that is larger than its operands"},
            {"max-flops", &max_flops, "of one operator"},
            {"max-growth", &max_growth, "in bytes, of all constants together"}};
  }
};

Expected<Changed> fold_constants(Module& module, const FoldConstantsOptions& options,
                                 PassContext& context);

}  // namespace neuronc
