// Host nodes run evaluators inside the runtime, on operands that a caller and a model choose: any
// input gives a value or a refusal, never the end of the process.
#include <catch2/catch.hpp>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "ir/base/check.h"
#include "ir/base/command.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace neuronc {
namespace {

// What attributes of every operator are drawn from; the words are those that some operator knows.
constexpr int64_t kNumbers[] = {-2, -1, 0, 1, 2, 3, 5, int64_t{1} << 31, INT64_MAX, INT64_MIN};
constexpr std::string_view kWords[] = {"none",
                                       "add",
                                       "mul",
                                       "max",
                                       "min",
                                       "constant",
                                       "reflect",
                                       "edge",
                                       "wrap",
                                       "NOTSET",
                                       "VALID",
                                       "linear",
                                       "nearest",
                                       "cubic",
                                       "asymmetric",
                                       "floor",
                                       "ceil",
                                       "forward",
                                       "reverse",
                                       "sum",
                                       "mean",
                                       "zeros",
                                       "border",
                                       "DCR",
                                       "CRD",
                                       "tanh",
                                       "ij,jk->ik",
                                       "...i->i",
                                       "ii",
                                       "LOWER",
                                       "a*b",
                                       "bidirectional",
                                       "default",
                                       "utf-8",
                                       "SAME_LOWER",
                                       "RGB",
                                       "round_prefer_ceil",
                                       "tf_crop_and_resize"};
constexpr int64_t kMostElements = 20'000;  // of a result: larger ones take too long here

class Source {
 public:
  explicit Source(uint32_t seed) : engine_(seed) {}

  size_t below(size_t count) { return engine_() % count; }
  int64_t number() {
    return below(6) > 0 ? static_cast<int64_t>(below(5)) - 1 : kNumbers[below(std::size(kNumbers))];
  }
  std::string word() { return std::string(kWords[below(std::size(kWords))]); }

  AttributeValue attribute(const AttributeSpec& spec) {
    const AttributeValue fallback = default_value(spec);
    if (!spec.is_required && below(3) > 0) return fallback;
    std::vector<int64_t> ints(below(5));
    for (int64_t& i : ints) i = number();
    switch (spec.kind) {
      case AttributeKind::i64:
        return number();
      case AttributeKind::f64:
        return static_cast<double>(number()) / 2;
      case AttributeKind::string:
        return word();
      case AttributeKind::ints:
        return ints;
      case AttributeKind::floats:
        return std::vector<double>(ints.begin(), ints.end());
      case AttributeKind::strings:
        return std::vector<std::string>(below(4), word());
      case AttributeKind::dtype:
        return static_cast<DType>(1 + below(static_cast<size_t>(DType::string)));
      default:
        return fallback;
    }
  }

  // Operands of one operator often agree in some extents.
  std::vector<int64_t> shape() {
    std::vector<int64_t> shape(below(5));
    for (int64_t& extent : shape) extent = below(8) == 0 ? 0 : static_cast<int64_t>(1 + below(3));
    return shape;
  }

  Tensor tensor(DType dtype, std::vector<int64_t> shape) {
    Tensor tensor = Tensor::zeros(dtype, std::move(shape));
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      if (dtype == DType::string) {
        tensor.mutable_strings()[static_cast<size_t>(i)] = below(2) ? word() : std::string("7");
      } else if (is_integer(dtype)) {
        tensor.set_i64(i, number());
      } else {
        tensor.set_f64(i, static_cast<double>(number()));
      }
    }
    return tensor;
  }

 private:
  std::mt19937 engine_;
};

DType any_of(DTypeSet set, Source& source) {
  std::vector<DType> members;
  for (size_t d = 1; d <= static_cast<size_t>(DType::string); ++d) {
    if (set.contains(static_cast<DType>(d))) members.push_back(static_cast<DType>(d));
  }
  return members[source.below(members.size())];
}

