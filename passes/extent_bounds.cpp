// Implements extent_bounds.h.
#include "passes/extent_bounds.h"

#include <algorithm>

namespace neuronc {
namespace {

using Bound = std::optional<int64_t>;
using Bounds = std::vector<Bound>;

// Shapes have no more numbers than tensors have axes; larger lists are data.
constexpr int64_t kMostElements = 16;

Bound sum(Bound a, Bound b) {
  int64_t result = 0;
  if (!a || !b || __builtin_add_overflow(*a, *b, &result)) return std::nullopt;
  return result;
}

Bound product(Bound a, Bound b) {
  if ((a && *a == 0) || (b && *b == 0)) return 0;
  int64_t result = 0;
  if (!a || !b || __builtin_mul_overflow(*a, *b, &result)) return std::nullopt;
  return result;
}

Bound product_of(const Bounds& bounds) {
  Bound result = 1;
  for (Bound bound : bounds) result = product(result, bound);
  return result;
}

// What both say.
Bound less_of(Bound a, Bound b) { return !a ? b : !b ? a : std::min(*a, *b); }
// What holds for either.
Bound greater_of(Bound a, Bound b) {
  if (!a || !b) return std::nullopt;
  return std::max(*a, *b);
}

std::optional<size_t> axis_of(int64_t axis, size_t rank) {
  const auto wide = static_cast<int64_t>(rank);
  if (axis < -wide || axis >= wide) return std::nullopt;
  return static_cast<size_t>(axis < 0 ? axis + wide : axis);
}

}  // namespace

// Follows one graph. Where a rule says less than the type, the type holds.
class ExtentBounds::Walk {
 public:
  Walk(const Module& module, const Graph& graph, std::map<ValueId, Facts> facts)
      : module_(module), graph_(graph), facts_(std::move(facts)) {}

  std::map<ValueId, Facts> run() {
    for (ValueId input : graph_.inputs()) {
      if (!facts_.contains(input)) facts_[input] = facts_of_type(input);
    }
    for (NodeId id : graph_.nodes()) follow(graph_.node(id));
    return std::move(facts_);
  }

 private:
  using Ints = std::vector<int64_t>;

  Facts facts_of_type(ValueId value) const {
    Facts facts;
    const Type& type = graph_.type(value);
    if (!type.is_tensor() || !type.is_ranked) return facts;
    for (Dim dim : type.dims) {
      facts.extents.push_back(dim.is_number() ? Bound(dim.number()) : std::nullopt);
    }
    return facts;
  }

  bool is_ranked(ValueId value) const {
    return value && graph_.type(value).is_tensor() && graph_.type(value).is_ranked;
  }
  const Facts& at(ValueId value) const { return facts_.at(value); }
  const Bounds& extents(const Node& node, size_t i) const { return at(node.operands[i]).extents; }
  const Tensor* constant(const Node& node, size_t i) const {
    return node.has_operand(i) ? module_.constant_of(graph_, node.operands[i]) : nullptr;
  }
  std::optional<Ints> ints(const Node& node, size_t i) const {
    const Tensor* tensor = constant(node, i);
    if (tensor == nullptr || !is_integer(tensor->dtype())) return std::nullopt;
    return tensor->to_ints();
  }
  std::optional<Bounds> elements(const Node& node, size_t i) const {
    return node.has_operand(i) ? at(node.operands[i]).elements : std::nullopt;
  }

  void follow(const Node& node) {
    for (ValueId result : node.results) facts_[result] = facts_of_type(result);
    if (node.results.empty()) return;
    for (ValueId operand : node.operands) {
      if (operand && !is_ranked(operand)) return;
    }
    if (node.op == Op::if_else) return follow_branches(node);
    for (size_t i = 0; i < node.results.size(); ++i) {
      if (!is_ranked(node.results[i])) continue;
      Facts& facts = facts_[node.results[i]];
      if (const auto found = extents_of(node); found && found->size() == facts.extents.size()) {
        for (size_t axis = 0; axis < found->size(); ++axis) {
          facts.extents[axis] = less_of(facts.extents[axis], (*found)[axis]);
        }
      }
      const Type& type = graph_.type(node.results[i]);
      if (is_integer(type.dtype) && type.rank() <= 1) facts.elements = elements_of(node);
    }
  }

