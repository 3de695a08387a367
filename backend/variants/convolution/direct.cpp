// Convolution as an implicit matrix product on channels-last memory.
//
//   rows of a: result pixels; k: (window row, window column, input channel); columns: channels
//
// A tile is a block of result pixels of one image and group. Without padding the register tile
// reads the input where it lies. With padding, or where the input is still to be computed or has
// another memory order, the tile first copies the input rows it needs into a slab with zero
// borders; inside it window columns and channels are consecutive, which makes one long inner loop
// even for three channels.
// Small integers come out exactly: products and sums are f32 fused multiply-adds.
#include <algorithm>

#include "backend/variants/convolution/geometry.h"
#include "backend/variants/gemm/blocks.h"
#include "backend/variants/gemm/pack.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

// Half of a small second-level cache: the block of the input that is read for every panel.
constexpr int64_t kBlockBytes = 192 * 1024;
constexpr int64_t kMinTiles = 8;
constexpr int64_t kSmallWeightBytes = 256 * 1024;

struct Plan {
  ConvGeometry g;
  bool uses_slab = false;
  int64_t channels = 0;  // input channels of a group
  int64_t columns = 0;   // result channels of a group
  RegisterTile tile;
  int64_t block_rows = 0;    // result pixels in a block
  int64_t num_blocks = 0;    // of one image and group
  int64_t block_height = 0;  // with a slab: result rows in a block
  int64_t slab_height = 0, slab_width = 0;

  int64_t num_tiles() const { return g.n * g.groups * num_blocks; }
};

// Whether the register tile can read operand 0 where it lies.
bool is_in_memory(const GroupContext& context, const ConvGeometry& g) {
  if (g.has_padding()) return false;
  return !context.body.producer(context.anchor_node().operands[0]);
}

void choose_slab_block(Plan& plan) {
  const ConvGeometry& g = plan.g;
  plan.slab_width = (g.q - 1) * g.stride_w + (g.s - 1) * g.dilation_w + 1;
  const int64_t row_bytes = plan.slab_width * plan.channels * 4;
  const auto slab_height = [&](int64_t rows) {
    return (rows - 1) * g.stride_h + (g.r - 1) * g.dilation_h + 1;
  };
  // The largest divisor of the height whose slab fits. Small weights stay cached whatever the
  // number of blocks, so there tiles are left to share among cores; large ones are read once per
  // block, so the slab may grow with them.
  const int64_t weight_bytes = g.m * plan.channels * g.r * g.s * 2;
  int64_t best = 1;
  for (int64_t rows = 1; rows <= g.p; ++rows) {
    if (g.p % rows != 0) continue;
    const int64_t bytes = slab_height(rows) * row_bytes;
    const bool leaves_tiles = g.n * g.groups * (g.p / rows) >= kMinTiles;
    if (bytes <= std::max(kBlockBytes, weight_bytes / 4) &&
        (leaves_tiles || weight_bytes > kSmallWeightBytes || bytes <= kBlockBytes / 8)) {
      best = rows;
    }
  }
  plan.block_height = best;
  plan.slab_height = slab_height(best);
  plan.block_rows = best * g.q;
  plan.num_blocks = g.p / best;
}

void choose_direct_block(Plan& plan) {
  const ConvGeometry& g = plan.g;
  const int64_t pixels = g.p * g.q;
  const int64_t pixel_bytes = plan.channels * 4 * g.stride_h * g.stride_w;
  int64_t rows = std::max<int64_t>(kBlockBytes / std::max<int64_t>(pixel_bytes, 1), 48);
  const int64_t share = (pixels * g.n * g.groups + kMinTiles - 1) / kMinTiles;
  rows = std::min(rows, std::max<int64_t>(share, 64));
  const int64_t unit = plan.tile.rows;
  rows = std::max(unit, rows / unit * unit);
  plan.block_rows = std::min(rows, pixels);
  plan.num_blocks = (pixels + plan.block_rows - 1) / plan.block_rows;
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.g, conv_geometry(context));
  const ConvGeometry& g = plan.g;
  const Tensor* weights = context.constant_operand(1);
  if (weights == nullptr) return refuse("the weights are not constant");
  if (weights->dtype() != DType::f32 && weights->dtype() != DType::bf16 &&
      weights->dtype() != DType::f16) {
    return refuse("the weights are not f32, bf16 or f16");
  }
  if (g.p * g.q == 0 || g.n == 0 || g.c == 0 || g.m == 0) return refuse("it has no elements");
  plan.channels = g.c / g.groups;
  plan.columns = g.m / g.groups;
  if (plan.columns < 4 && g.groups > 1) return refuse("groups of fewer than 4 channels");
  plan.tile = choose_register_tile(context.isa, g.p * g.q, plan.columns);
  plan.uses_slab = !is_in_memory(context, g);
  if (plan.uses_slab) {
    choose_slab_block(plan);
  } else {
    choose_direct_block(plan);
  }
  return plan;
}

