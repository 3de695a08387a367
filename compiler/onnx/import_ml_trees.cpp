// Import rules of ai.onnx.ml's tree ensembles: nodes named by tree and number become tables.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/ml_tools.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// The tables of the IR's tree_ensemble. A leaf leads to itself.
struct Forest {
  Ints features, modes, yes, no, missing_is_yes;
  std::vector<double> thresholds;
  Ints roots;
  struct Weight {
    int64_t node, target;
    double weight;
  };
  std::vector<Weight> weights;

  size_t size() const { return features.size(); }
  int64_t add_node(int64_t feature, int64_t mode, double threshold, int64_t on_yes, int64_t on_no,
                   bool missing) {
    features.push_back(feature);
    modes.push_back(mode);
    thresholds.push_back(threshold);
    yes.push_back(on_yes);
    no.push_back(on_no);
    missing_is_yes.push_back(missing ? 1 : 0);
    return static_cast<int64_t>(size()) - 1;
  }
  int64_t add_leaf() {
    const auto self = static_cast<int64_t>(size());
    return add_node(0, 0, 0, self, self, false);
  }
  bool is_leaf(int64_t node) const {
    const auto i = static_cast<size_t>(node);
    return yes[i] == node && no[i] == node;
  }
};

// The longest way down from `root`; -1 where a node is its own descendant.
int64_t depth_of(const Forest& forest, int64_t root, std::vector<int64_t>& known) {
  constexpr int64_t kUnknown = -1, kOpen = -2;
  std::vector<int64_t> stack{root};
  while (!stack.empty()) {
    const int64_t node = stack.back();
    const auto i = static_cast<size_t>(node);
    if (known[i] >= 0) {
      stack.pop_back();
      continue;
    }
    if (forest.is_leaf(node)) {
      known[i] = 0;
      continue;
    }
    const int64_t children[] = {forest.yes[i], forest.no[i]};
    if (known[i] == kUnknown) {
      known[i] = kOpen;
      for (int64_t child : children) {
        const int64_t state = known[static_cast<size_t>(child)];
        if (state == kOpen) return -1;
        if (state == kUnknown) stack.push_back(child);
      }
      continue;
    }
    for (int64_t child : children) {
      if (known[static_cast<size_t>(child)] < 0) return -1;
      known[i] = std::max(known[i], known[static_cast<size_t>(child)] + 1);
    }
    stack.pop_back();
  }
  return known[static_cast<size_t>(root)];
}

ValueId table(NodeContext& node, DType dtype, const Ints& values) {
  Tensor tensor = Tensor::zeros(dtype, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) tensor.set_i64(static_cast<int64_t>(i), values[i]);
  return node.constant(std::move(tensor));
}

// [rows, num_targets] of x's type.
ValueId emit_forest(NodeContext& node, ValueId x, Forest& forest, int64_t num_targets,
                    const std::string& aggregate) {
  if (node.failed()) return {};
  if (num_targets < 1 || num_targets > (int64_t{1} << 24)) {
    node.invalid("its number of targets is out of range");
    return {};
  }
  Ints known(forest.size(), -1), depths;
  for (int64_t root : forest.roots) {
    depths.push_back(depth_of(forest, root, known));
    if (depths.back() < 0) {
      node.invalid("a node of a tree is its own descendant");
      return {};
    }
  }
  std::stable_sort(forest.weights.begin(), forest.weights.end(),
                   [](const auto& a, const auto& b) { return a.node < b.node; });
  Ints begins(forest.size() + 1, 0), targets;
  std::vector<double> weights;
  for (const Forest::Weight& w : forest.weights) {
    if (w.target < 0 || w.target >= num_targets) {
      node.invalid(fmt::format("target {} is none of {}", w.target, num_targets));
      return {};
    }
    ++begins[static_cast<size_t>(w.node) + 1];
    targets.push_back(w.target);
    weights.push_back(w.weight);
  }
  for (size_t i = 1; i < begins.size(); ++i) begins[i] += begins[i - 1];
  const auto count = static_cast<int64_t>(forest.size());
  return node.emit(
      Op::tree_ensemble,
      {x, table(node, DType::i32, forest.features), table(node, DType::u8, forest.modes),
       constant_like(node, x, {count}, forest.thresholds), table(node, DType::i32, forest.yes),
       table(node, DType::i32, forest.no), table(node, DType::u8, forest.missing_is_yes),
       table(node, DType::i32, forest.roots), table(node, DType::i32, depths),
       table(node, DType::i32, begins), table(node, DType::i32, targets),
       constant_like(node, x, {static_cast<int64_t>(weights.size())}, weights)},
      {{"aggregate", aggregate}, {"num_targets", num_targets}});
}