  void follow_branches(const Node& node) {
    for (size_t b = 0; b < node.bodies.size(); ++b) {
      const Graph& body = *node.bodies[b];
      std::map<ValueId, Facts> known;
      for (size_t i = 0; i < body.inputs().size() && i + 1 < node.operands.size(); ++i) {
        if (node.operands[i + 1]) known[body.inputs()[i]] = at(node.operands[i + 1]);
      }
      const auto inner = Walk(module_, body, std::move(known)).run();
      for (size_t i = 0; i < node.results.size() && i < body.outputs().size(); ++i) {
        if (!is_ranked(node.results[i])) continue;
        Bounds& bounds = facts_[node.results[i]].extents;
        const Bounds& given = inner.at(body.outputs()[i]).extents;
        if (given.size() != bounds.size()) {
          bounds = facts_of_type(node.results[i]).extents;
          continue;
        }
        for (size_t axis = 0; axis < bounds.size(); ++axis) {
          if (graph_.type(node.results[i]).dims[axis].is_number()) continue;
          bounds[axis] = b == 0 ? given[axis] : greater_of(bounds[axis], given[axis]);
        }
      }
    }
  }

  // ---- extents

  std::optional<Bounds> extents_of(const Node& node) const {
    if (node.has(Trait::elementwise)) return broadcast(node);
    switch (node.op) {
      case Op::cum_sum:
      case Op::log_softmax:
      case Op::scatter_elements:
      case Op::scatter_nd:
      case Op::softmax:
      case Op::split:
        return extents(node, 0);
      case Op::non_zero:
        return Bounds{static_cast<int64_t>(extents(node, 0).size()), product_of(extents(node, 0))};
      case Op::non_max_suppression:
        return selected_boxes(node);
      case Op::top_k:
        return top_k(node);
      case Op::gather:
        return gathered(node);
      case Op::concat:
        return joined(node);
      case Op::slice:
        return cut(node);
      case Op::transpose:
        return transposed(node);
      case Op::unsqueeze:
      case Op::squeeze:
        return with_or_without_ones(node);
      case Op::reshape:
        return reshaped(node);
      case Op::constant_of_shape:
        return elements(node, 0);
      case Op::expand:
        return expanded(node);
      case Op::range:
        return range(node);
      case Op::gemm:
      case Op::matmul:
        return rows_of_product(node);
      case Op::roi_align:
        return with_first(graph_.type(node.results[0]), first_of(extents(node, 1)));
      case Op::conv:
      case Op::max_pool:
      case Op::average_pool:
        return with_first(graph_.type(node.results[0]), first_of(extents(node, 0)));
      default:
        return std::nullopt;
    }
  }

  static Bound first_of(const Bounds& bounds) { return bounds.empty() ? std::nullopt : bounds[0]; }

  static Bounds with_first(const Type& type, Bound first) {
    Bounds bounds(type.dims.size());
    if (!bounds.empty()) bounds[0] = first;
    return bounds;
  }

  // An extent of 1 takes the other's; extents that are not 1 are equal.
  std::optional<Bounds> broadcast(const Node& node) const {
    Bounds bounds(static_cast<size_t>(graph_.type(node.results[0]).rank()), Bound(1));
    for (ValueId operand : node.operands) {
      if (!operand) continue;
      const Bounds& given = at(operand).extents;
      if (given.size() > bounds.size()) return std::nullopt;
      const size_t shift = bounds.size() - given.size();
      for (size_t i = 0; i < given.size(); ++i) {
        bounds[shift + i] = greater_of(bounds[shift + i], given[i]);
      }
    }
    return bounds;
  }

