// Import rules of elementwise operators.
#include <fmt/format.h>

#include <cctype>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/onnx_dtype.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

// A float type that holds all numbers of an integer type, or as many as any does.
DType float_for(DType dtype) { return integer_bits(dtype) > 16 ? DType::f64 : DType::f32; }

bool is_whole(DType dtype) { return is_integer(dtype) || dtype == DType::boolean; }

ValueId cast_to(NodeContext& node, ValueId value, DType dtype) {
  return node.emit(Op::cast, {value}, {{"to", dtype}});
}

}  // namespace

// Operators that are meant for floats, which ONNX allows on integers: their results are cut off.
void import_through_float(NodeContext& node, const Rule& rule) {
  const DType dtype = node.has_input(0) ? node.dtype_of(node.input(0)) : DType::none;
  if (!is_integer(dtype)) return import_direct(node, rule);
  const ValueId x = cast_to(node, node.input(0), float_for(dtype));
  const ValueId y = node.emit(rule.op, {x}, direct_attributes(node, rule.op));
  node.set_output(0, cast_to(node, y, dtype));
}

// Integers and truth values are sampled as floats; positions are floats since opset 20.
void import_grid_sample(NodeContext& node, const Rule& rule) {
  if (!node.has_input(0) || !node.has_input(1)) return import_direct(node, rule);
  ValueId x = node.input(0), grid = node.input(1);
  const DType dtype = node.dtype_of(x);
  if (is_whole(dtype)) x = cast_to(node, x, float_for(dtype));
  if (is_whole(node.dtype_of(grid))) grid = cast_to(node, grid, DType::f32);
  const ValueId y = node.emit(rule.op, {x, grid}, direct_attributes(node, rule.op));
  node.set_output(0, is_whole(dtype) ? cast_to(node, y, dtype) : y);
}

// Before opset 7 the second operand was broadcast only with `broadcast`, and to `axis`.
void import_binary_1(NodeContext& node, const Rule& rule) {
  ValueId b = node.input(1);
  if (node.i64("broadcast", 0) != 0 && node.has("axis")) {
    b = align_to_axis(node, node.input(0), b, node.i64("axis", 0));
  }
  emit_direct(node, rule.op, {node.input(0), b}, {"broadcast", "axis"});
}

// Since opset 12 the exponent may have an element type of its own.
void import_pow_1(NodeContext& node, const Rule& rule) {
  ValueId exponent = node.input(1);
  if (node.i64("broadcast", 0) != 0 && node.has("axis")) {
    exponent = align_to_axis(node, node.input(0), exponent, node.i64("axis", 0));
  }
  emit_direct(node, rule.op, {node.input(0), exponent}, {"broadcast", "axis"});
}

// Sum, Max and Min take any number of operands, the IR's operators two.
void import_n_ary(NodeContext& node, const Rule& rule) {
  if (node.num_inputs() == 0) return node.invalid("it has no inputs");
  ValueId result = node.input(0);
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    result = node.emit(rule.op, {result, node.input(i)});
  }
  if (node.num_inputs() == 1) result = node.emit(Op::identity, {result});
  node.set_output(0, result);
}

void import_mean(NodeContext& node, const Rule&) {
  if (node.num_inputs() == 0) return node.invalid("it has no inputs");
  ValueId sum = node.input(0);
  for (size_t i = 1; i < node.num_inputs(); ++i) sum = node.emit(Op::add, {sum, node.input(i)});
  const auto count = static_cast<double>(node.num_inputs());
  node.set_output(0, node.emit(Op::div, {sum, node.scalar_like(sum, count)}));
}

// Until opset 11 the limits were attributes.
void import_clip_1(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const auto limit = [&](std::string_view name) {
    return node.has(name) ? node.scalar_like(x, node.f64(name, 0)) : ValueId();
  };
  const ValueId low = limit("min");
  const ValueId high = limit("max");
  node.set_output(0, node.emit(Op::clip, {x, low, high}));
}

