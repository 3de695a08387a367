// Products and convolutions of integers: exact, zero points and wide sums included.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("matmul_integer sums exactly") {
  check({
      {"%a : u8[5,40] = 0..255; %b : i8[40,19] = -128..127",
       "%y = matmul_integer(%a, %b) : i32[5,19]"},
      {"%a : u8[5,7] = 0..255; %b : u8[7,19] = 0..255; %p : u8[] = 0..255; %q : u8[19] = 0..255",
       "%y = matmul_integer(%a, %b, %p, %q) : i32[5,19]"},
      {"%a : i8[2,5,7] = -128..127; %b : u8[7,9] = 0..255; %p : i8[5] = -128..127",
       "%y = matmul_integer(%a, %b, %p) : i32[2,5,9]"},
      {"%a : i8[2,5,7] = -128..127; %b : u8[2,7,9] = 0..255; %p : i8[2,5,1] = -128..127; "
       "%q : u8[2,1,9] = 0..255",
       "%y = matmul_integer(%a, %b, %p, %q) : i32[2,5,9]"},
      {"%a : u8[33] = 0..255; %b : i8[33,9] = -128..127", "%y = matmul_integer(%a, %b) : i32[9]"},
      {"%a : u8[3,33] = 0..255; %b : i8[33] = -128..127; %p : u8[1] = 0..255; %q : i8[1] = -9..9",
       "%y = matmul_integer(%a, %b, %p, %q) : i32[3]"},
  });
}

TEST_CASE("conv_integer pads with the zero point") {
  check({
      {"%x : u8[1,5,7,7] = 0..255; %w : i8[12,5,3,3] = -128..127; %p : u8[] = 0..255",
       "%y = conv_integer(%x, %w, %p) {pads = [1, 1, 1, 1]} : i32[1,12,7,7]"},
      {"%x : u8[2,6,9,9] = 0..255; %w : u8[4,3,3,3] = 0..255; %p : u8[1] = 0..255; "
       "%q : u8[4] = 0..255",
       "%y = conv_integer(%x, %w, %p, %q) {group = 2, strides = [2, 2]} : i32[2,4,4,4]"},
      {"%x : i8[1,8,9,9] = -128..127; %w : i8[8,1,3,3] = -128..127; %p : i8[] = -128..127; "
       "%q : i8[8,1,1,1] = -128..127",
       "%y = conv_integer(%x, %w, %p, %q) {dilations = [2, 2], group = 8, pads = [2, 2, 2, 2]} : "
       "i32[1,8,9,9]"},
      {"%x : u8[1,3,20] = 0..255; %w : i8[5,3,4] = -128..127",
       "%y = conv_integer(%x, %w) {pads = [1, 2]} : i32[1,5,20]"},
  });
}

TEST_CASE("q_linear_matmul rounds its sums to even") {
  const std::string scales =
      "%s = constant {0.0625} : f32[]\n%t = constant {0.25} : f32[]\n"
      "%u = constant {0.5} : f32[]\n";
  check({
      {"%a : u8[5,40] = 0..255; %b : i8[40,19] = -128..127; %p : u8[] = 0..255; "
       "%q : i8[] = -9..9; %z : i8[] = -128..127",
       scales + "%y = q_linear_matmul(%a, %s, %p, %b, %t, %q, %u, %z) : i8[5,19]"},
      {"%a : u8[2,5,7] = 0..255; %b : u8[2,7,19] = 0..255; %s : f32[5]; %p : u8[5] = 0..255; "
       "%t : f32[19]; %q : u8[19] = 0..255; %u : f32[1]; %z : u8[1] = 0..255",
       "%y = q_linear_matmul(%a, %s, %p, %b, %t, %q, %u, %z) : u8[2,5,19]"},
      {"%a : i8[3,7] = -128..127; %b : u8[7,9] = 0..255; %s : f16[]; %p : i8[] = -9..9; "
       "%t : f16[]; %q : u8[] = 0..255; %u : f16[]; %z : u8[] = 0..255",
       "%y = q_linear_matmul(%a, %s, %p, %b, %t, %q, %u, %z) : u8[3,9]"},
      {"%a : u8[1,40000] = 0..255; %b : u8[40000,2] = 200..255",
       "%s = constant {0.001} : f32[]\n%p = constant {0} : u8[]\n%u = constant {20} : f32[]\n"
       "%y = q_linear_matmul(%a, %s, %p, %b, %s, %p, %u, %p) : u8[1,2]"},
  });
}

TEST_CASE("q_linear_conv scales each channel") {
  const std::string scales =
      "%s = constant {0.0625} : f32[]\n%t = constant {0.25} : f32[]\n%u = constant {2} : f32[]\n";
  check({
      {"%x : u8[1,5,7,7] = 0..255; %w : i8[12,5,3,3] = -128..127; %p : u8[] = 0..255; "
       "%q : i8[] = -9..9; %z : u8[] = 0..255",
       scales + "%y = q_linear_conv(%x, %s, %p, %w, %t, %q, %u, %z) {pads = [1, 1, 1, 1]} : "
                "u8[1,12,7,7]"},
      {"%x : i8[1,4,6,6] = -128..127; %w : i8[9,4,3,3] = -128..127; %s : f32[]; "
       "%p : i8[] = -128..127; %t : f32[9]; %q : i8[9] = -9..9; %u : f32[]; %z : i8[] = -9..9; "
       "%b : i32[9] = -90000..90000",
       "%y = q_linear_conv(%x, %s, %p, %w, %t, %q, %u, %z, %b) {strides = [2, 2]} : i8[1,9,2,2]"},
      {"%x : u8[1,8,5,5] = 0..255; %w : i8[8,1,3,3] = -128..127; %p : u8[] = 0..255; "
       "%q : i8[] = -9..9; %z : u8[] = 0..255; %t : f32[8]; %s : f32[]; %u : f32[]",
       "%y = q_linear_conv(%x, %s, %p, %w, %t, %q, %u, %z) {group = 8, pads = [1, 1, 1, 1]} : "
       "u8[1,8,5,5]"},
  });
}

}  // namespace neuronc::testing