  std::optional<Bounds> selected_boxes(const Node& node) const {
    const Bounds& scores = extents(node, 1);
    if (scores.size() != 3) return std::nullopt;
    Bound each =
        less_of(scores[2], extents(node, 0).size() == 3 ? extents(node, 0)[1] : std::nullopt);
    if (const auto limit = ints(node, 2); limit && limit->size() == 1 && (*limit)[0] >= 0) {
      each = less_of(each, (*limit)[0]);
    }
    return Bounds{product(product(scores[0], scores[1]), each), 3};
  }

  std::optional<Bounds> top_k(const Node& node) const {
    Bounds bounds = extents(node, 0);
    const auto axis = axis_of(node.view().i64("axis"), bounds.size());
    const auto k = elements(node, 1);
    if (axis && k && k->size() == 1) bounds[*axis] = less_of(bounds[*axis], (*k)[0]);
    return bounds;
  }

  std::optional<Bounds> gathered(const Node& node) const {
    Bounds bounds = extents(node, 0);
    const auto axis = axis_of(node.view().i64("axis"), bounds.size());
    if (!axis) return std::nullopt;
    const Bounds& indices = extents(node, 1);
    const auto place = bounds.erase(bounds.begin() + static_cast<std::ptrdiff_t>(*axis));
    bounds.insert(place, indices.begin(), indices.end());
    return bounds;
  }

  std::optional<Bounds> joined(const Node& node) const {
    Bounds bounds = extents(node, 0);
    const auto axis = axis_of(node.view().i64("axis"), bounds.size());
    if (!axis) return std::nullopt;
    for (size_t i = 1; i < node.operands.size(); ++i) {
      const Bounds& more = extents(node, i);
      if (more.size() != bounds.size()) return std::nullopt;
      for (size_t a = 0; a < bounds.size(); ++a) {
        bounds[a] = a == *axis ? sum(bounds[a], more[a]) : less_of(bounds[a], more[a]);
      }
    }
    return bounds;
  }

  std::optional<Bounds> cut(const Node& node) const {
    Bounds bounds = extents(node, 0);
    const auto starts = ints(node, 1);
    const auto ends = elements(node, 2);
    std::optional<Ints> axes = ints(node, 3), steps = ints(node, 4);
    if (!node.has_operand(3) && starts) {
      axes.emplace();
      for (size_t i = 0; i < starts->size(); ++i) axes->push_back(static_cast<int64_t>(i));
    }
    if (!axes || (node.has_operand(4) && !steps)) return bounds;  // it only cuts
    for (size_t i = 0; i < axes->size(); ++i) {
      const auto axis = axis_of((*axes)[i], bounds.size());
      const int64_t step = steps && i < steps->size() ? (*steps)[i] : 1;
      if (!axis || step != 1 || !starts || !ends || i >= starts->size() || i >= ends->size()) {
        continue;
      }
      // An end that may be negative counts from the back, and bounds nothing.
      const Tensor* known = constant(node, 2);
      const Bound end = (*ends)[i];
      const bool is_end = end && *end >= 0 && (known != nullptr || is_count(node.operands[2]));
      const int64_t start = (*starts)[i];
      if (is_end && start >= 0) {
        bounds[*axis] = less_of(bounds[*axis], std::max<int64_t>(*end - start, 0));
      }
    }
    return bounds;
  }

  // Whether the elements of `value` are extents, which are never negative.
  bool is_count(ValueId value) const {
    for (NodeId id = graph_.producer(value); id; id = graph_.producer(value)) {
      const Node& node = graph_.node(id);
      if (node.op == Op::shape) return true;
      const bool passes = node.op == Op::slice || node.op == Op::reshape ||
                          node.op == Op::squeeze || node.op == Op::unsqueeze ||
                          node.op == Op::gather || node.op == Op::identity;
      if (!passes) return false;
      value = node.operands[0];
    }
    return false;
  }

