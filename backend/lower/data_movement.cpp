// Default lowerings of operators that copy elements: each maps an index of its result to one of an
// operand. Lanes stay together where the map keeps them evenly spaced; otherwise each lane is
// fetched by itself.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/view.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::GuardRange;
using kernel::Index;
using kernel::Values;

// The index of operand 0 behind lane 0 of `at`, and its steps; false where lanes would not be
// evenly spaced (never for a scalar).
using MapFn = bool (*)(GroupEmitter&, const Node&, size_t result, const LaneIndex& at,
                       LaneIndex& from);

template <MapFn kMap>
Register move(GroupEmitter& e, const Node& node, size_t result, const LaneIndex& at) {
  const size_t rank = e.shape(node.operands[0]).size();
  const auto pull = [&](const LaneIndex& to, bool& is_even) {
    LaneIndex from =
        to.with_dims(std::vector<Index>(rank, Index(0)), std::vector<int64_t>(rank, 0));
    is_even = kMap(e, node, result, to, from);
    return is_even ? e.pull(node.operands[0], from) : Register();
  };
  bool is_even = true;
  const Register together = pull(at, is_even);
  if (is_even) return together;
  return by_lanes(e, at, carrier_of(e.type(node.results[result]).dtype),
                  [&](const LaneIndex& one) { return pull(one, is_even); });
}

bool map_identity(GroupEmitter&, const Node&, size_t, const LaneIndex& at, LaneIndex& from) {
  from = at;
  return true;
}

// Splits the linear index of some result dims over the operand dims [begin, end).
bool split_linear(const std::vector<int64_t>& extents, size_t begin, size_t end, Index linear,
                  int64_t step, int active, LaneIndex& from) {
  for (size_t d = end; d-- > begin;) {
    const int64_t extent = extents[d];
    if (extent == 1) continue;
    const bool is_outermost = std::all_of(extents.begin() + static_cast<std::ptrdiff_t>(begin),
                                          extents.begin() + static_cast<std::ptrdiff_t>(d),
                                          [](int64_t outer) { return outer == 1; });
    if (is_outermost) {
      from.dims[d] = linear;
      from.steps[d] = step;
      return true;
    }
    from.dims[d] = kernel::mod(linear, extent);
    linear = kernel::floor_div(linear, extent);
    if (step % extent == 0) {
      step /= extent;
    } else if (is_within(from.dims[d], step * (active - 1), extent)) {
      from.steps[d] = step;
      step = 0;
    } else {
      return false;
    }
  }
  return true;
}

// Dims of both shapes are matched in runs of equal products, so that most need no division.
bool map_reshape(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at, LaneIndex& from) {
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  size_t i = 0, j = 0;
  while (i < x.size() && j < y.size()) {
    size_t end_i = i + 1, end_j = j + 1;
    int64_t product_i = x[i], product_j = y[j];
    while (product_i != product_j) {
      if (product_i < product_j) {
        product_i *= x[end_i++];
      } else {
        product_j *= y[end_j++];
      }
    }
    Index linear = 0;
    int64_t step = 0, stride = 1;
    for (size_t d = end_j; d-- > j;) {
      linear += at.dims[d] * Index(stride);
      step += at.steps[d] * stride;
      stride *= y[d];
    }
    if (!split_linear(x, i, end_i, linear, step, at.active, from)) return false;
    i = end_i;
    j = end_j;
  }
  return true;  // what is left of either shape has the extent 1
}

bool map_transpose(GroupEmitter&, const Node& node, size_t, const LaneIndex& at, LaneIndex& from) {
  const std::vector<int64_t>& perm = node.view().ints("perm");
  const size_t rank = at.dims.size();
  for (size_t d = 0; d < rank; ++d) {
    const size_t source = perm.empty() ? rank - 1 - d : static_cast<size_t>(perm[d]);
    from.dims[source] = at.dims[d];
    from.steps[source] = at.steps[d];
  }
  return true;
}

bool map_slice(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at, LaneIndex& from) {
  const auto dims = slice_dims(e.module(), e.body(), e.producer(node.results[0]));
  for (size_t d = 0; d < at.dims.size(); ++d) {
    // With one element the step is never taken.
    const bool is_taken = e.shape(node.results[0])[d] > 1;
    from.dims[d] = Index((*dims)[d].start) + (is_taken ? at.dims[d] * Index((*dims)[d].step) : 0);
    from.steps[d] = at.steps[d] * (is_taken ? (*dims)[d].step : 0);
  }
  return true;
}

