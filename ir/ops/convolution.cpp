// Convolutions over any number of spatial axes.
#include <fmt/format.h>

#include "ir/ops/contraction.h"
#include "ir/ops/window.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kConvOperands[] = {
    {"x", kFloats, 'T'}, {"w", kFloats, 'T'}, {"b", kFloats, 0, Arity::optional}};
constexpr ResultSpec kConvResults[] = {{"y", kFloats}};
constexpr AttributeSpec kConvAttributes[] = {{"dilations", AttributeKind::ints, "[]"},
                                             {"group", AttributeKind::i64, "1"},
                                             {"pads", AttributeKind::ints, "[]"},
                                             kResultType,
                                             {"strides", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kConvTransposeAttributes[] = {{"dilations", AttributeKind::ints, "[]"},
                                                      {"group", AttributeKind::i64, "1"},
                                                      {"output_padding", AttributeKind::ints, "[]"},
                                                      {"pads", AttributeKind::ints, "[]"},
                                                      kResultType,
                                                      {"strides", AttributeKind::ints, "[]"}};

// The kernel's spatial extents; no value where the weight's shape is not known.
std::optional<Shape> kernel_of(const Type& w) {
  if (!w.is_static()) return std::nullopt;
  Shape kernel;
  for (size_t i = 2; i < w.dims.size(); ++i) kernel.push_back(w.dims[i].number());
  return kernel;
}

OrRefusal<void> check_ranks(const Type& x, const Type& w) {
  if (x.dims.size() < 2 || x.dims.size() != w.dims.size()) {
    return refuse(fmt::format("the input has rank {}, the weights have rank {}", x.dims.size(),
                              w.dims.size()));
  }
  return {};
}

OrRefusal<void> check_channels(Dim x_channels, int64_t weight_channels, int64_t group) {
  int64_t needed = 0;
  if (group < 1 || __builtin_mul_overflow(weight_channels, group, &needed)) {
    return refuse(fmt::format("`group` is {}", group));
  }
  if (!x_channels.is_number() || x_channels.number() == needed) return {};
  return refuse(
      fmt::format("the input has {} channels, but the weights need {} ({} in each of {} "
                  "groups)",
                  x_channels.number(), needed, weight_channels, group));
}

OrRefusal<void> check_bias(const InferInput& input, size_t i, int64_t channels) {
  if (!input.has(i) || !input.operands[i].is_static()) return {};
  if (input.operands[i].shape() == Shape{channels}) return {};
  return refuse(fmt::format("the bias is not of shape [{}]", channels));
}

Types infer_conv(const InferInput& input) {
  return with_result_type(input, infer_conv_shape(input), 2);
}

Shape spatial(const Shape& shape) { return {shape.begin() + 2, shape.end()}; }

// The taps of one window that fall into the input: offsets into the input's and the kernel's
// spatial extents. `at(axis)` is where the window begins.
struct Tap {
  int64_t x_offset;
  int64_t w_offset;
};
void taps_at(const Window& window, const Shape& x_shape, const Shape& position,
             std::vector<Tap>& taps) {
  taps.clear();
  const Shape x_strides = row_major_strides(x_shape);
  int64_t w_offset = 0;
  for_each_index(window.kernel, [&](const Shape& tap) {
    int64_t x_offset = 0;
    bool is_inside = true;
    for (size_t i = 0; i < tap.size(); ++i) {
      const int64_t at =
          position[i] * window.strides[i] + tap[i] * window.dilations[i] - window.pads_begin[i];
      is_inside = is_inside && at >= 0 && at < x_shape[i];
      x_offset += at * x_strides[i];
    }
    if (is_inside) taps.push_back({x_offset, w_offset});
    ++w_offset;
  });
}

Values evaluate_conv(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  NEURONC_ASSIGN(std::vector<double> y,
                 convolve(input.op, {doubles(input.tensor(0)), input.tensor(0).shape()},
                          {doubles(input.tensor(1)), input.tensor(1).shape()}, shape));
  if (input.has(2)) {
    const std::vector<double> bias = doubles(input.tensor(2));
    const auto plane = static_cast<size_t>(num_elements(spatial(shape)));
    for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i / plane % bias.size()];
  }
  return one(from_doubles(type.dtype, shape, y));
}

double conv_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  if (!operands[1].is_static() || operands[1].rank() < 2) return 0;
  const double per_result = num_elements_of(operands[1]) /
                            static_cast<double>(std::max<int64_t>(operands[1].dims[0].number(), 1));
  return 2 * per_result * num_elements_of(results[0]);
}

