// Normalisations: f32 statistics of some hundred elements of magnitude 1.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("layer and RMS normalisation work on rows") {
  check({
      {"%x : f32[3,5,40]; %s : f32[40]; %b : f32[40]",
       "%y = layer_normalization(%x, %s, %b) : f32[3,5,40]", 1e-5},
      {"%x : f32[11,100]; %s : f32[100]", "%y = layer_normalization(%x, %s) : f32[11,100]", 1e-5},
      {"%x : f32[3,4,5]; %s : f32[4,5]", "%y = layer_normalization(%x, %s) {axis = 1} : f32[3,4,5]",
       1e-5},
      {"%x : bf16[3,40]; %s : bf16[40]", "%y = layer_normalization(%x, %s) : bf16[3,40]", 3e-2},
      {"%x : f32[3,40]; %s : f32[40]", "%y = rms_normalization(%x, %s) : f32[3,40]", 1e-5},
      {"%x : f32[9,40]; %z : f32[9,40]; %s : f32[40]",
       "%a = add(%x, %z) : f32[9,40]\n%n = rms_normalization(%a, %s) : f32[9,40]\n"
       "%y = relu(%n) : f32[9,40]",
       1e-5},
  });
}

TEST_CASE("instance, group and batch normalisation work on channels") {
  check({
      {"%x : f32[2,11,5,7]; %s : f32[11]; %b : f32[11]",
       "%y = instance_normalization(%x, %s, %b) : f32[2,11,5,7]", 1e-5},
      {"%x : f32[2,16,5,7]; %s : f32[16]; %b : f32[16]",
       "%y = group_normalization(%x, %s, %b) {num_groups = 4} : f32[2,16,5,7]", 1e-5},
      {"%x : f32[1,16,12]; %s : f32[16]; %b : f32[16]",
       "%y = group_normalization(%x, %s, %b) {num_groups = 2} : f32[1,16,12]", 1e-5},
      {"%x : f32[2,11,5,7]; %s : f32[11]; %b : f32[11]; %m : f32[11]",
       "%v = constant {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} : f32[11]\n"
       "%y = batch_normalization(%x, %s, %b, %m, %v) : f32[2,11,5,7]",
       1e-5},
  });
}

}  // namespace neuronc::testing
