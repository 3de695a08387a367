// Private to math: every function once, as a template over an arithmetic policy P. A policy has the
// types V (float lanes), I (unsigned lanes of the same width), B (bool lanes), Real (float or
// double) and Wide (the policy of double), and one method per operation; it either computes or
// builds kernel IR.
//
// The functions use fma where it is written and nowhere else, and no conversion between floats and
// integers (but to wider and narrower ones of their kind, for large angles): integers enter and
// leave through the low bits of a large float, which every processor does in one addition.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "ir/kernel/math_coefficients.h"

namespace neuronc::kernel::math {

template <class P>
class Functions {
 public:
  using V = typename P::V;
  using I = typename P::I;
  using B = typename P::B;
  using Real = typename P::Real;
  static constexpr bool kIsF32 = std::is_same_v<Real, float>;

  explicit Functions(P policy) : p(policy) {}

  V exp(V x) { return exp_scaled(x, nullptr, 1); }

  V expm1(V x) {
    // Below the lower limit the result is -1; above the upper one it overflows.
    const V limited = p.max_num(p.c(kIsF32 ? -20 : -40), p.min_num(p.c(kIsF32 ? 88.9 : 709.9), x));
    constexpr double kMagic = kIsF32 ? 0x1.8p23 + 126 : 0x1.8p52 + 1022;
    const V t = p.fma(limited, p.c(kLog2e), p.c(kMagic));
    const V n = p.sub(t, p.c(kMagic));
    const V r = p.fma(n, p.c(-kLn2Low), p.fma(n, p.c(-kLn2High), limited));
    const V m = p.fma(p.mul(r, r), polynomial(kExpm1F32, kExpm1F64, r), r);
    // 2^n itself would overflow too early: with s = 2^(n-1) the result is 2*(s*m + (s - 1/2)).
    const V s = p.real(p.shl(p.bits(t), kMantissaBits));
    const V half = p.fma(s, m, p.sub(s, p.c(0.5)));
    // Halving would lose the last bit of a denormal, for which the result is x.
    return p.select(p.lt(p.abs(x), p.c(kIsF32 ? 0x1p-60 : 0x1p-500)), x, p.add(half, half));
  }

  V log(V x) { return log_plus(x, p.c(0)); }

  V log1p(V x) {
    const V u = p.add(p.c(1), x);
    // What the sum lost, relative to u. Not finite where u is 0 or infinite; log(u) is right there.
    const V lost = p.div(p.sub(x, p.sub(u, p.c(1))), u);
    const B is_usable = p.both(p.gt(u, p.c(0)), p.lt(u, p.c(kInfinity)));
    const V result = log_plus(u, p.select(is_usable, lost, p.c(0)));
    return p.select(p.eq(x, p.c(0)), x, result);
  }

  // s / (s + s * exp(-x)): with a small power of two for s neither end of the range overflows, and
  // results that are denormal come out of the division.
  V sigmoid(V x) {
    const V limited = p.max_num(p.c(kIsF32 ? -104.5 : -746.5), p.min_num(p.c(kIsF32 ? 30 : 60), x));
    constexpr int kShift = kIsF32 ? 64 : 128;
    constexpr double kMagic = (kIsF32 ? 0x1.8p23 : 0x1.8p52) + kBias - kShift;
    const V t = p.fma(limited, p.c(-kLog2e), p.c(kMagic));
    const V n = p.sub(t, p.c(kMagic));
    const V r = p.fma(n, p.c(-kLn2Low), p.fma(n, p.c(-kLn2High), p.neg(limited)));
    const V m = p.fma(p.mul(r, r), polynomial(kExpHalfF32, kExpm1F64, r), r);
    const V power = p.real(p.shl(p.bits(t), kMantissaBits));
    const V s = p.c(kIsF32 ? 0x1p-64 : 0x1p-128);
    return p.div(s, p.add(s, p.fma(power, m, power)));
  }

  V softplus(V x) {
    // The second operand of max_num is taken for NaN.
    return p.add(p.max_num(p.c(0), x), log1p(exp(p.neg(p.abs(x)))));
  }

