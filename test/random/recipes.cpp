// How each operator is called in random modules.
#include <algorithm>
#include <numeric>

#include "generator.h"

namespace neuronc::testing {
namespace {

using Result = std::optional<ValueId>;
using Attributes = std::vector<NamedAttribute>;

constexpr DTypeSet kNumbers = kNumeric;

// What elementwise operators need beside their operands.
Attributes elementwise_attributes(Generator& g, Op op) {
  if (op == Op::bit_shift) return {{"direction", std::string(g.flip() ? "LEFT" : "RIGHT")}};
  if (op == Op::cast || op == Op::quantize_linear) return {};
  if (op == Op::mod) return {{"fmod", int64_t{g.flip() ? 1 : 0}}};
  return {};
}

// A shape that broadcasts to `shape`.
Extents narrower(Generator& g, Extents shape) {
  const int64_t dropped = g.pick(0, static_cast<int64_t>(shape.size()));
  if (g.flip()) shape.erase(shape.begin(), shape.begin() + dropped);
  for (int64_t& extent : shape) {
    if (g.pick(0, 3) == 0) extent = 1;
  }
  return shape;
}

Result elementwise(Generator& g, Op op) {
  const OpDef& def = op_def(op);
  std::vector<ValueId> operands;
  DType variable = DType::none;
  Extents shape;
  for (size_t i = 0; i < def.operands.size(); ++i) {
    const OperandSpec& spec = def.operands[i];
    if (spec.arity == Arity::optional && g.flip()) break;
    const bool is_bound = spec.type_variable != 0 && variable != DType::none;
    if (i == 0) {
      operands.push_back(g.value(spec.dtypes, 0, 4));
      shape = g.shape(operands[0]);
    } else {
      const DType dtype = is_bound ? variable : g.pick_dtype(spec.dtypes);
      const bool is_scalar = op == Op::clip;
      operands.push_back(g.like(dtype, is_scalar ? Extents{} : narrower(g, shape)));
    }
    if (spec.type_variable != 0) variable = g.type(operands.back()).dtype;
  }
  return g.add(op, operands, elementwise_attributes(g, op));
}

int64_t pick_axis(Generator& g, const Extents& shape) {
  return g.pick(-static_cast<int64_t>(shape.size()), static_cast<int64_t>(shape.size()) - 1);
}

Result cast(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 0, 4);
  return g.add(Op::cast, {x}, {{"to", g.pick_dtype(kNumbers | kBool)}});
}

Result matmul(Generator& g) {
  const ValueId a = g.value(kNumbers, 1, 4);
  Extents shape = g.shape(a);
  Extents other{shape.back(), g.pick(1, 20)};
  if (g.flip() && shape.size() > 2) other.insert(other.begin(), shape[shape.size() - 3]);
  return g.add(Op::matmul, {a, g.like(g.type(a).dtype, other)});
}

Result gemm(Generator& g) {
  const ValueId a = g.value(kNumbers, 2, 2);
  const bool is_a = g.flip(), is_b = g.flip(), has_c = g.flip();
  const Extents shape = g.shape(a);
  const int64_t k = shape[is_a ? 0 : 1], n = g.pick(1, 20), m = shape[is_a ? 1 : 0];
  std::vector<ValueId> operands{a, g.like(g.type(a).dtype, is_b ? Extents{n, k} : Extents{k, n})};
  if (has_c) operands.push_back(g.like(g.type(a).dtype, narrower(g, {m, n})));
  return g.add(
      Op::gemm, operands,
      {{"transA", int64_t{is_a}}, {"transB", int64_t{is_b}}, {"alpha", g.flip() ? 1.0 : 2.0}});
}

// Window attributes for `rank` spatial axes.
Attributes window(Generator& g, size_t rank) {
  Extents strides, pads(2 * rank), dilations;
  for (size_t i = 0; i < rank; ++i) {
    strides.push_back(g.pick(1, 3));
    dilations.push_back(g.pick(0, 3) == 0 ? 2 : 1);
  }
  for (int64_t& pad : pads) pad = g.pick(0, 1);
  return {{"strides", strides}, {"pads", pads}, {"dilations", dilations}};
}

Result conv(Generator& g) {
  const ValueId x = g.value(kFloats, 3, 4);
  const Extents shape = g.shape(x);
  const int64_t channels = shape[1];
  const int64_t groups = channels > 0 && g.pick(0, 3) == 0 ? channels : 1;
  Extents w{groups * g.pick(1, 9), groups == 0 ? 0 : channels / groups};
  for (size_t i = 2; i < shape.size(); ++i) w.push_back(g.pick(1, 3));
  Attributes attributes = window(g, shape.size() - 2);
  attributes.push_back({"group", groups});
  std::vector<ValueId> operands{
      x, g.flip() ? g.random_constant(g.type(x).dtype, w) : g.like(g.type(x).dtype, w)};
  if (g.flip()) operands.push_back(g.like(g.type(x).dtype, {w[0]}));
  return g.add(Op::conv, operands, attributes);
}

Result pool(Generator& g, Op op) {
  const ValueId x = g.value(DTypeSet{DType::f16, DType::f32, DType::f64}, 3, 4);
  const size_t rank = g.shape(x).size() - 2;
  Extents kernel;
  for (size_t i = 0; i < rank; ++i) kernel.push_back(g.pick(1, 3));
  Attributes attributes = window(g, rank);
  attributes.push_back({"kernel_shape", kernel});
  return g.add(op, {x}, attributes);
}

Result global_pool(Generator& g, Op op) { return g.add(op, {g.value(kFloats, 3, 4)}); }

Result reduce(Generator& g, Op op) {
  const ValueId x = g.value(op_def(op).operands[0].dtypes, 1, 4);
  const Attributes attributes{{"keepdims", int64_t{g.flip()}}};
  if (g.pick(0, 3) == 0) return g.add(op, {x}, attributes);
  return g.add(op, {x, g.ints({pick_axis(g, g.shape(x))})}, attributes);
}

Result along_axis(Generator& g, Op op) {
  const ValueId x = g.value(op_def(op).operands[0].dtypes, 1, 4);
  return g.add(op, {x}, {{"axis", pick_axis(g, g.shape(x))}});
}

Result layer_norm(Generator& g) {
  const ValueId x = g.value(kFloats, 1, 4);
  const Extents shape = g.shape(x);
  const DType dtype = g.type(x).dtype;
  const Extents last{shape.back()};
  return g.add(Op::layer_normalization, {x, g.like(dtype, last), g.like(dtype, last)},
               {{"axis", int64_t{-1}}});
}

Result batch_norm(Generator& g) {
  const ValueId x = g.value(kFloats, 2, 4);
  const Extents channels{g.shape(x)[1]};
  std::vector<ValueId> operands{x};
  for (int i = 0; i < 3; ++i) operands.push_back(g.random_constant(g.type(x).dtype, channels));
  Tensor variance = Tensor::zeros(g.type(x).dtype, channels);
  for (int64_t i = 0; i < channels[0]; ++i) variance.set_f64(i, 0.5 + static_cast<double>(i % 3));
  operands.push_back(g.constant(std::move(variance)));
  return g.add(Op::batch_normalization, operands);
}

Result transpose(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  Extents perm(g.shape(x).size());
  std::iota(perm.begin(), perm.end(), 0);
  for (size_t i = 1; i < perm.size(); ++i) {
    std::swap(perm[i], perm[static_cast<size_t>(g.pick(0, static_cast<int64_t>(i)))]);
  }
  return g.add(Op::transpose, {x}, {{"perm", perm}});
}

Result reshape(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  Extents shape = g.shape(x);
  if (g.flip()) std::reverse(shape.begin(), shape.end());
  if (shape.size() > 1 && g.flip()) {
    shape[1] *= shape[0];
    shape.erase(shape.begin());
  } else {
    shape.insert(shape.begin() + g.pick(0, static_cast<int64_t>(shape.size())), 1);
  }
  return g.add(Op::reshape, {x, g.ints(shape)}, {{"allowzero", int64_t{1}}});
}

Result slice(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  const int64_t axis = pick_axis(g, g.shape(x));
  const int64_t step = g.one_of<int64_t>({1, 1, 2, 3, -1, -2});
  return g.add(Op::slice, {x, g.ints({g.pick(-5, 5)}), g.ints({g.pick(-5, 12)}), g.ints({axis}),
                           g.ints({step})});
}

Result concat(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  Extents shape = g.shape(x);
  const int64_t axis = g.pick(0, static_cast<int64_t>(shape.size()) - 1);
  shape[static_cast<size_t>(axis)] = g.pick(0, 5);
  std::vector<ValueId> operands{x, g.like(g.type(x).dtype, shape)};
  if (g.flip()) operands.push_back(x);
  return g.add(Op::concat, operands, {{"axis", axis}});
}

Result split(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  return g.add(Op::split, {x}, {{"axis", pick_axis(g, g.shape(x))}}, 2);
}

Result pad(Generator& g) {
  const ValueId x = g.value(kNumbers, 1, 4);
  Extents pads(2 * g.shape(x).size());
  for (int64_t& pad : pads) pad = g.pick(-1, 3);
  const std::string mode =
      g.one_of<std::string>({"constant", "constant", "edge", "reflect", "wrap"});
  return g.add(Op::pad, {x, g.ints(pads)}, {{"mode", mode}});
}

Result gather(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 4);
  const int64_t axis = g.pick(0, static_cast<int64_t>(g.shape(x).size()) - 1);
  const int64_t extent = g.shape(x)[static_cast<size_t>(axis)];
  if (extent < 5) return std::nullopt;  // inputs are in [-4, 4]
  return g.add(Op::gather, {x, g.input(DType::i64, g.pick_shape(0, 2))}, {{"axis", axis}});
}

