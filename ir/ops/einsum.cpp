// Einstein's summation convention.
#include "ir/ops/einsum.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kOperands[] = {{"operands", kNumeric, 'T', Arity::variadic}};
constexpr ResultSpec kResults[] = {{"y", kNumeric, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"equation", AttributeKind::string, "", true}};

using Labels = EinsumLabels;
using Equation = EinsumEquation;

OrRefusal<Labels> labels_of(std::string_view term, size_t ellipsis_rank) {
  Labels labels;
  bool has_ellipsis = false;
  for (size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if (c == '.') {
      if (has_ellipsis || term.substr(i, 3) != "...") return refuse("a stray dot");
      has_ellipsis = true;
      i += 2;
      for (size_t k = ellipsis_rank; k > 0; --k) labels.push_back(-static_cast<int>(k));
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else {
      return refuse(fmt::format("`{}` is no label", c));
    }
  }
  return labels;
}

std::vector<std::string> terms_of(std::string_view text) {
  std::vector<std::string> terms(1);
  for (char c : text) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  return terms;
}

size_t num_letters(const std::string& term) {
  return static_cast<size_t>(
      std::count_if(term.begin(), term.end(), [](char c) { return c != '.'; }));
}

// Without "->": the ellipsis, then the labels that occur once, in alphabetical order.
Labels implicit_result(const std::vector<Labels>& terms, size_t ellipsis_rank) {
  std::map<int, int> counts;
  for (const Labels& term : terms) {
    for (int label : term) ++counts[label];
  }
  Labels result;
  for (size_t k = ellipsis_rank; k > 0; --k) result.push_back(-static_cast<int>(k));
  for (const auto& [label, count] : counts) {
    if (label > 0 && count == 1) result.push_back(label);
  }
  return result;
}

}  // namespace

OrRefusal<EinsumEquation> parse_einsum(std::string text, std::span<const Type> operands) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  const std::vector<std::string> terms = terms_of(text.substr(0, arrow));
  if (terms.size() != operands.size()) {
    return refuse(
        fmt::format("the equation has {} terms for {} operands", terms.size(), operands.size()));
  }
  size_t ellipsis_rank = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const size_t rank = operands[i].dims.size();
    const bool has_ellipsis = terms[i].find('.') != std::string::npos;
    const size_t letters = num_letters(terms[i]);
    if (letters > rank || (!has_ellipsis && letters != rank)) {
      return refuse(fmt::format("term {} does not fit an operand of rank {}", i, rank));
    }
    if (has_ellipsis) ellipsis_rank = std::max(ellipsis_rank, rank - letters);
  }
  Equation equation;
  for (size_t i = 0; i < terms.size(); ++i) {
    // A term's own ellipsis may be shorter: it names the last of the common axes.
    NEURONC_ASSIGN(Labels labels,
                   labels_of(terms[i], operands[i].dims.size() - num_letters(terms[i])));
    equation.terms.push_back(std::move(labels));
  }
  if (arrow == std::string::npos) {
    equation.result = implicit_result(equation.terms, ellipsis_rank);
  } else {
    NEURONC_ASSIGN(equation.result, labels_of(text.substr(arrow + 2), ellipsis_rank));
  }
  return equation;
}

OrRefusal<std::map<int, Dim>> einsum_extents(const EinsumEquation& equation,
                                             std::span<const Type> operands) {
  std::map<int, Dim> extents;
  for (size_t i = 0; i < operands.size(); ++i) {
    for (size_t axis = 0; axis < equation.terms[i].size(); ++axis) {
      const Dim dim = operands[i].dims[axis];
      const auto [it, is_new] = extents.emplace(equation.terms[i][axis], dim);
      if (!is_new) {
        NEURONC_ASSIGN(it->second, broadcast_dims(it->second, dim));
      }
    }
  }
  for (size_t i = 0; i < equation.result.size(); ++i) {
    const int label = equation.result[i];
    if (extents.count(label) == 0) return refuse("a label of the result stands in no term");
    if (std::find(equation.result.begin(), equation.result.begin() + static_cast<std::ptrdiff_t>(i),
                  label) != equation.result.begin() + static_cast<std::ptrdiff_t>(i)) {
      return refuse("a label stands twice in the result");
    }
  }
  return extents;
}

