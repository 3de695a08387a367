// Fourier transforms and what goes with them: windows and mel weights. The transforms are the sums
// of their definition, with exact reduction of the angles.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};

// The only number of operand `i`, where it is known.
OrRefusal<std::optional<int64_t>> known_scalar(const InferInput& input, size_t i) {
  const auto values = known_ints(input, i);
  if (!values) return std::nullopt;
  if (values->size() != 1) {
    return refuse(fmt::format("`{}` is not one number", input.op.def.operands[i].name));
  }
  return (*values)[0];
}

// ---- windows

constexpr OperandSpec kSizeOperand[] = {{"size", kIndices}};
constexpr ResultSpec kWindowY[] = {{"y", kNumeric}};
constexpr AttributeSpec kWindowAttributes[] = {{"output_datatype", AttributeKind::dtype, "f32"},
                                               {"periodic", AttributeKind::i64, "1"}};

Types infer_window(const InferInput& input) {
  NEURONC_ASSIGN(const auto size, known_scalar(input, 0));
  if (size && *size < 0) return refuse("the size is negative");
  return std::vector<Type>{
      ranked(input.op.dtype("output_datatype"), {size ? Dim(*size) : Dim::unknown()})};
}

// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N), N = size, or size - 1 for a symmetric window.
Values make_window(const EvaluateInput& input, double a0, double a1, double a2) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const int64_t size = type.num_elements();
  const double period =
      static_cast<double>(input.op.i64("periodic") != 0 ? size : std::max<int64_t>(size - 1, 1));
  std::vector<double> y;
  for (int64_t n = 0; n < size; ++n) {
    const double angle = 2 * kPi * static_cast<double>(n) / period;
    y.push_back(a0 - a1 * math::cos(angle) + a2 * math::cos(2 * angle));
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

Values evaluate_hann(const EvaluateInput& input) { return make_window(input, 0.5, 0.5, 0); }
Values evaluate_hamming(const EvaluateInput& input) {
  return make_window(input, 25.0 / 46, 21.0 / 46, 0);
}
Values evaluate_blackman(const EvaluateInput& input) { return make_window(input, 0.42, 0.5, 0.08); }

// ---- transforms

// exp(-2 pi i k / n) for k in [0, n).
struct Twiddles {
  explicit Twiddles(int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const double angle = -2 * kPi * static_cast<double>(k) / static_cast<double>(n);
      real.push_back(math::cos(angle));
      imaginary.push_back(math::sin(angle));
    }
  }
  std::vector<double> real, imaginary;
};

struct Complex {
  double real = 0, imaginary = 0;
};

// Term `k` of the transform of `line`, cut or filled with zeros to the twiddles' length.
Complex transform_term(const std::vector<Complex>& line, const Twiddles& twiddles, int64_t k,
                       bool is_inverse) {
  const auto n = static_cast<int64_t>(twiddles.real.size());
  Complex sum;
  int64_t at = 0;
  for (int64_t i = 0; i < std::min<int64_t>(n, static_cast<int64_t>(line.size())); ++i) {
    const Complex x = line[static_cast<size_t>(i)];
    const double c = twiddles.real[static_cast<size_t>(at)];
    const double s = is_inverse ? -twiddles.imaginary[static_cast<size_t>(at)]
                                : twiddles.imaginary[static_cast<size_t>(at)];
    sum.real += x.real * c - x.imaginary * s;
    sum.imaginary += x.real * s + x.imaginary * c;
    at = (at + k) % n;
  }
  if (is_inverse) {
    sum.real /= static_cast<double>(n);
    sum.imaginary /= static_cast<double>(n);
  }
  return sum;
}

constexpr OperandSpec kDftOperands[] = {{"x", kFloats, 'T'},
                                        {"dft_length", kIndices, 0, Arity::optional},
                                        {"axis", kIndices, 0, Arity::optional}};
constexpr AttributeSpec kDftAttributes[] = {{"inverse", AttributeKind::i64, "0"},
                                            {"onesided", AttributeKind::i64, "0"}};

