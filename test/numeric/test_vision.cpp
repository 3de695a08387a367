// Operators that sample images and signals, and those that put windows back. What computes in f64
// as the evaluator does is exact.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("grid_sample in every mode") {
  for (const std::string mode : {"linear", "nearest", "cubic"}) {
    for (const std::string padding : {"zeros", "border", "reflection"}) {
      for (const std::string aligned : {"0", "1"}) {
        const std::string attributes = " {align_corners = " + aligned + ", mode = \"" + mode +
                                       "\", padding_mode = \"" + padding + "\"} : ";
        // Reflecting an edge value of 1e38 leaves nothing of it.
        const double tolerance = padding == "reflection" ? 1e-6 : 0;
        check({
            {"%x : f32[2,3,5,7]; %g : f32[2,4,9,2]",
             "%y = grid_sample(%x, %g)" + attributes + "f32[2,3,4,9]", tolerance},
            {"%x : f64[1,2,6]; %g : f64[1,9,1]",
             "%y = grid_sample(%x, %g)" + attributes + "f64[1,2,9]", tolerance},
        });
      }
    }
  }
  check({
      {"%x : f32[1,2,3,4,5]; %g : f32[1,2,2,3,3]", "%y = grid_sample(%x, %g) : f32[1,2,2,2,3]"},
      {"%x : bf16[1,2,4,5]; %g : bf16[1,3,3,2]", "%y = grid_sample(%x, %g) : bf16[1,2,3,3]"},
      {"%x : f32[1,2,1,1]; %g : f32[1,3,3,2]",
       "%y = grid_sample(%x, %g) {align_corners = 1, padding_mode = \"reflection\"} : "
       "f32[1,2,3,3]",
       1e-6},
  });
}

TEST_CASE("affine_grid moves positions") {
  for (const std::string aligned : {"0", "1"}) {
    check({
        {"%t : f32[2,2,3]",
         "%s = constant {2, 3, 4, 5} : i64[4]\n"
         "%y = affine_grid(%t, %s) {align_corners = " +
             aligned + "} : f32[2,4,5,2]"},
        {"%t : f64[1,3,4]",
         "%s = constant {1, 2, 3, 1, 5} : i64[5]\n"
         "%y = affine_grid(%t, %s) {align_corners = " +
             aligned + "} : f64[1,3,1,5,3]"},
    });
  }
}

TEST_CASE("roi_align samples regions") {
  const std::string inputs = "%x : f32[2,3,9,11]; %r : f32[4,4]; %b : i64[4] = 0..1";
  const auto line = [](const std::string& attributes) {
    return "%y = roi_align(%x, %r, %b) {" + attributes +
           "output_height = 3, output_width = 2, sampling_ratio = 2} : f32[4,3,3,2]";
  };
  check({
      {inputs, line("")},
      {inputs, line("mode = \"max\", ")},
      {inputs, line("coordinate_transformation_mode = \"output_half_pixel\", ")},
      {"%x : f32[2,3,9,11]; %r : f32[4,4] = -2..12; %b : i64[4] = 0..1",
       "%y = roi_align(%x, %r, %b) {output_height = 2, output_width = 2, spatial_scale = 0.75} : "
       "f32[4,3,2,2]"},
      {"%x : bf16[1,2,5,5]; %r : bf16[3,4] = 0..5; %b : i64[3] = 0..0",
       "%y = roi_align(%x, %r, %b) {output_height = 2, output_width = 2} : bf16[3,2,2,2]"},
  });
  // Blocks of vectors of channels, a vector alone, a part of one.
  for (const std::string mode : {"avg", "max"}) {
    for (const std::string c : {"5", "16", "37", "64", "150"}) {
      check({{"%x : f32[2," + c + ",6,5]; %r : f32[3,4] = -2..7; %b : i64[3] = 0..1",
              "%y = roi_align(%x, %r, %b) {mode = \"" + mode +
                  "\", output_height = 2, output_width = 3} : f32[3," + c + ",2,3]"}});
    }
  }
  check({{"%x : f64[1,19,5,5]; %r : f64[2,4] = 0..5; %b : i64[2] = 0..0",
          "%q = roi_align(%x, %r, %b) {output_height = 2, output_width = 2} : f64[2,19,2,2]\n"
          "%y = relu(%q) : f64[2,19,2,2]"}});
}

TEST_CASE("max_roi_pool takes the greatest of each bin") {
  check({
      {"%x : f32[1,3,9,11]; %r : f32[4,5] = 0..0",
       "%y = max_roi_pool(%x, %r) {pooled_shape = [2, 3]} : f32[4,3,2,3]"},
      {"%x : f32[1,3,9,11]; %r : f32[6,5] = 0..1",
       "%s = constant {0, -3, -2, 11, 9} : f32[5]\n%q = mul(%r, %s) : f32[6,5]\n"
       "%y = max_roi_pool(%x, %q) {pooled_shape = [2, 3], spatial_scale = 0.7} : f32[6,3,2,3]"},
      {"%x : f64[13,2,5,5]; %r : f64[4,5] = 0..12",
       "%y = max_roi_pool(%x, %r) {pooled_shape = [2, 2], spatial_scale = 0.3} : f64[4,2,2,2]"},
      {"%x : f32[2,37,9,11]; %r : f32[6,5] = 0..1",
       "%s = constant {1, 3, 2, 11, 9} : f32[5]\n%q = mul(%r, %s) : f32[6,5]\n"
       "%y = max_roi_pool(%x, %q) {pooled_shape = [2, 3]} : f32[6,37,2,3]"},
  });
}

