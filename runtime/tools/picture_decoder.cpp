// Compiles the single-file decoder.
#include "runtime/tools/picture_decoder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "ir/decode_image.h"
#include "ir/image_pack.h"
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
#define STBI_ONLY_GIF
#define STBI_ONLY_PNG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace neuronc::tools {
namespace {

// As the single-file decoder makes gray of colours.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 77 + rgb[1] * 150 + rgb[2] * 29) >> 8);
}

// `pixels` of `given` channels, 1 or 3, as ones of `wanted`.
std::vector<uint8_t> with_channels(std::vector<uint8_t> pixels, size_t given, size_t wanted) {
  if (given == wanted) return pixels;
  std::vector<uint8_t> result;
  for (size_t i = 0; i < pixels.size(); i += given) {
    if (wanted == 1) {
      result.push_back(luma(&pixels[i]));
    } else {
      result.insert(result.end(), wanted, pixels[i]);
    }
  }
  return result;
}

// What the single-file decoder reads safely. Its JPEG goes beyond its tables for hostile files.
bool is_simple(std::span<const uint8_t> bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.starts_with("\x89PNG") || all.starts_with("BM") || all.starts_with("GIF8");
}

std::vector<uint8_t> decode_by_pack(std::span<const uint8_t> bytes, int num_channels, int& height,
                                    int& width, std::string& error) {
  OrRefusal<DecodedImage> image = decode_image(bytes);
  if (!image) {
    error = image.error().reason;
    return {};
  }
  if (image->rgb.empty()) error = "it is damaged, or not a picture that can be read";
  height = static_cast<int>(image->height);
  width = static_cast<int>(image->width);
  return with_channels(std::move(image->rgb), 3, static_cast<size_t>(num_channels));
}

// A file of a few bytes asks for as many as it likes. For a GIF the decoder keeps nine bytes a pixel.
int64_t most_pixels(std::span<const uint8_t> bytes) {
  return bytes[0] == 'G' ? kMostImagePixels / 4 : kMostImagePixels;
}

std::vector<uint8_t> decode(std::span<const uint8_t> bytes, int num_channels, int& height,
                            int& width, std::string& error) {
  if (images::is_pnm(bytes)) {
    images::Pnm picture;
    if (!images::decode_pnm(bytes, picture)) {
      error = "it is not a picture that can be read: damaged PNM";
      return {};
    }
    height = static_cast<int>(picture.height);
    width = static_cast<int>(picture.width);
    return with_channels(std::move(picture.values), picture.num_channels,
                         static_cast<size_t>(num_channels));
  }
  if (!is_simple(bytes)) return decode_by_pack(bytes, num_channels, height, width, error);
  int channels_in_file = 0;
  const int size_bytes = static_cast<int>(bytes.size());
  if (stbi_info_from_memory(bytes.data(), size_bytes, &width, &height, &channels_in_file) != 0 &&
      int64_t{width} * height > most_pixels(bytes)) {
    error = fmt::format("it has {} x {} pixels, more than {}", width, height, most_pixels(bytes));
    return {};
  }
  stbi_uc* pixels = stbi_load_from_memory(bytes.data(), size_bytes, &width, &height,
                                          &channels_in_file, num_channels);
  if (pixels == nullptr) {
    const char* reason = stbi_failure_reason();
    error = std::string("it is not a picture that can be read: ") +
            (reason == nullptr ? "unknown" : reason);
    return {};
  }
  const size_t size =
      static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(num_channels);
  std::vector<uint8_t> result(pixels, pixels + size);
  stbi_image_free(pixels);
  return result;
}

}  // namespace

std::vector<uint8_t> decode_picture(const std::string& path, int num_channels, int& height,
                                    int& width, std::string& error) {
  constexpr size_t kMostBytes = size_t{1} << 30;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    error = std::strerror(errno);
    return {};
  }
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() > kMostBytes) {
    error = "it has more than 2^30 bytes";
    return {};
  }
  return decode(bytes, num_channels, height, width, error);
}

}  // namespace neuronc::tools
