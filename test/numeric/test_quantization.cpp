// Quantisation: exact, ties included.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("quantisation rounds to even and saturates") {
  const std::string scale = "%s = constant {0.25} : f32[]\n";
  const std::string scales = "%s = constant {0.25, 0.5, 2} : f32[3]\n";
  check({
      {"%x : f32[3,19]", scale + "%y = quantize_linear(%x, %s) : u8[3,19]"},
      {"%x : f32[3,19]", scale + "%z = constant {-3} : i8[]\n"
                                 "%y = quantize_linear(%x, %s, %z) : i8[3,19]"},
      {"%x : f32[3,19]", scales + "%z = constant {1, 2, 3} : i16[3]\n"
                                  "%y = quantize_linear(%x, %s, %z) {axis = 0} : i16[3,19]"},
      {"%x : u8[3,19]", scale + "%y = dequantize_linear(%x, %s) : f32[3,19]"},
      {"%x : i8[2,3,19]", scales + "%z = constant {1, 2, -3} : i8[3]\n"
                                   "%y = dequantize_linear(%x, %s, %z) : f32[2,3,19]"},
      {"%x : i32[3,19]", scale + "%y = dequantize_linear(%x, %s) : f32[3,19]"},
  });
}

}  // namespace neuronc::testing
