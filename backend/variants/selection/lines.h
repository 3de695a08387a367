// What the variants of top_k share: lines of elements, and keys in the order of the result.
#pragma once

#include <vector>

#include "backend/lower/emitter.h"
#include "backend/variants/variant.h"

namespace neuronc {

// The line along the axis that a tile takes `k` of `n` elements from.
struct SelectionLine {
  std::vector<int64_t> shape;
  size_t axis = 0;
  int64_t n = 0, k = 0;
  int64_t num_lines() const;
};
// Of the anchor of `context`, a top_k; refuses lines that are empty, shorter than the default takes or
// too long for positions of 32 bits.
OrRefusal<SelectionLine> selection_line(const GroupContext& context);

// The time of a kernel that takes `line_ns` for a line; refuses where the default is faster: it has a line
// in each lane, where lines lie beside one another.
OrRefusal<double> faster_than_passes(const GroupContext& context, const SelectionLine& line,
                                     double line_ns);

// Keys of 32 bits hold every element type that is not wider itself.
DType selection_key(DType carrier);

// An integer of that type, or a vector of them, that stands where `x` does in the order of the result, the
// best the greatest; NaN is the greatest element, zeros of both signs are one.
Register selection_key_of(kernel::Builder& b, const Node& top_k, Register x);

// The index of the first element of line number `line`.
std::vector<kernel::Index> begin_of_line(const SelectionLine& line, kernel::Index number);

// Result j of the line at `dims` is the element at `position`.
void store_selected(GroupEmitter& e, const Node& top_k, const SelectionLine& line,
                    std::vector<kernel::Index> dims, kernel::Index j, kernel::Index position);

}  // namespace neuronc
