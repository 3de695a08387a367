// Convolutions of few results for a pixel, plain and transposed, on row-major memory: lanes run along a
// row of pixels, where along channels they would be nearly empty.
//
//   for vectors of a row of results:
//     acc[m][v] += x(channel, row, column + v) * w(m, channel, row and column of window)
//
// The last layer of a decoder, a map of scores. Images come as they are given and results go as they are
// asked for: nothing is reordered. Rows that reach past the image are copied with zeros around them.
//
// Small integers come out exactly: every product is exact in f32, and so are their sums.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/variants/convolution/taps.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int64_t kMostColumns = 8;
constexpr int64_t kMostTaps = 16;  // along a row of the window: they are unrolled
constexpr int64_t kMostVectors = 4;
constexpr int64_t kSlabBytes = 512 * 1024;
// An element that is copied or comes from another order, at the vector rate of the hardware model.
constexpr double kFlopsPerCopy = 2;
constexpr double kFlopsPerReorder = 4;

// Vectors of a row that are summed up at once, for each of `columns` results.
int64_t vectors_of(const Machine& machine, int64_t columns) {
  const int64_t accumulators = machine.isa.num_vector_registers * 5 / 8;
  return std::clamp<int64_t>(accumulators / columns, 1, kMostVectors);
}

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

// Columns of the input that a row of results meets, whole vectors of them.
int64_t line_of(const TapAxis& width, int64_t lanes) {
  return round_up(width.results, lanes) + (width.taps - 1) * width.dilation;
}

OrRefusal<TapConvolution> planar_convolution(const GroupContext& context) {
  NEURONC_ASSIGN(TapConvolution conv, tap_convolution(context));
  const Tensor* weights = context.constant_operand(1);
  if (weights == nullptr) return refuse("the weights are not constant");
  if (carrier_of(weights->dtype()) != DType::f32 ||
      carrier_of(context.operand_dtype(0)) != DType::f32) {
    return refuse("it is not f32");
  }
  if (conv.rank > 4 || conv.groups > 1) return refuse("it has planes or groups");
  if (conv.columns > kMostColumns) return refuse("many results for a pixel");
  const int64_t lanes = context.machine.lanes(4);
  for (const TapProblem& problem : conv.problems) {
    const TapAxis& width = problem.axes[2];
    if (width.stride != 1) return refuse("pixels of a row lie apart");
    if (width.taps > kMostTaps) return refuse("its window is too wide");
    const int64_t slab = conv.channels * problem.axes[1].taps * (line_of(width, lanes) + 2 * lanes);
    if (!problem.is_inside() && slab * 4 > kSlabBytes) return refuse("its rows take much memory");
  }
  return conv;
}

// Whether the input is computed by what writes its channels together.
bool comes_channels_last(const GroupContext& context) {
  const ValueId input = context.outer_of(context.anchor_node().operands[0]);
  if (!input || !context.graph.value(input).producer) return false;
  const Node& producer = context.graph.node(context.graph.value(input).producer);
  if (producer.op != Op::group) return false;
  const NodeId anchor = find_anchor(*producer.bodies[0]);
  return anchor && !variants_of(producer.bodies[0]->node(anchor).op).empty();
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const TapConvolution conv, planar_convolution(context));
  const HardwareModel& hardware = context.machine.hardware;
  const auto lanes = static_cast<int64_t>(context.machine.lanes(4));
  const auto vectors = static_cast<double>(vectors_of(context.machine, conv.columns));
  const auto columns = static_cast<double>(conv.columns);
  // A vector of pixels is loaded for all results of a pixel, a weight for all vectors.
  const double steps = std::max(vectors * columns, vectors + columns) / vectors;
  double sums = 0, copies = 0, stores = 0;
  for (const TapProblem& problem : conv.problems) {
    const auto& axes = problem.axes;
    const auto rows =
        static_cast<double>(conv.n * axes[1].results) * static_cast<double>(problem.phases.size());
    const auto pixels = rows * static_cast<double>(round_up(axes[2].results, lanes));
    sums += pixels * steps * static_cast<double>(problem.num_taps() * conv.channels);
    if (!problem.is_inside()) {
      copies += rows * static_cast<double>(conv.channels * axes[1].taps * line_of(axes[2], lanes));
    }
    // Results that lie apart are stored one by one.
    stores += pixels * columns * (axes[2].spread > 1 ? 4 : 1);
  }
  double vector_flops = copies * kFlopsPerCopy + stores;
  if (comes_channels_last(context)) {
    vector_flops += static_cast<double>(num_elements(context.operand_shape(0))) * kFlopsPerReorder;
  }
  return hardware.launch_ns +
         (2 * sums / hardware.f32_flops_per_s + vector_flops / hardware.vector_flops_per_s) * 1e9;
}

