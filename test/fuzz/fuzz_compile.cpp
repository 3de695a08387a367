// The whole compile of small models: exit code 70 is a bug.
#include <cstdio>
#include <cstdlib>

#include "compiler/include/neuronc/compiler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLargestModel = 1 << 14;
  if (size > kLargestModel) return 0;
  neuronc::CompileOptions options;
  options.num_jobs = 1;
  options.num_neuroncores = size % 2 == 0 ? 1 : 2;
  const auto result =
      neuronc::compile_bytes(std::as_bytes(std::span(data, size)), "fuzz.onnx", options);
  if (result.exit_code != 70) return 0;
  std::fputs(result.messages_text().c_str(), stderr);
  std::abort();
}
