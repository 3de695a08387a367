// Import rules of com.microsoft operators on quantised tensors. What computes between dequantised
// operands is dequantize, compute, quantize; products stay products of integers.
#include <fmt/format.h>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// The number behind inputs `first` (the quantised one), its scale and its zero point.
ValueId dequantised(NodeContext& node, size_t first) {
  return node.emit(Op::dequantize_linear,
                   {node.input(first), node.input(first + 1), node.input(first + 2)});
}

// `y` in steps of the scale that is input `scale`; without a zero point in the type of `like`.
void set_quantised(NodeContext& node, ValueId y, size_t scale, ValueId like) {
  ValueId zero_point = node.input(scale + 1);
  if (!zero_point) zero_point = node.scalar_like(like, 0);
  if (node.type(node.input(scale)).rank() != node.type(zero_point).rank()) {
    zero_point = reshape_to(node, zero_point, node.shape(node.input(scale)));
  }
  node.set_output(0, node.emit(Op::quantize_linear, {y, node.input(scale), zero_point}));
}

ValueId permuted(NodeContext& node, ValueId x, bool to_channels_first) {
  const int64_t rank = node.rank(x);
  if (rank < 3) return x;
  Ints perm{0};
  if (to_channels_first) perm.push_back(rank - 1);
  for (int64_t i = 1; i + 1 < rank; ++i) perm.push_back(to_channels_first ? i : i + 1);
  if (!to_channels_first) perm.push_back(1);
  return node.emit(Op::transpose, {x}, {{"perm", perm}});
}

// f32 products of an integer matmul's sums with the scales, and the bias.
ValueId scaled_sums(NodeContext& node, ValueId sums, ValueId scale, ValueId bias) {
  const ValueId as_float = node.emit(Op::cast, {sums}, {{"to", DType::f32}});
  const ValueId y = node.emit(Op::mul, {as_float, scale});
  return bias ? node.emit(Op::add, {y, bias}) : y;
}

}  // namespace

void import_q_linear_binary(NodeContext& node, const Rule& rule) {
  const ValueId y = node.emit(rule.op, {dequantised(node, 0), dequantised(node, 3)});
  set_quantised(node, y, 6, node.input(0));
}

void import_q_linear_unary(NodeContext& node, const Rule& rule) {
  std::vector<NamedAttribute> attributes;
  if (rule.op == Op::leaky_relu) attributes.push_back({"alpha", node.f64("alpha", 0.01)});
  set_quantised(node, node.emit(rule.op, {dequantised(node, 0)}, attributes), 3, node.input(0));
}

// Of the form before opset 13 where `opset` says so.
void import_q_linear_softmax(NodeContext& node, const Rule&) {
  const ValueId x = dequantised(node, 0);
  const int64_t rank = node.rank(x);
  const bool is_old = node.i64("opset", 13) < 13;
  const int64_t axis = normalised_axis(node, node.i64("axis", is_old ? 1 : -1), rank);
  if (node.failed()) return;
  if (!is_old || axis == rank - 1) {
    return set_quantised(node, node.emit(Op::softmax, {x}, {{"axis", axis}}), 3, node.input(0));
  }
  const Ints shape = node.shape(x);
  if (node.failed()) return;
  Ints matrix{1, 1};
  for (int64_t i = 0; i < rank; ++i) matrix[i < axis ? 0 : 1] *= shape[static_cast<size_t>(i)];
  const ValueId y = node.emit(Op::softmax, {reshape_to(node, x, matrix)}, {{"axis", int64_t{1}}});
  set_quantised(node, reshape_to(node, y, shape), 3, node.input(0));
}

void import_q_linear_pool(NodeContext& node, const Rule& rule) {
  const bool is_last = node.i64("channels_last", 0) != 0;
  ValueId x = dequantised(node, 0);
  if (is_last) x = permuted(node, x, true);
  ValueId y = rule.op == Op::average_pool ? emit_pool(node, rule.op, x, {"channels_last"})
                                          : node.emit(rule.op, {x});
  if (is_last) y = permuted(node, y, false);
  set_quantised(node, y, 3, node.input(0));
}

void import_q_linear_reduce_mean(NodeContext& node, const Rule& rule) {
  const Ints axes = node.ints("axes");
  const ValueId y =
      node.emit(rule.op, {dequantised(node, 0), axes.empty() ? ValueId() : node.ints(axes)},
                {{"keepdims", node.i64("keepdims", 1)}});
  set_quantised(node, y, 3, node.input(0));
}

void import_q_linear_concat(NodeContext& node, const Rule& rule) {
  std::vector<ValueId> parts;
  for (size_t i = 2; i + 2 < node.num_inputs(); i += 3) parts.push_back(dequantised(node, i));
  if (parts.empty()) return node.invalid("it has no tensors");
  const ValueId y = node.emit(rule.op, parts, {{"axis", node.i64("axis", 1)}});
  set_quantised(node, y, 0, node.input(2));
}

