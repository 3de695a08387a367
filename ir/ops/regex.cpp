// Implements regex.h: a recursive descent over the pattern builds fragments of a nondeterministic
// automaton, which is run with all of its states at once.
#include "ir/ops/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

namespace neuronc::ops {
namespace {

using Range = Regex::Range;
using State = Regex::State;
using Kind = Regex::State::Kind;
using Set = std::vector<Range>;

constexpr uint32_t kLastCode = 0x10ffff;
constexpr int kDeepestNesting = 200;
constexpr int64_t kMostRepeats = 1000;
constexpr size_t kMostStates = 100'000;

// The code points of UTF-8 text.
std::vector<uint32_t> decoded(std::string_view text) {
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const int more = lead < 0x80 ? 0 : lead >= 0xf0 && lead < 0xf8 ? 3 : lead >= 0xe0 ? 2 : 1;
    uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
    bool is_valid = lead < 0x80 || (lead >= 0xc2 && lead < 0xf5);
    for (int k = 1; k <= more && is_valid; ++k) {
      const size_t at = i + static_cast<size_t>(k);
      is_valid = at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80;
      if (is_valid) code = code << 6 | (static_cast<uint8_t>(text[at]) & 0x3fu);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    is_valid = is_valid && code >= kLeast[more] && code <= kLastCode && (code >> 11) != 0x1b;
    codes.push_back(is_valid ? code : 0xfffd);
    i += is_valid ? static_cast<size_t>(more) + 1 : 1;
  }
  return codes;
}

Set sorted(Set set) {
  std::sort(set.begin(), set.end(), [](Range a, Range b) { return a.low < b.low; });
  Set merged;
  for (Range r : set) {
    if (!merged.empty() && r.low <= merged.back().high + 1) {
      merged.back().high = std::max(merged.back().high, r.high);
    } else {
      merged.push_back(r);
    }
  }
  return merged;
}

Set inverted(const Set& set) {
  Set result;
  uint32_t next = 0;
  for (Range r : sorted(set)) {
    if (r.low > next) result.push_back({next, r.low - 1});
    next = r.high + 1;
  }
  if (next <= kLastCode) result.push_back({next, kLastCode});
  return result;
}

bool contains(const Set& set, uint32_t code) {
  const auto it =
      std::upper_bound(set.begin(), set.end(), code, [](uint32_t c, Range r) { return c < r.low; });
  return it != set.begin() && code <= std::prev(it)->high;
}

void append(Set& to, const Set& from) { to.insert(to.end(), from.begin(), from.end()); }

// The other case of ASCII letters too.
Set folded(Set set) {
  const size_t count = set.size();
  for (size_t i = 0; i < count; ++i) {
    for (uint32_t code = 'A'; code <= 'Z'; ++code) {
      const uint32_t lower = code + 32;
      if (code >= set[i].low && code <= set[i].high) set.push_back({lower, lower});
      if (lower >= set[i].low && lower <= set[i].high) set.push_back({code, code});
    }
  }
  return sorted(std::move(set));
}

const Set kDigits{{'0', '9'}};
const Set kWords{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Set kSpaces{{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};

// Beside the text's first and last characters.
constexpr uint32_t kNone = 0xffffffff;

bool is_word(uint32_t code) { return code != kNone && contains(kWords, code); }

std::optional<Set> class_named(std::string_view name) {
  struct Named {
    std::string_view name;
    Set set;
  };
  static const Named kClasses[] = {{"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
                                   {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
                                   {"ascii", {{0, 127}}},
                                   {"blank", {{'\t', '\t'}, {' ', ' '}}},
                                   {"cntrl", {{0, 31}, {127, 127}}},
                                   {"digit", {{'0', '9'}}},
                                   {"graph", {{'!', '~'}}},
                                   {"lower", {{'a', 'z'}}},
                                   {"print", {{' ', '~'}}},
                                   {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
                                   {"space", {{'\t', '\r'}, {' ', ' '}}},
                                   {"upper", {{'A', 'Z'}}},
                                   {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
                                   {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}};
  for (const Named& known : kClasses) {
    if (known.name == name) return known.set;
  }
  return std::nullopt;
}

struct Flags {
  bool ignores_case = false, spans_lines = false, dot_is_all = false;
};

// A node of the pattern's tree, kept in one vector and named by index.
struct Node {
  enum class Kind : uint8_t { empty, state, sequence, choice, repeat };
  Kind kind = Kind::empty;
  State state;  // of a single instruction
  std::vector<size_t> parts;
  int64_t least = 0, most = -1;  // of a repeat; -1: any number
};

class Parser {
 public:
  explicit Parser(std::string_view pattern) : codes_(decoded(pattern)) {}

  OrRefusal<size_t> parse() {
    NEURONC_ASSIGN(const size_t root, choice(0));
    if (at_ < codes_.size()) return refuse("it has `)` without `(`");
    return root;
  }
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  bool at_end() const { return at_ >= codes_.size(); }
  uint32_t peek(size_t ahead = 0) const {
    return at_ + ahead < codes_.size() ? codes_[at_ + ahead] : kNone;
  }
  bool take(char c) {
    if (peek() != static_cast<uint32_t>(c)) return false;
    ++at_;
    return true;
  }
  size_t add(Node node) {
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
  }
  size_t add_state(Kind kind, Set set = {}) {
    Node node;
    node.kind = Node::Kind::state;
    node.state.kind = kind;
    node.state.set = std::move(set);
    return add(std::move(node));
  }
  size_t add_set(Set set) {
    set = sorted(std::move(set));
    return add_state(Kind::set, flags_.ignores_case ? folded(std::move(set)) : std::move(set));
  }

  // Flags that a group without a colon sets hold to the end of the group around it.
  OrRefusal<size_t> choice(int depth) {
    if (depth > kDeepestNesting) return refuse("its groups are nested too deeply");
    const Flags outer = flags_;
    Node node;
    node.kind = Node::Kind::choice;
    do {
      NEURONC_ASSIGN(const size_t part, sequence(depth));
      node.parts.push_back(part);
    } while (take('|'));
    flags_ = outer;
    return node.parts.size() == 1 ? node.parts[0] : add(std::move(node));
  }

  OrRefusal<size_t> sequence(int depth) {
    Node node;
    node.kind = Node::Kind::sequence;
    while (!at_end() && peek() != '|' && peek() != ')') {
      NEURONC_ASSIGN(size_t part, atom(depth));
      NEURONC_ASSIGN(part, repeated(part));
      node.parts.push_back(part);
    }
    return add(std::move(node));
  }

  // {n}, {n,} or {n,m}; anything else behind a brace is plain text.
  bool take_counts(int64_t& least, int64_t& most) {
    size_t i = at_ + 1;
    const auto number = [&](int64_t& value) {
      const size_t begin = i;
      value = 0;
      while (i < codes_.size() && contains(kDigits, codes_[i]) && value <= kMostRepeats) {
        value = value * 10 + static_cast<int64_t>(codes_[i++] - '0');
      }
      return i > begin;
    };
    if (!number(least)) return false;
    most = least;
    if (i < codes_.size() && codes_[i] == ',') {
      ++i;
      if (!number(most)) most = -1;
    }
    if (i >= codes_.size() || codes_[i] != '}') return false;
    at_ = i + 1;
    return true;
  }

  OrRefusal<size_t> repeated(size_t part) {
    bool is_repeated = false;
    while (!at_end()) {
      Node node;
      node.kind = Node::Kind::repeat;
      if (take('*')) {
      } else if (take('+')) {
        node.least = 1;
      } else if (take('?')) {
        node.most = 1;
      } else if (peek() != '{' || !take_counts(node.least, node.most)) {
        break;
      }
      if (is_repeated) return refuse("it repeats a repetition");
      if (node.least > kMostRepeats || node.most > kMostRepeats) {
        return refuse(fmt::format("it repeats more than {} times", kMostRepeats));
      }
      if (node.most >= 0 && node.most < node.least) return refuse("a repetition has no count");
      take('?');  // few or many: the same for a match of everything
      node.parts = {part};
      part = add(std::move(node));
      is_repeated = true;
    }
    return part;
  }

  OrRefusal<size_t> atom(int depth) {
    if (take('(')) return group(depth);
    if (take('[')) {
      NEURONC_ASSIGN(Set set, bracket());
      return add_set(std::move(set));
    }
    if (take('.'))
      return add_state(Kind::set, flags_.dot_is_all ? inverted({}) : inverted({{'\n', '\n'}}));
    if (take('^')) return add_state(flags_.spans_lines ? Kind::line_begin : Kind::text_begin);
    if (take('$')) return add_state(flags_.spans_lines ? Kind::line_end : Kind::text_end);
    if (peek() == '*' || peek() == '+' || peek() == '?') return refuse("it repeats nothing");
    if (take('\\')) return escape();
    const uint32_t code = codes_[at_++];
    return add_set({{code, code}});
  }

  OrRefusal<size_t> group(int depth) {
    const Flags outer = flags_;
    bool is_open = true;
    if (take('?')) {
      if (peek() == '=' || peek() == '!') return refuse("it looks ahead");
      if (peek() == '<' && (peek(1) == '=' || peek(1) == '!')) return refuse("it looks behind");
      if (take('P') || peek() == '<') {
        if (!take('<')) return refuse("a group's name is damaged");
        while (!at_end() && peek() != '>') ++at_;
        if (!take('>')) return refuse("a group's name has no end");
      } else {
        NEURONC_ASSIGN(is_open, flags());
      }
    }
    if (!is_open) return add({});
    const auto inner = choice(depth + 1);
    if (!inner) return inner;
    if (!take(')')) return refuse("it has `(` without `)`");
    flags_ = outer;
    return inner;
  }

  // Behind `(?`: whether a group follows; else the flags hold for the rest of this one.
  OrRefusal<bool> flags() {
    bool value = true;
    while (!at_end()) {
      if (take(':')) return true;
      if (take(')')) return false;
      if (take('-')) {
        value = false;
      } else if (take('i')) {
        flags_.ignores_case = value;
      } else if (take('m')) {
        flags_.spans_lines = value;
      } else if (take('s')) {
        flags_.dot_is_all = value;
      } else if (!take('U')) {
        return refuse("a group has an unknown flag");
      }
    }
    return refuse("it has `(` without `)`");
  }

  // A class that an escape names (\d, \W...), where `letter` is one.
  static std::optional<Set> escaped_class(uint32_t letter) {
    switch (letter) {
      case 'd':
        return kDigits;
      case 'D':
        return inverted(kDigits);
      case 's':
        return kSpaces;
      case 'S':
        return inverted(kSpaces);
      case 'w':
        return kWords;
      case 'W':
        return inverted(kWords);
      default:
        return std::nullopt;
    }
  }

  // The one character that an escape stands for.
  OrRefusal<uint32_t> escaped_code() {
    if (at_end()) return refuse("it ends in `\\`");
    const uint32_t letter = codes_[at_++];
    constexpr std::string_view kLetters = "afnrtv", kMeanings = "\a\f\n\r\t\v";
    for (size_t i = 0; i < kLetters.size(); ++i) {
      if (letter == static_cast<uint32_t>(kLetters[i])) return static_cast<uint32_t>(kMeanings[i]);
    }
    if (letter == 'x') return hexadecimal();
    if (letter >= '0' && letter <= '7') {
      if (letter != '0' && !(peek() >= '0' && peek() <= '7')) return refuse("it refers back");
      uint32_t code = letter - '0';
      for (int i = 0; i < 2 && peek() >= '0' && peek() <= '7'; ++i)
        code = code * 8 + codes_[at_++] - '0';
      return code;
    }
    if (letter == 'p' || letter == 'P') return refuse("it names a Unicode class");
    if (contains(kWords, letter)) return refuse("it has an unknown escape");
    return letter;
  }

  OrRefusal<uint32_t> hexadecimal() {
    const bool is_long = take('{');
    uint32_t code = 0;
    int digits = 0;
    while (!at_end() && (is_long || digits < 2)) {
      const uint32_t c = peek();
      const uint32_t lower = c | 32;
      if (c >= '0' && c <= '9') {
        code = code * 16 + c - '0';
      } else if (lower >= 'a' && lower <= 'f') {
        code = code * 16 + lower - 'a' + 10;
      } else {
        break;
      }
      if (code > kLastCode) return refuse("it names no character");
      ++at_;
      ++digits;
    }
    if (digits == 0 || (!is_long && digits < 2) || (is_long && !take('}'))) {
      return refuse("it names no character");
    }
    return code;
  }

  OrRefusal<size_t> escape() {
    if (const auto set = escaped_class(peek())) {
      ++at_;
      return add_set(*set);
    }
    if (take('b')) return add_state(Kind::word_edge);
    if (take('B')) return add_state(Kind::no_word_edge);
    if (take('A')) return add_state(Kind::text_begin);
    if (take('z')) return add_state(Kind::text_end);
    if (take('Q')) {
      Node node;
      node.kind = Node::Kind::sequence;
      while (!at_end() && !(peek() == '\\' && peek(1) == 'E')) {
        const uint32_t code = codes_[at_++];
        node.parts.push_back(add_set({{code, code}}));
      }
      at_ = std::min(at_ + 2, codes_.size());
      return add(std::move(node));
    }
    NEURONC_ASSIGN(const uint32_t code, escaped_code());
    return add_set({{code, code}});
  }

  // Behind `[`.
  OrRefusal<Set> bracket() {
    const bool is_inverted = take('^');
    Set set;
    for (bool is_first = true; is_first || peek() != ']'; is_first = false) {
      if (at_end()) return refuse("it has `[` without `]`");
      NEURONC_TRY(bracket_item(set));
    }
    ++at_;
    if (!is_inverted) return set;
    return inverted(flags_.ignores_case ? folded(sorted(std::move(set))) : set);
  }

  OrRefusal<void> bracket_item(Set& set) {
    if (peek() == '[' && peek(1) == ':') {
      const size_t begin = at_;
      at_ += 2;
      const bool is_inverted = take('^');
      std::string name;
      while (!at_end() && peek() != ':') name += static_cast<char>(codes_[at_++] & 0x7f);
      const auto known = class_named(name);
      if (!known || !take(':') || !take(']')) {
        at_ = begin;
        return refuse("it names an unknown class");
      }
      append(set, is_inverted ? inverted(*known) : *known);
      return {};
    }
    if (peek() == '\\') {
      if (const auto known = escaped_class(peek(1))) {
        at_ += 2;
        append(set, *known);
        return {};
      }
    }
    NEURONC_ASSIGN(const uint32_t low, bracket_code());
    uint32_t high = low;
    if (peek() == '-' && peek(1) != ']' && peek(1) != kNone) {
      ++at_;
      NEURONC_ASSIGN(high, bracket_code());
    }
    if (high < low) return refuse("a range of characters is empty");
    set.push_back({low, high});
    return {};
  }

  OrRefusal<uint32_t> bracket_code() {
    if (take('\\')) return escaped_code();
    return codes_[at_++];
  }

  std::vector<uint32_t> codes_;
  std::vector<Node> nodes_;
  size_t at_ = 0;
  Flags flags_;
};

// Puts the tree's instructions in order: each fragment runs into what follows it.
class Assembler {
 public:
  Assembler(const std::vector<Node>& nodes, std::vector<State>& states)
      : nodes_(nodes), states_(states) {}

  // False: there are too many. The depth is that of the pattern's groups, which is bounded.
  bool emit(size_t index) {
    if (states_.size() > kMostStates) return false;
    const Node& node = nodes_[index];
    switch (node.kind) {
      case Node::Kind::empty:
        return true;
      case Node::Kind::state:
        states_.push_back(node.state);
        states_.back().next = states_.size();
        return true;
      case Node::Kind::sequence:
        for (size_t part : node.parts) {
          if (!emit(part)) return false;
        }
        return true;
      case Node::Kind::choice:
        return emit_choice(node);
      case Node::Kind::repeat:
        return emit_repeat(node);
    }
    return false;
  }

 private:
  size_t add(Kind kind) {
    State state;
    state.kind = kind;
    states_.push_back(std::move(state));
    return states_.size() - 1;
  }

  bool emit_choice(const Node& node) {
    std::vector<size_t> jumps;
    for (size_t i = 0; i < node.parts.size(); ++i) {
      const bool is_last = i + 1 == node.parts.size();
      const size_t split = is_last ? 0 : add(Kind::split);
      if (!emit(node.parts[i])) return false;
      if (is_last) break;
      jumps.push_back(add(Kind::jump));
      states_[split].next = split + 1;
      states_[split].other = states_.size();
    }
    for (size_t jump : jumps) states_[jump].next = states_.size();
    return true;
  }

  bool emit_repeat(const Node& node) {
    for (int64_t i = 0; i < node.least; ++i) {
      if (!emit(node.parts[0])) return false;
    }
    if (node.most < 0) {
      const size_t split = add(Kind::split);
      if (!emit(node.parts[0])) return false;
      states_[add(Kind::jump)].next = split;
      states_[split].next = split + 1;
      states_[split].other = states_.size();
      return true;
    }
    std::vector<size_t> splits;
    for (int64_t i = node.least; i < node.most; ++i) {
      splits.push_back(add(Kind::split));
      states_.back().next = states_.size();
      if (!emit(node.parts[0])) return false;
    }
    for (size_t split : splits) states_[split].other = states_.size();
    return true;
  }

  const std::vector<Node>& nodes_;
  std::vector<State>& states_;
};

bool holds(Kind kind, uint32_t before, uint32_t after) {
  switch (kind) {
    case Kind::text_begin:
      return before == kNone;
    case Kind::text_end:
      return after == kNone;
    case Kind::line_begin:
      return before == kNone || before == '\n';
    case Kind::line_end:
      return after == kNone || after == '\n';
    case Kind::word_edge:
      return is_word(before) != is_word(after);
    default:
      return is_word(before) == is_word(after);
  }
}

}  // namespace

OrRefusal<Regex> Regex::compile(std::string_view pattern) {
  Parser parser(pattern);
  const auto root = parser.parse();
  if (!root) return refuse(fmt::format("pattern `{}`: {}", pattern, root.error().reason));
  Regex regex;
  if (!Assembler(parser.nodes(), regex.states_).emit(*root)) {
    return refuse(fmt::format("pattern `{}` is too large", pattern));
  }
  regex.states_.emplace_back();
  return regex;
}

bool Regex::matches(std::string_view text) const {
  const std::vector<uint32_t> codes = decoded(text);
  std::vector<size_t> current{0}, next, stack;
  std::vector<size_t> seen(states_.size(), codes.size() + 1);
  for (size_t i = 0; i <= codes.size(); ++i) {
    const uint32_t before = i > 0 ? codes[i - 1] : kNone;
    const uint32_t after = i < codes.size() ? codes[i] : kNone;
    next.clear();
    stack = current;
    while (!stack.empty()) {
      const size_t at = stack.back();
      stack.pop_back();
      if (seen[at] == i) continue;
      seen[at] = i;
      const State& state = states_[at];
      if (state.kind == Kind::match) {
        if (after == kNone) return true;
      } else if (state.kind == Kind::set) {
        if (after != kNone && contains(state.set, after)) next.push_back(state.next);
      } else if (state.kind == Kind::split) {
        stack.push_back(state.next);
        stack.push_back(state.other);
      } else if (state.kind == Kind::jump || holds(state.kind, before, after)) {
        stack.push_back(state.next);
      }
    }
    current.swap(next);
    if (current.empty()) return false;
  }
  return false;
}

}  // namespace neuronc::ops
