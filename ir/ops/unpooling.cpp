// Operators that put elements back where windows took them, and that cut or pad to a size.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/window.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};

// ---- max_unpool

constexpr OperandSpec kUnpoolOperands[] = {
    {"x", kFloats, 'T'}, {"indices", kI64}, {"output_shape", kI64, 0, Arity::optional}};
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kUnpoolAttributes[] = {{"kernel_shape", AttributeKind::ints, "", true},
                                               {"pads", AttributeKind::ints, "[]"},
                                               {"strides", AttributeKind::ints, "[]"}};

// What the pool's operand was, as far as its result tells.
OrRefusal<std::vector<Dim>> unpooled_dims(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_ASSIGN(const Window window, window_of(input.op, input.op.ints("kernel_shape")));
  if (x.dims.size() != window.rank() + 2) return refuse("`kernel_shape` does not fit the operand");
  std::vector<Dim> dims{x.dims[0], x.dims[1]};
  for (size_t i = 0; i < window.rank(); ++i) {
    const Dim dim = x.dims[i + 2];
    int64_t extent = 0;
    if (!dim.is_number()) {
      dims.push_back(Dim::unknown());
      continue;
    }
    if (__builtin_mul_overflow(dim.number() - 1, window.strides[i], &extent)) {
      return refuse("the result is too large");
    }
    extent += window.kernel[i] - window.pads_begin[i] - window.pads_end[i];
    if (extent < 0) return refuse("the padding is larger than the result");
    dims.emplace_back(extent);
  }
  return dims;
}

Types infer_unpool(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  if (x.is_static() && input.operands[1].is_static() && x.shape() != input.operands[1].shape()) {
    return refuse("the indices have another shape than x");
  }
  NEURONC_ASSIGN(std::vector<Dim> dims, unpooled_dims(input));
  if (input.has(2)) {
    const auto shape = known_ints(input, 2);
    if (!shape) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
    if (shape->size() != dims.size()) return refuse("`output_shape` has another rank than x");
    for (size_t i = 0; i < dims.size(); ++i) {
      if ((*shape)[i] < 0) return refuse("`output_shape` has a negative entry");
      dims[i] = (*shape)[i];
    }
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// The indices count in the result that no `output_shape` enlarges, the pool's operand.
Values evaluate_unpool(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Type operands[] = {input.tensor(0).type(), input.tensor(1).type()};
  NEURONC_ASSIGN(const std::vector<Dim> pooled, unpooled_dims({input.op, operands, {}, 1}));
  const Shape from = ranked(type.dtype, pooled).shape();
  const Shape to = type.shape();
  const Shape from_strides = row_major_strides(from);
  const Shape to_strides = row_major_strides(to);
  const int64_t count = num_elements(from);
  Tensor y = Tensor::zeros(type.dtype, to);
  for (int64_t i = 0; i < input.tensor(0).num_elements(); ++i) {
    const int64_t index = input.tensor(1).i64(i);
    if (index < 0 || index >= count) return refuse(fmt::format("index {} is out of range", index));
    int64_t offset = 0;
    bool is_inside = true;
    for (size_t axis = 0; axis < from.size(); ++axis) {
      const int64_t at = index / from_strides[axis] % from[axis];
      is_inside = is_inside && at < to[axis];
      offset += at * to_strides[axis];
    }
    if (!is_inside) return refuse(fmt::format("index {} lies outside `output_shape`", index));
    copy_element(y, offset, input.tensor(0), i);
  }
  return one(std::move(y));
}

// ---- col2im

constexpr OperandSpec kCol2imOperands[] = {
    {"x", kNumeric, 'T'}, {"image_shape", kI64}, {"block_shape", kI64}};
constexpr ResultSpec kNumericY[] = {{"y", kNumeric, 'T'}};
constexpr AttributeSpec kCol2imAttributes[] = {{"dilations", AttributeKind::ints, "[]"},
                                               {"pads", AttributeKind::ints, "[]"},
                                               {"strides", AttributeKind::ints, "[]"}};

Types infer_col2im(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked && x.rank() != 3) return refuse("the operand is not of rank 3");
  const auto image = known_ints(input, 1);
  const auto block = known_ints(input, 2);
  if (!image || !block) {
    const auto rank = known_length(input, 1);
    return std::vector<Type>{rank ? unknown_dims(x.dtype, *rank + 2) : Type::unranked(x.dtype)};
  }
  if (image->size() != block->size()) return refuse("the image and the block differ in rank");
  NEURONC_ASSIGN(const Window window, window_of(input.op, *block));
  std::vector<Dim> dims{x.is_ranked ? x.dims[0] : Dim::unknown(), Dim::unknown()};
  Dim positions = 1;
  for (size_t i = 0; i < image->size(); ++i) {
    if ((*image)[i] < 0) return refuse("the image has a negative extent");
    NEURONC_ASSIGN(const Dim dim, window_result_dim(window, i, (*image)[i], CeilMode::no));
    const Dim pair[] = {positions, dim};
    positions = product(pair);
    dims.emplace_back((*image)[i]);
  }
  if (x.is_ranked) {
    NEURONC_TRY(same_dim(x.dims[2], positions, "the number of block positions"));
    const int64_t block_size = num_elements(*block);
    if (x.dims[1].is_number()) {
      if (x.dims[1].number() % block_size != 0) return refuse("the channels do not fit the block");
      dims[1] = x.dims[1].number() / block_size;
    }
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// Adds the block elements of `x` where they belong in the images of `y`; T is double or uint64_t
// (integers wrap).
template <class T>
void add_blocks(const std::vector<T>& x, const Shape& image, const Window& window,
                const Shape& positions, int64_t planes, std::vector<T>& y) {
  const int64_t block_size = num_elements(window.kernel);
  const int64_t num_positions = num_elements(positions);
  const int64_t image_size = num_elements(image);
  const Shape strides = row_major_strides(image);
  int64_t tap_index = 0;
  for_each_index(window.kernel, [&](const Shape& tap) {
    int64_t position_index = 0;
    for_each_index(positions, [&](const Shape& position) {
      int64_t offset = 0;
      bool is_inside = true;
      for (size_t i = 0; i < image.size(); ++i) {
        const int64_t at =
            position[i] * window.strides[i] + tap[i] * window.dilations[i] - window.pads_begin[i];
        is_inside = is_inside && at >= 0 && at < image[i];
        offset += at * strides[i];
      }
      for (int64_t plane = 0; is_inside && plane < planes; ++plane) {
        const int64_t from = (plane * block_size + tap_index) * num_positions + position_index;
        y[static_cast<size_t>(plane * image_size + offset)] += x[static_cast<size_t>(from)];
      }
      ++position_index;
    });
    ++tap_index;
  });
}

Values evaluate_col2im(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape image = ints(input.tensor(1));
  NEURONC_ASSIGN(const Window window, window_of(input.op, ints(input.tensor(2))));
  Shape positions;
  for (size_t i = 0; i < image.size(); ++i) {
    NEURONC_ASSIGN(const Dim dim, window_result_dim(window, i, image[i], CeilMode::no));
    positions.push_back(dim.number());
  }
  const int64_t planes = type.dims[0].number() * type.dims[1].number();
  const auto count = static_cast<size_t>(type.num_elements());
  if (is_float(type.dtype)) {
    std::vector<double> y(count, 0);
    add_blocks(doubles(input.tensor(0)), image, window, positions, planes, y);
    return one(from_doubles(type.dtype, type.shape(), y));
  }
  const std::vector<int64_t> x = ints(input.tensor(0));
  std::vector<uint64_t> y(count, 0);
  add_blocks({x.begin(), x.end()}, image, window, positions, planes, y);
  return one(from_ints(type.dtype, type.shape(), std::vector<int64_t>(y.begin(), y.end())));
}

// ---- center_crop_pad

constexpr OperandSpec kCropOperands[] = {{"x", kAny, 'T'}, {"shape", kIndices}};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr AttributeSpec kCropAttributes[] = {{"axes", AttributeKind::ints, "[]"}};

Types infer_crop(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  Shape axes = input.op.ints("axes");
  NEURONC_TRY(resolve_axes(axes, x.rank()));
  for (int64_t axis = 0; input.op.ints("axes").empty() && axis < x.rank(); ++axis) {
    axes.push_back(axis);
  }
  const auto shape = known_ints(input, 1);
  if (shape && shape->size() != axes.size()) return refuse("`shape` has not one entry per axis");
  Type type = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto at = static_cast<size_t>(axes[i] < 0 ? axes[i] + x.rank() : axes[i]);
    if (shape && (*shape)[i] < 0) return refuse("`shape` has a negative entry");
    type.dims[at] = shape ? Dim((*shape)[i]) : Dim::unknown();
  }
  return std::vector<Type>{std::move(type)};
}

Values evaluate_crop(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const Shape to = type.shape();
  const Shape strides = row_major_strides(x.shape());
  Shape shifts;
  for (size_t i = 0; i < to.size(); ++i) {
    // An odd rest goes to the end, of what is cut as of what is added.
    const int64_t rest = x.shape()[i] - to[i];
    shifts.push_back(rest >= 0 ? rest / 2 : -(-rest / 2));
  }
  std::vector<int64_t> offsets;
  for_each_index(to, [&](const Shape& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size() && offset >= 0; ++i) {
      const int64_t at = index[i] + shifts[i];
      offset = at < 0 || at >= x.shape()[i] ? -1 : offset + at * strides[i];
    }
    offsets.push_back(offset);
  });
  return one(take(x, to, offsets));
}

}  // namespace

