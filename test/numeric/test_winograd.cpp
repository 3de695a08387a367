// 3 x 3 convolutions of stride 1 by F(4x4, 3x3), beside the other variants. Tolerance: transformed
// inputs are up to 100 times the given ones, in f32.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "harness.h"

namespace neuronc::testing {
namespace {

// Kernels of the variant that `problems` made are at least as many as row-major and channels-last
// memory have of them on one target.
void check_winograd(const std::vector<Problem>& problems) {
  const int before = num_kernels_of("conv.winograd");
  check(problems);
  CHECK(num_kernels_of("conv.winograd") - before >= 2 * static_cast<int>(problems.size()));
}

}  // namespace

TEST_CASE("winograd's tiles end before the results, the channels and the columns do") {
  check_winograd({
      {"%x : f32[1,16,8,8]",
       random_constant("%w", {32, 16, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,32,8,8]",
       1e-5},
      {"%x : f32[2,24,9,14]",
       random_constant("%w", {20, 24, 3, 3}) + random_constant("%b", {20}) +
           "%y = conv(%x, %w, %b) {pads = [1, 1, 1, 1]} : f32[2,20,9,14]",
       1e-5},
      {"%x : f32[1,5,7,6]",
       random_constant("%w", {33, 5, 3, 3}) + "%y = conv(%x, %w) : f32[1,33,5,4]", 1e-5},
      {"%x : f32[1,8,3,3]",
       random_constant("%w", {16, 8, 3, 3}) +
           "%y = conv(%x, %w) {pads = [0, 2, 1, 0]} : f32[1,16,2,3]",
       1e-5},
      {"%x : f32[3,16,1,4]",
       random_constant("%w", {8, 16, 3, 3}) +
           "%y = conv(%x, %w) {pads = [2, 1, 2, 1]} : f32[3,8,3,4]",
       1e-5},
  });
}

TEST_CASE("winograd sums over several chunks of channels, blocks and runs of panels") {
  check_winograd({
      {"%x : f32[1,160,6,6]",
       random_constant("%w", {40, 160, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,40,6,6]",
       1e-5},
      {"%x : f32[2,8,24,30]",
       random_constant("%w", {16, 8, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[2,16,24,30]",
       1e-5},
      {"%x : f32[1,16,5,6]",
       random_constant("%w", {280, 16, 3, 3}) +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f32[1,280,5,6]",
       1e-5},
      {"%x : f32[1,32,8,8]",
       random_constant("%w", {48, 8, 3, 3}) +
           "%y = conv(%x, %w) {group = 4, pads = [1, 1, 1, 1]} : f32[1,48,8,8]",
       1e-5},
  });
}

TEST_CASE("winograd reads narrow types and computed inputs, and lets work be done behind it") {
  check_winograd({
      {"%x : bf16[1,16,9,9]; %r : bf16[1,32,9,9]",
       random_constant("%w", {32, 16, 3, 3}, "bf16") + random_constant("%b", {32}) +
           "%y = conv(%x, %w, %b) {pads = [1, 1, 1, 1], result_type = f32} : f32[1,32,9,9]\n"
           "%f = cast(%r) {to = f32} : f32[1,32,9,9]\n"
           "%s = add(%y, %f) : f32[1,32,9,9]\n%z = relu(%s) : f32[1,32,9,9]",
       1e-5},
      {"%x : f16[1,20,7,7]",
       random_constant("%w", {24, 20, 3, 3}, "f16") +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1]} : f16[1,24,7,7]",
       2e-3},
      {"%x : f32[1,16,8,10]; %k : f32[1,16,1,1]",
       random_constant("%w", {16, 16, 3, 3}) +
           "%m = mul(%x, %k) : f32[1,16,8,10]\n%p = relu(%m) : f32[1,16,8,10]\n"
           "%y = conv(%p, %w) {pads = [1, 1, 1, 1]} : f32[1,16,8,10]",
       1e-5},
  });
}

}  // namespace neuronc::testing
