// Import rules of operators that move data: attributes of old versions become constant operands.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

template <class T>
Tensor vector_tensor(DType dtype, const std::vector<T>& values) {
  return Tensor::from<T>(dtype, {static_cast<int64_t>(values.size())}, values);
}

// An index that is known must lie in [-extent, extent).
void check_index(NodeContext& node, int64_t index, Dim extent) {
  if (!extent.is_number() || (index >= -extent.number() && index < extent.number())) return;
  if (node.failed()) return;
  node.invalid(fmt::format("index {} lies outside an axis of {} elements", index, extent.number()));
}

// The product of the extents of axes [begin, end), 0 where it is not known.
int64_t known_product(const Type& type, int64_t begin, int64_t end) {
  int64_t product = 1;
  for (int64_t axis = begin; axis < end; ++axis) {
    const Dim dim = type.dims[static_cast<size_t>(axis)];
    if (!dim.is_number() || __builtin_mul_overflow(product, dim.number(), &product)) return 0;
  }
  return product;
}

}  // namespace

void import_concat_1(NodeContext& node, const Rule&) {
  node.set_output(0, node.emit(Op::concat, node.inputs(), {{"axis", node.i64("axis", 1)}}));
}

// The value stands in one of eight attributes.
void import_constant(NodeContext& node, const Rule&) {
  Tensor value = node.tensor(node.has("sparse_value") ? "sparse_value" : "value");
  if (node.has("value_int")) {
    value = Tensor::scalar(DType::i64, 0);
    value.set_i64(0, node.i64("value_int", 0));
  } else if (node.has("value_ints")) {
    value = Tensor::ints(node.ints("value_ints"));
  } else if (node.has("value_float")) {
    value = Tensor::scalar(DType::f32, node.f64("value_float", 0));
  } else if (node.has("value_floats")) {
    const std::vector<double> floats = node.floats("value_floats");
    value = vector_tensor(DType::f64, floats).converted(DType::f32);
  } else if (node.has("value_string")) {
    value = Tensor::from_strings({}, {node.string("value_string", "")});
  } else if (node.has("value_strings")) {
    const std::vector<std::string> strings = node.strings("value_strings");
    value = Tensor::from_strings({static_cast<int64_t>(strings.size())}, strings);
  }
  if (!value) return node.invalid("it has no value");
  node.set_output(0, node.constant(std::move(value)));
}

void import_constant_of_shape(NodeContext& node, const Rule&) {
  Tensor value = node.tensor("value");
  if (!value) value = Tensor::scalar(DType::f32, 0);
  if (value.num_elements() != 1) return node.invalid("attribute `value` has not one element");
  const ValueId scalar = node.constant(value.with_shape({}));
  node.set_output(0, node.emit(Op::constant_of_shape, {node.input(0), scalar}));
}

// A flattened tensor of 0 elements keeps both extents, so neither may be left open where the other
// may be 0.
void import_flatten(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const int64_t given = node.i64("axis", 1);
  const bool needs_rank = given < 0 || given > 1 || node.is_ranked(x);
  const int64_t axis = needs_rank ? normalised_axis(node, given, node.rank(x), 1) : given;
  if (node.failed()) return;
  if (axis == 0) return node.set_output(0, node.emit(Op::reshape, {x, node.ints(Ints{1, -1})}));
  const int64_t columns = node.is_ranked(x) ? known_product(node.type(x), axis, node.rank(x)) : 0;
  if (columns > 0) {
    return node.set_output(0, node.emit(Op::reshape, {x, node.ints(Ints{-1, columns})}));
  }
  if (axis == 1) return node.set_output(0, node.emit(Op::reshape, {x, node.ints(Ints{0, -1})}));
  const auto product_of = [&](std::vector<NamedAttribute> range) {
    return node.emit(Op::reduce_prod, {node.emit(Op::shape, {x}, std::move(range))});
  };
  const ValueId shape =
      node.emit(Op::concat, {product_of({{"end", axis}}), product_of({{"start", axis}})},
                {{"axis", int64_t{0}}});
  node.set_output(0, node.emit(Op::reshape, {x, shape}, {{"allowzero", int64_t{1}}}));
}

// Of gather and gather_elements. What would fail in every run fails here.
void import_gather(NodeContext& node, const Rule& rule) {
  import_direct(node, rule);
  const Tensor* indices = node.known(node.input(1));
  const Type& x = node.type(node.input(0));
  if (node.failed() || indices == nullptr || !x.is_ranked) return;
  const int64_t axis = normalised_axis(node, node.i64("axis", 0), x.rank());
  if (node.failed()) return;
  for (int64_t index : indices->to_ints()) {
    check_index(node, index, x.dims[static_cast<size_t>(axis)]);
  }
}

