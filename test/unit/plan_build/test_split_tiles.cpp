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
LoweredNode interleaved(KernelTable& table, int64_t pairs) {
  Builder b("interleaved", 2);
  const BufferId y = b.output("y", DType::f32, {pairs, 2});
  b.for_loop({0, pairs, 1}, [&](Index i) { b.store(y, {i, b.tile()}, b.f32(1)); });
  LoweredNode node;
  node.kernel = table.add(std::move(b).finish(), 1);
  node.num_tiles = 2;
  node.buffers = {{.kind = KernelBuffer::Kind::result}};
  node.packed_constants = {0};
  return node;
}

}  // namespace

TEST_CASE("lanes share what they write in turns, but not in very many pieces") {
  KernelTable table;
  const LoweredNode few = interleaved(table, 4000), many = interleaved(table, 5000);
  TileSplitter splitter(table);
  const auto last_tile_of_first_lane = [&](const LoweredNode& node) {
    return splitter.split(node, 2, TileShare::all_lanes)[0].tile_end;
  };
  CHECK(last_tile_of_first_lane(few) == 1);
  CHECK(last_tile_of_first_lane(many) == 2);
}

TEST_CASE("a plan's lanes touch no more ranges than its verifier takes") {
  KernelTable table;
  const LoweredNode node = interleaved(table, 4000);
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

}  // namespace neuronc
