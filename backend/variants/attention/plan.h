// Attention as blocks of queries against runs of keys: what blocks.cpp emits.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/variants/product/tile.h"
#include "backend/variants/variant.h"

namespace neuronc {

// An operand seen as [batch, heads, length, size]; of rank 3 the heads stand in the last axis.
struct AttentionHeads {
  int64_t batch = 0, heads = 0, length = 0, size = 0;
  bool is_flat = false;

  size_t row_dim() const { return is_flat ? 1 : 2; }
  size_t size_dim() const { return is_flat ? 2 : 3; }
  std::vector<kernel::Index> at(kernel::Index b, kernel::Index head, kernel::Index row,
                                kernel::Index d) const {
    if (is_flat) return {b, row, head * kernel::Index(size) + d};
    return {b, head, row, d};
  }
};

struct AttentionPlan {
  AttentionHeads q, k, v;
  ProductStep score_step, value_step;
  RegisterTile score_tile, value_tile;
  int64_t group = 1;        // query heads of a key head
  int64_t rows = 0;         // queries of a key head
  int64_t run = 0;          // keys at a time
  int64_t block_rows = 0;   // queries at a time
  int64_t tile_blocks = 0;  // blocks of a tile
  int64_t shares = 1;       // tiles of a key head

  int64_t num_heads() const { return k.batch * k.heads; }
  int64_t num_keys() const { return k.length; }
  bool is_one_run() const { return run >= k.length; }
  int64_t tile_rows() const { return tile_blocks * block_rows; }
  int64_t num_tiles() const { return num_heads() * shares; }
};

OrRefusal<AttentionPlan> plan_attention(const GroupContext& context);

OrRefusal<double> predict_attention_ns(const GroupContext& context);

}  // namespace neuronc