OrRefusal<void> accepts_slice(const Module& module, const Graph& graph, const Node& node) {
  const NodeId id = graph.producer(node.results[0]);
  if (!slice_dims(module, graph, id)) return refuse("what it selects is not constant");
  for (size_t i = 1; i < node.operands.size(); ++i) {
    const Tensor* tensor = node.operands[i] ? module.constant_of(graph, node.operands[i]) : nullptr;
    // Fusion keeps no larger list inside the group, where the lowering reads it.
    if (tensor != nullptr && tensor->num_elements() > 64) return refuse("it has too many axes");
  }
  return {};
}

bool map_split(GroupEmitter& e, const Node& node, size_t result, const LaneIndex& at,
               LaneIndex& from) {
  from = at;
  const size_t axis = resolve_axis(node.view().i64("axis"), at.dims.size());
  int64_t begin = 0;
  for (size_t i = 0; i < result; ++i) begin += e.shape(node.results[i])[axis];
  from.dims[axis] += Index(begin);
  return true;
}

bool map_tile(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at, LaneIndex& from) {
  const std::vector<int64_t> extents = e.shape(node.operands[0]);
  for (size_t d = 0; d < extents.size(); ++d) {
    from.dims[d] = kernel::mod(at.dims[d], extents[d]);
    if (at.steps[d] % extents[d] == 0) continue;
    if (!is_within(from.dims[d], lane_reach(at, d), extents[d])) return false;
    from.steps[d] = at.steps[d];
  }
  return true;
}

bool map_depth_to_space(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at,
                        LaneIndex& from) {
  const int64_t block = node.view().i64("blocksize");
  const bool is_dcr = node.view().string("mode") == "DCR";
  const int64_t channels = e.shape(node.results[0])[1];
  const Index in_block =
      kernel::mod(at.dims[2], block) * Index(block) + kernel::mod(at.dims[3], block);
  from.dims = {at.dims[0],
               is_dcr ? in_block * Index(channels) + at.dims[1]
                      : at.dims[1] * Index(block * block) + in_block,
               kernel::floor_div(at.dims[2], block), kernel::floor_div(at.dims[3], block)};
  from.steps = {at.steps[0], is_dcr ? at.steps[1] : at.steps[1] * block * block,
                at.steps[2] / block, at.steps[3] / block};
  return at.is_scalar() || (at.steps[2] % block == 0 && at.steps[3] % block == 0);
}

bool map_space_to_depth(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at,
                        LaneIndex& from) {
  const int64_t block = node.view().i64("blocksize");
  const int64_t channels = e.shape(node.operands[0])[1];
  const Index in_block = kernel::floor_div(at.dims[1], channels);
  from.dims = {at.dims[0], kernel::mod(at.dims[1], channels),
               at.dims[2] * Index(block) + kernel::floor_div(in_block, block),
               at.dims[3] * Index(block) + kernel::mod(in_block, block)};
  from.steps = {at.steps[0], at.steps[1], at.steps[2] * block, at.steps[3] * block};
  return at.is_scalar() || at.steps[1] == 0 || is_within(from.dims[1], lane_reach(at, 1), channels);
}

Register emit_expand(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return e.pull_broadcast(node.operands[0], at);
}

// ---- concat: the parts are tried in order; lanes that straddle two are fetched one by one.

struct Part {
  ValueId value;
  int64_t begin = 0, end = 0;
};

Register pull_part(GroupEmitter& e, const std::vector<Part>& parts, size_t first, size_t axis,
                   const LaneIndex& at) {
  const int64_t reach = lane_reach(at, axis);
  const Part& part = parts[first];
  const auto pull = [&] {
    LaneIndex from = at;
    from.dims[axis] -= Index(part.begin);
    return e.pull(part.value, from);
  };
  if (is_within(at.dims[axis] - Index(part.begin), reach, part.end - part.begin) ||
      (at.is_scalar() && first + 1 == parts.size())) {
    return pull();
  }
  const auto otherwise = [&]() -> Values {
    if (first + 1 < parts.size()) return {pull_part(e, parts, first + 1, axis, at)};
    return {by_lanes(e, at, carrier_of(e.type(part.value).dtype),
                     [&](const LaneIndex& one) { return pull_part(e, parts, 0, axis, one); })};
  };
  return e.choose(
      {guard_between(at.dims[axis], reach, part.begin, part.end)}, [&] { return Values{pull()}; },
      otherwise)[0];
}