Types infer_dft(const InferInput& input) {
  Type type = input.operands[0];
  if (!type.is_ranked) return std::vector<Type>{type};
  if (type.rank() < 2) return refuse("the operand has no axis of real and imaginary parts");
  const Dim parts = type.dims.back();
  if (parts.is_number() && parts != Dim(1) && parts != Dim(2)) {
    return refuse("the last axis does not hold real and imaginary parts");
  }
  int64_t axis = type.rank() - 2;
  if (input.has(2)) {
    NEURONC_ASSIGN(const auto given, known_scalar(input, 2));
    if (!given) return std::vector<Type>{unknown_dims(type.dtype, type.rank())};
    NEURONC_ASSIGN(axis, resolve_axis(*given, type.rank()));
    if (axis == type.rank() - 1) return refuse("the axis is that of real and imaginary parts");
  }
  const bool is_inverse = input.op.i64("inverse") != 0;
  const bool is_onesided = input.op.i64("onesided") != 0;
  Dim length = type.dims[static_cast<size_t>(axis)];
  if (is_inverse && is_onesided && length.is_number()) {
    length = std::max<int64_t>(2 * (length.number() - 1), 0);
  }
  if (input.has(1)) {
    NEURONC_ASSIGN(const auto given, known_scalar(input, 1));
    length = given ? Dim(std::max<int64_t>(*given, 0)) : Dim::unknown();
  }
  const bool halves = is_onesided && !is_inverse && length.is_number();
  type.dims[static_cast<size_t>(axis)] = halves                       ? Dim(length.number() / 2 + 1)
                                         : is_onesided && !is_inverse ? Dim::unknown()
                                                                      : length;
  type.dims.back() = is_inverse && is_onesided ? Dim(1) : Dim(2);
  return std::vector<Type>{std::move(type)};
}

