// Implements join_attention.h: the expression is read backwards from the second product.
#include "passes/join_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ir/target.h"
#include "passes/match.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

// Added to or put in place of a score, it leaves no weight to the key, whatever the score.
constexpr double kHiding = -1e30;

// A mask that is added, and its extents where it is added to what the softmax reads.
struct Bias {
  ValueId value;
  std::vector<int64_t> dims;
};

// What stands between the two products.
struct Scores {
  ValueId q, k, v;  // as the products read them
  double scale = 1;
  std::vector<Bias> biases;  // added one after another
  ValueId seen;              // bool: scores where it is false are hidden
  std::optional<int64_t> causal_offset;
  ValueId causal_bias;               // the added mask that `causal_offset` stands for
  bool hides_by_number = false;      // keys are hidden by a finite number
  bool zeroes_rows = false;          // that see no key
  bool zeroes_rows_of_mask = false;  // and of one mask alone
  ValueId rows_of;                   // rows that this bias hides altogether become 0; none: NaN
  std::vector<int64_t> shape;        // of the scores: [.., heads, queries, keys]
};

bool has_infinity(const Tensor& table) {
  for (int64_t i = 0; i < table.num_elements(); ++i) {
    if (std::isinf(table.f64(i))) return true;
  }
  return false;
}

class Joiner {
 public:
  Joiner(Rewriter& rewriter, NodeId root)
      : r_(rewriter), match_(rewriter.module, rewriter.graph), root_(root) {}

  // An empty reason: it is no attention at all.
  OrRefusal<Scores> match();
  OrRefusal<ValueId> make(const Scores& scores);

 private:
  NodeId producer(ValueId value, Op op) const {
    const NodeId id = value ? r_.graph.producer(value) : NodeId();
    return id && r_.node(id).op == op && r_.node(id).placement == Placement::core ? id : NodeId();
  }
  // The same, of a value that nothing else uses.
  NodeId own(ValueId value, Op op) const {
    return value && r_.has_one_use(value) ? producer(value, op) : NodeId();
  }
  ValueId operand(NodeId id, size_t i) const { return r_.node(id).operands[i]; }
  std::vector<int64_t> shape(ValueId value) const { return r_.type(value).shape(); }

  bool is_minus_infinity(ValueId value) const {
    return match_.splat(value) == -std::numeric_limits<double>::infinity();
  }

  ValueId behind_hidden_rows(ValueId value, Scores& scores);
  OrRefusal<void> read_scores(ValueId value, Scores& scores);
  bool read_mask(NodeId where, Scores& scores, ValueId& next);
  OrRefusal<void> read_add(NodeId add, ValueId& value, Scores& scores);
  void read_bias(ValueId bias, Scores& scores);
  std::optional<int64_t> causal_offset_of(ValueId seen) const;
  std::optional<int64_t> causal_offset_of_bias(ValueId bias) const;
  std::optional<int64_t> causal_offset_of_table(ValueId bias) const;
  OrRefusal<void> check(const Scores& scores) const;
  ValueId reshape(ValueId x, const std::vector<int64_t>& to) {
    if (shape(x) == to) return x;
    return r_.make(root_, Op::reshape, {x, r_.make_constant(root_, Tensor::ints(to))});
  }

  Rewriter& r_;
  Match match_;
  NodeId root_;
};

// where(is_nan(weights), 0, weights), as PyTorch writes it, or where(the bias of the row shows a key,
// weights, 0): the weights.
ValueId Joiner::behind_hidden_rows(ValueId value, Scores& scores) {
  const NodeId where = own(value, Op::where);
  if (!where) return value;
  const NodeId nan = own(operand(where, 0), Op::is_nan);
  if (nan && operand(nan, 0) == operand(where, 2) && match_.is_splat(operand(where, 1), 0)) {
    scores.zeroes_rows = true;
    return operand(where, 2);
  }
  if (!match_.is_splat(operand(where, 2), 0)) return value;
  const NodeId greater = producer(operand(where, 0), Op::greater);
  if (!greater || !is_minus_infinity(operand(greater, 1))) return value;
  const NodeId top = producer(operand(greater, 0), Op::reduce_max);
  if (!top) return value;
  const auto axes = reduced_axes(r_.module, r_.graph, top);
  const int64_t rank = r_.type(operand(top, 0)).rank();
  if (!axes || *axes != std::vector<int64_t>{rank - 1}) return value;
  scores.rows_of = operand(top, 0);
  return operand(where, 1);
}