// The operands that the schema allows, of any shapes.
std::vector<HostValue> operands_of(const OpDef& def, Source& source, std::vector<bool>& is_given) {
  std::vector<HostValue> values;
  DType bound[128] = {};
  const std::vector<int64_t> common = source.shape();
  for (const OperandSpec& spec : def.operands) {
    const size_t count = spec.arity == Arity::variadic ? source.below(4) : 1;
    for (size_t i = 0; i < count; ++i) {
      is_given.push_back(spec.arity != Arity::optional || source.below(3) > 0);
      DType dtype = any_of(spec.dtypes, source);
      if (spec.type_variable != 0) {
        DType& variable = bound[static_cast<size_t>(spec.type_variable) & 127];
        if (variable == DType::none) variable = dtype;
        dtype = variable;
      }
      const auto shape = [&] { return source.below(2) ? common : source.shape(); };
      HostValue value(source.tensor(dtype, shape()));
      if (spec.may_be_sequence && source.below(2)) {
        value.kind = source.below(2) ? Type::Kind::sequence : Type::Kind::optional;
        if (value.kind == Type::Kind::sequence) {
          value.elements.clear();
          for (size_t n = source.below(3); n > 0; --n) {
            value.elements.push_back(source.tensor(dtype, shape()));
          }
        } else if (source.below(2)) {
          value.elements.clear();
          value.has_value = false;
        }
      }
      values.push_back(std::move(value));
    }
  }
  return values;
}

// Whether the operator came to a value.
bool try_once(const OpDef& def, uint32_t seed) {
  Source source(seed);
  std::vector<AttributeValue> attributes;
  for (const AttributeSpec& spec : def.attributes) attributes.push_back(source.attribute(spec));
  std::vector<bool> is_given;
  const std::vector<HostValue> values = operands_of(def, source, is_given);
  std::vector<const HostValue*> operands;
  std::vector<const Tensor*> known;
  std::vector<Type> types;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_tensor = values[i].kind == Type::Kind::tensor;
    operands.push_back(is_given[i] ? &values[i] : nullptr);
    known.push_back(is_given[i] && is_tensor ? &values[i].tensor() : nullptr);
    if (!is_given[i]) {
      types.emplace_back();
    } else if (is_tensor) {
      types.push_back(values[i].tensor().type());
    } else {
      const auto& elements = values[i].elements;
      types.push_back(Type::unranked(elements.empty() ? DType::f32 : elements[0].dtype()));
      types.back().kind = values[i].kind;
    }
  }
  const size_t num_results = 1 + (def.results.size() > 1 ? source.below(def.results.size()) : 0);
  const OpView view{def, attributes};
  // As a model does it: the type is inferred without the values, and they come when it runs.
  const std::vector<const Tensor*> unknown(values.size(), nullptr);
  const auto before = infer_checked({view, types, unknown, num_results});
  if (!before) return false;
  if (const auto inferred = infer_checked({view, types, known, num_results})) {
    for (const Type& type : *inferred) {
      if (type.is_static() && type.num_elements() > kMostElements) return false;
    }
  }
  const auto results = def.evaluate({view, operands, *before, num_results});
  return results && !results->empty();
}

struct Trial {
  std::string_view op;
  uint32_t seed = 0;
};

void print_trial(void* context) {
  const auto& trial = *static_cast<const Trial*>(context);
  std::fprintf(stderr, "evaluating %.*s with seed %u\n", static_cast<int>(trial.op.size()),
               trial.op.data(), trial.seed);
}

TEST_CASE("evaluators refuse what they cannot do", "[ops]") {
  constexpr uint32_t kNumTrials = 2000;
  Trial trial;
  set_crash_hook(print_trial, &trial);
  install_fatal_signal_handlers();
  for (size_t i = 0; i < kNumOps; ++i) {
    const OpDef& def = op_def(static_cast<Op>(i));
    if (def.has(Trait::internal) || def.has(Trait::control_flow)) continue;
    for (uint32_t seed = 0; seed < kNumTrials; ++seed) {
      trial = {def.name, seed};
      try_once(def, seed);
    }
  }
  set_crash_hook(nullptr, nullptr);
}

}  // namespace
}  // namespace neuronc
