// Operators that copy elements: every bit arrives.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("identity, transpose and reshape move elements") {
  check({
      {"%x : f32[3,17]", "%y = identity(%x) : f32[3,17]"},
      {"%x : bf16[3,17]", "%y = identity(%x) : bf16[3,17]"},
      {"%x : bool[3,17]", "%y = identity(%x) : bool[3,17]"},
      {"%x : u8[2,3,4,9]", "%y = transpose(%x) {perm = [0, 2, 3, 1]} : u8[2,4,9,3]"},
      {"%x : f32[2,16,4,9]", "%y = transpose(%x) {perm = [0, 2, 3, 1]} : f32[2,4,9,16]"},
      {"%x : f64[5,11]", "%y = transpose(%x) : f64[11,5]"},
      {"%x : f32[2,12,5]", "%s = constant {24, 5} : i64[2]\n%y = reshape(%x, %s) : f32[24,5]"},
      {"%x : f32[6,20]", "%s = constant {6, 5, 4} : i64[3]\n%y = reshape(%x, %s) : f32[6,5,4]"},
      {"%x : f32[6,5,4]", "%s = constant {6, 20} : i64[2]\n%y = reshape(%x, %s) : f32[6,20]"},
      {"%x : i32[6,10]", "%s = constant {4, 15} : i64[2]\n%y = reshape(%x, %s) : i32[4,15]"},
      {"%x : i64[6,1,10]", "%s = constant {1} : i64[1]\n%y = squeeze(%x, %s) : i64[6,10]"},
      {"%x : f16[6,10]", "%s = constant {0, 2} : i64[2]\n%y = unsqueeze(%x, %s) : f16[1,6,1,10]"},
  });
}

TEST_CASE("slice, split, concat and expand pick elements") {
  check({
      {"%x : f32[4,20]",
       "%s = constant {1, 18} : i64[2]\n%e = constant {4, 1} : i64[2]\n"
       "%a = constant {0, 1} : i64[2]\n%t = constant {2, -3} : i64[2]\n"
       "%y = slice(%x, %s, %e, %a, %t) : f32[2,6]"},
      {"%x : i8[4,40]",
       "%s = constant {-1} : i64[1]\n%e = constant {-9223372036854775807} : i64[1]\n"
       "%a = constant {1} : i64[1]\n%t = constant {-1} : i64[1]\n"
       "%y = slice(%x, %s, %e, %a, %t) : i8[4,40]"},
      {"%x : f32[2,8,3,3]; %z : f32[2,5,3,3]", "%y = concat(%x, %z) {axis = 1} : f32[2,13,3,3]"},
      {"%x : f32[2,11]; %z : f32[2,0]; %w : f32[2,7]",
       "%y = concat(%x, %z, %w, %x) {axis = -1} : f32[2,29]"},
      {"%x : bool[3,5]; %z : bool[4,5]", "%y = concat(%x, %z) {axis = 0} : bool[7,5]"},
      {"%x : f32[3,1,9]",
       "%s = constant {2, 3, 4, 9} : i64[4]\n%y = expand(%x, %s) : f32[2,3,4,9]"},
      {"%x : f32[3,1]", "%s = constant {3, 12} : i64[2]\n%y = expand(%x, %s) : f32[3,12]"},
      {"%x : f32[2,3]", "%s = constant {2, 5} : i64[2]\n%y = tile(%x, %s) : f32[4,15]"},
      {"%x : f32[2,16,3]", "%s = constant {1, 2, 1} : i64[3]\n%y = tile(%x, %s) : f32[2,32,3]"},
      {"%x : f32[5,1]", "%s = constant {1, 13} : i64[2]\n%y = tile(%x, %s) : f32[5,13]"},
  });
}