OrRefusal<void> accepts(const GroupContext& context) {
  NEURONC_TRY(make_plan(context));
  return {};
}

// Lays out weights [m, c/groups, r, s] as panels whose k runs over (r, s, c).
PackedPanels pack(const Plan& plan, const Tensor& weights, int64_t group) {
  const ConvGeometry& g = plan.g;
  const int64_t k = g.r * g.s * plan.channels;
  return pack_panels(weights, k, plan.columns, plan.tile, [&](int64_t at, int64_t column) {
    const int64_t c = at % plan.channels;
    const int64_t window = at / plan.channels;
    const int64_t m = group * plan.columns + column;
    return (m * plan.channels + c) * g.r * g.s + window;
  });
}

// The panels of all groups behind one another.
PackedPanels pack_groups(const Plan& plan, const Tensor& weights) {
  PackedPanels all = pack(plan, weights, 0);
  if (plan.g.groups == 1) return all;
  std::vector<int64_t> shape = all.tensor.shape();
  const int64_t part_bytes = all.tensor.size_bytes();
  shape[0] *= plan.g.groups;
  Tensor joined = Tensor::zeros(all.tensor.dtype(), shape);
  for (int64_t group = 0; group < plan.g.groups; ++group) {
    const PackedPanels part = pack(plan, weights, group);
    std::copy_n(part.tensor.data(), part_bytes, joined.mutable_data() + group * part_bytes);
  }
  all.tensor = std::move(joined);
  return all;
}

// The memory dim along which the input's channels are consecutive gets the lanes of the copy.
int copy_lanes(GroupEmitter& e, ValueId input, int64_t channels, int lanes) {
  ValueId leaf = input;
  while (const NodeId producer = e.producer(leaf)) {
    if (e.body().node(producer).operands.empty()) return 1;
    leaf = e.body().node(producer).operands[0];
  }
  const auto memory = e.memory_of(leaf);
  const bool is_consecutive = memory && memory->strides.size() > 1 && memory->strides[1] == 1;
  return is_consecutive && channels >= lanes ? lanes : 1;
}

// Copies the input rows from `first_row` into the slab; what lies outside the image is zero.
void emit_slab(GroupEmitter& e, const Plan& plan, ValueId input, BufferId slab, Index image,
               Index group, Index first_row) {
  kernel::Builder& b = e.builder();
  const ConvGeometry& g = plan.g;
  const int64_t c = plan.channels;
  const int lanes = copy_lanes(e, input, c, plan.tile.lanes);
  const int64_t whole = c / lanes * lanes;
  const int64_t left = std::min(g.pad_left, plan.slab_width);
  const int64_t width = std::min(g.w, plan.slab_width - left);
  const auto zero_columns = [&](Index row, int64_t begin, int64_t end) {
    const int64_t from = begin * c, to = end * c;
    const int step = plan.tile.lanes;
    const int64_t vectors_end = from + (to - from) / step * step;
    const Register zeros = b.f32(0.0f, step), zero = b.f32(0.0f);
    if (vectors_end > from) {
      e.loop({from, vectors_end, step}, [&](Index i) { b.store(slab, {row, i}, zeros); });
    }
    if (to > vectors_end) {
      e.loop({vectors_end, to, 1}, [&](Index i) { b.store(slab, {row, i}, zero); });
    }
  };
  const auto copy_run = [&](Index row, Index column, Index channel, int n) {
    const std::vector<Index> at = g.at(image, group * c + channel, first_row + row, column);
    const LaneIndex index = LaneIndex::along(at, 1, n);
    b.store(slab, {row, (column + Index(left)) * c + channel}, e.pull(input, index));
  };
  e.loop({0, plan.slab_height, 1}, [&](Index row) {
    if (left > 0) zero_columns(row, 0, left);
    if (left + width < plan.slab_width) zero_columns(row, left + width, plan.slab_width);
    const std::vector<kernel::GuardRange> is_inside{{first_row + row, 0, g.h}};
    e.when(is_inside, [&] {
      e.loop({0, width, 1}, [&](Index column) {
        if (whole > 0) {
          e.loop({0, whole, lanes}, [&](Index ch) { copy_run(row, column, ch, lanes); });
        }
        if (whole < c) e.loop({whole, c, 1}, [&](Index ch) { copy_run(row, column, ch, 1); });
      });
    });
    e.when({{first_row + row, -g.pad_top - g.h - plan.slab_height, 0}},
           [&] { zero_columns(row, left, left + width); });
    e.when({{first_row + row, g.h, g.h * 2 + g.pad_bottom + plan.slab_height + g.pad_top}},
           [&] { zero_columns(row, left, left + width); });
  });
}

struct Tile {
  Index image, group, block;
};

Tile current_tile(GroupEmitter& e, const Plan& plan) {
  const Index t = plan.num_tiles() > 1 ? e.builder().tile() : Index(0);
  const Index rest = kernel::floor_div(t, plan.num_blocks);
  return {kernel::floor_div(rest, plan.g.groups), kernel::mod(rest, plan.g.groups),
          kernel::mod(t, plan.num_blocks)};
}

