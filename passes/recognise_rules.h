// The rules of the pass `recognise`, by topic. Private to passes/.
//
// A rule is asked at one node, its anchor. It says that the node starts no such expression, that it
// rewrote it, or why an expression that looked like it had to stay.
#pragma once

#include <span>
#include <string>

#include "passes/match.h"

namespace neuronc {

struct Attempt {
  enum class Outcome : uint8_t { not_this, done, missed } outcome = Outcome::not_this;
  std::string text;  // for the remark
  NodeId node = {};  // the new node, where done

  static Attempt not_this() { return {}; }
  static Attempt missed(std::string reason) { return {Outcome::missed, std::move(reason)}; }
  // `what` is the expression's name; the refusal of `value` where it could not be made.
  static Attempt of(const Graph& graph, const OrRefusal<ValueId>& value, std::string what) {
    if (!value) return missed(what + " not recognised: " + value.error().reason);
    return {Outcome::done, what + " recognised", graph.producer(*value)};
  }
};

struct Rule {
  Op anchor;
  Attempt (*apply)(Module& module, Graph& graph, NodeId anchor);
};

std::span<const Rule> activation_rules();
std::span<const Rule> normalization_rules();
std::span<const Rule> softmax_rules();

inline constexpr const char* kOtherUsers = "an inner value has other users";

// Whether `type` broadcasts like `x` reduced over `axes` with the reduced dims kept.
bool is_reduced_type(const Type& type, const Type& x, std::span<const int64_t> axes);

}  // namespace neuronc
