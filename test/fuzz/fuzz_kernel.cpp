// The text form of kernels and their verifier.
#include <string_view>

#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto kernel = neuronc::kernel::parse(text)) {
    static_cast<void>(neuronc::kernel::verify(*kernel));
  }
  return 0;
}
