// Products over taps: convolutions that `conv.direct` does not take: three spatial dims, weights that come at run time,
// transposed ones. Implicit products on channels-last memory as there, one for each problem of
// taps.h; a tile is a block of result rows of one image, group and problem.
//
// Small integers come out exactly: every product is exact in f32, and so are their sums.
#include <fmt/format.h>

#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/variants/convolution/tap_plan.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/product/predict.h"
#include "backend/variants/product/run_time_pack.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const TapPlan plan, make_tap_plan(context));
  double time_ns = 0;
  for (const TapPart& part : plan.parts) {
    const auto& axes = part.problem.axes;
    const double share = part.lines ? part.lines->share : 1;
    const auto k = static_cast<double>(part.problem.num_taps() * plan.conv.channels);
    ProductWork work{plan.conv.n * axes[0].results * axes[1].results * axes[2].results,
                     part.columns, static_cast<int64_t>(k * share), plan.conv.groups};
    if (part.uses_slab) {
      work.copied_elements =
          static_cast<double>(plan.tiles_of(part) * part.slab_elements() * plan.conv.channels);
    }
    if (!plan.has_constant_weights) {
      work.copied_elements += static_cast<double>(plan.tiles_of(part) * work.n * work.k);
    }
    time_ns += predict_product_ns(context.machine, plan.step, part.tile, work);
  }
  return time_ns;
}

// ---- weights

// Which tap and channel a k stands for; k runs over (depth, height, width, channel).
struct KPlace {
  std::array<int64_t, 3> tap;
  int64_t channel;
};

KPlace place_of_k(const TapConvolution& conv, const TapPart& part, int64_t k) {
  const auto& axes = part.problem.axes;
  KPlace place{{}, k % conv.channels};
  k /= conv.channels;
  place.tap = {k / axes[2].taps / axes[1].taps, k / axes[2].taps % axes[1].taps, k % axes[2].taps};
  return place;
}

Tensor pack_group(const TapPlan& plan, const TapPart& part, const Tensor& weights, int64_t group) {
  const TapConvolution& conv = plan.conv;
  // The one element behind the weights is the zero of taps without weights.
  Tensor extended = Tensor::zeros(weights.dtype(), {weights.num_elements() + 1});
  std::copy_n(weights.data(), weights.size_bytes(), extended.mutable_data());
  return pack_panels(extended, part.k, part.columns, [&](int64_t k, int64_t n) {
    const KPlace place = place_of_k(conv, part, k);
    const auto& axes = part.problem.phases[static_cast<size_t>(n / part.phase_columns)];
    if (n % part.phase_columns >= conv.columns) return weights.num_elements();
    std::array<int64_t, 3> element{};
    for (size_t axis = 0; axis < 3; ++axis) {
      element[axis] = axes[axis].first_weight + place.tap[axis] * axes[axis].weight_step;
    }
    const int64_t at = conv.weight_at(group, n % part.phase_columns, place.channel, element);
    return at < 0 ? weights.num_elements() : at;
  });
}

// The groups' panels one after the other.
Tensor pack(const TapPlan& plan, const TapPart& part, const Tensor& weights) {
  Tensor first = pack_group(plan, part, weights, 0);
  if (plan.conv.groups == 1) return first;
  std::vector<int64_t> shape = first.shape();
  shape[0] *= plan.conv.groups;
  Tensor joined = Tensor::zeros(first.dtype(), shape);
  const auto part_bytes = first.size_bytes();
  for (int64_t group = 0; group < plan.conv.groups; ++group) {
    const Tensor panels = group == 0 ? first : pack_group(plan, part, weights, group);
    std::copy_n(panels.data(), part_bytes, joined.mutable_data() + group * part_bytes);
  }
  return joined;
}

Tensor packed_weights(const GroupContext& context, const TapPlan& plan, const TapPart& part) {
  const Tensor& weights = *context.constant_operand(1);
  std::string form = fmt::format("taps {} {} {} {} {}", plan.conv.is_transposed, plan.conv.groups,
                                 part.columns, part.phase_columns, plan.conv.channels);
  for (const int64_t extent : plan.conv.window) form += fmt::format(" {}", extent);
  for (const int64_t extent : part.k.outer) form += fmt::format(" {}", extent);
  for (const auto& phase : part.problem.phases) {
    for (const TapAxis& axis : phase) {
      form += fmt::format(" {} {} {}", axis.taps, axis.first_weight, axis.weight_step);
    }
  }
  return context.machine.packs->get(weights, form, [&] { return pack(plan, part, weights); });
}

// ---- the kernel

