// What guards and loop bounds prove about index expressions.
#include <algorithm>
#include <numeric>

#include "ir/base/check.h"
#include "ir/kernel/index.h"

namespace neuronc::kernel {
namespace {

constexpr int kMaxDepth = 6;

// Divides the terms by their common factor and makes the first coefficient positive. Returns the
// signed factor, 0 for no terms.
int64_t normalise(std::vector<Term>& terms) {
  int64_t factor = 0;
  for (const Term& t : terms) factor = std::gcd(factor, t.coefficient);
  if (factor == 0) return 0;
  if (terms[0].coefficient < 0) factor = -factor;
  for (Term& t : terms) t.coefficient /= factor;
  return factor;
}

// The range of y when factor*y lies in `range`.
Interval divide(Interval range, int64_t factor) {
  if (factor < 0) {
    range = range * -1;
    factor = -factor;
  }
  return {range.lo <= -kIndexLimit ? range.lo : -floor_div(-range.lo, factor),
          range.hi >= kIndexLimit ? range.hi : floor_div(range.hi, factor)};
}

// The factor s with which s*part is contained in `terms`; 0 when it is not.
int64_t contained_factor(const std::vector<Term>& terms, const std::vector<Term>& part) {
  int64_t factor = 0;
  size_t i = 0;
  for (const Term& p : part) {
    while (i < terms.size() && terms[i].atom < p.atom) ++i;
    if (i == terms.size() || terms[i].atom != p.atom) return 0;
    if (terms[i].coefficient % p.coefficient != 0) return 0;
    const int64_t f = terms[i].coefficient / p.coefficient;
    if (factor != 0 && f != factor) return 0;
    factor = f;
  }
  return factor;
}

Affine without(const Affine& affine, const std::vector<Term>& part) {
  Affine rest{affine.constant, {}};
  for (const Term& t : affine.terms) {
    const bool is_covered =
        std::any_of(part.begin(), part.end(), [&](const Term& p) { return p.atom == t.atom; });
    if (!is_covered) rest.terms.push_back(t);
  }
  return rest;
}

// affine - c*atom + c*replacement
Affine substitute(const Affine& affine, Term term, const Affine& replacement) {
  std::map<AtomId, int64_t> sum;
  Affine result{affine.constant + term.coefficient * replacement.constant, {}};
  for (const Term& t : affine.terms) {
    if (t.atom != term.atom) sum[t.atom] += t.coefficient;
  }
  for (const Term& t : replacement.terms) sum[t.atom] += term.coefficient * t.coefficient;
  for (const auto& [atom, coefficient] : sum) {
    if (coefficient != 0) result.terms.push_back({atom, coefficient});
  }
  return result;
}

}  // namespace

void Facts::assume(IndexId id, Interval range) {
  const Affine& affine = table_->affine(id);
  std::vector<Term> terms = affine.terms;
  const int64_t factor = normalise(terms);
  if (factor == 0) return;
  const Interval shifted = range + Interval{-affine.constant, -affine.constant};
  facts_.push_back({std::move(terms), divide(shifted, factor)});
}

Interval Facts::interval(IndexId id) const { return interval(table_->affine(id), 0); }
Interval Facts::interval(const Affine& affine) const { return interval(affine, 0); }

Interval Facts::atom_interval(AtomId id, int depth) const {
  const Atom& atom = table_->atom(id);
  Interval range = table_->atom_interval(id);
  for (const Fact& fact : facts_) {
    if (fact.terms.size() == 1 && fact.terms[0].atom == id) range = intersect(range, fact.range);
  }
  if (depth >= kMaxDepth) return range;
  switch (atom.kind) {
    case AtomKind::variable:
    case AtomKind::data:
      break;
    case AtomKind::floor_div: {
      const Interval a = interval(table_->affine(atom.a), depth + 1);
      range =
          intersect(range, {a.lo <= -kIndexLimit ? a.lo : kernel::floor_div(a.lo, atom.constant),
                            a.hi >= kIndexLimit ? a.hi : kernel::floor_div(a.hi, atom.constant)});
      break;
    }
    case AtomKind::mod: {
      const Interval a = interval(table_->affine(atom.a), depth + 1);
      if (a.lo >= 0) range.hi = std::min(range.hi, a.hi);
      if (a.lo > -kIndexLimit && a.hi < kIndexLimit) {
        const int64_t q = kernel::floor_div(a.lo, atom.constant);
        if (q == kernel::floor_div(a.hi, atom.constant)) {
          range = intersect(range, {a.lo - q * atom.constant, a.hi - q * atom.constant});
        }
      }
      break;
    }
    case AtomKind::min:
    case AtomKind::max: {
      const Interval a = interval(table_->affine(atom.a), depth + 1);
      const Interval b = interval(table_->affine(atom.b), depth + 1);
      range = intersect(range, atom.kind == AtomKind::min
                                   ? Interval{std::min(a.lo, b.lo), std::min(a.hi, b.hi)}
                                   : Interval{std::max(a.lo, b.lo), std::max(a.hi, b.hi)});
      break;
    }
  }
  return range;
}

Interval Facts::sum_interval(const Affine& affine, int depth) const {
  Interval range{affine.constant, affine.constant};
  for (const Term& t : affine.terms) {
    range = range + atom_interval(t.atom, depth) * t.coefficient;
  }
  return range;
}

Interval Facts::interval(const Affine& affine, int depth) const {
  Interval range = sum_interval(affine, depth);
  if (affine.terms.empty() || depth >= kMaxDepth) return range;
  for (const Fact& fact : facts_) {
    if (fact.terms.size() < 2 && affine.terms.size() < 2) continue;
    const int64_t factor = contained_factor(affine.terms, fact.terms);
    if (factor == 0) continue;
    // Single-atom facts are part of the sum already.
    if (fact.terms.size() == 1) continue;
    const Affine rest = without(affine, fact.terms);
    range = intersect(range, interval(rest, depth + 1) + fact.range * factor);
  }
  // c*min(a,b) lies below both c*a and c*b for positive c, above both for negative c; max is the
  // other way round. This shows j + min(8, n-j) <= n.
  for (const Term& t : affine.terms) {
    const Atom& atom = table_->atom(t.atom);
    if (atom.kind != AtomKind::min && atom.kind != AtomKind::max) continue;
    const bool is_upper = (atom.kind == AtomKind::min) == (t.coefficient > 0);
    for (IndexId choice : {atom.a, atom.b}) {
      const Interval r = interval(substitute(affine, t, table_->affine(choice)), depth + 2);
      if (is_upper) {
        range.hi = std::min(range.hi, r.hi);
      } else {
        range.lo = std::max(range.lo, r.lo);
      }
    }
  }
  // d*floor_div(x,d) <= x bounds sums such as n - d*floor_div(n,d) and tails of blocked loops.
  for (const Term& t : affine.terms) {
    const Atom& atom = table_->atom(t.atom);
    if (atom.kind != AtomKind::floor_div || t.coefficient % atom.constant != 0) continue;
    const int64_t k = t.coefficient / atom.constant;
    Affine replaced = substitute(affine, t, Affine{0, {}});
    const Affine& operand = table_->affine(atom.a);
    std::map<AtomId, int64_t> sum;
    for (const Term& u : replaced.terms) sum[u.atom] += u.coefficient;
    for (const Term& u : operand.terms) sum[u.atom] += k * u.coefficient;
    replaced.constant += k * operand.constant;
    replaced.terms.clear();
    for (const auto& [a, c] : sum) {
      if (c != 0) replaced.terms.push_back({a, c});
    }
    // x - (d-1) <= d*floor_div(x,d) <= x
    const Interval slack = Interval{-(atom.constant - 1), 0} * k;
    range = intersect(range, interval(replaced, depth + 2) + slack);
  }
  return range;
}

}  // namespace neuronc::kernel
