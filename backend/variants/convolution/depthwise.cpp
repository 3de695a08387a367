// Depthwise convolution, plain and transposed, on channels-last memory: lanes run along channels.
//
//   for chunk of channels, for run of result columns, for vector of the chunk:
//     for window row inside the image:                      (and window plane, with three dims)
//       acc[t] += x(row, column) * w(row, column of window) for every input column that the run meets
//
// A run's accumulators and one window row's weights stay in registers, and each input vector is
// loaded once per window row for the whole run. Chunks keep the window's weights in the nearest
// cache. Runs near the left and right border have constant columns, so that taps outside the image
// are left out when the code is made. Every element is summed in the order of its taps.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/variants/convolution/taps.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int64_t kLongestRun = 8;           // result columns: hides the latency of fma
constexpr int64_t kWeightBytes = 20 * 1024;  // of one chunk
// Window columns are unrolled, and so are runs at borders.
constexpr int64_t kMaxColumns = 64;
constexpr int64_t kMaxUnrolled = 4096;
// A result that is stored, at the vector rate of the hardware model.
constexpr double kFlopsPerStore = 2.5;

struct Run {
  Index column;
  int64_t size = 0;
};

// Columns of the result from `first` to `last` meet the image with all their taps.
struct Interior {
  int64_t first = 0, last = 0;
};

Interior interior_of(const TapAxis& width) {
  Interior range;
  const int64_t before = std::max<int64_t>(-width.base, 0);
  range.first = std::min(width.results, (before + width.stride - 1) / width.stride);
  const int64_t room = width.input - 1 - (width.taps - 1) * width.dilation - width.base;
  range.last = std::clamp(room < 0 ? 0 : room / width.stride + 1, range.first, width.results);
  return range;
}

// Runs of equal length that cover `columns`.
int64_t run_length(int64_t columns) {
  if (columns <= 0) return 1;
  const int64_t runs = (columns + kLongestRun - 1) / kLongestRun;
  return (columns + runs - 1) / runs;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const TapConvolution conv, tap_convolution(context));
  if (!conv.is_depthwise()) return refuse("not depthwise");
  const Tensor* weights = context.constant_operand(1);
  if (weights == nullptr) return refuse("the weights are not constant");
  if (carrier_of(weights->dtype()) != DType::f32) return refuse("the weights are not f32");
  if (carrier_of(context.operand_dtype(0)) != DType::f32) return refuse("it is not f32");
  if (2 * conv.groups < context.machine.lanes(4)) return refuse("few channels");
  double taps = 0, results = 0;
  for (const TapProblem& problem : conv.problems) {
    const TapAxis& width = problem.axes[2];
    const Interior interior = interior_of(width);
    const int64_t border = width.results - (interior.last - interior.first);
    if (width.taps > kMaxColumns || width.taps * border > kMaxUnrolled) {
      return refuse("its window is too wide");
    }
    const double pixels =
        static_cast<double>(problem.axes[0].results * problem.axes[1].results * width.results) *
        static_cast<double>(problem.phases.size());
    results += pixels;
    taps += pixels * static_cast<double>(problem.num_taps());
  }
  const auto channels = static_cast<double>(conv.n * conv.groups * conv.columns);
  const HardwareModel& hardware = context.machine.hardware;
  return hardware.launch_ns + channels *
                                  (2 * taps / hardware.f32_flops_per_s +
                                   kFlopsPerStore * results / hardware.vector_flops_per_s) *
                                  1e9;
}

// f32 [multiplier, taps, channels] of one phase.
Tensor pack(const TapConvolution& conv, const std::array<TapAxis, 3>& axes, const Tensor& weights) {
  const int64_t taps = axes[0].taps * axes[1].taps * axes[2].taps;
  Tensor packed = Tensor::zeros(DType::f32, {conv.columns, taps, conv.groups});
  float* to = packed.mutable_as<float>().data();
  for (int64_t i = 0; i < packed.num_elements(); ++i) {
    const int64_t channel = i % conv.groups, tap = i / conv.groups % taps;
    const std::array<int64_t, 3> at{tap / axes[2].taps / axes[1].taps,
                                    tap / axes[2].taps % axes[1].taps, tap % axes[2].taps};
    std::array<int64_t, 3> element{};
    for (size_t axis = 0; axis < 3; ++axis) {
      element[axis] = axes[axis].first_weight + at[axis] * axes[axis].weight_step;
    }
    const int64_t from = conv.weight_at(channel, i / conv.groups / taps, 0, element);
    if (from >= 0) to[i] = static_cast<float>(weights.f64(from));
  }
  return packed;
}

