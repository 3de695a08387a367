// "Did you mean ...": the name that a misspelt one is closest to.
#pragma once

#include <span>
#include <string_view>

namespace neuronc {

// The candidate that the fewest insertions, deletions, replacements and exchanges of neighbours
// make of `word`, if they are few for its length; empty otherwise. Of equally near ones the first.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace neuronc