  V tanh(V x) {
    const V m = expm1(p.mul(p.c(-2), p.abs(x)));
    return copy_sign(p.div(m, p.add(m, p.c(2))), x);
  }

  V sinh(V x) {
    const V a = p.abs(x);
    const V m = expm1(a);
    const V small = p.mul(p.c(0.5), p.add(m, p.div(m, p.add(m, p.c(1)))));
    const V large = exp_scaled(a, nullptr, 0.5);
    return copy_sign(p.select(p.lt(a, p.c(kIsF32 ? 10 : 20)), small, large), x);
  }

  V cosh(V x) {
    const V e = exp_scaled(p.abs(x), nullptr, 0.5);
    return p.add(e, p.div(p.c(0.25), e));
  }

  V asinh(V x) {
    const V a = p.abs(x);
    const V square = p.mul(a, a);
    const V root = p.sqrt(p.add(square, p.c(1)));
    const V small = log1p(p.add(a, p.div(square, p.add(p.c(1), root))));
    const V large = p.add(log(a), p.c(kLn2));
    return copy_sign(p.select(p.lt(a, p.c(kSquareLimit)), small, large), x);
  }

  V acosh(V x) {
    const V t = p.sub(x, p.c(1));
    const V small = log1p(p.add(t, p.sqrt(p.mul(t, p.add(t, p.c(2))))));
    const V large = p.add(log(x), p.c(kLn2));
    const V result = p.select(p.lt(x, p.c(kSquareLimit)), small, large);
    return p.select(p.lt(x, p.c(1)), p.c(kNan), result);
  }

  V atanh(V x) {
    const V a = p.abs(x);
    const V ratio = p.div(p.add(a, a), p.sub(p.c(1), a));
    return copy_sign(p.mul(p.c(0.5), log1p(ratio)), x);
  }

  V erf(V x) {
    const V a = p.min_num(p.c(kIsF32 ? 3.95 : 6), p.abs(x));
    const V square = p.mul(a, a);
    const V small = p.fma(x, polynomial(kErfSmallF32, kErfSmallF64, square), x);
    const V large = p.sub(p.c(1), erfc_of_large(a, square));
    return p.select(p.lt(a, p.c(kIsF32 ? 0.93 : 1)), small, copy_sign(large, x));
  }

  V sin(V x) {
    const Reduced r = reduce(x);
    const V value = p.select(is_even(r.quadrant), sin_polynomial(r.rest), cos_polynomial(r.rest));
    return p.select(p.eq(x, p.c(0)), x, negate_in_upper_half(value, r.quadrant));
  }

  V cos(V x) {
    const Reduced r = reduce(x);
    const V value = p.select(is_even(r.quadrant), cos_polynomial(r.rest), sin_polynomial(r.rest));
    return negate_in_upper_half(value, p.iadd(r.quadrant, p.ic(1)));
  }

  V tan(V x) {
    const Reduced r = reduce(x);
    const V s = sin_polynomial(r.rest), c = cos_polynomial(r.rest);
    const B is_plain = is_even(r.quadrant);
    const V ratio = p.div(p.select(is_plain, s, p.neg(c)), p.select(is_plain, c, s));
    return p.select(p.eq(x, p.c(0)), x, ratio);
  }

  // |x| is taken to at most tan(pi/8) by atan(a) = pi/4 + atan((a-1)/(a+1)) = pi/2 - atan(1/a).
  V atan(V x) {
    const V a = p.abs(x);
    const B is_large = p.gt(a, p.c(2.414213562373095));
    const B is_middle = p.gt(a, p.c(0.41421356237309503));
    const V numerator = p.select(is_large, p.c(-1), p.select(is_middle, p.sub(a, p.c(1)), a));
    const V denominator = p.select(is_large, a, p.select(is_middle, p.add(a, p.c(1)), p.c(1)));
    const V t = p.div(numerator, denominator);
    const V z = p.mul(t, t);
    const V high =
        p.select(is_large, p.c(kHalfPiHigh), p.select(is_middle, p.c(0.5 * kHalfPiHigh), p.c(0)));
    const V low = p.select(is_large, p.c(kHalfPiMiddle),
                           p.select(is_middle, p.c(0.5 * kHalfPiMiddle), p.c(0)));
    const V tail = p.fma(p.mul(t, z), polynomial(kAtanF32, kAtanF64, z), low);
    return copy_sign(p.add(high, p.add(t, tail)), x);
  }