TEST_CASE("pad fills, repeats, reflects and wraps") {
  const std::string pads = "%p = constant {1, -1, 2, 3} : i64[4]\n";
  const std::string image = "%p = constant {0, 0, 1, 2, 0, 0, 2, 1} : i64[8]\n";
  check({
      {"%x : f32[5,20]", pads + "%y = pad(%x, %p) : f32[8,22]"},
      {"%x : f32[5,20]; %v : f32[]", pads + "%y = pad(%x, %p, %v) : f32[8,22]"},
      {"%x : u8[5,20]", pads + "%y = pad(%x, %p) {mode = \"edge\"} : u8[8,22]"},
      {"%x : f32[5,20]", pads + "%y = pad(%x, %p) {mode = \"reflect\"} : f32[8,22]"},
      {"%x : f32[5,20]", pads + "%y = pad(%x, %p) {mode = \"wrap\"} : f32[8,22]"},
      {"%x : f32[1,9,5,4]", image + "%y = pad(%x, %p) : f32[1,9,8,7]"},
      {"%x : f32[1,9,5,4]", image + "%y = pad(%x, %p) {mode = \"edge\"} : f32[1,9,8,7]"},
      {"%x : f32[1,9,5,4]", image + "%y = pad(%x, %p) {mode = \"reflect\"} : f32[1,9,8,7]"},
      {"%x : bf16[4]",
       "%a = constant {-1} : i64[1]\n%p = constant {7, 2} : i64[2]\n%n = constant {1} : bf16[]\n"
       "%y = pad(%x, %p, %n, %a) {mode = \"reflect\"} : bf16[13]"},
  });
}

TEST_CASE("blocks, triangles and fills") {
  check({
      {"%x : f32[1,36,2,3]", "%y = depth_to_space(%x) {blocksize = 2} : f32[1,9,4,6]"},
      {"%x : f32[1,36,2,3]",
       "%y = depth_to_space(%x) {blocksize = 2, mode = \"CRD\"} : f32[1,9,4,6]"},
      {"%x : f32[1,9,4,6]", "%y = space_to_depth(%x) {blocksize = 2} : f32[1,36,2,3]"},
      {"%x : f32[3,5,9]", "%y = trilu(%x) : f32[3,5,9]"},
      {"%x : i32[5,9]", "%k = constant {-2} : i64[]\n%y = trilu(%x, %k) {upper = 0} : i32[5,9]"},
      {"%x : f32[5,9]", "%y = eye_like(%x) {dtype = i64, k = 3} : i64[5,9]"},
      {"%x : f32[1]", "%s = constant {3, 11} : i64[2]\n%y = constant_of_shape(%s, %x) : f32[3,11]"},
      {"%x : f32[1]",
       "%a = constant {0.5} : f32[]\n%b = constant {7} : f32[]\n%d = constant {0.3} : f32[]\n"
       "%r = range(%a, %b, %d) : f32[22]\n%y = add(%r, %x) : f32[22]",
       1e-6},
  });
}

TEST_CASE("center_crop_pad cuts and fills both sides") {
  const std::string shape = "%s = constant {5, 9} : i64[2]\n";
  check({
      {"%x : f32[3,20]", shape + "%y = center_crop_pad(%x, %s) : f32[5,9]"},
      {"%x : f32[8,4]", shape + "%y = center_crop_pad(%x, %s) : f32[5,9]"},
      {"%x : u8[2,6,8,3]", shape + "%y = center_crop_pad(%x, %s) {axes = [1, -2]} : u8[2,5,9,3]"},
      {"%x : bf16[4,8]", shape + "%y = center_crop_pad(%x, %s) {axes = [1, 0]} : bf16[9,5]"},
      {"%x : bool[0,20]", shape + "%y = center_crop_pad(%x, %s) : bool[5,9]"},
  });
}

TEST_CASE("shape and size are known") {
  check({
      {"%x : f32[3,5,7]", "%y = shape(%x) : i64[3]"},
      {"%x : f32[3,5,7]", "%y = shape(%x) {end = -1, start = 1} : i64[1]"},
      {"%x : bool[3,0,7]", "%y = shape(%x) {start = -2} : i64[2]"},
      {"%x : f32[3,5,7]", "%y = size(%x) : i64[]"},
  });
}

TEST_CASE("split and reorder copy") {
  check({
      {"%x : f32[4,20]",
       "%s = constant {3, 8, 9} : i64[3]\n"
       "%a, %b, %c = split(%x, %s) {axis = 1} : f32[4,3], f32[4,8], f32[4,9]\n"
       "output %b : f32[4,8]"},
      {"%x : f32[2,20,3,3]", "%y = reorder(%x) : f32[2,20,3,3]"},
  });
}

}  // namespace neuronc::testing