class PhaseEmitter {
 public:
  PhaseEmitter(GroupEmitter& e, const GroupContext& context, const TapConvolution& conv,
               const std::array<TapAxis, 3>& axes, BufferId weights)
      : e_(e),
        b_(e.builder()),
        node_(context.anchor_node()),
        conv_(conv),
        axes_(axes),
        weights_(weights),
        lanes_(context.machine.lanes(4)) {}

  // `tile` is one result row of one image.
  void run(Index tile) {
    row_ = kernel::mod(tile, axes_[1].results);
    const Index rest = kernel::floor_div(tile, axes_[1].results);
    depth_ = kernel::mod(rest, axes_[0].results);
    image_ = kernel::floor_div(rest, axes_[0].results);
    for (int64_t multiple = 0; multiple < conv_.columns; ++multiple) {
      multiple_ = multiple;
      chunks();
    }
  }

 private:
  void chunks() {
    const int64_t taps = axes_[0].taps * axes_[1].taps * axes_[2].taps;
    const int64_t most = std::max<int64_t>(kWeightBytes / (taps * 4) / lanes_, 1) * lanes_;
    const int64_t whole = conv_.groups / lanes_ * lanes_;
    const int64_t chunk = std::min(most, std::max<int64_t>(whole, lanes_));
    const int64_t chunks_end = whole / chunk * chunk;
    const auto vectors = [&](Index first, int64_t size) {
      runs([=, this](const Run& run) {
        e_.loop({0, size, lanes_}, [&](Index c) { emit(run, first + c, lanes_); });
      });
    };
    if (chunks_end > 0) {
      e_.loop({0, chunks_end, chunk}, [&](Index first) { vectors(first, chunk); });
    }
    if (chunks_end < whole) vectors(Index(chunks_end), whole - chunks_end);
    if (whole == conv_.groups) return;
    const auto rest = static_cast<int>(conv_.groups - whole);
    runs([=, this](const Run& run) { emit(run, Index(whole), rest); });
  }

  void runs(const std::function<void(const Run&)>& body) {
    const TapAxis& width = axes_[2];
    const Interior interior = interior_of(width);
    const auto borders = [&](int64_t from, int64_t to) {
      const int64_t length = run_length(to - from);
      for (int64_t q = from; q < to; q += length) body({Index(q), std::min(length, to - q)});
    };
    borders(0, interior.first);
    const int64_t length = run_length(interior.last - interior.first);
    const int64_t end = interior.first + (interior.last - interior.first) / length * length;
    if (end > interior.first) {
      e_.loop({interior.first, end, length}, [&](Index q) { body({q, length}); });
    }
    borders(end, interior.last);
    borders(interior.last, width.results);
  }

  void emit(const Run& run, Index channel, int active) {
    Values sums(static_cast<size_t>(run.size), b_.f32(0.0f, lanes_));
    sums = window(0, sums, {},
                  [&](const std::vector<Index>& taps, const std::vector<Index>& positions,
                      const Values& so_far) {
                    return add_row(run, channel, active, taps, positions, so_far);
                  });
    for (int64_t t = 0; t < run.size; ++t) {
      store(run.column + Index(t), channel, active, sums[static_cast<size_t>(t)]);
    }
  }

  using Row = std::function<Values(const std::vector<Index>& taps,
                                   const std::vector<Index>& positions, const Values&)>;

  // Loops over the taps of `axis` that lie inside the input, and of those behind it but the last.
  Values window(size_t axis, const Values& sums, std::vector<std::pair<Index, Index>> outer,
                const Row& row) {
    if (axis == 2) {
      std::vector<Index> taps, positions;
      for (const auto& [tap, position] : outer) {
        taps.push_back(tap);
        positions.push_back(position);
      }
      return row(taps, positions, sums);
    }
    const TapAxis& a = axes_[axis];
    const Index first = (axis == 0 ? depth_ : row_) * a.stride + Index(a.base);
    const auto visit = [&](Index tap, Index position, const Values& so_far) {
      auto inner = outer;
      inner.emplace_back(tap, position);
      return window(axis + 1, so_far, std::move(inner), row);
    };
    if (a.taps == 1 && is_within(first, 0, a.input)) return visit(Index(0), first, sums);
    if (is_within(first, (a.taps - 1) * a.dilation, a.input)) {
      return e_.loop({0, a.taps, 1}, sums, [&](Index tap, std::span<const Register> carried) {
        return visit(tap, first + tap * a.dilation, {carried.begin(), carried.end()});
      });
    }
    if (a.dilation == 1) {
      // Over positions, so that the loop's bounds are what keeps them inside.
      const kernel::Range range{kernel::max(first, 0), kernel::min(first + Index(a.taps), a.input),
                                1};
      return e_.loop(range, sums, [&](Index position, std::span<const Register> carried) {
        return visit(position - first, position, {carried.begin(), carried.end()});
      });
    }
    return e_.loop({0, a.taps, 1}, sums, [&](Index tap, std::span<const Register> carried) {
      const Index position = first + tap * a.dilation;
      const Values so_far(carried.begin(), carried.end());
      return e_.choose(
          {{position, 0, a.input}}, [&] { return visit(tap, position, so_far); },
          [&] { return so_far; });
    });
  }

