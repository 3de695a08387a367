// Compiles the single-file decoder.
#include "runtime/tools/picture_decoder.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/images/jpeg_tables.h"
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
#define STBI_ONLY_JPEG
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

std::vector<uint8_t> with_channels(const images::Pnm& picture, size_t num_channels) {
  if (picture.num_channels == num_channels) return picture.values;
  std::vector<uint8_t> result;
  for (size_t i = 0; i < picture.values.size(); i += picture.num_channels) {
    if (num_channels == 1) {
      result.push_back(luma(&picture.values[i]));
    } else {
      result.insert(result.end(), num_channels, picture.values[i]);
    }
  }
  return result;
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
    return with_channels(picture, static_cast<size_t>(num_channels));
  }
  // Any number of 0xff may stand before a marker, the first one too.
  const bool is_jpeg = !bytes.empty() && bytes[0] == 0xff;
  if (is_jpeg && !images::has_sound_jpeg_tables(bytes)) {
    error = "it is not a picture that can be read: damaged JPEG, a table of more than 256 codes";
    return {};
  }
  int channels_in_file = 0;
  const int size_bytes = static_cast<int>(bytes.size());
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