class PartEmitter {
 public:
  PartEmitter(GroupEmitter& e, const GroupContext& context, const TapPlan& plan,
              const TapPart& part, size_t number)
      : e_(e),
        b_(e.builder()),
        context_(context),
        node_(context.anchor_node()),
        plan_(plan),
        part_(part),
        number_(number) {}

  // `tile` counts the tiles of this part.
  void run(Index tile) {
    const TapConvolution& conv = plan_.conv;
    const TapAxis& height = part_.problem.axes[1];
    const int64_t blocks_per_slice = height.results / part_.block_height;
    const Index block = kernel::mod(tile, part_.num_blocks);
    const Index rest = kernel::floor_div(tile, part_.num_blocks);
    image_ = kernel::floor_div(rest, conv.groups);
    group_ = kernel::mod(rest, conv.groups);
    depth_ = kernel::floor_div(block, blocks_per_slice);
    row_ = kernel::mod(block, blocks_per_slice) * part_.block_height;

    BlockLoops loops;
    loops.step = plan_.step;
    loops.tile = part_.tile;
    loops.k = part_.k;
    loops.n = part_.columns;
    loops.num_rows = loops.block_rows = part_.block_rows();
    loops.first_row = Index(0);
    loops.num_panels = (part_.columns + part_.tile.columns() - 1) / part_.tile.columns();
    loops.a = part_.uses_slab ? slab_rows() : input_rows();
    if (part_.lines) {
      loops.line_rows = part_.problem.axes[2].results;
      loops.outer = [this](Index pixel, int count) { return taps_of_line(pixel, count); };
    }
    read_weights(loops);
    loops.store = [this](Index pixel, Index column, int active, Register sum) {
      store(pixel, column, active, sum);
    };
    emit_blocks(e_, loops);
  }

 private:
  std::string name(const char* what) const { return what + std::to_string(number_); }

  void read_weights(BlockLoops& loops) {
    const int columns = part_.tile.columns();
    if (!plan_.has_constant_weights) return read_run_time_weights(loops);
    const BufferId weights = e_.packed_buffer(name("w"), packed_weights(context_, plan_, part_));
    const Index first = group_ * (num_panels(part_.columns) * kPanelColumns);
    loops.load_b = [=, this](Index panel, int vectors, Index k) {
      return load_panel(e_, weights, plan_.step, first + panel * columns, k, vectors,
                        part_.tile.lanes);
    };
    loops.prefetch = [=, this](Index column, Index group) {
      prefetch_panel(e_, weights, first + column, group);
    };
  }

  // Each panel is packed before the block's rows pass by.
  void read_run_time_weights(BlockLoops& loops) {
    const TapConvolution& conv = plan_.conv;
    operand_ = {node_.operands[1],
                1,
                0,
                part_.problem.num_taps() * conv.channels,
                part_.columns,
                [this](Index k, Index column) { return weight_index(k, column); },
                conv.channels};
    panel_ = run_time_panel(e_, plan_.step, part_.tile, operand_);
    loops.begin_panel = [this](Index panel) {
      pack_at_run_time(e_, plan_.step, part_.tile, operand_, panel, panel_);
    };
    loops.load_b = [this](Index, int vectors, Index k) {
      return load_panel(e_, panel_, plan_.step, Index(0), k, vectors, part_.tile.lanes);
    };
  }

  std::vector<Index> weight_index(Index k, Index column) const {
    const TapConvolution& conv = plan_.conv;
    std::vector<Index> at{group_ * conv.columns + column, kernel::mod(k, conv.channels)};
    Index tap = kernel::floor_div(k, conv.channels);
    std::array<Index, 3> element;
    for (size_t axis = 3; axis-- > 0;) {
      element[axis] = axis == 0 ? tap : kernel::mod(tap, conv.window[axis]);
      tap = kernel::floor_div(tap, conv.window[axis]);
    }
    for (size_t axis = 5 - conv.rank; axis < 3; ++axis) at.push_back(element[axis]);
    return at;
  }

  // ---- rows of a

  // The result that pixel number `pixel` of the block is, relative to the block.
  std::array<Index, 2> place_in_block(Index pixel) const {
    const int64_t width = part_.problem.axes[2].results;
    return {kernel::floor_div(pixel, width), kernel::mod(pixel, width)};
  }

  // The taps that `count` pixels of one line from `pixel` on meet.
  std::vector<kernel::Range> taps_of_line(Index pixel, int count) const {
    const auto& axes = part_.problem.axes;
    const auto [p, q] = place_in_block(pixel);
    std::vector<kernel::Range> taps{taps_met(axes[0], depth_, depth_),
                                    taps_met(axes[1], row_ + p, row_ + p)};
    if (part_.k.outer.size() > 2) taps.push_back(taps_met(axes[2], q, q + Index(count - 1)));
    return taps;
  }

