// Convolutions of few results for a pixel, plain and transposed, on row-major memory: lanes run along a
// row of pixels, where along channels they would be nearly empty.
//
//   for vectors of a row of results:
//     acc[m][v] += x(channel, row, column + v) * w(m, channel, row and column of window)
//
// The last layer of a decoder, a map of scores. Images come as they are given and results go as they are
// asked for: nothing is reordered. Rows that reach past the image are copied with zeros around them.
//
// A transposed convolution of stride s has s * s phases (taps.h). A tile is a band of them: the s rows of
// results that meet the same rows of the image, which are copied once. Phases along a row are summed
// together, so that a vector of pixels is loaded once for all, and put together as they are stored.
//
// Small integers come out exactly: every product is exact in f32, and so are their sums.
#include <algorithm>
#include <utility>

#include "backend/lower/lanes.h"
#include "backend/variants/convolution/bands.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int64_t kMostColumns = 8;
constexpr int64_t kMostTaps = 16;  // along a row of the window: they are unrolled
// Of vectors: code grows with them.
constexpr int64_t kMostProducts = 4096;
constexpr int64_t kSlabBytes = 512 * 1024;
// An element that is copied or comes from another order, at the vector rate of the hardware model.
constexpr double kFlopsPerCopy = 2;
constexpr double kFlopsPerReorder = 4;

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

struct Plan {
  TapConvolution conv;
  Band band;
  int64_t num_tiles() const { return conv.n * band.height().results * band.blocks; }
};

OrRefusal<Plan> make_plan(const GroupContext& context) {
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
  }
  Band band = make_band(conv, context.machine, kSlabBytes);
  if (band.num_products() * conv.columns * band.vectors > kMostProducts) {
    return refuse("its phases are many");
  }
  const int64_t slab = conv.channels * band.rows * (band.columns(lanes) + 2 * lanes);
  if (band.uses_slab && slab * 4 > kSlabBytes) return refuse("its rows take much memory");
  return Plan{std::move(conv), std::move(band)};
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

// Multiplications of vectors in a row of results, as many as its loads allow.
double steps_of_row(const Plan& plan, const BandLine& line, const BandPhases& group,
                    int64_t lanes) {
  const auto& [conv, band] = plan;
  const auto vectors = static_cast<double>(band.vectors);
  const auto products =
      static_cast<double>(group.products.size()) * static_cast<double>(conv.columns);
  // A vector of pixels is loaded for all results of a pixel, a weight for all vectors.
  const double steps =
      std::max(products, static_cast<double>(group.num_offsets()) + products / vectors);
  return steps * static_cast<double>(round_up(group.most_results(), lanes) * line.height.taps *
                                     conv.channels);
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const auto& [conv, band] = plan;
  const HardwareModel& hardware = context.machine.hardware;
  const auto lanes = static_cast<int64_t>(context.machine.lanes(4));
  double sums = 0, copies = 0, stores = 0;
  for (const BandLine& line : band.lines) {
    const auto rows = static_cast<double>(conv.n * line.height.results);
    for (const BandPhases& group : line.groups) {
      sums += rows * steps_of_row(plan, line, group, lanes);
      // Results that lie apart are stored one by one.
      const auto pixels = static_cast<double>(round_up(group.most_results(), lanes)) *
                          static_cast<double>(group.widths.size());
      const bool lie_apart = group.widths.size() == 1 && band.width().spread > 1;
      stores += rows * pixels * static_cast<double>(conv.columns) * (lie_apart ? 4 : 1);
    }
  }
  if (band.uses_slab) {
    copies = static_cast<double>(plan.num_tiles()) *
             static_cast<double>(conv.channels * band.rows * band.columns(lanes));
  }
  double vector_flops = copies * kFlopsPerCopy + stores;
  if (comes_channels_last(context)) {
    vector_flops += static_cast<double>(num_elements(context.operand_shape(0))) * kFlopsPerReorder;
  }
  return hardware.launch_ns +
         (2 * sums / hardware.f32_flops_per_s + vector_flops / hardware.vector_flops_per_s) * 1e9;
}

