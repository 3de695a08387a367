// Convolutions with constant weights, in every variant: any rank, groups, strides, phases.
// Tolerance: f32 sums of at most some hundred products of magnitude 1.
#include <fmt/format.h>

#include <array>
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("depthwise windows of every size") {
  check({
      {"%x : f32[2,20,9,11]",
       random_constant("%w", {20, 1, 3, 3}) + random_constant("%b", {20}) +
           "%y = conv(%x, %w, %b) {group = 20, pads = [1, 1, 1, 1]} : f32[2,20,9,11]",
       1e-5},
      {"%x : f32[1,33,7,7]",
       random_constant("%w", {33, 1, 7, 7}) +
           "%y = conv(%x, %w) {group = 33, pads = [3, 3, 3, 3]} : f32[1,33,7,7]\n"
           "%r = relu(%y) : f32[1,33,7,7]",
       1e-5},
      {"%x : f32[1,16,12,23]",
       random_constant("%w", {16, 1, 5, 3}) + "%y = conv(%x, %w) {group = 16, pads = [2, 0, 1, 2], "
                                              "strides = [2, 3]} : f32[1,16,6,8]",
       1e-5},
      {"%x : f32[1,16,10,10]",
       random_constant("%w", {16, 1, 3, 3}) + "%y = conv(%x, %w) {dilations = [2, 3], group = 16, "
                                              "pads = [2, 3, 2, 3]} : f32[1,16,10,10]",
       1e-5},
      {"%x : f32[1,16,40]",
       random_constant("%w", {16, 1, 31}) +
           "%y = conv(%x, %w) {group = 16, pads = [15, 15]} : f32[1,16,40]",
       1e-5},
      {"%x : f32[1,16,4,5,6]",
       random_constant("%w", {16, 1, 3, 3, 3}) +
           "%y = conv(%x, %w) {group = 16, pads = [1, 1, 1, 1, 1, 1]} : f32[1,16,4,5,6]",
       1e-5},
      {"%x : f32[1,16,6,6]",
       random_constant("%w", {48, 1, 3, 3}) +
           "%y = conv(%x, %w) {group = 16, pads = [1, 1, 1, 1]} : f32[1,48,6,6]",
       1e-5},
      {"%x : bf16[1,16,9,9]",
       random_constant("%w", {16, 1, 3, 3}, "bf16") +
           "%y = conv(%x, %w) {group = 16, pads = [1, 1, 1, 1], result_type = f32} : "
           "f32[1,16,9,9]",
       1e-5},
  });
}

TEST_CASE("convolutions over three dims") {
  check({
      {"%x : f32[1,5,4,6,7]",
       random_constant("%w", {20, 5, 3, 3, 3}) + random_constant("%b", {20}) +
           "%y = conv(%x, %w, %b) {pads = [1, 1, 1, 1, 1, 1]} : f32[1,20,4,6,7]\n"
           "%r = relu(%y) : f32[1,20,4,6,7]",
       1e-5},
      {"%x : f32[2,8,5,6,6]",
       random_constant("%w", {8, 4, 1, 2, 2}) +
           "%y = conv(%x, %w) {group = 2, strides = [2, 2, 2]} : f32[2,8,3,3,3]",
       1e-5},
      {"%x : f32[1,16,6,5,5]",
       random_constant("%w", {17, 16, 3, 1, 1}) +
           "%y = conv(%x, %w) {dilations = [2, 1, 1], pads = [2, 0, 0, 2, 0, 0]} : "
           "f32[1,17,6,5,5]",
       1e-5},
      {"%x : bf16[1,6,4,4,4]",
       random_constant("%w", {20, 6, 2, 3, 3}, "bf16") +
           "%y = conv(%x, %w) {pads = [0, 1, 1, 1, 1, 1], result_type = f32} : f32[1,20,4,4,4]",
       1e-5},
  });
}

TEST_CASE("a convolution takes weights that come at run time") {
  check({
      {"%x : f32[1,5,7,9]; %w : f32[20,5,3,3]; %b : f32[20]",
       "%y = conv(%x, %w, %b) {pads = [1, 1, 1, 1]} : f32[1,20,7,9]", 1e-5},
      {"%x : f32[2,16,30]; %w : f32[33,16,3]", "%y = conv(%x, %w) {strides = [2]} : f32[2,33,14]",
       1e-5},
      // Channels that are neighbours in memory end before a register does, or with one.
      {"%x : bf16[1,6,5,6]; %w : bf16[20,6,3,3]",
       "%y = conv(%x, %w) {result_type = f32} : f32[1,20,3,4]", 1e-5},
      {"%x : bf16[1,32,5,6]; %w : bf16[20,32,1,1]",
       "%y = conv(%x, %w) {result_type = f32} : f32[1,20,5,6]", 1e-5},
      {"%x : f32[1,32,5,6]; %w : f32[20,32,2,2]", "%y = conv(%x, %w) : f32[1,20,4,5]", 1e-5},
  });
}

