// Convolution with 3 x 3 windows of stride 1 by Winograd's minimal filtering (winograd_transforms.h),
// in f32: a quarter of the multiplications, where rounding permits.
//
//   v[j][tile, c]   = transformed inputs of a block of tiles of 4 x 4 results
//   u[j][c, column] = transformed windows of a panel of result channels
//   m[j] = v[j] u[j] for j of 36; the results are m transformed back
//
// Weights stand in the NEFF as every other variant reads them and are transformed on their way, a
// chunk of input channels at a time: transformed ones would be four times as large, and slower to
// read than to make. A block has enough tiles to make that a small part of the work.
// Sums differ from direct ones by some 1e-6 of the greatest of their terms, and an infinite or NaN
// input reaches all results of its tiles: `--numerics strict` refuses it, and so do windows of whole
// numbers.
#include <algorithm>
#include <cmath>
#include <optional>

#include "backend/variants/convolution/geometry.h"
#include "backend/variants/convolution/weights.h"
#include "backend/variants/convolution/winograd_transforms.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;
using winograd::kInputs;
using winograd::kProducts;
using winograd::kResults;
using winograd::kWindow;

// Transformed inputs of a block, and transformed windows of a chunk of channels.
constexpr int64_t kInputBytes = 1280 * 1024;
constexpr int64_t kWindowBytes = 320 * 1024;
// Tiles of a block for which windows are transformed in a small part of the time; and as many as are
// worth it for any number of channels.
constexpr int64_t kMinBlock = 24;
constexpr int64_t kMaxLongBlock = 32;
// What a row of tiles may take at most: a block has at least one.
constexpr int64_t kMaxRowBytes = 16 * 1024 * 1024;
// Rows of the 36 matrices begin in different sets of a cache.
constexpr int64_t kSkew = 16;
// Each run of panels transforms its inputs anew: for as many columns that is a small part.
constexpr int64_t kMinColumnsPerRun = 128;

struct Plan {
  ConvGeometry g;
  int64_t channels = 0, columns = 0;  // of a group
  ProductStep packed;                 // how panels of weights are read
  ProductStep step;                   // of the products: f32
  RegisterTile tile;
  int64_t tiles_down = 0, tiles_across = 0;
  // A block: rows of tiles of 4 x 4 results of one image, or all those of several images, so that
  // no two blocks write into one row of results.
  int64_t block_rows = 0, block_images = 1;
  int64_t blocks_down = 1, blocks_of_images = 1;
  int64_t padded_block = 0;           // tiles, in whole register tiles
  int64_t chunk = 0, num_chunks = 0;  // input channels
  int64_t panels_per_run = 0, panel_runs = 1;

  int64_t block() const { return block_images * block_rows * tiles_across; }
  int64_t num_blocks() const { return blocks_down * blocks_of_images; }
  int64_t num_tiles() const { return g.groups * num_blocks() * panel_runs; }
};

// The largest divisor of the channels that fits and, where there is one, has whole registers.
int64_t choose_chunk(int64_t channels, int64_t most, int lanes) {
  if (channels <= most) return channels;
  for (int64_t chunk = most / lanes * lanes; chunk > 0; chunk -= lanes) {
    if (channels % chunk == 0) return chunk;
  }
  return 0;
}

int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

// What follows from block_rows and block_images.
void complete_blocks(const GroupContext& context, Plan& plan) {
  plan.blocks_down = ceil_div(plan.tiles_down, plan.block_rows);
  plan.blocks_of_images = ceil_div(plan.g.n, plan.block_images);
  plan.tile = choose_register_tile(context.machine, plan.step, plan.block(), plan.columns);
  plan.padded_block = ceil_div(plan.block(), plan.tile.rows) * plan.tile.rows;
  const int64_t panels = ceil_div(plan.columns, plan.tile.columns());
  const int64_t runs =
      std::clamp<int64_t>(ceil_div(kMinTiles, plan.g.groups * plan.num_blocks()), 1,
                          std::max<int64_t>(plan.columns / kMinColumnsPerRun, 1));
  plan.panels_per_run = ceil_div(panels, runs);
  plan.panel_runs = ceil_div(panels, plan.panels_per_run);
}

