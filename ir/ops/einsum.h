// The equation of `einsum`, for its evaluator and its lowering.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/base/expected.h"
#include "ir/type.h"

namespace neuronc {

// A term's labels, one per axis: letters, and for the axes of an ellipsis, counted from the end,
// negative numbers.
using EinsumLabels = std::vector<int>;

struct EinsumEquation {
  std::vector<EinsumLabels> terms;
  EinsumLabels result;
};

OrRefusal<EinsumEquation> parse_einsum(std::string text, std::span<const Type> operands);

// The extent of each label; refuses operands that disagree, and results that no term has.
OrRefusal<std::map<int, Dim>> einsum_extents(const EinsumEquation& equation,
                                             std::span<const Type> operands);

}  // namespace neuronc
