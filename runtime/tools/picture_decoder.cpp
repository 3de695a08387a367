// Compiles the single-file decoder.
#include "runtime/tools/picture_decoder.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STBI_MAX_DIMENSIONS (1 << 15)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace neuronc::tools {

std::vector<uint8_t> decode_picture(const std::string& path, int num_channels, int& height,
                                    int& width, std::string& error) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    error = std::strerror(errno);
    return {};
  }
  int channels_in_file = 0;
  stbi_uc* pixels = stbi_load_from_file(file, &width, &height, &channels_in_file, num_channels);
  std::fclose(file);
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

}  // namespace neuronc::tools
