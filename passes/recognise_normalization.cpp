// Rules of recognise: layer and RMS normalisation. The anchor is the square root (or power) that
// makes the deviation; from there the statistics are read backwards and the normalisation forwards.
//
//   layer:  (x - mean(x)) / sqrt(var + eps) * scale + bias,  var = mean((x - mean(x))^2)
//                                                            or    E[x^2] - mean(x)^2
//           x * a - (mean(x) * a - bias),                    a = scale / sqrt(var + eps)
//   RMS:    x / sqrt(mean(x^2) + eps) * scale
#include <algorithm>
#include <numeric>
#include <optional>

#include "passes/recognise_rules.h"

namespace neuronc {
namespace {

using Axes = std::vector<int64_t>;

struct Mean {
  ValueId of;
  Axes axes;
};

// What the statistics say: `squared` is the value whose mean square was taken; with
// `is_mean_subtracted` its squared mean was subtracted from that.
struct Statistics {
  ValueId squared;
  Axes axes;
  double epsilon = 0;
  bool is_mean_subtracted = false;
};

struct Normalization {
  Op op = Op::layer_normalization;
  ValueId x;
  Axes axes;
  double epsilon = 0;
  NodeId root;
  ValueId scale, bias;  // none: 1 and 0
};

class NormalizationMatcher {
 public:
  NormalizationMatcher(const Module& module, const Graph& graph)
      : match_(module, graph), module_(module), graph_(graph) {}

  // None where the anchor belongs to no normalisation.
  std::optional<Normalization> match(NodeId anchor, bool is_inverse, ValueId radicand);
  const Match& inner() const { return match_; }

 private:
  std::optional<Mean> mean_of(ValueId value);
  std::optional<Statistics> statistics(ValueId radicand);
  std::optional<Normalization> normalized(const Statistics& statistics, NodeId quotient,
                                          ValueId numerator);
  std::optional<Normalization> scaled(const Statistics& statistics, ValueId inverse);
  std::optional<Normalization> distributed(const Statistics& statistics, ValueId factor);
  std::optional<ValueId> centred_source(ValueId value, const Axes& axes);
  void take_scale_and_bias(Normalization& found);
  bool is_parameter(ValueId value, const Normalization& found) const;

  NodeId only_user(ValueId value) const {
    const Value& v = graph_.value(value);
    return v.num_output_uses == 0 && v.uses.size() == 1 ? v.uses[0].node : NodeId();
  }
  ValueId other_operand(NodeId node, ValueId value) const {
    return match_.operand(node, match_.operand(node, 0) == value ? 1 : 0);
  }
  ValueId result(NodeId node) const { return graph_.node(node).results[0]; }
  bool is(NodeId node, Op op) const { return node && graph_.node(node).op == op; }