// Before opset 7 a slope of one axis stood for the channels.
// Of integers the operator is taken apart.
void import_prelu(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  ValueId slope = node.input(1);
  const bool is_per_channel = node.version() < 7 && node.rank(slope) == 1 && node.rank(x) > 2 &&
                              node.type(slope).dims[0] != Dim(1);
  if (is_per_channel) slope = align_to_axis(node, x, slope, 1);
  if (!x || !is_integer(node.dtype_of(x))) {
    return node.set_output(0, node.emit(Op::prelu, {x, slope}));
  }
  const ValueId is_negative = node.emit(Op::less, {x, node.scalar_like(x, 0)});
  const ValueId scaled = node.emit(Op::mul, {x, slope});
  node.set_output(0, node.emit(Op::where, {is_negative, scaled, x}));
}

// Before opset 6 the target type was spelled as a string.
void import_cast(NodeContext& node, const Rule&) {
  DType to = DType::none;
  if (node.version() < 6) {
    const std::string text = node.string("to", "");
    for (int32_t number = 1; number < 17 && to == DType::none; ++number) {
      std::string name = onnx_dtype_name(number);
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (name == text) to = dtype_from_onnx(number);
    }
    if (to == DType::none) node.invalid(fmt::format("attribute `to` is `{}`", text));
  } else {
    if (!node.has("to")) node.invalid("attribute `to` is missing");
    to = node.dtype("to", DType::none);
  }
  node.set_output(
      0, node.emit(Op::cast, {node.input(0)}, {{"to", to}, {"saturate", node.i64("saturate", 1)}}));
}

void import_cast_like(NodeContext& node, const Rule&) {
  const DType to = node.dtype_of(node.input(1));
  node.set_output(
      0, node.emit(Op::cast, {node.input(0)}, {{"to", to}, {"saturate", node.i64("saturate", 1)}}));
}

namespace {

// Each element is dropped with the probability `ratio`; the others grow, so that sums stay.
void import_training_dropout(NodeContext& node, ValueId x, ValueId ratio) {
  const auto place = static_cast<int64_t>(node.source().index) + 1;
  const auto seed = static_cast<double>(node.has("seed") ? node.i64("seed", 0) : place);
  const ValueId draws =
      node.emit(Op::random_uniform_like, {x}, {{"dtype", DType::f64}, {"seed", seed}});
  const ValueId bound = node.emit(Op::cast, {ratio}, {{"to", DType::f64}});
  const ValueId kept = node.emit(Op::greater_or_equal, {draws, bound});
  const ValueId rest = node.emit(Op::sub, {node.scalar(DType::f64, 1), bound});
  const ValueId factor =
      node.emit(Op::cast, {node.emit(Op::reciprocal, {rest})}, {{"to", node.dtype_of(x)}});
  const ValueId grown = node.emit(Op::mul, {x, factor});
  node.set_output(0, node.emit(Op::where, {kept, grown, node.scalar_like(x, 0)}));
  if (node.wants_output(1)) node.set_output(1, kept);
}

}  // namespace

// Where it does not train nothing is dropped, and the mask is all true.
void import_dropout(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const Tensor* training = node.known(node.input(2));
  const Tensor* ratio = node.known(node.input(1));
  const bool may_train = node.has_input(2) && (training == nullptr || training->i64(0) != 0);
  const bool drops_nothing =
      node.has_input(1) && ratio != nullptr && ratio->num_elements() == 1 && ratio->f64(0) == 0;
  if (may_train && !drops_nothing) {
    // Whether it trains may be known only at run time; the ratio then counts as 0 or as given.
    ValueId bound = node.has_input(1) ? node.input(1) : node.scalar_like(x, 0.5);
    if (training == nullptr) {
      bound = node.emit(Op::where, {node.input(2), bound, node.scalar_like(bound, 0)});
    }
    return import_training_dropout(node, x, bound);
  }
  node.set_output(0, node.emit(Op::identity, {x}));
  if (!node.wants_output(1)) return;
  // Before opset 10 the mask had the type of the data.
  const DType mask_dtype = node.version() < 10 ? node.dtype_of(x) : DType::boolean;
  const ValueId shape = node.emit(Op::shape, {x});
  node.set_output(1, node.emit(Op::expand, {node.scalar(mask_dtype, 1), shape}));
}

}  // namespace neuronc::onnx