Register emit_concat(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const size_t axis = resolve_axis(node.view().i64("axis"), at.dims.size());
  std::vector<Part> parts;
  int64_t begin = 0;
  for (ValueId operand : node.operands) {
    const int64_t extent = e.shape(operand)[axis];
    if (extent > 0) parts.push_back({operand, begin, begin + extent});
    begin += extent;
  }
  return pull_part(e, parts, 0, axis, at);
}

// ---- pad

struct Padding {
  std::vector<int64_t> begins;
  std::vector<size_t> dims;  // those whose index is not copied as it is
};

Padding padding_of(GroupEmitter& e, const Node& node) {
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  const std::vector<int64_t> pads = e.constant_of(node.operands[1])->to_ints();
  Padding padding{std::vector<int64_t>(x.size(), 0), {}};
  const size_t count = pads.size() / 2;
  for (size_t i = 0; i < count; ++i) {
    const int64_t axis = node.has_operand(3)
                             ? e.constant_of(node.operands[3])->i64(static_cast<int64_t>(i))
                             : static_cast<int64_t>(i);
    padding.begins[resolve_axis(axis, x.size())] = pads[i];
  }
  for (size_t d = 0; d < x.size(); ++d) {
    if (padding.begins[d] > 0 || padding.begins[d] + x[d] < y[d]) padding.dims.push_back(d);
  }
  return padding;
}

Index padded_source(const Index& at, int64_t extent, const std::string& mode) {
  if (extent == 1) return 0;
  if (mode == "edge") return kernel::min(kernel::max(at, 0), extent - 1);
  if (mode == "wrap") return kernel::mod(at, extent);
  const int64_t period = 2 * (extent - 1);
  const Index phase = kernel::mod(at, period);
  // The last minimum changes nothing; it states the bound.
  return kernel::min(kernel::min(phase, Index(period) - phase), extent - 1);
}

// x at `at`, mapped as `padding` says; where that lies outside, as `mode` says.
Register padded(GroupEmitter& e, ValueId value, const Padding& padding, const std::string& mode,
                const std::function<Register(int lanes)>& fill, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(value);
  LaneIndex from = at;
  for (size_t d = 0; d < x.size(); ++d) from.dims[d] -= Index(padding.begins[d]);
  std::vector<GuardRange> inside;
  bool lanes_vary = false;
  for (size_t d : padding.dims) {
    if (is_within(from.dims[d], lane_reach(at, d), x[d])) continue;
    lanes_vary |= at.varies(d);
    inside.push_back(guard_between(from.dims[d], lane_reach(at, d), 0, x[d]));
  }
  if (inside.empty()) return e.pull(value, from);
  const auto outside = [&]() -> Values {
    if (lanes_vary) {
      return {by_lanes(e, at, carrier_of(e.type(value).dtype), [&](const LaneIndex& one) {
        return padded(e, value, padding, mode, fill, one);
      })};
    }
    if (mode == "constant") return {fill(at.lanes)};
    LaneIndex mapped = from;
    for (size_t d : padding.dims) {
      if (!at.varies(d)) mapped.dims[d] = padded_source(from.dims[d], x[d], mode);
    }
    return {e.pull(value, mapped)};
  };
  // The last resort of repeating modes needs no guard: the mapped index is always inside.
  if (mode != "constant" && !lanes_vary) return outside()[0];
  if (num_elements(x) == 0) return fill(at.lanes);
  return e.choose(inside, [&] { return Values{e.pull(value, from)}; }, outside)[0];
}

Register emit_pad(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const auto fill = [&](int lanes) -> Register {
    const bool has_fill = node.has_operand(2) && e.type(node.operands[2]).num_elements() > 0;
    if (!has_fill) return b.zero({carrier_of(e.type(node.results[0]).dtype), lanes});
    const LaneIndex one = origin(e.shape(node.operands[2]).size());
    return b.splat(e.pull(node.operands[2], one), lanes);
  };
  return padded(e, node.operands[0], padding_of(e, node), node.view().string("mode"), fill, at);
}

// An odd rest goes to the end, of what is cut as of what is added.
Register emit_center_crop_pad(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  Padding padding;
  for (size_t d = 0; d < x.size(); ++d) {
    const int64_t rest = x[d] - y[d];
    padding.begins.push_back(rest >= 0 ? -(rest / 2) : -rest / 2);
    if (rest < 0) padding.dims.push_back(d);
  }
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  const auto zero = [&](int lanes) { return e.builder().zero({carrier, lanes}); };
  return padded(e, node.operands[0], padding, "constant", zero, at);
}

