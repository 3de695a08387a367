// 4-byte strong ids. Entities live in dense vectors of their owner and are named by id, so that
// references survive reallocation and print as they stand in the text form.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace neuronc {

template <class Tag>
struct Id {
  static constexpr uint32_t kNone = 0xffffffffu;

  uint32_t index = kNone;

  constexpr Id() = default;
  constexpr explicit Id(size_t i) : index(static_cast<uint32_t>(i)) {}
  constexpr explicit operator bool() const { return index != kNone; }
  friend constexpr auto operator<=>(Id, Id) = default;
};

using NodeId = Id<struct NodeTag>;
using ValueId = Id<struct ValueTag>;
using ConstantId = Id<struct ConstantTag>;
using SymbolId = Id<struct SymbolTag>;

}  // namespace neuronc

template <class Tag>
struct std::hash<neuronc::Id<Tag>> {
  size_t operator()(neuronc::Id<Tag> id) const noexcept { return id.index; }
};
