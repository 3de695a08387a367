// The functions on plain scalars: what constant folding and the evaluator use.
#include <cmath>
#include <cstring>

#include "ir/kernel/math.h"
#include "ir/kernel/math_impl.h"

namespace neuronc::kernel::math {
namespace {

template <class T>
struct ScalarPolicy {
  using Real = T;
  using V = T;
  using I = std::conditional_t<std::is_same_v<T, float>, uint32_t, uint64_t>;
  using B = bool;
  using Wide = ScalarPolicy<double>;

  static V c(double x) { return static_cast<T>(x); }
  static I ic(int64_t x) { return static_cast<I>(x); }
  static V add(V a, V b) { return a + b; }
  static V sub(V a, V b) { return a - b; }
  static V mul(V a, V b) { return a * b; }
  static V div(V a, V b) { return a / b; }
  static V fma(V a, V b, V c) { return std::fma(a, b, c); }
  static V neg(V a) { return -a; }
  static V abs(V a) { return std::fabs(a); }
  static V sqrt(V a) { return std::sqrt(a); }
  static V trunc(V a) { return std::trunc(a); }
  static V min_num(V a, V b) { return a < b ? a : b; }
  static V max_num(V a, V b) { return a > b ? a : b; }
  static B lt(V a, V b) { return a < b; }
  static B gt(V a, V b) { return a > b; }
  static B eq(V a, V b) { return a == b; }
  static B ne(V a, V b) { return a != b; }
  static B both(B a, B b) { return a && b; }
  static B either(B a, B b) { return a || b; }
  static B is_zero(I a) { return a == 0; }
  template <class X>
  static X select(B condition, X a, X b) {
    return condition ? a : b;
  }
  static I bits(V a) { return std::bit_cast<I>(a); }
  static V real(I a) { return std::bit_cast<V>(a); }
  static I iadd(I a, I b) { return a + b; }
  static I iand(I a, I b) { return a & b; }
  static I ior(I a, I b) { return a | b; }
  static I ixor(I a, I b) { return a ^ b; }
  static I shl(I a, int n) { return a << n; }
  static I lshr(I a, int n) { return a >> n; }
  static I isub(I a, I b) { return a - b; }
  static I imul(I a, I b) { return a * b; }
  static I shl_by(I a, I n) { return a << n; }

  static Wide wide() { return {}; }
  static uint64_t widen(I a) { return a; }
  static I narrow(uint64_t a) { return static_cast<I>(a); }
  static V narrow_real(double a) { return static_cast<V>(a); }
  template <class R, class Then>
  static R where_any(B condition, const R& otherwise, Then then) {
    return condition ? then() : otherwise;
  }
};

}  // namespace

#define NEURONC_DEFINE(name, summary)                                        \
  float name(float x) { return Functions<ScalarPolicy<float>>({}).name(x); } \
  double name(double x) { return Functions<ScalarPolicy<double>>({}).name(x); }
NEURONC_MATH_UNARY(NEURONC_DEFINE)
#undef NEURONC_DEFINE

float pow(float x, float y) { return Functions<ScalarPolicy<float>>({}).pow(x, y); }
double pow(double x, double y) { return Functions<ScalarPolicy<double>>({}).pow(x, y); }

}  // namespace neuronc::kernel::math
