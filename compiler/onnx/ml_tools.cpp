// Implements ml_tools.h.
#include "compiler/onnx/ml_tools.h"

#include <fmt/format.h>

namespace neuronc::onnx {

ValueId as_scores(NodeContext& node, ValueId x) {
  const DType dtype = node.dtype_of(x);
  if (dtype == DType::f32 || dtype == DType::f64) return x;
  return node.emit(Op::cast, {x}, {{"to", DType::f32}});
}

std::vector<double> numbers_of(NodeContext& node, const std::string& name) {
  if (!node.has(name + "_as_tensor")) return node.floats(name);
  const Tensor tensor = node.tensor(name + "_as_tensor");
  return tensor && is_numeric(tensor.dtype()) ? tensor.to_doubles() : std::vector<double>();
}

ValueId constant_like(NodeContext& node, ValueId like, std::vector<int64_t> shape,
                      const std::vector<double>& numbers) {
  Tensor tensor = Tensor::zeros(node.dtype_of(like), std::move(shape));
  if (static_cast<size_t>(tensor.num_elements()) != numbers.size()) {
    node.invalid(
        fmt::format("an attribute has {} numbers, not {}", numbers.size(), tensor.num_elements()));
    return {};
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    tensor.set_f64(static_cast<int64_t>(i), numbers[i]);
  }
  return node.constant(std::move(tensor));
}

Tensor labels_of(NodeContext& node, std::string_view ints, std::string_view strings) {
  const std::vector<std::string> texts = node.strings(strings);
  if (!texts.empty()) {
    return Tensor::from_strings({static_cast<int64_t>(texts.size())}, texts);
  }
  const std::vector<int64_t> numbers = node.ints(ints);
  return numbers.empty() ? Tensor() : Tensor::ints(numbers);
}

namespace {

ValueId softmax_zero(NodeContext& node, ValueId scores) {
  const std::vector<int64_t> last{1};
  const ValueId top = node.emit(Op::reduce_max, {scores, node.ints(last)});
  const ValueId power = node.emit(Op::exp, {node.emit(Op::sub, {scores, top})});
  const ValueId limit = node.scalar_like(scores, 1e-7);
  const ValueId is_zero = node.emit(Op::less_or_equal, {node.emit(Op::abs, {scores}), limit});
  const ValueId kept = node.emit(Op::where, {is_zero, node.scalar_like(scores, 0), power});
  return node.emit(Op::div, {kept, node.emit(Op::reduce_sum, {kept, node.ints(last)})});
}

// sqrt(2) times the inverse error function of 2 x - 1, by the approximation with a = 0.147.
ValueId probit(NodeContext& node, ValueId x) {
  const auto number = [&](double value) { return node.scalar_like(x, value); };
  const auto binary = [&](Op op, ValueId a, ValueId b) { return node.emit(op, {a, b}); };
  const ValueId y = binary(Op::sub, binary(Op::mul, x, number(2)), number(1));
  const ValueId log = node.emit(Op::log, {binary(Op::sub, number(1), binary(Op::mul, y, y))});
  const ValueId v =
      binary(Op::add, number(2 / (3.14159265358979 * 0.147)), binary(Op::mul, log, number(0.5)));
  const ValueId square =
      binary(Op::sub, binary(Op::mul, v, v), binary(Op::mul, log, number(1 / 0.147)));
  const ValueId root = node.emit(Op::sqrt, {binary(Op::sub, node.emit(Op::sqrt, {square}), v)});
  const ValueId sign = node.emit(Op::sign, {y});
  return binary(Op::mul, binary(Op::mul, sign, root), number(1.41421356237309515));
}

}  // namespace

ValueId post_transformed(NodeContext& node, ValueId scores, const std::string& name) {
  if (name == "NONE" || name.empty()) return scores;
  if (name == "SOFTMAX") return node.emit(Op::softmax, {scores}, {{"axis", int64_t{-1}}});
  if (name == "LOGISTIC") return node.emit(Op::sigmoid, {scores});
  if (name == "SOFTMAX_ZERO") return softmax_zero(node, scores);
  if (name == "PROBIT") return probit(node, scores);
  node.invalid(fmt::format("attribute `post_transform` is `{}`", name));
  return scores;
}

ValueId beside(NodeContext& node, ValueId left, ValueId right) {
  return node.emit(Op::concat, {left, right}, {{"axis", int64_t{1}}});
}

}  // namespace neuronc::onnx
