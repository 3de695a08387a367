// Decoding pictures, through the image pack (ir/decode_image.h).
#include <fmt/format.h>

#include <string>

#include "ir/decode_image.h"
#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kU8{DType::u8};
constexpr OperandSpec kBytesX[] = {{"x", kU8}};
constexpr ResultSpec kPixelsY[] = {{"y", kU8}};
constexpr AttributeSpec kPixelFormat[] = {{"pixel_format", AttributeKind::string, "\"RGB\""}};

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
  NEURONC_ASSIGN(const DecodedImage image, decode_image(input.tensor(0).as<uint8_t>()));
  // What cannot be decoded gives an empty picture.
  Tensor y = Tensor::zeros(DType::u8, {image.height, image.width, channels});
  uint8_t* const pixels = y.mutable_as<uint8_t>().data();
  const bool is_bgr = input.op.string("pixel_format") == "BGR";
  for (int64_t i = 0; i < image.height * image.width; ++i) {
    const uint8_t* const rgb = image.rgb.data() + 3 * i;
    if (channels == 1) {
      pixels[i] = luma(rgb);
      continue;
    }
    for (int64_t c = 0; c < 3; ++c) pixels[3 * i + c] = rgb[is_bgr ? 2 - c : c];
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
