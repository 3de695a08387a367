// Convolution as an implicit matrix product on channels-last memory.
//
//   rows of a: result pixels; k: (window row, window column, input channel); columns: channels
//
// A tile is a block of result pixels of one image and group; where there are too few blocks to share
// among cores, it has only some of the channels. Without padding the register tile reads the input
// where it lies. With padding, or where the input is still to be computed or has another memory
// order, the tile first copies the input rows it needs into a slab with zero borders; inside it
// window columns and channels are consecutive, which makes one long inner loop even for three
// channels.
// Small integers come out exactly: every product is exact in f32, and so are their sums.
#include <algorithm>
#include <limits>

#include "backend/variants/convolution/geometry.h"
#include "backend/variants/convolution/padding.h"
#include "backend/variants/convolution/slab.h"
#include "backend/variants/convolution/weights.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/bytes.h"
#include "backend/variants/product/matrix.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/product/predict.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int64_t kSmallWeightBytes = 256 * 1024;
// A slab is made for each run of panels: for as many columns it costs next to nothing.
constexpr int64_t kMinColumnsPerSlab = 64;

struct Plan {
  ConvGeometry g;
  bool uses_slab = false;
  int64_t channels = 0;  // input channels of a group
  int64_t columns = 0;   // result channels of a group
  ProductStep step;
  RegisterTile tile;
  KLoops k;
  int64_t block_rows = 0;    // result pixels in a block
  int64_t num_blocks = 0;    // of one image and group
  int64_t block_height = 0;  // with a slab: result rows in a block
  int64_t slab_height = 0, slab_width = 0;
  // Where the rows of a block's taps lie apart, the slab holds them tap after tap, not what lies between.
  bool taps_lie_apart = false;
  std::optional<LineTiles> lines;  // where windows reach far into padding
  int64_t panels_per_tile = 0;
  int64_t panel_runs = 1;  // of a block: the columns, where there are few blocks

  int64_t num_tiles() const { return g.n * g.groups * num_blocks * panel_runs; }
};

// Whether the register tile can read operand 0 where it lies; before storages are settled, whether
// it will.
bool is_in_memory(const GroupContext& context, const Plan& plan) {
  if (plan.g.has_padding()) return false;
  const ValueId input = context.outer_of(context.anchor_node().operands[0]);
  if (!input) return false;
  const Storage& storage = context.graph.value(input).storage;
  if (!storage || !plan.step.reads_a_in_groups()) return true;
  return storage.dtype == plan.step.a && storage.strides[1] == 1;
}

// Of a block whose rows are copied for their products by matrices.
int64_t most_rows(const Plan& plan) {
  if (!plan.step.is_matrix()) return std::numeric_limits<int64_t>::max();
  const ConvGeometry& g = plan.g;
  const int64_t row_bytes = g.r * g.s * plan.channels * size_bytes(plan.step.a);
  return std::max<int64_t>(kMatrixBlockBytes / row_bytes, 2 * kernel::kMatrixRows);
}

bool taps_lie_apart(const ConvGeometry& g, int64_t rows) {
  return g.dilation_h > 1 && (rows - 1) * g.stride_h < g.dilation_h;
}

int64_t slab_height(const ConvGeometry& g, int64_t rows) {
  if (taps_lie_apart(g, rows)) return rows * g.r;
  return (rows - 1) * g.stride_h + (g.r - 1) * g.dilation_h + 1;
}

void choose_slab_block(Plan& plan, int64_t most_bytes) {
  const ConvGeometry& g = plan.g;
  plan.slab_width = (g.q - 1) * g.stride_w + (g.s - 1) * g.dilation_w + 1;
  const int64_t row_bytes = plan.slab_width * plan.channels * size_bytes(plan.step.a);
  // The largest divisor of the height whose slab fits. Small weights stay cached whatever the
  // number of blocks, so there tiles are left to share among cores; large ones are read once per
  // block, so the slab may grow with them.
  const int64_t weight_bytes = g.m * plan.channels * g.r * g.s * 2;
  int64_t best = 1;
  for (int64_t rows = 1; rows <= g.p; ++rows) {
    if (g.p % rows != 0) continue;
    const int64_t bytes = slab_height(g, rows) * row_bytes;
    if (rows > 1 && rows * g.q > most_rows(plan)) continue;
    const bool leaves_tiles = g.n * g.groups * (g.p / rows) >= kMinTiles;
    if (bytes <= std::max(most_bytes, weight_bytes / 4) &&
        (leaves_tiles || weight_bytes > kSmallWeightBytes || bytes <= most_bytes / 8)) {
      best = rows;
    }
  }
  plan.block_height = best;
  plan.slab_height = slab_height(g, best);
  plan.taps_lie_apart = taps_lie_apart(g, best);
  plan.block_rows = best * g.q;
  plan.num_blocks = g.p / best;
}

