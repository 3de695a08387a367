// Implements pnm.h.
#include "runtime/images/pnm.h"

#include <algorithm>
#include <optional>

namespace neuronc::images {
namespace {

constexpr int64_t kMostExtent = 1 << 15;
constexpr int64_t kMostBrightness = 65535;

bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The numbers of the header, between spaces and comments.
class Header {
 public:
  explicit Header(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // The next number, if it is in [1, most].
  std::optional<int64_t> number(int64_t most) {
    skip();
    int64_t value = 0;
    const size_t begin = at_;
    while (at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9' && value <= most) {
      value = value * 10 + (bytes_[at_++] - '0');
    }
    if (at_ == begin || value < 1 || value > most) return std::nullopt;
    return value;
  }
  // What stands behind the one space that ends the header.
  std::span<const uint8_t> rest() const {
    const bool ends = at_ < bytes_.size() && is_space(bytes_[at_]);
    return ends ? bytes_.subspan(at_ + 1) : std::span<const uint8_t>();
  }

 private:
  void skip() {
    bool is_comment = false;
    for (; at_ < bytes_.size(); ++at_) {
      const uint8_t c = bytes_[at_];
      if (c == '#') is_comment = true;
      if (c == '\n') is_comment = false;
      if (!is_comment && !is_space(c)) return;
    }
  }

  std::span<const uint8_t> bytes_;
  size_t at_ = 2;  // behind the magic
};

}  // namespace

bool is_pnm(std::span<const uint8_t> bytes) {
  return bytes.size() > 2 && bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6');
}

bool decode_pnm(std::span<const uint8_t> bytes, Pnm& picture) {
  if (!is_pnm(bytes)) return false;
  Header header(bytes);
  const auto width = header.number(kMostExtent);
  const auto height = width ? header.number(kMostExtent) : std::nullopt;
  const auto most = height ? header.number(kMostBrightness) : std::nullopt;
  if (!most) return false;
  picture.num_channels = bytes[1] == '6' ? 3 : 1;
  const size_t count = static_cast<size_t>(*width * *height) * picture.num_channels;
  const std::span<const uint8_t> data = header.rest();
  const size_t size = *most > 255 ? 2 : 1;
  if (data.size() / size < count) return false;
  picture.width = *width;
  picture.height = *height;
  picture.values.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const int64_t value = size == 2 ? data[2 * i] << 8 | data[2 * i + 1] : data[i];
    picture.values[i] = static_cast<uint8_t>((std::min(value, *most) * 255 + *most / 2) / *most);
  }
  return true;
}

}  // namespace neuronc::images
