// Implements geometry.h.
#include "backend/variants/convolution/geometry.h"

#include "backend/variants/product/bytes.h"

namespace neuronc {

using kernel::Index;

std::vector<Index> ConvGeometry::at(Index image, Index channel, Index row, Index column) const {
  if (rank == 3) return {image, channel, column};
  return {image, channel, row, column};
}

OrRefusal<ConvGeometry> conv_geometry(const GroupContext& context) {
  const OpView op = context.anchor_node().view();
  const std::vector<int64_t> x = context.operand_shape(0),
                             w = context.operand_shape(weights_operand(context.anchor_node().op));
  const std::vector<int64_t> y = context.result_shape();
  if (x.size() != 3 && x.size() != 4) return refuse("one or two spatial dims only");
  ConvGeometry g;
  g.rank = x.size();
  const bool is_image = g.rank == 4;
  const size_t last = g.rank - 1;
  const auto get = [](const std::vector<int64_t>& list, size_t i, int64_t otherwise) {
    return i < list.size() ? list[i] : otherwise;
  };
  g.n = x[0];
  g.c = x[1];
  g.w = x[last];
  g.m = y[1];
  g.q = y[last];
  g.s = w[last];
  const std::vector<int64_t>& strides = op.ints("strides");
  const std::vector<int64_t>& dilations = op.ints("dilations");
  const std::vector<int64_t>& pads = op.ints("pads");
  const size_t spatial = g.rank - 2;
  g.stride_w = get(strides, spatial - 1, 1);
  g.dilation_w = get(dilations, spatial - 1, 1);
  g.pad_left = get(pads, spatial - 1, 0);
  g.pad_right = get(pads, 2 * spatial - 1, 0);
  if (is_image) {
    g.h = x[2];
    g.p = y[2];
    g.r = w[2];
    g.stride_h = get(strides, 0, 1);
    g.dilation_h = get(dilations, 0, 1);
    g.pad_top = get(pads, 0, 0);
    g.pad_bottom = get(pads, 2, 0);
  }
  g.groups = op.i64("group");
  return g;
}

}  // namespace neuronc
