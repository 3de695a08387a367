// Convolutions of few results for a pixel along rows of pixels, beside the other variants.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "harness.h"

namespace neuronc::testing {
namespace {

// Kernels of the variant that `problems` made are at least as many as row-major and channels-last
// memory have of them on one target.
void check_planar(const std::vector<Problem>& problems) {
  const int before = num_kernels_of("conv.planar");
  check(problems);
  CHECK(num_kernels_of("conv.planar") - before >= 2 * static_cast<int>(problems.size()));
}

}  // namespace

TEST_CASE("planar convolutions end within vectors of a row and blocks of vectors") {
  check_planar({
      {"%x : f32[1,8,5,16]",
       random_constant("%w", {1, 8, 1, 1}) + "%y = conv(%x, %w) : f32[1,1,5,16]", 1e-5},
      {"%x : f32[2,12,4,75]",
       random_constant("%w", {3, 12, 1, 1}) + random_constant("%b", {3}) +
           "%y = conv(%x, %w, %b) : f32[2,3,4,75]",
       1e-5},
      {"%x : f32[1,6,3,130]",
       random_constant("%w", {2, 6, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,2,3,130]",
       1e-5},
      {"%x : f32[1,16,100]",
       random_constant("%w", {1, 16, 7}) + "%y = conv(%x, %w) {pads = [3, 3]} : f32[1,1,100]",
       1e-5},
  });
}

TEST_CASE("planar windows are strided, dilated and padded unevenly") {
  check_planar({
      {"%x : f32[1,8,9,40]",
       random_constant("%w", {2, 8, 3, 2}) +
           "%y = conv(%x, %w) {dilations = [2, 3], pads = [0, 1, 4, 5]} : f32[1,2,9,43]",
       1e-5},
      {"%x : f32[1,8,12,40]",
       random_constant("%w", {4, 8, 5, 3}) +
           "%y = conv(%x, %w) {pads = [2, 2, 2, 0], strides = [3, 1]} : f32[1,4,4,40]",
       1e-5},
  });
}

TEST_CASE("planar transposed convolutions write each phase between the others") {
  check_planar({
      {"%x : f32[1,16,6,20]",
       random_constant("%w", {16, 3, 4, 4}) +
           "%y = conv_transpose(%x, %w) {pads = [1, 1, 1, 1], strides = [2, 2]} : "
           "f32[1,3,12,40]",
       1e-5},
      {"%x : f32[2,8,5,33]",
       random_constant("%w", {8, 2, 2, 2}) + random_constant("%b", {2}) +
           "%y = conv_transpose(%x, %w, %b) {strides = [2, 2]} : f32[2,2,10,66]",
       1e-5},
      {"%x : f32[1,4,7,30]",
       random_constant("%w", {4, 1, 9, 9}) +
           "%y = conv_transpose(%x, %w) {pads = [4, 4, 4, 4], strides = [3, 3]} : f32[1,1,19,88]",
       1e-5},
      {"%x : f32[1,8,50]",
       random_constant("%w", {8, 1, 2}) +
           "%y = conv_transpose(%x, %w) {strides = [3]} : f32[1,1,149]",
       1e-5},
      // Rows and columns between the windows meet no pixel, nor infinity.
      {"%x : f32[1,1,9,40]",
       random_constant("%w", {1, 2, 2, 2}) +
           "%y = conv_transpose(%x, %w) {strides = [5, 4]} : f32[1,2,42,158]",
       1e-5, Edges::yes},
  });
}

TEST_CASE("planar phases along a row are summed together, or apart where they are many") {
  check_planar({
      // The last phases have one result less, which may be all that a vector would hold.
      {"%x : f32[1,4,3,33]",
       random_constant("%w", {4, 2, 3, 3}) + random_constant("%b", {2}) +
           "%y = conv_transpose(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 2]} : "
           "f32[1,2,5,65]",
       1e-5},
      {"%x : f32[2,3,4,16]",
       random_constant("%w", {3, 1, 5, 7}) +
           "%y = conv_transpose(%x, %w) {dilations = [2, 1], pads = [3, 1, 2, 6], strides = [3, "
           "4]} : f32[2,1,13,60]",
       1e-5},
      {"%x : f32[1,6,5,40]",
       random_constant("%w", {6, 5, 8, 8}) +
           "%y = conv_transpose(%x, %w) {pads = [2, 2, 2, 2], strides = [4, 8]} : f32[1,5,20,316]",
       1e-5},
  });
}

TEST_CASE("planar rows are cut into blocks where they are long or few") {
  check_planar({
      {"%x : f32[1,6,1111]",
       random_constant("%w", {6, 2, 16}) + random_constant("%b", {2}) +
           "%y = conv_transpose(%x, %w, %b) {pads = [4, 4], strides = [8]} : f32[1,2,8888]",
       1e-5},
      {"%x : f32[2,5,901]",
       random_constant("%w", {3, 5, 9}) +
           "%y = conv(%x, %w) {dilations = [2], pads = [13, 4]} : f32[2,3,902]",
       1e-5},
      {"%x : f32[1,5,640]", random_constant("%w", {3, 5, 1}) + "%y = conv(%x, %w) : f32[1,3,640]",
       1e-5},
      {"%x : f32[1,100,2,600]",
       random_constant("%w", {1, 100, 3, 5}) +
           "%y = conv(%x, %w) {pads = [1, 2, 1, 2]} : f32[1,1,2,600]",
       1e-5},
  });
}

TEST_CASE("planar sums of narrow numbers are rounded once, with work behind them") {
  check_planar({
      {"%x : bf16[1,8,6,40]",
       random_constant("%w", {2, 8, 3, 3}, "bf16") +
           "%c = conv(%x, %w) {pads = [1, 1, 1, 1], result_type = f32} : f32[1,2,6,40]\n"
           "%y = relu(%c) : f32[1,2,6,40]",
       1e-5},
      {"%x : f32[1,8,6,40]",
       random_constant("%w", {2, 8, 3, 3}) +
           "%c = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,2,6,40]\n"
           "%y = sigmoid(%c) : f32[1,2,6,40]",
       1e-5},
  });
}

}  // namespace neuronc::testing