  V asin(V x) {
    const ArcSine r = arc_sine(x);
    const V large = p.add(p.sub(p.c(kHalfPiHigh), p.add(r.value, r.value)), p.c(kHalfPiMiddle));
    return copy_sign(p.select(r.is_large, large, r.value), x);
  }

  V acos(V x) {
    const ArcSine r = arc_sine(x);
    const V twice = p.add(r.value, r.value);
    const B is_negative = p.lt(x, p.c(0));
    const V beyond = p.add(p.sub(p.c(2 * kHalfPiHigh), twice), p.c(2 * kHalfPiMiddle));
    const V large = p.select(is_negative, beyond, twice);
    const V small = p.sub(p.c(kHalfPiHigh), p.sub(copy_sign(r.value, x), p.c(kHalfPiMiddle)));
    return p.select(r.is_large, large, small);
  }

  V pow(V x, V y) {
    const V a = p.abs(x);
    const Double l = log_double(a);
    V high = p.mul(y, l.high);
    V low = p.fma(y, l.low, p.fma(y, l.high, p.neg(high)));
    // Beyond overflow and underflow the tail is of no use, and may be as large.
    low = p.select(p.lt(p.abs(high), p.c(kIsF32 ? 128 : 1024)), low, p.c(0));
    V result = exp_scaled(high, &low, 1);
    // The sign of a negative base under an odd exponent; NaN for a finite one under a fraction.
    const V half = p.mul(y, p.c(0.5));
    const B is_integer = p.eq(p.trunc(y), y);
    const B is_odd = p.both(is_integer, p.ne(p.trunc(half), half));
    const I sign = p.iand(p.bits(x), p.ic(kSignBit));
    const V negated = p.real(p.ixor(p.bits(result), sign));
    result = p.select(is_odd, negated, result);
    const B is_finite_negative = p.both(p.lt(x, p.c(0)), p.gt(x, p.c(-kInfinity)));
    const B is_fraction = p.both(p.ne(p.trunc(y), y), p.lt(p.abs(y), p.c(kInfinity)));
    result = p.select(p.both(is_finite_negative, is_fraction), p.c(kNan), result);
    const B is_unit = p.both(p.eq(a, p.c(1)), p.eq(p.abs(y), p.c(kInfinity)));
    const B is_one = p.either(p.either(p.eq(x, p.c(1)), p.eq(y, p.c(0))), is_unit);
    return p.select(is_one, p.c(1), result);
  }

 private:
  static constexpr int kMantissaBits = kIsF32 ? 23 : 52;
  static constexpr int kBias = kIsF32 ? 127 : 1023;
  static constexpr int64_t kSignBit =
      kIsF32 ? int64_t{1} << 31 : std::numeric_limits<int64_t>::min();
  static constexpr int64_t kMantissaMask = (int64_t{1} << kMantissaBits) - 1;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kLog2e = 0x1.71547652b82fep+0;
  static constexpr double kLn2 = 0x1.62e42fefa39efp-1;
  // ln 2 and pi/2 in parts that are exact in Real; with fma no part needs trailing zeros.
  static constexpr double kLn2High = kIsF32 ? 0x1.62e43p-1 : 0x1.62e42fefa39efp-1;
  static constexpr double kLn2Low = kIsF32 ? -0x1.05c61p-29 : 0x1.abc9e3b39803fp-56;
  // ln 2 with so many trailing zeros that its product with an exponent is exact.
  static constexpr double kLn2Short = kIsF32 ? 0x1.62ep-1 : 0x1.62e42fefap-1;
  static constexpr double kLn2ShortRest = kIsF32 ? 0x1.0bfbe8p-15 : 0x1.cf79abc9e3b3ap-40;
  static constexpr double kHalfPiHigh = kIsF32 ? 0x1.921fb6p+0 : 0x1.921fb54442d18p+0;
  static constexpr double kHalfPiMiddle = kIsF32 ? -0x1.777a5cp-25 : 0x1.1a62633145c07p-54;
  static constexpr double kHalfPiLow = kIsF32 ? -0x1.ee59dap-50 : -0x1.f1976b7ed8fbcp-110;
  static constexpr double kSquareLimit = kIsF32 ? 0x1p14 : 0x1p28;