  RowOperand input_rows() {
    return {e_.memory_of(node_.operands[0])->buffer, 1,
            [this](Index pixel, std::span<const Index> outer, Index inner) {
              const auto [p, q] = place_in_block(pixel);
              const auto& axes = part_.problem.axes;
              const std::array<Index, 3> results{depth_, row_ + p, q};
              std::array<Index, 3> at;
              for (size_t axis = 0; axis < 3; ++axis) {
                at[axis] = results[axis] * axes[axis].stride + outer[axis] * axes[axis].dilation +
                           Index(axes[axis].base);
              }
              return plan_.conv.at(image_, group_ * plan_.conv.channels + inner, at);
            }};
  }

  RowOperand slab_rows() {
    const int64_t c = plan_.conv.channels;
    const BufferId slab =
        e_.workspace(name("slab"), plan_.step.a, {part_.slab[0], part_.slab[1], part_.slab[2] * c});
    fill(slab);
    return {slab, 2, [this, c](Index pixel, std::span<const Index> outer, Index inner) {
              const auto [p, q] = place_in_block(pixel);
              const auto& axes = part_.problem.axes;
              if (outer.size() > 2) inner += outer[2] * (axes[2].dilation * c);
              return std::vector<Index>{outer[0] * axes[0].dilation,
                                        p * axes[1].stride + outer[1] * axes[1].dilation,
                                        q * (axes[2].stride * c) + inner};
            }};
  }

  // Copies the part of the input that the block reads; what lies outside is zero.
  void fill(BufferId slab) {
    const auto& axes = part_.problem.axes;
    const Index depth = depth_ * axes[0].stride + Index(axes[0].base);
    const Index row = row_ * axes[1].stride + Index(axes[1].base);
    e_.loop({0, part_.slab[0], 1}, [&](Index z) {
      e_.loop({0, part_.slab[1], 1}, [&](Index y) {
        e_.choose(
            {{depth + z, 0, axes[0].input}, {row + y, 0, axes[1].input}},
            [&]() -> Values {
              fill_row(slab, z, y, depth + z, row + y);
              return {};
            },
            [&]() -> Values {
              zero(slab, z, y, 0, part_.slab[2]);
              return {};
            });
      });
    });
  }

  void fill_row(BufferId slab, Index z, Index y, Index depth, Index row) {
    const TapAxis& width = part_.problem.axes[2];
    const int64_t c = plan_.conv.channels;
    const int64_t left = std::clamp<int64_t>(-width.base, 0, part_.slab[2]);
    const int64_t end = std::clamp(width.input - width.base, left, part_.slab[2]);
    zero(slab, z, y, 0, left);
    zero(slab, z, y, end, part_.slab[2]);
    if (end <= left) return;
    const int lanes = copy_lanes();
    const int64_t whole = c / lanes * lanes;
    e_.loop({left, end, 1}, [&](Index column) {
      const auto copy = [&](Index channel, int n) {
        const LaneIndex from = LaneIndex::along(
            plan_.conv.at(image_, group_ * c + channel, {depth, row, column + Index(width.base)}),
            1, n);
        b_.store(slab, {z, y, column * c + channel},
                 b_.convert(e_.pull(node_.operands[0], from), plan_.step.a));
      };
      if (whole > 0) e_.loop({0, whole, lanes}, [&](Index ch) { copy(ch, lanes); });
      if (whole < c) e_.loop({whole, c, 1}, [&](Index ch) { copy(ch, 1); });
    });
  }

  void zero(BufferId slab, Index z, Index y, int64_t begin, int64_t end) {
    const int64_t from = begin * plan_.conv.channels, to = end * plan_.conv.channels;
    const int lanes = part_.tile.lanes;
    const int64_t whole = from + (to - from) / lanes * lanes;
    const auto store = [&](Index i, int n) {
      b_.store(slab, {z, y, i}, b_.zero({plan_.step.a, n}));
    };
    if (whole > from) e_.loop({from, whole, lanes}, [&](Index i) { store(i, lanes); });
    if (to > whole) e_.loop({whole, to, 1}, [&](Index i) { store(i, 1); });
  }

  // Lanes go along channels where memory does.
  int copy_lanes() {
    const bool is_consecutive = contiguous_dim(e_, node_.operands[0]) == 1;
    return is_consecutive && plan_.conv.channels >= part_.tile.lanes ? part_.tile.lanes : 1;
  }

  // ---- results

