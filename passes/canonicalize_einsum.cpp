// An einsum of two operands that sums over labels of both is a matrix product:
//
//   %y = einsum(%a, %b) {equation = "bhqd,bkhd->bhqk"} : f32[2,4,5,7]
//   =>
//   %0 = transpose(%b) {perm = [0, 2, 3, 1]} : f32[2,4,6,7]
//   %y = matmul(%a, %0) : f32[2,4,5,7]
//
// Not matrix products: labels repeated in a term, summed in one operand alone, or broadcast; and
// products that sum nothing, which a product of matrices would only round more.
#include <algorithm>
#include <map>
#include <numeric>

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

}  // namespace neuronc
