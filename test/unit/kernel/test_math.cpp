// Accuracy of the transcendental functions against extended precision, their special values, and
// that kernel IR gives the bits of the scalar functions.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "differential.h"
#include "ir/kernel/builder.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

namespace math = kernel::math;

long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double softplus(long double x) {
  return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x)));
}

struct FunctionTest {
  const char* name;
  float (*f32)(float);
  double (*f64)(double);
  long double (*reference)(long double);
  double lo, hi;  // arguments, f32
  double lo_f64, hi_f64;
  double ulp_f32, ulp_f64;
};

const FunctionTest kTests[] = {
    {"acos", math::acos, math::acos, std::acos, -1, 1, -1, 1, 3, 4},
    {"acosh", math::acosh, math::acosh, std::acosh, 1, 1e30, 1, 1e300, 4, 6},
    {"asin", math::asin, math::asin, std::asin, -1, 1, -1, 1, 3, 4},
    {"asinh", math::asinh, math::asinh, std::asinh, -1e30, 1e30, -1e300, 1e300, 4, 6},
    {"atan", math::atan, math::atan, std::atan, -1e30, 1e30, -1e300, 1e300, 2, 3},
    {"atanh", math::atanh, math::atanh, std::atanh, -1, 1, -1, 1, 4, 6},
    {"cos", math::cos, math::cos, std::cos, -3.4e38, 3.4e38, -1.7e308, 1.7e308, 2, 2},
    {"cosh", math::cosh, math::cosh, std::cosh, -89, 89, -710, 710, 3, 4},
    {"erf", math::erf, math::erf, std::erf, -5, 5, -7, 7, 2, 4},
    {"exp", math::exp, math::exp, std::exp, -104, 89, -746, 710, 1.5, 2},
    {"expm1", math::expm1, math::expm1, std::expm1, -20, 89, -40, 710, 2, 3},
    {"log", math::log, math::log, std::log, 0, 3e38, 0, 1e308, 1.5, 2},
    {"log1p", math::log1p, math::log1p, std::log1p, -1, 1e30, -1, 1e300, 2, 3},
    {"sigmoid", math::sigmoid, math::sigmoid, sigmoid, -100, 100, -740, 740, 2.5, 4},
    {"sin", math::sin, math::sin, std::sin, -3.4e38, 3.4e38, -1.7e308, 1.7e308, 2, 2},
    {"sinh", math::sinh, math::sinh, std::sinh, -89, 89, -710, 710, 4, 4},
    {"softplus", math::softplus, math::softplus, softplus, -100, 100, -740, 740, 3, 4},
    {"tan", math::tan, math::tan, std::tan, -3.4e38, 3.4e38, -1.7e308, 1.7e308, 4, 4},
    {"tanh", math::tanh, math::tanh, std::tanh, -12, 12, -25, 25, 2.5, 4},
};

// Error in units of the last place of the exact result.
template <class T>
double ulps(T actual, long double exact) {
  if (std::isnan(exact) || std::isnan(actual)) {
    return std::isnan(exact) == std::isnan(actual) ? 0 : 1e9;
  }
  const T nearest = static_cast<T>(exact);
  if (actual == nearest) return std::isinf(nearest) ? 0 : 0.5;
  if (std::isinf(nearest) || std::isinf(actual)) return 1e9;
  int exponent = 0;
  std::frexp(exact, &exponent);
  exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
  const long double unit = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
  return static_cast<double>(std::fabs(static_cast<long double>(actual) - exact) / unit);
}

// Half of the arguments are uniform, half have uniform exponents.
template <class T>
T argument(double lo, double hi, std::mt19937_64& random) {
  std::uniform_real_distribution<double> unit(0, 1);
  for (;;) {
    T x = static_cast<T>(lo + (hi - lo) * unit(random));
    if (random() % 2 == 0) {
      const int span = sizeof(T) == 4 ? 60 : 300;
      x = static_cast<T>(
          std::ldexp(unit(random) + 0.5,
                     static_cast<int>(random() % (2 * static_cast<unsigned>(span))) - span));
      if (random() % 2 == 0) x = -x;
      if (random() % 3 == 0) x = 1 + x;
    }
    if (x >= static_cast<T>(lo) && x <= static_cast<T>(hi)) return x;
  }
}

constexpr int kSamples = 100000;

}  // namespace

TEST_CASE("each function is as accurate as its header states") {
  std::mt19937_64 random(7);
  for (const FunctionTest& t : kTests) {
    double worst_f32 = 0, worst_f64 = 0;
    float at_f32 = 0;
    double at_f64 = 0;
    for (int i = 0; i < kSamples; ++i) {
      const float x = argument<float>(t.lo, t.hi, random);
      if (const double u = ulps(t.f32(x), t.reference(x)); u > worst_f32) worst_f32 = u, at_f32 = x;
      const double y = argument<double>(t.lo_f64, t.hi_f64, random);
      if (const double u = ulps(t.f64(y), t.reference(y)); u > worst_f64) worst_f64 = u, at_f64 = y;
    }
    INFO(t.name << ": f32 " << worst_f32 << " at " << at_f32 << ", f64 " << worst_f64 << " at "
                << at_f64);
    if (std::getenv("NEURONC_TEST_VERBOSE") != nullptr) {
      std::printf("%-9s f32 %.2f at %.9g, f64 %.2f at %.17g\n", t.name, worst_f32,
                  static_cast<double>(at_f32), worst_f64, at_f64);
    }
    CHECK(worst_f32 <= t.ulp_f32);
    CHECK(worst_f64 <= t.ulp_f64);
  }
}