namespace {

Types infer_einsum(const InferInput& input) {
  const DType dtype = input.operands[0].dtype;
  for (const Type& operand : input.operands) {
    if (!operand.is_ranked) return std::vector<Type>{Type::unranked(dtype)};
  }
  NEURONC_ASSIGN(const Equation equation,
                 parse_einsum(input.op.string("equation"), input.operands));
  NEURONC_ASSIGN(const auto extents, einsum_extents(equation, input.operands));
  std::vector<Dim> dims;
  for (int label : equation.result) dims.push_back(extents.at(label));
  return std::vector<Type>{ranked(dtype, std::move(dims))};
}

// Sums the products over the whole index space: result labels outermost.
template <class T>
std::vector<T> contract(const Shape& space, size_t result_rank, const std::vector<Shape>& strides,
                        const std::vector<std::vector<T>>& values) {
  const Shape outer(space.begin(), space.begin() + static_cast<std::ptrdiff_t>(result_rank));
  const Shape inner(space.begin() + static_cast<std::ptrdiff_t>(result_rank), space.end());
  std::vector<T> results;
  for_each_index(outer, [&](const Shape& at) {
    std::vector<int64_t> begins;
    for (const Shape& stride : strides) {
      int64_t begin = 0;
      for (size_t i = 0; i < at.size(); ++i) begin += at[i] * stride[i];
      begins.push_back(begin);
    }
    T sum{};
    for_each_index(inner, [&](const Shape& index) {
      T product{1};
      for (size_t k = 0; k < values.size(); ++k) {
        int64_t offset = begins[k];
        for (size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[k][result_rank + i];
        product *= values[k][static_cast<size_t>(offset)];
      }
      sum += product;
    });
    results.push_back(sum);
  });
  return results;
}

Values evaluate_einsum(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  std::vector<Type> types;
  for (const HostValue* operand : input.operands) types.push_back(operand->tensor().type());
  NEURONC_ASSIGN(const Equation equation, parse_einsum(input.op.string("equation"), types));
  NEURONC_ASSIGN(const auto extents, einsum_extents(equation, types));
  Labels labels = equation.result;
  for (const auto& [label, extent] : extents) {
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
  }
  Shape space;
  for (int label : labels) space.push_back(extents.at(label).number());
  std::vector<Shape> strides;
  for (size_t k = 0; k < types.size(); ++k) {
    const Shape shape = types[k].shape();
    const Shape dense = row_major_strides(shape);
    Shape own(labels.size(), 0);
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const auto at = std::find(labels.begin(), labels.end(), equation.terms[k][axis]);
      if (shape[axis] != 1) own[static_cast<size_t>(at - labels.begin())] += dense[axis];
    }
    strides.push_back(std::move(own));
  }
  if (is_float(type.dtype)) {
    std::vector<std::vector<double>> values;
    for (const HostValue* operand : input.operands) values.push_back(doubles(operand->tensor()));
    return one(from_doubles(type.dtype, type.shape(),
                            contract(space, equation.result.size(), strides, values)));
  }
  std::vector<std::vector<uint64_t>> values;
  for (const HostValue* operand : input.operands) {
    const std::vector<int64_t> bits = ints(operand->tensor());
    values.emplace_back(bits.begin(), bits.end());
  }
  const auto sums = contract(space, equation.result.size(), strides, values);
  return one(from_ints(type.dtype, type.shape(), std::vector<int64_t>(sums.begin(), sums.end())));
}

double einsum_flops(const OpView& op, std::span<const Type> operands, std::span<const Type>) {
  for (const Type& operand : operands) {
    if (!operand.is_static()) return 0;
  }
  const auto equation = parse_einsum(op.string("equation"), operands);
  if (!equation) return 0;
  const auto extents = einsum_extents(*equation, operands);
  if (!extents) return 0;
  double product = static_cast<double>(operands.size());
  for (const auto& [label, extent] : *extents) product *= static_cast<double>(extent.number());
  return product;
}

}  // namespace

/// Each label names an index; y sums the product of the operands over all labels that are not in
/// the result. "..." names the remaining axes, which broadcast; without "->" the result has the
/// labels that occur once, in alphabetical order. A label repeated in a term takes the diagonal.
/// Types: numbers; floats accumulate in f64, integers wrap.   Source: ONNX Einsum-12.
NEURONC_OP(einsum) = {"einsum",         "sums of products by labelled axes",
                      "ONNX Einsum-12", kOperands,
                      kAttributes,      kResults,
                      Trait::anchor,    Precision::statistic,
                      infer_einsum,     evaluate_einsum,
                      einsum_flops};

}  // namespace neuronc
