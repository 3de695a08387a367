// Words and quoted texts, as every text form of the project writes them.
#pragma once

#include <string>
#include <string_view>

namespace neuronc {

// A letter or one of `more`, or `_`; with digits behind the first: written without quotes.
bool is_word(std::string_view text, std::string_view more = ".");
bool is_word_char(char c, std::string_view more = ".");

// `text` in double quotes, with \" \\ \n \t \r and \xNN escapes; all others stand as they are.
std::string quoted(std::string_view text);

// `text` as a terminal may show it: control characters become \n, \x1b..., all others stand as they
// are, and of what is longer than `max_length` bytes the middle is left out. Names come from
// models: raw, they could hide or forge lines.
std::string printable(std::string_view text, size_t max_length = 160);

// Lines of a text that may hold such names, each as `printable` shows it, and whole.
std::string printable_lines(std::string_view text);

// `text` itself if it is a word, quoted otherwise.
std::string word_or_quoted(std::string_view text, std::string_view more = ".");

}  // namespace neuronc
