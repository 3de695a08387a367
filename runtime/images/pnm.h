// Binary PNM: P5 (gray) and P6 (red, green, blue), of 8 or 16 bits. Read here and not by the
// single-file decoder, which goes beyond its memory for 16 bits and shows what memory held before
// where a file ends early. Used by the image pack and by the tools.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace neuronc::images {

struct Pnm {
  int64_t height = 0;
  int64_t width = 0;
  size_t num_channels = 0;      // 1 or 3
  std::vector<uint8_t> values;  // interleaved, 255 the brightest whatever the file's is
};

bool is_pnm(std::span<const uint8_t> bytes);
// False where the file is damaged, ends early or has more than 2^15 rows or columns.
bool decode_pnm(std::span<const uint8_t> bytes, Pnm& picture);

}  // namespace neuronc::images
