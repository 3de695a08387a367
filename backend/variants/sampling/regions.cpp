// Pooling of regions along channels: where a bin's samples lie is found once for many channels, which
// lie together.
//
//   for bin row of a region: for bin in it: for some vectors of channels:
//     for sample: four neighbours and weights; for vector: sum or maximum
//
// The sums are those of the default lowering, term by term in f64.
#include "backend/lower/regions.h"

#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::Index;

// Vectors of channels that share a sample: their sums, two registers of f64 each, fill half of the
// registers.
int64_t max_runs(const Machine& machine) { return machine.isa.num_vector_registers / 4; }
// In operations at the rate of FP32 products. A read is widened, multiplied, chosen and added in f64,
// at half that rate and without a product to each sum.
constexpr double kFlopsPerRead = 16;
// Finding a sample, for each neighbour of a block of channels (measured on Zen 4).
constexpr double kPlaceFlopsPerRead = 240;
// Samples of a bin that are assumed where data say how many there are.
constexpr double kUnknownSamples = 4;

struct Shape {
  std::vector<int64_t> y;
  int64_t num_tiles = 0;  // regions by rows of bins
};

OrRefusal<Shape> shape_of(const GroupContext& context) {
  Shape shape{context.result_shape(), 0};
  if (num_elements(shape.y) == 0 || num_elements(context.operand_shape(0)) == 0) {
    return refuse("it has no elements");
  }
  if (shape.y[1] < 2) return refuse("it has one channel");
  shape.num_tiles = shape.y[0] * shape.y[2];
  return shape;
}

// Neighbours that a result reads.
double reads_of(const GroupContext& context) {
  const Node& node = context.anchor_node();
  if (node.op == Op::roi_align) {
    const auto ratio = static_cast<double>(node.view().i64("sampling_ratio"));
    return 4 * (ratio > 0 ? ratio * ratio : kUnknownSamples);
  }
  return kUnknownSamples;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Shape shape, shape_of(context));
  const auto channels = static_cast<double>(shape.y[1]);
  const double bins = static_cast<double>(shape.num_tiles * shape.y[3]);
  const HardwareModel& hardware = context.machine.hardware;
  const double lanes = 16;
  const double blocks =
      std::max(1.0, channels / (static_cast<double>(max_runs(context.machine)) * lanes));
  const double work =
      bins * reads_of(context) * (channels * kFlopsPerRead + blocks * kPlaceFlopsPerRead);
  return hardware.launch_ns + work / hardware.f32_flops_per_s * 1e9;
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Shape shape, shape_of(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), shape.num_tiles);
  const Node& node = context.anchor_node();
  const DType dtype = context.body.type(node.results[0]).dtype;
  const int lanes = e.vector_lanes(carrier_of(dtype));
  const Index tile = shape.num_tiles > 1 ? e.builder().tile() : Index(0);
  const Index region = kernel::floor_div(tile, shape.y[2]), row = kernel::mod(tile, shape.y[2]);
  e.loop({0, shape.y[3], 1}, [&](Index column) {
    const RegionBin bin = region_bin(e, node, region, row, column);
    const auto channels = [&](Index first, int64_t count) {
      std::vector<LaneIndex> runs;
      for (int64_t c = 0; c < count; c += lanes) {
        const int active = static_cast<int>(std::min<int64_t>(lanes, count - c));
        runs.push_back(LaneIndex::along({region, first + Index(c), row, column}, 1, lanes, active));
      }
      const kernel::Values values = bin(runs);
      for (size_t i = 0; i < runs.size(); ++i) {
        e.provide(node.results[0], runs[i], values[i]);
        e.store_results(runs[i]);
      }
    };
    const int64_t block = std::min(max_runs(context.machine), shape.y[1] / lanes) * lanes;
    const int64_t whole = block > 0 ? shape.y[1] / block * block : 0;
    if (whole > 0) e.loop({0, whole, block}, [&](Index first) { channels(first, block); });
    if (whole < shape.y[1]) channels(Index(whole), shape.y[1] - whole);
  });
  return std::move(e).finish();
}

DimOrder operand_order(const GroupContext& context, size_t operand) {
  return operand == 0 ? channels_last(context.result_shape().size()) : DimOrder();
}

}  // namespace

const Variant kRegionChannels = {.name = "region.channels",
                                 .predict_ns = predict_ns,
                                 .lower = lower,
                                 .operand_order = operand_order,
                                 .result_order = image_result_order,
                                 .prologue = no_prologue};

}  // namespace neuronc
