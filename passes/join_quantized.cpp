// Implements join_quantized.h.
#include "passes/join_quantized.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "passes/join_quantized_rules.h"

namespace neuronc {
namespace {

// Narrower groups are not worth a product.
constexpr int64_t kMinGroupChannels = 4;
// So many products of centred bytes fit 32 bits; longer sums stay floats.
constexpr int64_t kMaxTerms = (int64_t{1} << 31) / (255 * 255) - 1;

bool is_byte(DType dtype) { return dtype == DType::i8 || dtype == DType::u8; }

}  // namespace

std::optional<Dequantized> dequantized(const Rewriter& r, NodeId id) {
  if (!id || r.node(id).op != Op::dequantize_linear) return std::nullopt;
  const Node& node = r.node(id);
  if (r.type(node.results[0]).dtype != DType::f32 || !is_byte(r.type(node.operands[0]).dtype)) {
    return std::nullopt;
  }
  Dequantized d;
  d.bytes = node.operands[0];
  d.scale = r.constant(id, 1);
  if (d.scale == nullptr || d.scale->rank() > 1 || d.scale->dtype() != DType::f32) {
    return std::nullopt;
  }
  if (node.has_operand(2)) {
    d.zero_point = node.operands[2];
    d.zero = r.constant(id, 2);
    if (d.zero == nullptr || d.zero->num_elements() != d.scale->num_elements()) return std::nullopt;
  }
  const int64_t rank = r.type(d.bytes).is_ranked ? r.type(d.bytes).rank() : 0;
  d.axis = node.view().i64("axis");
  if (d.axis < 0) d.axis += rank;
  return d;
}

std::vector<NamedAttribute> attributes_for(Op op, const Node& node) {
  std::vector<NamedAttribute> attributes;
  for (size_t i = 0; i < node.attributes.size(); ++i) {
    if (std::holds_alternative<std::monostate>(node.attributes[i])) continue;
    const auto has_name = [&](const AttributeSpec& spec) {
      return spec.name == node.def().attributes[i].name;
    };
    const auto& specs = op_def(op).attributes;
    if (std::none_of(specs.begin(), specs.end(), has_name)) continue;
    attributes.push_back({std::string(node.def().attributes[i].name), node.attributes[i]});
  }
  return attributes;
}

namespace {

// ---- products

struct Weights {
  Dequantized d;
  bool is_transposed = false;  // between dequantisation and product
};

// Constant weights of rank 2 or more, dequantised, for a matmul perhaps transposed.
std::optional<Weights> constant_weights(const Rewriter& r, NodeId product) {
  Weights weights;
  NodeId producer = r.graph.producer(r.node(product).operands[1]);
  if (producer && r.node(producer).op == Op::transpose) {
    const ValueId behind = r.node(producer).operands[0];
    if (r.node(product).op == Op::conv || r.type(behind).rank() != 2) return std::nullopt;
    weights.is_transposed = true;
    const std::vector<int64_t>& order = r.node(producer).view().ints("perm");
    if (order.size() == 2 && order[0] == 0) return std::nullopt;
    producer = r.graph.producer(behind);
  }
  const auto d = dequantized(r, producer);
  if (!d || r.module.constant_of(r.graph, d->bytes) == nullptr) return std::nullopt;
  weights.d = *d;
  return weights;
}

// The scales of the product of `x` and `w`, shaped to broadcast to its result.
Tensor joined_scales(const Dequantized& x, const Dequantized& w, std::vector<int64_t> shape) {
  const int64_t count = w.scale->num_elements();
  Tensor scales = Tensor::zeros(DType::f32, count == 1 ? std::vector<int64_t>{} : std::move(shape));
  for (int64_t i = 0; i < count; ++i) scales.set_f64(i, x.scale->f64(0) * w.scale->f64(i));
  return scales;
}

// Operands of an integer contraction; what is absent at the end does not stand there.
std::vector<ValueId> byte_operands(const Dequantized& x, ValueId weights, ValueId weight_zero) {
  std::vector<ValueId> operands{x.bytes, weights, x.zero_point, weight_zero};
  while (!operands.back()) operands.pop_back();
  return operands;
}

// Sums of bytes as the floats that they stand for.
ValueId scaled(Rewriter& r, NodeId position, ValueId sums, Tensor scales) {
  const ValueId floats = r.make(position, Op::cast, {sums}, {{"to", DType::f32}});
  if (!floats) return ValueId();
  return r.make(position, Op::mul, {floats, r.make_constant(position, std::move(scales))});
}

Changed join_conv(Rewriter& r, NodeId id) {
  const auto x = dequantized(r, r.graph.producer(r.node(id).operands[0]));
  const auto w = constant_weights(r, id);
  if (!x || !x->is_per_tensor() || !w || (!w->d.is_per_tensor() && w->d.axis != 0)) {
    return Changed::no;
  }
  const std::vector<int64_t> shape = r.type(w->d.bytes).shape();
  const int64_t groups = r.node(id).view().i64("group");
  if (r.type(w->d.bytes).num_elements() > kMaxTerms * shape[0]) return Changed::no;
  if (groups > 1 && (shape[1] < kMinGroupChannels || shape[0] / groups < kMinGroupChannels)) {
    return Changed::no;
  }
  std::vector<int64_t> per_channel(shape.size() - 1, 1);
  per_channel[0] = shape[0];
  const ValueId bias = r.node(id).has_operand(2) ? r.node(id).operands[2] : ValueId();
  const ValueId sums = r.make(id, Op::conv_integer, byte_operands(*x, w->d.bytes, w->d.zero_point),
                              attributes_for(Op::conv_integer, r.node(id)));
  ValueId y = sums ? scaled(r, id, sums, joined_scales(*x, w->d, per_channel)) : ValueId();
  if (y && bias) {
    Tensor dims = Tensor::zeros(DType::i64, {static_cast<int64_t>(per_channel.size())});
    for (size_t i = 0; i < per_channel.size(); ++i) {
      dims.set_i64(static_cast<int64_t>(i), per_channel[i]);
    }
    const ValueId shaped = r.make(id, Op::reshape, {bias, r.make_constant(id, std::move(dims))});
    y = shaped ? r.make(id, Op::add, {y, shaped}) : ValueId();
  }
  if (!y) return Changed::no;
  r.replace(id, y);
  return Changed::yes;
}

Changed join_matmul(Rewriter& r, NodeId id) {
  const auto x = dequantized(r, r.graph.producer(r.node(id).operands[0]));
  auto w = constant_weights(r, id);
  if (!x || !x->is_per_tensor() || !w || r.type(w->d.bytes).rank() != 2) return Changed::no;
  const Node& node = r.node(id);
  ValueId addend;
  if (node.op == Op::gemm) {
    const OpView view = node.view();
    if (view.i64("transA") != 0 || view.f64("alpha") != 1 || view.f64("beta") != 1) {
      return Changed::no;
    }
    if (view.i64("transB") != 0) w->is_transposed = !w->is_transposed;
    if (node.has_operand(2)) addend = node.operands[2];
  }
  const int64_t column_axis = w->is_transposed ? 0 : 1;
  if (!w->d.is_per_tensor() && w->d.axis != column_axis) return Changed::no;
  const std::vector<int64_t> shape = r.type(w->d.bytes).shape();
  if (shape[static_cast<size_t>(1 - column_axis)] > kMaxTerms) return Changed::no;
  const int64_t columns = shape[static_cast<size_t>(column_axis)];
  ValueId bytes = w->d.bytes;
  if (w->is_transposed) {
    bytes = r.make(id, Op::transpose, {bytes}, {{"perm", std::vector<int64_t>{1, 0}}});
  }
  const ValueId sums = r.make(id, Op::matmul_integer, byte_operands(*x, bytes, w->d.zero_point));
  ValueId y = sums ? scaled(r, id, sums, joined_scales(*x, w->d, {columns})) : ValueId();
  if (y && addend) y = r.make(id, Op::add, {y, addend});
  if (!y) return Changed::no;
  r.replace(id, y);
  return Changed::yes;
}

// ---- convolutions of bytes whose groups are too small for a product

// Up to so many products of centred bytes sum exactly in f32, and each factor is exact in bf16.
constexpr int64_t kMaxExactTerms = (1 << 24) / (255 * 255);

bool is_narrow(const Rewriter& r, const Node& conv, size_t weights) {
  const Type& w = r.type(conv.operands[weights]);
  if (!w.is_static() || w.rank() < 3) return false;
  const std::vector<int64_t> shape = w.shape();
  const int64_t groups = conv.view().i64("group");
  const int64_t terms = w.num_elements() / std::max<int64_t>(shape[0], 1);
  return groups > 1 && terms <= kMaxExactTerms &&
         (shape[1] < kMinGroupChannels || shape[0] / groups < kMinGroupChannels);
}

// `bytes` less a zero point, in f32: one number, or for weights one per index of axis 0.
ValueId centred(Rewriter& r, NodeId position, ValueId bytes, ValueId zero_point, bool has_many) {
  ValueId x = r.make(position, Op::cast, {bytes}, {{"to", DType::f32}});
  if (!x || !zero_point) return x;
  ValueId shift = r.make(position, Op::cast, {zero_point}, {{"to", DType::f32}});
  if (shift && has_many) {
    Tensor dims = Tensor::zeros(DType::i64, {r.type(bytes).rank()});
    for (int64_t i = 0; i < dims.num_elements(); ++i) dims.set_i64(i, i == 0 ? -1 : 1);
    shift = r.make(position, Op::reshape, {shift, r.make_constant(position, std::move(dims))});
  }
  return shift ? r.make(position, Op::sub, {x, shift}) : ValueId();
}

// Where operands stand: of conv_integer, of q_linear_conv.
struct Places {
  size_t weights, x_zero, w_zero;
};

// The convolution of the centred operands in f32, which holds its sums; none if it cannot be made.
ValueId widened_conv(Rewriter& r, NodeId id, const Places& at) {
  if (!is_narrow(r, r.node(id), at.weights)) return ValueId();
  const std::vector<ValueId> operands = r.node(id).operands;
  const auto operand = [&](size_t i) { return i < operands.size() ? operands[i] : ValueId(); };
  const auto has_many = [&](ValueId value) { return value && r.type(value).num_elements() != 1; };
  const ValueId x_zero = operand(at.x_zero), w_zero = operand(at.w_zero);
  if (has_many(x_zero) || (has_many(w_zero) && r.type(w_zero).rank() != 1)) return ValueId();
  const ValueId x = centred(r, id, operand(0), x_zero, false);
  const ValueId w = centred(r, id, operand(at.weights), w_zero, has_many(w_zero));
  if (!x || !w) return ValueId();
  return r.make(id, Op::conv, {x, w}, attributes_for(Op::conv, r.node(id)));
}

Changed widen_conv_integer(Rewriter& r, NodeId id) {
  const ValueId sums = widened_conv(r, id, {1, 2, 3});
  const ValueId y = sums ? r.make(id, Op::cast, {sums}, {{"to", DType::i32}}) : ValueId();
  if (!y) return Changed::no;
  r.replace(id, y);
  return Changed::yes;
}

constexpr size_t kXScale = 1, kWScale = 4, kYScale = 6, kYZero = 7, kBias = 8;
// Sums and bias together stay whole numbers in f32.
constexpr int64_t kMaxBias = 1 << 23;

bool is_small(const Tensor& bias) {
  for (int64_t i = 0; i < bias.num_elements(); ++i) {
    if (bias.i64(i) > kMaxBias || bias.i64(i) < -kMaxBias) return false;
  }
  return true;
}

// Numbers of output channels, shaped to broadcast to a result of `rank` dims.
Tensor of_channels(std::vector<float> numbers, int64_t rank) {
  std::vector<int64_t> shape(static_cast<size_t>(rank - 1), 1);
  shape[0] = static_cast<int64_t>(numbers.size());
  Tensor tensor = Tensor::zeros(DType::f32, shape);
  for (size_t i = 0; i < numbers.size(); ++i) {
    tensor.set_f64(static_cast<int64_t>(i), static_cast<double>(numbers[i]));
  }
  return tensor;
}

// round((sum + b) * (x_scale * w_scale / y_scale)) + zero point, the factor in f32 as the operator
// has it.
Changed widen_q_linear_conv(Rewriter& r, NodeId id) {
  const Tensor *x_scale = r.constant(id, kXScale), *w_scale = r.constant(id, kWScale),
               *y_scale = r.constant(id, kYScale);
  const Tensor* bias = r.node(id).has_operand(kBias) ? r.constant(id, kBias) : nullptr;
  if (x_scale == nullptr || w_scale == nullptr || y_scale == nullptr) return Changed::no;
  if (r.node(id).has_operand(kBias) && (bias == nullptr || !is_small(*bias))) return Changed::no;
  if (x_scale->num_elements() != 1 || y_scale->num_elements() != 1) return Changed::no;
  const int64_t rank = r.type(r.node(id).operands[3]).rank();
  std::vector<float> factors, addends;
  for (int64_t i = 0; i < w_scale->num_elements(); ++i) {
    factors.push_back(static_cast<float>(x_scale->f64(0) * w_scale->f64(i) / y_scale->f64(0)));
  }
  for (int64_t i = 0; bias != nullptr && i < bias->num_elements(); ++i) {
    addends.push_back(static_cast<float>(bias->i64(i)));
  }
  ValueId y = widened_conv(r, id, {3, 2, 5});
  if (y && !addends.empty()) {
    y = r.make(id, Op::add, {y, r.make_constant(id, of_channels(std::move(addends), rank))});
  }
  if (y) y = r.make(id, Op::mul, {y, r.make_constant(id, of_channels(std::move(factors), rank))});
  if (y) {
    Tensor one = Tensor::zeros(DType::f32, {});
    one.set_f64(0, 1);
    const ValueId step = r.make_constant(id, std::move(one));
    y = r.make(id, Op::quantize_linear, {y, step, r.node(id).operands[kYZero]});
  }
  if (!y) return Changed::no;
  r.replace(id, y);
  return Changed::yes;
}

// ---- what moves or compares values works on their bytes

// How many leading operands carry data; none: not such an operator.
std::optional<size_t> num_data_operands(const Node& node) {
  switch (node.op) {
    case Op::concat:
      return node.operands.size();
    case Op::max_pool:
      if (node.results.size() != 1) return std::nullopt;
      return 1;
    case Op::reshape:
    case Op::transpose:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::slice:
    case Op::gather:
    case Op::expand:
    case Op::tile:
    case Op::depth_to_space:
    case Op::space_to_depth:
      return 1;
    default:
      return std::nullopt;
  }
}

// Whether quantisation by `q` undoes `d`.
bool is_undone_by(const Rewriter& r, const Dequantized& d, NodeId q) {
  const Tensor* scale = r.constant(q, 1);
  if (!d.is_per_tensor() || scale == nullptr || scale->num_elements() != 1) return false;
  if (scale->dtype() != DType::f32 || scale->f64(0) != d.scale->f64(0)) return false;
  // Only of a normal scale is the quotient of a product the number that it was.
  if (!(scale->f64(0) >= 0x1p-100 && scale->f64(0) <= 0x1p100)) return false;
  const bool has_zero = r.node(q).has_operand(2);
  const Tensor* zero = has_zero ? r.constant(q, 2) : nullptr;
  if (has_zero && (zero == nullptr || zero->num_elements() != 1)) return false;
  const int64_t expected = zero != nullptr ? zero->i64(0) : 0;
  const int64_t actual = d.zero != nullptr ? d.zero->i64(0) : 0;
  return expected == actual && r.type(r.node(q).results[0]).dtype == r.type(d.bytes).dtype;
}

Changed join_movement(Rewriter& r, NodeId q) {
  const NodeId moved = r.graph.producer(r.node(q).operands[0]);
  if (!moved) return Changed::no;
  if (const auto d = dequantized(r, moved)) {
    if (!is_undone_by(r, *d, q)) return Changed::no;
    r.replace(q, d->bytes);
    return Changed::yes;
  }
  const Node& node = r.node(moved);
  const auto count = num_data_operands(node);
  if (!count || !r.has_one_use(node.results[0])) return Changed::no;
  std::vector<ValueId> operands = node.operands;
  for (size_t i = 0; i < *count; ++i) {
    const auto d = dequantized(r, r.graph.producer(operands[i]));
    if (!d || !is_undone_by(r, *d, q)) return Changed::no;
    operands[i] = d->bytes;
  }
  return r.replace_by(q, node.op, std::move(operands), attributes_for(node.op, node));
}

Changed join(Rewriter& r, NodeId id) {
  const Node& node = r.node(id);
  if (node.has(Trait::matmul_like) && r.type(node.results[0]).dtype != DType::f32) {
    return Changed::no;
  }
  switch (r.node(id).op) {
    case Op::conv:
      return join_conv(r, id);
    case Op::matmul:
    case Op::gemm:
      return join_matmul(r, id);
    case Op::conv_integer:
      return widen_conv_integer(r, id);
    case Op::q_linear_conv:
      return widen_q_linear_conv(r, id);
    case Op::quantize_linear:
      return join_movement(r, id) == Changed::yes ? Changed::yes : join_table(r, id);
    default:
      return Changed::no;
  }
}

}  // namespace

Expected<Changed> join_quantized(Module& module, const NoOptions&, PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) {
      if (graph.node(id).is_erased) continue;
      const std::string where = rewriter.label(id);
      const size_t num_slots = graph.num_node_slots();
      if (join(rewriter, id) == Changed::yes) {
        context.remarks.done(where, "computed in integers");
        changed = Changed::yes;
      } else if (graph.num_node_slots() != num_slots) {
        changed = Changed::yes;
      }
    }
  });
  return changed;
}

}  // namespace neuronc