Result tile(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 1, 3);
  Extents repeats(g.shape(x).size());
  for (int64_t& repeat : repeats) repeat = g.pick(0, 3);
  return g.add(Op::tile, {x, g.ints(repeats)});
}

Result expand(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 0, 3);
  Extents shape = g.shape(x);
  shape.insert(shape.begin(), g.pick(1, 4));
  return g.add(Op::expand, {x, g.ints(shape)});
}

Result trilu(Generator& g) {
  const ValueId x = g.value(kNumbers | kBool, 2, 4);
  return g.add(Op::trilu,
               {x, g.constant(Tensor::scalar(DType::i64, static_cast<double>(g.pick(-3, 3))))},
               {{"upper", int64_t{g.flip()}}});
}

Result cumulative(Generator& g) {
  const ValueId x = g.value(kNumbers, 1, 4);
  return g.add(Op::cum_sum, {x, g.constant(Tensor::scalar(DType::i64, 0))},
               {{"exclusive", int64_t{g.flip()}}, {"reverse", int64_t{g.flip()}}});
}

Result resize(Generator& g) {
  const ValueId x = g.value(DTypeSet{DType::f32, DType::f16, DType::u8, DType::i32}, 3, 4);
  Extents sizes = g.shape(x);
  for (size_t i = 2; i < sizes.size(); ++i) sizes[i] = g.pick(1, 12);
  return g.add(Op::resize, {x, ValueId(), ValueId(), g.ints(sizes)},
               {{"mode", g.one_of<std::string>({"nearest", "linear", "cubic"})},
                {"antialias", int64_t{0}},
                {"coordinate_transformation_mode",
                 g.one_of<std::string>({"half_pixel", "asymmetric", "align_corners"})}});
}

