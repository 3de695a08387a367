// The interface of the image pack, a library of its own that brings the codecs: it is loaded when the
// first picture is decoded, so that models without pictures need none of them.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct NeuroncImage {
  int64_t height;
  int64_t width;
  uint8_t* rgb;  // 3 bytes a pixel, rows from the top; freed by neuronc_image_free
};

// False where the bytes are no picture that the pack reads. `image` is empty then.
using NeuroncImageDecode = bool (*)(const uint8_t* bytes, size_t size, NeuroncImage* image);
using NeuroncImageFree = void (*)(NeuroncImage* image);
}

namespace neuronc {
// The names under which the pack exports the two.
inline constexpr const char* kImageDecodeSymbol = "neuronc_image_decode_1";
inline constexpr const char* kImageFreeSymbol = "neuronc_image_free_1";
inline constexpr const char* kImagePackFile = "libneuronc_images.so.0.1";
// Pictures of more pixels are not decoded.
inline constexpr int64_t kMostImagePixels = int64_t{1} << 28;
}  // namespace neuronc
