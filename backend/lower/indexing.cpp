// Default lowerings of operators that read or write where an index tensor says, and of running
// sums. Every index from data is checked: one out of range ends the request with a status.
#include <algorithm>

#include "backend/lower/default_nest.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/reduce.h"
#include "ir/ops/window.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

// A scalar index into `extent` elements; negative ones count from the end.
Index index_from(GroupEmitter& e, Register index, int64_t extent) {
  Builder& b = e.builder();
  const Register wide = b.convert(index, DType::i64);
  const Register from_end = b.add(wide, b.i64(extent));
  return b.check_index(b.select(b.lt(wide, b.i64(0)), from_end, wide), extent);
}

// ---- gather, gather_elements, gather_nd

Register emit_gather(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), x.size());
  const size_t num_indices = e.shape(node.operands[1]).size();
  for (size_t d = axis; d < axis + num_indices; ++d) {
    if (!at.varies(d)) continue;
    return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                    [&](const LaneIndex& one) { return emit_gather(e, node, 0, one); });
  }
  const auto first = at.dims.begin() + static_cast<std::ptrdiff_t>(axis);
  const auto last = first + static_cast<std::ptrdiff_t>(num_indices);
  const Register index = e.pull(node.operands[1], LaneIndex::scalar({first, last}));
  std::vector<Index> dims(at.dims.begin(), first);
  std::vector<int64_t> steps(at.steps.begin(),
                             at.steps.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.push_back(index_from(e, index, x[axis]));
  steps.push_back(0);
  dims.insert(dims.end(), last, at.dims.end());
  steps.insert(steps.end(), at.steps.begin() + static_cast<std::ptrdiff_t>(axis + num_indices),
               at.steps.end());
  return e.pull(node.operands[0], at.with_dims(std::move(dims), std::move(steps)));
}

Register emit_gather_elements(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), x.size());
  return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype), [&](const LaneIndex& one) {
    LaneIndex from = one;
    from.dims[axis] = index_from(e, e.pull(node.operands[1], one), x[axis]);
    return e.pull(node.operands[0], from);
  });
}

// The coordinates that a tuple of `indices` names in dims [first, first + count) of `shape`.
std::vector<Index> tuple_at(GroupEmitter& e, ValueId indices, std::vector<Index> place,
                            const std::vector<int64_t>& shape, size_t first, int64_t count) {
  std::vector<Index> coordinates;
  place.emplace_back(0);
  for (int64_t i = 0; i < count; ++i) {
    place.back() = Index(i);
    const Register index = e.pull(indices, LaneIndex::scalar(place));
    coordinates.push_back(index_from(e, index, shape[first + static_cast<size_t>(i)]));
  }
  return coordinates;
}

Register emit_gather_nd(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const std::vector<int64_t> indices = e.shape(node.operands[1]);
  const auto batch = static_cast<size_t>(node.view().i64("batch_dims"));
  const size_t lead = indices.size() - 1;
  for (size_t d = 0; d < lead; ++d) {
    if (!at.varies(d)) continue;
    return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                    [&](const LaneIndex& one) { return emit_gather_nd(e, node, 0, one); });
  }
  const auto split = at.dims.begin() + static_cast<std::ptrdiff_t>(lead);
  std::vector<Index> dims(at.dims.begin(), at.dims.begin() + static_cast<std::ptrdiff_t>(batch));
  const std::vector<Index> tuple =
      tuple_at(e, node.operands[1], {at.dims.begin(), split}, x, batch, indices.back());
  dims.insert(dims.end(), tuple.begin(), tuple.end());
  std::vector<int64_t> steps(dims.size(), 0);
  dims.insert(dims.end(), split, at.dims.end());
  steps.insert(steps.end(), at.steps.begin() + static_cast<std::ptrdiff_t>(lead), at.steps.end());
  return e.pull(node.operands[0], at.with_dims(std::move(dims), std::move(steps)));
}

// ---- reverse_sequence

