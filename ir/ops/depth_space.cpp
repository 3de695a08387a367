// Blocks of pixels turned into channels and back.
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kX[] = {{"x", kAny, 'T'}};
constexpr ResultSpec kY[] = {{"y", kAny, 'T'}};
constexpr AttributeSpec kDepthToSpaceAttributes[] = {{"blocksize", AttributeKind::i64, "", true},
                                                     {"mode", AttributeKind::string, "\"DCR\""}};
constexpr AttributeSpec kSpaceToDepthAttributes[] = {{"blocksize", AttributeKind::i64, "", true}};

OrRefusal<int64_t> block_of(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked && x.rank() != 4) return refuse("the operand is not of shape [N,C,H,W]");
  const int64_t block = input.op.i64("blocksize");
  if (block < 1 || block > (int64_t{1} << 20))
    return refuse(fmt::format("`blocksize` is {}", block));
  return block;
}

OrRefusal<Dim> divided(Dim dim, int64_t by) {
  if (!dim.is_number()) return by == 1 ? dim : Dim::unknown();
  if (dim.number() % by != 0) {
    return refuse(fmt::format("an extent of {} does not divide by {}", dim.number(), by));
  }
  return Dim(dim.number() / by);
}

Dim times(Dim dim, int64_t by) {
  const Dim pair[] = {dim, Dim(by)};
  return by == 1 ? dim : product(pair);
}

Types infer_depth_to_space(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_ASSIGN(const int64_t block, block_of(input));
  const std::string& mode = input.op.string("mode");
  if (mode != "DCR" && mode != "CRD") return refuse("`mode` is neither DCR nor CRD");
  if (!x.is_ranked) return std::vector<Type>{unknown_dims(x.dtype, 4)};
  NEURONC_ASSIGN(const Dim channels, divided(x.dims[1], block * block));
  return std::vector<Type>{
      ranked(x.dtype, {x.dims[0], channels, times(x.dims[2], block), times(x.dims[3], block)})};
}

Values evaluate_depth_to_space(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const int64_t block = input.op.i64("blocksize");
  const bool is_dcr = input.op.string("mode") == "DCR";
  const int64_t channels = type.dims[1].number();
  const Shape strides = row_major_strides(x.shape());
  std::vector<int64_t> offsets;
  for_each_index(type.shape(), [&](const Shape& y) {
    const int64_t in_block = y[2] % block * block + y[3] % block;
    const int64_t c = is_dcr ? in_block * channels + y[1] : y[1] * block * block + in_block;
    offsets.push_back(y[0] * strides[0] + c * strides[1] + y[2] / block * strides[2] +
                      y[3] / block * strides[3]);
  });
  return one(take(x, type.shape(), offsets));
}

Types infer_space_to_depth(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_ASSIGN(const int64_t block, block_of(input));
  if (!x.is_ranked) return std::vector<Type>{unknown_dims(x.dtype, 4)};
  NEURONC_ASSIGN(const Dim height, divided(x.dims[2], block));
  NEURONC_ASSIGN(const Dim width, divided(x.dims[3], block));
  return std::vector<Type>{
      ranked(x.dtype, {x.dims[0], times(x.dims[1], block * block), height, width})};
}

Values evaluate_space_to_depth(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const int64_t block = input.op.i64("blocksize");
  const int64_t channels = x.shape()[1];
  const Shape strides = row_major_strides(x.shape());
  std::vector<int64_t> offsets;
  for_each_index(type.shape(), [&](const Shape& y) {
    const int64_t in_block = y[1] / channels;
    offsets.push_back(y[0] * strides[0] + y[1] % channels * strides[1] +
                      (y[2] * block + in_block / block) * strides[2] +
                      (y[3] * block + in_block % block) * strides[3]);
  });
  return one(take(x, type.shape(), offsets));
}

}  // namespace

/// Channels become b x b blocks of pixels: y[n,c,h*b+i,w*b+j] = x[n, d, h, w] with
/// d = (i*b+j)*C + c (mode DCR) or c*b*b + i*b + j (CRD).
/// Shapes: x [N,C*b*b,H,W], y [N,C,H*b,W*b].   Types: any.   Source: ONNX DepthToSpace-13.
NEURONC_OP(depth_to_space) = {"depth_to_space",
                              "channels become blocks of pixels",
                              "ONNX DepthToSpace-13",
                              kX,
                              kDepthToSpaceAttributes,
                              kY,
                              Trait::moves_data,
                              Precision::exact,
                              infer_depth_to_space,
                              evaluate_depth_to_space,
                              no_flops};

/// b x b blocks of pixels become channels: y[n,(i*b+j)*C+c,h,w] = x[n,c,h*b+i,w*b+j].
/// Shapes: x [N,C,H*b,W*b], y [N,C*b*b,H,W].   Types: any.   Source: ONNX SpaceToDepth-13.
NEURONC_OP(space_to_depth) = {"space_to_depth",
                              "blocks of pixels become channels",
                              "ONNX SpaceToDepth-13",
                              kX,
                              kSpaceToDepthAttributes,
                              kY,
                              Trait::moves_data,
                              Precision::exact,
                              infer_space_to_depth,
                              evaluate_space_to_depth,
                              no_flops};

}  // namespace neuronc