void import_q_linear_where(NodeContext& node, const Rule& rule) {
  const ValueId y = node.emit(rule.op, {node.input(0), dequantised(node, 1), dequantised(node, 4)});
  set_quantised(node, y, 7, node.input(1));
}

// QLinearConv with the channels last.
void import_q_linear_conv_last(NodeContext& node, const Rule& rule) {
  if (node.i64("channels_last", 0) == 0) return import_conv_quantised(node, rule);
  std::vector<ValueId> operands = node.inputs();
  if (operands.size() < 8) return node.invalid("an input is missing");
  operands[0] = permuted(node, operands[0], true);
  node.set_output(0, permuted(node, emit_conv_quantised(node, rule.op, operands), false));
}

// A max pool of bytes with the channels last.
void import_nhwc_max_pool(NodeContext& node, const Rule& rule) {
  const ValueId x = permuted(node, node.input(0), true);
  node.set_output(0, permuted(node, emit_pool(node, rule.op, x, {}), false));
}

// alpha * a_scale * b_scale * ((A' - a_zero) (B' - b_zero) + C), quantised where a scale is given.
void import_q_gemm(NodeContext& node, const Rule& rule) {
  const auto transposed = [&](size_t i, const char* flag) {
    if (node.i64(flag, 0) == 0) return node.input(i);
    return node.emit(Op::transpose, {node.input(i)}, {{"perm", Ints{1, 0}}});
  };
  ValueId sums = node.emit(
      rule.op, {transposed(0, "transA"), transposed(3, "transB"), node.input(2), node.input(5)});
  if (node.has_input(6)) sums = node.emit(Op::add, {sums, node.input(6)});
  ValueId scale = node.emit(Op::mul, {node.input(1), node.input(4)});
  scale = node.emit(Op::mul, {scale, node.scalar_like(scale, node.f64("alpha", 1))});
  const ValueId y = scaled_sums(node, sums, scale, {});
  if (!node.has_input(7)) return node.set_output(0, y);
  set_quantised(node, y, 7, node.input(0));
}

void import_matmul_integer_to_float(NodeContext& node, const Rule& rule) {
  const ValueId sums =
      node.emit(rule.op, {node.input(0), node.input(1), node.input(4), node.input(5)});
  const ValueId scale = node.emit(Op::mul, {node.input(2), node.input(3)});
  node.set_output(0, scaled_sums(node, sums, scale, node.input(6)));
}

// A quantised by its own range, times a quantised B.
void import_dynamic_quantize_matmul(NodeContext& node, const Rule& rule) {
  const auto a = node.emit_many(Op::dynamic_quantize_linear, {node.input(0)}, {}, 3);
  const ValueId sums = node.emit(rule.op, {a[0], node.input(1), a[2], node.input(3)});
  const ValueId scale = node.emit(Op::mul, {a[1], node.input(2)});
  node.set_output(0, scaled_sums(node, sums, scale, node.input(4)));
}

// An LSTM whose weights are dequantised. ONNX Runtime also quantises inputs and states by the range
// they happen to have; that is an error of its arithmetic which is not repeated here.
void import_dynamic_quantize_lstm(NodeContext& node, const Rule& rule) {
  // [directions, size, 4 * hidden], quantised per direction or per row of the gates.
  const auto weight = [&](size_t i, size_t scale) {
    const Ints shape = node.shape(node.input(i));
    if (node.failed() || shape.size() != 3) return node.input(i);
    const auto widened = [&](ValueId v) {
      if (!v) return v;
      const Ints given = node.shape(v);
      const int64_t columns = given.size() > 1 ? given.back() : 1;
      return reshape_to(node, v, {given.empty() ? 1 : given[0], 1, columns});
    };
    const ValueId raw = node.emit(Op::cast, {node.input(i)}, {{"to", DType::f32}});
    const ValueId zero =
        node.emit(Op::cast, {widened(node.input(scale + 1))}, {{"to", DType::f32}});
    const ValueId steps = node.emit(Op::sub, {raw, zero});
    const ValueId values = node.emit(Op::mul, {steps, widened(node.input(scale))});
    return node.emit(Op::transpose, {values}, {{"perm", Ints{0, 2, 1}}});
  };
  if (!node.has_input(11)) return node.invalid("scales and zero points are missing");
  std::vector<ValueId> operands = node.inputs();
  operands[1] = weight(1, 8);
  operands[2] = weight(2, 10);
  operands.resize(8);
  emit_direct(node, rule.op, operands);
}

