// How a kernel's tiles are shared by the lanes of a team.
#include <catch2/catch.hpp>

#include "backend/plan/split_tiles.h"
#include "ir/kernel/builder.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;

// Tile t writes the elements 2 * i + t.
LoweredKernel interleaved(int64_t pairs, int64_t num_tiles = 2) {
  Builder b("interleaved", num_tiles);
  const BufferId y = b.output("y", DType::f32, {pairs, num_tiles});
  b.for_loop({0, pairs, 1}, [&](Index i) { b.store(y, {i, b.tile()}, b.f32(1)); });
  return {std::move(b).finish(), {{.kind = KernelBuffer::Kind::result}}};
}

// Tile t writes row t, and to a workspace as `interleaved` does.
LoweredKernel with_workspace(int64_t pairs) {
  Builder b("with_workspace", 2);
  const BufferId scratch = b.output("scratch", DType::f32, {pairs, 2});
  const BufferId y = b.output("y", DType::f32, {2, pairs});
  b.for_loop({0, pairs, 1}, [&](Index i) {
    b.store(scratch, {i, b.tile()}, b.f32(1));
    b.store(y, {b.tile(), i}, b.f32(1));
  });
  return {std::move(b).finish(),
          {{.kind = KernelBuffer::Kind::workspace}, {.kind = KernelBuffer::Kind::result}}};
}

LoweredNode in_table(KernelTable& table, LoweredKernel lowered) {
  LoweredNode node;
  node.num_tiles = lowered.kernel.num_tiles;
  node.buffers = lowered.buffers;
  node.kernel = table.add(std::move(lowered.kernel), static_cast<uint32_t>(node.buffers.size()));
  node.packed_constants.resize(node.buffers.size());
  return node;
}

}  // namespace

TEST_CASE("lanes share what they write in turns, but not in very many pieces") {
  KernelTable table;
  const LoweredNode few = in_table(table, interleaved(4000));
  const LoweredNode many = in_table(table, interleaved(5000));
  const LoweredNode own = in_table(table, with_workspace(5000));
  TileSplitter splitter(table);
  const auto last_tile_of_first_lane = [&](const LoweredNode& node) {
    return splitter.split(node, 2, TileShare::all_lanes)[0].tile_end;
  };
  CHECK(last_tile_of_first_lane(few) == 1);
  CHECK(last_tile_of_first_lane(many) == 2);
  CHECK(last_tile_of_first_lane(own) == 1);
}

TEST_CASE("a plan's lanes touch no more ranges than its verifier takes") {
  KernelTable table;
  const LoweredNode node = in_table(table, interleaved(4000));
  TileSplitter splitter(table);
  uint64_t sum = 0;
  for (int step = 0; step < 1000; ++step) {
    for (const TilePart& part : splitter.split(node, 2, TileShare::all_lanes)) {
      for (const plan::Run& run : part.touched[0]) sum += run.count;
    }
  }
  CHECK(sum > uint64_t{1} << 20);
  CHECK(sum < uint64_t{1} << 22);
}

TEST_CASE("the planner is told what lanes will share") {
  CHECK(tiles_to_share(interleaved(4000, 6)).count == 6);
  CHECK(tiles_to_share(interleaved(4000, 6)).why_one.empty());
  CHECK(tiles_to_share(with_workspace(5000)).count == 2);
  const KernelTiles many = tiles_to_share(interleaved(5000));
  CHECK(many.count == 1);
  CHECK(many.why_one == "each core would write thousands of pieces");
  CHECK(tiles_to_share(interleaved(10, 1)).why_one == "it has one tile");
  Builder b("everywhere", 2);
  const BufferId at = b.input("at", DType::i64, {2});
  const BufferId y = b.output("y", DType::f32, {8});
  b.store(y, {b.check_index(b.load(at, {b.tile()}), 8)}, b.f32(1));
  const LoweredKernel everywhere{
      std::move(b).finish(),
      {{.kind = KernelBuffer::Kind::operand}, {.kind = KernelBuffer::Kind::result}}};
  CHECK(tiles_to_share(everywhere).why_one == "what a tile writes is not known before");
}

}  // namespace neuronc
