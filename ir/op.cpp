// Implements op.h: the table itself, attribute completion and checked inference.
#include "ir/op.h"

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <unordered_map>

#include "ir/base/check.h"
#include "ir/graph.h"

namespace neuronc {

#define OP(name) extern const OpDef kOpDef_##name;
#include "ir/ops.def"
#undef OP

namespace {

const OpDef* const kTable[] = {
#define OP(name) &kOpDef_##name,
#include "ir/ops.def"
#undef OP
};

std::string_view kind_name(AttributeKind kind) {
  constexpr std::string_view kNames[] = {"nothing",  "an integer", "a float",
                                         "a string", "integers",   "floats",
                                         "strings",  "a dtype",    "a constant"};
  return kNames[static_cast<size_t>(kind)];
}

template <class T>
T parse_number(std::string_view text) {
  T number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

template <class T>
std::vector<T> parse_list(std::string_view text) {
  std::vector<T> list;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    list.push_back(parse_number<T>(text.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return list;
}

}  // namespace

const OpDef& op_def(Op op) { return *kTable[static_cast<size_t>(op)]; }

std::optional<Op> op_from_name(std::string_view op_name) {
  static const auto* const kIndex = [] {
    auto* index = new std::unordered_map<std::string_view, Op>;
    for (size_t i = 0; i < kNumOps; ++i) index->emplace(kTable[i]->name, static_cast<Op>(i));
    return index;
  }();
  const auto it = kIndex->find(op_name);
  if (it == kIndex->end()) return std::nullopt;
  return it->second;
}

std::optional<size_t> OpDef::attribute_index(std::string_view attribute) const {
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i].name == attribute) return i;
  }
  return std::nullopt;
}

const AttributeValue& OpView::attribute(std::string_view attribute_name) const {
  const auto index = def.attribute_index(attribute_name);
  NEURONC_CHECK(index.has_value() && *index < attributes.size());
  return attributes[*index];
}
bool OpView::has(std::string_view attribute_name) const {
  return !std::holds_alternative<std::monostate>(attribute(attribute_name));
}
int64_t OpView::i64(std::string_view n) const { return std::get<int64_t>(attribute(n)); }
double OpView::f64(std::string_view n) const { return std::get<double>(attribute(n)); }
const std::string& OpView::string(std::string_view n) const {
  return std::get<std::string>(attribute(n));
}
const std::vector<int64_t>& OpView::ints(std::string_view n) const {
  return std::get<std::vector<int64_t>>(attribute(n));
}
const std::vector<double>& OpView::floats(std::string_view n) const {
  return std::get<std::vector<double>>(attribute(n));
}
DType OpView::dtype(std::string_view n) const { return std::get<DType>(attribute(n)); }

AttributeValue default_value(const AttributeSpec& spec) {
  const std::string_view text = spec.default_text;
  if (text.empty()) return std::monostate();
  switch (spec.kind) {
    case AttributeKind::i64:
      return parse_number<int64_t>(text);
    case AttributeKind::f64:
      return parse_number<double>(text);
    case AttributeKind::string:
      return std::string(text.substr(1, text.size() - 2));
    case AttributeKind::ints:
      return parse_list<int64_t>(text);
    case AttributeKind::floats:
      return parse_list<double>(text);
    case AttributeKind::strings:
      return std::vector<std::string>();
    case AttributeKind::dtype:
      return *dtype_from_name(text);
    default:
      return std::monostate();
  }
}

OrRefusal<std::vector<AttributeValue>> complete_attributes(const OpDef& def,
                                                           std::vector<NamedAttribute> given) {
  std::vector<AttributeValue> values(def.attributes.size());
  for (NamedAttribute& attribute : given) {
    const auto index = def.attribute_index(attribute.name);
    if (!index) {
      return refuse(fmt::format("`{}` has no attribute `{}`", def.name, attribute.name));
    }
    const AttributeKind kind = def.attributes[*index].kind;
    if (kind == AttributeKind::f64 && kind_of(attribute.value) == AttributeKind::i64) {
      attribute.value = static_cast<double>(std::get<int64_t>(attribute.value));
    }
    if (kind_of(attribute.value) != kind) {
      return refuse(fmt::format("attribute `{}` of `{}` is {}, not {}", attribute.name, def.name,
                                kind_name(kind), kind_name(kind_of(attribute.value))));
    }
    values[*index] = std::move(attribute.value);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::holds_alternative<std::monostate>(values[i])) continue;
    if (def.attributes[i].is_required) {
      return refuse(fmt::format("`{}` needs the attribute `{}`", def.name, def.attributes[i].name));
    }
    values[i] = default_value(def.attributes[i]);
  }
  return values;
}

namespace {

OrRefusal<void> check_operands(const InferInput& input) {
  const OpDef& def = input.op.def;
  const bool is_variadic = !def.operands.empty() && def.operands.back().arity == Arity::variadic;
  if (input.operands.size() > def.operands.size() && !is_variadic) {
    return refuse(fmt::format("`{}` takes at most {} operands, not {}", def.name,
                              def.operands.size(), input.operands.size()));
  }
  DType bound[128] = {};
  for (size_t i = 0; i < std::max(input.operands.size(), def.operands.size()); ++i) {
    const OperandSpec& spec = def.operands[std::min(i, def.operands.size() - 1)];
    if (!input.has(i)) {
      // The last operands may be none at all, but what an operator does needs something to do it
      // to.
      const bool is_tail = spec.arity == Arity::variadic && i >= input.operands.size() && i > 0;
      if (spec.arity != Arity::optional && !is_tail) {
        return refuse(fmt::format("operand `{}` of `{}` is missing", spec.name, def.name));
      }
      continue;
    }
    const Type& type = input.operands[i];
    if (!type.is_tensor() && !spec.may_be_sequence) {
      return refuse(fmt::format("operand `{}` of `{}` is {}, not a tensor", spec.name, def.name,
                                to_text(type)));
    }
    if (!spec.dtypes.contains(type.dtype)) {
      return refuse(
          fmt::format("operand `{}` of `{}` has the element type {}, which it cannot take",
                      spec.name, def.name, name(type.dtype)));
    }
    if (spec.type_variable == 0) continue;
    DType& variable = bound[static_cast<size_t>(spec.type_variable) & 127];
    if (variable == DType::none) variable = type.dtype;
    if (variable != type.dtype) {
      return refuse(
          fmt::format("operand `{}` of `{}` has the element type {}, but {} is needed, "
                      "as in an operand before it",
                      spec.name, def.name, name(type.dtype), name(variable)));
    }
  }
  return {};
}

// Attributes name element types too, and not every one can be made.
OrRefusal<void> check_results(const OpDef& def, std::span<const Type> types) {
  for (size_t i = 0; i < types.size() && !def.results.empty(); ++i) {
    const ResultSpec& spec = def.results[std::min(i, def.results.size() - 1)];
    if (types[i].dtype == DType::none || spec.dtypes.contains(types[i].dtype)) continue;
    return refuse(
        fmt::format("`{}` cannot make the element type {}", def.name, name(types[i].dtype)));
  }
  return {};
}

}  // namespace

OrRefusal<std::vector<Type>> infer_checked(const InferInput& input) {
  NEURONC_TRY(check_operands(input));
  NEURONC_ASSIGN(std::vector<Type> types, input.op.def.infer(input));
  NEURONC_TRY(check_results(input.op.def, types));
  return types;
}

}  // namespace neuronc