/// y = zeros, with each element of x at the offset `indices` names, as max_pool gives it.
/// Shapes: y the pool's operand ((extent - 1) * stride + kernel - pads), or `output_shape`.
/// Types: floats.   Errors: an index out of range.   Source: ONNX MaxUnpool-22.
NEURONC_OP(max_unpool) = {"max_unpool",
                          "the greatest elements put back",
                          "ONNX MaxUnpool-22",
                          kUnpoolOperands,
                          kUnpoolAttributes,
                          kFloatY,
                          Trait::none,
                          Precision::exact,
                          infer_unpool,
                          evaluate_unpool,
                          no_flops};

/// y = the sums of the columns' elements at the pixels from which windows took them.
/// Shapes: x [N, C*block, positions], y [N,C,image...].   Types: numbers.   Source: ONNX Col2Im-18.
NEURONC_OP(col2im) = {"col2im",
                      "columns of windows added up to an image",
                      "ONNX Col2Im-18",
                      kCol2imOperands,
                      kCol2imAttributes,
                      kNumericY,
                      Trait::none,
                      Precision::statistic,
                      infer_col2im,
                      evaluate_col2im,
                      flops_per_operand<1>};

/// y = x cut or filled with zeros on both sides of `axes` (default all) to `shape`.   Types: any.
/// Source: ONNX CenterCropPad-18.
NEURONC_OP(center_crop_pad) = {"center_crop_pad",
                               "the middle of x in another shape",
                               "ONNX CenterCropPad-18",
                               kCropOperands,
                               kCropAttributes,
                               kAnyY,
                               Trait::moves_data,
                               Precision::exact,
                               infer_crop,
                               evaluate_crop,
                               no_flops};

}  // namespace neuronc
