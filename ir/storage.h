// How a value lies in memory, known from stage `laid_out`.
//
// Element (i0, i1, ...) of a value stands at
//   offset + sum over d of i_d * strides[d]                       (d not blocked)
//          + (i_b / block) * strides[b] + (i_b % block)           (d = blocked_dim)
// counted in elements of `dtype` from the start of its base. A value without `base` owns an
// allocation of `num_elements` elements; a view aliases the allocation of `base`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/id.h"
#include "ir/type.h"

namespace neuronc {

struct Storage {
  DType dtype = DType::none;     // as stored; a bf16 value may be carried in f32 memory
  std::vector<int64_t> strides;  // one per logical dim; empty dims and scalars have none
  int64_t offset = 0;
  int64_t num_elements = 0;  // of the allocation, padding included; 0 for a view
  int32_t blocked_dim = -1;  // -1: no blocking
  int64_t block = 1;
  ValueId base;  // the owner of the allocation this is a view of

  explicit operator bool() const { return dtype != DType::none; }
  bool is_view() const { return static_cast<bool>(base); }
  int64_t size_bytes() const { return num_elements * neuronc::size_bytes(dtype); }

  // Dense, dims from outermost to innermost as `order` lists them; {} is row-major.
  static Storage dense(DType dtype, const std::vector<int64_t>& shape,
                       const std::vector<int>& order = {});

  // True if elements in row-major order of `shape` are consecutive from `offset`.
  bool is_row_major(const std::vector<int64_t>& shape) const;

  // Dims from the largest stride to the smallest (ties: lower dim first; extent-1 dims first).
  std::vector<int> order(const std::vector<int64_t>& shape) const;

  friend bool operator==(const Storage&, const Storage&) = default;
};

}  // namespace neuronc