  struct Double {
    V high;
    V low;
  };
  struct Reduced {
    V rest;      // |rest| <= pi/4
    I quadrant;  // in the low two bits
  };
  struct ArcSine {
    V value;  // asin(s) for s = |x|, or for s = sqrt((1-|x|)/2) where |x| > 1/2
    B is_large;
  };

  template <size_t N32, size_t N64>
  V polynomial(const float (&f32)[N32], const double (&f64)[N64], V x) {
    if constexpr (kIsF32) {
      return horner(f32, x);
    } else {
      return horner(f64, x);
    }
  }
  template <class T, size_t N>
  V horner(const T (&coefficients)[N], V x) {
    V sum = p.c(coefficients[N - 1]);
    for (size_t i = N - 1; i-- > 0;) sum = p.fma(sum, x, p.c(coefficients[i]));
    return sum;
  }

  // erfc(a), as good as 1 less it needs.
  V erfc_of_large(V a, V square) {
    if constexpr (kIsF32) {
      constexpr double kMagic = 0x1.8p23 + kBias;
      const V exponent = horner(kErfcLog2F32, a);
      const V t = p.add(exponent, p.c(kMagic));
      const V r = p.sub(exponent, p.sub(t, p.c(kMagic)));
      const V power = p.real(p.shl(p.bits(t), kMantissaBits));
      return p.mul(power, p.fma(r, horner(kExp2F32, r), p.c(1)));
    } else {
      const V t = p.div(p.sub(a, p.c(2)), p.add(a, p.c(2)));
      return p.mul(exp(p.neg(square)), horner(kErfcScaledF64, t));
    }
  }

  V copy_sign(V magnitude, V sign) {
    const I m = p.iand(p.bits(magnitude), p.ic(~kSignBit));
    return p.real(p.ior(m, p.iand(p.bits(sign), p.ic(kSignBit))));
  }

  // factor * exp(x + *low). Halving the exponent lets one power of two, multiplied in twice, reach
  // overflow and denormals without a case of its own.
  V exp_scaled(V x, const V* low, double factor) {
    const V limited =
        p.max_num(p.c(kIsF32 ? -104.5 : -746.5), p.min_num(p.c(kIsF32 ? 90.0 : 711.0), x));
    constexpr double kMagic = kIsF32 ? 0x1.8p23 + 127 : 0x1.8p52 + 1023;
    const V t = p.fma(limited, p.c(0.5 * kLog2e), p.c(kMagic));
    const V h = p.sub(t, p.c(kMagic));
    V r = p.fma(h, p.c(-2 * kLn2Low), p.fma(h, p.c(-2 * kLn2High), limited));
    if (low != nullptr) r = p.add(r, *low);
    const V q = p.fma(r, polynomial(kExpF32, kExpF64, r), p.c(1));
    V m = p.fma(r, q, p.c(1));
    if (factor != 1) m = p.mul(m, p.c(factor));
    // The low bits of t are the biased half exponent.
    const V s = p.real(p.shl(p.bits(t), kMantissaBits));
    return p.mul(p.mul(m, s), s);
  }