// Within its length an element comes from as far before the end as it stands behind the beginning.
Register emit_reverse_sequence(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const size_t batch = resolve_axis(node.view().i64("batch_axis"), x.size());
  const size_t time = resolve_axis(node.view().i64("time_axis"), x.size());
  if (at.varies(batch) || at.varies(time)) {
    return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                    [&](const LaneIndex& one) { return emit_reverse_sequence(e, node, 0, one); });
  }
  Builder& b = e.builder();
  Register length = e.pull(node.operands[1], LaneIndex::scalar({at.dims[batch]}));
  // A length that is none of the tensor's ends the request.
  length = b.index_value(b.check_index(length, x[time] + 1));
  const Register place = b.index_value(at.dims[time]);
  const Register mirrored = b.sub(b.sub(length, b.i64(1)), place);
  LaneIndex from = at;
  from.dims[time] = b.check_index(b.select(b.lt(place, length), mirrored, place), x[time]);
  return e.pull(node.operands[0], from);
}

// ---- one_hot

Register emit_one_hot(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const size_t axis = resolve_axis(node.view().i64("axis"), at.dims.size());
  const int64_t depth = e.shape(node.results[0])[axis];
  LaneIndex place = at;
  place.dims.erase(place.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  place.steps.erase(place.steps.begin() + static_cast<std::ptrdiff_t>(axis));
  const Register hot = b.convert(e.pull(node.operands[0], place), DType::i64);
  const Register from_end = b.add(hot, b.i64(depth, at.lanes));
  const Register wanted = b.select(b.lt(hot, b.i64(0, at.lanes)), from_end, hot);
  const Register is_hot = b.eq(wanted, lane_positions(e, at.dims[axis], at.steps[axis], at.lanes));
  const auto value = [&](int64_t i) {
    return b.splat(e.pull(node.operands[2], LaneIndex::scalar({Index(i)})), at.lanes);
  };
  return b.select(is_hot, value(1), value(0));
}

// ---- scatter_elements, scatter_nd: a copy of x in a workspace is changed in order, then stored

class Scatter {
 public:
  Scatter(GroupEmitter& e, const Node& node)
      : e_(e),
        b_(e.builder()),
        node_(node),
        shape_(e.shape(node.results[0])),
        carrier_(carrier_of(e.type(node.results[0]).dtype)),
        copy_(e.workspace("copy", carrier_, shape_)) {}

  // Starts with a copy of `value`, or with zeros.
  void begin(ValueId value) {
    emit_nest(e_, nest(shape_), [&](const LaneIndex& at) {
      save(at, value ? e_.pull(value, at) : b_.zero({carrier_, at.lanes}));
    });
  }
  // Writes one element.
  void put(std::vector<Index> dims, Register value) {
    save(LaneIndex::scalar(std::move(dims)), value);
  }

  void update(const LaneIndex& at, Register update) {
    const std::string& reduction = node_.view().string("reduction");
    if (reduction == "none") {
      save(at, update);
      return;
    }
    const ReduceKind kind = reduction == "add"   ? ReduceKind::sum
                            : reduction == "mul" ? ReduceKind::prod
                            : reduction == "max" ? ReduceKind::max
                                                 : ReduceKind::min;
    const Register result = combine(b_, kind, saved(at), update);
    save(at, e_.rounded(result, e_.type(node_.results[0]).dtype));
  }

  void end() {
    emit_nest(e_, nest(shape_), [&](const LaneIndex& at) {
      e_.provide(node_.results[0], at, saved(at));
      e_.store_results(at);
    });
  }

  // All elements of `extents` in one tile, lanes along the last dim.
  NestShape nest(const std::vector<int64_t>& extents) const {
    NestShape nest;
    nest.extents = extents;
    nest.order = Storage::dense(DType::f32, extents).order(extents);
    nest.lanes = extents.empty() ? 1 : e_.vector_lanes(carrier_);
    return nest;
  }

 private:
  int lane_dim() const { return static_cast<int>(shape_.size()) - 1; }
  Register saved(const LaneIndex& at) {
    if (at.is_scalar()) return b_.load(copy_, at.dims);
    if (!is_consecutive(at)) {
      return by_lanes(e_, at, carrier_,
                      [&](const LaneIndex& one) { return b_.load(copy_, one.dims); });
    }
    return b_.load_partial(copy_, at.dims, kernel::Lanes(at.lanes, lane_dim()), Index(at.active));
  }
  void save(const LaneIndex& at, Register value) {
    if (at.is_scalar()) {
      b_.store(copy_, at.dims, value);
    } else if (is_consecutive(at)) {
      b_.store_partial(copy_, at.dims, value, Index(at.active), lane_dim());
    } else {
      for (int lane = 0; lane < at.active; ++lane) {
        b_.store(copy_, at.lane(lane).dims, b_.extract(value, lane));
      }
    }
  }
  // Lanes along a dim that is not the last happen where the last has one element.
  bool is_consecutive(const LaneIndex& at) const { return at.steps.back() == 1; }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  std::vector<int64_t> shape_;
  DType carrier_;
  kernel::BufferId copy_;
};

// Calls `body` for every index of `extents`, in row-major order.
void each_index(GroupEmitter& e, const std::vector<int64_t>& extents, std::vector<Index> at,
                const std::function<void(const std::vector<Index>&)>& body) {
  if (at.size() == extents.size()) {
    body(at);
    return;
  }
  e.loop({0, extents[at.size()], 1}, [&](Index i) {
    std::vector<Index> next = at;
    next.push_back(i);
    each_index(e, extents, std::move(next), body);
  });
}

int64_t one_tile(const Graph&, const Node&) { return 1; }

void nest_scatter_elements(GroupEmitter& e, const Node& node) {
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  if (num_elements(shape) == 0) return;
  const size_t axis = resolve_axis(node.view().i64("axis"), shape.size());
  Scatter scatter(e, node);
  scatter.begin(node.operands[0]);
  each_index(e, e.shape(node.operands[1]), {}, [&](const std::vector<Index>& at) {
    const LaneIndex one = LaneIndex::scalar(at);
    LaneIndex to = one;
    to.dims[axis] = index_from(e, e.pull(node.operands[1], one), shape[axis]);
    scatter.update(to, e.pull(node.operands[2], one));
  });
  scatter.end();
}

void nest_scatter_nd(GroupEmitter& e, const Node& node) {
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  if (num_elements(shape) == 0) return;
  const std::vector<int64_t> indices = e.shape(node.operands[1]);
  const int64_t count = indices.back();
  Scatter scatter(e, node);
  scatter.begin(node.operands[0]);
  const std::vector<int64_t> slice(shape.begin() + count, shape.end());
  each_index(e, {indices.begin(), indices.end() - 1}, {}, [&](const std::vector<Index>& place) {
    const std::vector<Index> tuple = tuple_at(e, node.operands[1], place, shape, 0, count);
    emit_nest(e, scatter.nest(slice), [&](const LaneIndex& inner) {
      const auto behind = [&](std::vector<Index> dims) {
        std::vector<int64_t> steps(dims.size(), 0);
        dims.insert(dims.end(), inner.dims.begin(), inner.dims.end());
        steps.insert(steps.end(), inner.steps.begin(), inner.steps.end());
        return inner.with_dims(std::move(dims), std::move(steps));
      };
      scatter.update(behind(tuple), e.pull(node.operands[2], behind(place)));
    });
  });
  scatter.end();
}

// ---- max_unpool: indices count in what was pooled, which `output_shape` may have enlarged

void nest_max_unpool(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  if (num_elements(y) == 0) return;
  const Window window = *window_of(node.view(), node.view().ints("kernel_shape"));
  std::vector<int64_t> pooled = x;
  for (size_t i = 0; i < window.rank(); ++i) {
    pooled[i + 2] = (x[i + 2] - 1) * window.strides[i] + window.kernel[i] - window.pads_begin[i] -
                    window.pads_end[i];
  }
  const std::vector<int64_t> strides = row_major_strides(pooled);
  Scatter scatter(e, node);
  scatter.begin(ValueId());
  each_index(e, x, {}, [&](const std::vector<Index>& at) {
    const LaneIndex one = LaneIndex::scalar(at);
    const Index index = b.check_index(e.pull(node.operands[1], one), num_elements(pooled));
    std::vector<Index> to;
    for (size_t d = 0; d < pooled.size(); ++d) {
      to.push_back(kernel::mod(kernel::floor_div(index, strides[d]), pooled[d]));
      if (pooled[d] > y[d]) to[d] = b.check_index(b.index_value(to[d]), y[d]);
    }
    scatter.put(to, e.pull(node.operands[0], one));
  });
  scatter.end();
}

OrRefusal<void> accepts_max_unpool(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).num_elements() == 0) return refuse("its operand is empty");
  return {};
}

