// Implements taps.h.
#include "backend/variants/convolution/taps.h"

#include <algorithm>
#include <numeric>

namespace neuronc {

using kernel::Index;

bool TapAxis::reads_as(const TapAxis& other) const {
  return input == other.input && results == other.results && taps == other.taps &&
         stride == other.stride && dilation == other.dilation && base == other.base;
}

bool TapProblem::is_inside() const {
  return std::all_of(axes.begin(), axes.end(), [](const TapAxis& a) { return a.is_inside(); });
}

std::vector<Index> TapConvolution::at(Index image, Index channel,
                                      const std::array<Index, 3>& place) const {
  std::vector<Index> dims{image, channel};
  for (size_t axis = 5 - rank; axis < 3; ++axis) dims.push_back(place[axis]);
  return dims;
}

int64_t TapConvolution::weight_at(int64_t group, int64_t column, int64_t channel,
                                  const std::array<int64_t, 3>& element) const {
  int64_t at = is_transposed ? (group * channels + channel) * columns + column
                             : (group * columns + column) * channels + channel;
  for (size_t axis = 0; axis < 3; ++axis) {
    if (element[axis] < 0) return -1;
    at = at * window[axis] + element[axis];
  }
  return at;
}

namespace {

// More phases are left to the default: code grows with each.
constexpr size_t kMaxProblems = 64;

struct AxisWindow {
  int64_t input, result, kernel, stride, dilation, pad;
};

TapAxis plain_axis(const AxisWindow& w) {
  TapAxis axis;
  axis.input = w.input;
  axis.results = w.result;
  axis.taps = w.kernel;
  axis.stride = w.stride;
  axis.dilation = w.dilation;
  axis.base = -w.pad;
  return axis;
}

// Result o = r * s + phase meets tap t at input (o + pad - t * d) / s where that is whole, which is
// r + shift - e(t): taps in falling order meet rising positions.
TapAxis phase_axis(const AxisWindow& w, int64_t phase) {
  TapAxis axis;
  axis.input = w.input;
  axis.results = (w.result - phase + w.stride - 1) / w.stride;
  axis.spread = w.stride;
  axis.offset = phase;
  const int64_t residue = (phase + w.pad) % w.stride, shift = (phase + w.pad) / w.stride;
  std::vector<int64_t> taps;
  for (int64_t t = 0; t < w.kernel; ++t) {
    if (t * w.dilation % w.stride == residue) taps.push_back(t);
  }
  if (taps.empty()) {
    // Nothing but the bias: one tap whose weight is zero, and which reads no pixel.
    axis.base = w.input;
    axis.first_weight = -1;
    axis.weight_step = 0;
    return axis;
  }
  const auto distance = [&](int64_t t) { return (t * w.dilation - residue) / w.stride; };
  axis.taps = static_cast<int64_t>(taps.size());
  axis.base = shift - distance(taps.back());
  axis.first_weight = taps.back();
  if (taps.size() > 1) {
    axis.dilation = distance(taps[1]) - distance(taps[0]);
    axis.weight_step = taps[0] - taps[1];
  }
  return axis;
}

// The phases of an axis, neighbours together that read the same pixels.
std::vector<std::vector<TapAxis>> phase_runs(const AxisWindow& w) {
  std::vector<std::vector<TapAxis>> runs;
  for (int64_t phase = 0; phase < std::min(w.stride, w.result); ++phase) {
    const TapAxis axis = phase_axis(w, phase);
    if (runs.empty() || !runs.back()[0].reads_as(axis)) runs.emplace_back();
    runs.back().push_back(axis);
  }
  return runs;
}

// The phases of a problem are a grid of neighbours, whose last axis changes fastest.
TapProblem grid_problem(const std::array<const std::vector<TapAxis>*, 3>& runs) {
  TapProblem problem{{(*runs[0])[0], (*runs[1])[0], (*runs[2])[0]}, {}};
  for (const TapAxis& depth : *runs[0]) {
    for (const TapAxis& height : *runs[1]) {
      for (const TapAxis& width : *runs[2]) problem.phases.push_back({depth, height, width});
    }
  }
  return problem;
}

void add_phases(TapConvolution& conv, const std::array<AxisWindow, 3>& windows) {
  const auto depths = phase_runs(windows[0]);
  const auto heights = phase_runs(windows[1]), widths = phase_runs(windows[2]);
  for (const auto& depth : depths) {
    for (const auto& height : heights) {
      for (const auto& width : widths) {
        conv.problems.push_back(grid_problem({&depth, &height, &width}));
      }
    }
  }
}

}  // namespace

OrRefusal<TapConvolution> tap_convolution(const GroupContext& context) {
  const Node& node = context.anchor_node();
  const std::vector<int64_t> x = context.operand_shape(0), w = context.operand_shape(1);
  const std::vector<int64_t> y = context.result_shape();
  if (x.size() < 3 || x.size() > 5) return refuse("one to three spatial dims only");
  if (num_elements(y) == 0 || num_elements(x) == 0 || num_elements(w) == 0) {
    return refuse("it has no elements");
  }
  NEURONC_ASSIGN(const Window window, window_of(node.view(), {w.begin() + 2, w.end()}));
  TapConvolution conv;
  conv.rank = x.size();
  conv.is_transposed = node.op == Op::conv_transpose;
  conv.n = x[0];
  conv.groups = node.view().i64("group");
  conv.channels = x[1] / conv.groups;
  conv.columns = y[1] / conv.groups;
  std::array<AxisWindow, 3> windows;
  windows.fill({1, 1, 1, 1, 1, 0});
  for (size_t i = 0; i < window.rank(); ++i) {
    const size_t axis = i + 5 - conv.rank;
    windows[axis] = {x[i + 2],
                     y[i + 2],
                     window.kernel[i],
                     window.strides[i],
                     window.dilations[i],
                     window.pads_begin[i]};
    conv.window[axis] = window.kernel[i];
    conv.result[axis] = y[i + 2];
  }
  if (conv.is_transposed) {
    int64_t num_phases = 1;
    for (const AxisWindow& axis : windows) num_phases *= std::min(axis.stride, axis.result);
    if (num_phases > 4096) return refuse("more than 4096 phases");
    add_phases(conv, windows);
  } else {
    const std::array<TapAxis, 3> axes{plain_axis(windows[0]), plain_axis(windows[1]),
                                      plain_axis(windows[2])};
    conv.problems.push_back({axes, {axes}});
  }
  if (conv.problems.size() > kMaxProblems) return refuse("its phases read different pixels");
  return conv;
}

}  // namespace neuronc
