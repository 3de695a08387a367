// Implements blocking.h.
#include "backend/blocking.h"

#include <charconv>

namespace neuronc {
namespace {

constexpr std::string_view kVectors = "vectors=";
constexpr std::string_view kBlockBytes = "block-bytes=";
constexpr int64_t kMostVectors = 4;
constexpr int64_t kMostBlockBytes = int64_t{1} << 30;

// The number from 1 to `most` that is all of `text`.
std::optional<int64_t> parse_number(std::string_view text, int64_t most) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_good = error == std::errc() && end == text.data() + text.size();
  return is_good && number >= 1 && number <= most ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string to_text(const Blocking& blocking) {
  std::string text;
  if (blocking.vectors != 0) text += std::string(kVectors) + std::to_string(blocking.vectors);
  if (blocking.block_bytes == 0) return text;
  return text + (text.empty() ? "" : ",") + std::string(kBlockBytes) +
         std::to_string(blocking.block_bytes);
}

std::optional<Blocking> parse_blocking(std::string_view text) {
  Blocking blocking;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    if (part.starts_with(kVectors)) {
      const auto number = parse_number(part.substr(kVectors.size()), kMostVectors);
      if (!number) return std::nullopt;
      blocking.vectors = static_cast<int>(*number);
    } else if (part.starts_with(kBlockBytes)) {
      const auto number = parse_number(part.substr(kBlockBytes.size()), kMostBlockBytes);
      if (!number) return std::nullopt;
      blocking.block_bytes = *number;
    } else {
      return std::nullopt;
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return blocking;
}

}  // namespace neuronc