// Keys below queries plus an offset: less(positions [1, keys], positions [queries, 1]).
std::optional<int64_t> Joiner::causal_offset_of(ValueId seen) const {
  const NodeId less = producer(seen, Op::less);
  if (!less) return std::nullopt;
  const Tensor* keys = r_.constant(less, 0);
  const Tensor* ends = r_.constant(less, 1);
  if (keys == nullptr || ends == nullptr || !is_integer(keys->dtype())) return std::nullopt;
  const int64_t num_keys = keys->num_elements(), num_queries = ends->num_elements();
  if (keys->shape() != std::vector<int64_t>{1, num_keys} ||
      ends->shape() != std::vector<int64_t>{num_queries, 1}) {
    return std::nullopt;
  }
  const int64_t first = ends->i64(0);
  for (int64_t i = 0; i < num_keys; ++i) {
    if (keys->i64(i) != i) return std::nullopt;
  }
  for (int64_t i = 0; i < num_queries; ++i) {
    if (ends->i64(i) != first + i) return std::nullopt;
  }
  return first - 1;
}

// The same as a table of 0 and what hides, or of true and false.
std::optional<int64_t> Joiner::causal_offset_of_table(ValueId bias) const {
  const Tensor* table = r_.module.constant_of(r_.graph, bias);
  if (table == nullptr || table->rank() < 2) return std::nullopt;
  const int64_t num_keys = table->shape()[static_cast<size_t>(table->rank() - 1)];
  const int64_t num_queries = table->shape()[static_cast<size_t>(table->rank() - 2)];
  if (num_keys * num_queries != table->num_elements() || num_queries < 2) return std::nullopt;
  const bool is_bool = table->dtype() == DType::boolean;
  const auto is_seen = [&](int64_t i) { return is_bool ? table->f64(i) != 0 : table->f64(i) == 0; };
  int64_t first = 0;  // keys that the first query sees
  while (first < num_keys && is_seen(first)) ++first;
  if (first == 0) return std::nullopt;
  for (int64_t i = 0; i < table->num_elements(); ++i) {
    const bool should_see = i % num_keys < first + i / num_keys;
    if (is_seen(i) != should_see) return std::nullopt;
    if (!should_see && !is_bool && table->f64(i) > kHiding) return std::nullopt;
  }
  return first - 1;
}

// The offset that an added mask stands for, if it only hides later keys.
std::optional<int64_t> Joiner::causal_offset_of_bias(ValueId bias) const {
  std::optional<int64_t> offset = causal_offset_of_table(bias);
  if (const NodeId where = producer(bias, Op::where); where && !offset) {
    const bool hides =
        match_.is_splat(operand(where, 1), 0) && is_minus_infinity(operand(where, 2));
    if (hides) offset = causal_offset_of(operand(where, 0));
    if (hides && !offset) offset = causal_offset_of_table(operand(where, 0));
  }
  return offset && *offset >= 0 ? offset : std::nullopt;
}

void Joiner::read_bias(ValueId bias, Scores& scores) {
  if (const auto offset = causal_offset_of_bias(bias); offset && !scores.causal_offset) {
    scores.causal_offset = offset;
    scores.causal_bias = bias;
    const Tensor* table = r_.module.constant_of(r_.graph, bias);
    scores.hides_by_number = table != nullptr && table->num_elements() > 0 && !has_infinity(*table);
    return;
  }
  // A sum of a causal part and another.
  if (const NodeId add = producer(bias, Op::add); add && !scores.causal_offset) {
    for (size_t i = 0; i < 2; ++i) {
      if (r_.type(operand(add, i)).rank() < 2 || !causal_offset_of_bias(operand(add, i))) continue;
      read_bias(operand(add, i), scores);
      scores.biases.push_back({operand(add, 1 - i), {}});
      return;
    }
  }
  scores.biases.push_back({bias, {}});
}