  std::optional<Bounds> transposed(const Node& node) const {
    const Bounds& given = extents(node, 0);
    const Ints& perm = node.view().ints("perm");
    Bounds bounds(given.rbegin(), given.rend());
    for (size_t i = 0; i < perm.size() && i < bounds.size(); ++i) {
      bounds[i] = given[static_cast<size_t>(perm[i])];
    }
    return bounds;
  }

  // All but the extents of 1 stay in order.
  std::optional<Bounds> with_or_without_ones(const Node& node) const {
    const auto axes = ints(node, 1);
    if (!axes) return std::nullopt;
    Bounds bounds = extents(node, 0);
    const bool adds = node.op == Op::unsqueeze;
    const size_t rank = bounds.size() + (adds ? axes->size() : 0);
    std::vector<bool> is_one(rank);
    for (int64_t given : *axes) {
      const auto axis = axis_of(given, rank);
      if (!axis) return std::nullopt;
      is_one[*axis] = true;
    }
    Bounds result;
    size_t next = 0;
    for (size_t axis = 0; axis < rank; ++axis) {
      if (adds) {
        result.push_back(is_one[axis] || next >= bounds.size() ? Bound(1) : bounds[next++]);
      } else if (!is_one[axis]) {
        result.push_back(bounds[axis]);
      }
    }
    return result;
  }

  std::optional<Bounds> reshaped(const Node& node) const {
    const Bounds& from = extents(node, 0);
    const auto wanted = elements(node, 1);
    if (!wanted) return std::nullopt;
    const auto known = ints(node, 1);
    const bool copies_zeros = node.view().i64("allowzero") == 0;
    Bounds bounds;
    Bound others = 1;
    std::optional<size_t> rest;
    for (size_t i = 0; i < wanted->size(); ++i) {
      Bound bound = (*wanted)[i];
      if (bound && *bound < 0) {
        rest = i;
        bound.reset();
      } else if (copies_zeros && bound && *bound == 0) {
        bound = i < from.size() ? from[i] : std::nullopt;
        others.reset();
      } else if (!known) {
        others.reset();  // a bound, not the number, which may be 0
        if (copies_zeros) bound = greater_of(bound, i < from.size() ? from[i] : std::nullopt);
      } else {
        others = product(others, bound);
      }
      bounds.push_back(bound);
    }
    if (rest && others && *others > 0) {
      if (const Bound total = product_of(from)) bounds[*rest] = *total / *others;
    }
    return bounds;
  }

  std::optional<Bounds> expanded(const Node& node) const {
    const Bounds& from = extents(node, 0);
    auto bounds = elements(node, 1);
    if (!bounds || bounds->size() < from.size()) return std::nullopt;
    const size_t shift = bounds->size() - from.size();
    for (size_t i = 0; i < from.size(); ++i) {
      (*bounds)[shift + i] = greater_of((*bounds)[shift + i], from[i]);
    }
    return bounds;
  }

  std::optional<Bounds> range(const Node& node) const {
    const auto start = ints(node, 0), delta = ints(node, 2);
    const auto limit = elements(node, 1);
    if (!start || !delta || !limit || limit->size() != 1) return std::nullopt;
    if ((*start)[0] != 0 || (*delta)[0] != 1 || !(*limit)[0]) return std::nullopt;
    return Bounds{std::max<int64_t>(*(*limit)[0], 0)};
  }

  std::optional<Bounds> rows_of_product(const Node& node) const {
    const Bounds& a = extents(node, 0);
    if (a.empty() || extents(node, 1).size() != 2) return std::nullopt;
    if (node.op == Op::gemm && node.view().i64("transA") != 0) return std::nullopt;
    Bounds bounds(static_cast<size_t>(graph_.type(node.results[0]).rank()));
    for (size_t i = 0; i + 1 < bounds.size() && i + 1 < a.size(); ++i) bounds[i] = a[i];
    return bounds;
  }

