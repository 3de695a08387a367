// Matrix product with a constant right operand, packed at compile time.
//
// All batches and rows of a form one list of rows; a tile is a block of them, or, where there are
// few rows, a run of panels. Elementwise work on a is done while the block is copied to scratch.
// Small integers come out exactly: products and sums are f32 fused multiply-adds.
#include <algorithm>

#include "backend/variants/gemm/blocks.h"
#include "backend/variants/gemm/pack.h"
#include "backend/variants/matmul/problem.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int64_t kBlockBytes = 192 * 1024;
constexpr int64_t kMinTiles = 8;

struct Plan {
  MatmulProblem problem;
  RegisterTile tile;
  int64_t rows = 0;  // of all batches
  int64_t block_rows = 0;
  int64_t num_blocks = 1;
  int64_t panels = 0;
  int64_t panels_per_tile = 0;
  int64_t panel_runs = 1;
};

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.problem, matmul_problem(context));
  const MatmulProblem& problem = plan.problem;
  const Tensor* weights = context.constant_operand(1);
  if (weights == nullptr) return refuse("the right operand is not constant");
  if (carrier_of(weights->dtype()) != DType::f32) return refuse("not f32, bf16 or f16");
  const size_t rank = problem.b_shape.size();
  if (num_elements(problem.b_shape) != problem.b_shape[rank - 1] * problem.b_shape[rank - 2]) {
    return refuse("the right operand has batches");
  }
  plan.rows = problem.num_batches() * problem.m;
  plan.tile = choose_register_tile(context.isa, plan.rows, problem.n);
  plan.panels = (problem.n + plan.tile.columns() - 1) / plan.tile.columns();
  int64_t rows = std::max<int64_t>(kBlockBytes / (problem.k * 4), 4 * plan.tile.rows);
  rows = std::max<int64_t>(plan.tile.rows, rows / plan.tile.rows * plan.tile.rows);
  plan.block_rows = std::min(rows, plan.rows);
  plan.num_blocks = (plan.rows + plan.block_rows - 1) / plan.block_rows;
  plan.panels_per_tile = plan.panels;
  if (plan.num_blocks < kMinTiles) {
    plan.panel_runs = std::min(plan.panels, (kMinTiles + plan.num_blocks - 1) / plan.num_blocks);
    plan.panels_per_tile = (plan.panels + plan.panel_runs - 1) / plan.panel_runs;
    plan.panel_runs = (plan.panels + plan.panels_per_tile - 1) / plan.panels_per_tile;
  }
  return plan;
}

OrRefusal<void> accepts(const GroupContext& context) {
  NEURONC_TRY(make_plan(context));
  return {};
}

LoweredKernel lower(const GroupContext& context) {
  const Plan plan = *make_plan(context);
  const MatmulProblem& problem = plan.problem;
  const int64_t num_tiles = plan.num_blocks * plan.panel_runs;
  GroupEmitter e(context.module, context.graph, context.group, context.isa, kernel_name(context),
                 num_tiles);
  const Node& anchor = context.anchor_node();
  const PackedPanels panels = pack_panels(
      *context.constant_operand(1), problem.k, problem.n, plan.tile, [&](int64_t k, int64_t n) {
        return problem.transpose_b ? n * problem.k + k : k * problem.n + n;
      });
  const BufferId weights = e.packed_buffer("w", panels.tensor);
  const Index t = num_tiles > 1 ? e.builder().tile() : Index(0);

  BlockLoops loops;
  loops.tile = plan.tile;
  loops.n = problem.n;
  loops.num_rows = plan.rows;
  loops.block_rows = plan.block_rows;
  loops.first_row = kernel::floor_div(t, plan.panel_runs) * plan.block_rows;
  loops.first_panel = kernel::mod(t, plan.panel_runs) * plan.panels_per_tile;
  loops.num_panels = plan.panels_per_tile;
  loops.k_extents = {problem.k};
  const auto at_row = [&problem](Index row, Index k) {
    return problem.a_at(problem.batch_index(kernel::floor_div(row, problem.m)),
                        kernel::mod(row, problem.m), k);
  };
  const ValueId a = anchor.operands[0];
  if (e.producer(a)) {
    const BufferId block = e.workspace("a", DType::f32, {plan.block_rows, problem.k});
    copy_rows(e, anchor, problem, block, at_row, loops.first_row, plan.block_rows, plan.rows,
              plan.tile.lanes);
    const Index first = loops.first_row;
    loops.load_a = [&e, block, first](Index row, std::span<const Index> k) {
      return e.builder().load(block, {row - first, k[0]});
    };
  } else {
    loops.load_a = [&e, a, at_row](Index row, std::span<const Index> k) {
      return e.pull(a, LaneIndex::scalar(at_row(row, k[0])));
    };
  }
  loops.load_b = [&](Index panel, int active, Index k) {
    Values columns = load_panel(e, weights, panels, plan.tile, panel, k);
    columns.resize(std::min<size_t>(
        columns.size(), static_cast<size_t>((active + plan.tile.lanes - 1) / plan.tile.lanes)));
    return columns;
  };
  loops.store = [&](Index row, Index column, int active, Register sum) {
    store_matmul_result(e, anchor, problem, problem.batch_index(kernel::floor_div(row, problem.m)),
                        kernel::mod(row, problem.m), column, active, sum);
  };
  emit_blocks(e, loops);
  return std::move(e).finish();
}

}  // namespace

const Variant kMatmulPacked = {"matmul.packed", accepts, lower, no_order, no_result_order, 0.8};

}  // namespace neuronc
