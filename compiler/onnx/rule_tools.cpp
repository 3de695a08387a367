// Implements rule_tools.h and the rule of operators that are the same in ONNX and in the IR.
#include "compiler/onnx/rule_tools.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/onnx/import_rules.h"

namespace neuronc::onnx {
namespace {

// Attributes of old versions without meaning for the result.
constexpr std::string_view kMeaningless[] = {"consumed_inputs", "is_test", "doc_string"};

AttributeValue converted(NodeContext& node, const OnnxAttribute& attribute, AttributeKind kind) {
  switch (kind) {
    case AttributeKind::i64:
      return node.i64(attribute.name, 0);
    case AttributeKind::f64:
      return node.f64(attribute.name, 0);
    case AttributeKind::string:
      return node.string(attribute.name, "");
    case AttributeKind::ints:
      return node.ints(attribute.name);
    case AttributeKind::floats:
      return node.floats(attribute.name);
    case AttributeKind::strings:
      return node.strings(attribute.name);
    case AttributeKind::dtype:
      return node.dtype(attribute.name, DType::none);
    default:
      return std::monostate();
  }
}

}  // namespace

std::vector<NamedAttribute> direct_attributes(NodeContext& node, Op op,
                                              std::vector<std::string_view> handled) {
  const OpDef& def = op_def(op);
  std::vector<NamedAttribute> result;
  for (const OnnxAttribute& attribute : node.attributes()) {
    const auto is_named = [&](std::string_view name) { return name == attribute.name; };
    if (std::any_of(handled.begin(), handled.end(), is_named)) continue;
    const auto index = def.attribute_index(attribute.name);
    if (index) {
      result.push_back({attribute.name, converted(node, attribute, def.attributes[*index].kind)});
    } else if (std::none_of(std::begin(kMeaningless), std::end(kMeaningless), is_named)) {
      node.unsupported(fmt::format("attribute `{}` is not handled", attribute.name));
    }
  }
  return result;
}

void emit_direct(NodeContext& node, Op op, std::vector<ValueId> operands,
                 std::vector<std::string_view> handled) {
  auto attributes = direct_attributes(node, op, std::move(handled));
  const auto results =
      node.emit_many(op, std::move(operands), std::move(attributes), node.num_outputs());
  for (size_t i = 0; i < results.size(); ++i) node.set_output(i, results[i]);
}

void import_direct(NodeContext& node, const Rule& rule) {
  emit_direct(node, rule.op, node.inputs());
}

int64_t normalised_axis(NodeContext& node, int64_t axis, int64_t rank, int64_t extra) {
  if (axis >= -rank && axis < rank + extra) return axis < 0 ? axis + rank : axis;
  if (!node.failed()) {
    node.invalid(fmt::format("axis {} is out of range for an operand of rank {}", axis, rank));
  }
  return 0;
}

ValueId reshape_to(NodeContext& node, ValueId value, const std::vector<int64_t>& shape) {
  const Type& type = node.type(value);
  if (type.is_static() && type.shape() == shape) return value;
  const bool has_zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return node.emit(Op::reshape, {value, node.ints(shape)},
                   {{"allowzero", static_cast<int64_t>(has_zero)}});
}

ValueId align_to_axis(NodeContext& node, ValueId a, ValueId b, int64_t axis) {
  const int64_t rank_a = node.rank(a);
  const int64_t rank_b = node.rank(b);
  axis = normalised_axis(node, axis, rank_a, 1);
  const int64_t num_trailing = rank_a - axis - rank_b;
  if (num_trailing <= 0 || node.failed()) return b;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < num_trailing; ++i) axes.push_back(rank_b + i);
  return node.emit(Op::unsqueeze, {b, node.ints(axes)});
}

}  // namespace neuronc::onnx
