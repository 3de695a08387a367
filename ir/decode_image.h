// Pictures through the image pack (image_pack.h), which is loaded with the first of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc {

struct DecodedImage {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb;  // 3 bytes a pixel, rows from the top
};

// JPEG, PNG, BMP, TIFF, WebP, PNM and JPEG 2000, by their first bytes. Empty where `bytes` are damaged
// or no such picture; refused where the pack cannot be loaded.
OrRefusal<DecodedImage> decode_image(std::span<const uint8_t> bytes);

}  // namespace neuronc