// The last axis of the indices holds tuples.
void import_gather_nd(NodeContext& node, const Rule& rule) {
  import_direct(node, rule);
  const Tensor* indices = node.known(node.input(1));
  const Type& x = node.type(node.input(0));
  if (node.failed() || indices == nullptr || !x.is_ranked || indices->rank() == 0) return;
  const int64_t batch = node.i64("batch_dims", 0);
  const int64_t tuple = indices->shape().back();
  const Ints numbers = indices->to_ints();
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int64_t axis = batch + static_cast<int64_t>(i) % tuple;
    check_index(node, numbers[i], x.dims[static_cast<size_t>(axis)]);
  }
}

// Until opset 11 pads and value were attributes, named `paddings` in the first version.
void import_pad_1(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const Ints pads = node.ints(node.has("paddings") ? "paddings" : "pads");
  const double value = node.f64("value", 0);
  const ValueId fill = value == 0 ? ValueId() : node.scalar_like(x, value);
  node.set_output(0, node.emit(Op::pad, {x, node.ints(pads), fill},
                               {{"mode", node.string("mode", "constant")}}));
}

void import_reshape_1(NodeContext& node, const Rule&) {
  node.set_output(0, node.emit(Op::reshape, {node.input(0), node.ints(node.ints("shape"))}));
}

// The extents of a static operand are known, so that what is computed from them is.
void import_shape(NodeContext& node, const Rule& rule) {
  import_direct(node, rule);
  if (node.failed() || !node.type(node.input(0)).is_static()) return;
  const Ints shape = node.shape(node.input(0));
  if (rule.op == Op::size) {
    const int64_t count = num_elements(shape);
    node.set_known(node.outputs()[0], Tensor::from<int64_t>(DType::i64, {}, std::span(&count, 1)));
    return;
  }
  const auto rank = static_cast<int64_t>(shape.size());
  const auto clamped = [&](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank);
  };
  const int64_t start = clamped(node.i64("start", 0));
  const int64_t end = std::max(start, clamped(node.i64("end", rank)));
  node.set_known(node.outputs()[0], Tensor::ints(Ints(shape.begin() + start, shape.begin() + end)));
}

void import_slice_1(NodeContext& node, const Rule&) {
  const Ints starts = node.ints("starts");
  Ints axes = node.ints("axes");
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  node.set_output(0, node.emit(Op::slice, {node.input(0), node.ints(starts),
                                           node.ints(node.ints("ends")), node.ints(axes)}));
}

// The parts' sizes are an attribute until opset 13; since opset 18 their number may be given.
void import_split(NodeContext& node, const Rule&) {
  ValueId sizes = node.input(1);
  if (node.has("split")) sizes = node.ints(node.ints("split"));
  const int64_t num_outputs = node.i64("num_outputs", static_cast<int64_t>(node.num_outputs()));
  if (num_outputs != static_cast<int64_t>(node.num_outputs())) {
    return node.invalid("attribute `num_outputs` is not the number of its outputs");
  }
  const auto results = node.emit_many(Op::split, {node.input(0), sizes},
                                      {{"axis", node.i64("axis", 0)}}, node.num_outputs());
  for (size_t i = 0; i < results.size(); ++i) node.set_output(i, results[i]);
}

// Squeeze and Unsqueeze: until opset 13 axes were an attribute.
void import_squeeze_1(NodeContext& node, const Rule& rule) {
  const Ints axes = node.ints("axes");
  const ValueId operand = axes.empty() && rule.op == Op::squeeze ? ValueId() : node.ints(axes);
  node.set_output(0, node.emit(rule.op, {node.input(0), operand}));
}

// The first version repeated along one axis; both numbers came as operands.
void import_tile_1(NodeContext& node, const Rule&) {
  const Tensor* tiles = node.known(node.input(1));
  const Tensor* axis = node.known(node.input(2));
  if (tiles == nullptr || axis == nullptr) return node.unsupported("its repeats are not constant");
  const int64_t rank = node.rank(node.input(0));
  Ints repeats(static_cast<size_t>(rank), 1);
  const int64_t position = normalised_axis(node, axis->i64(0), rank);
  if (node.failed()) return;
  repeats[static_cast<size_t>(position)] = tiles->i64(0);
  node.set_output(0, node.emit(Op::tile, {node.input(0), node.ints(repeats)}));
}

}  // namespace neuronc::onnx