TEST_CASE("taps that lie in padding for a whole run of results are passed over") {
  check({
      // Rows and columns; lines of several tiles, of one, of a tile and a bit.
      {"%x : f32[1,16,33,33]",
       random_constant("%w", {20, 16, 3, 3}) +
           "%y = conv(%x, %w) {dilations = [12, 12], pads = [12, 12, 12, 12]} : f32[1,20,33,33]",
       1e-5},
      {"%x : f32[2,8,7,7]",
       random_constant("%w", {33, 8, 5, 5}) + random_constant("%b", {33}) +
           "%c = conv(%x, %w, %b) {pads = [2, 2, 2, 2]} : f32[2,33,7,7]\n"
           "%y = relu(%c) : f32[2,33,7,7]",
       1e-5},
      {"%x : f32[1,6,9,17]",
       random_constant("%w", {16, 6, 3, 3}) +
           "%y = conv(%x, %w) {dilations = [7, 5], pads = [5, 6, 9, 4], strides = [2, 1]} : "
           "f32[1,16,5,17]",
       1e-5},
      // Windows of which one row alone, or none, meets the image.
      {"%x : f32[1,16,5,9]",
       random_constant("%w", {18, 16, 3, 3}) +
           "%y = conv(%x, %w) {dilations = [36, 36], pads = [36, 36, 36, 36]} : f32[1,18,5,9]",
       1e-5},
      {"%x : f32[1,16,3,8]",
       random_constant("%w", {18, 16, 1, 3}) +
           "%y = conv(%x, %w) {pads = [5, 1, 4, 1]} : f32[1,18,12,8]",
       1e-5},
      {"%x : bf16[1,64,7,7]",
       random_constant("%w", {40, 64, 3, 3}, "bf16") +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1], result_type = f32} : f32[1,40,7,7]",
       1e-5},
      {"%x : bf16[1,5,9,9]",
       random_constant("%w", {40, 5, 5, 5}, "bf16") +
           "%y = conv(%x, %w) {dilations = [2, 1], pads = [4, 2, 4, 2], result_type = f32} : "
           "f32[1,40,9,9]",
       1e-5},
      {"%x : f32[1,8,2,6,6]",
       random_constant("%w", {16, 8, 3, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1, 1, 1]} : f32[1,16,2,6,6]",
       1e-5},
      {"%x : f32[1,12,2,2]",
       random_constant("%w", {12, 20, 4, 4}) + "%y = conv_transpose(%x, %w) : f32[1,20,5,5]", 1e-5},
  });
}

TEST_CASE("rows of widely dilated windows are copied tap by tap") {
  check({
      {"%x : f32[1,8,40,12]",
       random_constant("%w", {16, 8, 3, 1}) +
           "%y = conv(%x, %w) {dilations = [16, 1]} : f32[1,16,8,12]",
       1e-5},
      {"%x : f32[1,8,40,12]",
       random_constant("%w", {16, 8, 3, 3}) +
           "%y = conv(%x, %w) {dilations = [4, 2], pads = [4, 2, 4, 2], strides = [2, 1]} : "
           "f32[1,16,20,12]",
       1e-5},
  });
}

TEST_CASE("a pixel spreads multiples of the kernel, and a window makes one of the image") {
  check({
      {"%x : f32[5,6,3,4]",
       random_constant("%w", {9, 6, 3, 4}) + random_constant("%b", {9}) +
           "%c = conv(%x, %w, %b) : f32[5,9,1,1]\n%y = relu(%c) : f32[5,9,1,1]",
       1e-5},
      {"%x : f32[3,10,1,1]",
       random_constant("%w", {10, 7, 4, 3}) + random_constant("%b", {7}) +
           "%c = conv_transpose(%x, %w, %b) {strides = [2, 2]} : f32[3,7,4,3]\n"
           "%y = relu(%c) : f32[3,7,4,3]",
       1e-5},
      {"%x : f32[1,10,1,1]",
       random_constant("%w", {10, 7, 4, 4}) +
           "%y = conv_transpose(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,7,2,2]",
       1e-5},
  });
}