OrRefusal<void> accepts_pad(const Module& module, const Graph& graph, const Node& node) {
  const auto is_small_constant = [&](size_t i) {
    if (!node.has_operand(i)) return true;
    const Tensor* tensor = module.constant_of(graph, node.operands[i]);
    return tensor != nullptr && tensor->num_elements() <= 64;
  };
  if (!is_small_constant(1) || !is_small_constant(3)) return refuse("its padding is not constant");
  return {};
}

// ---- shape and size: what folding leaves, where it is not asked to

Register emit_shape(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const auto rank = static_cast<int64_t>(x.size());
  const int64_t start = node.view().i64("start");
  const int64_t begin = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
  const std::vector<int64_t> extents(x.begin() + begin,
                                     x.begin() + begin + e.shape(node.results[0])[0]);
  const std::string name = "shape" + std::to_string(node.results[0].index);
  const kernel::BufferId table = e.table(name, [&] { return Tensor::ints(extents); });
  return by_lanes(e, at, DType::i64,
                  [&](const LaneIndex& one) { return e.builder().load(table, one.dims); });
}

Register emit_size(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return e.builder().i64(e.type(node.operands[0]).num_elements(), at.lanes);
}

// ---- trilu and fills

Register emit_trilu(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const size_t rank = at.dims.size();
  const Register x = e.pull(node.operands[0], at);
  const bool has_k = node.has_operand(1) && e.type(node.operands[1]).num_elements() > 0;
  Register k = b.i64(0);
  if (has_k) k = e.pull(node.operands[1], origin(e.shape(node.operands[1]).size()));
  const Register diagonal = lane_positions(e, at.dims[rank - 1] - at.dims[rank - 2],
                                           at.steps[rank - 1] - at.steps[rank - 2], at.lanes);
  k = b.splat(k, at.lanes);
  const Register is_kept = node.view().i64("upper") != 0 ? b.ge(diagonal, k) : b.le(diagonal, k);
  return b.select(is_kept, x, b.zero(x.type));
}

Register emit_constant_of_shape(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  if (!node.has_operand(1)) return b.zero({carrier, at.lanes});
  return b.splat(e.pull(node.operands[1], origin(e.shape(node.operands[1]).size())), at.lanes);
}

Register emit_eye_like(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const Register diagonal =
      lane_positions(e, at.dims[1] - at.dims[0], at.steps[1] - at.steps[0], at.lanes);
  const Register is_one = b.eq(diagonal, b.constant_bits(diagonal.type, node.view().i64("k")));
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  return carrier == DType::boolean ? is_one : b.convert(is_one, carrier);
}

// start + i * delta, in f64 for floats, rounded once.
Register emit_range(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const DType wide = is_float(dtype) ? DType::f64 : DType::i64;
  const auto operand = [&](size_t i) {
    const Register value = e.pull(node.operands[i], origin(e.shape(node.operands[i]).size()));
    return b.splat(b.convert(value, wide), at.lanes);
  };
  const Register i = b.convert(lane_positions(e, at.dims[0], at.steps[0], at.lanes), wide);
  const Register value = b.add(operand(0), b.mul(i, operand(2)));
  return is_float(dtype) ? from_f64(b, value, dtype) : b.convert(value, dtype);
}

}  // namespace

void add_data_movement_lowerings(LoweringTable& t) {
  row(t, Op::identity) = {move<map_identity>};
  row(t, Op::reorder) = {move<map_identity>};
  row(t, Op::reshape) = {move<map_reshape>};
  row(t, Op::squeeze) = {move<map_reshape>};
  row(t, Op::unsqueeze) = {move<map_reshape>};
  row(t, Op::transpose) = {move<map_transpose>};
  row(t, Op::slice) = {move<map_slice>, nullptr, nullptr, accepts_slice};
  row(t, Op::split) = {move<map_split>};
  row(t, Op::expand) = {emit_expand};
  row(t, Op::tile) = {move<map_tile>};
  row(t, Op::concat) = {emit_concat};
  row(t, Op::pad) = {emit_pad, nullptr, nullptr, accepts_pad};
  row(t, Op::center_crop_pad) = {emit_center_crop_pad};
  row(t, Op::shape) = {emit_shape};
  row(t, Op::size) = {emit_size};
  row(t, Op::trilu) = {emit_trilu};
  row(t, Op::constant_of_shape) = {emit_constant_of_shape};
  row(t, Op::eye_like) = {emit_eye_like};
  row(t, Op::range) = {emit_range};
  row(t, Op::depth_to_space) = {move<map_depth_to_space>};
  row(t, Op::space_to_depth) = {move<map_space_to_depth>};
}

}  // namespace neuronc
