// Matrix product of two computed operands, as in attention.
//
// A tile is a batch. Where rows of b are read as they lie (f32, columns consecutive) the register
// tile does so; otherwise each panel is first packed into scratch (run_time_pack.h), which is also
// where a transpose or elementwise work on b is done.
#include <algorithm>
#include <optional>

#include "backend/variants/matmul/problem.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/product/predict.h"
#include "backend/variants/product/run_time_bytes.h"
#include "backend/variants/product/run_time_pack.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

struct Plan {
  MatmulProblem problem;
  ProductStep step;
  RegisterTile tile;
};

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.problem, matmul_problem(context));
  if (is_byte_contraction(context.anchor_node().op)) {
    NEURONC_TRY(check_run_time_bytes(context, plan.problem.n));
  }
  // What is computed is widened to f32 where both operands are not bf16 on a machine for it.
  NEURONC_ASSIGN(plan.step, choose_step(context.machine, context.operand_dtype(0),
                                        packed_dtype(context.operand_dtype(1)), plan.problem.m));
  if (!plan.step.reads_a_in_groups() && plan.step.a != DType::f64) plan.step = ProductStep();
  plan.tile = choose_register_tile(context.machine, plan.step, plan.problem.m, plan.problem.n);
  if (plan.tile.vectors > 4) plan.tile.vectors = 4;
  return plan;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const MatmulProblem& p = plan.problem;
  const ProductWork work{p.m, p.n, p.k, p.num_batches(),
                         static_cast<double>(p.n * p.k * p.num_batches())};
  return predict_product_ns(context.machine, plan.step, plan.tile, work);
}

// Reads b where it lies.
void read_columns(GroupEmitter& e, const Plan& plan, const std::vector<Index>& batch, ValueId b,
                  BlockLoops& loops) {
  loops.load_b = [&e, &plan, batch, b](Index panel, int vectors, Index k) {
    Values columns;
    for (int v = 0; v < vectors; ++v) {
      const int64_t done = v * plan.tile.lanes;
      const Index column = panel * plan.tile.columns() + Index(done);
      // Only the last panel, which is emitted on its own, has fewer columns.
      const int64_t left = panel.is_constant()
                               ? plan.problem.n - panel.constant() * plan.tile.columns() - done
                               : plan.tile.lanes;
      columns.push_back(
          e.pull(b, LaneIndex::along(plan.problem.b_at(batch, k, column),
                                     plan.problem.b_column_dim(), plan.tile.lanes,
                                     static_cast<int>(std::min<int64_t>(plan.tile.lanes, left)))));
    }
    return columns;
  };
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const MatmulProblem& problem = plan.problem;
  const int64_t num_tiles = problem.num_batches();
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), num_tiles);
  const Node& anchor = context.anchor_node();
  const ValueId b = anchor.operands[1];
  const std::vector<Index> batch =
      problem.batch_index(num_tiles > 1 ? e.builder().tile() : Index(0));

  BlockLoops loops;
  loops.step = plan.step;
  loops.tile = plan.tile;
  loops.k.inner = problem.k;
  loops.n = problem.n;
  loops.num_rows = problem.m;
  loops.block_rows = problem.m;
  loops.num_panels = (problem.n + plan.tile.columns() - 1) / plan.tile.columns();
  const auto at_row = [&problem, batch](Index row, Index k) { return problem.a_at(batch, row, k); };
  loops.a = matmul_rows(e, anchor, problem, plan.step, at_row, Index(0), problem.m, problem.m,
                        /*has_rows_along_dim=*/true);
  const auto memory = e.memory_of(b);
  std::optional<RunTimeByteProduct> bytes;
  const bool is_read_in_place =
      plan.step.kind == StepKind::fma && memory && memory->strides[problem.b_column_dim()] == 1;
  if (is_read_in_place) {
    read_columns(e, plan, batch, b, loops);
  } else {
    const RunTimeOperand operand{
        b,
        problem.b_k_dim(),
        problem.b_column_dim(),
        problem.k,
        problem.n,
        [&problem, batch](Index k, Index column) { return problem.b_at(batch, k, column); }};
    const BufferId panel_buffer = run_time_panel(e, plan.step, plan.tile, operand);
    if (is_byte_contraction(anchor.op)) bytes.emplace(e, context, loops, problem.k);
    loops.begin_panel = [&, operand, panel_buffer](Index panel) {
      pack_at_run_time(e, plan.step, plan.tile, operand, panel, panel_buffer);
      if (bytes) bytes->sum_columns(loops, panel, panel_buffer);
    };
    loops.load_b = [&e, &plan, panel_buffer](Index, int vectors, Index group) {
      return load_panel(e, panel_buffer, plan.step, Index(0), group, vectors, plan.tile.lanes);
    };
    loops.load_b_matrix = [&e, panel_buffer](Index, int v, Index group) {
      return load_panel_matrix(e, panel_buffer, Index(v * kPanelColumns), group);
    };
  }
  loops.store = [&](Index row, Index column, int active, Register sum) {
    if (bytes) sum = bytes->finish(sum, row, column, active);
    store_matmul_result(e, anchor, problem, batch, row, column, active, sum);
  };
  if (bytes) bytes->sum_rows(loops);
  emit_blocks(e, loops);
  return std::move(e).finish();
}

}  // namespace

const Variant kMatmulDynamic = {.name = "matmul.dynamic",
                                .predict_ns = predict_ns,
                                .lower = lower,
                                .operand_order = no_order,
                                .result_order = no_result_order,
                                .prologue = matmul_prologue,
                                .has_blockings = true};

}  // namespace neuronc