Result depth_to_space(Generator& g) {
  return g.add(Op::depth_to_space, {g.value(kNumbers, 4, 4)}, {{"blocksize", int64_t{2}}});
}

Result space_to_depth(Generator& g) {
  return g.add(Op::space_to_depth, {g.value(kNumbers, 4, 4)}, {{"blocksize", int64_t{2}}});
}

Result einsum(Generator& g) {
  const ValueId a = g.value(kNumbers, 3, 3);
  const Extents shape = g.shape(a);
  return g.add(Op::einsum, {a, g.like(g.type(a).dtype, {shape[0], shape[2], g.pick(1, 5)})},
               {{"equation", std::string("bij,bjk->bik")}});
}

std::vector<NamedRecipe> make_recipes() {
  std::vector<NamedRecipe> all;
  for (size_t i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    if (!op_def(op).has(Trait::elementwise) || op == Op::cast) continue;
    all.push_back({std::string(name(op)), [op](Generator& g) { return elementwise(g, op); }});
  }
  const auto with = [&all](Result (*recipe)(Generator&, Op), std::initializer_list<Op> ops) {
    for (Op op : ops) {
      all.push_back({std::string(name(op)), [recipe, op](Generator& g) { return recipe(g, op); }});
    }
  };
  with(pool, {Op::max_pool, Op::average_pool});
  with(global_pool, {Op::global_average_pool, Op::global_max_pool});
  with(reduce, {Op::reduce_max, Op::reduce_mean, Op::reduce_min, Op::reduce_prod, Op::reduce_sum});
  with(along_axis, {Op::softmax, Op::log_softmax, Op::arg_max, Op::arg_min});
  const std::pair<const char*, Result (*)(Generator&)> others[] = {
      {"batch_normalization", batch_norm},
      {"cast", cast},
      {"concat", concat},
      {"conv", conv},
      {"cum_sum", cumulative},
      {"depth_to_space", depth_to_space},
      {"einsum", einsum},
      {"expand", expand},
      {"gather", gather},
      {"gemm", gemm},
      {"layer_normalization", layer_norm},
      {"matmul", matmul},
      {"pad", pad},
      {"reshape", reshape},
      {"resize", resize},
      {"slice", slice},
      {"space_to_depth", space_to_depth},
      {"split", split},
      {"tile", tile},
      {"transpose", transpose},
      {"trilu", trilu}};
  for (const auto& [recipe_name, recipe] : others) all.push_back({recipe_name, recipe});
  for (NamedRecipe& recipe : structured_recipes()) all.push_back(std::move(recipe));
  return all;
}

}  // namespace

const std::vector<NamedRecipe>& recipes() {
  static const std::vector<NamedRecipe> all = make_recipes();
  return all;
}

}  // namespace neuronc::testing
