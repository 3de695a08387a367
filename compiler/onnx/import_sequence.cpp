// Import rules of sequences and optionals. Where it is known which tensors a sequence holds, what
// is taken out of it or joined is made of those, so that nothing of the sequence is left: a
// sequence lives on the host, and what is behind it would be of unknown shape.
#include <algorithm>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Elements = std::vector<ValueId>;

// The position that operand `i` names among `size`, the end by default; none where it is not known
// or does not exist, which the operator itself finds out.
std::optional<size_t> known_position(NodeContext& node, size_t i, size_t size, size_t limit,
                                     size_t otherwise) {
  if (!node.has_input(i)) return otherwise;
  const Tensor* position = node.known(node.input(i));
  if (position == nullptr || position->num_elements() != 1) return std::nullopt;
  int64_t at = position->i64(0);
  if (at < 0) at += static_cast<int64_t>(size);
  if (at < 0 || at > static_cast<int64_t>(limit)) return std::nullopt;
  return static_cast<size_t>(at);
}

// The node as it stands, whose result holds `elements`; it dies if only they are used.
void emit_sequence(NodeContext& node, const Rule& rule, std::optional<Elements> elements) {
  import_direct(node, rule);
  if (!node.failed() && elements) node.set_elements(node.outputs()[0], std::move(*elements));
}

// The extents of the parts of an axis; none where they are not known or do not fit.
std::optional<std::vector<int64_t>> part_extents(NodeContext& node, int64_t extent) {
  if (!node.has_input(1)) return std::vector<int64_t>(static_cast<size_t>(extent), 1);
  const Tensor* split = node.known(node.input(1));
  if (split == nullptr) return std::nullopt;
  std::vector<int64_t> parts = split->to_ints();
  if (split->rank() == 0) {
    const int64_t size = parts[0];
    if (size < 1) return std::nullopt;
    parts.assign(static_cast<size_t>(extent / size), size);
    if (extent % size != 0) parts.push_back(extent % size);
  }
  int64_t sum = 0;
  for (int64_t part : parts) {
    if (part < 0 || __builtin_add_overflow(sum, part, &sum)) return std::nullopt;
  }
  if (sum != extent) return std::nullopt;
  return parts;
}

// More parts than this are not taken apart.
constexpr int64_t kMostParts = 4096;

std::optional<Elements> split_parts(NodeContext& node) {
  const ValueId x = node.input(0);
  const Type& type = node.type(x);
  if (!x || !type.is_ranked || type.rank() == 0) return std::nullopt;
  const int64_t given = node.i64("axis", 0), rank = type.rank();
  const int64_t axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis >= rank) return std::nullopt;
  const Dim extent = type.dims[static_cast<size_t>(axis)];
  if (!extent.is_number() || extent.number() > kMostParts) return std::nullopt;
  const auto parts = part_extents(node, extent.number());
  if (!parts || parts->empty()) return parts ? std::optional<Elements>(Elements()) : std::nullopt;
  Elements elements =
      node.emit_many(Op::split, {x, node.ints(*parts)}, {{"axis", axis}}, parts->size());
  if (node.has_input(1) || node.i64("keepdims", 1) != 0) return elements;
  for (ValueId& element : elements) {
    element = node.emit(Op::squeeze, {element, node.ints(std::vector<int64_t>{axis})});
  }
  return elements;
}

}  // namespace

void import_sequence_empty(NodeContext& node, const Rule& rule) {
  emit_sequence(node, rule, Elements());
}

void import_sequence_construct(NodeContext& node, const Rule& rule) {
  emit_sequence(node, rule, node.inputs());
}

void import_split_to_sequence(NodeContext& node, const Rule& rule) {
  auto parts = split_parts(node);
  emit_sequence(node, rule, std::move(parts));
}

void import_sequence_insert(NodeContext& node, const Rule& rule) {
  const Elements* elements = node.elements(node.input(0));
  if (elements == nullptr) return import_direct(node, rule);
  const size_t size = elements->size();
  const auto at = known_position(node, 2, size, size, size);
  if (!at) return import_direct(node, rule);
  Elements longer = *elements;
  longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(*at), node.input(1));
  emit_sequence(node, rule, std::move(longer));
}

void import_sequence_erase(NodeContext& node, const Rule& rule) {
  const Elements* elements = node.elements(node.input(0));
  if (elements == nullptr || elements->empty()) return import_direct(node, rule);
  const size_t last = elements->size() - 1;
  const auto at = known_position(node, 1, elements->size(), last, last);
  if (!at) return import_direct(node, rule);
  Elements shorter = *elements;
  shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(*at));
  emit_sequence(node, rule, std::move(shorter));
}

void import_sequence_at(NodeContext& node, const Rule& rule) {
  const Elements* elements = node.elements(node.input(0));
  if (elements == nullptr || elements->empty() || !node.has_input(1)) {
    return import_direct(node, rule);
  }
  const size_t last = elements->size() - 1;
  const auto at = known_position(node, 1, elements->size(), last, last);
  if (!at) return import_direct(node, rule);
  node.set_output(0, node.emit(Op::identity, {(*elements)[*at]}));
}

void import_sequence_length(NodeContext& node, const Rule& rule) {
  const Elements* elements = node.elements(node.input(0));
  if (elements == nullptr) return import_direct(node, rule);
  node.set_output(0, node.scalar_i64(static_cast<int64_t>(elements->size())));
}

void import_concat_from_sequence(NodeContext& node, const Rule& rule) {
  const Elements* known = node.elements(node.input(0));
  if (known == nullptr || known->empty() || !node.has("axis")) return import_direct(node, rule);
  Elements parts = *known;
  int64_t axis = node.i64("axis", 0);
  if (node.i64("new_axis", 0) != 0) {
    const ValueId axes = node.ints(std::vector<int64_t>{axis});
    for (ValueId& part : parts) part = node.emit(Op::unsqueeze, {part, axes});
  }
  node.set_output(0, node.emit(Op::concat, parts, {{"axis", axis}}));
}

// Without an operand the type stands in an attribute.
void import_optional(NodeContext& node, const Rule&) {
  std::vector<NamedAttribute> attributes;
  if (const auto type = node.type_attribute("type"); type && !node.has_input(0)) {
    const bool is_sequence = type->kind == Type::Kind::sequence;
    attributes = {{"dtype", type->dtype}, {"is_sequence", static_cast<int64_t>(is_sequence)}};
  }
  node.set_output(0, node.emit(Op::optional, {node.input(0)}, std::move(attributes)));
}

}  // namespace neuronc::onnx
