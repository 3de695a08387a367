// Plain lowerings of conv, conv_transpose and col2im: correct for every rank, group, dilation and
// type; the fast forms are variants (backend/variants/convolution/).
#include "backend/lower/contraction.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/windows.h"
#include "ir/base/check.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::GuardRange;
using kernel::Index;
using kernel::Values;

Window window_of_weights(GroupEmitter& e, const Node& node, ValueId weights) {
  const std::vector<int64_t> w = e.shape(weights);
  auto window = window_of(node.view(), {w.begin() + 2, w.end()});
  NEURONC_CHECK(window.has_value());
  return *window;
}

Register with_bias(GroupEmitter& e, const Node& node, const LaneIndex& at, Register sum) {
  if (node.has_operand(2)) {
    const LaneIndex channel = at.with_dims({at.dims[1]}, {at.steps[1]});
    sum = e.builder().add(sum, e.pull(node.operands[2], channel));
  }
  return e.rounded(sum, e.type(node.results[0]).dtype);
}

// ---- conv

Register sum_taps(GroupEmitter& e, const Node& node, const Terms& terms, const WindowWalk& walk,
                  const LaneIndex& at, bool is_border) {
  const std::vector<int64_t> w = e.shape(terms.b);
  const int64_t group_outputs = w[0] / node.view().i64("group");
  const int64_t group_inputs = w[1];
  const Index group = kernel::floor_div(at.dims[1], group_outputs);
  // Lanes along channels lie in one group, or are depthwise: one channel a group.
  const int64_t group_step = group_outputs == 1 ? at.steps[1] : 0;
  const auto body = [&](const Tap& tap, std::span<const Register> sum) {
    return e.loop({0, group_inputs, 1}, Values(sum.begin(), sum.end()),
                  [&](Index c, std::span<const Register> carried) {
                    LaneIndex from = at, weight = at;
                    from.dims[1] = group * Index(group_inputs) + c;
                    from.steps[1] = group_step * group_inputs;
                    weight.dims[0] = at.dims[1];
                    weight.steps[0] = at.steps[1];
                    weight.dims[1] = c;
                    weight.steps[1] = 0;
                    for (size_t d = 2; d < w.size(); ++d) {
                      from.dims[d] = tap.position[d - 2];
                      from.steps[d] = walk.steps()[d - 2];
                      weight.dims[d] = tap.offset[d - 2];
                      weight.steps[d] = 0;
                    }
                    return Values{terms.add(from, weight, carried[0])};
                  });
  };
  const Values zero{e.builder().zero({terms.carrier, at.lanes})};
  return (is_border ? walk.fold_border(zero, body) : walk.fold_interior(zero, body))[0];
}

}  // namespace

Register sum_windows(GroupEmitter& e, const Node& node, const Terms& terms, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(terms.a), w = e.shape(terms.b);
  const auto one_lane = [&](const LaneIndex& one) { return sum_windows(e, node, terms, one); };
  const int64_t groups = node.view().i64("group");
  if (at.varies(1) && groups > 1 && w[0] != groups) return by_lanes(e, at, terms.carrier, one_lane);
  const WindowWalk walk(e, window_of_weights(e, node, terms.b), {x.begin() + 2, x.end()}, at);
  return choose_window(
      e, walk, at, terms.carrier, [&] { return sum_taps(e, node, terms, walk, at, false); },
      [&] { return sum_taps(e, node, terms, walk, at, true); }, one_lane);
}

namespace {

Register emit_conv(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const auto add = [&](const LaneIndex& a_at, const LaneIndex& b_at, Register sum) {
    return e.builder().fma(e.pull(node.operands[0], a_at), e.pull(node.operands[1], b_at), sum);
  };
  const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
  return with_bias(e, node, at,
                   sum_windows(e, node, {node.operands[0], node.operands[1], carrier, add}, at));
}

// ---- conv_transpose: each result gathers the input pixels whose windows cover it

struct Gathering {
  GroupEmitter& e;
  const Node& node;
  Window window;
  std::vector<int64_t> x, w;
  LaneIndex at;  // lanes along channels or images only

  Register run() {
    Builder& b = e.builder();
    return taps(0, b.zero({carrier_of(e.type(node.operands[0]).dtype), at.lanes}),
                std::vector<Index>(window.rank()), std::vector<Index>(window.rank()));
  }

  // Tap r of an axis is read by input pixel (q + pad - r * dilation) / stride, if there is one.
  Register taps(size_t axis, Register sum, std::vector<Index> offsets,
                std::vector<Index> positions) {
    if (axis == window.rank()) return channels(sum, offsets, positions);
    const int64_t stride = window.strides[axis];
    return e.loop({0, window.kernel[axis], 1}, Values{sum},
                  [&](Index r, std::span<const Register> carried) {
                    const Register so_far = carried[0];
                    const Index from = at.dims[axis + 2] + Index(window.pads_begin[axis]) -
                                       r * Index(window.dilations[axis]);
                    const Index position = kernel::floor_div(from, stride);
                    std::vector<GuardRange> guards{{position, 0, x[axis + 2]}};
                    if (stride > 1) guards.push_back({kernel::mod(from, stride), 0, 1});
                    offsets[axis] = r;
                    positions[axis] = position;
                    return e.choose(
                        guards, [&] { return Values{taps(axis + 1, so_far, offsets, positions)}; },
                        [&] { return Values{so_far}; });
                  })[0];
  }

