// Runs the model that its own build compiled and put inside of it: no file is opened. Names and sizes
// come from glyphs.h, which the build made too.
#include <glyphs.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nrt/nrt.hpp>

int main() {
  nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
  std::string error;
  const std::span neff(reinterpret_cast<const std::byte*>(glyphs_neff), glyphs_neff_size_bytes);
  const auto model = nrt::Model::load(neff, error);
  if (!model) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return 1;
  }

  // Sizes are constants, so no memory is allocated.
  std::array<float, GLYPHS_INPUT_IMAGE_SIZE_BYTES / sizeof(float)> image;
  std::array<float, GLYPHS_OUTPUT_PROBABILITIES_SIZE_BYTES / sizeof(float)> probabilities;
  image.fill(1);  // an empty sheet
  if (model->run({std::as_bytes(std::span(image))},
                 {std::as_writable_bytes(std::span(probabilities))}, error) != NRT_SUCCESS) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return 1;
  }
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  std::printf("%zu classes on %d NeuronCores; an empty sheet is class %td (%.2f)\n",
              probabilities.size(), GLYPHS_NUM_NEURONCORES, best - probabilities.begin(), *best);
  nrt_close();
  return 0;
}