OrRefusal<Dim> transposed_dim(const Window& window, size_t axis, Dim input, int64_t extra) {
  if (!input.is_number()) return Dim::unknown();
  int64_t extent = 0;
  if (__builtin_mul_overflow(input.number() - 1, window.strides[axis], &extent)) {
    return refuse("the result is too large");
  }
  extent += (window.kernel[axis] - 1) * window.dilations[axis] + 1 + extra -
            window.pads_begin[axis] - window.pads_end[axis];
  if (extent < 0) return refuse("the padding is larger than the result");
  return Dim(extent);
}

Types infer_conv_transpose_shape(const InferInput& input) {
  const Type& x = input.operands[0];
  const Type& w = input.operands[1];
  if (!x.is_ranked || !w.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
  NEURONC_TRY(check_ranks(x, w));
  const auto kernel = kernel_of(w);
  if (!kernel) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
  const int64_t group = input.op.i64("group");
  if (group < 1 || w.dims[0].number() % group != 0) {
    return refuse(
        fmt::format("{} input channels do not divide into {} groups", w.dims[0].number(), group));
  }
  NEURONC_TRY(check_channels(x.dims[1], w.dims[0].number(), 1));
  int64_t channels = 0;
  if (__builtin_mul_overflow(w.dims[1].number(), group, &channels)) {
    return refuse(fmt::format("`group` is {}", group));
  }
  NEURONC_TRY(check_bias(input, 2, channels));
  NEURONC_ASSIGN(const Window window, window_of(input.op, *kernel));
  Shape extra = input.op.ints("output_padding");
  if (extra.empty()) extra.assign(window.rank(), 0);
  if (extra.size() != window.rank()) return refuse("`output_padding` has the wrong length");
  std::vector<Dim> dims{x.dims[0], Dim(channels)};
  for (size_t i = 0; i < window.rank(); ++i) {
    NEURONC_ASSIGN(const Dim dim, transposed_dim(window, i, x.dims[i + 2], extra[i]));
    dims.push_back(dim);
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Types infer_conv_transpose(const InferInput& input) {
  return with_result_type(input, infer_conv_transpose_shape(input), 2);
}

// Scatters each input pixel: adds x * kernel into the result planes of its group.
Values evaluate_conv_transpose(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const Shape x_shape = input.tensor(0).shape();
  const Shape w_shape = input.tensor(1).shape();
  NEURONC_ASSIGN(const Window window, window_of(input.op, spatial(w_shape)));
  const std::vector<double> x = doubles(input.tensor(0));
  const std::vector<double> w = doubles(input.tensor(1));
  const int64_t group = input.op.i64("group");
  const int64_t group_inputs = x_shape[1] / group;
  const int64_t group_outputs = w_shape[1];
  const int64_t x_plane = num_elements(spatial(x_shape));
  const int64_t w_plane = num_elements(window.kernel);
  const int64_t y_plane = num_elements(spatial(shape));
  std::vector<double> y(static_cast<size_t>(type.num_elements()), 0.0);

  // A tap's offset lies in the result here: the same window read backwards.
  std::vector<Tap> taps;
  int64_t pixel = 0;
  for_each_index(spatial(x_shape), [&](const Shape& position) {
    taps_at(window, spatial(shape), position, taps);
    for (int64_t n = 0; n < shape[0]; ++n) {
      for (int64_t c = 0; c < x_shape[1]; ++c) {
        const double value = x[static_cast<size_t>((n * x_shape[1] + c) * x_plane + pixel)];
        for (int64_t m = 0; m < group_outputs; ++m) {
          const int64_t channel = c / group_inputs * group_outputs + m;
          double* plane = y.data() + (n * shape[1] + channel) * y_plane;
          const double* kernel = w.data() + (c * group_outputs + m) * w_plane;
          for (const Tap& tap : taps) plane[tap.x_offset] += value * kernel[tap.w_offset];
        }
      }
    }
    ++pixel;
  });
  if (input.has(2)) {
    const std::vector<double> bias = doubles(input.tensor(2));
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] += bias[i / static_cast<size_t>(y_plane) % bias.size()];
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

double conv_transpose_flops(const OpView&, std::span<const Type> operands, std::span<const Type>) {
  if (!operands[1].is_static() || operands[1].rank() < 2) return 0;
  const double per_input = num_elements_of(operands[1]) /
                           static_cast<double>(std::max<int64_t>(operands[1].dims[0].number(), 1));
  return 2 * per_input * num_elements_of(operands[0]);
}

}  // namespace

namespace ops {

Types infer_conv_shape(const InferInput& input) {
  const Type& x = input.operands[0];
  const Type& w = input.operands[1];
  if (!x.is_ranked || !w.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
  NEURONC_TRY(check_ranks(x, w));
  const auto kernel = kernel_of(w);
  if (!kernel) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
  const int64_t group = input.op.i64("group");
  const int64_t channels = w.dims[0].number();
  NEURONC_TRY(check_channels(x.dims[1], w.dims[1].number(), group));
  if (channels % group != 0) {
    return refuse(fmt::format("{} output channels do not divide into {} groups", channels, group));
  }
  NEURONC_TRY(check_bias(input, 2, channels));
  NEURONC_ASSIGN(const Window window, window_of(input.op, *kernel));
  std::vector<Dim> dims{x.dims[0], Dim(channels)};
  for (size_t i = 0; i < window.rank(); ++i) {
    NEURONC_ASSIGN(const Dim dim, window_result_dim(window, i, x.dims[i + 2], CeilMode::no));
    dims.push_back(dim);
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

OrRefusal<std::vector<double>> convolve(const OpView& op, const Numbers& x, const Numbers& w,
                                        const Shape& shape) {
  NEURONC_ASSIGN(const Window window, window_of(op, spatial(w.shape)));
  const int64_t group_inputs = w.shape[1];
  const int64_t group_outputs = shape[1] / op.i64("group");
  const int64_t x_plane = num_elements(spatial(x.shape));
  const int64_t w_plane = num_elements(window.kernel);
  const int64_t y_plane = num_elements(spatial(shape));
  std::vector<double> y(static_cast<size_t>(num_elements(shape)));
  std::vector<Tap> taps;
  int64_t pixel = 0;
  for_each_index(spatial(shape), [&](const Shape& position) {
    taps_at(window, spatial(x.shape), position, taps);
    for (int64_t n = 0; n < shape[0]; ++n) {
      for (int64_t m = 0; m < shape[1]; ++m) {
        double sum = 0;
        const int64_t first_input = m / group_outputs * group_inputs;
        for (int64_t c = 0; c < group_inputs; ++c) {
          const double* plane = x.values.data() + (n * x.shape[1] + first_input + c) * x_plane;
          const double* kernel = w.values.data() + (m * group_inputs + c) * w_plane;
          for (const Tap& tap : taps) sum += plane[tap.x_offset] * kernel[tap.w_offset];
        }
        y[static_cast<size_t>((n * shape[1] + m) * y_plane + pixel)] = sum;
      }
    }
    ++pixel;
  });
  return y;
}

}  // namespace ops

/// Cross-correlates `x` with `w` in `group` groups of channels and adds `b`.
///   y[n,m,p..] = b[m] + sum over c,r.. of x[n, g*C/group + c, p*stride + r*dilation - pad ..]
///                                       * w[m,c,r..], where g = m / (M/group)
/// Shapes: x [N,C,D...], w [M,C/group,R...], b [M] optional, y [N,M,P...], 0 or more spatial axes.
/// Types: floats; accumulates in f32 or more, and rounds once to `result_type`.   Attributes: see
/// ir/ops/window.h; pads are all begins, then all ends.   Source: ONNX Conv-22.
NEURONC_OP(conv) = {"conv",
                    "convolution with groups, strides and dilations",
                    "ONNX Conv-22",
                    kConvOperands,
                    kConvAttributes,
                    kConvResults,
                    Trait::matmul_like | Trait::anchor,
                    Precision::matmul,
                    infer_conv,
                    evaluate_conv,
                    conv_flops};

/// The transposed convolution: each input pixel adds its multiple of the kernel to the result.
///   y[n, g*M' + m, p*stride + r*dilation - pad ..] += x[n,c,p..] * w[c,m,r..], g = c / (C/group)
/// Shapes: x [N,C,D...], w [C,M',R...], b [M'*group] optional, y [N,M'*group,P...] with
/// P = (D-1)*stride + (R-1)*dilation + 1 + output_padding - pads.
/// Types: floats.   Source: ONNX ConvTranspose-22 (its output_shape becomes pads at import).
NEURONC_OP(conv_transpose) = {"conv_transpose",
                              "transposed convolution",
                              "ONNX ConvTranspose-22",
                              kConvOperands,
                              kConvTransposeAttributes,
                              kConvResults,
                              Trait::matmul_like | Trait::anchor,
                              Precision::matmul,
                              infer_conv_transpose,
                              evaluate_conv_transpose,
                              conv_transpose_flops};

}  // namespace neuronc
