// Forests of decision trees.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kThresholds{DType::f32, DType::f64};
constexpr DTypeSet kI32{DType::i32};
constexpr DTypeSet kU8{DType::u8};

enum Operand : uint8_t {
  kX,
  kFeatures,
  kModes,
  kThreshold,
  kYes,
  kNo,
  kMissing,
  kRoots,
  kDepths,
  kLeafBegins,
  kTargets,
  kWeights
};
constexpr OperandSpec kOperands[] = {{"x", kThresholds, 'T'}, {"features", kI32},
                                     {"modes", kU8},          {"thresholds", kThresholds, 'T'},
                                     {"yes", kI32},           {"no", kI32},
                                     {"missing_is_yes", kU8}, {"roots", kI32},
                                     {"depths", kI32},        {"leaf_begins", kI32},
                                     {"targets", kI32},       {"weights", kThresholds, 'T'}};
constexpr ResultSpec kResults[] = {{"y", kThresholds, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"aggregate", AttributeKind::string, "\"sum\""},
                                         {"num_targets", AttributeKind::i64, "", true}};

bool all_within(const Tensor& tensor, int64_t low, int64_t high) {
  const std::vector<int64_t> numbers = tensor.to_ints();
  return std::all_of(numbers.begin(), numbers.end(),
                     [&](int64_t n) { return n >= low && n < high; });
}

// What the tables say of each other, where their content is known.
OrRefusal<void> check_tables(const InferInput& input, int64_t num_nodes, int64_t num_targets) {
  const auto within = [&](size_t i, int64_t high) -> OrRefusal<void> {
    const Tensor* table = input.constant(i);
    if (table == nullptr || all_within(*table, 0, high)) return {};
    return refuse(fmt::format("a number of `{}` is out of range", input.op.def.operands[i].name));
  };
  if (input.operands[kX].is_ranked && input.operands[kX].dims[1].is_number()) {
    NEURONC_TRY(within(kFeatures, std::max<int64_t>(input.operands[kX].dims[1].number(), 1)));
  }
  NEURONC_TRY(within(kModes, 6));
  for (size_t i : {kYes, kNo, kRoots}) NEURONC_TRY(within(i, num_nodes));
  NEURONC_TRY(within(kDepths, num_nodes + 1));
  NEURONC_TRY(within(kTargets, num_targets));
  const auto num_entries = known_length(input, kTargets);
  if (num_entries) NEURONC_TRY(within(kLeafBegins, *num_entries + 1));
  if (known_length(input, kWeights) != num_entries) return refuse("a target has no weight");
  return {};
}

Types infer_tree_ensemble(const InferInput& input) {
  const std::string& aggregate = input.op.string("aggregate");
  if (aggregate != "sum" && aggregate != "average" && aggregate != "min" && aggregate != "max") {
    return refuse(fmt::format("`aggregate` is `{}`", aggregate));
  }
  const int64_t num_targets = input.op.i64("num_targets");
  if (num_targets < 1) return refuse("`num_targets` is less than 1");
  const Type& x = input.operands[kX];
  if (x.is_ranked && x.rank() != 2) return refuse("the operand is not of rank 2");
  for (size_t i = kFeatures; i <= kWeights; ++i) {
    if (input.operands[i].is_ranked && input.operands[i].rank() != 1) {
      return refuse("a table is not of rank 1");
    }
  }
  const auto num_nodes = known_length(input, kFeatures);
  for (size_t i : {kModes, kThreshold, kYes, kNo, kMissing}) {
    if (known_length(input, i) != num_nodes) return refuse("the tables differ in length");
  }
  if (known_length(input, kRoots) != known_length(input, kDepths)) {
    return refuse("a root has no depth");
  }
  if (num_nodes && known_length(input, kLeafBegins) != *num_nodes + 1) {
    return refuse("the leaves' weights have no ends");
  }
  if (num_nodes) NEURONC_TRY(check_tables(input, *num_nodes, num_targets));
  return std::vector<Type>{
      ranked(x.dtype, {x.is_ranked ? x.dims[0] : Dim::unknown(), Dim(num_targets)})};
}