  Match match_;
  const Module& module_;
  const Graph& graph_;
};

std::optional<Mean> NormalizationMatcher::mean_of(ValueId value) {
  value = match_.behind_reshapes(value);
  if (const NodeId mean = match_.inside(value, Op::reduce_mean)) {
    const auto axes = reduced_axes(module_, graph_, mean);
    if (!axes) return std::nullopt;
    return Mean{match_.operand(mean, 0), *axes};
  }
  // sum(x) / n
  const Product product = match_.product(value);
  if (product.factors.size() != 1) return std::nullopt;
  const NodeId sum = match_.inside(match_.behind_reshapes(product.factors[0]), Op::reduce_sum);
  if (!sum) return std::nullopt;
  const auto axes = reduced_axes(module_, graph_, sum);
  const ValueId x = match_.operand(sum, 0);
  if (!axes || !graph_.type(x).is_static()) return std::nullopt;
  double extent = 1;
  for (int64_t axis : *axes) {
    extent *= static_cast<double>(graph_.type(x).dims[static_cast<size_t>(axis)].number());
  }
  if (!Match::is_near(product.coefficient * extent, 1, graph_.type(x).dtype)) return std::nullopt;
  return Mean{x, *axes};
}

std::optional<Statistics> NormalizationMatcher::statistics(ValueId radicand) {
  Sum sum = match_.sum(radicand);
  const double epsilon = sum.constant;
  if (!(epsilon >= 0)) return std::nullopt;
  if (sum.terms.size() == 1 && sum.terms[0].coefficient == 1) {
    // Behind max(0, variance), which only hides rounding errors, the two moments may stand.
    ValueId variance = match_.behind_reshapes(sum.terms[0].value);
    if (const NodeId clamp = match_.inside(variance, Op::max)) {
      const size_t bound = match_.splat(match_.operand(clamp, 0)) == 0.0 ? 0 : 1;
      if (match_.splat(match_.operand(clamp, bound)) != 0.0) return std::nullopt;
      variance = match_.behind_reshapes(match_.operand(clamp, 1 - bound));
    }
    sum.terms[0].value = variance;
    if (is(graph_.producer(variance), Op::sub)) {
      const Sum moments = match_.sum(variance);
      if (moments.constant != 0) return std::nullopt;
      sum.terms = moments.terms;
    }
  }
  if (sum.terms.empty() || sum.terms.size() > 2) return std::nullopt;
  if (sum.terms.size() == 2 && sum.terms[0].coefficient < 0) std::swap(sum.terms[0], sum.terms[1]);
  if (sum.terms[0].coefficient != 1) return std::nullopt;
  const auto square = mean_of(sum.terms[0].value);
  if (!square) return std::nullopt;
  const Product factors = match_.product(square->of);
  if (factors.coefficient != 1 || factors.factors.size() != 2) return std::nullopt;
  if (factors.factors[0] != factors.factors[1]) return std::nullopt;
  Statistics found{factors.factors[0], square->axes, epsilon, sum.terms.size() == 2};
  if (!found.is_mean_subtracted) return found;
  if (sum.terms[1].coefficient != -1) return std::nullopt;
  const Product mean_square = match_.product(match_.behind_reshapes(sum.terms[1].value));
  if (mean_square.coefficient != 1 || mean_square.factors.size() != 2) return std::nullopt;
  if (mean_square.factors[0] != mean_square.factors[1]) return std::nullopt;
  const auto mean = mean_of(mean_square.factors[0]);
  if (!mean || mean->of != found.squared || mean->axes != found.axes) return std::nullopt;
  return found;
}

// The x of x - mean(x).
std::optional<ValueId> NormalizationMatcher::centred_source(ValueId value, const Axes& axes) {
  const NodeId sub = graph_.producer(value);
  if (!is(sub, Op::sub)) return std::nullopt;
  const ValueId x = match_.operand(sub, 0);
  const Match before = match_;
  const auto mean = mean_of(match_.operand(sub, 1));
  if (!mean || mean->of != x || mean->axes != axes ||
      !is_reduced_type(graph_.type(match_.operand(sub, 1)), graph_.type(x), axes)) {
    match_ = before;
    return std::nullopt;
  }
  match_.add_inside(sub);
  return x;
}

// `quotient` = numerator / deviation; the numerator tells layer from RMS normalisation.
std::optional<Normalization> NormalizationMatcher::normalized(const Statistics& statistics,
                                                              NodeId quotient, ValueId numerator) {
  Normalization found;
  found.axes = statistics.axes;
  found.epsilon = statistics.epsilon;
  found.root = quotient;
  const auto source = centred_source(numerator, statistics.axes);
  if (statistics.is_mean_subtracted) {
    if (source != statistics.squared) return std::nullopt;
    found.x = *source;
  } else if (numerator != statistics.squared) {
    return std::nullopt;
  } else if (source) {
    found.x = *source;
  } else {
    found.op = Op::rms_normalization;
    found.x = numerator;
  }
  return found;
}

// x * factor and mean(x) * factor, whose difference (with a bias) is the root.
std::optional<Normalization> NormalizationMatcher::distributed(const Statistics& statistics,
                                                               ValueId factor) {
  const Value& value = graph_.value(factor);
  if (value.num_output_uses > 0 || value.uses.size() != 2) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const NodeId direct = value.uses[i].node;
    const NodeId shift = value.uses[1 - i].node;
    if (!is(direct, Op::mul) || !is(shift, Op::mul)) return std::nullopt;
    const ValueId x = other_operand(direct, factor);
    const Match before = match_;
    const ValueId shifted = other_operand(shift, factor);
    const auto mean = mean_of(shifted);
    // Without its reduced dims a mean would be subtracted along another axis.
    if (!mean || mean->of != x || mean->axes != statistics.axes ||
        !is_reduced_type(graph_.type(shifted), graph_.type(x), mean->axes)) {
      match_ = before;
      continue;
    }
    Normalization found;
    found.x = x;
    found.axes = statistics.axes;
    found.epsilon = statistics.epsilon;
    match_.add_inside(direct);
    match_.add_inside(shift);
    if (statistics.is_mean_subtracted) {
      if (statistics.squared != x) return std::nullopt;
    } else if (centred_source(statistics.squared, statistics.axes) != x) {
      return std::nullopt;
    }
    const NodeId last = only_user(result(direct));
    const NodeId offset = only_user(result(shift));
    if (is(last, Op::sub) && offset == last && match_.operand(last, 0) == result(direct)) {
      found.root = last;
      return found;
    }
    // + (bias - mean * factor)
    if (!is(last, Op::add) || !is(offset, Op::sub)) return std::nullopt;
    if (match_.operand(offset, 1) != result(shift)) return std::nullopt;
    if (other_operand(last, result(direct)) != result(offset)) return std::nullopt;
    found.root = last;
    found.bias = match_.operand(offset, 0);
    match_.add_inside(offset);
    return found;
  }
  return std::nullopt;
}

// `inverse` = 1 / deviation, which a scale may be multiplied to first.
std::optional<Normalization> NormalizationMatcher::scaled(const Statistics& statistics,
                                                          ValueId inverse) {
  ValueId factor = inverse;
  ValueId scale;
  const NodeId user = only_user(inverse);
  if (is(user, Op::mul)) {
    const ValueId other = other_operand(user, inverse);
    auto found = normalized(statistics, user, other);
    if (found) return found;
    match_.add_inside(user);
    scale = other;
    factor = result(user);
  }
  std::optional<Normalization> found;
  const NodeId last = only_user(factor);
  if (last) {
    if (is(last, Op::mul)) found = normalized(statistics, last, other_operand(last, factor));
  } else {
    found = distributed(statistics, factor);
  }
  if (!found) return std::nullopt;
  found->scale = scale;
  // A scale or bias in the middle that is none leaves nothing to rewrite.
  if (found->scale && !is_parameter(found->scale, *found)) return std::nullopt;
  if (found->bias && !is_parameter(found->bias, *found)) return std::nullopt;
  return found;
}

bool is_trailing(const Axes& axes, int64_t rank) {
  return !axes.empty() && axes.back() == rank - 1 &&
         axes.back() - axes.front() + 1 == static_cast<int64_t>(axes.size());
}

// Whether `value` varies along the normalised axes only: a constant of such a shape, or a value of
// exactly their extents.
bool NormalizationMatcher::is_parameter(ValueId value, const Normalization& found) const {
  const Type& x = graph_.type(found.x);
  const Type& type = graph_.type(value);
  if (type.dtype != x.dtype || !type.is_ranked || type.rank() > x.rank()) return false;
  const size_t lead = x.dims.size() - type.dims.size();
  const bool is_constant = module_.constant_of(graph_, value) != nullptr;
  for (size_t d = 0; d < type.dims.size(); ++d) {
    const bool is_normalized = std::find(found.axes.begin(), found.axes.end(),
                                         static_cast<int64_t>(lead + d)) != found.axes.end();
    if (type.dims[d] == Dim(1)) {
      if (!is_constant && (!is_normalized || x.dims[lead + d] != Dim(1))) return false;
    } else if (!is_normalized || type.dims[d] != x.dims[lead + d]) {
      return false;
    }
  }
  return is_constant ||
         (type.dims.size() == found.axes.size() && is_trailing(found.axes, x.rank()));
}

void NormalizationMatcher::take_scale_and_bias(Normalization& found) {
  const auto take = [&](Op op, ValueId& parameter) {
    const NodeId next = only_user(result(found.root));
    if (!is(next, op)) return;
    const ValueId other = other_operand(next, result(found.root));
    if (other == result(found.root) || !is_parameter(other, found)) return;
    match_.add_inside(found.root);
    parameter = other;
    found.root = next;
  };
  if (!found.scale && !found.bias) take(Op::mul, found.scale);
  if (found.op == Op::layer_normalization && !found.bias) take(Op::add, found.bias);
}

std::optional<Normalization> NormalizationMatcher::match(NodeId anchor, bool is_inverse,
                                                         ValueId radicand) {
  match_.add_inside(anchor);
  const auto found_statistics = statistics(match_.behind_reshapes(radicand));
  if (!found_statistics) return std::nullopt;
  const Statistics& stats = *found_statistics;
  ValueId deviation = result(anchor);
  if (!is_reduced_type(graph_.type(deviation), graph_.type(stats.squared), stats.axes)) {
    return std::nullopt;
  }
  std::optional<Normalization> found;
  if (!is_inverse) {
    const NodeId user = only_user(deviation);
    if (is(user, Op::reciprocal) || (is(user, Op::div) && match_.operand(user, 1) == deviation &&
                                     match_.is_splat(match_.operand(user, 0), 1))) {
      match_.add_inside(user);
      deviation = result(user);
      is_inverse = true;
    } else if (is(user, Op::div) && match_.operand(user, 1) == deviation) {
      found = normalized(stats, user, match_.operand(user, 0));
    }
  }
  if (is_inverse) found = scaled(stats, deviation);
  if (found) take_scale_and_bias(*found);
  return found;
}

// The constant `parameter` as a dense tensor over the normalised axes.
Tensor parameter_tensor(const Tensor& parameter, const Type& x, const Axes& axes) {
  const std::vector<int64_t> shape = x.shape();
  std::vector<int64_t> extents;
  for (int64_t axis : axes) extents.push_back(shape[static_cast<size_t>(axis)]);
  const std::vector<int64_t> strides = row_major_strides(parameter.shape());
  const size_t lead = shape.size() - parameter.shape().size();
  Tensor dense = Tensor::zeros(parameter.dtype(), extents);
  const std::vector<int64_t> dense_strides = row_major_strides(extents);
  for (int64_t i = 0; i < dense.num_elements(); ++i) {
    int64_t source = 0;
    for (size_t a = 0; a < axes.size(); ++a) {
      const size_t d = static_cast<size_t>(axes[a]);
      if (d < lead || parameter.shape()[d - lead] == 1) continue;
      source += (i / dense_strides[a]) % extents[a] * strides[d - lead];
    }
    dense.set_f64(i, parameter.f64(source));
  }
  return dense;
}

OrRefusal<ValueId> parameter_operand(Module& module, Graph& graph, const Normalization& found,
                                     ValueId parameter, double otherwise) {
  const Type x = graph.type(found.x);
  if (parameter && module.constant_of(graph, parameter) == nullptr) return parameter;
  std::vector<int64_t> extents;
  for (int64_t axis : found.axes) {
    const Dim dim = x.dims[static_cast<size_t>(axis)];
    if (!dim.is_number()) return refuse("a normalised dim is not a number");
    extents.push_back(dim.number());
  }
  Tensor tensor;
  if (parameter) {
    const Tensor constant = *module.constant_of(graph, parameter);
    Type concrete = x;
    for (Dim& dim : concrete.dims) {
      if (!dim.is_number()) dim = Dim(1);
    }
    tensor = parameter_tensor(constant, concrete, found.axes);
  } else {
    tensor = Tensor::zeros(x.dtype, extents);
    for (int64_t i = 0; i < tensor.num_elements(); ++i) tensor.set_f64(i, otherwise);
  }
  return insert_constant(module, graph, found.root, std::move(tensor));
}

// The operator normalises trailing axes; others are moved there and back.
OrRefusal<ValueId> rewrite(Module& module, Graph& graph, const Normalization& found) {
  const int64_t rank = graph.type(found.x).rank();
  const int64_t axis = rank - static_cast<int64_t>(found.axes.size());
  NEURONC_ASSIGN(const ValueId scale, parameter_operand(module, graph, found, found.scale, 1));
  std::vector<ValueId> operands{found.x, scale};
  if (found.bias) {
    NEURONC_ASSIGN(const ValueId bias, parameter_operand(module, graph, found, found.bias, 0));
    operands.push_back(bias);
  }
  const std::vector<NamedAttribute> attributes{{"axis", axis}, {"epsilon", found.epsilon}};
  if (is_trailing(found.axes, rank)) {
    return replace_root(module, graph, found.root, found.op, operands, attributes);
  }
  Axes perm;
  for (int64_t d = 0; d < rank; ++d) {
    if (std::find(found.axes.begin(), found.axes.end(), d) == found.axes.end()) perm.push_back(d);
  }
  perm.insert(perm.end(), found.axes.begin(), found.axes.end());
  Axes inverse(perm.size());
  for (size_t d = 0; d < perm.size(); ++d) {
    inverse[static_cast<size_t>(perm[d])] = static_cast<int64_t>(d);
  }
  NEURONC_ASSIGN(operands[0],
                 insert_op(module, graph, found.root, Op::transpose, {found.x}, {{"perm", perm}}));
  NEURONC_ASSIGN(const ValueId normal,
                 insert_op(module, graph, found.root, found.op, operands, attributes));
  return replace_root(module, graph, found.root, Op::transpose, {normal}, {{"perm", inverse}});
}

Attempt apply(Module& module, Graph& graph, NodeId anchor, bool is_inverse) {
  NormalizationMatcher matcher(module, graph);
  const auto found = matcher.match(anchor, is_inverse, graph.node(anchor).operands[0]);
  if (!found) return Attempt::not_this();
  const std::string what(name(found->op));
  if (!matcher.inner().is_closed(found->root)) {
    return Attempt::missed(what + " not recognised: " + kOtherUsers);
  }
  return Attempt::of(graph, rewrite(module, graph, *found), what);
}

Attempt match_sqrt(Module& module, Graph& graph, NodeId anchor) {
  return apply(module, graph, anchor, false);
}

Attempt match_power(Module& module, Graph& graph, NodeId anchor) {
  const Match match(module, graph);
  const auto exponent = match.splat(graph.node(anchor).operands[1]);
  if (exponent != 0.5 && exponent != -0.5) return Attempt::not_this();
  return apply(module, graph, anchor, *exponent < 0);
}

constexpr Rule kRules[] = {{Op::sqrt, match_sqrt}, {Op::pow, match_power}};

}  // namespace

std::span<const Rule> normalization_rules() { return kRules; }

}  // namespace neuronc
