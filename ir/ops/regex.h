// Regular expressions in RE2's syntax, matched in time linear in the text: for regex_full_match.
//
// What RE2 has and this does not: Unicode classes (\p{Greek}), single bytes (\C), and case folding
// beyond ASCII. They are refused.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc::ops {

class Regex {
 public:
  static OrRefusal<Regex> compile(std::string_view pattern);
  // Whether the whole of `text`, UTF-8, is matched. Bytes that are no UTF-8 are U+FFFD each.
  bool matches(std::string_view text) const;

  struct Range {
    uint32_t low, high;
  };
  // An instruction of the automaton.
  struct State {
    enum class Kind : uint8_t {
      set,
      split,
      jump,
      text_begin,
      text_end,
      line_begin,
      line_end,
      word_edge,
      no_word_edge,
      match
    };
    Kind kind = Kind::match;
    std::vector<Range> set;  // sorted, disjoint
    size_t next = 0, other = 0;
  };

 private:
  std::vector<State> states_;
};

}  // namespace neuronc::ops
