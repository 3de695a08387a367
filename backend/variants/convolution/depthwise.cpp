// Depthwise convolution on channels-last memory: lanes run along channels.
//
//   for result row, for run of kRun result columns, for vector of channels:
//     acc[t] += x(row, column) * w(r, s)  for every input column that the run touches
//
// Each input vector is loaded once for the whole run. Window rows outside the image are skipped;
// columns near the borders go one at a time with a guard per tap. Every element is summed in the
// order (r, s) whichever path computes it.
#include <algorithm>

#include "backend/variants/convolution/geometry.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int kRun = 4;  // result columns per run
constexpr int64_t kMaxTaps = 49;

struct Depthwise {
  GroupEmitter& e;
  const ConvGeometry& g;
  const Node& conv;
  BufferId weights;  // f32 [r, s, c]
  int lanes;
  Index image, row;
};

// Of the vector rate of the hardware model, which counts loads and stores as work.
constexpr double kVectorRates = 3;

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const ConvGeometry g, conv_geometry(context));
  if (!g.is_depthwise() || g.m != g.c) return refuse("not one result channel per input channel");
  if (g.r * g.s > kMaxTaps) return refuse("the window is larger than 49 taps");
  if (context.constant_operand(1) == nullptr) return refuse("the weights are not constant");
  if (!is_float(context.constant_operand(1)->dtype()) ||
      context.constant_operand(1)->dtype() == DType::f64) {
    return refuse("the weights are not f32, bf16 or f16");
  }
  if (g.p * g.q == 0 || g.n == 0) return refuse("it has no elements");
  if (g.c < context.machine.isa.vector_bytes / 4) return refuse("fewer channels than lanes");
  const double flops = 2.0 * static_cast<double>(g.n * g.c * g.p * g.q * g.r * g.s);
  const HardwareModel& hardware = context.machine.hardware;
  return hardware.launch_ns + flops / (kVectorRates * hardware.vector_flops_per_s) * 1e9;
}

Tensor pack(const ConvGeometry& g, const Tensor& weights) {
  Tensor packed = Tensor::zeros(DType::f32, {g.r, g.s, g.c});
  float* to = packed.mutable_as<float>().data();
  for (int64_t c = 0; c < g.c; ++c) {
    for (int64_t tap = 0; tap < g.r * g.s; ++tap) {
      to[tap * g.c + c] = static_cast<float>(weights.f64(c * g.r * g.s + tap));
    }
  }
  return packed;
}

Register load_weight(const Depthwise& d, int64_t r, int64_t s, Index channel, int active) {
  kernel::Builder& b = d.e.builder();
  const kernel::Lanes lanes{d.lanes, 2};
  if (active == d.lanes) return b.load(d.weights, {Index(r), Index(s), channel}, lanes);
  return b.load_partial(d.weights, {Index(r), Index(s), channel}, lanes, Index(active));
}

Register load_input(const Depthwise& d, Index row, Index column, Index channel, int active) {
  return d.e.pull(d.conv.operands[0],
                  LaneIndex::along(d.g.at(d.image, channel, row, column), 1, d.lanes, active));
}

void store(const Depthwise& d, Index column, Index channel, int active, Register sum) {
  const LaneIndex at =
      LaneIndex::along(d.g.at(d.image, channel, d.row, column), 1, d.lanes, active);
  if (d.conv.has_operand(2)) {
    sum = d.e.builder().add(
        sum, d.e.pull(d.conv.operands[2], LaneIndex::along({channel}, 0, d.lanes, active)));
  }
  d.e.provide_rounded(d.conv.results[0], at, sum);
  d.e.store_results(at);
}

// `run` result columns from `column`, all of whose taps lie inside the image's width.
void emit_run(const Depthwise& d, Index column, int run, Index channel, int active) {
  const ConvGeometry& g = d.g;
  kernel::Builder& b = d.e.builder();
  Values sums(static_cast<size_t>(run), b.f32(0.0f, d.lanes));
  const int64_t span = (run - 1) * g.stride_w + (g.s - 1) * g.dilation_w + 1;
  for (int64_t r = 0; r < g.r; ++r) {
    const Index row = d.row * g.stride_h + Index(r * g.dilation_h - g.pad_top);
    const auto add_row = [&]() -> Values {
      Values next = sums;
      Values taps;
      for (int64_t s = 0; s < g.s; ++s) taps.push_back(load_weight(d, r, s, channel, active));
      for (int64_t j = 0; j < span; ++j) {
        Register x;
        for (int64_t s = 0; s < g.s; ++s) {
          const int64_t t = (j - s * g.dilation_w) / g.stride_w;
          if (t < 0 || t >= run || t * g.stride_w + s * g.dilation_w != j) continue;
          if (!x.id) {
            x = load_input(d, row, column * g.stride_w + Index(j - g.pad_left), channel, active);
          }
          Register& sum = next[static_cast<size_t>(t)];
          sum = b.fma(x, taps[static_cast<size_t>(s)], sum);
        }
      }
      return next;
    };
    const kernel::Interval range = row.interval();
    if (range.lo >= 0 && range.hi < g.h) {
      sums = add_row();
    } else {
      sums = d.e.choose({{row, 0, g.h}}, add_row, [&] { return sums; });
    }
  }
  for (int t = 0; t < run; ++t) {
    store(d, column + Index(t), channel, active, sums[static_cast<size_t>(t)]);
  }
}

