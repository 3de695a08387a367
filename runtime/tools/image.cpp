// Resizing works on rows, then on columns, with the weights of each output pixel computed once.
#include "runtime/tools/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/tools/picture_decoder.h"

namespace neuronc::tools {
namespace {

constexpr int kWeightBits = 22;
constexpr int kMaxExtent = 1 << 15;

// The input pixels behind one output pixel, and their weights.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> triangle_taps(int input_size, int output_size) {
  const double scale = static_cast<double>(input_size) / output_size;
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(output_size));
  for (int out = 0; out < output_size; ++out) {
    const double centre = (out + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(input_size, static_cast<int>(centre + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int in = first; in < last; ++in) {
      weights.push_back(std::max(0.0, 1.0 - std::fabs((in - centre + 0.5) / support)));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<size_t>(out)];
    tap.first = first;
    for (double weight : weights) {
      tap.weights.push_back(
          static_cast<int32_t>(std::floor(weight / sum * (1 << kWeightBits) + 0.5)));
    }
  }
  return taps;
}

// Weighs pixels `stride` apart.
uint8_t weigh(const uint8_t* pixels, size_t stride, const Taps& taps) {
  int64_t sum = int64_t{1} << (kWeightBits - 1);
  for (size_t i = 0; i < taps.weights.size(); ++i) {
    sum += int64_t{taps.weights[i]} * pixels[i * stride];
  }
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kWeightBits, 0, 255));
}

Picture resize_rows(const Picture& picture, int width) {
  Picture result{picture.height, width, picture.num_channels, {}};
  const std::vector<Taps> taps = triangle_taps(picture.width, width);
  const auto channels = static_cast<size_t>(picture.num_channels);
  for (int y = 0; y < picture.height; ++y) {
    const uint8_t* row = picture.pixels.data() +
                         static_cast<size_t>(y) * static_cast<size_t>(picture.width) * channels;
    for (const Taps& tap : taps) {
      for (size_t c = 0; c < channels; ++c) {
        result.pixels.push_back(
            weigh(row + static_cast<size_t>(tap.first) * channels + c, channels, tap));
      }
    }
  }
  return result;
}

Picture resize_columns(const Picture& picture, int height) {
  Picture result{height, picture.width, picture.num_channels, {}};
  const size_t stride =
      static_cast<size_t>(picture.width) * static_cast<size_t>(picture.num_channels);
  for (const Taps& tap : triangle_taps(picture.height, height)) {
    const uint8_t* top = picture.pixels.data() + static_cast<size_t>(tap.first) * stride;
    for (size_t x = 0; x < stride; ++x) result.pixels.push_back(weigh(top + x, stride, tap));
  }
  return result;
}

bool parse_extent(std::string_view text, int& extent) {
  const auto [end, errc] = std::from_chars(text.data(), text.data() + text.size(), extent);
  return errc == std::errc() && end == text.data() + text.size() && extent > 0 &&
         extent <= kMaxExtent;
}

// "HxW" as height and width.
bool parse_size(std::string_view text, int& height, int& width) {
  const size_t x = text.find('x');
  return x != std::string_view::npos && parse_extent(text.substr(0, x), height) &&
         parse_extent(text.substr(x + 1), width);
}

Outcome<Picture> resize_as_asked(Picture picture, const std::string& text) {
  if (text.empty()) return picture;
  int height = 0;
  int width = 0;
  if (text.starts_with("short:")) {
    int side = 0;
    if (!parse_extent(std::string_view(text).substr(6), side)) {
      return tool_error(kExitUsage, "--resize `{}`: expected short:N", text);
    }
    const int64_t shorter = std::min(picture.height, picture.width);
    height = static_cast<int>(int64_t{picture.height} * side / shorter);
    width = static_cast<int>(int64_t{picture.width} * side / shorter);
  } else if (!parse_size(text, height, width)) {
    return tool_error(kExitUsage, "--resize `{}`: expected HxW or short:N", text);
  }
  return resize(picture, height, width);
}

