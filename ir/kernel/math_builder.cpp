// The functions as kernel IR.
#include "ir/base/check.h"
#include "ir/kernel/math.h"
#include "ir/kernel/math_impl.h"

namespace neuronc::kernel::math {
namespace {

template <class T>
struct BuilderPolicy {
  using Real = T;
  using V = Value;
  using I = Value;
  using B = Value;
  using Wide = BuilderPolicy<double>;

  static constexpr DType kReal = std::is_same_v<T, float> ? DType::f32 : DType::f64;
  static constexpr DType kBits = std::is_same_v<T, float> ? DType::u32 : DType::u64;

  Builder& b;
  int lanes;

  V c(double x) { return b.constant({kReal, lanes}, x); }
  I ic(int64_t x) {
    return b.constant_bits({kBits, lanes}, kBits == DType::u32 ? x & 0xffffffff : x);
  }
  V add(V x, V y) { return b.add(x, y); }
  V sub(V x, V y) { return b.sub(x, y); }
  V mul(V x, V y) { return b.mul(x, y); }
  V div(V x, V y) { return b.div(x, y); }
  V fma(V x, V y, V z) { return b.fma(x, y, z); }
  V neg(V x) { return b.neg(x); }
  V abs(V x) { return b.abs(x); }
  V sqrt(V x) { return b.sqrt(x); }
  V trunc(V x) { return b.trunc(x); }
  V min_num(V x, V y) { return b.min_num(x, y); }
  V max_num(V x, V y) { return b.max_num(x, y); }
  B lt(V x, V y) { return b.lt(x, y); }
  B gt(V x, V y) { return b.gt(x, y); }
  B eq(V x, V y) { return b.eq(x, y); }
  B ne(V x, V y) { return b.ne(x, y); }
  B both(B x, B y) { return b.bit_and(x, y); }
  B either(B x, B y) { return b.bit_or(x, y); }
  B is_zero(I x) { return b.eq(x, ic(0)); }
  V select(B condition, V x, V y) { return b.select(condition, x, y); }
  I bits(V x) { return b.bitcast(x, {kBits, lanes}); }
  V real(I x) { return b.bitcast(x, {kReal, lanes}); }
  I iadd(I x, I y) { return b.add(x, y); }
  I iand(I x, I y) { return b.bit_and(x, y); }
  I ior(I x, I y) { return b.bit_or(x, y); }
  I ixor(I x, I y) { return b.bit_xor(x, y); }
  I shl(I x, int n) { return b.shl(x, n); }
  I lshr(I x, int n) { return b.lshr(x, n); }
  I isub(I x, I y) { return b.sub(x, y); }
  I imul(I x, I y) { return b.mul(x, y); }
  I shl_by(I x, I n) { return b.shl(x, n); }

  Wide wide() { return {b, lanes}; }
  Value widen(I x) { return b.convert(x, DType::u64); }
  I narrow(Value x) { return b.convert(x, kBits); }
  V narrow_real(Value x) { return b.convert(x, kReal); }
  // `then` where the condition holds for any lane, else `otherwise`; both compute all lanes.
  template <class R, class Then>
  R where_any(B condition, const R& otherwise, Then then) {
    Value any = condition;
    if (lanes > 1) {
      const Value flags = b.select(condition, ic(1), ic(0));
      any = b.ne(b.reduce_max(flags), b.constant_bits({kBits, 1}, 0));
    }
    const auto pair = [](const R& r) { return Values{r.rest, r.quadrant}; };
    const Values chosen =
        b.if_true_values(any, [&] { return pair(then()); }, [&] { return pair(otherwise); });
    return {chosen[0], chosen[1]};
  }
};

using F32 = Functions<BuilderPolicy<float>>;
using F64 = Functions<BuilderPolicy<double>>;

}  // namespace

#define NEURONC_DEFINE(name, summary)                                        \
  Value name(Builder& b, Value x) {                                          \
    NEURONC_CHECK(x.type.dtype == DType::f32 || x.type.dtype == DType::f64); \
    if (x.type.dtype == DType::f32) return F32({b, x.type.lanes}).name(x);   \
    return F64({b, x.type.lanes}).name(x);                                   \
  }
NEURONC_MATH_UNARY(NEURONC_DEFINE)
#undef NEURONC_DEFINE

Value pow(Builder& b, Value x, Value y) {
  NEURONC_CHECK(x.type == y.type);
  NEURONC_CHECK(x.type.dtype == DType::f32 || x.type.dtype == DType::f64);
  if (x.type.dtype == DType::f32) return F32({b, x.type.lanes}).pow(x, y);
  return F64({b, x.type.lanes}).pow(x, y);
}

}  // namespace neuronc::kernel::math
