// Recipes of operators whose operands must fit together: recurrent layers, attention, scattering and
// gathering, quantised products, transposed convolution.
#include "generator.h"

namespace neuronc::testing {
namespace {

using Result = std::optional<ValueId>;
using Attributes = std::vector<NamedAttribute>;

constexpr DTypeSet kBytes{DType::i8, DType::u8};

Attributes directed(Generator& g, int64_t hidden, int64_t& directions) {
  const std::string direction =
      g.one_of<std::string>({"forward", "reverse", "bidirectional", "forward"});
  directions = direction == "bidirectional" ? 2 : 1;
  return {{"direction", direction}, {"hidden_size", hidden}};
}

Result recurrent(Generator& g, Op op) {
  const int64_t gates = op == Op::lstm ? 4 : op == Op::gru ? 3 : 1;
  const ValueId x = g.value(DTypeSet{DType::f32, DType::f16}, 3, 3);
  const Extents shape = g.shape(x);
  const DType dtype = g.type(x).dtype;
  const int64_t hidden = g.pick(1, 9);
  int64_t directions = 1;
  Attributes attributes = directed(g, hidden, directions);
  if (op == Op::gru) attributes.push_back({"linear_before_reset", int64_t{g.flip()}});
  if (op == Op::lstm) attributes.push_back({"input_forget", int64_t{g.flip()}});
  std::vector<ValueId> operands{
      x, g.random_constant(dtype, {directions, gates * hidden, shape[2]}),
      g.random_constant(dtype, {directions, gates * hidden, hidden}),
      g.flip() ? g.random_constant(dtype, {directions, 2 * gates * hidden}) : ValueId()};
  if (g.flip()) {
    operands.push_back(ValueId());  // all sequences have the full length
    const Extents state{directions, shape[1], hidden};
    operands.push_back(g.like(dtype, state));
    if (op == Op::lstm && g.flip()) operands.push_back(g.like(dtype, state));
  }
  return g.add(op, operands, attributes, op == Op::lstm ? 3 : 2);
}

Result attention(Generator& g) {
  const ValueId query = g.value(DTypeSet{DType::f32, DType::f16}, 4, 4);
  const Extents shape = g.shape(query);
  const DType dtype = g.type(query).dtype;
  const int64_t length = g.pick(1, 9);
  const Extents keys{shape[0], shape[1], length, shape[3]};
  const Extents values{shape[0], shape[1], length, g.pick(1, 9)};
  std::vector<ValueId> operands{query, g.like(dtype, keys), g.like(dtype, values)};
  if (g.flip()) operands.push_back(g.like(dtype, {shape[2], length}));
  return g.add(Op::attention, operands, {{"is_causal", int64_t{g.pick(0, 3) == 0}}});
}

Result rotary(Generator& g) {
  const ValueId x = g.value(DTypeSet{DType::f32, DType::f16}, 4, 4);
  const Extents shape = g.shape(x);
  const Extents table{shape[0], shape[2], shape[3] / 2};
  return g.add(Op::rotary_embedding,
               {x, g.like(g.type(x).dtype, table), g.like(g.type(x).dtype, table)},
               {{"interleaved", int64_t{g.flip()}}});
}

// Indices are inputs in [-4, 4], so the axis has five elements at least.
bool has_room(const Extents& shape, size_t axis) { return axis < shape.size() && shape[axis] > 4; }

std::string reduction(Generator& g) {
  return g.one_of<std::string>({"none", "add", "mul", "min", "max"});
}

Result scatter_elements(Generator& g) {
  const ValueId x = g.value(kNumeric, 1, 3);
  const Extents shape = g.shape(x);
  const auto axis = static_cast<size_t>(g.pick(0, static_cast<int64_t>(shape.size()) - 1));
  if (!has_room(shape, axis)) return std::nullopt;
  Extents places;
  for (int64_t extent : shape) places.push_back(g.pick(0, extent));
  return g.add(Op::scatter_elements,
               {x, g.input(DType::i64, places), g.like(g.type(x).dtype, places)},
               {{"axis", static_cast<int64_t>(axis)}, {"reduction", reduction(g)}});
}

Result scatter_nd(Generator& g) {
  const ValueId x = g.value(kNumeric, 1, 3);
  const Extents shape = g.shape(x);
  if (!has_room(shape, 0)) return std::nullopt;
  const int64_t rows = g.pick(0, 6);
  Extents updates(shape.begin() + 1, shape.end());
  updates.insert(updates.begin(), rows);
  return g.add(Op::scatter_nd,
               {x, g.input(DType::i64, {rows, 1}), g.like(g.type(x).dtype, updates)},
               {{"reduction", reduction(g)}});
}

Result gather_elements(Generator& g) {
  const ValueId x = g.value(kNumeric | kBool, 1, 3);
  const Extents shape = g.shape(x);
  const auto axis = static_cast<size_t>(g.pick(0, static_cast<int64_t>(shape.size()) - 1));
  if (!has_room(shape, axis)) return std::nullopt;
  Extents places;
  for (int64_t extent : shape) places.push_back(g.pick(0, extent));
  places[axis] = g.pick(0, 7);
  return g.add(Op::gather_elements, {x, g.input(DType::i64, places)},
               {{"axis", static_cast<int64_t>(axis)}});
}

Result gather_nd(Generator& g) {
  const ValueId x = g.value(kNumeric | kBool, 1, 3);
  if (!has_room(g.shape(x), 0)) return std::nullopt;
  return g.add(Op::gather_nd, {x, g.input(DType::i64, {g.pick(0, 6), 1})});
}

Result top_k(Generator& g) {
  const ValueId x = g.value(kNumeric, 1, 3);
  const Extents shape = g.shape(x);
  const int64_t axis = g.pick(0, static_cast<int64_t>(shape.size()) - 1);
  const int64_t k = g.pick(0, shape[static_cast<size_t>(axis)]);
  return g.add(Op::top_k, {x, g.ints({k})}, {{"axis", axis}, {"largest", int64_t{g.flip()}}}, 2);
}

Result one_hot(Generator& g) {
  const DType dtype = g.pick_dtype(kNumeric);
  const Extents pair{2};
  return g.add(Op::one_hot,
               {g.input(DType::i64, g.pick_shape(0, 3)),
                g.constant(Tensor::scalar(DType::i64, static_cast<double>(g.pick(1, 8)))),
                g.random_constant(dtype, pair)},
               {{"axis", int64_t{g.flip() ? -1 : 0}}});
}

Result conv_transpose(Generator& g) {
  const ValueId x = g.value(DTypeSet{DType::f16, DType::f32}, 3, 4);
  const Extents shape = g.shape(x);
  const DType dtype = g.type(x).dtype;
  const int64_t channels = shape[1];
  const int64_t groups = channels > 0 && g.pick(0, 3) == 0 ? channels : 1;
  Extents w{channels, g.pick(1, 6)};
  Extents strides, pads;
  for (size_t i = 2; i < shape.size(); ++i) {
    w.push_back(g.pick(1, 3));
    strides.push_back(g.pick(1, 3));
  }
  for (size_t i = 0; i < 2 * strides.size(); ++i) pads.push_back(g.pick(0, 1));
  std::vector<ValueId> operands{x, g.flip() ? g.random_constant(dtype, w) : g.like(dtype, w)};
  if (g.flip()) operands.push_back(g.like(dtype, {w[1] * groups}));
  return g.add(Op::conv_transpose, operands,
               {{"strides", strides}, {"pads", pads}, {"group", groups}});
}

ValueId byte(Generator& g, DType dtype) {
  return g.constant(Tensor::scalar(dtype, static_cast<double>(g.pick(0, 9))));
}

ValueId scale(Generator& g) {
  return g.constant(Tensor::scalar(DType::f32, static_cast<double>(g.pick(1, 32)) / 16));
}

Result matmul_integer(Generator& g) {
  const ValueId a = g.value(kBytes, 2, 4);
  const DType dtype = g.pick_dtype(kBytes);
  const Extents shape{g.shape(a).back(), g.pick(1, 20)};
  std::vector<ValueId> operands{a,
                                g.flip() ? g.random_constant(dtype, shape) : g.like(dtype, shape)};
  if (g.flip()) operands.push_back(byte(g, g.type(a).dtype));
  if (operands.size() == 3 && g.flip()) operands.push_back(byte(g, dtype));
  return g.add(Op::matmul_integer, operands);
}

Extents filter(Generator& g, const Extents& shape) {
  Extents w{g.pick(1, 9), shape[1]};
  for (size_t i = 2; i < shape.size(); ++i) w.push_back(g.pick(1, 3));
  return w;
}

Attributes padded(Generator& g, size_t rank) {
  Extents strides, pads;
  for (size_t i = 0; i < rank; ++i) strides.push_back(g.pick(1, 2));
  for (size_t i = 0; i < 2 * rank; ++i) pads.push_back(g.pick(0, 1));
  return {{"strides", strides}, {"pads", pads}};
}

Result conv_integer(Generator& g) {
  const ValueId x = g.value(kBytes, 3, 4);
  const DType dtype = g.pick_dtype(kBytes);
  std::vector<ValueId> operands{x, g.random_constant(dtype, filter(g, g.shape(x)))};
  if (g.flip()) operands.push_back(byte(g, g.type(x).dtype));
  return g.add(Op::conv_integer, operands, padded(g, g.shape(x).size() - 2));
}

Result q_linear_matmul(Generator& g) {
  const ValueId a = g.value(kBytes, 2, 3);
  const DType dtype = g.type(a).dtype;
  const ValueId b = g.random_constant(dtype, {g.shape(a).back(), g.pick(1, 20)});
  return g.add(Op::q_linear_matmul, {a, scale(g), byte(g, dtype), b, scale(g), byte(g, dtype),
                                     scale(g), byte(g, dtype)});
}

Result q_linear_conv(Generator& g) {
  const ValueId x = g.value(kBytes, 3, 4);
  const DType dtype = g.type(x).dtype;
  const Extents w = filter(g, g.shape(x));
  std::vector<ValueId> operands{
      x,        scale(g),       byte(g, dtype), g.random_constant(dtype, w),
      scale(g), byte(g, dtype), scale(g),       byte(g, dtype)};
  if (g.flip()) operands.push_back(g.random_constant(DType::i32, {w[0]}));
  return g.add(Op::q_linear_conv, operands, padded(g, g.shape(x).size() - 2));
}

Result quantize(Generator& g) {
  const ValueId x = g.value(DTypeSet{DType::f32}, 0, 4);
  const DType dtype = g.pick_dtype(kBytes);
  return g.add(Op::quantize_linear, {x, scale(g), byte(g, dtype)});
}

Result dequantize(Generator& g) {
  const ValueId x = g.value(kBytes, 0, 4);
  return g.add(Op::dequantize_linear, {x, scale(g), byte(g, g.type(x).dtype)});
}

}  // namespace

std::vector<NamedRecipe> structured_recipes() {
  return {{"attention", attention},
          {"conv_integer", conv_integer},
          {"conv_transpose", conv_transpose},
          {"dequantize_linear", dequantize},
          {"gather_elements", gather_elements},
          {"gather_nd", gather_nd},
          {"gru", [](Generator& g) { return recurrent(g, Op::gru); }},
          {"lstm", [](Generator& g) { return recurrent(g, Op::lstm); }},
          {"matmul_integer", matmul_integer},
          {"one_hot", one_hot},
          {"q_linear_conv", q_linear_conv},
          {"q_linear_matmul", q_linear_matmul},
          {"quantize_linear", quantize},
          {"rnn", [](Generator& g) { return recurrent(g, Op::rnn); }},
          {"rotary_embedding", rotary},
          {"scatter_elements", scatter_elements},
          {"scatter_nd", scatter_nd},
          {"top_k", top_k}};
}

}  // namespace neuronc::testing
