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
