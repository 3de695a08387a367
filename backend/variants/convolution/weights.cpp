// Implements weights.h.
#include "backend/variants/convolution/weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/variants/product/bytes.h"
#include "backend/variants/product/pack.h"

namespace neuronc {

int64_t weight_offset(const ConvGeometry& g, int64_t k, int64_t m) {
  const int64_t channels = g.c / g.groups;
  return (m * channels + k % channels) * g.r * g.s + k / channels;
}

namespace {

Tensor pack_groups(const ConvGeometry& g, const KLoops& k, const Tensor& weights) {
  const int64_t columns = g.m / g.groups;
  const auto pack = [&](int64_t group) {
    const int64_t first = group * columns;
    const EvenColumns even{[&](int64_t at) { return weight_offset(g, at, first); },
                           weight_offset(g, 0, 1)};
    return pack_panels(weights, k, columns, even);
  };
  Tensor all = pack(0);
  if (g.groups == 1) return all;
  std::vector<int64_t> shape = all.shape();
  const int64_t part_bytes = all.size_bytes();
  shape[0] *= g.groups;
  Tensor joined = Tensor::zeros(all.dtype(), shape);
  for (int64_t group = 0; group < g.groups; ++group) {
    if (group > 0) all = pack(group);
    std::copy_n(all.data(), part_bytes, joined.mutable_data() + group * part_bytes);
  }
  return joined;
}

}  // namespace

Tensor packed_weights(const GroupContext& context, const ConvGeometry& g, bool crosses_columns) {
  const Tensor& weights = *context.constant_operand(weights_operand(context.anchor_node().op));
  const int64_t channels = g.c / g.groups;
  const KLoops k = crosses_columns ? KLoops{{g.r}, g.s * channels} : KLoops{{g.r, g.s}, channels};
  const std::string form = fmt::format("conv {} {} {} {} {} {}", g.groups, g.m / g.groups, channels,
                                       g.r, g.s, crosses_columns);
  return context.machine.packs->get(weights, form,
                                    [&] { return pack_groups(g, k, signed_bytes(weights)); });
}

}  // namespace neuronc
