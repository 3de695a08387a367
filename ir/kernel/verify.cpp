// Structure and types of kernels; bounds through Facts (facts.cpp).
#include "ir/kernel/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/kernel/text.h"
#include "ir/kernel/type_rules.h"

namespace neuronc::kernel {
namespace {

constexpr int64_t kMaxSpanBytes = int64_t{1} << 47;
constexpr int64_t kMaxUnroll = 64;
constexpr int64_t kMaxFullUnroll = 1024;

class Verifier {
 public:
  Verifier(const Kernel& kernel, size_t max_errors)
      : kernel_(kernel),
        max_errors_(max_errors),
        facts_(kernel.indices()),
        is_value_in_scope_(kernel.values.size()),
        is_atom_in_scope_(kernel.indices().num_atoms()),
        is_op_seen_(kernel.ops.size()),
        is_block_seen_(kernel.blocks.size()) {}

  std::vector<std::string> run() {
    if (!check_ids()) return std::move(errors_);
    check_buffers();
    const AtomId tile = kernel_.indices().variable_atom(kernel_.tile_variable);
    is_atom_in_scope_[tile.index] = true;
    facts_.assume(Affine{0, {{tile, 1}}}, {0, std::max<int64_t>(kernel_.num_tiles - 1, 0)});
    check_block(kernel_.body, {}, /*has_yield=*/false);
    return std::move(errors_);
  }

 private:
  void error(std::string text) {
    if (errors_.size() < max_errors_) errors_.push_back(std::move(text));
  }
  void error(OpId op, std::string_view text) {
    if (errors_.size() < max_errors_) {
      errors_.push_back(fmt::format("{}\n  in `{}`", text, print_op(kernel_, op)));
    }
  }

  // K1: after this no id is out of range.
  bool check_ids() {
    const IndexTable& table = kernel_.indices();
    const auto is_value = [&](ValueId v) { return v.index < kernel_.values.size(); };
    const auto is_index = [&](IndexId i) { return i.index < table.num_indices(); };
    bool is_good = kernel_.body.index < kernel_.blocks.size() && kernel_.num_tiles >= 0 &&
                   kernel_.tile_variable.index < table.num_variables();
    for (const ValueInfo& value : kernel_.values) {
      is_good &= is_kernel_dtype(value.type.dtype) && value.type.lanes >= 1 &&
                 (value.type.lanes <= kMaxLanes || is_matrix(value.type));
    }
    for (const Block& block : kernel_.blocks) {
      is_good &= std::all_of(block.arguments.begin(), block.arguments.end(), is_value);
      for (OpId op : block.ops) is_good &= op.index < kernel_.ops.size();
    }
    for (const Op& op : kernel_.ops) {
      is_good &= std::all_of(op.operands.begin(), op.operands.end(), is_value);
      is_good &= std::all_of(op.results.begin(), op.results.end(), is_value);
      is_good &= std::all_of(op.indices.begin(), op.indices.end(), is_index);
      for (const Guard& g : op.guards) is_good &= is_index(g.expr);
      for (BlockId b : op.blocks) is_good &= !b || b.index < kernel_.blocks.size();
      const bool has_memory = op.code >= OpCode::load && op.code <= OpCode::matrix_store;
      is_good &= !has_memory || op.buffer.index < kernel_.buffers.size();
      if (op.code == OpCode::for_) {
        is_good &= op.variable.index < table.num_variables() && op.indices.size() == 2 &&
                   op.immediates.size() == 2 && static_cast<bool>(op.blocks[0]);
      }
      if (op.code == OpCode::if_ || op.code == OpCode::if_true) {
        is_good &= static_cast<bool>(op.blocks[0]);
      }
    }
    if (!is_good) error("K1: an id names no entity, or a type is not one of kernel IR");
    return is_good;
  }