TEST_CASE("pow is as accurate as its header states") {
  std::mt19937_64 random(8);
  double worst_f32 = 0, worst_f64 = 0;
  for (int i = 0; i < 4 * kSamples; ++i) {
    const double span = std::ldexp(1.0, static_cast<int>(random() % 14) - 7);
    const float x = std::fabs(argument<float>(0, 1e30, random));
    const float y = argument<float>(-span, span, random);
    worst_f32 =
        std::max(worst_f32, ulps(math::pow(x, y), std::pow(static_cast<long double>(x), y)));
    const double z = std::fabs(argument<double>(0, 1e300, random));
    const double w = argument<double>(-span, span, random);
    worst_f64 =
        std::max(worst_f64, ulps(math::pow(z, w), std::pow(static_cast<long double>(z), w)));
  }
  INFO("f32 " << worst_f32 << ", f64 " << worst_f64);
  if (std::getenv("NEURONC_TEST_VERBOSE") != nullptr) {
    std::printf("pow       f32 %.2f, f64 %.2f\n", worst_f32, worst_f64);
  }
  CHECK(worst_f32 <= 4);
  CHECK(worst_f64 <= 8);
}

TEMPLATE_TEST_CASE("special values are those of C", "", float, double) {
  using T = TestType;
  const T inf = std::numeric_limits<T>::infinity();
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const T tiny = std::numeric_limits<T>::denorm_min();
  const T max = std::numeric_limits<T>::max();
  const T values[] = {0,  -T{0}, 1,    -1,  2,    -2,    T{0.5}, 3,
                      -3, inf,   -inf, nan, tiny, -tiny, max,    -max};
  const auto same = [](T a, T b) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  };
  for (T x : values) {
    for (const FunctionTest& t : kTests) {
      T actual, expected;
      if constexpr (std::is_same_v<T, float>) {
        actual = t.f32(x);
      } else {
        actual = t.f64(x);
      }
      expected = static_cast<T>(t.reference(x));
      INFO(t.name << "(" << x << ") is " << actual << ", expected " << expected);
      const bool is_special = expected == 0 || !std::isfinite(expected);
      CHECK((is_special ? same(actual, expected) : ulps(actual, t.reference(x)) < 8));
    }
    for (T y : values) {
      const T expected = static_cast<T>(std::pow(static_cast<long double>(x), y));
      const T actual = math::pow(x, y);
      INFO("pow(" << x << ", " << y << ") is " << actual << ", expected " << expected);
      const bool is_special = expected == 0 || !std::isfinite(expected);
      CHECK((is_special ? same(actual, expected)
                        : ulps<T>(actual, std::pow(static_cast<long double>(x), y)) < 8));
    }
  }
}

namespace {

using BuilderFunction = kernel::Value (*)(kernel::Builder&, kernel::Value);

template <class T>
void check_bits_of_kernel(const char* name, BuilderFunction f, T (*scalar)(T),
                          std::vector<testing::Case>& cases, std::mt19937_64& random) {
  const DType dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
  constexpr int64_t kElements = 2048;
  kernel::Builder b(name, 1);
  const auto x = b.input("x", dtype, {kElements});
  const auto y = b.output("y", dtype, {kElements});
  b.for_loop({0, kElements, 8}, [&](kernel::Index i) { b.store(y, {i}, f(b, b.load(x, {i}, 8))); });
  testing::Case c = testing::make_case(std::move(b).finish(), random);
  std::vector<T> in(kElements), out(kElements);
  std::memcpy(in.data(), c.buffers[0].data(), kElements * sizeof(T));
  void* const buffers[] = {in.data(), out.data()};
  REQUIRE(kernel::Interpreter(c.kernel).run(buffers, 0, 1) == 0);
  for (size_t i = 0; i < kElements; ++i) {
    const T expected = scalar(in[i]);
    const bool is_same = std::memcmp(&expected, &out[i], sizeof(T)) == 0 ||
                         (std::isnan(expected) && std::isnan(out[i]));
    INFO(name << "(" << in[i] << ") is " << out[i] << " in a kernel, " << expected << " as scalar");
    CHECK(is_same);
  }
  cases.push_back(std::move(c));
}

}  // namespace

TEST_CASE("kernel IR gives the bits of the scalar functions, interpreted and natively") {
  std::mt19937_64 random(9);
  std::vector<testing::Case> cases;
#define NEURONC_TEST(name, summary)                                                 \
  check_bits_of_kernel<float>(#name " f32", math::name, math::name, cases, random); \
  check_bits_of_kernel<double>(#name " f64", math::name, math::name, cases, random);
  NEURONC_MATH_UNARY(NEURONC_TEST)
#undef NEURONC_TEST
  testing::check_same_bits(cases);
}

}  // namespace neuronc
