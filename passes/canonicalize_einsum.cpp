// An einsum of two operands that sums over labels of both is a matrix product:
//
//   %y = einsum(%a, %b) {equation = "bhqd,bkhd->bhqk"} : f32[2,4,5,7]
//   =>
//   %0 = transpose(%b) {perm = [0, 2, 3, 1]} : f32[2,4,6,7]
//   %y = matmul(%a, %0) : f32[2,4,5,7]
//
// One of more operands is taken apart into those of two, in the order of least work.
//
// Not matrix products: labels repeated in a term, summed in one operand alone, or broadcast; and
// products that sum nothing, which a product of matrices would only round more.
#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "ir/ops/einsum.h"
#include "passes/canonicalize.h"

namespace neuronc {
namespace {

using Shape = std::vector<int64_t>;

// Labels by the operands that have them: batch in both and the result, summed in both alone, rows
// in the left one, columns in the right one.
struct Roles {
  EinsumLabels batch, rows, summed, columns;
  std::map<int, int64_t> extents;
};

bool contains(const EinsumLabels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// Reads the extents of one term; no where a label stands twice or is broadcast.
bool read_extents(const EinsumLabels& term, const Shape& shape, std::map<int, int64_t>& extents) {
  for (size_t axis = 0; axis < term.size(); ++axis) {
    if (std::count(term.begin(), term.end(), term[axis]) > 1) return false;
    const auto [it, is_new] = extents.emplace(term[axis], shape[axis]);
    if (it->second != shape[axis]) return false;
  }
  return true;
}

std::optional<Roles> roles_of(const EinsumEquation& equation, const Type& a, const Type& b) {
  Roles roles;
  const EinsumLabels &left = equation.terms[0], &right = equation.terms[1];
  if (!read_extents(left, a.shape(), roles.extents) ||
      !read_extents(right, b.shape(), roles.extents)) {
    return std::nullopt;
  }
  for (int label : left) {
    const bool is_shared = contains(right, label), is_kept = contains(equation.result, label);
    if (!is_shared && !is_kept) return std::nullopt;
    (!is_shared ? roles.rows : is_kept ? roles.batch : roles.summed).push_back(label);
  }
  for (int label : right) {
    if (contains(left, label)) continue;
    if (!contains(equation.result, label)) return std::nullopt;
    roles.columns.push_back(label);
  }
  if (roles.summed.empty()) return std::nullopt;
  return roles;
}

EinsumLabels joined(std::initializer_list<const EinsumLabels*> parts) {
  EinsumLabels all;
  for (const EinsumLabels* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

int64_t product_of(const Roles& roles, const EinsumLabels& labels) {
  return std::accumulate(labels.begin(), labels.end(), int64_t{1},
                         [&](int64_t n, int label) { return n * roles.extents.at(label); });
}

// `value`, whose axes have the labels `from`, with axes in the order `to`.
ValueId reordered(Rewriter& rewriter, NodeId id, ValueId value, const EinsumLabels& from,
                  const EinsumLabels& to) {
  if (from == to) return value;
  Shape perm;
  for (int label : to) perm.push_back(std::find(from.begin(), from.end(), label) - from.begin());
  return rewriter.make(id, Op::transpose, {value}, {{"perm", perm}});
}

ValueId reshaped(Rewriter& rewriter, NodeId id, ValueId value, const Shape& shape) {
  if (rewriter.type(value).shape() == shape) return value;
  const bool has_zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
  const ValueId extents = rewriter.make_constant(id, Tensor::ints(shape));
  return rewriter.make(id, Op::reshape, {value, extents},
                       {{"allowzero", int64_t{has_zero ? 1 : 0}}});
}

// ---- more than two operands

// The order of least work of all, by dynamic programming over sets of operands.
class ContractionOrder {
 public:
  ContractionOrder(const EinsumEquation& equation, std::map<int, int64_t> extents)
      : equation_(equation),
        extents_(std::move(extents)),
        best_(size_t{1} << equation.terms.size()) {
    for (uint32_t set = 1; set < best_.size(); ++set) plan(set);
  }

  // Multiplications of the whole, and of all operands at once.
  double work() const { return best_.back().work; }
  double work_at_once() const {
    EinsumLabels all;
    for (const EinsumLabels& term : equation_.terms) add(all, term);
    return size_of(all) * static_cast<double>(equation_.terms.size() - 1);
  }
  uint32_t whole() const { return static_cast<uint32_t>(best_.size()) - 1; }
  // The part of `set` that is computed on its own, against the rest; 0: one operand.
  uint32_t part_of(uint32_t set) const { return best_[set].part; }

  // Labels of the product of the operands in `set`: what the result or other operands need.
  EinsumLabels labels_of(uint32_t set) const {
    if (set == whole()) return equation_.result;
    EinsumLabels inside, outside = equation_.result;
    for (size_t i = 0; i < equation_.terms.size(); ++i) {
      add((set >> i & 1) != 0 ? inside : outside, equation_.terms[i]);
    }
    if ((set & (set - 1)) == 0) return inside;
    std::erase_if(inside, [&](int label) { return !contains(outside, label); });
    return inside;
  }

 private:
  struct Best {
    double work = 0;
    uint32_t part = 0;
  };

  static void add(EinsumLabels& to, const EinsumLabels& labels) {
    for (int label : labels) {
      if (!contains(to, label)) to.push_back(label);
    }
  }
  double size_of(const EinsumLabels& labels) const {
    double size = 1;
    for (int label : labels) size *= static_cast<double>(extents_.at(label));
    return size;
  }

  void plan(uint32_t set) {
    if ((set & (set - 1)) == 0) return;
    Best best;
    for (uint32_t part = (set - 1) & set; part > 0; part = (part - 1) & set) {
      const uint32_t rest = set & ~part;
      if (part < rest) continue;  // seen the other way round
      EinsumLabels all = labels_of(part);
      add(all, labels_of(rest));
      const double work = best_[part].work + best_[rest].work + size_of(all);
      if (best.part == 0 || work < best.work) best = {work, part};
    }
    best_[set] = best;
  }

  const EinsumEquation& equation_;
  std::map<int, int64_t> extents_;
  std::vector<Best> best_;
};

// Beyond these the search takes too long, and nobody writes them.
constexpr size_t kMaxTerms = 8;

class EinsumSplitter {
 public:
  EinsumSplitter(Rewriter& rewriter, NodeId id, const ContractionOrder& order)
      : rewriter_(rewriter), id_(id), order_(order) {}

  ValueId product_of(uint32_t set) {
    const uint32_t part = order_.part_of(set);
    if (part == 0) {
      size_t operand = 0;
      while ((set >> operand & 1) == 0) ++operand;
      return rewriter_.node(id_).operands[operand];
    }
    // The operand that stands first is the left one.
    const uint32_t rest = set & ~part;
    const bool is_first = (part & (~part + 1)) < (rest & (~rest + 1));
    const uint32_t left = is_first ? part : rest, right = is_first ? rest : part;
    const ValueId a = product_of(left), b = product_of(right);
    const std::string equation = letters(order_.labels_of(left)) + "," +
                                 letters(order_.labels_of(right)) + "->" +
                                 letters(order_.labels_of(set));
    const ValueId product = rewriter_.make(id_, Op::einsum, {a, b}, {{"equation", equation}});
    made_.push_back(rewriter_.graph.producer(product));
    return product;
  }
  const std::vector<NodeId>& made() const { return made_; }

 private:
  static std::string letters(const EinsumLabels& labels) {
    std::string text;
    for (int label : labels) text += static_cast<char>(label);
    return text;
  }

  Rewriter& rewriter_;
  NodeId id_;
  const ContractionOrder& order_;
  std::vector<NodeId> made_;
};

}  // namespace

Changed make_einsum_matmul(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::einsum || node.operands.size() != 2) return Changed::no;
  const Type types[] = {rewriter.type(node.operands[0]), rewriter.type(node.operands[1])};
  if (!types[0].is_static() || !types[1].is_static()) return Changed::no;
  const auto equation = parse_einsum(node.view().string("equation"), types);
  if (!equation || !einsum_extents(*equation, types)) return Changed::no;
  const auto roles = roles_of(*equation, types[0], types[1]);
  if (!roles) return Changed::no;

  Shape batch;
  for (int label : roles->batch) batch.push_back(roles->extents.at(label));
  const auto matrix = [&](size_t operand, const EinsumLabels& first, const EinsumLabels& second) {
    const ValueId ordered =
        reordered(rewriter, id, rewriter.node(id).operands[operand], equation->terms[operand],
                  joined({&roles->batch, &first, &second}));
    Shape shape = batch;
    shape.insert(shape.end(), {product_of(*roles, first), product_of(*roles, second)});
    return reshaped(rewriter, id, ordered, shape);
  };
  const ValueId a = matrix(0, roles->rows, roles->summed);
  const ValueId b = matrix(1, roles->summed, roles->columns);
  const ValueId product = rewriter.make(id, Op::matmul, {a, b});
  const EinsumLabels labels = joined({&roles->batch, &roles->rows, &roles->columns});
  Shape shape;
  for (int label : labels) shape.push_back(roles->extents.at(label));
  const ValueId spread = reshaped(rewriter, id, product, shape);
  rewriter.replace(id, reordered(rewriter, id, spread, labels, equation->result));
  return Changed::yes;
}

Changed split_einsum(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const size_t count = node.operands.size();
  if (node.op != Op::einsum || count < 3 || count > kMaxTerms) return Changed::no;
  std::vector<Type> types;
  for (ValueId operand : node.operands) types.push_back(rewriter.type(operand));
  // A product in between is rounded to the operands' type.
  if (is_float(types[0].dtype) && size_bytes(types[0].dtype) < 4) return Changed::no;
  for (const Type& type : types) {
    if (!type.is_static()) return Changed::no;
  }
  const auto equation = parse_einsum(node.view().string("equation"), types);
  if (!equation || !einsum_extents(*equation, types)) return Changed::no;
  std::map<int, int64_t> extents;
  for (size_t i = 0; i < count; ++i) {
    if (!read_extents(equation->terms[i], types[i].shape(), extents)) return Changed::no;
  }
  const bool has_ellipsis =
      std::any_of(extents.begin(), extents.end(), [](const auto& e) { return e.first < 0; });
  const bool is_empty =
      std::any_of(extents.begin(), extents.end(), [](const auto& e) { return e.second == 0; });
  if (has_ellipsis || is_empty) return Changed::no;
  const ContractionOrder order(*equation, std::move(extents));
  if (order.work() > order.work_at_once()) return Changed::no;
  EinsumSplitter splitter(rewriter, id, order);
  rewriter.replace(id, splitter.product_of(order.whole()));
  for (NodeId made : splitter.made()) make_einsum_matmul(rewriter, made);
  return Changed::yes;
}

}  // namespace neuronc
