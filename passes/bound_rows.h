// bound-rows: products of rows whose number is known only when the model runs, on the cores.
//
//   %keep = ... : f32[?,64]                      %n = shape(%keep) {end = 1, start = 0}
//   %y = matmul(%keep, %w) : f32[?,10]    =>     %i = min(iota, %n) : i64[100]
//                                                %1 = gather(concat(%keep, zeros), %i) : f32[100,64]
//                                                %2 = matmul(%1, %w) : f32[100,10]
//                                                %y = slice(%2, 0, %n) : f32[?,10]
//
// Where a bound of their number follows from the graph (a detector keeps at most 100 boxes), rows
// of zeros fill up to it, all of them are computed natively, and the host takes those that are
// there. Operators behind the product that treat each row by itself go along.
#pragma once

#include "passes/pass.h"

namespace neuronc {

struct BoundRowsOptions {
  int64_t max_rows = 2048;
  int64_t max_bytes = int64_t{1} << 26;  // of one value
  std::vector<PassOption> options() {
    return {{"max-rows", &max_rows, "the most rows that are filled up to"},
            {"max-bytes", &max_bytes, "the largest value, in bytes, that is filled up"}};
  }
};

Expected<Changed> bound_rows(Module& module, const BoundRowsOptions& options, PassContext& context);

}  // namespace neuronc