  void check_buffers() {
    int64_t local_bytes = 0;
    for (const Buffer& b : kernel_.buffers) {
      bool is_good = b.strides.size() == b.extents.size() && is_kernel_dtype(b.dtype);
      __int128 last = 0;
      int64_t dense = 1;
      for (size_t d = b.extents.size(); is_good && d-- > 0;) {
        is_good &= b.extents[d] >= 0 && b.strides[d] >= 0;
        is_good &= b.kind == BufferKind::parameter || b.strides[d] == dense;
        dense *= std::max<int64_t>(std::min(b.extents[d], kMaxSpanBytes), 1);
        last += static_cast<__int128>(std::max<int64_t>(b.extents[d], 1) - 1) * b.strides[d];
        is_good &= dense <= kMaxSpanBytes && last * 8 < kMaxSpanBytes;
      }
      if (!is_good) {
        error(fmt::format("K10: buffer `{}` has bad extents or strides", b.name));
        continue;
      }
      if (b.kind == BufferKind::local) {
        local_bytes += (b.span_bytes() + kLocalAlignmentBytes - 1) / kLocalAlignmentBytes *
                       kLocalAlignmentBytes;
      }
    }
    if (local_bytes > kMaxLocalBytes) {
      error(fmt::format("K10: local tiles take {} bytes; {} are allowed", local_bytes,
                        kMaxLocalBytes));
    }
  }

  void check_block(BlockId id, const std::vector<ValueId>& yields, bool has_yield) {
    if (is_block_seen_[id.index]) return error("K1: a block is used twice");
    is_block_seen_[id.index] = true;
    const Block& block = kernel_.block(id);
    const size_t mark = scope_.size();
    const size_t atom_mark = atom_scope_.size();
    for (ValueId v : block.arguments) define(v);
    for (size_t i = 0; i < block.ops.size(); ++i) {
      const OpId op = block.ops[i];
      if (is_op_seen_[op.index]) {
        error(op, "K1: an operation stands in two places");
        continue;
      }
      is_op_seen_[op.index] = true;
      const bool is_last = i + 1 == block.ops.size();
      if ((kernel_.op(op).code == OpCode::yield) != (is_last && has_yield)) {
        error(op, "K3: yield ends the blocks of loops and conditions, and stands nowhere else");
      }
      check_op(op, yields);
    }
    if (has_yield && block.ops.empty()) error("K3: a block has no yield");
    while (scope_.size() > mark) {
      is_value_in_scope_[scope_.back().index] = false;
      scope_.pop_back();
    }
    while (atom_scope_.size() > atom_mark) {
      is_atom_in_scope_[atom_scope_.back().index] = false;
      atom_scope_.pop_back();
    }
  }

  void define(ValueId v) {
    is_value_in_scope_[v.index] = true;
    scope_.push_back(v);
  }

  void check_op(OpId id, const std::vector<ValueId>& yields) {
    const Op& op = kernel_.op(id);
    for (ValueId v : op.operands) {
      if (!is_value_in_scope_[v.index]) error(id, "K2: an operand is not defined here");
    }
    if (std::string problem = type_problem(kernel_, op); !problem.empty()) {
      return error(id, "K4: " + problem);
    }
    switch (op.code) {
      case OpCode::load:
      case OpCode::store:
      case OpCode::store_masked:
      case OpCode::prefetch:
      case OpCode::matrix_load:
      case OpCode::matrix_store:
        check_access(id);
        break;
      case OpCode::for_:
        check_for(id);
        break;
      case OpCode::if_:
      case OpCode::if_true:
        check_if(id);
        break;
      case OpCode::index_value:
        check_index_expression(id, op.indices[0]);
        break;
      case OpCode::yield:
        if (!same_types(op.operands, yields))
          error(id, "K3: yielded types differ from the results");
        break;
      default:
        break;
    }
    for (ValueId v : op.results) define(v);
    if (op.code == OpCode::check_index) define_data_atoms(op.results[0]);
  }

  bool same_types(const std::vector<ValueId>& a, const std::vector<ValueId>& b) const {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](ValueId x, ValueId y) { return kernel_.type(x) == kernel_.type(y); });
  }

