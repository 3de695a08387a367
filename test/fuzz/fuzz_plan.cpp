// Plans in both forms, and their verifier.
#include <cstdlib>
#include <string_view>

#include "ir/plan/binary.h"
#include "ir/plan/text.h"
#include "ir/plan/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuronc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto plan = plan::parse_plan(text)) {
    if (!verify(*plan).empty()) return 0;
    const auto files = encode(*plan);
    const std::vector<std::span<const std::byte>> views(files.begin(), files.end());
    const auto again = plan::decode(views);
    if (!again || !(*again == *plan)) std::abort();  // what is sound survives storing
  }
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  const std::span<const std::byte> files[] = {file};
  if (const auto plan = plan::decode(files)) static_cast<void>(verify(*plan));
  return 0;
}