  void store(Index pixel, Index column, int active, Register sum) {
    const auto tail = static_cast<int>(plan_.conv.columns % part_.tile.lanes);
    if (part_.problem.phases.size() == 1 || tail == 0) {
      return store_columns(pixel, column, active, sum);
    }
    // The last register of a phase is not full.
    const int64_t last = part_.phase_columns - part_.tile.lanes;
    const Index in_phase = kernel::mod(column, part_.phase_columns);
    e_.when({{in_phase, 0, last}}, [&] { store_columns(pixel, column, active, sum); });
    e_.when({{in_phase, last, last + 1}}, [&] { store_columns(pixel, column, tail, sum); });
  }

  void store_columns(Index pixel, Index column, int active, Register sum) {
    const auto& phases = part_.problem.phases;
    const auto [p, q] = place_in_block(pixel);
    const std::array<Index, 3> results{depth_, row_ + p, q};
    const Index phase = kernel::floor_div(column, part_.phase_columns);
    std::array<Index, 3> place;
    for (size_t axis = 0; axis < 3; ++axis) {
      const TapAxis& first = phases[0][axis];
      place[axis] = results[axis] * first.spread + offset_of(phase, axis);
    }
    const Index channel = group_ * plan_.conv.columns + kernel::mod(column, part_.phase_columns);
    const int lanes = part_.tile.lanes;
    const LaneIndex at = LaneIndex::along(plan_.conv.at(image_, channel, place), 1, lanes, active);
    if (node_.has_operand(2)) {
      sum = b_.add(sum, e_.pull(node_.operands[2], LaneIndex::along({channel}, 0, lanes, active)));
    }
    e_.provide_rounded(node_.results[0], at, sum);
    e_.store_results(at);
  }

  // Phases that share a problem are a grid of neighbours: shifts and numbers of taps change at one
  // place each along an axis.
  Index offset_of(Index phase, size_t axis) const {
    const auto& phases = part_.problem.phases;
    const int64_t first = phases[0][axis].offset;
    if (phases.size() == 1) return Index(first);
    std::array<int64_t, 3> counts = grid_counts();
    int64_t inner = 1;
    for (size_t a = axis + 1; a < 3; ++a) inner *= counts[a];
    if (counts[axis] == 1) return Index(first);
    return kernel::mod(kernel::floor_div(phase, inner), counts[axis]) + Index(first);
  }

  std::array<int64_t, 3> grid_counts() const {
    std::array<int64_t, 3> counts{1, 1, 1};
    for (const auto& phase : part_.problem.phases) {
      for (size_t axis = 0; axis < 3; ++axis) {
        counts[axis] =
            std::max(counts[axis], phase[axis].offset - part_.problem.axes[axis].offset + 1);
      }
    }
    return counts;
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const GroupContext& context_;
  const Node& node_;
  const TapPlan& plan_;
  const TapPart& part_;
  size_t number_;
  Index image_, group_, depth_, row_;
  RunTimeOperand operand_;
  BufferId panel_;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const TapPlan plan, make_tap_plan(context));
  const int64_t num_tiles = plan.num_tiles();
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), num_tiles);
  const Index tile = num_tiles > 1 ? e.builder().tile() : Index(0);
  int64_t first = 0;
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    const int64_t end = first + plan.tiles_of(plan.parts[i]);
    e.when({{tile, first, end}},
           [&] { PartEmitter(e, context, plan, plan.parts[i], i).run(tile - Index(first)); });
    first = end;
  }
  return std::move(e).finish();
}

OrRefusal<double> predict_plain(const GroupContext& context) {
  const bool is_direct =
      context.operand_shape(0).size() <= 4 && context.constant_operand(1) != nullptr;
  if (is_direct) return refuse("work for `conv.direct`");
  return predict_ns(context);
}

// Elementwise work on the input is done where it is copied, once per block.
OrRefusal<void> plain_prologue(const Module&, const Graph& graph, const Node& conv,
                               size_t operand) {
  if (operand != 0) return refuse("the operand is read more than once");
  const Type& x = graph.type(conv.operands[0]);
  if (conv.view().i64("group") == 1 && x.rank() == 5 && carrier_of(x.dtype) == DType::f32) {
    return {};
  }
  return refuse("the convolution reads its operand once per tap");
}

}  // namespace

const Variant kConvTaps = {.name = "conv.taps",
                           .predict_ns = predict_plain,
                           .lower = lower,
                           .operand_order = image_operand_order,
                           .result_order = image_result_order,
                           .prologue = plain_prologue};

const Variant kConvTransposePhases = {.name = "conv_transpose.phases",
                                      .predict_ns = predict_ns,
                                      .lower = lower,
                                      .operand_order = image_operand_order,
                                      .result_order = image_result_order,
                                      .prologue = no_prologue};

}  // namespace neuronc
