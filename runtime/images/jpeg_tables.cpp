// Implements jpeg_tables.h.
#include "runtime/images/jpeg_tables.h"

#include <cstddef>

namespace neuronc::images {
namespace {

constexpr uint8_t kMarker = 0xff, kTables = 0xc4;
constexpr int kMaxCodes = 256;

// `at` is behind the marker. Bytes past the end read as zeros, as the decoder has them.
bool is_sound_segment(std::span<const uint8_t> bytes, size_t at) {
  const auto byte = [&](size_t i) { return i < bytes.size() ? int{bytes[i]} : 0; };
  int left = byte(at) * 256 + byte(at + 1) - 2;
  at += 2;
  while (left > 0 && at < bytes.size()) {
    int num_codes = 0;
    for (size_t i = 1; i <= 16; ++i) num_codes += byte(at + i);
    if (num_codes > kMaxCodes) return false;
    at += 17 + static_cast<size_t>(num_codes);
    left -= 17 + num_codes;
  }
  return true;
}

}  // namespace

bool has_sound_jpeg_tables(std::span<const uint8_t> bytes) {
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == kMarker && bytes[i + 1] == kTables && !is_sound_segment(bytes, i + 2)) {
      return false;
    }
  }
  return true;
}

}  // namespace neuronc::images
