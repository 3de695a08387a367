// The operator table: everything the project knows of a graph operator, in one row.
//
// `ops.def` lists the operators; each has one `OpDef`, defined with NEURONC_OP in the file of its
// family in ir/ops/. Printer, parser, verifier, passes and the evaluator walk this table and know
// no operator by name. Default lowerings stand in a second table in backend/lower/, so that the
// runtime links only semantics.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/attribute.h"
#include "ir/base/expected.h"
#include "ir/tensor.h"
#include "ir/type.h"

namespace neuronc {

class Graph;

enum class Op : uint16_t {
#define OP(name) name,
#include "ir/ops.def"
#undef OP
  kCount
};
inline constexpr size_t kNumOps = static_cast<size_t>(Op::kCount);

// A set of element types.
struct DTypeSet {
  uint32_t bits = 0;
  constexpr DTypeSet() = default;
  constexpr DTypeSet(std::initializer_list<DType> dtypes) {
    for (DType d : dtypes) bits |= 1u << static_cast<unsigned>(d);
  }
  constexpr bool contains(DType d) const { return (bits >> static_cast<unsigned>(d)) & 1u; }
  friend constexpr DTypeSet operator|(DTypeSet a, DTypeSet b) {
    DTypeSet s;
    s.bits = a.bits | b.bits;
    return s;
  }
};
inline constexpr DTypeSet kSignedInts{DType::i2,  DType::i4,  DType::i8,
                                      DType::i16, DType::i32, DType::i64};
inline constexpr DTypeSet kUnsignedInts{DType::u2,  DType::u4,  DType::u8,
                                        DType::u16, DType::u32, DType::u64};
inline constexpr DTypeSet kInts = kSignedInts | kUnsignedInts;
inline constexpr DTypeSet kFloats{DType::f16, DType::bf16, DType::f32, DType::f64};
inline constexpr DTypeSet kSmallFloats{DType::f8e4m3fn,   DType::f8e4m3fnuz, DType::f8e5m2,
                                       DType::f8e5m2fnuz, DType::f8e8m0,     DType::f4e2m1};
inline constexpr DTypeSet kBool{DType::boolean};
inline constexpr DTypeSet kNumeric = kInts | kFloats;
inline constexpr DTypeSet kAnyNumeric = kNumeric | kBool | kSmallFloats;
inline constexpr DTypeSet kString{DType::string};
inline constexpr DTypeSet kAny = kAnyNumeric | kString;
inline constexpr DTypeSet kIndices{DType::i32, DType::i64};

enum class Arity : uint8_t { required, optional, variadic };  // variadic: last, one or more

struct OperandSpec {
  std::string_view name;
  DTypeSet dtypes = kAny;
  char type_variable = 0;  // operands and results with the same letter have the same dtype
  Arity arity = Arity::required;
  bool may_be_sequence = false;
};
using ResultSpec = OperandSpec;

struct AttributeSpec {
  std::string_view name;
  AttributeKind kind;
  // Text form of the default (`0`, `1e-05`, `"constant"`, `[]`); empty: no default. With
  // `is_required` the attribute must be given.
  std::string_view default_text;
  bool is_required = false;
};

enum class Trait : uint32_t {
  none = 0,
  elementwise = 1u << 0,  // result[i] depends on operands[i] after broadcasting
  commutative = 1u << 1,  // of the first two operands
  moves_data = 1u << 2,   // every result element is a copy of an operand element (or a fill)
  reduction = 1u << 3,    // sums or compares over axes
  matmul_like = 1u << 4,  // contracts two operands: precision `matmul`, a fusion anchor
  anchor = 1u << 5,       // heads a fused group: consumers may join behind it
  host = 1u << 6,         // has no native lowering by nature (strings, sequences, images...)
  internal = 1u << 7,     // made by passes only; has no import rule
  idempotent = 1u << 8,   // f(f(x)) = f(x)
  involution = 1u << 9,   // f(f(x)) = x
  control_flow = 1u << 10,
  random = 1u << 11,  // not to be merged or folded
};
constexpr Trait operator|(Trait a, Trait b) {
  return static_cast<Trait>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}

// What casting may do to an operator.
enum class Precision : uint8_t {
  exact,        // moves or compares values; follows its operands
  matmul,       // the leading operands of one type may become narrow; accumulates in f32
  elementwise,  // may compute between narrow edges with --auto-cast all
  statistic,    // reductions, normalisations: operands and results stay f32
  fixed,        // never touched (integer arithmetic, quantisation, control flow)
};

struct OpDef;

// What an operator's functions see of a node.
struct OpView {
  const OpDef& def;
  std::span<const AttributeValue> attributes;
  std::span<const std::unique_ptr<Graph>> bodies = {};