TEST_CASE("windows give back what they took") {
  check({
      {"%x : f32[1,2,3,4]; %i : i64[1,2,3,4] = 0..95",
       "%y = max_unpool(%x, %i) {kernel_shape = [2, 2], strides = [2, 2]} : f32[1,2,6,8]"},
      {"%x : f32[1,1,2,2]; %i : i64[1,1,2,2] = 0..15",
       "%s = constant {1, 1, 5, 6} : i64[4]\n"
       "%y = max_unpool(%x, %i, %s) {kernel_shape = [2, 2], strides = [2, 2]} : f32[1,1,5,6]"},
      {"%x : f32[2,12,12]",
       "%i = constant {4, 5} : i64[2]\n%b = constant {2, 2} : i64[2]\n"
       "%y = col2im(%x, %i, %b) : f32[2,3,4,5]",
       1e-6},
      {"%x : i32[1,18,6]",
       "%i = constant {5, 4} : i64[2]\n%b = constant {3, 2} : i64[2]\n"
       "%y = col2im(%x, %i, %b) {pads = [1, 0, 1, 1], strides = [2, 2]} : i32[1,3,5,4]"},
      {"%x : f32[1,6,3]",
       "%i = constant {9} : i64[1]\n%b = constant {3} : i64[1]\n"
       "%y = col2im(%x, %i, %b) {dilations = [2], strides = [2]} : f32[1,2,9]",
       1e-6},
  });
}

TEST_CASE("transforms are the sums of their definition") {
  const std::string length = "%n = constant {12} : i64[]\n%a = constant {1} : i64[]\n";
  check({
      {"%x : f32[2,9,1]", "%y = dft(%x) : f32[2,9,2]"},
      {"%x : f32[2,9,2]", "%y = dft(%x) {inverse = 1} : f32[2,9,2]"},
      {"%x : f32[2,9,3,2]", length + "%y = dft(%x, %n, %a) : f32[2,12,3,2]"},
      {"%x : f32[2,19,3,1]", length + "%y = dft(%x, %n, %a) {onesided = 1} : f32[2,7,3,2]"},
      {"%x : f64[2,7,2]", "%y = dft(%x) {inverse = 1, onesided = 1} : f64[2,12,1]"},
      {"%x : f32[2,4,2]", length + "%y = dft(%x, %n) {inverse = 1, onesided = 1} : f32[2,12,1]"},
      {"%x : f32[2,40,1]; %w : f32[16]",
       "%s = constant {8} : i64[]\n%y = stft(%x, %s, %w) : f32[2,4,9,2]"},
      {"%x : f32[2,40,2]; %w : f32[16]",
       "%s = constant {8} : i64[]\n%y = stft(%x, %s, %w) {onesided = 0} : f32[2,4,16,2]"},
      {"%x : f32[1,40]",
       "%s = constant {5} : i64[]\n%n = constant {10} : i64[]\n"
       "%y = stft(%x, %s, _, %n) : f32[1,7,6,2]"},
  });
}

TEST_CASE("determinants by elimination") {
  check({
      {"%x : f32[4,4]", "%y = det(%x) : f32[]"},
      {"%x : f32[2,3,5,5]", "%y = det(%x) : f32[2,3]"},
      {"%x : f64[3,1,1]", "%y = det(%x) : f64[3]"},
      {"%x : f32[9,2,2] = 0..1", "%d = det(%x) : f32[9]\n%y = neg(%d) : f32[9]"},
  });
}

TEST_CASE("inverses by elimination") {
  check({
      {"%x : f32[2,4,4]", "%y = inverse(%x) : f32[2,4,4]", 1e-5, Edges::no},
      {"%x : f64[3,3]", "%y = inverse(%x) : f64[3,3]", 1e-9, Edges::no},
      {"%x : f32[3,1,1]", "%i = inverse(%x) : f32[3,1,1]\n%y = neg(%i) : f32[3,1,1]"},
  });
}

TEST_CASE("losses read where targets say") {
  const std::string inputs = "%x : f32[3,5,7]; %t : i64[3,7] = 0..4";
  const std::string name = " = negative_log_likelihood_loss(%x, %t";
  check({
      {inputs, "%y" + name + ") : f32[]"},
      {inputs, "%y" + name + ") {reduction = \"sum\"} : f32[]"},
      {inputs, "%y" + name + ") {reduction = \"none\"} : f32[3,7]"},
      {inputs + "; %w : f32[5]", "%y" + name + ", %w) {ignore_index = 2} : f32[]"},
      {inputs + "; %w : f32[5]",
       "%y" + name + ", %w) {ignore_index = 2, reduction = \"none\"} : f32[3,7]"},
      {"%x : bf16[6,5]; %t : i32[6] = -1..4",
       "%y" + name + ") {ignore_index = -1, reduction = \"none\"} : bf16[6]"},
  });
}

TEST_CASE("deform_columns reads moved taps") {
  const std::string window =
      "{kernel_shape = [2,2], offset_group = 2, pads = [1,2,1,0], strides = [2,1], dilations = "
      "[1,2]}";
  check({
      {"%x : f32[2,3,6,7]; %o : f32[2,18,4,5]",
       "%y = deform_columns(%x, %o) {kernel_shape = [3,3]} : f32[2,3,3,3,4,5]", 1e-5},
      {"%x : f32[2,4,6,7]; %o : f32[2,16,4,7]; %m : f32[2,8,4,7]",
       "%y = deform_columns(%x, %o, %m) " + window + " : f32[2,4,2,2,4,7]", 1e-5},
      {"%x : bf16[1,2,5,5]; %o : bf16[1,2,5,5]",
       "%y = deform_columns(%x, %o) {kernel_shape = [1,1]} : bf16[1,2,1,1,5,5]", 1e-2},
  });
}

}  // namespace neuronc::testing