// f32 [channels, taps of a column, products * columns] of a line's group.
Tensor pack(const TapConvolution& conv, const TapAxis& height, const BandPhases& group,
            const Tensor& weights) {
  const auto products = static_cast<int64_t>(group.products.size());
  Tensor packed = Tensor::zeros(DType::f32, {conv.channels, height.taps, products * conv.columns});
  float* to = packed.mutable_as<float>().data();
  for (int64_t i = 0; i < packed.num_elements(); ++i) {
    const int64_t column = i % conv.columns, row = i / conv.columns / products;
    const auto& product = group.products[static_cast<size_t>(i / conv.columns % products)];
    const TapAxis& width = group.widths[product.phase];
    const int64_t tap = row % height.taps;
    const int64_t from = conv.weight_at(
        0, column, row / height.taps,
        {0, height.first_weight < 0 ? -1 : height.first_weight + tap * height.weight_step,
         width.first_weight + product.tap * width.weight_step});
    if (from >= 0) to[i] = static_cast<float>(weights.f64(from));
  }
  return packed;
}

// Registers whose elements take turns: lane l of phase p is element l * phases + p.
Values interleave(kernel::Builder& b, const Values& phases, int64_t lanes) {
  const auto count = static_cast<int64_t>(phases.size());
  Values joined;
  for (int64_t part = 0; part < count; ++part) {
    Register merged = phases[0];
    for (int64_t phase = 1; phase < count; ++phase) {
      std::vector<int64_t> picks;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t i = part * lanes + lane;
        // The first shuffle brings the elements of phase 0 to their places.
        const bool is_first = i % count == 0 && phase == 1;
        picks.push_back(i % count == phase ? lanes + i / count : is_first ? i / count : lane);
      }
      merged = b.shuffle(merged, phases[static_cast<size_t>(phase)], picks);
    }
    joined.push_back(merged);
  }
  return joined;
}

// The rows of results of one band of one image.
class BandEmitter {
 public:
  BandEmitter(GroupEmitter& e, const GroupContext& context, const Plan& plan)
      : e_(e),
        b_(e.builder()),
        node_(context.anchor_node()),
        tensor_(*context.constant_operand(1)),
        conv_(plan.conv),
        band_(plan.band),
        lanes_(context.machine.lanes(4)) {}

  void run(Index tile) {
    block_ = kernel::mod(tile, band_.blocks);
    const Index row = kernel::floor_div(tile, band_.blocks);
    row_ = kernel::mod(row, band_.height().results);
    image_ = kernel::floor_div(row, band_.height().results);
    if (band_.uses_slab) fill_slab();
    size_t number = 0;
    for (const BandLine& line : band_.lines) {
      const auto all_groups = [&] {
        for (const BandPhases& group : line.groups) emit_row(line, group, number++);
      };
      if (line.height.results == band_.height().results) {
        all_groups();
      } else {
        e_.when({{row_, 0, line.height.results}}, all_groups);
      }
    }
  }