// One result column, with a guard for every tap.
void emit_border(const Depthwise& d, Index column, Index channel, int active) {
  const ConvGeometry& g = d.g;
  kernel::Builder& b = d.e.builder();
  Values sum{b.f32(0.0f, d.lanes)};
  for (int64_t r = 0; r < g.r; ++r) {
    for (int64_t s = 0; s < g.s; ++s) {
      const Index row = d.row * g.stride_h + Index(r * g.dilation_h - g.pad_top);
      const Index x = column * g.stride_w + Index(s * g.dilation_w - g.pad_left);
      sum = d.e.choose(
          {{row, 0, g.h}, {x, 0, g.w}},
          [&]() -> Values {
            return {b.fma(load_input(d, row, x, channel, active),
                          load_weight(d, r, s, channel, active), sum[0])};
          },
          [&] { return sum; });
    }
  }
  store(d, column, channel, active, sum[0]);
}

void for_each_vector(const Depthwise& d, const std::function<void(Index, int)>& body) {
  const int64_t whole = d.g.c / d.lanes * d.lanes;
  d.e.loop({0, whole, d.lanes}, [&](Index channel) { body(channel, d.lanes); });
  if (whole < d.g.c) body(Index(whole), static_cast<int>(d.g.c - whole));
}

void emit_row(const Depthwise& d) {
  const ConvGeometry& g = d.g;
  // Columns whose taps are all inside: [first, last).
  const int64_t reach = (g.s - 1) * g.dilation_w;
  const int64_t first = std::min(g.q, (g.pad_left + g.stride_w - 1) / g.stride_w);
  const int64_t room = g.w - 1 - reach + g.pad_left;
  const int64_t last = std::clamp(room < 0 ? 0 : room / g.stride_w + 1, first, g.q);
  const auto borders = [&](int64_t from, int64_t to) {
    if (from >= to) return;
    d.e.loop({from, to, 1}, [&](Index column) {
      for_each_vector(d, [&](Index c, int active) { emit_border(d, column, c, active); });
    });
  };
  borders(0, first);
  const int64_t runs_end = first + (last - first) / kRun * kRun;
  if (runs_end > first) {
    d.e.loop({first, runs_end, kRun}, [&](Index column) {
      for_each_vector(d, [&](Index c, int active) { emit_run(d, column, kRun, c, active); });
    });
  }
  if (runs_end < last) {
    const auto run = static_cast<int>(last - runs_end);
    for_each_vector(d, [&](Index c, int active) { emit_run(d, Index(runs_end), run, c, active); });
  }
  borders(last, g.q);
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const ConvGeometry g, conv_geometry(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 "depthwise_" + kernel_name(context), g.n * g.p);
  const BufferId weights = e.packed_buffer("w", pack(g, *context.constant_operand(1)));
  const Index t = g.n * g.p > 1 ? e.builder().tile() : Index(0);
  const Depthwise d{e,
                    g,
                    context.anchor_node(),
                    weights,
                    context.machine.isa.vector_bytes / 4,
                    kernel::floor_div(t, g.p),
                    kernel::mod(t, g.p)};
  emit_row(d);
  return std::move(e).finish();
}

DimOrder operand_order(const GroupContext& context, size_t operand) {
  return operand == 1 ? DimOrder() : channels_last(context.result_shape().size());
}

DimOrder result_order(const GroupContext& context) {
  return channels_last(context.result_shape().size());
}

}  // namespace

const Variant kConvDepthwise = {.name = "conv.depthwise",
                                .predict_ns = predict_ns,
                                .lower = lower,
                                .operand_order = operand_order,
                                .result_order = result_order,
                                .prologue = no_prologue};

}  // namespace neuronc
