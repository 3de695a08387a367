// Which bytes tiles write, where blocks of a result end past its rows and channels are shared out.
#include <catch2/catch.hpp>
#include <vector>

#include "ir/kernel/builder.h"
#include "ir/kernel/footprint.h"

namespace neuronc::kernel {
namespace {

constexpr int64_t kPixels = 14, kChannels = 64, kPart = 32, kBlock = 4, kImages = 3, kRows = 29;

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

// A tile writes an image of several, in blocks of 4 x 4 pixels of which the last reach past it.
Kernel images_of_blocks() {
  Builder b("images", kImages);
  const BufferId y = b.output("y", DType::f32, {kImages, kPixels, kPixels, kPart});
  const Range blocks{0, (kPixels + kBlock - 1) / kBlock, 1}, pixels{0, kBlock, 1};
  b.for_loop(blocks, [&](Index down) {
    b.for_loop(blocks, [&](Index across) {
      b.for_loop(pixels, [&](Index i) {
        b.for_loop(pixels, [&](Index j) {
          const Index row = down * kBlock + i, column = across * kBlock + j;
          b.if_then({{row, 0, kPixels}, {column, 0, kPixels}}, [&] {
            b.for_loop({0, kPart, 8},
                       [&](Index c) { b.store(y, {b.tile(), row, column, c}, b.f32(1, 8)); });
          });
        });
      });
    });
  });
  return std::move(b).finish();
}

// A tile writes 8 rows but for the last, which has those that are left.
Kernel rows_with_a_tail() {
  Builder b("tail", (kRows + 7) / 8);
  const BufferId y = b.output("y", DType::f32, {kRows, kPart});
  const auto write = [&](Index first, int64_t count) {
    b.for_loop({0, count, 1}, [&](Index i) {
      b.for_loop({0, kPart, 8}, [&](Index c) { b.store(y, {first + i, c}, b.f32(1, 8)); });
    });
  };
  b.if_else(
      {{b.tile(), 0, kRows / 8}}, [&] { write(b.tile() * 8, 8); },
      [&] { write(b.tile() * 0 + kRows / 8 * 8, kRows % 8); });
  return std::move(b).finish();
}

// What the tile writes, element by element of 4 bytes.
std::vector<bool> written_by(FootprintAnalysis& analysis, int64_t tile, size_t num_elements) {
  std::vector<bool> written(num_elements);
  const std::vector<ByteRun> runs = analysis.of_tiles(tile, tile + 1)[0].writes;
  for (const ByteRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t begin = run.offset_bytes + i * run.stride_bytes;
      REQUIRE(begin >= 0);
      REQUIRE(begin + run.size_bytes <= static_cast<int64_t>(4 * num_elements));
      for (int64_t at = begin; at < begin + run.size_bytes; ++at) {
        written[static_cast<size_t>(at / 4)] = true;
      }
    }
  }
  return written;
}

}  // namespace

TEST_CASE(
    "channels of a tile stay apart from those of another in blocks that reach past the image") {
  const Kernel kernel = channels_of_blocks();
  FootprintAnalysis analysis(kernel);
  for (int64_t tile = 0; tile < kernel.num_tiles; ++tile) {
    const auto written = written_by(analysis, tile, kPixels * kPixels * kChannels);
    size_t num_wrong = 0;
    for (size_t at = 0; at < written.size(); ++at) {
      const auto channel = static_cast<int64_t>(at) % kChannels;
      num_wrong += written[at] != (channel / kPart == tile);
    }
    CHECK(num_wrong == 0);
  }
  // A few runs, not one for each pixel.
  CHECK(analysis.of_tiles(0, 1)[0].writes.size() <= 2 * kPixels);
}

TEST_CASE("images stay apart in blocks that reach past them") {
  const Kernel kernel = images_of_blocks();
  FootprintAnalysis analysis(kernel);
  constexpr int64_t kImage = kPixels * kPixels * kPart;
  for (int64_t tile = 0; tile < kImages; ++tile) {
    const auto written = written_by(analysis, tile, kImages * kImage);
    for (size_t at = 0; at < written.size(); ++at) {
      if (written[at] != (static_cast<int64_t>(at) / kImage == tile)) FAIL("element " << at);
    }
    CHECK(analysis.of_tiles(tile, tile + 1)[0].writes.size() == 1);
  }
}

TEST_CASE("rows that are left belong to the last tile alone") {
  const Kernel kernel = rows_with_a_tail();
  FootprintAnalysis analysis(kernel);
  for (int64_t tile = 0; tile < kernel.num_tiles; ++tile) {
    const auto written = written_by(analysis, tile, kRows * kPart);
    for (size_t at = 0; at < written.size(); ++at) {
      if (written[at] != (static_cast<int64_t>(at) / kPart / 8 == tile)) FAIL("element " << at);
    }
  }
}

}  // namespace neuronc::kernel