TEST_CASE("transposed convolutions fall apart into phases") {
  check({
      {"%x : f32[1,20,5,6]",
       random_constant("%w", {20, 18, 4, 4}) + random_constant("%b", {18}) +
           "%y = conv_transpose(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 2]} : "
           "f32[1,18,10,12]\n%r = relu(%y) : f32[1,18,10,12]",
       1e-5},
      {"%x : f32[2,9,4,5]",
       random_constant("%w", {9, 16, 2, 2}) +
           "%y = conv_transpose(%x, %w) {strides = [2, 2]} : f32[2,16,8,10]",
       1e-5},
      {"%x : f32[1,9,4,5]",
       random_constant("%w", {9, 32, 3, 3}) + "%y = conv_transpose(%x, %w) {pads = [1, 1, 1, 1], "
                                              "output_padding = [1, 1], strides = [2, 2]} : "
                                              "f32[1,32,8,10]",
       1e-5},
      // Columns of a phase are filled up to whole registers; many phases are few problems.
      {"%x : f32[2,7,3,4]",
       random_constant("%w", {7, 21, 8, 8}) + random_constant("%b", {21}) +
           "%y = conv_transpose(%x, %w, %b) {pads = [2, 2, 2, 2], strides = [4, 4]} : "
           "f32[2,21,12,16]",
       1e-5},
      {"%x : f32[1,5,2,3]",
       random_constant("%w", {5, 9, 20, 20}) +
           "%y = conv_transpose(%x, %w) {pads = [5, 5, 5, 5], strides = [10, 10]} : f32[1,9,20,30]",
       1e-5},
      {"%x : f32[1,8,9]",
       random_constant("%w", {8, 16, 2}) +
           "%y = conv_transpose(%x, %w) {pads = [2, 0], strides = [3]} : f32[1,16,24]",
       1e-5},
      {"%x : f32[1,8,9]",
       random_constant("%w", {8, 5, 5}) + "%y = conv_transpose(%x, %w) {dilations = [3], pads = "
                                          "[4, 3], strides = [2]} : f32[1,5,22]",
       1e-5},
      {"%x : f32[1,8,5,5]",
       random_constant("%w", {8, 6, 3, 3}) +
           "%y = conv_transpose(%x, %w) {group = 2, pads = [1, 1, 1, 1]} : f32[1,12,5,5]",
       1e-5},
      {"%x : f32[1,18,5,6]",
       random_constant("%w", {18, 1, 4, 4}) + "%y = conv_transpose(%x, %w) {group = 18, pads = "
                                              "[1, 1, 1, 1], strides = [2, 2]} : f32[1,18,10,12]",
       1e-5},
      {"%x : f32[1,4,3,4,3]",
       random_constant("%w", {4, 17, 2, 2, 2}) +
           "%y = conv_transpose(%x, %w) {strides = [2, 2, 2]} : f32[1,17,6,8,6]",
       1e-5},
  });
}

// Phases that read the same pixels need not be neighbours where taps are further apart.
TEST_CASE("phases of dilated transposed convolutions keep their places") {
  std::vector<Problem> problems;
  for (const auto& [stride, dilation, taps] : std::vector<std::array<int, 3>>{{3, 2, 5},
                                                                              {4, 2, 4},
                                                                              {5, 3, 4},
                                                                              {6, 2, 5},
                                                                              {6, 4, 5},
                                                                              {7, 5, 4},
                                                                              {8, 6, 5},
                                                                              {8, 2, 3}}) {
    const int length = 2 * stride + (taps - 1) * dilation + 1;
    for (const int channels : {4, 16, 21}) {
      problems.push_back(
          {"%x : f32[1,5,3]",
           random_constant("%w", {5, channels, taps}) +
               fmt::format("%y = conv_transpose(%x, %w) {{dilations = [{}], strides = [{}]}} : "
                           "f32[1,{},{}]",
                           dilation, stride, channels, length),
           1e-5});
    }
  }
  problems.push_back({"%x : f32[2,5,2,3]",
                      random_constant("%w", {5, 10, 4, 2}) +
                          "%y = conv_transpose(%x, %w) {dilations = [2, 1], "
                          "strides = [4, 3]} : f32[2,10,11,8]",
                      1e-5});
  check(problems);
}

TEST_CASE("results that no tap of a transposed convolution reaches are no products of infinity") {
  check({
      {"%x : f32[1,1,5]",
       random_constant("%w", {1, 16, 3}) + "%y = conv_transpose(%x, %w) {strides = [4]} : "
                                           "f32[1,16,19]",
       1e-5, Edges::yes},
      {"%x : f32[1,1,2,3]",
       random_constant("%w", {1, 12, 2, 1}) + "%y = conv_transpose(%x, %w) {dilations = [2, 1], "
                                              "strides = [3, 3]} : f32[1,12,6,7]",
       1e-5, Edges::yes},
  });
}

}  // namespace neuronc::testing
