// Regular expressions: RE2's syntax, whole texts, time linear in the text.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "ir/ops/regex.h"

namespace neuronc::ops {
namespace {

struct Case {
  std::string pattern;
  std::vector<std::string> matched, unmatched;
};

TEST_CASE("patterns match whole texts", "[regex]") {
  const std::vector<Case> cases = {
      {"^[A-Z][a-z]+$", {"Hello"}, {"hello", "H", "Hello "}},
      {R"((\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$))", {"account@gmail.com"}, {"not email"}},
      {"a{2,3}b{0}c?", {"aa", "aac", "aaa"}, {"aaaa", "ab", ""}},
      {"(?i)str|x", {"STR", "X"}, {"s"}},
      {"(?i:a)b", {"Ab"}, {"AB"}},
      {"[[:alpha:]_][^\\d]*", {"abc", "_"}, {"a1", ""}},
      {R"(\x41\101\Q.*\E)", {"AA.*"}, {"AAxx"}},
      {".", {"x", "\xc3\xa9"}, {"\n", "xx"}},
      {"(?s).", {"\n"}, {""}},
      {"(a*)*b", {"aab"}, {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"}},
      {"a|", {"", "a"}, {"b"}},
      {"[]a]+", {"]a"}, {"b"}},
      {R"(www.*\bcom\b)", {"www.com"}, {"wwwcom", "www.comx"}},
      {"a{,2}", {"a{,2}"}, {"aa"}},
      {"(?m)a$\\n^b", {"a\nb"}, {"ab"}},
  };
  for (const Case& c : cases) {
    INFO(c.pattern);
    const auto regex = Regex::compile(c.pattern);
    REQUIRE(regex.has_value());
    for (const std::string& text : c.matched) CHECK(regex->matches(text));
    for (const std::string& text : c.unmatched) CHECK_FALSE(regex->matches(text));
  }
}

TEST_CASE("damaged and foreign patterns are refused", "[regex]") {
  for (const char* pattern :
       {"a**", "(a", "a)", "[z-a]", "\\", "[\\", "(?", "[[:foo:]]", "\\pL", "(?=a)", "(?<!a)",
        "x{1001}", "\\1", "*", "((((a?){30}){30}){30}){30}"}) {
    INFO(pattern);
    CHECK_FALSE(Regex::compile(pattern).has_value());
  }
  CHECK_FALSE(Regex::compile(std::string(300, '(') + std::string(300, ')')).has_value());
}

}  // namespace
}  // namespace neuronc::ops