  struct Split {
    V exponent;  // whole
    V fraction;  // f in [sqrt(1/2)-1, sqrt(2)-1): x = 2^exponent * (1 + f)
  };
  Split split(V x) {
    const B is_denormal = p.lt(x, p.c(std::numeric_limits<Real>::min()));
    constexpr double kScale = kIsF32 ? 0x1p24 : 0x1p54;
    const V scaled = p.select(is_denormal, p.mul(x, p.c(kScale)), x);
    constexpr int64_t kRootHalf = kIsF32 ? 0x3f3504f3 : 0x3fe6a09e667f3bcd;
    constexpr int64_t kOne = int64_t{kBias} << kMantissaBits;
    const I shifted = p.iadd(p.bits(scaled), p.ic(kOne - kRootHalf));
    constexpr double kTop = kIsF32 ? 0x1p23 : 0x1p52;
    constexpr int64_t kTopBits = int64_t{kBias + kMantissaBits} << kMantissaBits;
    const V biased = p.real(p.ior(p.lshr(shifted, kMantissaBits), p.ic(kTopBits)));
    const V offset =
        p.select(is_denormal, p.c(kTop + kBias + (kIsF32 ? 24 : 54)), p.c(kTop + kBias));
    const I mantissa = p.iadd(p.iand(shifted, p.ic(kMantissaMask)), p.ic(kRootHalf));
    return {p.sub(biased, offset), p.sub(p.real(mantissa), p.c(1))};
  }

  // log(x) + small, with the special values of log(x).
  V log_plus(V x, V small) {
    const Split s = split(x);
    const V e = s.exponent, f = s.fraction;
    const V low = p.fma(e, p.c(kLn2ShortRest), small);
    V result = f;
    if constexpr (kIsF32) {
      const V square = p.mul(f, f);
      const V cubic = p.fma(p.mul(square, f), horner(kLogF32, f), low);
      const V tail = p.fma(square, p.c(-0.5), cubic);
      result = p.fma(e, p.c(kLn2Short), p.add(f, tail));
    } else {
      // log(1+f) = f - (f^2/2 - s*(f^2/2 + R)), s = f/(2+f), R = s^2 * P(s^2).
      const V quotient = p.div(f, p.add(f, p.c(2)));
      const V z = p.mul(quotient, quotient);
      const V rest = p.mul(z, horner(kLogQuotientF64, z));
      const V half_square = p.mul(p.c(0.5), p.mul(f, f));
      const V tail = p.fma(quotient, p.add(half_square, rest), low);
      result = p.sub(p.mul(e, p.c(kLn2Short)), p.sub(p.sub(half_square, tail), f));
    }
    const B is_positive = p.gt(x, p.c(0));
    const V special =
        p.select(p.eq(x, p.c(0)), p.c(-kInfinity), p.select(is_positive, x, p.c(kNan)));
    return p.select(p.both(is_positive, p.lt(x, p.c(kInfinity))), result, special);
  }

  // log(x) for x >= 0 as a sum of two, good to about twice the significand less its leading bits.
  Double log_double(V x) {
    const Split s = split(x);
    const V e = s.exponent, f = s.fraction;
    // q + q_low = f / (2 + f)
    const V d = p.add(f, p.c(2));
    const V d_low = p.sub(f, p.sub(d, p.c(2)));
    const V q = p.div(f, d);
    const V remainder = p.fma(p.neg(q), d_low, p.fma(p.neg(q), d, f));
    const V q_low = p.div(remainder, d);
    const V z = p.mul(q, q);
    const V tail = p.mul(p.mul(q, z), polynomial(kLogQuotientF32, kLogQuotientF64, z));
    const V rest = p.add(p.fma(e, p.c(kLn2ShortRest), p.add(q_low, q_low)), tail);
    // e*ln2 is no smaller than 2q unless it is 0, so that two-sum needs no comparison.
    const V big = p.mul(e, p.c(kLn2Short)), twice = p.add(q, q);
    const V sum = p.add(big, twice);
    const V lost = p.sub(twice, p.sub(sum, big));
    const V low_part = p.add(lost, rest);
    const V high = p.add(sum, low_part);
    const V low = p.sub(low_part, p.sub(high, sum));
    // log(0), log(inf) and log(NaN) stand alone.
    const B is_regular = p.both(p.gt(x, p.c(0)), p.lt(x, p.c(kInfinity)));
    const V special = p.select(p.eq(x, p.c(0)), p.c(-kInfinity), x);
    return {p.select(is_regular, high, special), p.select(is_regular, low, p.c(0))};
  }

