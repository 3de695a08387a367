// Decoding pictures, through the image pack (ir/image_pack.h).
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <string>

#include "ir/image_pack.h"
#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kU8{DType::u8};
constexpr OperandSpec kBytesX[] = {{"x", kU8}};
constexpr ResultSpec kPixelsY[] = {{"y", kU8}};
constexpr AttributeSpec kPixelFormat[] = {{"pixel_format", AttributeKind::string, "\"RGB\""}};

struct Pack {
  NeuroncImageDecode decode = nullptr;
  NeuroncImageFree free = nullptr;
  std::string error;  // if it could not be loaded
};

// Beside the program or library that this code is in, in a folder `lib` next to that, or where the
// system's loader finds it.
Pack load_pack() {
  Pack pack;
  std::vector<std::string> places;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&load_pack), &info) != 0 && info.dli_fname != nullptr) {
    const std::string own = info.dli_fname;
    const size_t slash = own.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : own.substr(0, slash);
    places = {folder + "/", folder + "/../lib/", folder + "/../lib/x86_64-linux-gnu/"};
  }
  places.emplace_back();
  for (const std::string& place : places) {
    void* const library = dlopen((place + kImagePackFile).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      if (const char* error = dlerror(); error != nullptr) pack.error = error;
      continue;
    }
    pack.decode = reinterpret_cast<NeuroncImageDecode>(dlsym(library, kImageDecodeSymbol));
    pack.free = reinterpret_cast<NeuroncImageFree>(dlsym(library, kImageFreeSymbol));
    if (pack.decode != nullptr && pack.free != nullptr) return pack;
    pack.error = "it is of another version";
  }
  return pack;
}

const Pack& image_pack() {
  static const Pack kPack = load_pack();
  return kPack;
}

OrRefusal<int64_t> num_channels(const OpView& op) {
  const std::string& format = op.string("pixel_format");
  if (format == "RGB" || format == "BGR") return 3;
  if (format == "Grayscale") return 1;
  return refuse(fmt::format("`pixel_format` is `{}`, not RGB, BGR or Grayscale", format));
}

Types infer_image_decoder(const InferInput& input) {
  NEURONC_ASSIGN(const int64_t channels, num_channels(input.op));
  if (input.operands[0].is_ranked && input.operands[0].rank() != 1) {
    return refuse("the encoded picture is not one row of bytes");
  }
  return std::vector<Type>{ranked(DType::u8, {Dim::unknown(), Dim::unknown(), Dim(channels)})};
}

// The luma of ITU-R 601-2 in 16 fractional bits, rounded.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

Values evaluate_image_decoder(const EvaluateInput& input) {
  NEURONC_ASSIGN(const int64_t channels, num_channels(input.op));
  const Pack& pack = image_pack();
  if (pack.decode == nullptr) {
    return refuse(fmt::format("the image pack cannot be loaded: {}", pack.error));
  }
  const std::span<const uint8_t> bytes = input.tensor(0).as<uint8_t>();
  NeuroncImage image{};
  const bool is_decoded = pack.decode(bytes.data(), bytes.size(), &image);
  // What cannot be decoded gives an empty picture.
  Tensor y = Tensor::zeros(DType::u8, {image.height, image.width, channels});
  if (is_decoded) {
    uint8_t* const pixels = y.mutable_as<uint8_t>().data();
    const bool is_bgr = input.op.string("pixel_format") == "BGR";
    for (int64_t i = 0; i < image.height * image.width; ++i) {
      const uint8_t* const rgb = image.rgb + 3 * i;
      if (channels == 1) {
        pixels[i] = luma(rgb);
        continue;
      }
      for (int64_t c = 0; c < 3; ++c) pixels[3 * i + c] = rgb[is_bgr ? 2 - c : c];
    }
    pack.free(&image);
  }
  return one(std::move(y));
}

}  // namespace

/// y = the pixels of an encoded picture, height x width x channels; [0,0,c] where it cannot be
/// decoded. JPEG, PNG, BMP, TIFF, WebP, PNM and JPEG 2000, by their first bytes.
/// Shapes: x [n], y [h,w,c].   Source: ONNX ImageDecoder-20.
NEURONC_OP(image_decoder) = {"image_decoder",
                             "the pixels of an encoded picture",
                             "ONNX ImageDecoder-20",
                             kBytesX,
                             kPixelFormat,
                             kPixelsY,
                             Trait::host,
                             Precision::fixed,
                             infer_image_decoder,
                             evaluate_image_decoder,
                             no_flops};

}  // namespace neuronc
