// Implements plan.h.
#include "backend/variants/attention/plan.h"

#include <algorithm>

#include "backend/variants/product/blocks.h"
#include "backend/variants/product/predict.h"

namespace neuronc {
namespace {

constexpr size_t kPastKey = 4, kPastValue = 5;
// Packed keys and values of a run, and the scores of a block: together in a second-level cache.
constexpr int64_t kRunBytes = 256 * 1024;
constexpr int64_t kScoreBytes = 96 * 1024;
constexpr int64_t kKeysUnit = 64;
// Shorter runs let more of them be passed over.
constexpr int64_t kCausalRun = 256;
constexpr int64_t kMinRows = 4;
// Of an exponential with its maximum and sum.
constexpr double kFlopsPerScore = 16;

AttentionHeads heads_of(const std::vector<int64_t>& shape, const OpView& op,
                        const char* attribute) {
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3], false};
  const int64_t heads = op.i64(attribute);
  return {shape[0], heads, shape[1], shape[2] / heads, true};
}

// Products of computed operands: bf16 pairs where both are bf16 on a machine for it, else f32.
OrRefusal<ProductStep> step_of(const Machine& machine, DType a, DType b, int64_t rows) {
  NEURONC_ASSIGN(ProductStep step, choose_step(machine, a, b, rows));
  if (!step.reads_a_in_groups()) return ProductStep();
  return step;
}

// Panels of several of them lie side by side, so that they must be whole runs of 16 columns.
RegisterTile tile_of(const Machine& machine, const ProductStep& step, int64_t m, int64_t n) {
  RegisterTile tile = choose_register_tile(machine, step, m, n);
  if (step.is_matrix() || n <= tile.lanes || tile.columns() % kPanelColumns == 0) return tile;
  tile.vectors = 2;
  tile.rows = std::min(tile.rows, (machine.isa.num_vector_registers - 4) / 2);
  return tile;
}

void cut_rows(AttentionPlan& plan, int64_t block_rows, int64_t wanted_shares) {
  plan.block_rows = std::min(block_rows, plan.rows);
  const int64_t blocks = (plan.rows + plan.block_rows - 1) / plan.block_rows;
  plan.shares = std::min(blocks, wanted_shares);
  plan.tile_blocks = (blocks + plan.shares - 1) / plan.shares;
  plan.shares = (blocks + plan.tile_blocks - 1) / plan.tile_blocks;
}

void choose_blocks(AttentionPlan& plan, bool is_causal) {
  const int64_t key_bytes =
      plan.k.size * size_bytes(plan.score_step.b) + plan.v.size * size_bytes(plan.value_step.b);
  plan.run = std::max(kRunBytes / key_bytes / kKeysUnit * kKeysUnit, kKeysUnit);
  if (is_causal) plan.run = std::min(plan.run, kCausalRun);
  if (plan.num_keys() <= plan.run + plan.run / 4) plan.run = plan.num_keys();
  const int64_t unit = plan.score_tile.rows;
  const int64_t heads = plan.k.batch * plan.k.heads;
  const int64_t wanted = (kMinTiles + heads - 1) / heads;
  int64_t rows = std::max<int64_t>(kScoreBytes / (4 * plan.run), 1);
  rows = std::min(rows, (plan.rows + wanted - 1) / wanted);
  cut_rows(plan, std::max(rows / unit * unit, unit), wanted);
  // A step of matrices computes its last rows together with those before them, which must belong to
  // the same tile.
  while (plan.score_step.is_matrix() && plan.shares > 1 &&
         plan.rows - (plan.shares - 1) * plan.tile_rows() < kernel::kMatrixRows) {
    cut_rows(plan, plan.block_rows + unit, wanted);
  }
}

}  // namespace