  // ---- elements

  std::optional<Bounds> elements_of(const Node& node) const {
    switch (node.op) {
      case Op::constant: {
        const Tensor* tensor = module_.constant_of(graph_, node.results[0]);
        if (tensor == nullptr || tensor->num_elements() > kMostElements) return std::nullopt;
        Bounds bounds;
        for (int64_t number : tensor->to_ints()) bounds.emplace_back(number);
        return bounds;
      }
      case Op::shape: {
        const Bounds& all = extents(node, 0);
        const auto rank = static_cast<int64_t>(all.size());
        const auto clamped = [&](int64_t i) {
          return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank);
        };
        const int64_t begin = clamped(node.view().i64("start"));
        const int64_t end = node.view().has("end") ? clamped(node.view().i64("end")) : rank;
        if (begin >= end) return Bounds{};
        return Bounds(all.begin() + begin, all.begin() + end);
      }
      case Op::identity:
      case Op::reshape:
      case Op::squeeze:
      case Op::unsqueeze:
        return elements(node, 0);
      case Op::cast:
        return is_integer(graph_.type(node.operands[0]).dtype) ? elements(node, 0) : std::nullopt;
      case Op::gather:
        return picked(node);
      case Op::slice:
        return run_of(node);
      case Op::concat: {
        Bounds bounds;
        for (size_t i = 0; i < node.operands.size(); ++i) {
          const auto more = elements(node, i);
          if (!more) return std::nullopt;
          bounds.insert(bounds.end(), more->begin(), more->end());
        }
        return bounds;
      }
      case Op::min:
        return least(node);
      default:
        return std::nullopt;
    }
  }

  std::optional<Bounds> picked(const Node& node) const {
    const auto from = elements(node, 0);
    const auto indices = ints(node, 1);
    if (!from || !indices) return std::nullopt;
    Bounds bounds;
    for (int64_t index : *indices) {
      const auto at = axis_of(index, from->size());
      if (!at) return std::nullopt;
      bounds.push_back((*from)[*at]);
    }
    return bounds;
  }

  std::optional<Bounds> run_of(const Node& node) const {
    const auto from = elements(node, 0);
    const auto starts = ints(node, 1), ends = ints(node, 2), steps = ints(node, 4);
    if (!from || !starts || !ends || starts->size() != 1 || ends->size() != 1) return std::nullopt;
    if (node.has_operand(4) && (!steps || steps->size() != 1 || (*steps)[0] != 1)) {
      return std::nullopt;
    }
    const auto size = static_cast<int64_t>(from->size());
    const auto clamped = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
    };
    const int64_t begin = clamped((*starts)[0]), end = clamped((*ends)[0]);
    if (begin >= end) return Bounds{};
    return Bounds(from->begin() + begin, from->begin() + end);
  }

  // One number each, or lists of the same length.
  std::optional<Bounds> least(const Node& node) const {
    Bounds bounds;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const auto more = elements(node, i);
      if (!more || (i > 0 && more->size() != bounds.size())) return std::nullopt;
      if (i == 0) bounds = *more;
      for (size_t j = 0; j < bounds.size(); ++j) bounds[j] = less_of(bounds[j], (*more)[j]);
    }
    return bounds;
  }

  const Module& module_;
  const Graph& graph_;
  std::map<ValueId, Facts> facts_;
};

ExtentBounds::ExtentBounds(const Module& module, const Graph& graph)
    : facts_(Walk(module, graph, {}).run()) {}

std::optional<int64_t> ExtentBounds::extent(ValueId value, size_t axis) const {
  const auto it = facts_.find(value);
  if (it == facts_.end() || axis >= it->second.extents.size()) return std::nullopt;
  return it->second.extents[axis];
}

}  // namespace neuronc