void choose_direct_block(Plan& plan, int64_t most_bytes) {
  const ConvGeometry& g = plan.g;
  const int64_t pixels = g.p * g.q;
  const int64_t pixel_bytes = plan.channels * size_bytes(plan.step.a) * g.stride_h * g.stride_w;
  int64_t rows = std::max<int64_t>(most_bytes / std::max<int64_t>(pixel_bytes, 1), 48);
  const int64_t share = (pixels * g.n * g.groups + kMinTiles - 1) / kMinTiles;
  const int64_t unit = plan.tile.rows;
  const auto whole_tiles = [unit](int64_t r) { return (r + unit - 1) / unit * unit; };
  rows = std::min({rows, std::max<int64_t>(whole_tiles(share), 64), most_rows(plan)});
  rows = std::max(unit, rows / unit * unit);
  // Blocks of about the same size.
  rows = whole_tiles((pixels + (pixels + rows - 1) / rows - 1) / ((pixels + rows - 1) / rows));
  plan.block_rows = std::min(rows, pixels);
  plan.num_blocks = (pixels + plan.block_rows - 1) / plan.block_rows;
}

// Where blocks are too few to share among cores, a tile has only some of the columns.
void choose_panel_runs(Plan& plan) {
  const int64_t panels = (plan.columns + plan.tile.columns() - 1) / plan.tile.columns();
  plan.panels_per_tile = panels;
  const int64_t num_blocks = plan.num_tiles();
  // Each tile makes its slab anew.
  const int64_t least = plan.uses_slab ? kMinTiles : kEvenTiles;
  if (num_blocks >= least) return;
  int64_t most = panels;
  if (plan.uses_slab) most = std::max<int64_t>(plan.columns / kMinColumnsPerSlab, 1);
  const int64_t runs = std::min({panels, most, (least + num_blocks - 1) / num_blocks});
  plan.panels_per_tile = (panels + runs - 1) / runs;
  plan.panel_runs = (panels + plan.panels_per_tile - 1) / plan.panels_per_tile;
}

bool crosses_columns(const Plan& plan) {
  const ConvGeometry& g = plan.g;
  return g.s > 1 && g.dilation_w == 1 && plan.channels % plan.step.k_step() != 0;
}

// Window columns and channels are one loop where the slab makes them consecutive, and where groups
// of k would otherwise be padded for every window column; packing depends on the latter alone.
KLoops choose_k_loops(const Plan& plan) {
  const ConvGeometry& g = plan.g;
  const bool is_joined = plan.uses_slab && g.dilation_w == 1;
  if (is_joined && (!plan.lines || crosses_columns(plan))) return {{g.r}, g.s * plan.channels};
  return {{g.r, g.s}, plan.channels};
}

std::array<TapAxis, 3> axes_of(const ConvGeometry& g) {
  std::array<TapAxis, 3> axes;
  axes[1] = {.input = g.h,
             .results = g.p,
             .taps = g.r,
             .stride = g.stride_h,
             .dilation = g.dilation_h,
             .base = -g.pad_top};
  axes[2] = {.input = g.w,
             .results = g.q,
             .taps = g.s,
             .stride = g.stride_w,
             .dilation = g.dilation_w,
             .base = -g.pad_left};
  return axes;
}

