// What the rules of com.microsoft's attention operators share: projections, masks as what is added to
// the scores, caches, positions.
#pragma once

#include <limits>
#include <vector>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

inline constexpr double kHidden = -std::numeric_limits<double>::infinity();

// 0, 1, ... as i64[count].
ValueId counting(NodeContext& node, int64_t count);
ValueId as_type(NodeContext& node, ValueId x, DType dtype);
// [B, L, heads * size] as [B, heads, L, size].
ValueId heads_first(NodeContext& node, ValueId x, int64_t heads);
// Element `i` of axis `axis`, without the axis.
ValueId element(NodeContext& node, ValueId x, int64_t i, int64_t axis);
std::vector<ValueId> split_last(NodeContext& node, ValueId x, const std::vector<int64_t>& sizes);
// `value` where `condition` is false, 0 elsewhere.
ValueId added_where_not(NodeContext& node, ValueId condition, double value, DType dtype);
// What an integer mask adds to the scores [B, N, S, T]: `filter` where a key is hidden. The mask
// holds the number of keys [B], their ends and begins [2 * B], or ones where keys are seen:
// [B, T], [B, S, T] or [B, 1, M, M] of the longest sequences.
ValueId bias_of_mask(NodeContext& node, ValueId mask, int64_t batch, int64_t queries, int64_t keys,
                     double filter, DType dtype);
// Either may be absent.
ValueId sum_of(NodeContext& node, ValueId a, ValueId b);
// Extent `axis` of x, 0 where x is absent.
int64_t length_of(NodeContext& node, ValueId x, size_t axis);
// `next` behind `past`, with the heads first.
ValueId present_of(NodeContext& node, ValueId past, ValueId next, int64_t heads);
ValueId rotated(NodeContext& node, ValueId x, ValueId positions, ValueId cosines, ValueId sines,
                std::vector<NamedAttribute> attributes);

// What goes into the IR's attention besides queries, keys and values.
struct AttentionSettings {
  int64_t num_heads = 1, num_kv_heads = 1;
  bool is_causal = false;
  double scale = 0, softcap = 0;
  ValueId bias, past_key, past_value, num_keys;
};

ValueId emit_attention(NodeContext& node, ValueId q, ValueId k, ValueId v,
                       const AttentionSettings& s);

}  // namespace neuronc::onnx