// The work of a plan in tiles, that of windows included, and some of what several cores would wait
// for one another: the more, the fewer they are.
double work_of_blocks(const Plan& plan) {
  constexpr double kWindowTiles = 5;  // what a block's windows take
  constexpr struct {
    int64_t cores;
    double weight;
  } kTeams[] = {{2, 0.2}, {4, 0.1}, {8, 0.05}};
  double waits = 0;
  for (const auto& team : kTeams) {
    const int64_t rounds = ceil_div(plan.num_tiles(), team.cores);
    waits += team.weight *
             (static_cast<double>(rounds * team.cores) / static_cast<double>(plan.num_tiles()) - 1);
  }
  return static_cast<double>(plan.num_blocks()) *
         (static_cast<double>(plan.padded_block) + kWindowTiles) * (1 + waits);
}

void choose_blocks(const GroupContext& context, Plan& plan) {
  const int64_t of_image = plan.tiles_down * plan.tiles_across;
  const int64_t tile_bytes = kProducts * plan.channels * size_bytes(DType::f32);
  const int64_t most = std::max(kInputBytes / tile_bytes, kMaxLongBlock);
  if (of_image <= most / 2 && plan.g.n > 1) {
    plan.block_rows = plan.tiles_down;
    plan.block_images = ceil_div(plan.g.n, ceil_div(plan.g.n * of_image, most));
    return complete_blocks(context, plan);
  }
  const int64_t least = std::min(kMinBlock, of_image);
  std::optional<Plan> best;
  for (int64_t rows = 1; rows <= plan.tiles_down; ++rows) {
    const int64_t tiles = rows * plan.tiles_across;
    if (tiles < least || (tiles > most && best)) continue;
    Plan next = plan;
    next.block_rows = rows;
    complete_blocks(context, next);
    if (!best || work_of_blocks(next) < work_of_blocks(*best)) best = next;
  }
  plan = *best;
}

// Masks and counts: their sums are whole numbers too, which may be compared for equality.
bool are_whole_numbers(const Tensor& weights) {
  for (int64_t i = 0; i < weights.num_elements(); ++i) {
    const double value = weights.f64(i);
    if (value != std::trunc(value)) return false;
  }
  return true;
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  if (context.machine.code.is_strict) return refuse("transformed sums differ in kind");
  Plan plan;
  NEURONC_ASSIGN(plan.g, conv_geometry(context));
  const ConvGeometry& g = plan.g;
  if (g.r != kWindow || g.s != kWindow) return refuse("the window is not 3 x 3");
  if (g.stride_h != 1 || g.stride_w != 1) return refuse("it has strides");
  if (g.dilation_h != 1 || g.dilation_w != 1) return refuse("it has dilations");
  const Tensor* weights = context.constant_operand(1);
  if (weights == nullptr) return refuse("the weights are not constant");
  if (carrier_of(context.operand_dtype(0)) != DType::f32 ||
      carrier_of(weights->dtype()) != DType::f32) {
    return refuse("it is not f32");
  }
  if (are_whole_numbers(*weights)) return refuse("sums of whole numbers are to be exact");
  if (g.p * g.q * g.n * g.c * g.m == 0) return refuse("it has no elements");
  NEURONC_ASSIGN(plan.packed, choose_step(context.machine, DType::f32, weights->dtype()));
  plan.channels = g.c / g.groups;
  plan.columns = g.m / g.groups;
  if (plan.channels % plan.packed.k_step() != 0) return refuse("its channels are packed together");
  plan.tiles_down = ceil_div(g.p, kResults);
  plan.tiles_across = ceil_div(g.q, kResults);
  if (plan.tiles_across * kProducts * plan.channels * size_bytes(DType::f32) > kMaxRowBytes) {
    return refuse("its rows are too long");
  }
  choose_blocks(context, plan);
  const int64_t row_bytes = kProducts * plan.tile.columns() * size_bytes(DType::f32);
  plan.chunk = choose_chunk(plan.channels, kWindowBytes / row_bytes, plan.tile.lanes);
  if (plan.chunk == 0) return refuse("its channels have no divisor of a fit size");
  plan.num_chunks = plan.channels / plan.chunk;
  return plan;
}

// The part of the peak that the products reach, and what an instruction of a transform takes beside
// a multiply-add (measured on Zen 4, 512 and 256 bits).
constexpr double kEfficiency = 0.9;
constexpr double kTransformCost = 1.85;