  const AttributeValue& attribute(std::string_view name) const;  // must be in the schema
  bool has(std::string_view name) const;                         // given or defaulted
  int64_t i64(std::string_view name) const;
  double f64(std::string_view name) const;
  const std::string& string(std::string_view name) const;
  const std::vector<int64_t>& ints(std::string_view name) const;
  const std::vector<double>& floats(std::string_view name) const;
  DType dtype(std::string_view name) const;
};

struct InferInput {
  OpView op;
  std::span<const Type> operands;            // kind none: an absent optional operand
  std::span<const Tensor* const> constants;  // per operand; nullptr: value unknown
  size_t num_results = 1;

  bool has(size_t i) const { return i < operands.size() && operands[i].kind != Type::Kind::none; }
  const Tensor* constant(size_t i) const { return i < constants.size() ? constants[i] : nullptr; }
};

// Evaluates body `body` of the node at hand; given by the graph evaluator (evaluate_graph.h).
using BodyEvaluator = std::function<OrRefusal<std::vector<HostValue>>(
    size_t body, std::span<const HostValue> inputs)>;

struct EvaluateInput {
  OpView op;
  std::span<const HostValue* const> operands;  // nullptr: an absent optional operand
  std::span<const Type> results;               // as inferred; dims may be unknown
  size_t num_results = 1;
  const BodyEvaluator* evaluate_body = nullptr;  // for control flow
  // Tells the trips of the loops around the node apart, for random numbers; 0 outside of loops and
  // in their first trip.
  uint64_t trip = 0;

  bool has(size_t i) const { return i < operands.size() && operands[i] != nullptr; }
  const Tensor& tensor(size_t i) const { return operands[i]->tensor(); }
};

// Work of one execution, for placement, partitioning and reports.
struct OpCost {
  double flops = 0;       // one multiply-add counts two
  double bytes_read = 0;  // operands, weights included
  double bytes_written = 0;
};

using InferFn = OrRefusal<std::vector<Type>> (*)(const InferInput&);
using EvaluateFn = OrRefusal<std::vector<HostValue>> (*)(const EvaluateInput&);
// Flops of one execution, from static operand and result types.
using FlopsFn = double (*)(const OpView&, std::span<const Type> operands,
                           std::span<const Type> results);

struct OpDef {
  std::string_view name;
  std::string_view summary;
  std::string_view source;  // "ONNX Conv-11", or "neuronc" for internal operators
  std::span<const OperandSpec> operands;
  std::span<const AttributeSpec> attributes;
  std::span<const ResultSpec> results;
  Trait traits;
  Precision precision;
  InferFn infer;
  EvaluateFn evaluate;
  FlopsFn flops;

  bool has(Trait trait) const {
    return (static_cast<uint32_t>(traits) & static_cast<uint32_t>(trait)) != 0;
  }
  std::optional<size_t> attribute_index(std::string_view attribute) const;
};

const OpDef& op_def(Op op);
std::optional<Op> op_from_name(std::string_view name);
inline std::string_view name(Op op) { return op_def(op).name; }

// Attributes in schema order with defaults filled in; refuses unknown names, wrong kinds and
// missing required ones.
struct NamedAttribute {
  std::string name;
  AttributeValue value;
};
OrRefusal<std::vector<AttributeValue>> complete_attributes(const OpDef& def,
                                                           std::vector<NamedAttribute> given);
// The schema's default value; monostate where there is none.
AttributeValue default_value(const AttributeSpec& spec);

// Checks operands against the schema (count, dtypes, type variables), then infers; what every
// maker of nodes calls. Refusals name the operand and say what it is.
OrRefusal<std::vector<Type>> infer_checked(const InferInput& input);

}  // namespace neuronc

// Defines the row of operator `op_name` in the table (at namespace scope of neuronc).
#define NEURONC_OP(op_name)                       \
  extern const ::neuronc::OpDef kOpDef_##op_name; \
  const ::neuronc::OpDef kOpDef_##op_name
