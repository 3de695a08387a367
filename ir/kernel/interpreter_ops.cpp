// The semantics of kernel IR, lane by lane: the text of kernel.h made runnable.
#include "ir/kernel/interpreter_ops.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "ir/base/check.h"

namespace neuronc::kernel::interpreter {
namespace {

template <class T>
T* at(std::byte* registers, uint32_t offset) {
  return reinterpret_cast<T*>(registers + offset);
}

template <class T>
constexpr bool kIsReal = std::is_floating_point_v<T>;

template <class T>
T from_unsigned(std::make_unsigned_t<T> x) {
  return static_cast<T>(x);
}

struct Add {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>)
      return a - b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>)
      return a * b;
    else
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return Sub::apply(T{0}, a);
      }
      return static_cast<T>(a / b);
    }
  }
};
struct Rem {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>) {
      if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
      if (a == b) return std::signbit(a) ? a : b;
    }
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (kIsReal<T>) {
      if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
      if (a == b) return std::signbit(a) ? b : a;
    }
    return a > b ? a : b;
  }
};
struct MinNum {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct MaxNum {
  template <class T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
struct And {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Shl {
  template <class T>
  static T apply(T a, T b) {
    using U = std::make_unsigned_t<T>;
    const U amount = static_cast<U>(b);
    if (amount >= sizeof(T) * 8) return 0;
    return static_cast<T>(static_cast<uint64_t>(static_cast<U>(a)) << amount);
  }
};
struct Lshr {
  template <class T>
  static T apply(T a, T b) {
    using U = std::make_unsigned_t<T>;
    const U amount = static_cast<U>(b);
    if (amount >= sizeof(T) * 8) return 0;
    return static_cast<T>(static_cast<U>(a) >> amount);
  }
};
struct Ashr {
  template <class T>
  static T apply(T a, T b) {
    using S = std::make_signed_t<T>;
    const auto amount = static_cast<std::make_unsigned_t<T>>(b);
    const int n =
        amount >= sizeof(T) * 8 ? static_cast<int>(sizeof(T) * 8 - 1) : static_cast<int>(amount);
    return static_cast<T>(static_cast<S>(a) >> n);
  }
};

// Sign operations on floats change one bit, whatever the value.
template <class T>
T with_bits(T a, uint64_t keep, uint64_t flip) {
  std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits;
  std::memcpy(&bits, &a, sizeof a);
  bits = static_cast<decltype(bits)>((bits & keep) ^ flip);
  std::memcpy(&a, &bits, sizeof a);
  return a;
}
struct Neg {
  template <class T>
  static T apply(T a) {
    if constexpr (kIsReal<T>)
      return with_bits(a, ~uint64_t{0}, uint64_t{1} << (sizeof(T) * 8 - 1));
    else
      return Sub::apply(T{0}, a);
  }
};
struct Abs {
  template <class T>
  static T apply(T a) {
    if constexpr (kIsReal<T>)
      return with_bits(a, ~(uint64_t{1} << (sizeof(T) * 8 - 1)), 0);
    else
      return a < T{0} ? Sub::apply(T{0}, a) : a;
  }
};
struct Not {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct Sqrt {
  template <class T>
  static T apply(T a) {
    return std::sqrt(a);
  }
};
struct Floor {
  template <class T>
  static T apply(T a) {
    return std::floor(a);
  }
};
struct Ceil {
  template <class T>
  static T apply(T a) {
    return std::ceil(a);
  }
};
struct Trunc {
  template <class T>
  static T apply(T a) {
    return std::trunc(a);
  }
};
struct RoundEven {
  template <class T>
  static T apply(T a) {
    return std::nearbyint(a);
  }
};

struct Eq {
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};
struct Gt {
  template <class T>
  static bool apply(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static bool apply(T a, T b) {
    return a >= b;
  }
};

template <class F, class T>
void unary(const LaneStep& s, std::byte* r) {
  T* result = at<T>(r, s.result);
  const T* a = at<T>(r, s.operands[0]);
  for (int i = 0; i < s.lanes; ++i) result[i] = F::apply(a[i]);
}

template <class F, class T>
void binary(const LaneStep& s, std::byte* r) {
  T* result = at<T>(r, s.result);
  const T* a = at<T>(r, s.operands[0]);
  const T* b = at<T>(r, s.operands[1]);
  for (int i = 0; i < s.lanes; ++i) result[i] = F::template apply<T>(a[i], b[i]);
}

template <class F, class T>
void compare(const LaneStep& s, std::byte* r) {
  uint8_t* result = at<uint8_t>(r, s.result);
  const T* a = at<T>(r, s.operands[0]);
  const T* b = at<T>(r, s.operands[1]);
  for (int i = 0; i < s.lanes; ++i) result[i] = F::apply(a[i], b[i]) ? 1 : 0;
}

template <class T>
void fma(const LaneStep& s, std::byte* r) {
  T* result = at<T>(r, s.result);
  const T* a = at<T>(r, s.operands[0]);
  const T* b = at<T>(r, s.operands[1]);
  const T* c = at<T>(r, s.operands[2]);
  for (int i = 0; i < s.lanes; ++i) result[i] = std::fma(a[i], b[i], c[i]);
}

void logical_not(const LaneStep& s, std::byte* r) {
  for (int i = 0; i < s.lanes; ++i) {
    at<uint8_t>(r, s.result)[i] = at<uint8_t>(r, s.operands[0])[i] == 0 ? 1 : 0;
  }
}

template <class F, class T>
void reduce(const LaneStep& s, std::byte* r) {
  T lanes[kMaxLanes];
  std::memcpy(lanes, r + s.operands[0], sizeof(T) * static_cast<size_t>(s.operand_lanes));
  for (int half = s.operand_lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] = F::template apply<T>(lanes[i], lanes[i + half]);
  }
  at<T>(r, s.result)[0] = lanes[0];
}

template <class T>
void iota(const LaneStep& s, std::byte* r) {
  for (int i = 0; i < s.lanes; ++i) at<T>(r, s.result)[i] = static_cast<T>(i);
}

// Moves of lanes depend on their size alone.
template <class T>
void select(const LaneStep& s, std::byte* r) {
  const uint8_t* condition = at<uint8_t>(r, s.operands[0]);
  const T* a = at<T>(r, s.operands[1]);
  const T* b = at<T>(r, s.operands[2]);
  T* result = at<T>(r, s.result);
  for (int i = 0; i < s.lanes; ++i) {
    result[i] = condition[s.select_lanes == 1 ? 0 : i] != 0 ? a[i] : b[i];
  }
}

template <class T>
void splat(const LaneStep& s, std::byte* r) {
  const T x = at<T>(r, s.operands[0])[0];
  for (int i = 0; i < s.lanes; ++i) at<T>(r, s.result)[i] = x;
}

template <class T>
void shuffle(const LaneStep& s, std::byte* r) {
  const T* a = at<T>(r, s.operands[0]);
  const T* b = at<T>(r, s.operands[1]);
  T* result = at<T>(r, s.result);
  for (int i = 0; i < s.lanes; ++i) {
    const int64_t lane = s.immediates[i];
    result[i] = lane < 0 ? T{} : lane < s.operand_lanes ? a[lane] : b[lane - s.operand_lanes];
  }
}

template <class T>
void slice(const LaneStep& s, std::byte* r) {
  const T* a = at<T>(r, s.operands[0]) + s.immediates[0];
  for (int i = 0; i < s.lanes; ++i) at<T>(r, s.result)[i] = a[i];
}

template <class T>
void insert(const LaneStep& s, std::byte* r) {
  std::memmove(r + s.result, r + s.operands[0], sizeof(T) * static_cast<size_t>(s.lanes));
  at<T>(r, s.result)[s.immediates[0]] = at<T>(r, s.operands[1])[0];
}

template <class T>
void concat(const LaneStep& s, std::byte* r) {
  const size_t half = sizeof(T) * static_cast<size_t>(s.operand_lanes);
  std::memcpy(r + s.result, r + s.operands[0], half);
  std::memcpy(r + s.result + half, r + s.operands[1], half);
}

void lookup(const LaneStep& s, std::byte* r) {
  const uint8_t* index = at<uint8_t>(r, s.operands[0]);
  const uint8_t* low = at<uint8_t>(r, s.operands[1]);
  const uint8_t* high = at<uint8_t>(r, s.operands[2]);
  uint8_t* result = at<uint8_t>(r, s.result);
  for (int i = 0; i < s.lanes; ++i) {
    const int entry = index[i] % (2 * kTableLanes);
    result[i] = entry < kTableLanes ? low[entry] : high[entry - kTableLanes];
  }
}

template <class T>
void copy(const LaneStep& s, std::byte* r) {
  std::memcpy(r + s.result, r + s.operands[0], sizeof(T) * static_cast<size_t>(s.lanes));
}

template <template <class> class Function>
LaneFunction for_integers(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return Function<int8_t>::run;
    case DType::i16:
      return Function<int16_t>::run;
    case DType::i32:
      return Function<int32_t>::run;
    case DType::i64:
      return Function<int64_t>::run;
    case DType::u8:
      return Function<uint8_t>::run;
    case DType::u16:
      return Function<uint16_t>::run;
    case DType::u32:
      return Function<uint32_t>::run;
    case DType::u64:
      return Function<uint64_t>::run;
    default:
      NEURONC_UNREACHABLE("not an integer type");
  }
}

template <template <class> class Function>
LaneFunction for_reals(DType dtype) {
  NEURONC_CHECK(dtype == DType::f32 || dtype == DType::f64);
  return dtype == DType::f32 ? Function<float>::run : Function<double>::run;
}

template <template <class> class Function>
LaneFunction for_numbers(DType dtype) {
  return is_float(dtype) ? for_reals<Function>(dtype) : for_integers<Function>(dtype);
}

template <template <class> class Function>
LaneFunction for_sizes(DType dtype) {
  switch (size_bytes(dtype)) {
    case 1:
      return Function<uint8_t>::run;
    case 2:
      return Function<uint16_t>::run;
    case 4:
      return Function<uint32_t>::run;
    default:
      return Function<uint64_t>::run;
  }
}

template <class F>
struct Unary {
  template <class T>
  struct Of {
    static void run(const LaneStep& s, std::byte* r) { unary<F, T>(s, r); }
  };
};
template <class F>
struct Binary {
  template <class T>
  struct Of {
    static void run(const LaneStep& s, std::byte* r) { binary<F, T>(s, r); }
  };
};
template <class F>
struct Compare {
  template <class T>
  struct Of {
    static void run(const LaneStep& s, std::byte* r) { compare<F, T>(s, r); }
  };
};
template <class F>
struct Reduce {
  template <class T>
  struct Of {
    static void run(const LaneStep& s, std::byte* r) { reduce<F, T>(s, r); }
  };
};

#define NEURONC_MOVE(Name, function)                                        \
  template <class T>                                                        \
  struct Name {                                                             \
    static void run(const LaneStep& s, std::byte* r) { function<T>(s, r); } \
  };
NEURONC_MOVE(Fma, fma)
NEURONC_MOVE(Iota, iota)
NEURONC_MOVE(Select, select)
NEURONC_MOVE(Splat, splat)
NEURONC_MOVE(Shuffle, shuffle)
NEURONC_MOVE(Slice, slice)
NEURONC_MOVE(Insert, insert)
NEURONC_MOVE(Concat, concat)
NEURONC_MOVE(Copy, copy)
#undef NEURONC_MOVE

// Bool lanes are bytes of 0 or 1, on which these act as on u8.
DType as_byte(DType dtype) { return dtype == DType::boolean ? DType::u8 : dtype; }

LaneFunction arithmetic_function(OpCode code, DType dtype) {
  switch (code) {
    case OpCode::add:
      return for_numbers<Binary<Add>::Of>(dtype);
    case OpCode::sub:
      return for_numbers<Binary<Sub>::Of>(dtype);
    case OpCode::mul:
      return for_numbers<Binary<Mul>::Of>(dtype);
    case OpCode::div:
      return for_numbers<Binary<Div>::Of>(dtype);
    case OpCode::rem:
      return for_integers<Binary<Rem>::Of>(dtype);
    case OpCode::neg:
      return for_numbers<Unary<Neg>::Of>(dtype);
    case OpCode::abs:
      return for_numbers<Unary<Abs>::Of>(dtype);
    case OpCode::min:
      return for_numbers<Binary<Min>::Of>(as_byte(dtype));
    case OpCode::max:
      return for_numbers<Binary<Max>::Of>(as_byte(dtype));
    case OpCode::min_num:
      return for_numbers<Binary<MinNum>::Of>(dtype);
    case OpCode::max_num:
      return for_numbers<Binary<MaxNum>::Of>(dtype);
    case OpCode::fma:
      return for_reals<Fma>(dtype);
    case OpCode::sqrt:
      return for_reals<Unary<Sqrt>::Of>(dtype);
    case OpCode::floor:
      return for_reals<Unary<Floor>::Of>(dtype);
    case OpCode::ceil:
      return for_reals<Unary<Ceil>::Of>(dtype);
    case OpCode::trunc:
      return for_reals<Unary<Trunc>::Of>(dtype);
    case OpCode::round_even:
      return for_reals<Unary<RoundEven>::Of>(dtype);
    case OpCode::and_:
      return for_integers<Binary<And>::Of>(as_byte(dtype));
    case OpCode::or_:
      return for_integers<Binary<Or>::Of>(as_byte(dtype));
    case OpCode::xor_:
      return for_integers<Binary<Xor>::Of>(as_byte(dtype));
    case OpCode::not_:
      return dtype == DType::boolean ? logical_not : for_integers<Unary<Not>::Of>(dtype);
    case OpCode::shl:
      return for_integers<Binary<Shl>::Of>(dtype);
    case OpCode::lshr:
      return for_integers<Binary<Lshr>::Of>(dtype);
    case OpCode::ashr:
      return for_integers<Binary<Ashr>::Of>(dtype);
    default:
      return nullptr;
  }
}

LaneFunction other_function(OpCode code, DType operand, DType result) {
  switch (code) {
    case OpCode::cmp_eq:
      return for_numbers<Compare<Eq>::Of>(as_byte(operand));
    case OpCode::cmp_ne:
      return for_numbers<Compare<Ne>::Of>(as_byte(operand));
    case OpCode::cmp_lt:
      return for_numbers<Compare<Lt>::Of>(operand);
    case OpCode::cmp_le:
      return for_numbers<Compare<Le>::Of>(operand);
    case OpCode::cmp_gt:
      return for_numbers<Compare<Gt>::Of>(operand);
    case OpCode::cmp_ge:
      return for_numbers<Compare<Ge>::Of>(operand);
    case OpCode::reduce_add:
      return for_numbers<Reduce<Add>::Of>(operand);
    case OpCode::reduce_mul:
      return for_numbers<Reduce<Mul>::Of>(operand);
    case OpCode::reduce_min:
      return for_numbers<Reduce<Min>::Of>(as_byte(operand));
    case OpCode::reduce_max:
      return for_numbers<Reduce<Max>::Of>(as_byte(operand));
    case OpCode::iota:
      return for_integers<Iota>(result);
    case OpCode::select:
      return for_sizes<Select>(result);
    case OpCode::bitcast:
      return for_sizes<Copy>(result);
    case OpCode::splat:
      return for_sizes<Splat>(result);
    case OpCode::shuffle:
      return for_sizes<Shuffle>(result);
    case OpCode::extract:
    case OpCode::slice:
      return for_sizes<Slice>(result);
    case OpCode::insert:
      return for_sizes<Insert>(result);
    case OpCode::concat:
      return for_sizes<Concat>(result);
    case OpCode::lookup:
      return lookup;
    default:
      NEURONC_UNREACHABLE("no lane function");
  }
}

}  // namespace

LaneFunction lane_function(OpCode code, DType operand, DType second_operand, DType result) {
  if (code == OpCode::convert) return convert_function(operand, result);
  if (code == OpCode::dot) return dot_function(second_operand);
  if (code == OpCode::matrix_dot) return matrix_dot_function(second_operand);
  if (code == OpCode::matrix_zero) return zero_lanes;
  if (LaneFunction f = arithmetic_function(code, operand)) return f;
  return other_function(code, operand, result);
}

}  // namespace neuronc::kernel::interpreter