// f32 [channels, taps, columns] of one phase.
Tensor pack(const TapConvolution& conv, const std::array<TapAxis, 3>& axes, const Tensor& weights) {
  const int64_t taps = axes[1].taps * axes[2].taps;
  Tensor packed = Tensor::zeros(DType::f32, {conv.channels, taps, conv.columns});
  float* to = packed.mutable_as<float>().data();
  for (int64_t i = 0; i < packed.num_elements(); ++i) {
    const int64_t column = i % conv.columns, tap = i / conv.columns % taps;
    const std::array<int64_t, 3> at{0, tap / axes[2].taps, tap % axes[2].taps};
    std::array<int64_t, 3> element{};
    for (size_t axis = 0; axis < 3; ++axis) {
      element[axis] = axes[axis].first_weight + at[axis] * axes[axis].weight_step;
    }
    const int64_t from = conv.weight_at(0, column, i / conv.columns / taps, element);
    if (from >= 0) to[i] = static_cast<float>(weights.f64(from));
  }
  return packed;
}

// One row of results of one image and phase.
class RowEmitter {
 public:
  RowEmitter(GroupEmitter& e, const GroupContext& context, const TapConvolution& conv,
             const TapProblem& problem, const std::array<TapAxis, 3>& axes, BufferId weights)
      : e_(e),
        b_(e.builder()),
        node_(context.anchor_node()),
        conv_(conv),
        axes_(axes),
        weights_(weights),
        lanes_(context.machine.lanes(4)),
        vectors_(vectors_of(context.machine, conv.columns)),
        uses_slab_(!problem.is_inside()) {}

  void run(Index tile, const std::string& slab_name) {
    row_ = kernel::mod(tile, axes_[1].results);
    image_ = kernel::floor_div(tile, axes_[1].results);
    if (uses_slab_) fill_slab(slab_name);
    const int64_t width = axes_[2].results, block = vectors_ * lanes_;
    const int64_t whole = width / block * block;
    if (whole > 0) e_.loop({0, whole, block}, [&](Index column) { emit(column, block); });
    for (int64_t column = whole; column < width; column += lanes_) {
      emit(Index(column), std::min<int64_t>(lanes_, width - column));
    }
  }

 private:
  void fill_slab(const std::string& slab_name) {
    line_ = line_of(axes_[2], lanes_);
    slab_ =
        e_.workspace(slab_name, DType::f32, {conv_.channels * axes_[1].taps, line_ + 2 * lanes_});
    const Index first = row_ * axes_[1].stride + Index(axes_[1].base);
    e_.loop({0, conv_.channels, 1}, [&](Index channel) {
      e_.loop({0, axes_[1].taps, 1}, [&](Index tap) {
        const Index position = first + tap * axes_[1].dilation;
        const Index line = channel * axes_[1].taps + tap;
        e_.choose(
            {{position, 0, axes_[1].input}},
            [&]() -> Values {
              copy_row(line, channel, position);
              return {};
            },
            [&]() -> Values {
              zero(line, 0, line_);
              return {};
            });
      });
    });
  }

  // Vectors may reach past what they are for: zeros behind the row are written last.
  void copy_row(Index line, Index channel, Index position) {
    const TapAxis& width = axes_[2];
    const int64_t left = std::clamp<int64_t>(-width.base, 0, line_);
    const int64_t end = std::clamp(width.input - width.base, left, line_);
    zero(line, 0, left);
    const auto copy = [&](Index column, int64_t active) {
      const LaneIndex from = along(channel, position, column + Index(width.base), active);
      b_.store(slab_, {line, column}, e_.pull(node_.operands[0], from));
    };
    const int64_t whole = left + (end - left) / lanes_ * lanes_;
    if (whole > left) e_.loop({left, whole, lanes_}, [&](Index at) { copy(at, lanes_); });
    if (whole < end) copy(Index(whole), end - whole);
    zero(line, end, line_);
  }

  void zero(Index line, int64_t begin, int64_t end) {
    if (end <= begin) return;
    e_.loop({begin, begin + round_up(end - begin, lanes_), lanes_},
            [&](Index at) { b_.store(slab_, {line, at}, b_.zero({DType::f32, lanes_})); });
  }

  LaneIndex along(Index channel, Index row, Index column, int64_t active) const {
    return LaneIndex::along(conv_.at(image_, channel, {Index(0), row, column}), conv_.rank - 1,
                            lanes_, static_cast<int>(active));
  }