  void define_data_atoms(ValueId v) {
    const IndexTable& table = kernel_.indices();
    const int64_t bound = kernel_.op(kernel_.values[v.index].def).immediates[0];
    for (size_t i = 0; i < table.num_atoms(); ++i) {
      const Atom& a = table.atom(AtomId(i));
      if (a.kind == AtomKind::data && a.value == v && a.constant >= bound) {
        is_atom_in_scope_[i] = true;
        atom_scope_.push_back(AtomId(i));
      }
    }
  }

  // K6
  bool atoms_in_scope(const Affine& affine) const {
    const IndexTable& table = kernel_.indices();
    return std::all_of(affine.terms.begin(), affine.terms.end(), [&](const Term& t) {
      const Atom& a = table.atom(t.atom);
      switch (a.kind) {
        case AtomKind::variable:
        case AtomKind::data:
          return static_cast<bool>(is_atom_in_scope_[t.atom.index]);
        case AtomKind::floor_div:
        case AtomKind::mod:
          return a.constant > 0 && atoms_in_scope(table.affine(a.a));
        default:
          return atoms_in_scope(table.affine(a.a)) && atoms_in_scope(table.affine(a.b));
      }
    });
  }

  bool check_index_expression(OpId op, IndexId id) {
    const Affine& affine = kernel_.indices().affine(id);
    if (!atoms_in_scope(affine)) {
      error(op,
            fmt::format("K6: index `{}` uses a variable that is not in scope", print(kernel_, id)));
      return false;
    }
    const Interval limits{-kIndexLimit + 1, kIndexLimit - 1};
    if (!facts_.proves(affine, limits)) {
      error(op, fmt::format("K6: index `{}` may exceed 2^62", print(kernel_, id)));
      return false;
    }
    return true;
  }

  void check_access(OpId id) {
    const Op& op = kernel_.op(id);
    const Buffer& buffer = kernel_.buffer(op.buffer);
    const size_t rank = buffer.extents.size();
    if (op.indices.size() != rank + (op.has_active ? 1 : 0)) {
      return error(id, "K4: one index per dim is needed");
    }
    for (IndexId index : op.indices) {
      if (!check_index_expression(id, index)) return;
    }
    if (op.code == OpCode::prefetch) return;
    const bool is_load = op.code == OpCode::load || op.code == OpCode::matrix_load;
    if (buffer.access == (is_load ? Access::write : Access::read)) {
      error(id, is_load ? "K9: a write buffer is read" : "K9: a read buffer is written");
    }
    const ValueType type = kernel_.type(is_load ? op.results[0] : op.operands[0]);
    const bool has_rows = is_matrix(type);
    const int lanes = has_rows ? type.lanes / kMatrixRows : type.lanes;
    if (has_rows &&
        (op.row_dim < 0 || static_cast<size_t>(op.row_dim) >= rank || op.row_dim == op.lane_dim)) {
      return error(id, "K8: rows need a dim of their own");
    }
    if (lanes > 1 && (op.lane_dim < 0 || static_cast<size_t>(op.lane_dim) >= rank ||
                      buffer.strides[static_cast<size_t>(op.lane_dim)] != 1)) {
      return error(id, "K8: lanes need a dim of stride 1");
    }
    for (size_t d = 0; d < rank; ++d) {
      const bool is_row_dim = has_rows && static_cast<int>(d) == op.row_dim;
      check_bounds(id, d,
                   is_row_dim                           ? kMatrixRows
                   : static_cast<int>(d) == op.lane_dim ? lanes
                                                        : 1);
    }
  }