OrRefusal<AttentionPlan> plan_attention(const GroupContext& context) {
  const Node& node = context.anchor_node();
  const OpView op = node.view();
  AttentionPlan plan;
  if (node.results.size() > 1) return refuse("its keys, values or scores are results too");
  if (node.has_operand(kPastKey) || node.has_operand(kPastValue)) return refuse("it has a past");
  for (size_t i = 0; i < 3; ++i) {
    if (carrier_of(context.operand_dtype(i)) != DType::f32) {
      return refuse("an operand is not f32, bf16 or f16");
    }
  }
  plan.q = heads_of(context.operand_shape(0), op, "q_num_heads");
  plan.k = heads_of(context.operand_shape(1), op, "kv_num_heads");
  plan.v = heads_of(context.operand_shape(2), op, "kv_num_heads");
  plan.group = plan.q.heads / plan.k.heads;
  plan.rows = plan.group * plan.q.length;
  if (plan.rows < kMinRows) return refuse("it has few queries");
  if (num_elements(context.result_shape()) == 0 || plan.k.length == 0 || plan.q.size == 0) {
    return refuse("it has no elements");
  }
  const Machine& machine = context.machine;
  NEURONC_ASSIGN(plan.score_step,
                 step_of(machine, context.operand_dtype(0), context.operand_dtype(1), plan.rows));
  NEURONC_ASSIGN(plan.value_step,
                 step_of(machine, context.operand_dtype(2), context.operand_dtype(2), plan.rows));
  plan.score_tile = tile_of(machine, plan.score_step, plan.rows, plan.k.length);
  plan.value_tile = tile_of(machine, plan.value_step, plan.rows, plan.v.size);
  if (plan.score_step.is_matrix() != plan.value_step.is_matrix()) {
    return refuse("one of its products is by matrices");
  }
  // One height for both: a block of queries is a whole number of register tiles.
  plan.score_tile.rows = plan.value_tile.rows =
      std::min(plan.score_tile.rows, plan.value_tile.rows);
  choose_blocks(plan, op.i64("is_causal") != 0);
  return plan;
}

namespace {

// The two products and the exponentials, with each key and value packed `times` times.
double work_ns(const AttentionPlan& plan, const Machine& machine, double times) {
  const auto packed = [&](int64_t size) {
    return times * static_cast<double>(plan.num_heads() * plan.num_keys() * size);
  };
  const ProductWork scores{plan.rows, plan.num_keys(), plan.q.size, plan.num_heads(),
                           packed(plan.q.size)};
  const ProductWork values{plan.rows, plan.v.size, plan.num_keys(), plan.num_heads(),
                           packed(plan.v.size)};
  const double softmax_ns = static_cast<double>(plan.num_heads() * plan.rows * plan.num_keys()) *
                            kFlopsPerScore / (machine.hardware.vector_flops_per_s * 1e-9);
  return predict_product_ns(machine, plan.score_step, plan.score_tile, scores) +
         predict_product_ns(machine, plan.value_step, plan.value_tile, values) -
         2 * machine.hardware.launch_ns + softmax_ns;
}

}  // namespace

OrRefusal<double> predict_attention_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const AttentionPlan plan, plan_attention(context));
  return context.machine.hardware.launch_ns +
         work_ns(plan, context.machine, static_cast<double>(plan.shares));
}

OrRefusal<void> attention_gains(const GroupContext& context) {
  if (context.machine.code.is_strict) return refuse("every result is to be rounded");
  NEURONC_ASSIGN(const AttentionPlan plan, plan_attention(context));
  const HardwareModel& hardware = context.machine.hardware;
  // Three kernels write and read the scores, and then the weights.
  const double moved_bytes = static_cast<double>(plan.num_heads() * plan.rows * plan.num_keys()) *
                             2 * (4 + size_bytes(plan.value_step.a));
  const double apart_ns = 3 * hardware.launch_ns + work_ns(plan, context.machine, 1) +
                          moved_bytes / (hardware.on_chip_bytes_per_s * 1e-9);
  NEURONC_ASSIGN(const double joined_ns, predict_attention_ns(context));
  if (joined_ns < apart_ns) return {};
  return refuse("it is predicted to take longer");
}

}  // namespace neuronc
