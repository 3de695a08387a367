// Operators that index by data: exact, negative indices included.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("gathers read where indices say") {
  check({
      {"%x : f32[9,20]; %i : i64[3,2] = -9..8", "%y = gather(%x, %i) : f32[3,2,20]"},
      {"%x : f32[4,9]; %i : i32[11] = -9..8", "%y = gather(%x, %i) {axis = 1} : f32[4,11]"},
      {"%x : bool[4,9]; %i : i64[] = -4..3", "%y = gather(%x, %i) : bool[9]"},
      {"%x : f32[5,9]; %i : i64[3,9] = -5..4", "%y = gather_elements(%x, %i) : f32[3,9]"},
      {"%x : u8[5,9]; %i : i64[5,3] = -9..8", "%y = gather_elements(%x, %i) {axis = 1} : u8[5,3]"},
      {"%x : f32[5,4,9]; %i : i64[3,2] = -4..3", "%y = gather_nd(%x, %i) : f32[3,9]"},
      {"%x : f32[3,4,9]; %i : i64[3,5,1] = -4..3",
       "%y = gather_nd(%x, %i) {batch_dims = 1} : f32[3,5,9]"},
      {"%x : f32[4,4]; %i : i64[7,2] = -4..3", "%y = gather_nd(%x, %i) : f32[7]"},
  });
}

TEST_CASE("scatters write where indices say") {
  check({
      {"%x : f32[5,9]; %i : i64[2,9] = -5..4; %u : f32[2,9]",
       "%y = scatter_elements(%x, %i, %u) : f32[5,9]"},
      {"%x : i32[5,9]; %i : i64[5,4] = -9..8; %u : i32[5,4]",
       "%y = scatter_elements(%x, %i, %u) {axis = 1, reduction = \"add\"} : i32[5,9]"},
      {"%x : f32[5,9]; %i : i64[5,4] = 0..8; %u : f32[5,4]",
       "%y = scatter_elements(%x, %i, %u) {axis = 1, reduction = \"max\"} : f32[5,9]"},
      {"%x : f32[5,4,9]; %i : i64[3,2] = -4..3; %u : f32[3,9]",
       "%y = scatter_nd(%x, %i, %u) : f32[5,4,9]"},
      {"%x : i64[8]; %i : i64[6,1] = -8..7; %u : i64[6]",
       "%y = scatter_nd(%x, %i, %u) {reduction = \"mul\"} : i64[8]"},
  });
}

TEST_CASE("reverse_sequence mirrors each sequence") {
  check({
      {"%x : f32[9,5]; %n : i64[5] = 0..9", "%y = reverse_sequence(%x, %n) : f32[9,5]"},
      {"%x : u8[5,9,11]; %n : i64[5] = 0..9",
       "%y = reverse_sequence(%x, %n) {batch_axis = 0, time_axis = 1} : u8[5,9,11]"},
      {"%x : bool[3,11,4]; %n : i64[11] = 0..4",
       "%y = reverse_sequence(%x, %n) {batch_axis = 1, time_axis = 2} : bool[3,11,4]"},
  });
}

TEST_CASE("one_hot is one value at an index") {
  const std::string depth = "%d = constant {6} : i64[]\n";
  check({
      {"%i : i64[4,9] = -6..7; %v : f32[2]", depth + "%y = one_hot(%i, %d, %v) : f32[4,9,6]"},
      {"%i : i32[4,9] = -6..7; %v : i32[2]",
       depth + "%y = one_hot(%i, %d, %v) {axis = 0} : i32[6,4,9]"},
  });
}

}  // namespace neuronc::testing
