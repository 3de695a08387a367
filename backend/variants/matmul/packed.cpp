// Matrix product with a constant right operand, packed at compile time.
//
// All batches and rows of a form one list of rows; a tile is a block of them, or, where there are
// few rows, a run of panels. Elementwise work on a is done while the block is copied to scratch.
// Small integers come out exactly: every product is exact in f32, and so are their sums.
#include <fmt/format.h>

#include <algorithm>

#include "backend/variants/matmul/problem.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/bytes.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/product/predict.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

struct Plan {
  MatmulProblem problem;
  ProductStep step;
  RegisterTile tile;
  int64_t rows = 0;  // of all batches
  int64_t block_rows = 0;
  int64_t num_blocks = 1;
  int64_t panels_per_tile = 0;
  int64_t panel_runs = 1;
};

// Every block reads all of b: a last one of a few rows would cost nearly as much as a whole one.
int64_t balanced_rows(int64_t rows, int64_t most, int64_t unit) {
  if (rows <= most + most / 2) return rows;
  const int64_t num_blocks = (rows + most - 1) / most;
  const int64_t share = (rows + num_blocks - 1) / num_blocks;
  return std::min((share + unit - 1) / unit * unit, rows);
}

void choose_blocks(Plan& plan, const Machine& machine, bool copies_rows) {
  const int64_t unit = plan.tile.rows;
  const int64_t panels = (plan.problem.n + plan.tile.columns() - 1) / plan.tile.columns();
  int64_t rows = std::max<int64_t>(
      block_bytes(machine) / (plan.problem.k * size_bytes(plan.step.a)), 4 * plan.tile.rows);
  rows = std::max(unit, rows / unit * unit);
  plan.block_rows = balanced_rows(plan.rows, rows, unit);
  plan.num_blocks = (plan.rows + plan.block_rows - 1) / plan.block_rows;
  plan.panels_per_tile = panels;
  // Each tile brings its rows of a into order anew where they are computed.
  const int64_t least = copies_rows ? kMinTiles : kEvenTiles;
  if (plan.num_blocks >= least) return;
  plan.panel_runs = std::min(panels, (least + plan.num_blocks - 1) / plan.num_blocks);
  plan.panels_per_tile = (panels + plan.panel_runs - 1) / plan.panel_runs;
  plan.panel_runs = (panels + plan.panels_per_tile - 1) / plan.panels_per_tile;
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  NEURONC_ASSIGN(plan.problem, matmul_problem(context));
  const MatmulProblem& problem = plan.problem;
  const Op op = context.anchor_node().op;
  const Tensor* weights = context.constant_operand(weights_operand(op));
  if (weights == nullptr) return refuse("the right operand is not constant");
  if (is_byte_contraction(op)) NEURONC_TRY(check_bytes(context, problem.n, problem.k));
  plan.rows = problem.num_batches() * problem.m;
  NEURONC_ASSIGN(plan.step, choose_step(context.machine, context.operand_dtype(0),
                                        packed_dtype(weights->dtype()), plan.rows));
  const size_t rank = problem.b_shape.size();
  if (num_elements(problem.b_shape) != problem.b_shape[rank - 1] * problem.b_shape[rank - 2]) {
    return refuse("the right operand has batches");
  }
  plan.tile = choose_register_tile(context.machine, plan.step, plan.rows, problem.n,
                                   problem.k * size_bytes(plan.step.a));
  const ValueId a = context.anchor_node().operands[0];
  choose_blocks(plan, context.machine, static_cast<bool>(context.body.producer(a)));
  return plan;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  ProductWork work{plan.rows, plan.problem.n, plan.problem.k};
  if (context.body.producer(context.anchor_node().operands[0])) {
    work.copied_elements = static_cast<double>(plan.rows * plan.problem.k * plan.panel_runs);
  }
  return predict_product_ns(context.machine, plan.step, plan.tile, work);
}

int64_t weight_offset(const MatmulProblem& problem, int64_t row, int64_t column) {
  return problem.transpose_b ? column * problem.k + row : row * problem.n + column;
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const MatmulProblem& problem = plan.problem;
  const int64_t num_tiles = plan.num_blocks * plan.panel_runs;
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), num_tiles);
  const Node& anchor = context.anchor_node();
  const Index t = num_tiles > 1 ? e.builder().tile() : Index(0);

  BlockLoops loops;
  loops.step = plan.step;
  loops.tile = plan.tile;
  loops.k.inner = problem.k;
  loops.n = problem.n;
  loops.num_rows = plan.rows;
  loops.block_rows = plan.block_rows;
  loops.first_row = kernel::floor_div(t, plan.panel_runs) * plan.block_rows;
  loops.first_panel = kernel::mod(t, plan.panel_runs) * plan.panels_per_tile;
  loops.num_panels = plan.panels_per_tile;
  const BufferId weights = e.packed_buffer("w", packed_weights(context, problem));
  const bool is_one_matrix = problem.num_batches() == 1;
  const auto at_row = [&problem, is_one_matrix](Index row, Index k) {
    if (is_one_matrix) return problem.a_at(problem.batch_index(Index(0)), row, k);
    return problem.a_at(problem.batch_index(kernel::floor_div(row, problem.m)),
                        kernel::mod(row, problem.m), k);
  };
  loops.a = matmul_rows(e, anchor, problem, plan.step, at_row, loops.first_row, plan.block_rows,
                        plan.rows, is_one_matrix);
  loops.load_b = [&](Index panel, int vectors, Index group) {
    return load_panel(e, weights, plan.step, panel * plan.tile.columns(), group, vectors,
                      plan.tile.lanes);
  };
  loops.load_b_matrix = [&](Index panel, int v, Index group) {
    return load_panel_matrix(e, weights, panel * plan.tile.columns() + Index(v * kPanelColumns),
                             group);
  };
  loops.prefetch = [&](Index column, Index group) { prefetch_panel(e, weights, column, group); };
  std::optional<ByteProduct> bytes;
  if (is_byte_contraction(anchor.op)) {
    bytes.emplace(e, context, problem.n, problem.k,
                  [&](int64_t row, int64_t column) { return weight_offset(problem, row, column); });
  }
  loops.store = [&](Index row, Index column, int active, Register sum) {
    if (bytes) sum = bytes->finish(sum, row, column, active);
    store_matmul_result(e, anchor, problem, problem.batch_index(kernel::floor_div(row, problem.m)),
                        kernel::mod(row, problem.m), column, active, sum);
  };
  if (bytes) bytes->emit_row_sums(loops);
  emit_blocks(e, loops);
  return std::move(e).finish();
}

}  // namespace

Tensor packed_weights(const GroupContext& context, const MatmulProblem& problem) {
  const Tensor& weights = *context.constant_operand(weights_operand(context.anchor_node().op));
  const std::string form =
      fmt::format("matmul {}x{} {}", problem.k, problem.n, problem.transpose_b);
  return context.machine.packs->get(weights, form, [&] {
    KLoops k;
    k.inner = problem.k;
    const EvenColumns even{[&](int64_t row) { return weight_offset(problem, row, 0); },
                           weight_offset(problem, 0, 1)};
    return pack_panels(signed_bytes(weights), k, problem.n, even);
  });
}

const Variant kMatmulPacked = {.name = "matmul.packed",
                               .predict_ns = predict_ns,
                               .lower = lower,
                               .operand_order = no_order,
                               .result_order = no_result_order,
                               .prologue = matmul_prologue,
                               .has_blockings = true};

}  // namespace neuronc
