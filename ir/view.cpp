// Implements view.h.
#include "ir/view.h"

#include <algorithm>

namespace neuronc {

std::optional<std::vector<int64_t>> reshape_strides(const std::vector<int64_t>& from,
                                                    const std::vector<int64_t>& strides,
                                                    const std::vector<int64_t>& to) {
  // Groups of dims of equal product are matched from the left; inside a group the memory must be
  // evenly strided.
  std::vector<int64_t> extents, steps;
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d] == 0) return row_major_strides(to);
    if (from[d] == 1) continue;
    extents.push_back(from[d]);
    steps.push_back(strides[d]);
  }
  std::vector<int64_t> result(to.size(), 0);
  size_t i = 0;
  size_t j = 0;
  while (i < extents.size() && j < to.size()) {
    size_t end_i = i + 1;
    size_t end_j = j + 1;
    int64_t product_i = extents[i];
    int64_t product_j = to[j];
    while (product_i != product_j) {
      if (product_i < product_j) {
        if (end_i == extents.size()) return std::nullopt;
        product_i *= extents[end_i++];
      } else {
        if (end_j == to.size()) return std::nullopt;
        product_j *= to[end_j++];
      }
    }
    for (size_t k = i; k + 1 < end_i; ++k) {
      if (steps[k] != extents[k + 1] * steps[k + 1]) return std::nullopt;
    }
    int64_t step = steps[end_i - 1];
    for (size_t k = end_j; k-- > j;) {
      result[k] = step;
      step *= to[k];
    }
    i = end_i;
    j = end_j;
  }
  for (; j < to.size(); ++j) {
    if (to[j] != 1) return std::nullopt;
    result[j] = 1;
  }
  return i == extents.size() ? std::optional(result) : std::nullopt;
}

std::optional<std::vector<SliceDim>> slice_dims(const Module& module, const Graph& graph,
                                                NodeId id) {
  const Node& node = graph.node(id);
  const std::vector<int64_t> shape = graph.type(node.operands[0]).shape();
  const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
    if (!node.has_operand(i)) return std::vector<int64_t>();
    const Tensor* tensor = module.constant_of(graph, node.operands[i]);
    if (tensor == nullptr) return std::nullopt;
    return tensor->to_ints();
  };
  const auto starts = ints(1), axes = ints(3), steps = ints(4);
  if (!starts || !axes || !steps) return std::nullopt;
  std::vector<SliceDim> dims(shape.size());
  for (size_t i = 0; i < starts->size(); ++i) {
    const auto rank = static_cast<int64_t>(shape.size());
    int64_t axis = axes->empty() ? static_cast<int64_t>(i) : (*axes)[i];
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return std::nullopt;
    const int64_t extent = shape[static_cast<size_t>(axis)];
    const int64_t step = steps->empty() ? 1 : (*steps)[i];
    int64_t start = (*starts)[i];
    if (start < 0) start += extent;
    start = step > 0 ? std::clamp<int64_t>(start, 0, extent)
                     : std::clamp<int64_t>(start, 0, std::max<int64_t>(extent - 1, 0));
    dims[static_cast<size_t>(axis)] = {start, step};
  }
  return dims;
}

namespace {

std::optional<Storage> view_of_slice(const Module& module, const Graph& graph, NodeId id,
                                     Storage view) {
  const auto dims = slice_dims(module, graph, id);
  if (!dims) return std::nullopt;
  for (size_t d = 0; d < dims->size(); ++d) {
    // A view walks forward; a reversal is a copy.
    if ((*dims)[d].step < 0) return std::nullopt;
    view.offset += (*dims)[d].start * view.strides[d];
    view.strides[d] *= (*dims)[d].step;
  }
  return view;
}

std::vector<Storage> views_of_split(const Graph& graph, NodeId id, Storage view) {
  const Node& node = graph.node(id);
  const int64_t rank = graph.type(node.operands[0]).rank();
  const auto axis = static_cast<size_t>((node.view().i64("axis") + rank) % rank);
  std::vector<Storage> views;
  for (const ValueId result : node.results) {
    views.push_back(view);
    view.offset += graph.type(result).dims[axis].number() * view.strides[axis];
  }
  return views;
}

Storage view_of_expand(const std::vector<int64_t>& from, const std::vector<int64_t>& to,
                       Storage view) {
  std::vector<int64_t> strides(to.size(), 0);
  const size_t lead = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d) {
    strides[lead + d] = from[d] == to[lead + d] ? view.strides[d] : 0;
  }
  view.strides = std::move(strides);
  return view;
}

Storage view_of_transpose(const Node& node, Storage view) {
  const std::vector<int64_t> from = view.strides;
  const std::vector<int64_t>& perm = node.view().ints("perm");
  for (size_t d = 0; d < from.size(); ++d) {
    const size_t source = perm.empty() ? from.size() - 1 - d : static_cast<size_t>(perm[d]);
    view.strides[d] = from[source];
  }
  return view;
}

// Of a node with one result.
std::optional<Storage> view_of(const Module& module, const Graph& graph, NodeId id, Storage view) {
  const Node& node = graph.node(id);
  const std::vector<int64_t> from = graph.type(node.operands[0]).shape();
  const std::vector<int64_t> to = graph.type(node.results[0]).shape();
  switch (node.op) {
    case Op::identity:
      return view;
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze: {
      auto strides = reshape_strides(from, view.strides, to);
      if (!strides) return std::nullopt;
      view.strides = std::move(*strides);
      return view;
    }
    case Op::transpose:
      return view_of_transpose(node, std::move(view));
    case Op::slice:
      return view_of_slice(module, graph, id, std::move(view));
    case Op::expand:
      // Numpy broadcasting may also keep a larger operand.
      return to.size() < from.size() ? std::nullopt
                                     : std::optional(view_of_expand(from, to, std::move(view)));
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::vector<Storage>> views_of(const Module& module, const Graph& graph, NodeId id,
                                             const Storage& storage) {
  if (!storage || storage.blocked_dim >= 0) return std::nullopt;
  Storage view = storage;
  view.num_elements = 0;
  if (graph.node(id).op == Op::split) return views_of_split(graph, id, std::move(view));
  auto only = view_of(module, graph, id, std::move(view));
  if (!only) return std::nullopt;
  return std::vector{std::move(*only)};
}

}  // namespace neuronc