  // One window row: every input column that the run meets, times the taps that meet it there.
  Values add_row(const Run& run, Index channel, int active, const std::vector<Index>& taps,
                 const std::vector<Index>& positions, const Values& sums) {
    const TapAxis& width = axes_[2];
    const Index first_tap = (taps[0] * axes_[1].taps + taps[1]) * width.taps;
    Values weights;
    for (int64_t s = 0; s < width.taps; ++s) {
      weights.push_back(load_weight(first_tap + Index(s), channel, active));
    }
    Values next = sums;
    const Index first = run.column * width.stride + Index(width.base);
    for (int64_t j = 0; j < width.position_end(run.size); ++j) {
      const Index column = first + Index(j);
      if (column.is_constant() && (column.constant() < 0 || column.constant() >= width.input)) {
        continue;
      }
      Register x;
      for (int64_t s = 0; s < width.taps; ++s) {
        const int64_t from = j - s * width.dilation, t = from / width.stride;
        if (from < 0 || t >= run.size || t * width.stride != from) continue;
        if (!x.id) {
          x = e_.pull(
              node_.operands[0],
              LaneIndex::along(conv_.at(image_, channel, {positions[0], positions[1], column}), 1,
                               lanes_, active));
        }
        Register& sum = next[static_cast<size_t>(t)];
        sum = b_.fma(x, weights[static_cast<size_t>(s)], sum);
      }
    }
    return next;
  }

  Register load_weight(Index tap, Index channel, int active) {
    const kernel::Lanes lanes{lanes_, 2};
    if (active == lanes_) return b_.load(weights_, {Index(multiple_), tap, channel}, lanes);
    return b_.load_partial(weights_, {Index(multiple_), tap, channel}, lanes, Index(active));
  }

  void store(Index column, Index channel, int active, Register sum) {
    const std::array<Index, 3> results{depth_, row_, column};
    std::array<Index, 3> place;
    for (size_t axis = 0; axis < 3; ++axis) {
      place[axis] = results[axis] * axes_[axis].spread + Index(axes_[axis].offset);
    }
    const Index result_channel = channel * conv_.columns + Index(multiple_);
    LaneIndex at = LaneIndex::along(conv_.at(image_, result_channel, place), 1, lanes_, active);
    if (lanes_ > 1) at.steps[1] = conv_.columns;
    if (node_.has_operand(2)) {
      sum = b_.add(sum, e_.pull(node_.operands[2], at.with_dims({at.dims[1]}, {at.steps[1]})));
    }
    e_.provide_rounded(node_.results[0], at, sum);
    e_.store_results(at);
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const TapConvolution& conv_;
  const std::array<TapAxis, 3>& axes_;
  BufferId weights_;
  int lanes_;
  Index image_, depth_, row_;
  int64_t multiple_ = 0;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const TapConvolution conv, tap_convolution(context));
  const auto tiles_of = [&](const TapProblem& problem) {
    return conv.n * problem.axes[0].results * problem.axes[1].results;
  };
  int64_t num_tiles = 0;
  for (const TapProblem& problem : conv.problems) {
    num_tiles += tiles_of(problem) * static_cast<int64_t>(problem.phases.size());
  }
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 "depthwise_" + kernel_name(context), num_tiles);
  const Index tile = num_tiles > 1 ? e.builder().tile() : Index(0);
  int64_t first = 0;
  for (const TapProblem& problem : conv.problems) {
    for (const auto& phase : problem.phases) {
      const BufferId weights = e.packed_buffer("w" + std::to_string(first),
                                               pack(conv, phase, *context.constant_operand(1)));
      const int64_t end = first + tiles_of(problem);
      e.when({{tile, first, end}},
             [&] { PhaseEmitter(e, context, conv, phase, weights).run(tile - Index(first)); });
      first = end;
    }
  }
  return std::move(e).finish();
}

}  // namespace

const Variant kConvDepthwise = {.name = "conv.depthwise",
                                .predict_ns = predict_ns,
                                .lower = lower,
                                .operand_order = image_operand_order,
                                .result_order = image_result_order,
                                .prologue = no_prologue};

}  // namespace neuronc
