// The decoders of the image pack. Each takes bytes that begin as its format does, and gives false
// where they are damaged, or of a kind that it does not read. Private to the pack.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace neuronc::images {

struct Pixels {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb;

  // Makes room; false for extents that no picture of ours has.
  bool resize(int64_t new_height, int64_t new_width);
};

using Bytes = std::span<const uint8_t>;

bool decode_jpeg(Bytes bytes, Pixels& pixels);
bool decode_jpeg2000(Bytes bytes, Pixels& pixels);
bool decode_tiff(Bytes bytes, Pixels& pixels);
bool decode_webp(Bytes bytes, Pixels& pixels);
// PNG, BMP and binary PNM.
bool decode_simple(Bytes bytes, Pixels& pixels);

}  // namespace neuronc::images