OrRefusal<void> accepts_scatter(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).rank() == 0) return refuse("its operand is a scalar");
  if (node.op == Op::scatter_elements && node.view().i64("expands_indices") != 0) {
    return refuse("its indices are expanded");
  }
  return {};
}

// ---- cum_sum, cum_prod: a running value along the axis, lanes along another dim

template <ReduceKind kKind>
void nest_cumulative(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(e.constant_of(node.operands[1])->i64(0), shape.size());
  const bool is_exclusive = node.view().i64("exclusive") != 0;
  const bool is_reverse = node.view().i64("reverse") != 0;
  const DType dtype = e.type(node.results[0]).dtype;
  const DType carrier = carrier_of(dtype);
  NestShape nest;
  nest.extents = shape;
  nest.extents[axis] = 1;
  nest.order = Storage::dense(DType::f32, nest.extents).order(nest.extents);
  nest.lanes = e.vector_lanes(carrier);
  emit_nest(e, nest, [&](const LaneIndex& line) {
    const Values initial{neutral(b, kKind, {carrier, line.lanes})};
    e.loop({0, shape[axis], 1}, initial, [&](Index i, std::span<const Register> carried) {
      LaneIndex at = line;
      at.dims[axis] = is_reverse ? Index(shape[axis] - 1) - i : i;
      const Register before = carried[0];
      const Register total = combine(b, kKind, before, e.pull(node.operands[0], at));
      e.provide(node.results[0], at, e.rounded(is_exclusive ? before : total, dtype));
      e.store_results(at);
      return Values{total};
    });
  });
}

