// Implements compare.h.
#include "compiler/runner/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace neuronc {
namespace {

// Errors that leave a cosine of 0.995 may be a tenth of the vector.
constexpr double kMaxNormError = 0.1;
// Of an element's difference beside its scale. Errors that leave a cosine of 0.995 are a tenth of
// the vector's spread; the largest among hundreds of thousands that are not evenly spread is some
// thirty times the usual one (detectors come to 2.8).
constexpr double kMaxScaledDiff = 4;
// A difference below this is noise, whatever the output's scale.
constexpr double kNoise = 1e-6;
// And one of this part of the element is within the tolerance of FP32 arithmetic.
constexpr double kSmallPart = 1e-3;

std::string number_text(double value) {
  return std::isnan(value) ? "nan" : fmt::format("{:g}", value);
}

// What differences from one reference are measured by. Positions, identifiers and counters lie
// close together and far from 0: an error that is small beside them may be large beside their
// distances.
class Scale {
 public:
  explicit Scale(const Tensor& reference) {
    double count = 0, sum = 0, squares = 0;
    for (int64_t i = 0; i < reference.num_elements(); ++i) {
      if (std::isfinite(reference.f64(i))) sum += reference.f64(i), ++count;
    }
    mean_ = count > 0 ? sum / count : 0;
    for (int64_t i = 0; i < reference.num_elements(); ++i) {
      const double distance = reference.f64(i) - mean_;
      if (std::isfinite(distance)) squares += distance * distance;
    }
    deviation_ = count > 0 ? std::sqrt(squares / count) : 0;
    // What does not vary has no spread but its own size.
    if (deviation_ <= 1e-6 * std::abs(mean_)) deviation_ = std::abs(mean_);
  }
  // The difference from an element of the reference, in these terms.
  double scaled(double difference, double reference) const {
    if (difference <= kSmallPart * std::abs(reference) + kNoise) return 0;
    const double scale = deviation_ + std::abs(reference - mean_);
    return scale > 0 ? difference / scale : INFINITY;
  }

 private:
  double mean_ = 0, deviation_ = 0;
};

std::string describe(const Tensor& tensor) {
  return fmt::format("{}[{}]", name(tensor.dtype()), fmt::join(tensor.shape(), ","));
}

void compare_strings(const Tensor& actual, const Tensor& reference, Comparison& result) {
  for (int64_t i = 0; i < actual.num_elements(); ++i) {
    const auto index = static_cast<size_t>(i);
    if (actual.strings()[index] == reference.strings()[index]) continue;
    if (result.num_mismatches++ == 0) {
      result.why = fmt::format("element {} is \"{}\", not \"{}\"", i, actual.strings()[index],
                               reference.strings()[index]);
    }
  }
}

void compare_integers(const Tensor& actual, const Tensor& reference, Comparison& result) {
  for (int64_t i = 0; i < actual.num_elements(); ++i) {
    const int64_t a = actual.i64(i);
    const int64_t b = reference.i64(i);
    if (a == b) continue;
    result.max_abs_diff =
        std::max(result.max_abs_diff, std::abs(static_cast<double>(a) - static_cast<double>(b)));
    if (result.num_mismatches++ == 0) result.why = fmt::format("element {} is {}, not {}", i, a, b);
  }
}

void compare_floats(const Tensor& actual, const Tensor& reference, const Tolerance& tolerance,
                    Comparison& result) {
  const Scale scale(reference);
  double dot = 0, norm_a = 0, norm_b = 0, worst = 0;
  for (int64_t i = 0; i < actual.num_elements(); ++i) {
    const double a = actual.f64(i);
    const double b = reference.f64(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) {
      if (std::isfinite(a)) dot += a * b, norm_a += a * a, norm_b += b * b;
      continue;
    }
    const double diff = std::abs(a - b);
    const bool is_finite = std::isfinite(diff);
    if (is_finite) dot += a * b, norm_a += a * a, norm_b += b * b;
    result.max_abs_diff = is_finite ? std::max(result.max_abs_diff, diff) : INFINITY;
    result.max_scaled_diff =
        is_finite ? std::max(result.max_scaled_diff, scale.scaled(diff, b)) : INFINITY;
    const double excess = diff - (tolerance.atol + tolerance.rtol * std::abs(b));
    if (is_finite && excess <= 0) continue;
    ++result.num_mismatches;
    if (is_finite && excess <= worst) continue;
    worst = is_finite ? excess : INFINITY;
    result.why = fmt::format("element {} is {}, not {}", i, number_text(a), number_text(b));
  }
  const double norms = std::sqrt(norm_a) * std::sqrt(norm_b);
  result.cosine = norms > 0 ? dot / norms : (norm_a == norm_b ? 1.0 : 0.0);
  if (norms > 0) result.norm_ratio = std::sqrt(norm_a / norm_b);
}

// Rows run along the last axis that has more than one element.
void compare_argmax(const Tensor& actual, const Tensor& reference, Comparison& result) {
  int64_t length = 1;
  for (int64_t extent : reference.shape()) {
    if (extent > 1) length = extent;
  }
  if (length < 2) return;
  result.num_rows = reference.num_elements() / length;
  const auto argmax = [length](const Tensor& tensor, int64_t row) {
    int64_t best = 0;
    for (int64_t i = 1; i < length; ++i) {
      if (tensor.f64(row * length + i) > tensor.f64(row * length + best)) best = i;
    }
    return best;
  };
  for (int64_t row = 0; row < result.num_rows; ++row) {
    result.num_same_argmax += argmax(actual, row) == argmax(reference, row) ? 1 : 0;
  }
}

}  // namespace