  // K7
  void check_bounds(OpId id, size_t dim, int lanes) {
    const Op& op = kernel_.op(id);
    const Affine& first = kernel_.indices().affine(op.indices[dim]);
    const int64_t extent = kernel_.buffer(op.buffer).extents[dim];
    bool is_inside = false;
    if (op.has_active && static_cast<int>(dim) == op.lane_dim) {
      const Affine& active = kernel_.indices().affine(op.indices.back());
      if (!facts_.proves(active, {0, lanes})) {
        return error(id, fmt::format("K7: active lanes `{}` may leave [0, {}]",
                                     print(kernel_, op.indices.back()), lanes));
      }
      is_inside = facts_.proves(first, {0, kIndexLimit - 1}) &&
                  facts_.proves(add_scaled(first, active, 1), {-kIndexLimit, extent});
    } else {
      is_inside = facts_.proves(first, {0, kIndexLimit - 1}) &&
                  facts_.proves(first, {-kIndexLimit, extent - lanes});
    }
    if (is_inside) return;
    const Interval range = facts_.interval(first);
    error(id,
          fmt::format("K7: index `{}` is in [{}, {}] with {} lanes; dim {} of `{}` has extent {}",
                      print(kernel_, op.indices[dim]), range.lo, range.hi, lanes, dim,
                      kernel_.buffer(op.buffer).name, extent));
  }

  void check_for(OpId id) {
    const Op& op = kernel_.op(id);
    if (!check_index_expression(id, op.indices[0]) || !check_index_expression(id, op.indices[1])) {
      return;
    }
    const int64_t step = op.immediates[0], unroll = op.immediates[1];
    if (step <= 0 || step > (int64_t{1} << 40)) return error(id, "K11: the step is not positive");
    if (unroll < 0 || unroll > kMaxUnroll) error(id, "K11: unroll factors are 0 to 64");
    if (unroll == 0) {
      const Affine length = add_scaled(kernel_.indices().affine(op.indices[1]),
                                       kernel_.indices().affine(op.indices[0]), -1);
      if (!length.terms.empty() || length.constant > kMaxFullUnroll * step) {
        error(id, "K11: full unrolling needs constant bounds and at most 1024 iterations");
      }
    }
    const Block& body = kernel_.block(op.blocks[0]);
    if (!same_types(op.operands, body.arguments) || !same_types(op.operands, op.results)) {
      return error(id, "K3: carried values differ in type");
    }
    const AtomId variable = kernel_.indices().variable_atom(op.variable);
    if (is_atom_in_scope_[variable.index]) return error(id, "K6: a loop variable is used twice");
    const size_t mark = facts_.mark();
    facts_.assume_loop(variable, op.indices[0], op.indices[1], step);
    is_atom_in_scope_[variable.index] = true;
    check_block(op.blocks[0], op.results, /*has_yield=*/true);
    is_atom_in_scope_[variable.index] = false;
    facts_.release(mark);
  }

  void check_if(OpId id) {
    const Op& op = kernel_.op(id);
    const size_t mark = facts_.mark();
    for (const Guard& g : op.guards) {
      if (!check_index_expression(id, g.expr)) return;
      facts_.assume(g.expr, {g.lo, g.hi >= kIndexLimit ? kIndexLimit : g.hi - 1});
    }
    check_block(op.blocks[0], op.results, /*has_yield=*/true);
    facts_.release(mark);
    if (op.blocks[1]) {
      // The negation of one guard with one end is a fact as well.
      if (op.guards.size() == 1) assume_negation(op.guards[0]);
      check_block(op.blocks[1], op.results, /*has_yield=*/true);
      facts_.release(mark);
    } else if (!op.results.empty()) {
      error(id, "K3: a condition with results needs both blocks");
    }
  }

  void assume_negation(const Guard& g) {
    const Interval range = facts_.interval(g.expr);
    if (range.lo >= g.lo) {
      facts_.assume(g.expr, {g.hi, kIndexLimit});
    } else if (range.hi < g.hi) {
      facts_.assume(g.expr, {-kIndexLimit, g.lo - 1});
    }
  }

  const Kernel& kernel_;
  size_t max_errors_;
  std::vector<std::string> errors_;
  Facts facts_;
  std::vector<bool> is_value_in_scope_;
  std::vector<bool> is_atom_in_scope_;
  std::vector<bool> is_op_seen_;
  std::vector<bool> is_block_seen_;
  std::vector<ValueId> scope_;
  std::vector<AtomId> atom_scope_;
};

}  // namespace

std::vector<std::string> verify(const Kernel& kernel, size_t max_errors) {
  return Verifier(kernel, max_errors).run();
}

}  // namespace neuronc::kernel
