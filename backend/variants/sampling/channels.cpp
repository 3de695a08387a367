// Grid sampling along channels: a sample's taps are found once for all channels, which lie together.
//
//   for result row: for place in it: taps of every axis;  for vector of channels: sum over taps
//
// The sums are those of the default lowering, term by term in f64.
#include "backend/lower/lanes.h"
#include "backend/lower/sampling.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::Index;

// Finding the taps of a place, in elements of a sum (measured on Zen 4).
constexpr double kTapsPerPlace = 40;

struct Shape {
  std::vector<int64_t> y;
  int64_t channels = 0;
  int64_t num_tiles = 0;  // all dims but channels and the innermost
};

OrRefusal<Shape> shape_of(const GroupContext& context) {
  Shape shape{context.result_shape(), 0, 0};
  if (num_elements(shape.y) == 0 || num_elements(context.operand_shape(0)) == 0) {
    return refuse("it has no elements");
  }
  shape.channels = shape.y[1];
  if (shape.channels < 2) return refuse("it has one channel");
  shape.num_tiles = num_elements(shape.y) / shape.channels / shape.y.back();
  return shape;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Shape shape, shape_of(context));
  const auto rank = static_cast<double>(shape.y.size() - 2);
  const double places = static_cast<double>(shape.num_tiles * shape.y.back());
  const double sums = places * (static_cast<double>(shape.channels) + kTapsPerPlace);
  const HardwareModel& hardware = context.machine.hardware;
  return hardware.launch_ns + sums * 4 * rank / hardware.vector_flops_per_s * 1e9;
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Shape shape, shape_of(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), shape.num_tiles);
  const Node& node = context.anchor_node();
  const DType dtype = context.body.type(node.results[0]).dtype;
  const int lanes = e.vector_lanes(carrier_of(dtype));
  const size_t last = shape.y.size() - 1;
  std::vector<Index> at(shape.y.size(), Index(0));
  Index rest = shape.num_tiles > 1 ? e.builder().tile() : Index(0);
  for (size_t d = last; d-- > 0;) {
    if (d == 1 || shape.y[d] == 1) continue;
    at[d] = kernel::mod(rest, shape.y[d]);
    rest = kernel::floor_div(rest, shape.y[d]);
  }
  e.loop({0, shape.y[last], 1}, [&](Index column) {
    at[last] = column;
    std::vector<Index> place{at[0]};
    place.insert(place.end(), at.begin() + 2, at.end());
    const auto taps = sample_taps(e, node, std::move(place));
    const auto channels = [&](Index first, int active) {
      std::vector<Index> dims = at;
      dims[1] = first;
      const LaneIndex run = LaneIndex::along(std::move(dims), 1, lanes, active);
      e.provide(node.results[0], run,
                from_f64(e.builder(), sum_of_taps(e, node, taps, run), dtype));
      e.store_results(run);
    };
    const int64_t whole = shape.channels / lanes * lanes;
    if (whole > 0) e.loop({0, whole, lanes}, [&](Index first) { channels(first, lanes); });
    if (whole < shape.channels) {
      channels(Index(whole), static_cast<int>(shape.channels - whole));
    }
  });
  return std::move(e).finish();
}

DimOrder operand_order(const GroupContext& context, size_t operand) {
  return operand == 0 ? channels_last(context.result_shape().size()) : DimOrder();
}

}  // namespace

const Variant kSampleChannels = {.name = "sample.channels",
                                 .predict_ns = predict_ns,
                                 .lower = lower,
                                 .operand_order = operand_order,
                                 .result_order = image_result_order,
                                 .prologue = no_prologue};

}  // namespace neuronc