// Registers loaded, made and stored on the way, each as one instruction.
double transform_ops(const Plan& plan) {
  const int lanes = plan.tile.lanes;
  const auto in = static_cast<double>((plan.channels + lanes - 1) / lanes);
  const auto out = static_cast<double>((plan.columns + lanes - 1) / lanes);
  const auto tiles = static_cast<double>(plan.padded_block * plan.num_blocks());
  const double inputs =
      tiles * in * static_cast<double>(plan.panel_runs) * (winograd::kInputOps + 4 * kProducts);
  const double windows = static_cast<double>(plan.num_blocks() * plan.channels) * out *
                         (winograd::kWindowOps + kProducts + kWindow * kWindow);
  const double results =
      tiles * out * (winograd::kProductOps + 2 * kProducts + 3 * kResults * kResults);
  return inputs + windows + results;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const int lanes = plan.tile.lanes;
  const int64_t columns = (plan.columns + lanes - 1) / lanes * lanes;
  const double flops = 2.0 * kProducts *
                       static_cast<double>(plan.padded_block * plan.num_blocks()) *
                       static_cast<double>(plan.channels * columns);
  const double transform_flops = 2.0 * lanes * kTransformCost * transform_ops(plan);
  const HardwareModel& hardware = context.machine.hardware;
  return hardware.launch_ns + static_cast<double>(plan.g.groups) *
                                  (flops / kEfficiency + transform_flops) /
                                  (hardware.f32_flops_per_s * 1e-9);
}

class Winograd {
 public:
  Winograd(GroupEmitter& e, const GroupContext& context, const Plan& plan)
      : e_(e),
        b_(e.builder()),
        node_(context.anchor_node()),
        plan_(plan),
        g_(plan.g),
        lanes_(plan.tile.lanes),
        columns_(plan.tile.columns()) {
    const Index t = plan.num_tiles() > 1 ? b_.tile() : Index(0);
    run_ = kernel::mod(t, plan.panel_runs);
    const Index block = kernel::floor_div(t, plan.panel_runs);
    first_row_ = kernel::mod(block, plan.blocks_down) * plan.block_rows;
    const Index images = kernel::floor_div(block, plan.blocks_down);
    first_image_ = kernel::mod(images, plan.blocks_of_images) * plan.block_images;
    group_ = kernel::floor_div(images, plan.blocks_of_images);
    weights_ = e.packed_buffer("w", packed_weights(context, g_, /*crosses_columns=*/false));
    inputs_ = e.workspace("v", DType::f32,
                          {plan.num_chunks * kProducts, plan.padded_block * plan.chunk + kSkew});
    windows_ = e.workspace("u", DType::f32, {kProducts, plan.chunk * columns_ + kSkew});
    products_ = e.workspace("m", DType::f32, {kProducts, plan.padded_block * columns_ + kSkew});
    patch_ = e.workspace("patch", DType::f32, {kProducts, plan.channels + kSkew});
    results_ = b_.local("y", DType::f32, {kResults * kResults, columns_});
  }

  void run() {
    e_.loop({0, plan_.padded_block, 1}, [&](Index i) { transform_inputs(i); });
    const PanelRun panels{plan_.columns, columns_, run_ * plan_.panels_per_run,
                          plan_.panels_per_run};
    for_each_panel(e_, panels, [&](Index panel, int active) {
      const int vectors = plan_.tile.active_vectors(active);
      e_.loop({0, plan_.num_chunks, 1}, [&](Index chunk) {
        e_.loop({0, vectors, 1}, [&](Index v) { transform_windows(panel, v, chunk); });
        multiply(vectors, chunk);
      });
      each_tile([&](Index i, const Place& at) {
        e_.when({{at.image, 0, g_.n}}, [&] { transform_products(panel, active, i, at); });
      });
    });
  }

 private:
  struct Place {
    Index image, row, column;  // of its first result
  };
  // Of tile `i` of the block; it may be past the last image or row.
  Place place_of(Index i) const {
    const int64_t per_image = plan_.block_rows * plan_.tiles_across;
    const Index within = kernel::mod(i, per_image);
    return {first_image_ + kernel::floor_div(i, per_image),
            (first_row_ + kernel::floor_div(within, plan_.tiles_across)) * kResults,
            kernel::mod(within, plan_.tiles_across) * kResults};
  }

  // Calls body(i, its place) for every tile of the block, in loops without a quotient: which bytes a
  // core writes is seen from the indices.
  void each_tile(const std::function<void(Index, const Place&)>& body) {
    e_.loop({0, plan_.block_images, 1}, [&](Index image) {
      e_.loop({0, plan_.block_rows, 1}, [&](Index row) {
        e_.loop({0, plan_.tiles_across, 1}, [&](Index column) {
          body((image * plan_.block_rows + row) * plan_.tiles_across + column,
               {first_image_ + image, (first_row_ + row) * kResults, column * kResults});
        });
      });
    });
  }

