// How a product is cut into blocks, where not as its problem suggests. Sums keep their order: a
// blocking changes the time of a kernel and none of its bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace neuronc {

struct Blocking {
  int vectors = 0;          // registers of columns in the register tile; 0: as the problem suggests
  int64_t block_bytes = 0;  // of the left operand that stays cached; 0: the usual ones

  bool is_default() const { return vectors == 0 && block_bytes == 0; }
  friend bool operator==(const Blocking&, const Blocking&) = default;
};

// "vectors=3,block-bytes=98304"; what is 0 is left out, so that the default is the empty text.
std::string to_text(const Blocking& blocking);
// No value: it is not such a text.
std::optional<Blocking> parse_blocking(std::string_view text);

}  // namespace neuronc
