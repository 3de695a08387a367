// Value types of the graph IR: a tensor is dtype + shape, nothing else. Storage is a separate
// matter (storage.h); quantisation parameters are operands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/id.h"

namespace neuronc {

// One extent of a shape: a number, a named symbol of the module, or unknown (data-dependent).
class Dim {
 public:
  constexpr Dim() = default;                        // unknown
  constexpr Dim(int64_t number) : code_(number) {}  // NOLINT(google-explicit-constructor)
  static constexpr Dim unknown() { return Dim(); }
  static constexpr Dim symbol(SymbolId id) {
    Dim dim;
    dim.code_ = -2 - static_cast<int64_t>(id.index);
    return dim;
  }

  constexpr bool is_number() const { return code_ >= 0; }
  constexpr bool is_symbol() const { return code_ <= -2; }
  constexpr bool is_unknown() const { return code_ == -1; }
  constexpr int64_t number() const { return code_; }
  constexpr SymbolId symbol_id() const { return SymbolId(static_cast<size_t>(-2 - code_)); }
  friend constexpr bool operator==(Dim, Dim) = default;

 private:
  int64_t code_ = -1;
};

// No tensor of a static shape is larger: sums over a model's tensors cannot overflow below it.
inline constexpr int64_t kMostTensorBytes = int64_t{1} << 46;

struct Type {
  enum class Kind : uint8_t { none, tensor, sequence, optional, optional_sequence };

  Kind kind = Kind::none;
  DType dtype = DType::none;  // of the tensor, or of the tensors inside
  bool is_ranked = false;     // false: even the number of dims is unknown
  std::vector<Dim> dims;

  static Type tensor(DType dtype, std::vector<Dim> dims);
  static Type tensor(DType dtype, const std::vector<int64_t>& shape);
  static Type unranked(DType dtype);
  static Type sequence(Type element);
  static Type optional(Type element);

  bool is_tensor() const { return kind == Kind::tensor; }
  bool is_static() const;  // a tensor whose dims are all numbers
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }

  // Whether it is a static tensor of more than kMostTensorBytes. An extent of 0 counts as 1, so
  // that strides stay countable too.
  bool is_too_large() const;

  // Only for static tensors. Sizes beyond the range of int64_t saturate.
  std::vector<int64_t> shape() const;
  int64_t num_elements() const;
  int64_t size_bytes() const;

  friend bool operator==(const Type&, const Type&) = default;
};

// Product of the extents; 1 for a scalar. Saturates.
int64_t num_elements(const std::vector<int64_t>& shape);

// Strides in elements of a dense row-major array.
std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape);

}  // namespace neuronc
