// Which bytes tiles write, where blocks of a result end past its rows and channels are shared out.
#include <catch2/catch.hpp>
#include <vector>

#include "ir/kernel/builder.h"
#include "ir/kernel/footprint.h"

namespace neuronc::kernel {
namespace {

constexpr int64_t kPixels = 14, kChannels = 64, kPart = 32, kBlock = 4;

// A tile writes its half of the channels of every pixel, in blocks of 4 x 4 pixels of which the last
// reach past the image.
Kernel channels_of_blocks() {
  Builder b("blocks", kChannels / kPart);
  const BufferId y = b.output("y", DType::f32, {kPixels, kPixels, kChannels});
  const Range blocks{0, (kPixels + kBlock - 1) / kBlock, 1}, pixels{0, kBlock, 1};
  b.for_loop({0, kPart, 8}, [&](Index channel) {
    b.for_loop(blocks, [&](Index down) {
      b.for_loop(blocks, [&](Index across) {
        b.for_loop(pixels, [&](Index i) {
          b.for_loop(pixels, [&](Index j) {
            const Index row = down * kBlock + i, column = across * kBlock + j;
            b.if_then({{row, 0, kPixels}, {column, 0, kPixels}},
                      [&] { b.store(y, {row, column, b.tile() * kPart + channel}, b.f32(1, 8)); });
          });
        });
      });
    });
  });
  return std::move(b).finish();
}

}  // namespace

TEST_CASE(
    "channels of a tile stay apart from those of another in blocks that reach past the image") {
  const Kernel kernel = channels_of_blocks();
  FootprintAnalysis analysis(kernel);
  for (int64_t tile = 0; tile < kernel.num_tiles; ++tile) {
    std::vector<bool> written(kPixels * kPixels * kChannels * sizeof(float));
    const std::vector<ByteRun> runs = analysis.of_tiles(tile, tile + 1)[0].writes;
    for (const ByteRun& run : runs) {
      for (int64_t i = 0; i < run.count; ++i) {
        const int64_t begin = run.offset_bytes + i * run.stride_bytes;
        REQUIRE(begin >= 0);
        REQUIRE(begin + run.size_bytes <= static_cast<int64_t>(written.size()));
        for (int64_t at = begin; at < begin + run.size_bytes; ++at) {
          written[static_cast<size_t>(at)] = true;
        }
      }
    }
    size_t num_wrong = 0;
    for (size_t at = 0; at < written.size(); ++at) {
      const auto channel = static_cast<int64_t>(at / sizeof(float)) % kChannels;
      num_wrong += written[at] != (channel / kPart == tile);
    }
    CHECK(num_wrong == 0);
  }
  // A few runs, not one for each pixel.
  CHECK(analysis.of_tiles(0, 1)[0].writes.size() <= 2 * kPixels);
}

}  // namespace neuronc::kernel