namespace {

// Elements [0, count) along the last axis.
ValueId first_columns(NodeContext& node, ValueId x, int64_t count) {
  const Ints shape = node.shape(x);
  if (node.failed() || shape.back() == count) return x;
  return node.emit(Op::slice, {x, node.ints(Ints{0}), node.ints(Ints{count}),
                               node.ints(Ints{static_cast<int64_t>(shape.size()) - 1})});
}

// An operand that exporters write flat, as rows.
ValueId as_rows(NodeContext& node, ValueId x, int64_t rows) {
  const Ints shape = node.shape(x);
  const int64_t count = num_elements(shape);
  if (node.failed() || rows < 1 || count % rows != 0) {
    if (!node.failed()) node.invalid("an operand does not have one row per column of B");
    return x;
  }
  return reshape_to(node, x, {rows, count / rows});
}

}  // namespace

// Of known bytes the elements have the type of the field.
ValueId unpacked(NodeContext& node, ValueId packed, int64_t bits) {
  const Ints shape = node.shape(packed);
  if (node.failed() || bits == 8) return packed;
  const int64_t per_byte = 8 / bits;
  Ints wide = shape;
  wide.back() *= per_byte;
  if (const Tensor* bytes = node.known(packed)) {
    Tensor fields = Tensor::zeros(bits == 4 ? DType::u4 : DType::u2, wide);
    const auto from = bytes->as<uint8_t>();
    const auto to = fields.mutable_as<uint8_t>();
    for (size_t i = 0; i < to.size(); ++i) {
      const auto shift = static_cast<int64_t>(i) % per_byte * bits;
      to[i] = static_cast<uint8_t>((from[i / static_cast<size_t>(per_byte)] >> shift) &
                                   ((1 << bits) - 1));
    }
    return node.constant(std::move(fields));
  }
  std::vector<ValueId> parts;
  Ints column = shape;
  column.push_back(1);
  const ValueId rows = reshape_to(node, packed, column);
  for (int64_t i = 0; i < per_byte; ++i) {
    const ValueId shifted =
        node.emit(Op::bit_shift, {rows, node.scalar(DType::u8, static_cast<double>(i * bits))},
                  {{"direction", std::string("RIGHT")}});
    const auto mask = static_cast<double>((1 << bits) - 1);
    parts.push_back(node.emit(Op::bitwise_and, {shifted, node.scalar(DType::u8, mask)}));
  }
  return reshape_to(node, node.emit(Op::concat, parts, {{"axis", int64_t{-1}}}), wide);
}

// A times a B of N columns in blocks along K, each with a scale and perhaps a zero point.
void import_matmul_n_bits(NodeContext& node, const Rule&) {
  const int64_t n = node.i64("N", 0), k = node.i64("K", 0);
  const int64_t bits = node.i64("bits", 4), block = node.i64("block_size", 0);
  if (n < 1 || k < 1 || block < 1) return node.invalid("`N`, `K` and `block_size` are needed");
  if (bits != 2 && bits != 4 && bits != 8) return node.invalid("`bits` is none of 2, 4 and 8");
  const int64_t num_blocks = (k + block - 1) / block;
  const ValueId fields = unpacked(node, as_rows(node, node.input(1), n), bits);
  const ValueId scales = as_rows(node, node.input(2), n);
  // B as [N, blocks * block]: what a block has beyond K is never read.
  const auto blocks_of = [&](ValueId v, int64_t last) {
    return reshape_to(node, v, {n, num_blocks, last});
  };
  if (node.failed()) return;
  if (node.shape(fields) != Ints{n, num_blocks * block}) {
    return node.invalid("B does not have the shape that `N`, `K` and `block_size` ask for");
  }
  const DType dtype = node.dtype_of(node.input(0));
  ValueId zero = node.scalar(dtype, static_cast<double>(1 << (bits - 1)));
  if (node.has_input(3)) {
    ValueId given = as_rows(node, node.input(3), n);
    if (node.dtype_of(given) == DType::u8) {
      given = first_columns(node, unpacked(node, given, bits), num_blocks);
    }
    zero = blocks_of(node.emit(Op::cast, {given}, {{"to", dtype}}), 1);
  }
  const ValueId wide = node.emit(Op::cast, {fields}, {{"to", dtype}});
  ValueId b;
  if (node.has_input(4)) {
    // Each row of B says which scale is its own.
    const auto by_row = [&](ValueId v) {
      if (node.type(v).rank() == 0) return v;
      const ValueId rows = reshape_to(node, v, {n, num_blocks});
      return node.emit(Op::gather, {rows, node.input(4)}, {{"axis", int64_t{1}}});
    };
    const ValueId steps = node.emit(Op::sub, {first_columns(node, wide, k), by_row(zero)});
    b = node.emit(Op::mul, {steps, by_row(scales)});
  } else {
    const ValueId steps = node.emit(Op::sub, {blocks_of(wide, block), zero});
    const ValueId values = node.emit(Op::mul, {steps, blocks_of(scales, 1)});
    b = first_columns(node, reshape_to(node, values, {n, num_blocks * block}), k);
  }
  const ValueId y =
      node.emit(Op::matmul, {node.input(0), node.emit(Op::transpose, {b}, {{"perm", Ints{1, 0}}})});
  node.set_output(0, node.has_input(5) ? node.emit(Op::add, {y, node.input(5)}) : y);
}