  // Calls body(chunk, first channel in the chunk, active lanes).
  void each_channel_register(const std::function<void(Index, Index, int)>& body) {
    const int64_t whole = plan_.chunk / lanes_ * lanes_;
    e_.loop({0, plan_.num_chunks, 1}, [&](Index chunk) {
      if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index c) { body(chunk, c, lanes_); });
      if (whole < plan_.chunk) {
        body(chunk, Index(whole), static_cast<int>(plan_.chunk - whole));
      }
    });
  }

  // Of tile `i` of the block. Past the last one there is that one again. Inputs are copied once
  // more than tiles inside the image need, which costs less than a second transform in the code.
  void transform_inputs(Index i) {
    const Place at = place_of(kernel::min(i, plan_.block() - 1));
    copy_patch(kernel::min(at.image, g_.n - 1), at.row - Index(g_.pad_top),
               at.column - Index(g_.pad_left));
    each_channel_register([&](Index chunk, Index c, int active) {
      Values inputs;
      for (int j = 0; j < kProducts; ++j) {
        inputs.push_back(load(patch_, {Index(j), chunk * plan_.chunk + c}, active));
      }
      const Values transformed = winograd::transform_inputs(b_, inputs);
      for (int j = 0; j < kProducts; ++j) {
        store(inputs_, {chunk * kProducts + Index(j), i * plan_.chunk + c},
              transformed[static_cast<size_t>(j)], active);
      }
    });
  }

  Register pull(Index image, Index row, Index column, Index channel, int active) {
    return e_.pull(node_.operands[0],
                   LaneIndex::along(g_.at(image, group_ * plan_.channels + channel, row, column), 1,
                                    lanes_, active));
  }

  // The 6 x 6 inputs with zeros around them.
  void copy_patch(Index image, Index row, Index column) {
    e_.loop({0, kProducts, 1}, [&](Index j) {
      const Index y = row + kernel::floor_div(j, kInputs), x = column + kernel::mod(j, kInputs);
      e_.choose(
          {{y, 0, g_.h}, {x, 0, g_.w}},
          [&] {
            each_channel_register([&](Index chunk, Index c, int active) {
              const Index channel = chunk * plan_.chunk + c;
              store(patch_, {j, channel}, pull(image, y, x, channel, active), active);
            });
            return Values{};
          },
          [&] {
            const Register zero = b_.zero({DType::f32, lanes_});
            each_channel_register([&](Index chunk, Index c, int active) {
              store(patch_, {j, chunk * plan_.chunk + c}, zero, active);
            });
            return Values{};
          });
    });
  }

  // Of register `v` of a panel's columns.
  void transform_windows(Index panel, Index v, Index chunk) {
    const int k_step = plan_.packed.k_step();
    const int64_t groups = plan_.channels / k_step, of_chunk = plan_.chunk / k_step;
    const Index column =
        group_ * (num_panels(plan_.columns) * kPanelColumns) + panel * columns_ + v * lanes_;
    e_.loop({0, of_chunk, 1}, [&](Index k) {
      std::vector<Values> windows(static_cast<size_t>(k_step));
      for (int j = 0; j < kWindow * kWindow; ++j) {
        const Index row = Index(j * groups) + chunk * of_chunk + k;
        const Values one = prepare_b(
            b_, plan_.packed, load_panel(e_, weights_, plan_.packed, column, row, 1, lanes_));
        for (size_t c = 0; c < windows.size(); ++c) windows[c].push_back(one[c]);
      }
      for (int c = 0; c < k_step; ++c) {
        const Values transformed = winograd::transform_window(b_, windows[static_cast<size_t>(c)]);
        for (int j = 0; j < kProducts; ++j) {
          b_.store(windows_, {Index(j), (k * k_step + Index(c)) * columns_ + v * lanes_},
                   transformed[static_cast<size_t>(j)]);
        }
      }
    });
  }

  void multiply(int vectors, Index chunk) {
    const int rows = plan_.tile.rows;
    const KLoops k{{}, plan_.chunk};
    e_.loop({0, kProducts, 1}, [&](Index j) {
      const RowOperand a{inputs_, 1, [&](Index row, std::span<const Index>, Index c) {
                           return std::vector<Index>{chunk * kProducts + j, row * plan_.chunk + c};
                         }};
      e_.loop({0, plan_.padded_block / rows, 1}, [&](Index i) {
        MicroKernel micro;
        micro.step = plan_.step;
        micro.rows = rows;
        micro.vectors = vectors;
        micro.lanes = lanes_;
        micro.first_row = i * rows;
        micro.k = &k;
        micro.a = &a;
        micro.load_b = [&](Index c) {
          Values columns;
          for (int v = 0; v < vectors; ++v) {
            columns.push_back(b_.load(windows_, {j, c * columns_ + Index(v * lanes_)}, lanes_));
          }
          return columns;
        };
        const auto sum_at = [&](int row, int v) {
          return std::vector<Index>{j, (i * rows + Index(row)) * columns_ + Index(v * lanes_)};
        };
        if (plan_.num_chunks > 1) micro.initial = sums_before(chunk, vectors, sum_at);
        const Values sums = emit_micro_kernel(e_, micro);
        for (int n = 0; n < rows * vectors; ++n) {
          b_.store(products_, sum_at(n / vectors, n % vectors), sums[static_cast<size_t>(n)]);
        }
      });
    });
  }

  Values sums_before(Index chunk, int vectors,
                     const std::function<std::vector<Index>(int, int)>& sum_at) {
    const auto count = static_cast<size_t>(plan_.tile.rows * vectors);
    return e_.choose(
        {{chunk, 0, 1}}, [&] { return Values(count, b_.zero({DType::f32, lanes_})); },
        [&] {
          Values sums;
          for (int n = 0; n < static_cast<int>(count); ++n) {
            sums.push_back(b_.load(products_, sum_at(n / vectors, n % vectors), lanes_));
          }
          return sums;
        });
  }

  // The results of tile `i` of the block, in the columns of a panel that exist.
  void transform_products(Index panel, int active, Index i, const Place& at) {
    const int vectors = plan_.tile.active_vectors(active);
    e_.loop({0, vectors, 1}, [&](Index v) {
      Values products;
      for (int j = 0; j < kProducts; ++j) {
        products.push_back(b_.load(products_, {Index(j), i * columns_ + v * lanes_}, lanes_));
      }
      const Values results = winograd::transform_products(b_, products);
      for (int j = 0; j < kResults * kResults; ++j) {
        b_.store(results_, {Index(j), v * lanes_}, results[static_cast<size_t>(j)]);
      }
    });
    e_.loop({0, kResults, 1}, [&](Index y) {
      e_.loop({0, kResults, 1}, [&](Index x) {
        const Index row = at.row + y, column = at.column + x;
        e_.when({{row, 0, g_.p}, {column, 0, g_.q}}, [&] {
          for (int v = 0; v < vectors; ++v) {
            store_result(at.image, row, column, panel * columns_ + Index(v * lanes_),
                         std::min(lanes_, active - v * lanes_),
                         b_.load(results_, {y * kResults + x, Index(v * lanes_)}, lanes_));
          }
        });
      });
    });
  }

  void store_result(Index image, Index row, Index column, Index channel, int active, Register sum) {
    channel += group_ * plan_.columns;
    if (node_.has_operand(2)) {
      sum = b_.add(sum, e_.pull(node_.operands[2], LaneIndex::along({channel}, 0, lanes_, active)));
    }
    const LaneIndex at = LaneIndex::along(g_.at(image, channel, row, column), 1, lanes_, active);
    e_.provide_rounded(node_.results[0], at, sum);
    e_.store_results(at);
  }

  Register load(BufferId buffer, const std::vector<Index>& at, int active) {
    if (active == lanes_) return b_.load(buffer, at, lanes_);
    return b_.load_partial(buffer, at, lanes_, Index(active));
  }
  void store(BufferId buffer, const std::vector<Index>& at, Register value, int active) {
    if (active == lanes_) return b_.store(buffer, at, value);
    b_.store_partial(buffer, at, value, Index(active));
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const Plan& plan_;
  const ConvGeometry& g_;
  int lanes_;
  int columns_;  // of a panel
  Index run_, group_, first_image_, first_row_;
  BufferId weights_, inputs_, windows_, products_, patch_, results_;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), plan.num_tiles());
  Winograd(e, context, plan).run();
  return std::move(e).finish();
}

}  // namespace

const Variant kConvWinograd = {.name = "conv.winograd",
                               .predict_ns = predict_ns,
                               .lower = lower,
                               .operand_order = image_operand_order,
                               .result_order = image_result_order,
                               .prologue = no_prologue};

}  // namespace neuronc