  // x = quadrant * pi/2 + rest. Beyond a limit, which few arguments reach, x is reduced by
  // integers.
  Reduced reduce(V x) {
    constexpr double kMagic = kIsF32 ? 0x1.8p23 : 0x1.8p52;
    constexpr double kLimit = kIsF32 ? 0x1p16 : 0x1p29;
    const V t = p.fma(x, p.c(0x1.45f306dc9c883p-1), p.c(kMagic));
    const V n = p.sub(t, p.c(kMagic));
    V r = p.fma(n, p.c(-kHalfPiHigh), x);
    r = p.fma(n, p.c(-kHalfPiMiddle), r);
    r = p.fma(n, p.c(-kHalfPiLow), r);
    const Reduced small{r, p.bits(t)};
    const V a = p.abs(x);
    const B is_large = p.both(p.gt(a, p.c(kLimit)), p.lt(a, p.c(kInfinity)));
    return p.where_any(is_large, small, [&] {
      const Reduced large = reduce_large(x);
      return Reduced{p.select(is_large, large.rest, small.rest),
                     p.select(is_large, large.quadrant, small.quadrant)};
    });
  }

  // Wide lanes: f64 and u64, whatever the function's own.
  using Wide = typename P::Wide;
  using W = typename Wide::I;
  using D = typename Wide::V;
  static constexpr int64_t kLow32 = 0xffffffff;
  // Limbs of 32 bits that x * 2/pi is computed with, modulo 4: two bits before the point, and
  // behind it as many as the significand's two lengths and the longest run of equal bits take.
  static constexpr size_t kLimbs = kIsF32 ? 4 : 6;

  // The limbs of 2/pi from bit `start` on; bit 32 is the first behind the point.
  std::vector<W> two_over_pi(Wide& w, W start) {
    constexpr int kIndexBits = kIsF32 ? 3 : 5;
    constexpr size_t kNumWords = kLimbs + (size_t{1} << kIndexBits);
    std::vector<W> words{w.ic(0)};
    for (size_t i = 0; i + 1 < kNumWords; ++i) words.push_back(w.ic(kTwoOverPi[i]));
    for (int bit = kIndexBits - 1; bit >= 0; --bit) {
      const size_t step = size_t{1} << bit;
      const auto is_unset = w.is_zero(w.iand(start, w.ic(int64_t{32} << bit)));
      for (size_t i = 0; i < kLimbs + step; ++i) {
        words[i] = w.select(is_unset, words[i], words[i + step]);
      }
    }
    const W shift = w.iand(start, w.ic(31));
    std::vector<W> limbs;
    for (size_t i = 0; i < kLimbs; ++i) {
      const W pair = w.ior(w.shl(words[i], 32), words[i + 1]);
      limbs.push_back(w.lshr(w.shl_by(pair, shift), 32));
    }
    return limbs;
  }

  // significand * limbs without what goes beyond the first limb.
  std::vector<W> product(Wide& w, W significand, const std::vector<W>& limbs) {
    const W low = kIsF32 ? significand : w.iand(significand, w.ic(kLow32));
    std::vector<W> result(kLimbs, w.ic(0));
    W carry = w.ic(0);
    for (size_t i = kLimbs; i-- > 0;) {
      const W sum = w.iadd(w.imul(low, limbs[i]), carry);
      result[i] = w.iand(sum, w.ic(kLow32));
      carry = w.lshr(sum, 32);
    }
    if (kIsF32) return result;
    const W high = w.lshr(significand, 32);
    carry = w.ic(0);
    for (size_t i = kLimbs - 1; i-- > 0;) {
      const W sum = w.iadd(w.iadd(w.imul(high, limbs[i + 1]), result[i]), carry);
      result[i] = w.iand(sum, w.ic(kLow32));
      carry = w.lshr(sum, 32);
    }
    return result;
  }