bool goes_yes(int64_t mode, double x, double threshold) {
  switch (mode) {
    case 0:
      return x <= threshold;
    case 1:
      return x < threshold;
    case 2:
      return x >= threshold;
    case 3:
      return x > threshold;
    case 4:
      return x == threshold;
    default:
      return x != threshold;
  }
}

struct Score {
  double value = 0;
  bool is_given = false;

  void add(double weight, const std::string& aggregate) {
    if (aggregate == "min" && is_given) {
      value = std::min(value, weight);
    } else if (aggregate == "max" && is_given) {
      value = std::max(value, weight);
    } else {
      value = is_given ? value + weight : weight;
    }
    is_given = true;
  }
};

Values evaluate_tree_ensemble(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const std::string& aggregate = input.op.string("aggregate");
  const Tensor& x = input.tensor(kX);
  const int64_t num_features = x.shape()[1];
  const int64_t num_trees = input.tensor(kRoots).num_elements();
  const auto at = [&](size_t table, int64_t i) { return input.tensor(table).i64(i); };
  Tensor y = Tensor::zeros(type.dtype, shape);
  for (int64_t row = 0; row < shape[0]; ++row) {
    std::vector<Score> scores(static_cast<size_t>(shape[1]));
    for (int64_t tree = 0; tree < num_trees; ++tree) {
      int64_t node = at(kRoots, tree);
      for (int64_t step = 0; step < at(kDepths, tree); ++step) {
        if (at(kFeatures, node) >= num_features) return refuse("a feature is out of range");
        const double value = x.f64(row * num_features + at(kFeatures, node));
        const bool is_yes = goes_yes(at(kModes, node), value, input.tensor(kThreshold).f64(node)) ||
                            (std::isnan(value) && at(kMissing, node) != 0);
        node = at(is_yes ? kYes : kNo, node);
      }
      for (int64_t i = at(kLeafBegins, node); i < at(kLeafBegins, node + 1); ++i) {
        scores[static_cast<size_t>(at(kTargets, i))].add(input.tensor(kWeights).f64(i), aggregate);
      }
    }
    for (int64_t t = 0; t < shape[1]; ++t) {
      const double score = scores[static_cast<size_t>(t)].value;
      const bool is_mean = aggregate == "average" && num_trees > 0;
      y.set_f64(row * shape[1] + t, is_mean ? score / static_cast<double>(num_trees) : score);
    }
  }
  return one(std::move(y));
}

// A comparison and a step for each level of each tree, taken as twenty flops: they depend on each
// other.
double tree_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  if (!operands[kRoots].is_static() || !results[0].is_static()) return 0;
  const double nodes = num_elements_of(operands[kFeatures]);
  const double trees = std::max(num_elements_of(operands[kRoots]), 1.0);
  return 20 * trees * std::log2(nodes / trees + 2) * static_cast<double>(results[0].shape()[0]);
}

}  // namespace

/// The weights of the leaves that each row of x reaches, joined over all trees by `aggregate` (sum,
/// average over trees, min or max; 0 where there is none). From each root, `depth` steps are taken:
/// to yes[node] where x[features[node]] compares with the threshold as the mode says (0: <=, 1: <,
/// 2: >=, 3: >, 4: =, 5: !=), or is NaN and missing_is_yes[node]; to no[node] elsewhere. A leaf
/// leads to itself. Leaf weights of a node: entries leaf_begins[node] to leaf_begins[node + 1].
/// Shapes: x [rows, features], tables [nodes], [trees] or [entries], y [rows, num_targets].
/// Types: f32, f64.   Source: ai.onnx.ml TreeEnsemble-5.
NEURONC_OP(tree_ensemble) = {"tree_ensemble",
                             "weights of the leaves that trees lead to",
                             "ai.onnx.ml TreeEnsemble-5",
                             kOperands,
                             kAttributes,
                             kResults,
                             Trait::anchor,
                             Precision::fixed,
                             infer_tree_ensemble,
                             evaluate_tree_ensemble,
                             tree_flops};

}  // namespace neuronc
