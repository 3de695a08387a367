// What the two halves of the verifier share: collecting errors, and the checks of tables and single
// steps (verify.cpp), which must hold before a request is followed through its lanes
// (verify_flow.cpp).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc::plan {

class Errors {
 public:
  void add(std::string message) {
    if (messages_.size() < kLimit) messages_.push_back(std::move(message));
  }
  bool is_empty() const { return messages_.empty(); }
  bool is_full() const { return messages_.size() >= kLimit; }
  std::vector<std::string> take() { return std::move(messages_); }

 private:
  static constexpr size_t kLimit = 50;
  std::vector<std::string> messages_;
};

inline bool reads(const BufferRef& ref) {
  return (static_cast<unsigned>(ref.access) & static_cast<unsigned>(Access::read)) != 0;
}
inline bool writes(const BufferRef& ref) {
  return (static_cast<unsigned>(ref.access) & static_cast<unsigned>(Access::write)) != 0;
}

// Calls `visit(begin, end)` for each range of its space that a reference touches.
template <class Visit>
void for_each_range(const BufferRef& ref, const Visit& visit) {
  if (ref.touched.empty()) return visit(ref.offset_bytes, ref.offset_bytes + ref.size_bytes);
  for (const Run& run : ref.touched) {
    uint64_t begin = ref.offset_bytes + run.offset_bytes;
    for (uint64_t i = 0; i < run.count; ++i, begin += run.stride_bytes) {
      visit(begin, begin + run.size_bytes);
    }
  }
}

// "lane 1 step 4 (`send 0`)"
std::string place(const Plan& plan, size_t lane, std::string_view list, size_t step_index,
                  const Step& step);

// Rules 8 to 12, on a plan whose tables and single steps are sound.
void verify_flow(const Plan& plan, Errors& errors);

}  // namespace neuronc::plan
