// Interning, simplification and interval arithmetic of index expressions.
#include "ir/kernel/index.h"

#include <algorithm>
#include <numeric>

#include "ir/base/check.h"

namespace neuronc::kernel {
namespace {

int64_t clamp_to_limit(__int128 x) {
  if (x < -kIndexLimit) return -kIndexLimit;
  if (x > kIndexLimit) return kIndexLimit;
  return static_cast<int64_t>(x);
}

int64_t add_ends(int64_t a, int64_t b, int64_t unknown) {
  if (a == unknown || b == unknown) return unknown;
  return clamp_to_limit(static_cast<__int128>(a) + b);
}

uint64_t hash_affine(const Affine& affine) {
  uint64_t h = static_cast<uint64_t>(affine.constant) * 0x9e3779b97f4a7c15ull;
  for (const Term& t : affine.terms) {
    h = (h ^ t.atom.index) * 0xff51afd7ed558ccdull;
    h = (h ^ static_cast<uint64_t>(t.coefficient)) * 0xc4ceb9fe1a85ec53ull;
    h ^= h >> 31;
  }
  return h;
}

}  // namespace

Interval operator+(Interval a, Interval b) {
  return {add_ends(a.lo, b.lo, -kIndexLimit), add_ends(a.hi, b.hi, kIndexLimit)};
}

Interval operator*(Interval a, int64_t factor) {
  if (factor == 0) return {0, 0};
  const int64_t lo = clamp_to_limit(static_cast<__int128>(a.lo) * factor);
  const int64_t hi = clamp_to_limit(static_cast<__int128>(a.hi) * factor);
  return factor > 0 ? Interval{lo, hi} : Interval{hi, lo};
}

Interval intersect(Interval a, Interval b) { return {std::max(a.lo, b.lo), std::min(a.hi, b.hi)}; }

int64_t floor_div(int64_t x, int64_t d) {
  const int64_t q = x / d;
  return (x % d != 0 && (x < 0) != (d < 0)) ? q - 1 : q;
}

int64_t floor_mod(int64_t x, int64_t d) { return x - floor_div(x, d) * d; }

Interval loop_interval(Interval lower, Interval upper, int64_t step) {
  if (lower.is_single() && upper.is_single() && upper.lo > lower.lo) {
    return {lower.lo, lower.lo + floor_div(upper.lo - 1 - lower.lo, step) * step};
  }
  return {lower.lo, std::max(lower.lo, upper.hi >= kIndexLimit ? kIndexLimit : upper.hi - 1)};
}

Index::Index(IndexTable* table, IndexId id) {
  const Affine& affine = table->affine(id);
  if (affine.terms.empty()) {
    payload_ = affine.constant;
  } else {
    table_ = table;
    payload_ = id.index;
  }
}

int64_t Index::constant() const {
  NEURONC_CHECK(is_constant());
  return payload_;
}

IndexId Index::id() const {
  NEURONC_CHECK(!is_constant());
  return IndexId(static_cast<size_t>(payload_));
}

Interval Index::interval() const {
  return is_constant() ? Interval{payload_, payload_} : table_->interval(id());
}

namespace {
IndexTable* common_table(Index a, Index b) {
  NEURONC_CHECK(a.table() == nullptr || b.table() == nullptr || a.table() == b.table());
  return a.table() != nullptr ? a.table() : b.table();
}
}  // namespace

Index operator+(Index a, Index b) {
  IndexTable* table = common_table(a, b);
  if (table == nullptr) return Index(a.payload_ + b.payload_);
  return table->at(table->add(table->intern(a), table->intern(b)));
}

Index operator-(Index a, Index b) { return a + b * Index(-1); }

Index operator*(Index a, Index b) {
  IndexTable* table = common_table(a, b);
  if (table == nullptr) return Index(a.payload_ * b.payload_);
  if (a.is_constant()) std::swap(a, b);
  NEURONC_CHECK(b.is_constant());
  return table->at(table->scale(a.id(), b.constant()));
}

Index floor_div(Index x, int64_t d) {
  NEURONC_CHECK(d > 0);
  if (x.is_constant()) return Index(floor_div(x.constant(), d));
  return x.table()->at(x.table()->floor_div(x.id(), d));
}

Index ceil_div(Index x, int64_t d) { return floor_div(x + (d - 1), d); }

Index mod(Index x, int64_t d) {
  NEURONC_CHECK(d > 0);
  if (x.is_constant()) return Index(floor_mod(x.constant(), d));
  return x.table()->at(x.table()->mod(x.id(), d));
}

Index min(Index a, Index b) {
  IndexTable* table = common_table(a, b);
  if (table == nullptr) return Index(std::min(a.constant(), b.constant()));
  return table->at(table->min(table->intern(a), table->intern(b)));
}

Index max(Index a, Index b) {
  IndexTable* table = common_table(a, b);
  if (table == nullptr) return Index(std::max(a.constant(), b.constant()));
  return table->at(table->max(table->intern(a), table->intern(b)));
}

IndexId IndexTable::intern(Affine affine) {
  const uint64_t h = hash_affine(affine);
  std::vector<IndexId>& bucket = affine_ids_[h];
  for (IndexId id : bucket) {
    const Affine& other = affines_[id.index];
    if (other.constant == affine.constant && other.terms == affine.terms) return id;
  }
  Interval interval{affine.constant, affine.constant};
  for (const Term& t : affine.terms) {
    interval = interval + atom_intervals_[t.atom.index] * t.coefficient;
  }
  const IndexId id(affines_.size());
  affines_.push_back(std::move(affine));
  intervals_.push_back(interval);
  bucket.push_back(id);
  return id;
}

IndexId IndexTable::intern(Index index) {
  if (index.is_constant()) return constant(index.constant());
  NEURONC_CHECK(index.table() == this);
  return index.id();
}

VariableId IndexTable::add_variable(std::string name, Interval interval) {
  const VariableId id(variables_.size());
  variables_.push_back({std::move(name), interval});
  Atom atom{AtomKind::variable};
  atom.variable = id;
  variable_atoms_.push_back(intern_atom(atom));
  return id;
}

Index IndexTable::variable_index(VariableId id) {
  return at(intern(Affine{0, {{variable_atom(id), 1}}}));
}

Index IndexTable::data_index(ValueId checked, int64_t bound) {
  Atom atom{AtomKind::data};
  atom.value = checked;
  atom.constant = bound;
  return at(intern(Affine{0, {{intern_atom(atom), 1}}}));
}

Interval IndexTable::compute_atom_interval(const Atom& atom) const {
  switch (atom.kind) {
    case AtomKind::variable:
      return variables_[atom.variable.index].interval;
    case AtomKind::floor_div: {
      const Interval a = interval(atom.a);
      return {a.lo <= -kIndexLimit ? a.lo : kernel::floor_div(a.lo, atom.constant),
              a.hi >= kIndexLimit ? a.hi : kernel::floor_div(a.hi, atom.constant)};
    }
    case AtomKind::mod: {
      const Interval a = interval(atom.a);
      return {0, a.lo >= 0 ? std::min(a.hi, atom.constant - 1) : atom.constant - 1};
    }
    case AtomKind::min: {
      const Interval a = interval(atom.a), b = interval(atom.b);
      return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
    }
    case AtomKind::max: {
      const Interval a = interval(atom.a), b = interval(atom.b);
      return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
    }
    case AtomKind::data:
      return {0, atom.constant - 1};
  }
  NEURONC_UNREACHABLE("atom kind");
}

AtomId IndexTable::intern_atom(Atom atom) {
  uint32_t a = atom.a.index, b = atom.b.index;
  if (atom.kind == AtomKind::variable) a = atom.variable.index;
  if (atom.kind == AtomKind::data) a = atom.value.index;
  const auto key = std::make_tuple(atom.kind, a, b, atom.constant);
  if (auto it = atom_ids_.find(key); it != atom_ids_.end()) return it->second;
  const AtomId id(atoms_.size());
  atoms_.push_back(atom);
  atom_intervals_.push_back(compute_atom_interval(atom));
  atom_ids_.emplace(key, id);
  return id;
}

// Replaces c*d*floor_div(x,d) + c*mod(x,d) by c*x.
void IndexTable::recombine(Affine& affine) {
  for (size_t i = 0; i < affine.terms.size(); ++i) {
    const Atom m = atoms_[affine.terms[i].atom.index];
    if (m.kind != AtomKind::mod) continue;
    const int64_t c = affine.terms[i].coefficient;
    for (size_t j = 0; j < affine.terms.size(); ++j) {
      const Atom& f = atoms_[affine.terms[j].atom.index];
      if (f.kind != AtomKind::floor_div || f.a != m.a || f.constant != m.constant) continue;
      if (affine.terms[j].coefficient != c * m.constant) continue;
      Affine rest{affine.constant, {}};
      for (size_t k = 0; k < affine.terms.size(); ++k) {
        if (k != i && k != j) rest.terms.push_back(affine.terms[k]);
      }
      affine = this->affine(add(intern(std::move(rest)), scale(m.a, c)));
      return;
    }
  }
}

IndexId IndexTable::add(IndexId a, IndexId b) {
  Affine sum;
  {
    const Affine& x = affine(a);
    const Affine& y = affine(b);
    sum.constant = x.constant + y.constant;
    size_t i = 0, j = 0;
    while (i < x.terms.size() || j < y.terms.size()) {
      if (j == y.terms.size() || (i < x.terms.size() && x.terms[i].atom < y.terms[j].atom)) {
        sum.terms.push_back(x.terms[i++]);
      } else if (i == x.terms.size() || y.terms[j].atom < x.terms[i].atom) {
        sum.terms.push_back(y.terms[j++]);
      } else {
        const int64_t c = x.terms[i].coefficient + y.terms[j].coefficient;
        if (c != 0) sum.terms.push_back({x.terms[i].atom, c});
        ++i, ++j;
      }
    }
  }
  recombine(sum);
  return intern(std::move(sum));
}

IndexId IndexTable::scale(IndexId a, int64_t factor) {
  if (factor == 0) return constant(0);
  Affine result = affine(a);
  result.constant *= factor;
  for (Term& t : result.terms) t.coefficient *= factor;
  return intern(std::move(result));
}

IndexId IndexTable::floor_div(IndexId a, int64_t d) {
  if (d == 1) return a;
  const Affine x = affine(a);
  Affine quotient{kernel::floor_div(x.constant, d), {}};
  Affine rest{kernel::floor_mod(x.constant, d), {}};
  int64_t factor = d;
  for (const Term& t : x.terms) {
    if (t.coefficient % d == 0) {
      quotient.terms.push_back({t.atom, t.coefficient / d});
    } else {
      rest.terms.push_back(t);
      factor = std::gcd(factor, t.coefficient);
    }
  }
  if (factor > 1 && !rest.terms.empty()) {
    for (Term& t : rest.terms) t.coefficient /= factor;
    rest.constant = kernel::floor_div(rest.constant, factor);
    d /= factor;
  }
  const IndexId rest_id = intern(rest);
  const Interval range = interval(rest_id);
  IndexId part;
  if (range.lo > -kIndexLimit && range.hi < kIndexLimit &&
      kernel::floor_div(range.lo, d) == kernel::floor_div(range.hi, d)) {
    part = constant(kernel::floor_div(range.lo, d));
  } else {
    Atom atom{AtomKind::floor_div, rest_id, IndexId(), d};
    // floor_div(floor_div(x, e), d) = floor_div(x, e*d).
    if (rest.constant == 0 && rest.terms.size() == 1 && rest.terms[0].coefficient == 1) {
      const Atom inner = atoms_[rest.terms[0].atom.index];
      if (inner.kind == AtomKind::floor_div) {
        return add(intern(std::move(quotient)), floor_div(inner.a, inner.constant * d));
      }
    }
    part = intern(Affine{0, {{intern_atom(atom), 1}}});
  }
  return add(intern(std::move(quotient)), part);
}

IndexId IndexTable::mod(IndexId a, int64_t d) {
  if (d == 1) return constant(0);
  const Affine x = affine(a);
  Affine rest{kernel::floor_mod(x.constant, d), {}};
  int64_t factor = d;
  for (const Term& t : x.terms) {
    if (t.coefficient % d == 0) continue;
    rest.terms.push_back(t);
    factor = std::gcd(factor, t.coefficient);
  }
  // mod(g*y + r, g*e) = g*mod(y + floor(r/g), e) + r mod g.
  int64_t offset = 0;
  if (rest.terms.empty()) return constant(rest.constant);
  if (factor > 1) {
    for (Term& t : rest.terms) t.coefficient /= factor;
    offset = kernel::floor_mod(rest.constant, factor);
    rest.constant = kernel::floor_div(rest.constant, factor);
    d /= factor;
  }
  const IndexId rest_id = intern(rest);
  const Interval range = interval(rest_id);
  IndexId part;
  if (range.lo > -kIndexLimit && range.hi < kIndexLimit &&
      kernel::floor_div(range.lo, d) == kernel::floor_div(range.hi, d)) {
    part = add(rest_id, constant(-d * kernel::floor_div(range.lo, d)));
  } else {
    const bool is_single =
        rest.constant == 0 && rest.terms.size() == 1 && rest.terms[0].coefficient == 1;
    if (is_single) {
      const Atom inner = atoms_[rest.terms[0].atom.index];
      if (inner.kind == AtomKind::mod && inner.constant % d == 0) {
        return add(scale(mod(inner.a, d), factor), constant(offset));
      }
    }
    part = intern(Affine{0, {{intern_atom({AtomKind::mod, rest_id, IndexId(), d}), 1}}});
  }
  return add(scale(part, factor), constant(offset));
}

IndexId IndexTable::min_or_max(AtomKind kind, IndexId a, IndexId b) {
  const Interval difference = interval(add(a, scale(b, -1)));
  if (difference.hi <= 0) return kind == AtomKind::min ? a : b;
  if (difference.lo >= 0) return kind == AtomKind::min ? b : a;
  if (b < a) std::swap(a, b);
  return intern(Affine{0, {{intern_atom({kind, a, b, 0}), 1}}});
}

IndexId IndexTable::min(IndexId a, IndexId b) { return min_or_max(AtomKind::min, a, b); }
IndexId IndexTable::max(IndexId a, IndexId b) { return min_or_max(AtomKind::max, a, b); }

}  // namespace neuronc::kernel
