// Writing new entries into a cache of keys or values.
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kOperands[] = {{"past", kAny, 'T'},
                                     {"update", kAny, 'T'},
                                     {"write_indices", DTypeSet{DType::i64}, 0, Arity::optional}};
constexpr ResultSpec kResults[] = {{"present", kAny, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"axis", AttributeKind::i64, "-2"},
                                         {"mode", AttributeKind::string, "\"linear\""}};

Types infer_tensor_scatter(const InferInput& input) {
  const std::string& mode = input.op.string("mode");
  if (mode != "linear" && mode != "circular") return refuse(fmt::format("`mode` is `{}`", mode));
  const Type& past = input.operands[0];
  const Type& update = input.operands[1];
  if (!past.is_ranked || !update.is_ranked) return infer_as_first(input);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), past.rank()));
  if (axis == 0) return refuse("`axis` is that of the batch");
  if (past.rank() != update.rank()) return refuse("the update has another rank than the cache");
  for (int64_t d = 0; d < past.rank(); ++d) {
    const Dim have = past.dims[static_cast<size_t>(d)];
    const Dim given = update.dims[static_cast<size_t>(d)];
    if (d != axis) {
      NEURONC_TRY(same_dim(have, given, "an extent of cache and update"));
    } else if (have.is_number() && given.is_number() && given.number() > have.number()) {
      return refuse("the update is longer than the cache");
    }
  }
  if (input.has(2) && input.operands[2].is_ranked) {
    if (input.operands[2].rank() != 1) return refuse("`write_indices` is not of rank 1");
    NEURONC_TRY(same_dim(past.dims[0], input.operands[2].dims[0], "the batch"));
  }
  return infer_as_first(input);
}

Values evaluate_tensor_scatter(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& update = input.tensor(1);
  const Shape shape = type.shape();
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  const AxisView cache = axis_view(shape, axis);
  const int64_t length = update.shape()[static_cast<size_t>(axis)];
  const bool is_circular = input.op.string("mode") == "circular";
  Tensor present = copy(input.tensor(0));
  for (int64_t outer = 0; outer < cache.outer; ++outer) {
    const int64_t batch = outer / (cache.outer / shape[0]);
    const int64_t begin = input.has(2) ? input.tensor(2).i64(batch) : 0;
    if (length > 0 && (begin < 0 || begin > cache.extent - (is_circular ? 1 : length))) {
      return refuse(
          fmt::format("entries from {} on do not fit a cache of {}", begin, cache.extent));
    }
    for (int64_t i = 0; i < length; ++i) {
      const int64_t to = (outer * cache.extent + (begin + i) % cache.extent) * cache.inner;
      const int64_t from = (outer * length + i) * cache.inner;
      for (int64_t j = 0; j < cache.inner; ++j) copy_element(present, to + j, update, from + j);
    }
  }
  return one(std::move(present));
}

}  // namespace

/// present = past, with the entries of `update` written along `axis` from write_indices[batch] on
/// (0 where none are given); with mode `circular` what goes beyond the end goes to the beginning.
/// Shapes: update as past but for `axis`, where it is no longer; write_indices [batch].   Types:
/// any. Errors: an index from which on the update does not fit.   Source: ONNX TensorScatter-24.
NEURONC_OP(tensor_scatter) = {"tensor_scatter",
                              "a cache with new entries written into it",
                              "ONNX TensorScatter-24",
                              kOperands,
                              kAttributes,
                              kResults,
                              Trait::none,
                              Precision::exact,
                              infer_tensor_scatter,
                              evaluate_tensor_scatter,
                              no_flops};

}  // namespace neuronc