// The extents of a bias added to scores of shape `at` where it is added to them in shape `scores`.
OrRefusal<std::vector<int64_t>> dims_of_bias(const Type& bias, std::vector<int64_t> at,
                                             const std::vector<int64_t>& scores) {
  if (!bias.is_static()) return refuse("the shape of its mask is known only at run time");
  std::vector<int64_t> dims = bias.shape();
  if (dims.empty()) return refuse("its mask is a number");
  if (at == scores) return dims;
  if (at.size() < 2 || scores.size() < 2 || dims.size() > at.size() ||
      !std::equal(at.end() - 2, at.end(), scores.end() - 2)) {
    return refuse("its scores are reshaped");
  }
  dims.insert(dims.begin(), at.size() - dims.size(), 1);
  const auto is_one = [](int64_t extent) { return extent == 1; };
  if (std::all_of(dims.begin(), dims.end() - 2, is_one)) {
    return std::vector<int64_t>(dims.end() - 2, dims.end());
  }
  if (std::equal(dims.begin(), dims.end() - 2, at.begin())) {
    std::vector<int64_t> to(scores.begin(), scores.end() - 2);
    to.insert(to.end(), dims.end() - 2, dims.end());
    return to;
  }
  // Leading axes of one element come and go.
  while (at.size() > scores.size() && at.front() == 1) {
    at.erase(at.begin());
    dims.erase(dims.begin());
  }
  if (at.size() > scores.size()) return refuse("its scores are reshaped");
  const auto first = scores.begin() + static_cast<std::ptrdiff_t>(scores.size() - at.size());
  if (!std::all_of(scores.begin(), first, is_one) || !std::equal(at.begin(), at.end(), first)) {
    return refuse("its scores are reshaped");
  }
  return dims;
}

// where(seen, scores, what hides), or the other way round.
bool Joiner::read_mask(NodeId where, Scores& scores, ValueId& next) {
  const auto number = match_.splat(operand(where, 2));
  if (!number || !(*number <= kHiding) || scores.seen || scores.causal_offset) return false;
  next = operand(where, 1);
  auto offset = causal_offset_of_table(operand(where, 0));
  if (!offset) offset = causal_offset_of(operand(where, 0));
  scores.hides_by_number = std::isfinite(*number);
  if (offset && *offset >= 0) {
    scores.causal_offset = offset;
  } else {
    scores.seen = operand(where, 0);
  }
  return true;
}

// A mask added to scores; `value` becomes those.
OrRefusal<void> Joiner::read_add(NodeId add, ValueId& value, Scores& scores) {
  const ValueId left = operand(add, 0);
  const bool is_left =
      r_.type(left) == r_.type(value) && r_.has_one_use(left) && r_.graph.producer(left);
  const ValueId bias = operand(add, is_left ? 1 : 0);
  if (scores.zeroes_rows_of_mask || (scores.rows_of && scores.rows_of != bias)) {
    return refuse("its hidden rows are those of another mask");
  }
  if (scores.rows_of) scores.zeroes_rows = scores.zeroes_rows_of_mask = true;
  scores.rows_of = ValueId();
  const size_t num_before = scores.biases.size();
  read_bias(bias, scores);
  for (size_t i = num_before; i < scores.biases.size(); ++i) {
    Bias& added = scores.biases[i];
    NEURONC_ASSIGN(added.dims, dims_of_bias(r_.type(added.value), shape(value), scores.shape));
  }
  value = operand(add, is_left ? 0 : 1);
  return {};
}

// Reads from the softmax's operand back to the first product: masks first, then factors.
OrRefusal<void> Joiner::read_scores(ValueId value, Scores& scores) {
  scores.shape = shape(value);
  bool has_factor = false;
  for (int step = 0; step < 12; ++step) {
    if (!r_.has_one_use(value)) return refuse("its scores have other users");
    const NodeId id = r_.graph.producer(value);
    if (!id) return refuse("");
    const Node& node = r_.node(id);
    if (node.op == Op::matmul) {
      scores.q = node.operands[0];
      scores.k = node.operands[1];
      if (scores.rows_of) return refuse("its hidden rows are those of another mask");
      return {};
    }
    if (node.op == Op::reshape) {
      value = node.operands[0];
    } else if ((node.op == Op::mul || node.op == Op::div) && match_.splat(node.operands[1])) {
      const double factor = *match_.splat(node.operands[1]);
      scores.scale = node.op == Op::mul ? scores.scale * factor : scores.scale / factor;
      has_factor = true;
      value = node.operands[0];
    } else if (node.op == Op::mul && match_.splat(node.operands[0])) {
      scores.scale *= *match_.splat(node.operands[0]);
      has_factor = true;
      value = node.operands[1];
    } else if (node.op == Op::add && !has_factor) {
      NEURONC_TRY(read_add(id, value, scores));
    } else if (node.op == Op::where && !has_factor && !scores.rows_of) {
      ValueId next;
      if (!read_mask(id, scores, next)) return refuse("its mask is selected in another way");
      value = next;
    } else {
      return refuse(fmt::format("`{}` stands between its products", node.def().name));
    }
  }
  return refuse("more stands between its products than is looked at");
}

