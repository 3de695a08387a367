// Content hashes (XXH3-128), the identity of constants, kernels and artifacts.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace neuronc {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

Hash128 hash_bytes(std::span<const std::byte> bytes);
Hash128 hash_text(std::string_view text);
Hash128 hash_combine(Hash128 a, Hash128 b);

// 32 lower-case hexadecimal digits, high half first.
std::string to_hex(Hash128 hash);

}  // namespace neuronc
