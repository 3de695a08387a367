// Attribute values of graph nodes. A node's attributes stand in the order of its operator's schema,
// every one present, so that passes never ask whether a default was spelled out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/id.h"

namespace neuronc {

// monostate: an attribute without default that was not given.
using AttributeValue =
    std::variant<std::monostate, int64_t, double, std::string, std::vector<int64_t>,
                 std::vector<double>, std::vector<std::string>, DType, ConstantId>;

// Enumerators are in the order of the variant's alternatives.
enum class AttributeKind : uint8_t {
  none,
  i64,
  f64,
  string,
  ints,
  floats,
  strings,
  dtype,
  constant
};

inline AttributeKind kind_of(const AttributeValue& value) {
  return static_cast<AttributeKind>(value.index());
}

}  // namespace neuronc