Outcome<Picture> crop_as_asked(Picture picture, const std::string& text) {
  if (text.empty()) return picture;
  int height = 0;
  int width = 0;
  if (!parse_size(text, height, width)) {
    return tool_error(kExitUsage, "--crop `{}`: expected HxW", text);
  }
  if (height > picture.height || width > picture.width) {
    return tool_error(kExitUsage, "--crop {}: the picture has {}x{} pixels", text, picture.height,
                      picture.width);
  }
  return crop_centre(picture, height, width);
}

// The value for `channel` of a list that has one entry, one per channel, or none.
Outcome<double> of_channel(const std::vector<double>& list, size_t channel, size_t num_channels,
                           double none, std::string_view option) {
  if (list.empty()) return none;
  if (list.size() == 1) return list[0];
  if (list.size() != num_channels) {
    return tool_error(kExitUsage, "{} has {} values for {} channels", option, list.size(),
                      num_channels);
  }
  return list[channel];
}

}  // namespace

Outcome<Picture> read_picture(const std::string& path, int num_channels) {
  Picture picture;
  std::string error;
  picture.num_channels = num_channels;
  picture.pixels = decode_picture(path, num_channels, picture.height, picture.width, error);
  if (picture.pixels.empty()) return tool_error(kExitError, "{}: {}", path, error);
  return picture;
}

Picture resize(const Picture& picture, int height, int width) {
  Picture result = width == picture.width ? picture : resize_rows(picture, width);
  return height == result.height ? result : resize_columns(result, height);
}

Picture crop_centre(const Picture& picture, int height, int width) {
  Picture result{height, width, picture.num_channels, {}};
  const int top = (picture.height - height) / 2;
  const int left = (picture.width - width) / 2;
  const auto channels = static_cast<size_t>(picture.num_channels);
  for (int y = 0; y < height; ++y) {
    const size_t first = (static_cast<size_t>(top + y) * static_cast<size_t>(picture.width) +
                          static_cast<size_t>(left)) *
                         channels;
    const auto begin = picture.pixels.begin() + static_cast<ptrdiff_t>(first);
    result.pixels.insert(result.pixels.end(), begin,
                         begin + static_cast<ptrdiff_t>(static_cast<size_t>(width) * channels));
  }
  return result;
}

Outcome<ImageTensor> load_image(const std::string& path, const ImageOptions& options) {
  const size_t channels = options.channels == "gray" ? 1 : 3;
  auto picture = read_picture(path, static_cast<int>(channels));
  if (picture) picture = resize_as_asked(std::move(*picture), options.resize);
  if (picture) picture = crop_as_asked(std::move(*picture), options.crop);
  if (!picture) return tl::unexpected(picture.error());
  const size_t num_pixels =
      static_cast<size_t>(picture->height) * static_cast<size_t>(picture->width);
  ImageTensor tensor;
  tensor.values.resize(num_pixels * channels);
  const bool is_planar = options.layout == "nchw";
  for (size_t c = 0; c < channels; ++c) {
    const auto mean = of_channel(options.mean, c, channels, 0, "--mean");
    const auto std = of_channel(options.std, c, channels, 1, "--std");
    if (!mean) return tl::unexpected(mean.error());
    if (!std) return tl::unexpected(std.error());
    if (!std::isfinite(*mean) || !std::isfinite(*std) || *std == 0) {
      return tool_error(kExitUsage, "--mean {} and --std {} make no numbers", *mean, *std);
    }
    const size_t source = options.channels == "bgr" ? channels - 1 - c : c;
    for (size_t i = 0; i < num_pixels; ++i) {
      const double pixel = picture->pixels[i * channels + source];
      const size_t target = is_planar ? c * num_pixels + i : i * channels + c;
      tensor.values[target] = static_cast<float>((pixel * options.scale - *mean) / *std);
    }
  }
  const auto c = static_cast<int64_t>(channels);
  tensor.dims = is_planar ? std::vector<int64_t>{c, picture->height, picture->width}
                          : std::vector<int64_t>{picture->height, picture->width, c};
  return tensor;
}

}  // namespace neuronc::tools