  // Payne and Hanek's reduction of a finite |x| >= 2^16: the bits of 2/pi whose product with x is a
  // multiple of 4 play no part, and those far behind the point neither.
  Reduced reduce_large(V x) {
    Wide w = p.wide();
    const W bits = p.widen(p.iand(p.bits(x), p.ic(~kSignBit)));
    const W significand =
        w.ior(w.iand(bits, w.ic(kMantissaMask)), w.ic(int64_t{1} << kMantissaBits));
    const W start = w.isub(w.lshr(bits, kMantissaBits), w.ic(kBias + kMantissaBits - 30));
    const std::vector<W> turns = product(w, significand, two_over_pi(w, start));
    // The fraction, nearest to 0: above 1/2 its distance from 1, in the next quadrant.
    std::vector<W> fraction;
    for (size_t i = 0; i < 4; ++i) {
      const W next = i + 1 < kLimbs ? w.lshr(turns[i + 1], 30) : w.ic(0);
      fraction.push_back(w.iand(w.ior(w.shl(turns[i], 2), next), w.ic(kLow32)));
    }
    const W is_above = w.lshr(fraction[0], 31);
    const W flip = w.iand(w.isub(w.ic(0), is_above), w.ic(kLow32));
    const auto part = [&](size_t i, double scale) {
      constexpr int64_t kTop = int64_t{0x433} << 52;
      const D above_top = w.real(w.ior(w.ixor(fraction[i], flip), w.ic(kTop)));
      return w.mul(w.sub(above_top, w.c(0x1p52)), w.c(scale));
    };
    const D a = part(0, 0x1p-32), b = part(1, 0x1p-64);
    const D sum = w.add(a, b);
    const D tail = w.add(w.sub(b, w.sub(sum, a)), w.add(part(2, 0x1p-96), part(3, 0x1p-128)));
    const D high = w.add(sum, tail);
    const D low = w.sub(tail, w.sub(high, sum));
    constexpr double kHigh = 0x1.921fb54442d18p+0, kMiddle = 0x1.1a62633145c07p-54;
    const D rest = w.mul(high, w.c(kHigh));
    const D lost = w.fma(high, w.c(kHigh), w.neg(rest));
    const D correction = w.fma(low, w.c(kHigh), w.fma(high, w.c(kMiddle), lost));
    // A negative x lies in the mirrored quadrant.
    const W is_negative = p.widen(p.lshr(p.bits(x), kIsF32 ? 31 : 63));
    const W sign = w.shl(w.ixor(is_negative, is_above), 63);
    const W quadrant = w.iadd(w.lshr(turns[0], 30), is_above);
    const W mirrored = w.iadd(w.ixor(quadrant, w.isub(w.ic(0), is_negative)), is_negative);
    return {p.narrow_real(w.real(w.ixor(w.bits(w.add(rest, correction)), sign))),
            p.narrow(mirrored)};
  }

  B is_even(I quadrant) { return p.is_zero(p.iand(quadrant, p.ic(1))); }
  V negate_in_upper_half(V value, I quadrant) {
    const I sign = p.shl(p.iand(quadrant, p.ic(2)), kIsF32 ? 30 : 62);
    return p.real(p.ixor(p.bits(value), sign));
  }
  V sin_polynomial(V r) {
    const V z = p.mul(r, r);
    return p.fma(p.mul(r, z), polynomial(kSinF32, kSinF64, z), r);
  }
  V cos_polynomial(V r) {
    const V z = p.mul(r, r);
    const V tail = p.mul(p.mul(z, z), polynomial(kCosF32, kCosF64, z));
    // 1 - z/2 loses bits that the tail gets back.
    const V half = p.mul(p.c(0.5), z);
    const V high = p.sub(p.c(1), half);
    return p.add(high, p.add(p.sub(p.sub(p.c(1), high), half), tail));
  }

  ArcSine arc_sine(V x) {
    const V a = p.abs(x);
    const B is_large = p.gt(a, p.c(0.5));
    const V z = p.select(is_large, p.mul(p.c(0.5), p.sub(p.c(1), a)), p.mul(a, a));
    const V s = p.select(is_large, p.sqrt(z), a);
    return {p.fma(p.mul(s, z), polynomial(kAsinF32, kAsinF64, z), s), is_large};
  }

  P p;
};

}  // namespace neuronc::kernel::math