// Reads pixel `row` of the block from the slab.
void read_slab(GroupEmitter& e, const Plan& plan, BufferId slab, BlockLoops& loops) {
  const ConvGeometry& g = plan.g;
  const int64_t c = plan.channels;
  const auto load = [&e, &g, slab, c](Index pixel, Index r, Index in_row) {
    const Index p = kernel::floor_div(pixel, g.q), q = kernel::mod(pixel, g.q);
    return e.builder().load(slab,
                            {p * g.stride_h + r * g.dilation_h, q * (g.stride_w * c) + in_row});
  };
  if (g.dilation_w == 1) {
    loops.k_extents = {g.r, g.s * c};
    loops.load_a = [load](Index pixel, std::span<const Index> k) {
      return load(pixel, k[0], k[1]);
    };
  } else {
    loops.k_extents = {g.r, g.s, c};
    loops.load_a = [load, &g, c](Index pixel, std::span<const Index> k) {
      return load(pixel, k[0], k[1] * (g.dilation_w * c) + k[2]);
    };
  }
}

// Reads pixel `row` of the image where the input lies.
void read_input(GroupEmitter& e, const Plan& plan, ValueId input, const Tile& at,
                BlockLoops& loops) {
  const ConvGeometry& g = plan.g;
  loops.k_extents = {g.r, g.s, plan.channels};
  loops.load_a = [&e, &g, &plan, input, at](Index pixel, std::span<const Index> k) {
    const Index p = kernel::floor_div(pixel, g.q), q = kernel::mod(pixel, g.q);
    return e.pull(input, LaneIndex::scalar(g.at(at.image, at.group * plan.channels + k[2],
                                                p * g.stride_h + k[0] * g.dilation_h,
                                                q * g.stride_w + k[1] * g.dilation_w)));
  };
}

LoweredKernel lower(const GroupContext& context) {
  const Plan plan = *make_plan(context);
  const ConvGeometry& g = plan.g;
  GroupEmitter e(context.module, context.graph, context.group, context.isa, kernel_name(context),
                 plan.num_tiles());
  const Node& conv = context.anchor_node();
  const ValueId input = conv.operands[0];
  const PackedPanels panels = pack_groups(plan, *context.constant_operand(1));
  const BufferId weights = e.packed_buffer("w", panels.tensor);
  const Tile at = current_tile(e, plan);

  BlockLoops loops;
  loops.tile = plan.tile;
  loops.n = plan.columns;
  loops.block_rows = plan.block_rows;
  loops.num_panels = panels.num_panels;
  if (plan.uses_slab) {
    const BufferId slab =
        e.workspace("slab", DType::f32, {plan.slab_height, plan.slab_width * plan.channels});
    const Index first = at.block * (plan.block_height * g.stride_h) - Index(g.pad_top);
    emit_slab(e, plan, input, slab, at.image, at.group, first);
    loops.num_rows = plan.block_rows;
    loops.first_row = Index(0);
    read_slab(e, plan, slab, loops);
  } else {
    loops.num_rows = g.p * g.q;
    loops.first_row = at.block * plan.block_rows;
    read_input(e, plan, input, at, loops);
  }
  loops.load_b = [&](Index panel, int active, Index k) {
    Values columns =
        load_panel(e, weights, panels, plan.tile, at.group * panels.num_panels + panel, k);
    columns.resize(std::min<size_t>(
        columns.size(), static_cast<size_t>((active + plan.tile.lanes - 1) / plan.tile.lanes)));
    return columns;
  };
  loops.store = [&](Index row, Index column, int active, Register sum) {
    // Rows of a slab count from its block.
    const Index pixel_row = kernel::floor_div(row, g.q);
    const Index p = plan.uses_slab ? at.block * plan.block_height + pixel_row : pixel_row;
    const Index channel = at.group * plan.columns + column;
    const LaneIndex index = LaneIndex::along(g.at(at.image, channel, p, kernel::mod(row, g.q)), 1,
                                             plan.tile.lanes, active);
    if (conv.has_operand(2)) {
      const Register bias =
          e.pull(conv.operands[2], LaneIndex::along({channel}, 0, plan.tile.lanes, active));
      sum = e.builder().add(sum, bias);
    }
    e.provide_rounded(conv.results[0], index, sum);
    e.store_results(index);
  };
  emit_blocks(e, loops);
  return std::move(e).finish();
}

DimOrder operand_order(const GroupContext& context, size_t operand) {
  return operand == 1 ? DimOrder() : channels_last(context.result_shape().size());
}

DimOrder result_order(const GroupContext& context) {
  return channels_last(context.result_shape().size());
}

}  // namespace

const Variant kConvDirect = {"conv.direct", accepts, lower, operand_order, result_order, 0.8};

}  // namespace neuronc