OrRefusal<void> accepts_cumulative(const Module& module, const Graph& graph, const Node& node) {
  const Tensor* axis = module.constant_of(graph, node.operands[1]);
  if (axis == nullptr || axis->num_elements() != 1) return refuse("its axis is not constant");
  if (graph.type(node.operands[0]).rank() == 0) return refuse("its operand is a scalar");
  return {};
}

}  // namespace

void add_indexing_lowerings(LoweringTable& t) {
  row(t, Op::gather) = {emit_gather};
  row(t, Op::gather_elements) = {emit_gather_elements};
  row(t, Op::gather_nd) = {emit_gather_nd};
  row(t, Op::reverse_sequence) = {emit_reverse_sequence};
  row(t, Op::one_hot) = {emit_one_hot};
  row(t, Op::scatter_elements) = {nullptr, nest_scatter_elements, one_tile, accepts_scatter};
  row(t, Op::scatter_nd) = {nullptr, nest_scatter_nd, one_tile, accepts_scatter};
  row(t, Op::max_unpool) = {nullptr, nest_max_unpool, one_tile, accepts_max_unpool};
  row(t, Op::cum_sum) = {nullptr, nest_cumulative<ReduceKind::sum>, one_tile, accepts_cumulative};
  row(t, Op::cum_prod) = {nullptr, nest_cumulative<ReduceKind::prod>, one_tile, accepts_cumulative};
}

}  // namespace neuronc
