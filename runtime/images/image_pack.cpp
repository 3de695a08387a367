// Tells formats apart by their first bytes, and exports the pack's two functions.
#include "ir/image_pack.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>

#include "runtime/images/codecs.h"

namespace neuronc::images {

bool Pixels::resize(int64_t new_height, int64_t new_width) {
  if (new_height < 1 || new_width < 1 || new_height > kMostImagePixels / new_width) return false;
  height = new_height;
  width = new_width;
  rgb.resize(static_cast<size_t>(height * width * 3));
  return true;
}

namespace {

using Decoder = bool (*)(Bytes, Pixels&);

struct Format {
  std::string_view start;
  size_t offset;
  Decoder decode;
};

constexpr std::string_view text(const char* bytes, size_t size) { return {bytes, size}; }

constexpr Format kFormats[] = {
    {text("\xff\xd8\xff", 3), 0, decode_jpeg},
    {text("\x89PNG\r\n\x1a\n", 8), 0, decode_simple},
    {text("BM", 2), 0, decode_simple},
    {text("P5", 2), 0, decode_simple},
    {text("P6", 2), 0, decode_simple},
    {text("II*\0", 4), 0, decode_tiff},
    {text("MM\0*", 4), 0, decode_tiff},
    {text("WEBP", 4), 8, decode_webp},
    {text("\0\0\0\x0cjP  \r\n\x87\n", 12), 0, decode_jpeg2000},
    {text("\xff\x4f\xff\x51", 4), 0, decode_jpeg2000},
};

bool decode(Bytes bytes, Pixels& pixels) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Format& format : kFormats) {
    if (all.size() < format.offset || !all.substr(format.offset).starts_with(format.start))
      continue;
    return format.decode(bytes, pixels);
  }
  return false;
}

}  // namespace
}  // namespace neuronc::images

extern "C" {

__attribute__((visibility("default"))) bool neuronc_image_decode_1(const uint8_t* bytes,
                                                                   size_t size,
                                                                   NeuroncImage* image) {
  *image = {};
  try {
    neuronc::images::Pixels pixels;
    if (!neuronc::images::decode({bytes, size}, pixels)) return false;
    auto* const copy = static_cast<uint8_t*>(std::malloc(pixels.rgb.size()));
    if (copy == nullptr) return false;
    std::memcpy(copy, pixels.rgb.data(), pixels.rgb.size());
    *image = {pixels.height, pixels.width, copy};
    return true;
  } catch (const std::exception&) {
    return false;  // no memory for so many pixels
  }
}

__attribute__((visibility("default"))) void neuronc_image_free_1(NeuroncImage* image) {
  std::free(image->rgb);
  *image = {};
}
}
