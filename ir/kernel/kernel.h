// Kernel IR: a small SSA loop language from which native code is made.
//
// A kernel reads and writes strided buffers with static extents. Its outermost loop runs over
// `num_tiles` independent tiles; the caller gives the half-open range of tiles to compute, so that
// any split over cores is the same code and the same bits. Addresses are index expressions
// (index.h), everything else is SSA values of a type {dtype, lanes}.
//
//   int32_t kernel(void* const* buffers, int64_t tile_begin, int64_t tile_end);
//
// `buffers` holds one pointer per parameter, in order; no alignment is assumed. The result is
// kStatusOk or the status of the operation that ended the kernel early.
//
// SEMANTICS: every operation is defined for every input, and the interpreter and native code agree
// bit for bit. Which NaN an arithmetic operation gives is the one thing left open: every NaN is the
// same value to a kernel, so tests compare NaN as NaN; load, store, select, shuffle, bitcast, neg
// and abs keep the bits they are given (neg and abs change the sign bit alone).
//   integers    wrap; x/0 = 0; x%0 = x; MIN/-1 = MIN; MIN%-1 = 0; division truncates;
//               abs(MIN) = MIN
//   shifts      by an unsigned amount; >= width gives 0 (shl, lshr) or the sign (ashr)
//   min, max    floats: NaN if either is NaN, and -0 < +0; bool: and, or
//   min_num     exactly a < b ? a : b: the second operand on NaN and for two zeros (one instruction)
//   max_num     exactly a > b ? a : b
//   cmp         on floats eq lt le gt ge are false and ne is true when an operand is NaN
//   rem         floats: not defined as an operation (compositions use trunc and fma)
//   sqrt        correctly rounded; of a negative value NaN. fma rounds once.
//   round_even  to the nearest integer, ties to even; floor, ceil, trunc and it keep -0
//   convert     to a float: nearest even, overflow to infinity; float to integer truncates,
//               saturates, NaN gives 0; integer to integer wraps or extends by the source's sign;
//               to bool is x != 0 (NaN is true); from bool gives 0 or 1. f16 and bf16 convert
//               from and to f32 and f64 alone (f64 rounds once).
//   dot         bf16 pairs, as vdpbf16ps does: acc[i] = fma(a[2i], b[2i], fma(a[2i+1], b[2i+1],
//               acc[i])) in f32, where denormal operands and results of each fma count as zeros;
//               i16 pairs and (u8|i8)*i8 quads: exact products, wrapping sum in i32
//   matrix_dot  on matrices of 16 rows of 64 bytes: acc[i][j] += a[i][l] dot b[l][j] over l. Of bf16,
//               as TDPBF16PS does: the even and the odd products are summed apart, each by fma from
//               zero, the two sums are added, and that to acc, all with denormals as zeros; of bytes
//               (u8|i8)*i8 exactly, wrapping in i32
//   lookup      lane i is the byte of the two tables, put together, that the low seven bits of index
//               i name
//   reduce      a tree: the upper half of the lanes is combined with the lower, lower operand
//               first, until one is left; the number of lanes is a power of two
// f16 and bf16 are storage types: constant, load, store, convert, bitcast, shuffles and select take
// them, arithmetic does not. But for dot and matrix_dot, denormals are exact.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/hash.h"
#include "ir/base/id.h"
#include "ir/kernel/index.h"

namespace neuronc::kernel {

using BufferId = Id<struct BufferTag>;
using OpId = Id<struct OpTag>;
using BlockId = Id<struct BlockTag>;

inline constexpr int32_t kStatusOk = 0;
inline constexpr int32_t kStatusIndexOutOfRange = 1;

inline constexpr int kMaxLanes = 64;
inline constexpr int kTableLanes = 64;
// A matrix is a value of more lanes: 16 rows of 64 bytes, row after row. Only loops, conditions and
// the operations named after it take one. Of f32 or i32 it is 16x16; as the left operand of a
// product 16 rows by 32 bf16 or 64 bytes of k; as the right one 16 groups of k by 16 columns.
inline constexpr int kMatrixRows = 16;
inline constexpr int kMatrixRowBytes = 64;
// Every local tile starts on a multiple of this; all of them together fit the stack of a worker.
inline constexpr int64_t kLocalAlignmentBytes = 64;
inline constexpr int64_t kMaxLocalBytes = 256 * 1024;

struct ValueType {
  DType dtype = DType::none;
  int lanes = 1;
  friend bool operator==(const ValueType&, const ValueType&) = default;
};
std::string to_text(ValueType type);  // "f32", "f32x8"
bool is_matrix(ValueType type);
// f32, i32, bf16, u8 or i8; {none, 0} of another dtype.
ValueType matrix_of(DType dtype);
// bool, (u)i8..64, f16, bf16, f32, f64.
bool is_kernel_dtype(DType dtype);
// Bits of one lane as a value: 1 for bool.
int lane_bits(DType dtype);

enum class Access : uint8_t { read, write, read_write };
enum class BufferKind : uint8_t { parameter, local };

struct Buffer {
  std::string name;
  DType dtype = DType::none;
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;  // in elements, >= 0
  BufferKind kind = BufferKind::parameter;
  Access access = Access::read;
  // No other parameter overlaps it. An in-place kernel passes its buffer once, as read_write.
  bool is_noalias = true;