int64_t mode_of(const std::string& name) {
  constexpr const char* kNames[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                    "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
  for (int64_t i = 0; i < 6; ++i) {
    if (name == kNames[i]) return i;
  }
  return -1;
}

using NodeNames = std::map<std::pair<int64_t, int64_t>, int64_t>;

// The nodes of TreeEnsembleClassifier and TreeEnsembleRegressor, and where each name stands.
Forest named_nodes(NodeContext& node, NodeNames& names) {
  Forest forest;
  const Ints trees = node.ints("nodes_treeids"), ids = node.ints("nodes_nodeids");
  const Ints features = node.ints("nodes_featureids"), yes = node.ints("nodes_truenodeids");
  const Ints no = node.ints("nodes_falsenodeids");
  const Ints missing = node.ints("nodes_missing_value_tracks_true");
  const std::vector<double> values = numbers_of(node, "nodes_values");
  const std::vector<std::string> modes = node.strings("nodes_modes");
  const size_t count = trees.size();
  for (size_t size : {ids.size(), features.size(), yes.size(), no.size(), values.size(),
                      modes.size(), missing.empty() ? count : missing.size()}) {
    if (size != count) {
      node.invalid("the attributes of its nodes differ in length");
      return forest;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (!names.emplace(std::pair(trees[i], ids[i]), static_cast<int64_t>(i)).second) {
      node.invalid(fmt::format("tree {} has two nodes {}", trees[i], ids[i]));
      return forest;
    }
  }
  std::set<int64_t> children;
  const auto child = [&](size_t i, int64_t id) {
    const auto it = names.find({trees[i], id});
    if (it == names.end()) {
      node.invalid(fmt::format("tree {} has no node {}", trees[i], id));
      return int64_t{0};
    }
    children.insert(it->second);
    return it->second;
  };
  for (size_t i = 0; i < count && !node.failed(); ++i) {
    if (modes[i] == "LEAF") {
      forest.add_leaf();
      continue;
    }
    const int64_t mode = mode_of(modes[i]);
    if (mode < 0) node.invalid(fmt::format("a node's mode is `{}`", modes[i]));
    forest.add_node(features[i], mode, values[i], child(i, yes[i]), child(i, no[i]),
                    !missing.empty() && missing[i] != 0);
  }
  std::set<int64_t> rooted;
  for (size_t i = 0; i < count; ++i) {
    if (children.contains(static_cast<int64_t>(i)) || !rooted.insert(trees[i]).second) continue;
    forest.roots.push_back(static_cast<int64_t>(i));
  }
  return forest;
}

// The weights of leaves, from attributes that begin with `prefix`.
void add_weights(NodeContext& node, Forest& forest, const NodeNames& names,
                 const std::string& prefix) {
  const Ints trees = node.ints(prefix + "_treeids"), ids = node.ints(prefix + "_nodeids");
  const Ints targets = node.ints(prefix + "_ids");
  const std::vector<double> weights = numbers_of(node, prefix + "_weights");
  if (ids.size() != trees.size() || targets.size() != trees.size() ||
      weights.size() != trees.size()) {
    return node.invalid("the attributes of its leaves differ in length");
  }
  for (size_t i = 0; i < trees.size(); ++i) {
    const auto it = names.find({trees[i], ids[i]});
    if (it == names.end()) {
      return node.invalid(fmt::format("tree {} has no node {}", trees[i], ids[i]));
    }
    // Weights of nodes that lead on are never reached.
    if (!forest.is_leaf(it->second)) continue;
    forest.weights.push_back({it->second, targets[i], weights[i]});
  }
}

ValueId with_base(NodeContext& node, ValueId scores, const std::vector<double>& base) {
  if (base.empty()) return scores;
  const auto count = static_cast<int64_t>(base.size());
  return node.emit(Op::add, {scores, constant_like(node, scores, {count}, base)});
}

ValueId as_f32(NodeContext& node, ValueId x) {
  if (node.dtype_of(x) == DType::f32) return x;
  return node.emit(Op::cast, {x}, {{"to", DType::f32}});
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

}  // namespace

void import_tree_ensemble_regressor(NodeContext& node, const Rule&) {
  const ValueId x = as_scores(node, node.input(0));
  NodeNames names;
  Forest forest = named_nodes(node, names);
  add_weights(node, forest, names, "target");
  const ValueId sums = emit_forest(node, x, forest, node.i64("n_targets", 1),
                                   lower_case(node.string("aggregate_function", "SUM")));
  const ValueId scores = with_base(node, sums, numbers_of(node, "base_values"));
  node.set_output(
      0, as_f32(node, post_transformed(node, scores, node.string("post_transform", "NONE"))));
}

namespace {

// Scores of two classes and the label, from one sum: weights of a single class were given. Where
// none is negative they are probabilities, decided at one half; else margins, decided at 0.
void set_binary_outputs(NodeContext& node, ValueId score, const Tensor& labels, bool is_probability,
                        const std::string& transform) {
  const double bound = is_probability ? 0.5 : 0;
  const ValueId is_second = node.emit(Op::greater, {score, node.scalar_like(score, bound)});
  const ValueId index = node.emit(Op::cast, {is_second}, {{"to", DType::i64}});
  const ValueId flat = node.emit(Op::squeeze, {index, node.ints(Ints{1})});
  node.set_output(0, node.emit(Op::gather, {node.constant(labels), flat}));
  ValueId both;
  if (transform == "PROBIT") {
    both = post_transformed(node, score, transform);
  } else if (is_probability) {
    both = beside(node, node.emit(Op::sub, {node.scalar_like(score, 1), score}), score);
  } else {
    both = beside(node, node.emit(Op::neg, {score}), score);
    if (transform == "LOGISTIC") both = node.emit(Op::sigmoid, {both});
  }
  node.set_output(1, as_f32(node, both));
}

}  // namespace

void import_tree_ensemble_classifier(NodeContext& node, const Rule&) {
  const ValueId x = as_scores(node, node.input(0));
  NodeNames names;
  Forest forest = named_nodes(node, names);
  add_weights(node, forest, names, "class");
  const Tensor labels = labels_of(node, "classlabels_int64s", "classlabels_strings");
  if (node.failed()) return;
  if (!labels) return node.invalid("it has no class labels");
  const int64_t num_classes = labels.num_elements();
  const std::string transform = node.string("post_transform", "NONE");
  std::vector<double> base = numbers_of(node, "base_values");
  std::set<int64_t> weighted;
  bool has_negative = false;
  for (const Forest::Weight& w : forest.weights) {
    weighted.insert(w.target);
    has_negative |= w.weight < 0;
  }
  if (num_classes == 2 && weighted.size() == 1) {
    for (Forest::Weight& w : forest.weights) w.target = 0;
    ValueId score = emit_forest(node, x, forest, 1, "sum");
    // Of two base values that of the second class counts.
    if (!base.empty()) score = with_base(node, score, {base.back()});
    return set_binary_outputs(node, score, labels, !has_negative, transform);
  }
  const ValueId sums = emit_forest(node, x, forest, num_classes, "sum");
  const ValueId scores = with_base(node, sums, base);
  const ValueId best =
      node.emit(Op::arg_max, {scores}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
  node.set_output(0, node.emit(Op::gather, {node.constant(labels), best}));
  node.set_output(1, as_f32(node, post_transformed(node, scores, transform)));
}

namespace {

// Of TreeEnsemble: leaves stand apart from nodes, and are put behind them.
Forest numbered_nodes(NodeContext& node) {
  Forest forest;
  const Ints features = node.ints("nodes_featureids");
  const Ints yes = node.ints("nodes_truenodeids"), no = node.ints("nodes_falsenodeids");
  const Ints yes_leaf = node.ints("nodes_trueleafs"), no_leaf = node.ints("nodes_falseleafs");
  const Ints missing = node.ints("nodes_missing_value_tracks_true");
  const Ints targets = node.ints("leaf_targetids");
  const Tensor modes = node.tensor("nodes_modes"), splits = node.tensor("nodes_splits");
  const Tensor weights = node.tensor("leaf_weights");
  const auto count = static_cast<int64_t>(features.size());
  const auto num_leaves = static_cast<int64_t>(targets.size());
  const auto fits = [&](const Ints& list) { return static_cast<int64_t>(list.size()) == count; };
  if (node.failed()) return forest;
  if (!modes || !splits || !weights || !fits(yes) || !fits(no) || !fits(yes_leaf) ||
      !fits(no_leaf) || (!missing.empty() && !fits(missing)) || modes.num_elements() != count ||
      splits.num_elements() != count || weights.num_elements() != num_leaves) {
    node.invalid("its attributes differ in length");
    return forest;
  }
  const auto child = [&](int64_t id, int64_t is_leaf) {
    if (id < 0 || id >= (is_leaf != 0 ? num_leaves : count)) {
      if (!node.failed()) node.invalid(fmt::format("it has no node or leaf {}", id));
      return int64_t{0};
    }
    return is_leaf != 0 ? count + id : id;
  };
  for (int64_t i = 0; i < count; ++i) {
    const auto n = static_cast<size_t>(i);
    if (modes.i64(i) < 0 || modes.i64(i) > 6) node.invalid("a node's mode is unknown");
    forest.add_node(features[n], modes.i64(i), splits.f64(i), child(yes[n], yes_leaf[n]),
                    child(no[n], no_leaf[n]), !missing.empty() && missing[n] != 0);
  }
  for (int64_t i = 0; i < num_leaves; ++i) {
    forest.weights.push_back({forest.add_leaf(), targets[static_cast<size_t>(i)], weights.f64(i)});
  }
  for (int64_t root : node.ints("tree_roots")) forest.roots.push_back(child(root, 0));
  return forest;
}

// A node that asks for membership of a set becomes a chain of nodes that ask for equality.
void expand_memberships(NodeContext& node, Forest& forest) {
  constexpr int64_t kMember = 6, kEqual = 4;
  const Tensor sets = node.tensor("membership_values");
  int64_t next = 0;
  const size_t count = forest.size();
  for (size_t i = 0; i < count && !node.failed(); ++i) {
    if (forest.modes[i] != kMember) continue;
    std::vector<double> members;
    while (sets && next < sets.num_elements() && !std::isnan(sets.f64(next))) {
      members.push_back(sets.f64(next++));
    }
    ++next;
    if (members.empty()) return node.invalid("a node asks for membership of no set");
    const int64_t on_no = forest.no[i];
    forest.modes[i] = kEqual;
    forest.thresholds[i] = members[0];
    size_t last = i;
    for (size_t m = 1; m < members.size(); ++m) {
      const int64_t added = forest.add_node(forest.features[i], kEqual, members[m], forest.yes[i],
                                            on_no, forest.missing_is_yes[i] != 0);
      forest.no[last] = added;
      last = static_cast<size_t>(added);
    }
  }
}

}  // namespace

void import_tree_ensemble(NodeContext& node, const Rule&) {
  static constexpr const char* kAggregates[] = {"average", "sum", "min", "max"};
  static constexpr const char* kTransforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO",
                                                "PROBIT"};
  const int64_t aggregate = node.i64("aggregate_function", 1);
  const int64_t transform = node.i64("post_transform", 0);
  if (aggregate < 0 || aggregate > 3 || transform < 0 || transform > 4) {
    return node.invalid("`aggregate_function` or `post_transform` is unknown");
  }
  const ValueId x = as_scores(node, node.input(0));
  Forest forest = numbered_nodes(node);
  expand_memberships(node, forest);
  const ValueId sums =
      emit_forest(node, x, forest, node.i64("n_targets", 1), kAggregates[aggregate]);
  const ValueId y = post_transformed(node, sums, kTransforms[transform]);
  const DType wanted = node.dtype_of(node.input(0));
  node.set_output(0, node.failed() || node.dtype_of(y) == wanted
                         ? y
                         : node.emit(Op::cast, {y}, {{"to", wanted}}));
}

}  // namespace neuronc::onnx
