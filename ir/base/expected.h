// Result types shared by all layers.
//
// `Expected<T>`: committed paths; the error has already been reported to a `Diagnostics`.
// `OrRefusal<T>`: trials (a variant, a strategy, an evaluator that may not apply); the error is a
// reason in words that reaches a remark or a diagnostic, never a crash.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace neuronc {

// The error of a committed path: a diagnostic has been reported, nothing more is to be said.
struct Reported {};

template <class T>
using Expected = tl::expected<T, Reported>;

// Why something was not done, as a phrase that fits behind "because".
struct Refusal {
  std::string reason;
};

template <class T>
using OrRefusal = tl::expected<T, Refusal>;

inline tl::unexpected<Reported> reported() { return tl::unexpected<Reported>(Reported{}); }

inline tl::unexpected<Refusal> refuse(std::string reason) {
  return tl::unexpected<Refusal>(Refusal{std::move(reason)});
}

// What a pass or a rewrite says of itself; the pass runner checks it against a structural hash.
enum class Changed : bool { no = false, yes = true };

inline Changed operator|(Changed a, Changed b) {
  return (a == Changed::yes || b == Changed::yes) ? Changed::yes : Changed::no;
}
inline Changed& operator|=(Changed& a, Changed b) { return a = a | b; }

}  // namespace neuronc

#define NEURONC_CONCAT_IMPL(a, b) a##b
#define NEURONC_CONCAT(a, b) NEURONC_CONCAT_IMPL(a, b)

// Returns the error of `expression` from the enclosing function, or continues.
#define NEURONC_TRY(expression)                                 \
  do {                                                          \
    if (auto neuronc_result = (expression); !neuronc_result)    \
      return tl::unexpected(std::move(neuronc_result).error()); \
  } while (false)

// Declares `declaration` from the value of `expression`, or returns its error.
#define NEURONC_ASSIGN(declaration, expression)                                          \
  auto NEURONC_CONCAT(neuronc_result_, __LINE__) = (expression);                         \
  if (!NEURONC_CONCAT(neuronc_result_, __LINE__))                                        \
    return tl::unexpected(std::move(NEURONC_CONCAT(neuronc_result_, __LINE__)).error()); \
  declaration = std::move(*NEURONC_CONCAT(neuronc_result_, __LINE__))
