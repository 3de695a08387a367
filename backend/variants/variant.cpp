// Implements variant.h: the ordered lists.
#include "backend/variants/variant.h"

#include <algorithm>
#include <numeric>

#include "ir/base/check.h"

namespace neuronc {

std::span<const Variant* const> variants_of(Op op) {
  static constexpr const Variant* kAttention[] = {&kAttentionBlocks};
  static constexpr const Variant* kConvOfBytes[] = {&kConvDirect};
  static constexpr const Variant* kMatmulOfBytes[] = {&kMatmulPacked, &kMatmulDynamic};
  static constexpr const Variant* kConv[] = {&kConvDepthwise, &kConvDirect, &kConvPlanar,
                                             &kConvTaps, &kConvWinograd};
  static constexpr const Variant* kConvTranspose[] = {&kConvDepthwise, &kConvPlanar,
                                                      &kConvTransposePhases};
  static constexpr const Variant* kMatmul[] = {&kMatmulPacked, &kMatmulDynamic, &kMatmulDots};
  static constexpr const Variant* kPool[] = {&kPoolSeparable};
  static constexpr const Variant* kRecurrent[] = {&kRecurrentProducts};
  static constexpr const Variant* kRegion[] = {&kRegionChannels};
  static constexpr const Variant* kSample[] = {&kSampleChannels};
  static constexpr const Variant* kTopK[] = {&kTopKTournament, &kTopKRadix};
  switch (op) {
    case Op::attention:
      return kAttention;
    case Op::conv:
      return kConv;
    case Op::conv_integer:
    case Op::q_linear_conv:
      return kConvOfBytes;
    case Op::matmul_integer:
    case Op::q_linear_matmul:
      return kMatmulOfBytes;
    case Op::conv_transpose:
      return kConvTranspose;
    case Op::average_pool:
    case Op::lp_pool:
    case Op::max_pool:
      return kPool;
    case Op::gru:
    case Op::lstm:
    case Op::rnn:
      return kRecurrent;
    case Op::max_roi_pool:
    case Op::roi_align:
      return kRegion;
    case Op::grid_sample:
      return kSample;
    case Op::top_k:
      return kTopK;
    case Op::matmul:
    case Op::gemm:
      return kMatmul;
    default:
      return {};
  }
}

BestVariant best_variant(const GroupContext& context, std::vector<std::string>* refusals) {
  BestVariant best;
  if (!context.anchor) return best;
  for (const Variant* variant : variants_of(context.anchor_node().op)) {
    const OrRefusal<double> time_ns = variant->predict_ns(context);
    if (!time_ns) {
      if (refusals != nullptr) {
        refusals->push_back(std::string(variant->name) + ": " + time_ns.error().reason);
      }
    } else if (best.variant == nullptr || *time_ns < best.time_ns) {
      best = {variant, *time_ns};
    }
  }
  return best;
}

std::vector<Candidate> candidates(const GroupContext& context, std::string_view chosen,
                                  double factor) {
  std::vector<Candidate> found{{std::string(chosen), {}}};
  if (!context.anchor) return found;
  const auto variants = variants_of(context.anchor_node().op);
  const auto it = std::find_if(variants.begin(), variants.end(),
                               [&](const Variant* variant) { return variant->name == chosen; });
  if (it == variants.end()) return found;
  const OrRefusal<double> chosen_ns = (*it)->predict_ns(context);
  if (!chosen_ns) return found;
  for (const Variant* variant : variants) {
    if (variant == *it) continue;
    const OrRefusal<double> time_ns = variant->predict_ns(context);
    if (time_ns && *time_ns <= factor * *chosen_ns) {
      found.push_back({std::string(variant->name), {}});
    }
  }
  if (!(*it)->has_blockings) return found;
  constexpr Blocking kBlockings[] = {
      {.vectors = 1},
      {.vectors = 3},
      {.vectors = 4},
      {.block_bytes = 64 * 1024},
      {.block_bytes = 512 * 1024},
  };
  for (const Blocking& blocking : kBlockings) {
    found.push_back({std::string(chosen), blocking});
  }
  return found;
}

NodeId find_anchor(const Graph& body) {
  NodeId anchor;
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    if (node.op == Op::constant || node.has(Trait::elementwise)) continue;
    NEURONC_CHECK(!anchor);
    anchor = id;
  }
  return anchor;
}

ValueId GroupContext::outer_of(ValueId body_value) const {
  for (size_t k = 0; k < body.inputs().size(); ++k) {
    if (body.inputs()[k] == body_value) return graph.node(group).operands[k];
  }
  return ValueId();
}

const Tensor* GroupContext::constant_operand(size_t i) const {
  if (!anchor_node().has_operand(i)) return nullptr;
  const ValueId value = anchor_node().operands[i];
  if (const Tensor* inside = module.constant_of(body, value)) return inside;
  const ValueId outer = outer_of(value);
  return outer ? module.constant_of(graph, outer) : nullptr;
}

DimOrder channels_last(size_t rank) {
  DimOrder order{0};
  for (size_t d = 2; d < rank; ++d) order.push_back(static_cast<int>(d));
  order.push_back(1);
  return order;
}

DimOrder image_operand_order(const GroupContext& context, size_t operand) {
  // Weights are packed, parameters have no order.
  const bool is_image = operand == 0 || context.operand_shape(operand) == context.result_shape();
  return is_image ? image_result_order(context) : DimOrder();
}

DimOrder image_result_order(const GroupContext& context) {
  return channels_last(context.result_shape().size());
}

DimOrder no_order(const GroupContext&, size_t) { return {}; }
DimOrder no_result_order(const GroupContext&) { return {}; }

OrRefusal<void> no_prologue(const Module&, const Graph&, const Node&, size_t) {
  return refuse("the operand is read more than once");
}

std::string kernel_name(const GroupContext& context) {
  std::string text;
  size_t num_named = 0;
  size_t num_ops = 0;
  const auto append = [&](std::string_view part) {
    if (!text.empty()) text += '_';
    text += part;
  };
  if (context.anchor) append(context.anchor_node().def().name);
  for (NodeId id : context.body.nodes()) {
    const Node& node = context.body.node(id);
    if (node.op == Op::constant || id == context.anchor) continue;
    ++num_ops;
    if (num_named < 4) {
      append(node.def().name);
      ++num_named;
    }
  }
  if (num_ops > num_named) append("and" + std::to_string(num_ops - num_named));
  const Node& last = context.body.node(context.body.last_node());
  for (int64_t extent : context.body.type(last.results[0]).shape()) {
    text += text.empty() || text.back() == 'x' ? "" : "_";
    text += std::to_string(extent);
  }
  return text;
}

}  // namespace neuronc