  // `count` results of the row from `first` on: whole vectors, or one that ends early.
  void emit(Index first, int64_t count) {
    const int64_t vectors = (count + lanes_ - 1) / lanes_;
    Values sums(static_cast<size_t>(vectors * conv_.columns), b_.f32(0.0f, lanes_));
    sums =
        e_.loop({0, conv_.channels, 1}, sums, [&](Index channel, std::span<const Register> so_far) {
          return e_.loop({0, axes_[1].taps, 1}, Values(so_far.begin(), so_far.end()),
                         [&](Index tap, std::span<const Register> carried) {
                           return add_row(channel, tap, first, count, carried);
                         });
        });
    for (int64_t column = 0; column < conv_.columns; ++column) {
      for (int64_t v = 0; v < vectors; ++v) {
        store(column, first + Index(v * lanes_), std::min<int64_t>(lanes_, count - v * lanes_),
              sums[static_cast<size_t>(column * vectors + v)]);
      }
    }
  }

  // The taps of one window row of one channel.
  Values add_row(Index channel, Index tap, Index first, int64_t count,
                 std::span<const Register> carried) {
    const TapAxis& width = axes_[2];
    const int64_t vectors = (count + lanes_ - 1) / lanes_;
    Values sums(carried.begin(), carried.end());
    for (int64_t s = 0; s < width.taps; ++s) {
      Values pixels;
      for (int64_t v = 0; v < vectors; ++v) {
        const int64_t active = std::min<int64_t>(lanes_, count - v * lanes_);
        pixels.push_back(
            load(channel, tap, first + Index(v * lanes_ + s * width.dilation), active));
      }
      for (int64_t column = 0; column < conv_.columns; ++column) {
        const Register weight =
            b_.load_splat(weights_, {channel, tap * width.taps + Index(s), Index(column)}, lanes_);
        for (int64_t v = 0; v < vectors; ++v) {
          Register& sum = sums[static_cast<size_t>(column * vectors + v)];
          sum = b_.fma(pixels[static_cast<size_t>(v)], weight, sum);
        }
      }
    }
    return sums;
  }

  Register load(Index channel, Index tap, Index column, int64_t active) {
    if (uses_slab_) return b_.load(slab_, {channel * axes_[1].taps + tap, column}, lanes_);
    const Index row = row_ * axes_[1].stride + tap * axes_[1].dilation + Index(axes_[1].base);
    return e_.pull(node_.operands[0], along(channel, row, column + Index(axes_[2].base), active));
  }

  void store(int64_t column, Index result, int64_t active, Register sum) {
    LaneIndex at = along(Index(column), row_ * axes_[1].spread + Index(axes_[1].offset),
                         result * axes_[2].spread + Index(axes_[2].offset), active);
    if (lanes_ > 1) at.steps[conv_.rank - 1] = axes_[2].spread;
    if (node_.has_operand(2)) {
      sum = b_.add(sum, e_.pull(node_.operands[2], at.with_dims({at.dims[1]}, {0})));
    }
    e_.provide_rounded(node_.results[0], at, sum);
    e_.store_results(at);
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const TapConvolution& conv_;
  const std::array<TapAxis, 3>& axes_;
  BufferId weights_, slab_;
  int lanes_;
  int64_t vectors_, line_ = 0;
  bool uses_slab_;
  Index image_, row_;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const TapConvolution conv, planar_convolution(context));
  const auto tiles_of = [&](const TapProblem& problem) { return conv.n * problem.axes[1].results; };
  int64_t num_tiles = 0;
  for (const TapProblem& problem : conv.problems) {
    num_tiles += tiles_of(problem) * static_cast<int64_t>(problem.phases.size());
  }
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 "planar_" + kernel_name(context), num_tiles);
  const Index tile = num_tiles > 1 ? e.builder().tile() : Index(0);
  int64_t first = 0;
  for (const TapProblem& problem : conv.problems) {
    for (const auto& phase : problem.phases) {
      const std::string number = std::to_string(first);
      const BufferId weights =
          e.packed_buffer("w" + number, pack(conv, phase, *context.constant_operand(1)));
      const int64_t end = first + tiles_of(problem);
      e.when({{tile, first, end}}, [&] {
        RowEmitter(e, context, conv, problem, phase, weights)
            .run(tile - Index(first), "slab" + number);
      });
      first = end;
    }
  }
  return std::move(e).finish();
}

}  // namespace

const Variant kConvPlanar = {.name = "conv.planar",
                             .predict_ns = predict_ns,
                             .lower = lower,
                             .operand_order = no_order,
                             .result_order = no_result_order,
                             .prologue = no_prologue};

}  // namespace neuronc
