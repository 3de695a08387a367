// Differential tests of lowerings: a problem is a few lines of text IR; its operators become one
// kernel, which is verified, interpreted, and run natively at -O0 and -O2, in every variant that
// takes it, on every instruction set with kernels of its own (those that this machine lacks by the
// interpreter alone).
//
//   interpreter == native, bit for bit; both == evaluator within the problem's tolerance
//
// Each problem runs on row-major memory with 16-bit floats stored as declared, and, where there are
// images, on channels-last memory with them carried as f32; on seeded normal data, small integers,
// and, as the problem says, edge values.
#pragma once

#include <string>
#include <vector>

namespace neuronc::testing {

// Whether a problem runs on infinities, NaN, denormals and the ends of the range too. By default it
// does where the result is exact; sums of such values overflow on the way in one order of terms and
// not in another.
enum class Edges { where_exact, yes, no };

struct Problem {
  // "%x : f32[2,3]; %i : i64[4] = -3..2": integers may be bounded.
  std::string inputs;
  // One operator a line; the value of the last line is the result, or what a line
  // "output %h : f32[2]" names.
  std::string body;
  // |d| <= tolerance * (|reference| + the root mean square of the references); 0: exact.
  double tolerance = 0;
  Edges edges = Edges::where_exact;
};

// A line of a body: the constant `name` of pseudo-random numbers in [-0.5, 0.5).
std::string random_constant(const std::string& name, const std::vector<int>& shape,
                            const std::string& dtype = "f32");

// Runs all problems; a failure names the problem, the layout, the data and the worst element.
void check(const std::vector<Problem>& problems);

// Kernels with products by matrices that were checked so far.
int num_matrix_kernels();
// Kernels of a variant that were checked so far.
int num_kernels_of(const std::string& variant);

// Operators that have a lowering and were in no problem so far.
std::vector<std::string> untested_operators();

}  // namespace neuronc::testing
