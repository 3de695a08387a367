// The container's reader and what the loader reads of it, over files whose hashes are right.
#include "test/fuzz/neff_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  std::vector<std::byte> neff(bytes.begin(), bytes.end());
  neuronc::fuzz::reseal(neff);
  static_cast<void>(neuronc::fuzz::read_all(neff));
  return 0;
}