Comparison compare(const Tensor& actual, const Tensor& reference, const Tolerance& tolerance) {
  Comparison result;
  result.num_elements = reference.num_elements();
  if (actual.dtype() != reference.dtype() || actual.shape() != reference.shape()) {
    result.why = fmt::format("it is {}, not {}", describe(actual), describe(reference));
    return result;
  }
  result.is_float = is_float(reference.dtype());
  if (reference.dtype() == DType::string) {
    compare_strings(actual, reference, result);
  } else if (result.is_float) {
    compare_floats(actual, reference, tolerance, result);
    compare_argmax(actual, reference, result);
  } else {
    compare_integers(actual, reference, result);
  }
  result.is_passed = result.num_mismatches == 0;
  if (result.is_float && tolerance.min_cosine) {
    const bool is_finite = std::isfinite(result.max_abs_diff);
    const bool is_noise = result.max_abs_diff <= kNoise;
    const bool has_direction = is_noise || result.cosine >= *tolerance.min_cosine;
    const bool has_norm = is_noise || std::abs(result.norm_ratio - 1) <= kMaxNormError;
    const bool is_near = result.max_scaled_diff <= kMaxScaledDiff;
    result.is_passed = is_finite && has_direction && has_norm && is_near;
    if (is_finite && !has_direction) {
      result.why = fmt::format("its cosine is {:.6f}, not at least {:g}", result.cosine,
                               *tolerance.min_cosine);
    } else if (is_finite && !has_norm) {
      result.why = fmt::format("its norm is {:.4g} times its reference's", result.norm_ratio);
    } else if (is_finite && !is_near) {
      result.why = fmt::format("its largest difference, {:.4g}, is {:.3g} times the output's scale",
                               result.max_abs_diff, result.max_scaled_diff);
    }
  }
  return result;
}

Comparison compare(const HostValue& actual, const HostValue& reference,
                   const Tolerance& tolerance) {
  Comparison worst;
  worst.is_passed = true;
  if (actual.kind != reference.kind || actual.has_value != reference.has_value ||
      actual.elements.size() != reference.elements.size()) {
    worst.is_passed = false;
    worst.why = fmt::format("it holds {} tensors, not {}", actual.elements.size(),
                            reference.elements.size());
    return worst;
  }
  for (size_t i = 0; i < reference.elements.size(); ++i) {
    Comparison element = compare(actual.elements[i], reference.elements[i], tolerance);
    const bool is_worse = i == 0 || (worst.is_passed && !element.is_passed) ||
                          (worst.is_passed == element.is_passed && element.cosine < worst.cosine);
    if (is_worse) worst = std::move(element);
  }
  return worst;
}

}  // namespace neuronc
