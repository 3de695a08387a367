// PNG and BMP, through stb_image. PNM by pnm.h.
#include <climits>
#include <cstring>

#include "runtime/images/codecs.h"
#include "runtime/images/pnm.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STBI_MAX_DIMENSIONS (1 << 15)
#define STBI_NO_STDIO
#define STBI_ONLY_BMP
#define STBI_ONLY_PNG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace neuronc::images {

namespace {

bool decode_as_rgb(Bytes bytes, Pixels& pixels) {
  Pnm picture;
  if (!decode_pnm(bytes, picture) || !pixels.resize(picture.height, picture.width)) return false;
  const size_t channels = picture.num_channels;
  for (size_t i = 0; i < pixels.rgb.size(); ++i) {
    pixels.rgb[i] = picture.values[channels == 3 ? i : i / 3];
  }
  return true;
}

}  // namespace

bool decode_simple(Bytes bytes, Pixels& pixels) {
  if (is_pnm(bytes)) return decode_as_rgb(bytes, pixels);
  if (bytes.size() > INT_MAX) return false;
  int width = 0, height = 0, channels = 0;
  const auto size = static_cast<int>(bytes.size());
  if (stbi_info_from_memory(bytes.data(), size, &width, &height, &channels) == 0) return false;
  if (!pixels.resize(height, width)) return false;
  stbi_uc* const decoded =
      stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, STBI_rgb);
  if (decoded == nullptr) return false;
  std::memcpy(pixels.rgb.data(), decoded, pixels.rgb.size());
  stbi_image_free(decoded);
  return true;
}

}  // namespace neuronc::images