void choose_lines(const GroupContext& context, Plan& plan, const Tensor& weights,
                  int64_t pixel_bytes) {
  LineProblem problem{axes_of(plan.g), plan.columns,    pixel_bytes,
                      plan.tile,       plan.block_rows, &weights};
  // Columns of the window that are one loop with their channels are all multiplied.
  if (crosses_columns(plan)) problem.axes[2] = {.input = plan.g.q, .results = plan.g.q};
  plan.lines = line_tiles(context.machine, plan.step, problem);
  if (plan.lines) plan.tile = plan.lines->tile;
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.g, conv_geometry(context));
  const ConvGeometry& g = plan.g;
  const Op op = context.anchor_node().op;
  const Tensor* weights = context.constant_operand(weights_operand(op));
  if (weights == nullptr) return refuse("the weights are not constant");
  NEURONC_ASSIGN(plan.step, choose_step(context.machine, context.operand_dtype(0),
                                        packed_dtype(weights->dtype()), plan.g.p * plan.g.q));
  if (g.p * g.q == 0 || g.n == 0 || g.c == 0 || g.m == 0) return refuse("it has no elements");
  plan.channels = g.c / g.groups;
  plan.columns = g.m / g.groups;
  if (is_byte_contraction(op)) {
    NEURONC_TRY(check_bytes(context, g.m, plan.channels * g.r * g.s));
  }
  if (plan.columns < 4 && g.groups > 1) return refuse("groups of fewer than 4 channels");
  const int64_t pixel_bytes = plan.channels * size_bytes(plan.step.a) * g.stride_w;
  plan.tile =
      choose_register_tile(context.machine, plan.step, g.p * g.q, plan.columns, pixel_bytes);
  plan.uses_slab = !is_in_memory(context, plan) || crosses_columns(plan);
  if (plan.uses_slab) {
    choose_slab_block(plan, block_bytes(context.machine));
  } else {
    choose_direct_block(plan, block_bytes(context.machine));
  }
  plan.tile =
      choose_register_tile(context.machine, plan.step, plan.block_rows, plan.columns, pixel_bytes);
  if (plan.uses_slab) choose_lines(context, plan, *weights, pixel_bytes);
  choose_panel_runs(plan);
  plan.k = choose_k_loops(plan);
  return plan;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const ConvGeometry& g = plan.g;
  const auto k = static_cast<double>(g.r * g.s * plan.channels);
  const double share = plan.lines ? plan.lines->share : 1;
  ProductWork work{g.n * g.p * g.q, plan.columns, static_cast<int64_t>(k * share), g.groups};
  if (plan.uses_slab) {
    work.copied_elements =
        static_cast<double>(plan.num_tiles() * plan.slab_height * plan.slab_width * plan.channels);
  }
  return predict_product_ns(context.machine, plan.step, plan.tile, work);
}

struct Tile {
  Index image, group, block, run;
};

Tile current_tile(GroupEmitter& e, const Plan& plan) {
  const Index t = plan.num_tiles() > 1 ? e.builder().tile() : Index(0);
  const Index block = kernel::floor_div(t, plan.panel_runs);
  const Index rest = kernel::floor_div(block, plan.num_blocks);
  return {kernel::floor_div(rest, plan.g.groups), kernel::mod(rest, plan.g.groups),
          kernel::mod(block, plan.num_blocks), kernel::mod(t, plan.panel_runs)};
}

// Pixels of the block in the slab.
RowOperand slab_rows(const Plan& plan, BufferId slab) {
  const ConvGeometry& g = plan.g;
  const int64_t c = plan.channels;
  return {slab, 1, [&plan, &g, c](Index pixel, std::span<const Index> outer, Index inner) {
            const Index p = kernel::floor_div(pixel, g.q), q = kernel::mod(pixel, g.q);
            if (outer.size() > 1) inner += outer[1] * (g.dilation_w * c);
            const Index row = plan.taps_lie_apart ? outer[0] * plan.block_height + p
                                                  : p * g.stride_h + outer[0] * g.dilation_h;
            return std::vector<Index>{row, q * (g.stride_w * c) + inner};
          }};
}

// The taps that `count` pixels of one line from `pixel` of the block on meet.
std::vector<kernel::Range> taps_of_line(const Plan& plan, Index block, Index pixel, int count) {
  const std::array<TapAxis, 3> axes = axes_of(plan.g);
  const Index p = block * plan.block_height + kernel::floor_div(pixel, plan.g.q);
  const Index q = kernel::mod(pixel, plan.g.q);
  std::vector<kernel::Range> taps{taps_met(axes[1], p, p)};
  if (plan.k.outer.size() > 1) taps.push_back(taps_met(axes[2], q, q + Index(count - 1)));
  return taps;
}

// Pixels of the image where the input lies.
RowOperand input_rows(GroupEmitter& e, const Plan& plan, ValueId input, const Tile& at) {
  const ConvGeometry& g = plan.g;
  return {e.memory_of(input)->buffer, 1,
          [&g, &plan, at](Index pixel, std::span<const Index> outer, Index inner) {
            const Index p = kernel::floor_div(pixel, g.q), q = kernel::mod(pixel, g.q);
            return g.at(at.image, at.group * plan.channels + inner,
                        p * g.stride_h + outer[0] * g.dilation_h,
                        q * g.stride_w + outer[1] * g.dilation_w);
          }};
}

