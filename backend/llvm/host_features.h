// What the machine has that runs the compiler, as LLVM finds it out.
#pragma once

#include <string>
#include <string_view>

namespace neuronc {

// `feature` by LLVM's name, such as "avx512bf16"; false for names that LLVM does not know.
bool host_has_feature(std::string_view feature);

// "19.1.7", for --version and the build information of an artifact.
std::string llvm_library_version();

// Whether vdpbf16ps is faster than two fma. On Intel's processors it is not: 88 against 175 GFLOP/s
// on a core of Emerald Rapids.
bool host_multiplies_bf16_fast();

}  // namespace neuronc
