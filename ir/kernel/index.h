// Index expressions of kernel IR: interned, canonical affine forms over atoms.
//
//   index ::= constant + sum of coefficient * atom
//   atom  ::= loop variable | floor_div(index, d) | mod(index, d) | min(index, index)
//           | max(index, index) | data (a checked SSA integer in [0, bound))
//
// They are not SSA values: that is what lets the verifier prove every access in bounds and the
// emitter share addresses. floor_div and mod round towards minus infinity and d is positive, so
// 0 <= mod < d and x == d*floor_div(x,d) + mod(x,d) always. Arithmetic never overflows: the
// verifier checks that every reachable index lies within +-2^62.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "ir/base/id.h"

namespace neuronc::kernel {

using IndexId = Id<struct IndexTag>;
using AtomId = Id<struct AtomTag>;
using VariableId = Id<struct VariableTag>;
using ValueId = Id<struct KernelValueTag>;

// Both ends included. Ends are clamped to +-kIndexLimit; an end at the limit means "unknown".
inline constexpr int64_t kIndexLimit = int64_t{1} << 62;
struct Interval {
  int64_t lo = -kIndexLimit;
  int64_t hi = kIndexLimit;
  bool is_empty() const { return lo > hi; }
  bool is_single() const { return lo == hi; }
  friend bool operator==(const Interval&, const Interval&) = default;
};
Interval operator+(Interval a, Interval b);
Interval operator*(Interval a, int64_t factor);
Interval intersect(Interval a, Interval b);

int64_t floor_div(int64_t x, int64_t d);
int64_t floor_mod(int64_t x, int64_t d);

enum class AtomKind : uint8_t { variable, floor_div, mod, min, max, data };

struct Atom {
  AtomKind kind;
  IndexId a;             // operand of floor_div, mod, min, max
  IndexId b;             // second operand of min, max
  int64_t constant = 0;  // divisor; bound of a data index
  VariableId variable;
  ValueId value;  // the result of a check_index operation
};

struct Term {
  AtomId atom;
  int64_t coefficient;
  friend bool operator==(const Term&, const Term&) = default;
};

struct Affine {
  int64_t constant = 0;
  std::vector<Term> terms;  // by ascending atom; no zero coefficient
};

// What the bounds of a loop say of its variable.
Interval loop_interval(Interval lower, Interval upper, int64_t step);

// a + factor*b
Affine add_scaled(const Affine& a, const Affine& b, int64_t factor);

struct Variable {
  std::string name;
  Interval interval;  // from the bounds of the loop alone
};

class IndexTable;

// A handle to an interned expression; a constant needs no table. Cheap to copy. Operands of one
// operation must come from the same kernel.
class Index {
 public:
  Index() : Index(0) {}
  template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
  Index(T constant) : payload_(static_cast<int64_t>(constant)) {}  // NOLINT: implicit by design
  Index(IndexTable* table, IndexId id);

  bool is_constant() const { return table_ == nullptr; }
  int64_t constant() const;  // checked
  IndexTable* table() const { return table_; }
  IndexId id() const;         // of a non-constant index
  Interval interval() const;  // from loop bounds alone; guards refine it in the verifier

  friend Index operator+(Index a, Index b);
  friend Index operator-(Index a, Index b);
  friend Index operator-(Index a) { return a * Index(-1); }
  friend Index operator*(Index a, Index b);  // at least one is a constant
  Index& operator+=(Index b) { return *this = *this + b; }
  Index& operator-=(Index b) { return *this = *this - b; }