  Register channels(Register sum, const std::vector<Index>& offsets,
                    const std::vector<Index>& positions) {
    Builder& b = e.builder();
    const int64_t group_inputs = x[1] / node.view().i64("group");
    const Index group = kernel::floor_div(at.dims[1], w[1]);
    return e.loop(
        {0, group_inputs, 1}, Values{sum}, [&](Index c, std::span<const Register> carried) {
          LaneIndex from = at, weight = at;
          from.dims[1] = weight.dims[0] = group * Index(group_inputs) + c;
          from.steps[1] = weight.steps[0] = 0;
          weight.dims[1] = kernel::mod(at.dims[1], w[1]);
          weight.steps[1] = at.steps[1];
          for (size_t axis = 0; axis < offsets.size(); ++axis) {
            from.dims[axis + 2] = positions[axis];
            weight.dims[axis + 2] = offsets[axis];
          }
          return Values{
              b.fma(e.pull(node.operands[0], from), e.pull(node.operands[1], weight), carried[0])};
        })[0];
  }
};

Register emit_conv_transpose(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  bool is_spread = at.varies(1) && node.view().i64("group") > 1;
  for (size_t d = 2; d < at.dims.size(); ++d) is_spread |= at.varies(d);
  if (is_spread) {
    return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                    [&](const LaneIndex& one) { return emit_conv_transpose(e, node, 0, one); });
  }
  Gathering gathering{e,
                      node,
                      window_of_weights(e, node, node.operands[1]),
                      e.shape(node.operands[0]),
                      e.shape(node.operands[1]),
                      at};
  return with_bias(e, node, at, gathering.run());
}

// ---- col2im: each pixel gathers the columns' elements that windows took from it

struct Columns {
  GroupEmitter& e;
  const Node& node;
  Window window;
  std::vector<int64_t> positions;  // of the window, per axis
  LaneIndex at;                    // lanes along channels or images only

  // Tap r of an axis took pixel q at position (q + pad - r * dilation) / stride.
  Register taps(size_t axis, Register sum, Index tap, Index place) {
    if (axis == window.rank()) return element(sum, tap, place);
    const int64_t stride = window.strides[axis];
    return e.loop({0, window.kernel[axis], 1}, Values{sum},
                  [&](Index r, std::span<const Register> carried) {
                    const Register so_far = carried[0];
                    const Index from = at.dims[axis + 2] + Index(window.pads_begin[axis]) -
                                       r * Index(window.dilations[axis]);
                    const Index position = kernel::floor_div(from, stride);
                    std::vector<GuardRange> guards{{position, 0, positions[axis]}};
                    if (stride > 1) guards.push_back({kernel::mod(from, stride), 0, 1});
                    const auto inner = [&] {
                      return Values{taps(axis + 1, so_far, tap * Index(window.kernel[axis]) + r,
                                         place * Index(positions[axis]) + position)};
                    };
                    return e.choose(guards, inner, [&] { return Values{so_far}; });
                  })[0];
  }

  Register element(Register sum, Index tap, Index place) {
    const int64_t block = num_elements(window.kernel);
    const LaneIndex from = at.with_dims({at.dims[0], at.dims[1] * Index(block) + tap, place},
                                        {at.steps[0], at.steps[1] * block, 0});
    return e.builder().add(sum, e.pull(node.operands[0], from));
  }
};

Register emit_col2im(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType dtype = e.type(node.results[0]).dtype;
  for (size_t d = 2; d < at.dims.size(); ++d) {
    if (!at.varies(d)) continue;
    return by_lanes(e, at, carrier_of(dtype),
                    [&](const LaneIndex& one) { return emit_col2im(e, node, 0, one); });
  }
  const std::vector<int64_t> y = e.shape(node.results[0]);
  Columns columns{
      e, node, *window_of(node.view(), e.constant_of(node.operands[2])->to_ints()), {}, at};
  for (size_t i = 0; i < columns.window.rank(); ++i) {
    columns.positions.push_back(
        window_result_dim(columns.window, i, y[i + 2], CeilMode::no)->number());
  }
  const Register zero = e.builder().zero({carrier_of(dtype), at.lanes});
  return e.rounded(columns.taps(0, zero, 0, 0), dtype);
}

OrRefusal<void> accepts_col2im(const Module& module, const Graph& graph, const Node& node) {
  if (module.constant_of(graph, node.operands[2]) == nullptr) {
    return refuse("its block is not constant");
  }
  if (graph.type(node.operands[0]).num_elements() == 0) return refuse("its operand is empty");
  return {};
}

OrRefusal<void> accepts_conv(const Module&, const Graph& graph, const Node& node) {
  if (carrier_of(graph.type(node.results[0]).dtype) !=
      carrier_of(graph.type(node.operands[0]).dtype)) {
    return refuse("its result is wider than f32");
  }
  return {};
}

}  // namespace

void add_convolution_lowerings(LoweringTable& t) {
  row(t, Op::conv) = {emit_conv, nullptr, nullptr, accepts_conv};
  row(t, Op::col2im) = {emit_col2im, nullptr, nullptr, accepts_col2im};
  row(t, Op::conv_transpose) = {emit_conv_transpose, nullptr, nullptr, accepts_conv};
}

}  // namespace neuronc
