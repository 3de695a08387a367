// Judges an output against its reference: what `neuronc verify` and the model tests report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ir/tensor.h"

namespace neuronc {

struct Tolerance {
  double rtol = 1e-3;  // |d| <= atol + rtol * |reference|
  double atol = 1e-4;
  // Where set, float outputs are judged by it instead, by their norm, which a cosine ignores, and
  // by the largest difference, which a long vector hides.
  std::optional<double> min_cosine;
};

struct Comparison {
  bool is_passed = false;
  bool is_float = false;
  double max_abs_diff = 0;
  // The largest difference by the reference's spread: its standard deviation and the distance of
  // the element from the mean. A thousandth of the element, or what is mere noise, counts as none.
  double max_scaled_diff = 0;
  double cosine = 1;           // of the outputs as vectors
  double norm_ratio = 1;       // of the output's length as a vector to its reference's
  int64_t num_mismatches = 0;  // elements outside of the tolerance; integers: that differ
  int64_t num_elements = 0;
  int64_t num_rows = 0;         // rows along the last axis of more than one element
  int64_t num_same_argmax = 0;  // of them, those whose greatest element is the same
  std::string why;              // what is wrong, where it failed
};

// Floats within the tolerance, everything else exactly. NaN equals NaN, infinities themselves.
Comparison compare(const Tensor& actual, const Tensor& reference, const Tolerance& tolerance);
// Sequences and optionals element by element; the worst element's figures.
Comparison compare(const HostValue& actual, const HostValue& reference, const Tolerance& tolerance);

}  // namespace neuronc