 private:
  IndexTable* table_ = nullptr;
  int64_t payload_ = 0;
};

Index floor_div(Index x, int64_t d);  // d > 0
Index ceil_div(Index x, int64_t d);
Index mod(Index x, int64_t d);  // d > 0; result in [0, d)
Index min(Index a, Index b);
Index max(Index a, Index b);
// Mixed forms, so that constants need no spelling out and std::min is not considered.
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
Index min(Index a, T b) {
  return min(a, Index(b));
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
Index min(T a, Index b) {
  return min(Index(a), b);
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
Index max(Index a, T b) {
  return max(a, Index(b));
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
Index max(T a, Index b) {
  return max(Index(a), b);
}

// Owns the expressions of one kernel. Equal expressions have equal ids. Simplifications:
//   like terms merge; floor_div and mod split off multiples of d and common factors, nest, and
//   vanish where intervals decide them; d*floor_div(x,d) + mod(x,d) = x; min and max vanish where
//   the difference of their operands has a known sign.
class IndexTable {
 public:
  IndexId intern(Affine affine);
  IndexId intern(Index index);
  IndexId constant(int64_t value) { return intern(Affine{value, {}}); }

  const Affine& affine(IndexId id) const { return affines_[id.index]; }
  const Atom& atom(AtomId id) const { return atoms_[id.index]; }
  const Variable& variable(VariableId id) const { return variables_[id.index]; }
  size_t num_indices() const { return affines_.size(); }
  size_t num_atoms() const { return atoms_.size(); }
  size_t num_variables() const { return variables_.size(); }

  // From loop bounds alone.
  Interval interval(IndexId id) const { return intervals_[id.index]; }
  Interval atom_interval(AtomId id) const { return atom_intervals_[id.index]; }

  VariableId add_variable(std::string name, Interval interval);
  Index variable_index(VariableId id);
  AtomId variable_atom(VariableId id) const { return variable_atoms_[id.index]; }
  Index data_index(ValueId checked, int64_t bound);
  Index at(IndexId id) { return Index(this, id); }

  // Atoms taken as they stand (the text parser); the simplifying forms are the free functions.
  AtomId intern_atom(Atom atom);

  IndexId add(IndexId a, IndexId b);
  IndexId scale(IndexId a, int64_t factor);
  IndexId floor_div(IndexId a, int64_t d);
  IndexId mod(IndexId a, int64_t d);
  IndexId min(IndexId a, IndexId b);
  IndexId max(IndexId a, IndexId b);

 private:
  Interval compute_atom_interval(const Atom& atom) const;
  void recombine(Affine& affine);
  IndexId min_or_max(AtomKind kind, IndexId a, IndexId b);

  std::vector<Affine> affines_;
  std::vector<Interval> intervals_;
  std::vector<Atom> atoms_;
  std::vector<Interval> atom_intervals_;
  std::vector<Variable> variables_;
  std::vector<AtomId> variable_atoms_;
  std::unordered_map<uint64_t, std::vector<IndexId>> affine_ids_;  // by hash
  std::map<std::tuple<AtomKind, uint32_t, uint32_t, int64_t>, AtomId> atom_ids_;
};

// What is known at one point of a kernel: ranges of loop variables and enclosing guards. Facts are
// scoped: release(mark()) forgets what was learnt in between.
class Facts {
 public:
  explicit Facts(const IndexTable& table) : table_(&table) {}

  size_t mark() const { return facts_.size(); }
  void release(size_t mark) { facts_.resize(mark); }

  // States that the expression lies in `range`.
  void assume(IndexId id, Interval range) { assume(table_->affine(id), range); }
  void assume(const Affine& affine, Interval range);

  // What a loop says of its variable inside its body.
  void assume_loop(AtomId variable, IndexId lower, IndexId upper, int64_t step);

  // Whether no execution gets here: a guard that is never true, a loop without iterations.
  bool is_contradictory() const;

  // Whether the expression can be shown to lie in `range`; cheap proofs are tried first. Where no
  // execution gets, everything holds.
  bool proves(const Affine& affine, Interval range) const;

  // The tightest range that can be shown: sums of atoms' ranges, elimination of an atom by a fact
  // (which covers facts on the same linear part up to a factor and a constant), and case
  // distinction on min and max.
  Interval interval(IndexId id) const;
  Interval interval(const Affine& affine) const;

 private:
  struct Fact {
    std::vector<Term> terms;  // normalised: first coefficient positive, no common factor
    Interval range;           // without terms, the fact is a contradiction
  };
  // `effort` bounds the nesting of proof steps.
  Interval atom_interval(AtomId id, int effort) const;
  Interval interval(const Affine& affine, int effort) const;
  Interval sum_interval(const Affine& affine, int effort) const;
  Interval quotient_interval(const Affine& affine, Term quotient, int effort) const;

  const IndexTable* table_;
  std::vector<Fact> facts_;
};

}  // namespace neuronc::kernel
