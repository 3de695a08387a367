// Implements hash.h over the xxHash library.
#include "ir/base/hash.h"

#include <xxhash.h>

#include <cstdio>

namespace neuronc {

Hash128 hash_bytes(std::span<const std::byte> bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.low64, h.high64};
}

Hash128 hash_text(std::string_view text) {
  return hash_bytes(std::as_bytes(std::span(text.data(), text.size())));
}

Hash128 hash_combine(Hash128 a, Hash128 b) {
  const uint64_t words[4] = {a.low, a.high, b.low, b.high};
  return hash_bytes(std::as_bytes(std::span(words)));
}

std::string to_hex(Hash128 hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

}  // namespace neuronc