// Whether products of operands q and k are scores of this shape: the same rows, rows of key heads that
// are those of query heads, or heads apart from their batch.
bool fits_scores(const std::vector<int64_t>& q, const std::vector<int64_t>& k,
                 const std::vector<int64_t>& scores) {
  const size_t rank = q.size();
  if (scores.back() != k.back()) return false;
  if (rank == 3 && scores.size() == 4) {
    return scores[0] * scores[1] == q[0] && scores[2] == q[1];
  }
  if (scores.size() != rank || (rank == 4 && scores[0] != q[0])) return false;
  const bool is_same = scores[rank - 2] == q[rank - 2] && scores[rank - 3] == q[rank - 3];
  const bool is_grouped =
      rank == 4 && scores[1] % k[1] == 0 && scores[1] / k[1] * scores[2] == q[2];
  return is_same || is_grouped;
}

OrRefusal<void> Joiner::check(const Scores& s) const {
  if (!s.biases.empty() && s.seen) return refuse("it has two masks");
  // Where a finite number hides all keys of a row, they all get the same weight.
  if (s.hides_by_number && (!s.biases.empty() || s.seen)) {
    return refuse("a finite number hides keys");
  }
  if (!std::isfinite(s.scale)) return refuse("its scale is not finite");
  const std::vector<int64_t> q = shape(s.q), k = shape(s.k), v = shape(s.v);
  const size_t rank = q.size();
  if ((rank != 3 && rank != 4) || k.size() != rank || v.size() != rank) {
    return refuse("its operands are not of rank 3 or 4");
  }
  for (size_t d = 0; d + 2 < rank; ++d) {
    // One key head may serve all query heads.
    const bool is_shared = rank == 4 && d == 1 && k[d] == 1;
    if (v[d] != k[d] || (q[d] != k[d] && !is_shared)) return refuse("a batch axis is broadcast");
  }
  if (v[rank - 2] != k[rank - 1]) return refuse("");
  if (!fits_scores(q, k, s.shape)) return refuse("its scores are reshaped");
  const DType dtype = r_.type(s.q).dtype;
  if (r_.type(s.k).dtype != dtype || r_.type(s.v).dtype != dtype) {
    return refuse("its operands differ in type");
  }
  for (const Bias& bias : s.biases) {
    if (bias.dims.size() > s.shape.size()) return refuse("its mask has more axes");
    if (!is_float(r_.type(bias.value).dtype)) return refuse("its mask is not added");
  }
  if (s.seen) {
    if (r_.type(s.seen).rank() < 1) return refuse("its mask is a number");
    if (r_.type(s.seen).rank() > static_cast<int64_t>(s.shape.size())) {
      return refuse("its mask has more axes");
    }
  }
  return {};
}

OrRefusal<Scores> Joiner::match() {
  Scores scores;
  const Node& root = r_.node(root_);
  if (root.placement != Placement::core || !r_.type(root.results[0]).is_static()) return refuse("");
  ValueId weights = root.operands[0];
  // The scores as rows of key heads, and rounded.
  for (int i = 0; i < 2; ++i) {
    if (const NodeId cast = own(weights, Op::cast)) weights = operand(cast, 0);
    if (const NodeId moved = own(weights, Op::reshape)) weights = operand(moved, 0);
  }
  weights = behind_hidden_rows(weights, scores);
  const NodeId softmax = producer(weights, Op::softmax);
  const int64_t num_own = scores.zeroes_rows ? 2 : 1;
  if (!softmax || static_cast<int64_t>(r_.graph.value(weights).num_uses()) != num_own) {
    return refuse("");
  }
  const int64_t axis = r_.node(softmax).view().i64("axis");
  const Type& type = r_.type(operand(softmax, 0));
  if (!type.is_static() || type.dtype != DType::f32) return refuse("");
  if (axis != -1 && axis != type.rank() - 1) return refuse("");
  scores.v = root.operands[1];
  NEURONC_TRY(read_scores(operand(softmax, 0), scores));
  // A finite number hides no key from another mask: both are added.
  if (scores.hides_by_number && scores.causal_bias && !scores.biases.empty()) {
    const std::vector<int64_t> dims = shape(scores.causal_bias);
    scores.biases.push_back({scores.causal_bias, {dims.end() - 2, dims.end()}});
    scores.causal_offset.reset();
    scores.hides_by_number = false;
  }
  NEURONC_TRY(check(scores));
  return scores;
}

