// What guards and loop bounds prove about index expressions.
#include <algorithm>
#include <numeric>

#include "ir/base/check.h"
#include "ir/kernel/index.h"

namespace neuronc::kernel {
namespace {

constexpr int kEffort = 4;

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

// The range of floor_div(x, d) for x in `range`.
Interval floor_of(Interval range, int64_t d) {
  return {range.lo <= -kIndexLimit ? range.lo : floor_div(range.lo, d),
          range.hi >= kIndexLimit ? range.hi : floor_div(range.hi, d)};
}

int64_t coefficient_of(const std::vector<Term>& terms, AtomId atom) {
  for (const Term& t : terms) {
    if (t.atom == atom) return t.coefficient;
  }
  return 0;
}

// affine with the term's atom replaced
Affine substitute(const Affine& affine, Term term, const Affine& replacement) {
  Affine rest{affine.constant, {}};
  for (const Term& t : affine.terms) {
    if (t.atom != term.atom) rest.terms.push_back(t);
  }
  return add_scaled(rest, replacement, term.coefficient);
}

bool is_inside(Interval range, Interval limits) {
  return range.lo >= limits.lo && range.hi <= limits.hi;
}

}  // namespace

Affine add_scaled(const Affine& a, const Affine& b, int64_t factor) {
  Affine sum{a.constant + factor * b.constant, {}};
  size_t i = 0, j = 0;
  while (i < a.terms.size() || j < b.terms.size()) {
    if (j == b.terms.size() || (i < a.terms.size() && a.terms[i].atom < b.terms[j].atom)) {
      sum.terms.push_back(a.terms[i++]);
    } else if (i == a.terms.size() || b.terms[j].atom < a.terms[i].atom) {
      sum.terms.push_back({b.terms[j].atom, factor * b.terms[j].coefficient});
      ++j;
    } else {
      const int64_t c = a.terms[i].coefficient + factor * b.terms[j].coefficient;
      if (c != 0) sum.terms.push_back({a.terms[i].atom, c});
      ++i, ++j;
    }
  }
  return sum;
}

void Facts::assume(const Affine& affine, Interval range) {
  std::vector<Term> terms = affine.terms;
  const int64_t factor = normalise(terms);
  if (intersect(interval(affine), range).is_empty()) facts_.push_back({{}, {1, 0}});
  if (factor == 0) return;
  const Interval shifted = range + Interval{-affine.constant, -affine.constant};
  facts_.push_back({std::move(terms), divide(shifted, factor)});
}

void Facts::assume_loop(AtomId variable, IndexId lower, IndexId upper, int64_t step) {
  const Affine v{0, {{variable, 1}}};
  const Affine& low = table_->affine(lower);
  const Affine& high = table_->affine(upper);
  const Affine length = add_scaled(high, low, -1);
  Interval range = interval(length, kEffort);
  // The last iteration starts a whole number of steps after the first.
  int64_t last = kIndexLimit;
  if (range.hi < kIndexLimit) last = std::max<int64_t>(floor_div(range.hi - 1, step) * step, 0);
  const Interval low_range = interval(low, kEffort), high_range = interval(high, kEffort);
  assume(v,
         {low_range.lo,
          std::max(low_range.lo, high_range.hi >= kIndexLimit ? kIndexLimit : high_range.hi - 1)});
  assume(add_scaled(v, low, -1), {0, last});
  bool is_whole = length.constant % step == 0;
  for (const Term& t : length.terms) is_whole &= t.coefficient % step == 0;
  assume(add_scaled(high, v, -1), {is_whole ? step : 1, kIndexLimit});
}

bool Facts::is_contradictory() const {
  return std::any_of(facts_.begin(), facts_.end(), [](const Fact& f) { return f.terms.empty(); });
}

bool Facts::proves(const Affine& affine, Interval range) const {
  for (int effort = 0; effort <= kEffort; ++effort) {
    if (is_inside(interval(affine, effort), range)) return true;
  }
  return is_contradictory();
}

Interval Facts::interval(IndexId id) const { return interval(table_->affine(id), kEffort); }
Interval Facts::interval(const Affine& affine) const { return interval(affine, kEffort); }

Interval Facts::atom_interval(AtomId id, int effort) const {
  const Atom& atom = table_->atom(id);
  Interval range = table_->atom_interval(id);
  for (const Fact& fact : facts_) {
    if (fact.terms.size() == 1 && fact.terms[0].atom == id) range = intersect(range, fact.range);
  }
  if (effort <= 0) return range;
  switch (atom.kind) {
    case AtomKind::variable:
    case AtomKind::data:
      break;
    case AtomKind::floor_div: {
      const Interval a = interval(table_->affine(atom.a), effort - 1);
      range = intersect(range, floor_of(a, atom.constant));
      break;
    }
    case AtomKind::mod: {
      const Interval a = interval(table_->affine(atom.a), effort - 1);
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
      const Interval a = interval(table_->affine(atom.a), effort - 1);
      const Interval b = interval(table_->affine(atom.b), effort - 1);
      const bool is_min = atom.kind == AtomKind::min;
      range = intersect(range, is_min ? Interval{std::min(a.lo, b.lo), std::min(a.hi, b.hi)}
                                      : Interval{std::max(a.lo, b.lo), std::max(a.hi, b.hi)});
      // The smaller one is at most half of the sum: min(m, 2n-m) <= n, as in reflections.
      const Interval sum =
          interval(add_scaled(table_->affine(atom.a), table_->affine(atom.b), 1), effort - 1);
      if (is_min && sum.hi < kIndexLimit) {
        range.hi = std::min(range.hi, kernel::floor_div(sum.hi, 2));
      } else if (!is_min && sum.lo > -kIndexLimit) {
        range.lo = std::max(range.lo, -kernel::floor_div(-sum.lo, 2));
      }
      break;
    }
  }
  return range;
}

Interval Facts::sum_interval(const Affine& affine, int effort) const {
  Interval range{affine.constant, affine.constant};
  for (const Term& t : affine.terms) {
    range = range + atom_interval(t.atom, effort) * t.coefficient;
  }
  return range;
}

// The range of an expression one of whose terms is c*floor_div(x,d).
Interval Facts::quotient_interval(const Affine& affine, Term quotient, int effort) const {
  const Atom& atom = table_->atom(quotient.atom);
  const int64_t d = atom.constant, c = quotient.coefficient;
  // c*(floor_div(x,d) + y) + rest: the bracket is floor_div(x + d*y, d), rounded before the rest is
  // added. This keeps 2*floor_div(x,d) + 2*y + z below 2*n + 1 for z < 2, where windows touch.
  Affine dividend{0, {}}, rest{affine.constant, {}};
  for (const Term& t : affine.terms) {
    if (t.atom == quotient.atom) continue;
    if (t.coefficient % c == 0) {
      dividend.terms.push_back({t.atom, t.coefficient / c * d});
    } else {
      rest.terms.push_back(t);
    }
  }
  dividend = add_scaled(dividend, table_->affine(atom.a), 1);
  const Interval bracket = floor_of(interval(dividend, effort - 1), d);
  const Interval range = bracket * c + interval(rest, effort - 1);
  if (rest.terms.empty()) return range;
  // x - (d-1) <= d*floor_div(x,d) <= x, for the least multiple of the whole with such a term: the
  // rest may depend on x.
  const int64_t scale = d / std::gcd(d, c);
  const int64_t k = c * scale / d;
  Affine whole = substitute(affine, quotient, Affine{0, {}});
  whole = add_scaled(Affine{0, {}}, whole, scale);
  whole = add_scaled(whole, table_->affine(atom.a), k);
  const Interval slack = Interval{-(d - 1), 0} * k;
  return intersect(range, divide(interval(whole, effort - 1) + slack, scale));
}

Interval Facts::interval(const Affine& affine, int effort) const {
  Interval range = sum_interval(affine, effort);
  if (affine.terms.empty() || effort <= 0) return range;
  // A fact lets one of its atoms be eliminated: x = (fact - rest of the fact) / coefficient.
  for (const Fact& fact : facts_) {
    if (fact.terms.size() < 2) continue;
    int64_t previous = 0;
    for (const Term& pivot : fact.terms) {
      const int64_t c = coefficient_of(affine.terms, pivot.atom);
      if (c == 0 || c % pivot.coefficient != 0) continue;
      const int64_t factor = c / pivot.coefficient;
      if (factor == previous) continue;
      previous = factor;
      const Affine rest = add_scaled(affine, Affine{0, fact.terms}, -factor);
      range = intersect(range, interval(rest, effort - 1) + fact.range * factor);
    }
  }
  for (const Term& t : affine.terms) {
    const Atom& atom = table_->atom(t.atom);
    if (atom.kind == AtomKind::min || atom.kind == AtomKind::max) {
      // c*min(a,b) lies below both c*a and c*b for positive c, above both for negative c; max is
      // the other way round. This shows j + min(8, n-j) <= n.
      const bool is_upper = (atom.kind == AtomKind::min) == (t.coefficient > 0);
      for (IndexId choice : {atom.a, atom.b}) {
        const Interval r = interval(substitute(affine, t, table_->affine(choice)), effort - 1);
        if (is_upper) {
          range.hi = std::min(range.hi, r.hi);
        } else {
          range.lo = std::max(range.lo, r.lo);
        }
      }
    } else if (atom.kind == AtomKind::floor_div) {
      range = intersect(range, quotient_interval(affine, t, effort));
    }
  }
  return range;
}

}  // namespace neuronc::kernel
