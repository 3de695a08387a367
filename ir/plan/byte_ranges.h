// A set of bytes as disjoint ranges; what the verifier knows to be written or touched.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace neuronc::plan {

class ByteRanges {
 public:
  void add(uint64_t begin, uint64_t end) {
    if (begin >= end) return;
    // Most ranges come in ascending order.
    if (!ranges_.empty() && begin >= ranges_.rbegin()->first) {
      if (begin <= ranges_.rbegin()->second) {
        uint64_t& last = ranges_.rbegin()->second;
        last = std::max(last, end);
      } else {
        ranges_.emplace_hint(ranges_.end(), begin, end);
      }
      return;
    }
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin() && std::prev(it)->second >= begin) {
      --it;
      begin = it->first;
    }
    while (it != ranges_.end() && it->first <= end) {
      end = std::max(end, it->second);
      it = ranges_.erase(it);
    }
    ranges_.emplace(begin, end);
  }

  void remove(uint64_t begin, uint64_t end) {
    if (begin >= end) return;
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin()) --it;
    while (it != ranges_.end() && it->first < end) {
      const auto [low, high] = *it;
      if (high <= begin) {
        ++it;
        continue;
      }
      it = ranges_.erase(it);
      if (low < begin) ranges_.emplace(low, begin);
      if (high > end) ranges_.emplace(end, high);
    }
  }

  bool contains(uint64_t begin, uint64_t end) const {
    if (begin >= end) return true;
    auto it = ranges_.upper_bound(begin);
    return it != ranges_.begin() && std::prev(it)->second >= end;
  }

  // Whether the two sets together hold [begin, end).
  static bool hold(const ByteRanges& a, const ByteRanges& b, uint64_t begin, uint64_t end) {
    while (begin < end) {
      const uint64_t next = std::max(a.end_of_range_at(begin), b.end_of_range_at(begin));
      if (next == begin) return false;
      begin = next;
    }
    return true;
  }

  bool is_empty() const { return ranges_.empty(); }

  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const auto& [begin, end] : ranges_) visit(begin, end);
  }

  bool intersects(const ByteRanges& other) const {
    auto a = ranges_.begin();
    auto b = other.ranges_.begin();
    while (a != ranges_.end() && b != other.ranges_.end()) {
      if (std::max(a->first, b->first) < std::min(a->second, b->second)) return true;
      a->second < b->second ? ++a : ++b;
    }
    return false;
  }

  void add_all(const ByteRanges& other) {
    for (const auto& [begin, end] : other.ranges_) add(begin, end);
  }

  // The bytes in both sets.
  ByteRanges intersection(const ByteRanges& other) const {
    ByteRanges result;
    auto a = ranges_.begin();
    auto b = other.ranges_.begin();
    while (a != ranges_.end() && b != other.ranges_.end()) {
      result.add(std::max(a->first, b->first), std::min(a->second, b->second));
      a->second < b->second ? ++a : ++b;
    }
    return result;
  }

  void clear() { ranges_.clear(); }

 private:
  // Where the range that holds `position` ends; `position` if there is none.
  uint64_t end_of_range_at(uint64_t position) const {
    auto it = ranges_.upper_bound(position);
    return it == ranges_.begin() ? position : std::max(position, std::prev(it)->second);
  }

  std::map<uint64_t, uint64_t> ranges_;  // begin to end
};

}  // namespace neuronc::plan
