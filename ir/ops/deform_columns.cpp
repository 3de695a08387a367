// Deformable convolution up to its product: the columns that windows with moved taps read.
#include "ir/ops/deform_columns.h"

#include <fmt/format.h>

#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace ops {

OrRefusal<DeformWindow> deform_window(const OpView& op) {
  DeformWindow w;
  const auto pair = [&](const char* name, int64_t* to, size_t count, int64_t least) {
    const std::vector<int64_t>& given = op.ints(name);
    for (size_t i = 0; i < given.size() && i < count; ++i) to[i] = given[i];
    bool is_right =
        given.size() == count || (given.empty() && std::string_view(name) != "kernel_shape");
    for (size_t i = 0; i < count; ++i) is_right = is_right && to[i] >= least;
    return is_right;
  };
  if (!pair("kernel_shape", w.kernel, 2, 1) || !pair("strides", w.strides, 2, 1) ||
      !pair("dilations", w.dilations, 2, 1) || !pair("pads", w.pads, 4, 0)) {
    return refuse("an attribute of the window is not of two axes, or out of range");
  }
  w.groups = op.i64("offset_group");
  if (w.groups < 1) return refuse("`offset_group` is less than 1");
  return w;
}

}  // namespace ops

namespace {

constexpr OperandSpec kOperands[] = {
    {"x", kFloats, 'T'}, {"offset", kFloats, 'T'}, {"mask", kFloats, 'T', Arity::optional}};
constexpr ResultSpec kResults[] = {{"columns", kFloats, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"dilations", AttributeKind::ints, "[]"},
                                         {"kernel_shape", AttributeKind::ints, "", true},
                                         {"offset_group", AttributeKind::i64, "1"},
                                         {"pads", AttributeKind::ints, "[]"},
                                         {"strides", AttributeKind::ints, "[]"}};

Types infer_deform_columns(const InferInput& input) {
  NEURONC_ASSIGN(const DeformWindow w, deform_window(input.op));
  const DType dtype = input.operands[0].dtype;
  if (!input.operands[0].is_ranked || !input.operands[1].is_ranked) {
    return std::vector<Type>{unknown_dims(dtype, 6)};
  }
  for (size_t i = 0; i < 2 + (input.has(2) ? 1 : 0); ++i) {
    if (input.operands[i].is_ranked && input.operands[i].rank() != 4) {
      return refuse("an operand is not of rank 4");
    }
  }
  const std::vector<Dim>& x = input.operands[0].dims;
  const std::vector<Dim>& offset = input.operands[1].dims;
  NEURONC_TRY(same_dim(x[0], offset[0], "the batch"));
  const int64_t taps = w.groups * w.kernel[0] * w.kernel[1];
  NEURONC_TRY(same_dim(offset[1], Dim(2 * taps), "the number of offsets"));
  if (x[1].is_number() && x[1].number() % w.groups != 0) {
    return refuse("`offset_group` does not divide the channels");
  }
  if (input.has(2) && input.operands[2].is_ranked) {
    const std::vector<Dim>& mask = input.operands[2].dims;
    NEURONC_TRY(same_dim(mask[1], Dim(taps), "the number of factors"));
    for (size_t d : {size_t{0}, size_t{2}, size_t{3}}) {
      NEURONC_TRY(same_dim(mask[d], offset[d], "an extent of offsets and mask"));
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    if (!x[2 + i].is_number()) continue;
    const int64_t covered = (w.kernel[i] - 1) * w.dilations[i] + 1;
    const int64_t room = x[2 + i].number() + w.pads[i] + w.pads[i + 2] - covered;
    if (room < 0) return refuse("the window is larger than the padded operand");
    NEURONC_TRY(same_dim(offset[2 + i], Dim(room / w.strides[i] + 1), "an extent of the result"));
  }
  return std::vector<Type>{
      ranked(dtype, {x[0], x[1], Dim(w.kernel[0]), Dim(w.kernel[1]), offset[2], offset[3]})};
}

// x[row, column] between its four neighbours; what lies outside is 0.
double sample(const double* plane, int64_t height, int64_t width, double row, double column) {
  if (!(row > -1 && row < static_cast<double>(height) && column > -1 &&
        column < static_cast<double>(width))) {
    return 0;
  }
  const double top = std::floor(row), left = std::floor(column);
  double sum = 0;
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t r = static_cast<int64_t>(top) + i, c = static_cast<int64_t>(left) + j;
      if (r < 0 || r >= height || c < 0 || c >= width) continue;
      const double down = row - top, right = column - left;
      sum += (i == 0 ? 1 - down : down) * (j == 0 ? 1 - right : right) * plane[r * width + c];
    }
  }
  return sum;
}

Values evaluate_deform_columns(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const DeformWindow w, deform_window(input.op));
  const Shape shape = type.shape();
  const Shape& image = input.tensor(0).shape();
  const std::vector<double> x = doubles(input.tensor(0)), offset = doubles(input.tensor(1));
  const std::vector<double> mask = input.has(2) ? doubles(input.tensor(2)) : std::vector<double>();
  std::vector<double> y(static_cast<size_t>(num_elements(shape)));
  size_t at = 0;
  for_each_index(shape, [&](const Shape& i) {
    const int64_t group = i[1] / (shape[1] / w.groups);
    const int64_t tap = (group * w.kernel[0] + i[2]) * w.kernel[1] + i[3];
    const int64_t taps = w.groups * w.kernel[0] * w.kernel[1];
    const auto place = [&](int64_t count, int64_t channel) {
      return static_cast<size_t>(((i[0] * count + channel) * shape[4] + i[4]) * shape[5] + i[5]);
    };
    const double row =
        static_cast<double>(i[4] * w.strides[0] - w.pads[0] + i[2] * w.dilations[0]) +
        offset[place(2 * taps, 2 * tap)];
    const double column =
        static_cast<double>(i[5] * w.strides[1] - w.pads[1] + i[3] * w.dilations[1]) +
        offset[place(2 * taps, 2 * tap + 1)];
    const double* plane = x.data() + (i[0] * shape[1] + i[1]) * image[2] * image[3];
    const double value = sample(plane, image[2], image[3], row, column);
    y[at++] = mask.empty() ? value : value * mask[place(taps, tap)];
  });
  return one(from_doubles(type.dtype, shape, y));
}

}  // namespace

/// columns[n,c,r,s,p,q] = mask * x[n,c] at row p*stride - pad + r*dilation + offset and the like
/// column, between the four neighbours; what lies outside is 0. Each of `offset_group` runs of
/// channels has its own offsets (row, column) and factors for every tap.
/// Shapes: x [N,C,H,W], offset [N,2*groups*R*S,P,Q], mask [N,groups*R*S,P,Q] optional.
/// Types: floats.   Source: ONNX DeformConv-22 without its product.
NEURONC_OP(deform_columns) = {"deform_columns",     "what windows with moved taps read",
                              "ONNX DeformConv-22", kOperands,
                              kAttributes,          kResults,
                              Trait::none,          Precision::statistic,
                              infer_deform_columns, evaluate_deform_columns,
                              flops_per_result<16>};

}  // namespace neuronc
