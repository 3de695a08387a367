// Implements tap_plan.h.
#include "backend/variants/convolution/tap_plan.h"

#include <algorithm>

#include "backend/variants/product/blocks.h"

namespace neuronc {
namespace {

// Whether the register tile can read operand 0 where it lies; before storages are settled, whether
// it will.
bool is_in_memory(const GroupContext& context, const TapPlan& plan) {
  const ValueId input = context.outer_of(context.anchor_node().operands[0]);
  if (!input) return false;
  const Storage& storage = context.graph.value(input).storage;
  if (!storage || !plan.step.reads_a_in_groups()) return true;
  return storage.dtype == plan.step.a && storage.strides[1] == 1;
}

// The largest divisor of the height whose slab fits and which leaves tiles to share among cores;
// weights that are packed at run time are packed once per block.
void choose_block(const TapPlan& plan, TapPart& part) {
  const auto& [depth, height, width] = part.problem.axes;
  part.slab = {depth.position_end(1), 0, width.position_end(width.results)};
  const int64_t row_bytes =
      part.slab[0] * part.slab[2] * plan.conv.channels * size_bytes(plan.step.a);
  part.block_height = 1;
  for (int64_t rows = 1; rows <= height.results; ++rows) {
    if (height.results % rows != 0) continue;
    const int64_t bytes = height.position_end(rows) * row_bytes;
    const int64_t tiles = plan.conv.n * plan.conv.groups * depth.results * (height.results / rows);
    const bool is_small = rows * width.results <= 64;
    const bool fits = bytes <= kBlockBytes && (tiles >= kMinTiles || is_small);
    if (fits || !plan.has_constant_weights) part.block_height = rows;
  }
  part.slab[1] = height.position_end(part.block_height);
  part.num_blocks = depth.results * (height.results / part.block_height);
}

void choose_lines(const GroupContext& context, const TapPlan& plan, TapPart& part,
                  const Tensor& weights) {
  LineProblem problem{part.problem.axes, part.columns, 0, part.tile, part.block_rows(), &weights};
  TapAxis& width = problem.axes[2];
  // Columns of the window that are one loop with their channels are all multiplied.
  if (width.dilation == 1 && plan.conv.channels % plan.step.k_step() != 0) {
    width = {.input = width.results, .results = width.results};
  }
  part.lines = line_tiles(context.machine, plan.step, problem);
  if (part.lines) part.tile = part.lines->tile;
}

}  // namespace

OrRefusal<TapPlan> make_tap_plan(const GroupContext& context) {
  TapPlan plan;
  NEURONC_ASSIGN(plan.conv, tap_convolution(context));
  const Tensor* weights = context.constant_operand(1);
  plan.has_constant_weights = weights != nullptr;
  if (weights == nullptr && plan.conv.is_transposed) return refuse("the weights are not constant");
  NEURONC_ASSIGN(plan.step,
                 choose_step(context.machine, context.operand_dtype(0), context.operand_dtype(1)));
  if (plan.conv.columns < 4 && plan.conv.groups > 1) {
    return refuse("groups of fewer than 4 channels");
  }
  const bool may_read = is_in_memory(context, plan);
  for (TapProblem& problem : plan.conv.problems) {
    TapPart part;
    part.problem = problem;
    const auto num_phases = static_cast<int64_t>(problem.phases.size());
    const int64_t lanes = context.machine.lanes(4);
    // Registers tell the columns of several phases apart.
    part.phase_columns =
        num_phases == 1 ? plan.conv.columns : (plan.conv.columns + lanes - 1) / lanes * lanes;
    part.columns = part.phase_columns * num_phases;
    const TapAxis& width = problem.axes[2];
    const int64_t taps = width.taps, channels = plan.conv.channels;
    const bool crosses_columns =
        taps > 1 && width.dilation == 1 && channels % plan.step.k_step() != 0;
    part.uses_slab = !may_read || !problem.is_inside() || crosses_columns;
    choose_block(plan, part);
    part.tile = choose_register_tile(context.machine, plan.step, part.block_rows(), part.columns);
    if (part.uses_slab && weights != nullptr) choose_lines(context, plan, part, *weights);
    const bool is_joined = width.dilation == 1 && (!part.lines || crosses_columns);
    part.k = part.uses_slab && is_joined
                 ? KLoops{{problem.axes[0].taps, problem.axes[1].taps}, taps * channels}
                 : KLoops{{problem.axes[0].taps, problem.axes[1].taps, taps}, channels};
    plan.parts.push_back(std::move(part));
  }
  return plan;
}

}  // namespace neuronc