  // Bytes from the first to past the last element; 0 when an extent is 0.
  int64_t span_bytes() const;
};

// Operations. The comments give operands, then immediates. "any" is any kernel dtype, "num" an
// integer, f32 or f64; lanes of operands and result are equal unless said otherwise.
enum class OpCode : uint8_t {
  // Values from nothing.
  constant,     // immediates: one bit pattern per lane, or one for all
  iota,         // integer lanes 0, 1, 2...
  index_value,  // indices[0] as i64
  // Memory. `buffer`, indices of the first lane, lanes along `lane_dim` (stride 1 if lanes > 1).
  // With an active count only the leading lanes are touched, the others read as 0.
  load,          // indices: one per dim, then [active]
  store,         // value; indices as load
  store_masked,  // value, mask; every lane in bounds
  prefetch,      // a hint, into the second level of cache; its address may lie outside
  matrix_load,   // its first element; rows along `row_dim`, lanes of a row along `lane_dim`
  matrix_store,  // value; indices as matrix_load
  // Arithmetic on num.
  add,
  sub,
  mul,
  div,
  rem,
  neg,
  abs,
  min,
  max,
  min_num,
  max_num,
  fma,
  sqrt,
  floor,
  ceil,
  trunc,
  round_even,  // f32, f64
  // Bits: integers and bool; shifts: integers.
  and_,
  or_,
  xor_,
  not_,
  shl,
  lshr,
  ashr,
  // Comparison to bool; select by a bool vector or one bool for all lanes.
  cmp_eq,
  cmp_ne,
  cmp_lt,
  cmp_le,
  cmp_gt,
  cmp_ge,
  select,
  // Types and lanes.
  convert,
  bitcast,  // the same bits in other lanes; not bool; lanes little-endian
  splat,    // scalar to all lanes
  shuffle,  // a, b of one type; immediates: lanes of the concatenation a,b; -1 gives 0
  extract,  // immediates: lane
  insert,   // vector, scalar; immediates: lane
  concat,   // two vectors of one type, low lanes first
  slice,    // immediates: first lane
  lookup,   // u8 indices; two tables of 64 bytes of one dtype
  reduce_add,
  reduce_mul,
  reduce_min,
  reduce_max,
  dot,  // acc, a, b
  matrix_zero,
  matrix_dot,  // acc, a, b
  // Control.
  check_index,  // integer scalar; immediates: bound. Ends the kernel with kStatusIndexOutOfRange.
  for_,         // initial values; indices: lower, upper; immediates: step, unroll; one block
  if_,          // guards; one or two blocks
  if_true,      // scalar bool; one or two blocks
  yield,        // values; ends a block
};
inline constexpr int kNumOpCodes = static_cast<int>(OpCode::yield) + 1;
std::string_view name(OpCode code);

// lo <= expr < hi
struct Guard {
  IndexId expr;
  int64_t lo = 0;
  int64_t hi = 0;
};

// One struct for all operations; what each uses is said at its code.
struct Op {
  OpCode code;
  int8_t lane_dim = -1;
  int8_t row_dim = -1;      // matrix_load, matrix_store
  bool has_active = false;  // load, store: the last index is the count of active lanes
  BufferId buffer;
  VariableId variable;  // for_
  BlockId blocks[2];
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  std::vector<IndexId> indices;
  std::vector<int64_t> immediates;
  std::vector<Guard> guards;
};

// A sequence of operations. The body of a `for_` has its carried values as arguments and ends with
// a yield of as many; a block of an `if_` ends with a yield of its results.
struct Block {
  std::vector<ValueId> arguments;
  std::vector<OpId> ops;
};

struct ValueInfo {
  ValueType type;
  OpId def;  // none for block arguments
};

class Kernel {
 public:
  Kernel();
  Kernel(Kernel&&) noexcept = default;
  Kernel& operator=(Kernel&&) noexcept = default;

  std::string name;
  int64_t num_tiles = 1;
  VariableId tile_variable;
  BlockId body;
  std::vector<Buffer> buffers;

  // The tables; index expressions are stable in memory because handles point to them.
  IndexTable& indices() { return *indices_; }
  const IndexTable& indices() const { return *indices_; }
  std::vector<Op> ops;
  std::vector<Block> blocks;
  std::vector<ValueInfo> values;

  const Op& op(OpId id) const { return ops[id.index]; }
  const Block& block(BlockId id) const { return blocks[id.index]; }
  const Buffer& buffer(BufferId id) const { return buffers[id.index]; }
  ValueType type(ValueId id) const { return values[id.index].type; }

  // Parameters in the order of the ABI.
  std::vector<BufferId> parameters() const;

 private:
  std::unique_ptr<IndexTable> indices_;
};

// Equal for kernels that differ in nothing but their name and the names of buffers and variables,
// so that identical kernels are emitted once.
Hash128 structural_hash(const Kernel& kernel);

// Bits of a constant lane: f32 and f64 as their bits, integers as two's complement.
int64_t f32_bits(float value);
int64_t f64_bits(double value);
// `value` in the encoding of `dtype` (rounded to nearest, integers by truncation with saturation).
int64_t constant_bits(DType dtype, double value);

}  // namespace neuronc::kernel