Values evaluate_dft(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const std::vector<double> values = doubles(x);
  int64_t axis = x.rank() - 2;
  if (input.has(2)) {
    NEURONC_ASSIGN(axis, resolve_axis(input.tensor(2).i64(0), x.rank()));
  }
  const bool is_inverse = input.op.i64("inverse") != 0;
  const bool is_onesided = input.op.i64("onesided") != 0;
  const bool mirrors = is_inverse && is_onesided;
  const AxisView in = axis_view(x.shape(), axis);
  const AxisView out = axis_view(type.shape(), axis);
  const int64_t parts = x.shape().back();
  const int64_t result_parts = type.dims.back().number();
  const int64_t length = input.has(1)              ? std::max<int64_t>(input.tensor(1).i64(0), 0)
                         : is_onesided && !mirrors ? in.extent
                                                   : out.extent;
  const Twiddles twiddles(length);
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  const int64_t num_inner = in.inner / parts;
  for (int64_t l = 0; l < in.outer * num_inner; ++l) {
    const int64_t outer = l / num_inner;
    const int64_t inner = l % num_inner;
    std::vector<Complex> line;
    for (int64_t i = 0; i < in.extent; ++i) {
      const int64_t at = (outer * in.extent + i) * in.inner + inner * parts;
      line.push_back(
          {values[static_cast<size_t>(at)], parts == 2 ? values[static_cast<size_t>(at + 1)] : 0});
    }
    if (mirrors) {
      // The other half of a real signal's spectrum is the conjugate of this one.
      line.resize(static_cast<size_t>(std::min(in.extent, length / 2 + 1)));
      line.resize(static_cast<size_t>(length));
      for (int64_t i = 1; 2 * i < length; ++i) {
        const Complex c = line[static_cast<size_t>(i)];
        line[static_cast<size_t>(length - i)] = {c.real, -c.imaginary};
      }
    }
    for (int64_t k = 0; k < out.extent; ++k) {
      const Complex term = transform_term(line, twiddles, k, is_inverse);
      const int64_t at = (outer * out.extent + k) * out.inner + inner * result_parts;
      y[static_cast<size_t>(at)] = term.real;
      if (result_parts == 2) y[static_cast<size_t>(at + 1)] = term.imaginary;
    }
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

constexpr OperandSpec kStftOperands[] = {{"signal", kFloats, 'T'},
                                         {"frame_step", kIndices},
                                         {"window", kFloats, 'T', Arity::optional},
                                         {"frame_length", kIndices, 0, Arity::optional}};
constexpr AttributeSpec kStftAttributes[] = {{"onesided", AttributeKind::i64, "1"}};

Types infer_stft(const InferInput& input) {
  const Type& signal = input.operands[0];
  const DType dtype = signal.dtype;
  NEURONC_ASSIGN(const auto step, known_scalar(input, 1));
  if (step && *step < 1) return refuse("`frame_step` is less than 1");
  Dim length;
  if (input.has(3)) {
    NEURONC_ASSIGN(const auto given, known_scalar(input, 3));
    if (given && *given < 1) return refuse("`frame_length` is less than 1");
    if (given) length = *given;
  } else if (!input.has(2)) {
    return refuse("neither `window` nor `frame_length` is given");
  }
  if (input.has(2) && input.operands[2].is_ranked) {
    if (input.operands[2].rank() != 1) return refuse("the window is not of rank 1");
    NEURONC_ASSIGN(length, same_dim(length, input.operands[2].dims[0], "the frame's length"));
  }
  if (!signal.is_ranked) return std::vector<Type>{unknown_dims(dtype, 4)};
  if (signal.rank() != 3 && signal.rank() != 2) return refuse("the signal is not of rank 3");
  if (signal.rank() == 3 && signal.dims[2].is_number() && signal.dims[2] != Dim(1) &&
      signal.dims[2] != Dim(2)) {
    return refuse("the last axis does not hold real and imaginary parts");
  }
  Dim frames;
  if (signal.dims[1].is_number() && length.is_number() && step) {
    if (length.number() > signal.dims[1].number()) {
      return refuse("a frame is longer than the signal");
    }
    frames = (signal.dims[1].number() - length.number()) / *step + 1;
  }
  Dim bins = length;
  if (input.op.i64("onesided") != 0 && length.is_number()) bins = length.number() / 2 + 1;
  if (input.op.i64("onesided") != 0 && !length.is_number()) bins = Dim::unknown();
  return std::vector<Type>{ranked(dtype, {signal.dims[0], frames, bins, Dim(2)})};
}

Values evaluate_stft(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& signal = input.tensor(0);
  const std::vector<double> values = doubles(signal);
  const int64_t parts = signal.rank() == 3 ? signal.shape()[2] : 1;
  const int64_t step = input.tensor(1).i64(0);
  const int64_t length = input.has(3) ? input.tensor(3).i64(0) : input.tensor(2).num_elements();
  const Twiddles twiddles(length);
  const Shape shape = type.shape();
  std::vector<double> y;
  for (int64_t b = 0; b < shape[0]; ++b) {
    for (int64_t frame = 0; frame < shape[1]; ++frame) {
      std::vector<Complex> line;
      for (int64_t i = 0; i < length; ++i) {
        const auto at = static_cast<size_t>((b * signal.shape()[1] + frame * step + i) * parts);
        const double weight = input.has(2) ? input.tensor(2).f64(i) : 1;
        line.push_back({values[at] * weight, parts == 2 ? values[at + 1] * weight : 0});
      }
      for (int64_t k = 0; k < shape[2]; ++k) {
        const Complex term = transform_term(line, twiddles, k, false);
        y.push_back(term.real);
        y.push_back(term.imaginary);
      }
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

// ---- mel weights

constexpr OperandSpec kMelOperands[] = {{"num_mel_bins", kIndices},
                                        {"dft_length", kIndices},
                                        {"sample_rate", kIndices},
                                        {"lower_edge_hertz", kFloats},
                                        {"upper_edge_hertz", kFloats}};
constexpr AttributeSpec kMelAttributes[] = {{"output_datatype", AttributeKind::dtype, "f32"}};

Types infer_mel(const InferInput& input) {
  NEURONC_ASSIGN(const auto bins, known_scalar(input, 0));
  NEURONC_ASSIGN(const auto length, known_scalar(input, 1));
  if ((bins && *bins < 0) || (length && *length < 0)) return refuse("a size is negative");
  return std::vector<Type>{
      ranked(input.op.dtype("output_datatype"),
             {length ? Dim(*length / 2 + 1) : Dim::unknown(), bins ? Dim(*bins) : Dim::unknown()})};
}

Values evaluate_mel(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  for (size_t i = 2; i < input.operands.size(); ++i) {
    if (input.tensor(i).num_elements() != 1) {
      return refuse(fmt::format("`{}` is not one number", input.op.def.operands[i].name));
    }
  }
  constexpr double kLogTen = 2.30258509299404568402;
  const int64_t rows = type.dims[0].number();
  const int64_t columns = type.dims[1].number();
  const double length = input.tensor(1).f64(0);
  const double rate = input.tensor(2).f64(0);
  const auto mel = [&](double hertz) { return 2595 * math::log(1 + hertz / 700) / kLogTen; };
  const double low = mel(input.tensor(3).f64(0));
  const double step = (mel(input.tensor(4).f64(0)) - low) / static_cast<double>(columns + 2);
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < columns + 2; ++i) {
    const double at = low + step * static_cast<double>(i);
    const double hertz = 700 * (math::exp(at / 2595 * kLogTen) - 1);
    const double bin = std::floor((length + 1) * hertz / rate);
    if (!(bin >= 0 && bin < static_cast<double>(rows) + 1)) {
      return refuse("the edges lie outside the spectrum");
    }
    edges.push_back(static_cast<int64_t>(bin));
  }
  std::vector<double> y(static_cast<size_t>(rows * columns), 0);
  for (int64_t i = 0; i < columns; ++i) {
    const int64_t lower = edges[static_cast<size_t>(i)];
    const int64_t centre = edges[static_cast<size_t>(i + 1)];
    const int64_t upper = edges[static_cast<size_t>(i + 2)];
    const auto set = [&](int64_t row, double value) {
      if (row < rows) y[static_cast<size_t>(row * columns + i)] = value;
    };
    if (lower == centre) set(centre, 1);
    for (int64_t row = lower; lower != centre && row <= centre; ++row) {
      set(row, static_cast<double>(row - lower) / static_cast<double>(centre - lower));
    }
    for (int64_t row = centre; centre != upper && row < upper; ++row) {
      set(row, static_cast<double>(upper - row) / static_cast<double>(upper - centre));
    }
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

double dft_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  // As a fast transform would need.
  return 5 * num_elements_of(results[0]) * std::log2(num_elements_of(operands[0]) + 2);
}

}  // namespace

#define WINDOW_ROW(op_name, text, onnx, evaluator)                                    \
  NEURONC_OP(op_name) = {#op_name,          text,      onnx,        kSizeOperand,     \
                         kWindowAttributes, kWindowY,  Trait::host, Precision::fixed, \
                         infer_window,      evaluator, no_flops};

// Their size is a value: where it is known they are constants, and folded; else the host makes
// them. y[n] for n in [0, size), with t = 2 pi n / N, N = size, or size - 1 where `periodic` is 0.
// clang-format off
WINDOW_ROW(blackman_window, "0.42 - 0.5 cos t + 0.08 cos 2t", "ONNX BlackmanWindow-17", evaluate_blackman)
WINDOW_ROW(hamming_window, "25/46 - 21/46 cos t", "ONNX HammingWindow-17", evaluate_hamming)
WINDOW_ROW(hann_window, "0.5 - 0.5 cos t", "ONNX HannWindow-17", evaluate_hann)
// clang-format on

/// y[k] = sum of x[i] exp(-2 pi i k / n) along `axis`, n = `dft_length` or the extent; x is cut or
/// filled with zeros. `inverse` conjugates and divides by n; `onesided` gives the first n/2+1
/// terms, and inverts from them to a real signal. Shapes: the last axis of x holds real (and
/// imaginary) parts, that of y both.   Types: floats. Source: ONNX DFT-20.
NEURONC_OP(dft) = {"dft",          "the discrete Fourier transform",
                   "ONNX DFT-20",  kDftOperands,
                   kDftAttributes, kFloatY,
                   Trait::none,    Precision::statistic,
                   infer_dft,      evaluate_dft,
                   dft_flops};

/// y[b,f] = the transform of window * signal[b, f*frame_step ..].
/// Shapes: signal [B,L,1 or 2], y [B, frames, bins, 2]; bins n/2+1 with `onesided`.   Types:
/// floats. Source: ONNX STFT-17.
NEURONC_OP(stft) = {"stft",          "Fourier transforms of a signal's frames",
                    "ONNX STFT-17",  kStftOperands,
                    kStftAttributes, kFloatY,
                    Trait::none,     Precision::statistic,
                    infer_stft,      evaluate_stft,
                    dft_flops};

/// Made by the host for the reason given at the windows.
/// Triangular weights that gather a spectrum of dft_length/2+1 bins into bands of the mel scale.
/// Shapes: y [dft_length/2+1, num_mel_bins].   Source: ONNX MelWeightMatrix-17.
NEURONC_OP(mel_weight_matrix) = {"mel_weight_matrix",
                                 "weights from a spectrum to mel bands",
                                 "ONNX MelWeightMatrix-17",
                                 kMelOperands,
                                 kMelAttributes,
                                 kWindowY,
                                 Trait::host,
                                 Precision::fixed,
                                 infer_mel,
                                 evaluate_mel,
                                 no_flops};

}  // namespace neuronc
