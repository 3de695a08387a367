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

TEST_CASE("dynamic_quantize_linear takes the range of its operand") {
  const std::string line = "%y, %s, %z = dynamic_quantize_linear(%x) : ";
  for (const std::string shape : {"[3,19]", "[1,3,4,5]", "[1]", "[]", "[0,3]"}) {
    const std::string body = line + "u8" + shape + ", f32[], u8[]\n";
    check({
        {"%x : f32" + shape, body + "output %y : u8" + shape},
        {"%x : f32" + shape, body + "output %s : f32[]"},
        {"%x : f32" + shape, body + "output %z : u8[]"},
    });
  }
  check({{"%x : f32[3,19]",
          "%e = exp(%x) : f32[3,19]\n%q = dynamic_quantize_linear(%e) : u8[3,19]\n"
          "%y = cast(%q) {to = f32} : f32[3,19]",
          1e-9}});
}

}  // namespace neuronc::testing
