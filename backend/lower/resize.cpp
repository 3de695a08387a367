// Default lowering of resize: for each resized axis a table of operand positions and weights, made
// at compile time from the taps that the evaluator uses. Lanes run along dims that are not resized,
// which on channels-last memory is all of an image's channels.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/base/check.h"
#include "ir/ops/resize_taps.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

OrRefusal<std::vector<ResizeAxis>> axes_of(const std::function<const Tensor*(ValueId)>& constant_of,
                                           const std::vector<int64_t>& shape, const Node& node) {
  const Tensor* operands[4] = {};
  for (size_t i = 1; i < 4; ++i) {
    if (!node.has_operand(i)) continue;
    operands[i] = constant_of(node.operands[i]);
    if (operands[i] == nullptr) return refuse("its scales or sizes are not constant");
  }
  return resize_axes(node.view(), shape, operands[1], operands[2], operands[3]);
}

size_t max_taps(const ResizeAxis& axis) {
  size_t count = 1;
  for (const auto& taps : axis.taps) count = std::max(count, taps.size());
  return count;
}

// The divisor by which a nearest-element axis maps positions, 0 where it is no division.
int64_t divisor_of(const ResizeAxis& axis) {
  if (axis.input_extent == 0 || axis.result_extent % axis.input_extent != 0) return 0;
  const int64_t divisor = axis.result_extent / axis.input_extent;
  for (int64_t i = 0; i < axis.result_extent; ++i) {
    const auto& taps = axis.taps[static_cast<size_t>(i)];
    if (taps.size() != 1 || taps[0].index != i / divisor) return 0;
  }
  return divisor;
}

Tensor positions_of(const ResizeAxis& axis, size_t num_taps) {
  Tensor table = Tensor::zeros(DType::i32, {axis.result_extent, static_cast<int64_t>(num_taps)});
  for (size_t i = 0; i < axis.taps.size(); ++i) {
    for (size_t k = 0; k < axis.taps[i].size(); ++k) {
      table.set_i64(static_cast<int64_t>(i * num_taps + k), axis.taps[i][k].index);
    }
  }
  return table;
}

Tensor weights_of(const ResizeAxis& axis, size_t num_taps, DType dtype) {
  Tensor table = Tensor::zeros(dtype, {axis.result_extent, static_cast<int64_t>(num_taps)});
  for (size_t i = 0; i < axis.taps.size(); ++i) {
    for (size_t k = 0; k < axis.taps[i].size(); ++k) {
      table.set_f64(static_cast<int64_t>(i * num_taps + k), axis.taps[i][k].weight);
    }
  }
  return table;
}

struct Resizer {
  GroupEmitter& e;
  const Node& node;
  std::vector<ResizeAxis> axes;
  std::vector<size_t> resized;
  bool is_nearest;
  LaneIndex at;

  Register sample(size_t depth, LaneIndex from) {
    if (depth == resized.size()) return e.pull(node.operands[0], from);
    Builder& b = e.builder();
    const size_t d = resized[depth];
    const ResizeAxis& axis = axes[d];
    const int64_t divisor = is_nearest ? divisor_of(axis) : 0;
    if (divisor > 0) {
      from.dims[d] = kernel::floor_div(at.dims[d], divisor);
      return sample(depth + 1, from);
    }
    const size_t num_taps = max_taps(axis);
    const std::string name = std::to_string(node.results[0].index) + "_" + std::to_string(d);
    const kernel::BufferId positions =
        e.table("at" + name, [&] { return positions_of(axis, num_taps); });
    const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
    const auto position = [&](Index tap) {
      return b.check_index(b.load(positions, {at.dims[d], tap}), axis.input_extent);
    };
    if (is_nearest) {
      from.dims[d] = position(0);
      return sample(depth + 1, from);
    }
    const kernel::BufferId weights =
        e.table("weight" + name, [&] { return weights_of(axis, num_taps, carrier); });
    const auto add_tap = [&](Index tap, Register sum) {
      from.dims[d] = position(tap);
      const Register weight = b.load_splat(weights, {at.dims[d], tap}, at.lanes);
      return b.fma(weight, sample(depth + 1, from), sum);
    };
    Register sum = b.zero({carrier, at.lanes});
    if (num_taps > 4) {
      return e.loop({0, static_cast<int64_t>(num_taps), 1}, Values{sum},
                    [&](Index tap, std::span<const Register> carried) {
                      return Values{add_tap(tap, carried[0])};
                    })[0];
    }
    for (size_t tap = 0; tap < num_taps; ++tap) sum = add_tap(Index(tap), sum);
    return sum;
  }
};

Register emit_resize(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  auto axes =
      axes_of([&](ValueId value) { return e.constant_of(value); }, e.shape(node.operands[0]), node);
  NEURONC_CHECK(axes.has_value());
  Resizer resizer{e, node, std::move(*axes), {}, node.view().string("mode") == "nearest", at};
  for (size_t d = 0; d < resizer.axes.size(); ++d) {
    if (resizer.axes[d].is_identity) continue;
    if (at.varies(d)) {
      return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                      [&](const LaneIndex& one) { return emit_resize(e, node, 0, one); });
    }
    resizer.resized.push_back(d);
  }
  return e.rounded(resizer.sample(0, at), e.type(node.results[0]).dtype);
}

OrRefusal<void> accepts_resize(const Module& module, const Graph& graph, const Node& node) {
  const Type& x = graph.type(node.operands[0]);
  if (node.view().string("mode") != "nearest" && !is_float(x.dtype)) {
    return refuse("it interpolates between integers");
  }
  NEURONC_ASSIGN(
      const std::vector<ResizeAxis> axes,
      axes_of([&](ValueId value) { return module.constant_of(graph, value); }, x.shape(), node));
  for (const ResizeAxis& axis : axes) {
    if (std::count(axis.is_outside.begin(), axis.is_outside.end(), true) > 0) {
      return refuse("it reads outside its operand");
    }
  }
  return {};
}

}  // namespace

void add_resize_lowerings(LoweringTable& t) {
  row(t, Op::resize) = {emit_resize, nullptr, nullptr, accepts_resize};
}

}  // namespace neuronc
