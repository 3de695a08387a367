// Runs one operator on literal tensors: `run("add", {}, {f32({2}, {1, 2}), ...})`. Infers the types
// as well, and checks that evaluation keeps to them.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "ir/op.h"

namespace neuronc::test {

using Shape = std::vector<int64_t>;
using Attributes = std::vector<NamedAttribute>;
// No value: an absent optional operand.
using Operands = std::vector<std::optional<Tensor>>;

inline Tensor numbers(DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  REQUIRE(static_cast<size_t>(tensor.num_elements()) == values.size());
  for (size_t i = 0; i < values.size(); ++i) tensor.set_f64(static_cast<int64_t>(i), values[i]);
  return tensor;
}
inline Tensor f32(Shape shape, const std::vector<double>& values) {
  return numbers(DType::f32, std::move(shape), values);
}
inline Tensor i64(Shape shape, const std::vector<double>& values) {
  return numbers(DType::i64, std::move(shape), values);
}
inline Tensor boolean(Shape shape, const std::vector<double>& values) {
  return numbers(DType::boolean, std::move(shape), values);
}
inline Tensor text(Shape shape, std::vector<std::string> values) {
  return Tensor::from_strings(std::move(shape), std::move(values));
}

struct Outcome {
  std::vector<Tensor> results;
  std::string refusal;
};

inline bool fits(const Tensor& tensor, const Type& type) {
  if (tensor.dtype() != type.dtype) return false;
  if (!type.is_ranked) return true;
  if (tensor.rank() != type.rank()) return false;
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (type.dims[i].is_number() && type.dims[i].number() != tensor.shape()[i]) return false;
  }
  return true;
}

// Infers with the operands' values known and unknown; both must agree with the results.
inline Outcome run(std::string_view op_name, Attributes given, const Operands& operands,
                   size_t num_results = 1) {
  INFO(op_name);
  const auto op = op_from_name(op_name);
  REQUIRE(op.has_value());
  const OpDef& def = op_def(*op);
  const auto attributes = complete_attributes(def, std::move(given));
  if (!attributes) return {{}, attributes.error().reason};
  const OpView view{def, *attributes};
  std::vector<Type> types;
  std::vector<const Tensor*> known;
  std::vector<HostValue> values(operands.size());
  std::vector<const HostValue*> pointers;
  for (size_t i = 0; i < operands.size(); ++i) {
    types.push_back(operands[i] ? operands[i]->type() : Type());
    known.push_back(operands[i] ? &*operands[i] : nullptr);
    if (operands[i]) values[i] = *operands[i];
    pointers.push_back(operands[i] ? &values[i] : nullptr);
  }
  const auto inferred = infer_checked({view, types, known, num_results});
  if (!inferred) return {{}, inferred.error().reason};
  const std::vector<const Tensor*> unknown(operands.size(), nullptr);
  const auto vague = infer_checked({view, types, unknown, num_results});
  if (!vague) return {{}, vague.error().reason};
  const auto evaluated = def.evaluate({view, pointers, *inferred, num_results});
  if (!evaluated) return {{}, evaluated.error().reason};
  REQUIRE(evaluated->size() == num_results);
  Outcome outcome;
  for (size_t i = 0; i < num_results; ++i) {
    outcome.results.push_back((*evaluated)[i].tensor());
    REQUIRE(fits(outcome.results[i], (*inferred)[i]));
    REQUIRE(fits(outcome.results[i], (*vague)[i]));
  }
  return outcome;
}

// Equal dtypes, shapes and elements; floats within `tolerance` of the expectation's magnitude.
inline void require_equal(const Tensor& actual, const Tensor& expected, double tolerance = 0) {
  REQUIRE(actual.dtype() == expected.dtype());
  REQUIRE(actual.shape() == expected.shape());
  for (int64_t i = 0; i < actual.num_elements(); ++i) {
    INFO("element " << i);
    if (actual.dtype() == DType::string) {
      REQUIRE(actual.strings()[static_cast<size_t>(i)] ==
              expected.strings()[static_cast<size_t>(i)]);
      continue;
    }
    const double a = actual.f64(i);
    const double e = expected.f64(i);
    INFO(a << " for " << e);
    if (std::isnan(e)) {
      REQUIRE(std::isnan(a));
    } else {
      REQUIRE((a == e || std::fabs(a - e) <= tolerance * std::max(1.0, std::fabs(e))));
    }
  }
}

struct OpCase {
  std::string op;
  Attributes attributes;
  Operands operands;
  std::vector<Tensor> expected;
  double tolerance = 0;
};

inline void require_case(const OpCase& c) {
  INFO(c.op);
  const Outcome outcome = run(c.op, c.attributes, c.operands, c.expected.size());
  REQUIRE(outcome.refusal == "");
  for (size_t i = 0; i < c.expected.size(); ++i) {
    INFO("result " << i);
    require_equal(outcome.results[i], c.expected[i], c.tolerance);
  }
}

}  // namespace neuronc::test