// The 16 values of the two 4-bit float codes, and A times a B that is coded in them, high field
// first, with a scale per block of B's rows.
void import_matmul_bnb4(NodeContext& node, const Rule&) {
  static constexpr double kCodes[2][16] = {
      {0, 0.00520833333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25, 0, -0.00520833333,
       -0.66666667, -1, -0.33333333, -0.5, -0.16666667, -0.25},
      {-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
       -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
       0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1}};
  const int64_t n = node.i64("N", 0), k = node.i64("K", 0), block = node.i64("block_size", 0);
  const int64_t type = node.i64("quant_type", 0);
  const Tensor* bytes = node.known(node.input(1));
  const Tensor* scales = node.known(node.input(2));
  if (bytes == nullptr || scales == nullptr) return node.unsupported("its B is not constant");
  const bool fits = n > 0 && k > 0 && block > 0 && (type == 0 || type == 1) &&
                    bytes->dtype() == DType::u8 && bytes->num_elements() >= (n * k + 1) / 2 &&
                    scales->num_elements() >= (n * k + block - 1) / block;
  if (!fits) return node.invalid("B does not fit its attributes");
  Tensor b = Tensor::zeros(node.dtype_of(node.input(0)), {n, k});
  for (int64_t i = 0; i < n * k; ++i) {
    const uint8_t pair = bytes->as<uint8_t>()[static_cast<size_t>(i / 2)];
    const int code = i % 2 == 0 ? pair >> 4 : pair & 15;
    b.set_f64(i, kCodes[type][code] * scales->f64(i / block));
  }
  const ValueId y =
      node.emit(Op::matmul, {node.input(0), node.emit(Op::transpose, {node.constant(std::move(b))},
                                                      {{"perm", Ints{1, 0}}})});
  node.set_output(0, y);
}

// Rows of a table that is quantised in blocks along one axis.
void import_gather_block_quantized(NodeContext& node, const Rule&) {
  const int64_t bits = node.i64("bits", 4);
  ValueId data = node.input(0), zero = node.input(3);
  const bool is_packed = node.dtype_of(data) == DType::u8;
  if (is_packed) data = unpacked(node, data, bits);
  const Ints shape = node.shape(data);
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t gather = normalised_axis(node, node.i64("gather_axis", 0), rank);
  const int64_t axis = normalised_axis(node, node.i64("quantize_axis", 1), rank);
  const int64_t block = node.i64("block_size", 128);
  if (node.failed()) return;
  if (gather == axis || block < 1) return node.invalid("`gather_axis` is `quantize_axis`");
  const Ints scales = node.shape(node.input(2));
  if (zero && is_packed) zero = first_columns(node, unpacked(node, zero, bits), scales.back());
  const int64_t num_indices = node.rank(node.input(1));
  const auto rows = [&](ValueId v) {
    const ValueId part = node.emit(Op::gather, {v, node.input(1)}, {{"axis", gather}});
    return node.emit(Op::cast, {part}, {{"to", node.dtype_of(node.input(2))}});
  };
  // Each block's parameter for all of its elements, along the axis where it stands now.
  const int64_t moved = axis < gather ? axis : axis + num_indices - 1;
  const auto spread = [&](ValueId v) {
    Ints at = node.shape(v);
    if (node.failed()) return v;
    Ints column = at, wide = at;
    column.insert(column.begin() + moved + 1, 1);
    wide.insert(wide.begin() + moved + 1, block);
    at[static_cast<size_t>(moved)] *= block;
    const ValueId all = node.emit(Op::expand, {reshape_to(node, v, column), node.ints(wide)});
    return node.emit(Op::slice,
                     {reshape_to(node, all, at), node.ints(Ints{0}),
                      node.ints(Ints{shape[static_cast<size_t>(axis)]}), node.ints(Ints{moved})});
  };
  ValueId y = rows(data);
  if (zero) {
    y = node.emit(Op::sub, {y, spread(rows(zero))});
  } else if (is_packed) {
    y = node.emit(Op::sub, {y, node.scalar_like(y, static_cast<double>(1 << (bits - 1)))});
  }
  node.set_output(0, node.emit(Op::mul, {y, spread(rows(node.input(2)))}));
}

}  // namespace neuronc::onnx
