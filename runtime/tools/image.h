// Pictures as model inputs: decode, resize, crop, order channels, normalise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tools/tool.h"

namespace neuronc::tools {

// Eight bits a channel, interleaved rows from the top.
struct Picture {
  int height = 0;
  int width = 0;
  int num_channels = 0;
  std::vector<uint8_t> pixels;
};

// How a picture becomes a tensor; the texts are the command line's.
struct ImageOptions {
  std::string resize;            // "HxW", "short:N" or empty
  std::string crop;              // "HxW" (of the centre) or empty
  std::string channels = "rgb";  // "rgb", "bgr", "gray"
  std::vector<double> mean;      // per channel, in the order of `channels`; one stands for all
  std::vector<double> std;
  double scale = 1;             // value = (pixel * scale - mean) / std
  std::string layout = "nchw";  // or "nhwc"
};

// JPEG, PNG, BMP, GIF, PSD, TGA, PNM. `num_channels` is 1 or 3.
Outcome<Picture> read_picture(const std::string& path, int num_channels);

// Bilinear with antialiasing: shrinking, the triangle covers all pixels that fall together, with
// weights of 22 bits and eight-bit pixels between the passes (rows first), as Pillow does.
Picture resize(const Picture& picture, int height, int width);

// The centre; the picture must be as large.
Picture crop_centre(const Picture& picture, int height, int width);

// The values of the tensor in the layout asked for, and its extents without the batch.
struct ImageTensor {
  std::vector<float> values;
  std::vector<int64_t> dims;
};
Outcome<ImageTensor> load_image(const std::string& path, const ImageOptions& options);

}  // namespace neuronc::tools