OrRefusal<ValueId> Joiner::make(const Scores& s) {
  const std::vector<int64_t> keys = shape(s.k), values = shape(s.v);
  const size_t rank = keys.size();
  const auto as_heads = [&](ValueId x, std::vector<int64_t> to) {
    if (rank == 4) return reshape(x, to);
    if (s.shape.size() == 4) to[0] = s.shape[1];
    to.insert(to.begin(), s.shape.size() == 4 ? s.shape[0] : 1);
    return reshape(x, to);
  };
  std::vector<int64_t> queries = s.shape;
  queries.back() = shape(s.q).back();
  std::vector<int64_t> perm(rank);
  for (size_t d = 0; d < rank; ++d) perm[d] = static_cast<int64_t>(d);
  std::swap(perm[rank - 1], perm[rank - 2]);
  const ValueId turned = r_.make(root_, Op::transpose, {s.k}, {{"perm", std::move(perm)}});
  const ValueId q = s.shape.size() == 4 ? reshape(s.q, queries) : as_heads(s.q, queries);
  const ValueId k = as_heads(turned, shape(turned));
  const ValueId v = as_heads(s.v, values);
  std::vector<ValueId> operands{q, k, v};
  // Of rank 3 the first axis is that of heads, in a mask too.
  ValueId mask = s.seen;
  for (const Bias& bias : s.biases) {
    const ValueId part = reshape(bias.value, bias.dims);
    mask = mask ? r_.make(root_, Op::add, {mask, part}) : part;
    if (!mask) return refuse("its masks do not fit together");
  }
  if (mask) operands.push_back(mask);
  std::vector<NamedAttribute> attributes{{"scale", s.scale},
                                         {"result_type", DType::f32},
                                         {"has_nan_rows", int64_t{s.zeroes_rows ? 0 : 1}}};
  if (s.causal_offset) {
    attributes.push_back({"is_causal", int64_t{1}});
    attributes.push_back({"causal_offset", *s.causal_offset});
  }
  const ValueId y = r_.make(root_, Op::attention, std::move(operands), std::move(attributes));
  if (!y) return refuse("inference refuses it");
  return y;
}

// Whether `id` may stand for attention, and for what else it is replaced.
Changed join(Rewriter& rewriter, NodeId id, const Target& target) {
  Joiner joiner(rewriter, id);
  const auto missed = [&](const Refusal& refusal) {
    if (!refusal.reason.empty()) {
      rewriter.remarks.missed(rewriter.label(id),
                              "attention stays three kernels: " + refusal.reason);
    }
    return Changed::no;
  };
  const OrRefusal<Scores> scores = joiner.match();
  if (!scores) return missed(scores.error());
  const OrRefusal<ValueId> made = joiner.make(*scores);
  if (!made) return missed(made.error());
  const NodeId attention = rewriter.graph.producer(*made);
  const OrRefusal<void> gains = target.gains_by_joining(rewriter.module, rewriter.graph, attention);
  if (!gains) {
    rewriter.edit.erase_if_unused(attention);
    return missed(gains.error());
  }
  const ValueId result = rewriter.node(id).results[0];
  // Rows of key heads that become those of query heads are so already.
  NodeId root = id;
  if (rewriter.has_one_use(result) && !rewriter.graph.value(result).uses.empty()) {
    const NodeId user = rewriter.graph.value(result).uses[0].node;
    const Node& next = rewriter.node(user);
    const bool is_back =
        next.op == Op::reshape && rewriter.type(next.results[0]) == rewriter.type(*made);
    if (is_back) root = user;
  }
  ValueId value = *made;
  if (root == id && rewriter.type(value) != rewriter.type(result)) {
    const std::vector<int64_t> shape = rewriter.type(result).shape();
    value =
        rewriter.make(id, Op::reshape, {value, rewriter.make_constant(id, Tensor::ints(shape))});
  }
  rewriter.replace(root, value);
  rewriter.remarks.done(rewriter.label(attention), "two products and a softmax in one kernel");
  return Changed::yes;
}

}  // namespace

namespace {

Changed join_in_main_graph(Module& module, PassContext& context) {
  Changed changed = Changed::no;
  Rewriter rewriter{module, module.graph(), context.remarks};
  std::vector<NodeId> products;
  for (NodeId id : module.graph().nodes()) {
    if (rewriter.node(id).op == Op::matmul) products.push_back(id);
  }
  for (NodeId id : products) {
    if (!rewriter.node(id).is_erased) changed |= join(rewriter, id, context.target);
  }
  return changed;
}

}  // namespace

Expected<Changed> join_attention(Module& module, const NoOptions&, PassContext& context) {
  return on_core_graphs(module,
                        [&]() -> Expected<Changed> { return join_in_main_graph(module, context); });
}

}  // namespace neuronc