 private:
  void fill_slab() {
    line_ = band_.columns(lanes_);
    slab_ = e_.workspace("slab", DType::f32, {conv_.channels * band_.rows, line_ + 2 * lanes_});
    const Index first = row_ * band_.height().stride + Index(band_.first_row);
    e_.loop({0, conv_.channels, 1}, [&](Index channel) {
      e_.loop({0, band_.rows, 1}, [&](Index row) {
        const Index position = first + row * band_.row_step;
        const Index line = channel * band_.rows + row;
        e_.choose(
            {{position, 0, band_.height().input}},
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
    if (band_.blocks > 1) return copy_block(line, channel, position);
    const int64_t base = band_.first_column, input = band_.width().input;
    const int64_t left = std::clamp<int64_t>(-base, 0, line_);
    const int64_t end = std::clamp(input - base, left, line_);
    zero(line, 0, left);
    const auto copy = [&](Index column, int64_t active) {
      const LaneIndex from = along(channel, position, column + Index(base), active);
      b_.store(slab_, {line, column}, e_.pull(node_.operands[0], from));
    };
    const int64_t whole = left + (end - left) / lanes_ * lanes_;
    if (whole > left) e_.loop({left, whole, lanes_}, [&](Index at) { copy(at, lanes_); });
    if (whole < end) copy(Index(whole), end - whole);
    zero(line, end, line_);
  }

  // The part of a row that a block meets: vectors that reach past the image go element by element.
  void copy_block(Index line, Index channel, Index position) {
    const Index base = block_ * (band_.runs * band_.vectors * lanes_) + Index(band_.first_column);
    const int64_t input = band_.width().input;
    const auto copy = [&](Index at, int64_t active) -> Values {
      b_.store(slab_, {line, at},
               e_.pull(node_.operands[0],
                       active == 1 ? LaneIndex::scalar(
                                         conv_.at(image_, channel, {Index(0), position, base + at}))
                                   : along(channel, position, base + at, active)));
      return {};
    };
    e_.loop({0, round_up(line_, lanes_), lanes_}, [&](Index at) {
      e_.choose(
          {{base + at, 0, input - lanes_ + 1}}, [&] { return copy(at, lanes_); },
          [&]() -> Values {
            e_.loop({0, lanes_, 1}, [&](Index lane) {
              e_.choose(
                  {{base + at + lane, 0, input}}, [&] { return copy(at + lane, 1); },
                  [&]() -> Values {
                    b_.store(slab_, {line, at + lane}, b_.zero({DType::f32, 1}));
                    return {};
                  });
            });
            return {};
          });
    });
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

  void emit_row(const BandLine& line, const BandPhases& group, size_t number) {
    weights_ =
        e_.packed_buffer("w" + std::to_string(number), pack(conv_, line.height, group, tensor_));
    const int64_t run = band_.vectors * lanes_;
    const int64_t whole = group.least_results() / run;
    const int64_t left = group.most_results() - whole * run;
    if (band_.blocks == 1) {
      if (whole > 0) e_.loop({0, whole, 1}, [&](Index i) { emit(line, group, i * run, run); });
      if (left > 0) emit(line, group, Index(whole * run), left);
      return;
    }
    e_.loop({0, band_.runs, 1}, [&](Index i) {
      const Index number = block_ * band_.runs + i;
      e_.when({{number, 0, whole}}, [&] { emit(line, group, number * run, run); });
    });
    if (left == 0) return;
    e_.when({{block_, band_.blocks - 1, band_.blocks}}, [&] {
      const Index block = std::exchange(block_, Index(band_.blocks - 1));
      emit(line, group, Index(whole * run), left);
      block_ = block;
    });
  }

  // `count` results of every phase from `first` on: whole vectors, of which the last may end early.
  void emit(const BandLine& line, const BandPhases& group, Index first, int64_t count) {
    const int64_t vectors = (count + lanes_ - 1) / lanes_;
    const int64_t num_sums = vectors * conv_.columns * static_cast<int64_t>(group.widths.size());
    Values sums(static_cast<size_t>(num_sums), b_.f32(0.0f, lanes_));
    sums =
        e_.loop({0, conv_.channels, 1}, sums, [&](Index channel, std::span<const Register> so_far) {
          return e_.loop({0, line.height.taps, 1}, Values(so_far.begin(), so_far.end()),
                         [&](Index tap, std::span<const Register> carried) {
                           return add_row(line, group, {channel, tap, first, count}, carried);
                         });
        });
    for (int64_t column = 0; column < conv_.columns; ++column) {
      for (int64_t v = 0; v < vectors; ++v) {
        Values phases;
        for (size_t phase = 0; phase < group.widths.size(); ++phase) {
          phases.push_back(sums[sum_number(group, vectors, phase, column, v)]);
        }
        const int64_t active = std::min<int64_t>(lanes_, count - v * lanes_);
        store(line, group, column, first + Index(v * lanes_), active, phases);
      }
    }
  }

  size_t sum_number(const BandPhases& group, int64_t vectors, size_t phase, int64_t column,
                    int64_t v) const {
    const auto row = static_cast<int64_t>(phase) * conv_.columns + column;
    return static_cast<size_t>(row * vectors + v);
  }

  struct Place {
    Index channel, tap;
    Index first;  // column of results
    int64_t count = 0;
  };

  // The taps of one window row of one channel.
  Values add_row(const BandLine& line, const BandPhases& group, const Place& at,
                 std::span<const Register> carried) {
    const int64_t vectors = (at.count + lanes_ - 1) / lanes_;
    Values sums(carried.begin(), carried.end());
    Values pixels;
    int64_t loaded = -1;
    for (size_t p = 0; p < group.products.size(); ++p) {
      const auto& product = group.products[p];
      if (product.offset != loaded) pixels = load_pixels(line, at, product.offset);
      loaded = product.offset;
      for (int64_t column = 0; column < conv_.columns; ++column) {
        const Index place(static_cast<int64_t>(p) * conv_.columns + column);
        const Register weight = b_.load_splat(weights_, {at.channel, at.tap, place}, lanes_);
        for (int64_t v = 0; v < vectors; ++v) {
          Register& sum = sums[sum_number(group, vectors, product.phase, column, v)];
          sum = b_.fma(pixels[static_cast<size_t>(v)], weight, sum);
        }
      }
    }
    return sums;
  }

  Values load_pixels(const BandLine& line, const Place& at, int64_t offset) {
    Values pixels;
    for (int64_t begin = 0; begin < at.count; begin += lanes_) {
      const Index column = at.first + Index(begin + offset);
      if (band_.uses_slab) {
        const Index row =
            at.channel * band_.rows + Index(band_.row_of(line)) + at.tap * band_.tap_rows(line);
        const Index behind = block_ * (band_.runs * band_.vectors * lanes_);
        pixels.push_back(b_.load(slab_, {row, column - behind}, lanes_));
        continue;
      }
      const Index row =
          row_ * line.height.stride + at.tap * line.height.dilation + Index(line.height.base);
      const int64_t active = std::min<int64_t>(lanes_, at.count - begin);
      pixels.push_back(e_.pull(node_.operands[0],
                               along(at.channel, row, column + Index(band_.first_column), active)));
    }
    return pixels;
  }

  // Lane l of phase p is result `first` + l of that phase; the last phases may have one less.
  void store(const BandLine& line, const BandPhases& group, int64_t column, Index first,
             int64_t active, const Values& phases) {
    const TapAxis& width = group.widths[0];
    const auto count = static_cast<int64_t>(phases.size());
    const Index row = row_ * line.height.spread + Index(line.height.offset);
    if (count == 1) {
      LaneIndex at = along(Index(column), row, first * width.spread + Index(width.offset), active);
      if (lanes_ > 1) at.steps[conv_.rank - 1] = width.spread;
      return store_at(at, phases[0]);
    }
    const Values joined = interleave(b_, phases, lanes_);
    for (int64_t part = 0; part < count; ++part) {
      const Index place = first * count + Index(part * lanes_);
      const int64_t left = place.is_constant() ? conv_.result[2] - place.constant() : lanes_;
      if (left <= 0) return;
      store_at(along(Index(column), row, place, std::min<int64_t>(lanes_, left)),
               joined[static_cast<size_t>(part)]);
    }
  }

  void store_at(const LaneIndex& at, Register sum) {
    if (node_.has_operand(2)) {
      sum = b_.add(sum, e_.pull(node_.operands[2], at.with_dims({at.dims[1]}, {0})));
    }
    e_.provide_rounded(node_.results[0], at, sum);
    e_.store_results(at);
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const Tensor& tensor_;
  const TapConvolution& conv_;
  const Band& band_;
  BufferId weights_, slab_;
  int lanes_;
  int64_t line_ = 0;
  Index image_, row_, block_;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 "planar_" + kernel_name(context), plan.num_tiles());
  BandEmitter(e, context, plan).run(plan.num_tiles() > 1 ? e.builder().tile() : Index(0));
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
