// Matrix product of two computed operands, as in attention.
//
// A tile is a batch. Where columns of b are consecutive in memory the register tile reads them as
// they lie; otherwise each panel is first gathered into scratch, which is also where a transpose or
// elementwise work on b is done.
#include <algorithm>

#include "backend/variants/gemm/blocks.h"
#include "backend/variants/matmul/problem.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

struct Plan {
  MatmulProblem problem;
  RegisterTile tile;
};

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.problem, matmul_problem(context));
  plan.tile = choose_register_tile(context.isa, plan.problem.m, plan.problem.n);
  if (plan.tile.vectors > 4) plan.tile.vectors = 4;
  return plan;
}

OrRefusal<void> accepts(const GroupContext& context) {
  NEURONC_TRY(make_plan(context));
  return {};
}

int active_vectors(const RegisterTile& tile, int active) {
  return std::min(tile.vectors, (active + tile.lanes - 1) / tile.lanes);
}

// Reads b where it lies.
void read_columns(GroupEmitter& e, const Plan& plan, const std::vector<Index>& batch, ValueId b,
                  BlockLoops& loops) {
  loops.load_b = [&e, &plan, batch, b](Index panel, int active, Index k) {
    Values columns;
    for (int v = 0; v < active_vectors(plan.tile, active); ++v) {
      const Index column = panel * plan.tile.columns() + Index(v * plan.tile.lanes);
      columns.push_back(
          e.pull(b, LaneIndex::along(plan.problem.b_at(batch, k, column),
                                     plan.problem.b_column_dim(), plan.tile.lanes,
                                     std::min(plan.tile.lanes, active - v * plan.tile.lanes))));
    }
    return columns;
  };
}

// Gathers each panel of b into scratch before its rows.
void gather_columns(GroupEmitter& e, const Plan& plan, const std::vector<Index>& batch, ValueId b,
                    BlockLoops& loops) {
  const MatmulProblem& problem = plan.problem;
  const int columns = plan.tile.columns();
  const BufferId panel_buffer = e.workspace("b", DType::f32, {problem.k, columns});
  const auto whole = static_cast<int64_t>(problem.n / columns);
  loops.begin_panel = [&e, &plan, batch, b, panel_buffer, whole](Index panel) {
    const MatmulProblem& p = plan.problem;
    const int lanes = plan.tile.lanes;
    // The last, partial panel is emitted on its own with a constant index.
    const bool is_tail = panel.is_constant() && panel.constant() == whole;
    const int active = is_tail ? static_cast<int>(p.n % plan.tile.columns()) : plan.tile.columns();
    e.loop({0, p.k, 1}, [&](Index k) {
      for (int v = 0; v < active_vectors(plan.tile, active); ++v) {
        const Index column = panel * plan.tile.columns() + Index(v * lanes);
        const LaneIndex at = LaneIndex::along(p.b_at(batch, k, column), p.b_column_dim(), lanes,
                                              std::min(lanes, active - v * lanes));
        e.builder().store(panel_buffer, {k, Index(v * lanes)}, e.pull(b, at));
      }
    });
  };
  loops.load_b = [&e, &plan, panel_buffer](Index, int active, Index k) {
    Values registers;
    for (int v = 0; v < active_vectors(plan.tile, active); ++v) {
      registers.push_back(
          e.builder().load(panel_buffer, {k, Index(v * plan.tile.lanes)}, plan.tile.lanes));
    }
    return registers;
  };
}

LoweredKernel lower(const GroupContext& context) {
  const Plan plan = *make_plan(context);
  const MatmulProblem& problem = plan.problem;
  const int64_t num_tiles = problem.num_batches();
  GroupEmitter e(context.module, context.graph, context.group, context.isa, kernel_name(context),
                 num_tiles);
  const Node& anchor = context.anchor_node();
  const ValueId a = anchor.operands[0], b = anchor.operands[1];
  const std::vector<Index> batch =
      problem.batch_index(num_tiles > 1 ? e.builder().tile() : Index(0));

  BlockLoops loops;
  loops.tile = plan.tile;
  loops.n = problem.n;
  loops.num_rows = problem.m;
  loops.block_rows = problem.m;
  loops.num_panels = (problem.n + plan.tile.columns() - 1) / plan.tile.columns();
  loops.k_extents = {problem.k};
  const auto at_row = [&problem, batch](Index row, Index k) { return problem.a_at(batch, row, k); };
  if (e.producer(a)) {
    const BufferId block = e.workspace("a", DType::f32, {problem.m, problem.k});
    copy_rows(e, anchor, problem, block, at_row, Index(0), problem.m, problem.m, plan.tile.lanes);
    loops.load_a = [&e, block](Index row, std::span<const Index> k) {
      return e.builder().load(block, {row, k[0]});
    };
  } else {
    loops.load_a = [&e, a, at_row](Index row, std::span<const Index> k) {
      return e.pull(a, LaneIndex::scalar(at_row(row, k[0])));
    };
  }
  const auto memory = e.memory_of(b);
  const bool is_consecutive = memory && memory->strides[problem.b_column_dim()] == 1;
  if (is_consecutive) {
    read_columns(e, plan, batch, b, loops);
  } else {
    gather_columns(e, plan, batch, b, loops);
  }
  loops.store = [&](Index row, Index column, int active, Register sum) {
    store_matmul_result(e, anchor, problem, batch, row, column, active, sum);
  };
  emit_blocks(e, loops);
  return std::move(e).finish();
}

}  // namespace

const Variant kMatmulDynamic = {"matmul.dynamic", accepts, lower, no_order, no_result_order, 0.6};

}  // namespace neuronc
