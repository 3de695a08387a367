// The walks over the terms of a sum that products and convolutions of floats, of integers and of
// quantised numbers share.
#pragma once

#include <functional>

#include "backend/lower/emitter.h"

namespace neuronc {

// A sum of products of elements of `a` and `b`.
struct Terms {
  ValueId a, b;
  DType carrier;  // of the sum
  // `sum` and one more product: of the elements of a and b at these indices.
  std::function<Register(const LaneIndex& a_at, const LaneIndex& b_at, Register sum)> add;
};

enum class Transposed : bool { no, yes };

// The element of a matrix product at `at`.
Register sum_product(GroupEmitter& e, const Terms& terms, const LaneIndex& at,
                     Transposed a = Transposed::no, Transposed b = Transposed::no);

// The element of a convolution of a with b, which has the attributes of `conv`, at `at`.
Register sum_windows(GroupEmitter& e, const Node& node, const Terms& terms, const LaneIndex& at);

}  // namespace neuronc