// Copies what the block reads and lets `loops` read it there.
void read_from_slab(GroupEmitter& e, const Plan& plan, ValueId input, const Tile& at,
                    std::optional<ByteProduct>& bytes, BlockLoops& loops) {
  const ConvGeometry& g = plan.g;
  const BufferId slab =
      e.workspace("slab", plan.step.a, {plan.slab_height, plan.slab_width * plan.channels});
  const Index first = at.block * (plan.block_height * g.stride_h) - Index(g.pad_top);
  Slab shape{g, plan.channels, plan.slab_height, plan.slab_width, plan.step.a};
  if (bytes) shape.border = [&] { return bytes->border(); };
  if (plan.taps_lie_apart) {
    shape.distance = [&](Index row) {
      return kernel::mod(row, plan.block_height) * g.stride_h +
             kernel::floor_div(row, plan.block_height) * g.dilation_h;
    };
  }
  emit_slab(e, shape, input, slab, {at.image, at.group, first});
  if (plan.lines) {
    loops.line_rows = g.q;
    loops.outer = [&plan, block = at.block](Index pixel, int count) {
      return taps_of_line(plan, block, pixel, count);
    };
  }
  loops.num_rows = plan.block_rows;
  loops.first_row = Index(0);
  loops.a = slab_rows(plan, slab);
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const ConvGeometry& g = plan.g;
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), plan.num_tiles());
  const Node& conv = context.anchor_node();
  const ValueId input = conv.operands[0];
  const BufferId weights = e.packed_buffer("w", packed_weights(context, g, crosses_columns(plan)));
  const Tile at = current_tile(e, plan);

  BlockLoops loops;
  loops.step = plan.step;
  loops.tile = plan.tile;
  loops.k = plan.k;
  loops.n = plan.columns;
  loops.block_rows = plan.block_rows;
  loops.first_panel = at.run * plan.panels_per_tile;
  loops.num_panels = plan.panels_per_tile;
  std::optional<ByteProduct> bytes;
  if (is_byte_contraction(conv.op)) {
    bytes.emplace(e, context, g.m, plan.channels * g.r * g.s,
                  [&](int64_t k, int64_t m) { return weight_offset(g, k, m); });
  }
  if (plan.uses_slab) {
    read_from_slab(e, plan, input, at, bytes, loops);
  } else {
    loops.num_rows = g.p * g.q;
    loops.first_row = at.block * plan.block_rows;
    loops.a = input_rows(e, plan, input, at);
  }
  const int64_t group_columns = num_panels(plan.columns) * kPanelColumns;
  loops.load_b = [&](Index panel, int vectors, Index group) {
    return load_panel(e, weights, plan.step, at.group * group_columns + panel * plan.tile.columns(),
                      group, vectors, plan.tile.lanes);
  };
  loops.load_b_matrix = [&](Index panel, int v, Index group) {
    const Index column = panel * plan.tile.columns() + Index(v * kPanelColumns);
    return load_panel_matrix(e, weights, at.group * group_columns + column, group);
  };
  loops.prefetch = [&](Index column, Index group) {
    prefetch_panel(e, weights, at.group * group_columns + column, group);
  };
  loops.store = [&](Index row, Index column, int active, Register sum) {
    // Rows of a slab count from its block.
    const Index pixel_row = kernel::floor_div(row, g.q);
    const Index p = plan.uses_slab ? at.block * plan.block_height + pixel_row : pixel_row;
    const Index channel = at.group * plan.columns + column;
    const LaneIndex index = LaneIndex::along(g.at(at.image, channel, p, kernel::mod(row, g.q)), 1,
                                             plan.tile.lanes, active);
    if (bytes) {
      e.provide(conv.results[0], index, bytes->finish(sum, row, channel, active));
      e.store_results(index);
      return;
    }
    if (conv.has_operand(2)) {
      const Register bias =
          e.pull(conv.operands[2], LaneIndex::along({channel}, 0, plan.tile.lanes, active));
      sum = e.builder().add(sum, bias);
    }
    e.provide_rounded(conv.results[0], index, sum);
    e.store_results(index);
  };
  if (bytes) bytes->emit_row_sums(loops);
  emit_blocks(e, loops);
  return std::move(e).finish();
}

// The direct variant copies what is not in memory as it wants it before it multiplies.
OrRefusal<void> prologue(const Module& module, const Graph& graph, const Node& conv,
                         size_t operand) {
  if (operand != 0) return refuse("the operand is read more than once");
  const Type& x = graph.type(conv.operands[0]);
  const bool has_slab =
      conv.view().i64("group") == 1 && (x.rank() == 3 || x.rank() == 4) &&
      module.constant_of(graph, conv.operands[weights_operand(conv.op)]) != nullptr &&
      (carrier_of(x.dtype) == DType::f32 || is_byte_contraction(conv.op));
  if (has_slab) return {};
  return refuse("the convolution reads its operand once per tap");
}

}  // namespace

const Variant kConvDirect = {.name = "conv.direct",
                             .predict_ns = predict_ns,
                             .lower = lower,
                             .operand_order = image_operand_order,
                             .result_order = image_result_order,
                             .prologue = prologue,
                             .has_blockings = true};

}  // namespace neuronc
