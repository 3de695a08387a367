// Flattens a kernel into a tape and runs it.
//
// Every value has a place in one register file, every loop variable and checked index a slot of
// the frame; addresses are linear in atoms with the strides multiplied in. Control becomes jumps.
#include "ir/kernel/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "ir/base/check.h"
#include "ir/kernel/interpreter_ops.h"

namespace neuronc::kernel {
namespace interpreter {
namespace {

enum class StepKind : uint8_t {
  lanes,     // a lane function
  constant,  // bytes to a register
  index_value,
  load,
  store,
  loop_begin,  // sets the variable, or jumps to `target` when there is no iteration
  loop_end,    // steps the variable and jumps back to `target`
  branch_unless_guards,
  branch_unless_true,
  jump,
  copy,  // one register to another
  check_index,
};

// constant + sum of coefficient * atom
struct Linear {
  int64_t constant = 0;
  std::vector<Term> terms;
};

struct GuardTest {
  Linear expr;
  int64_t lo;
  int64_t hi;
};

struct Step {
  StepKind kind;
  DType dtype = DType::none;
  bool has_active = false;
  LaneStep lanes;
  LaneFunction function = nullptr;
  uint32_t target = 0;
  uint32_t buffer = 0;
  uint32_t atom = 0;  // of the loop variable or the checked index
  uint32_t mask = 0;  // register of a masked store
  bool has_mask = false;
  int64_t step = 0;  // of a loop; bound of a check
  int64_t lane_step_bytes = 0;
  int64_t num_rows = 1;  // of a matrix
  int64_t row_step_bytes = 0;
  Linear first;   // address in bytes, lower bound, or index
  Linear second;  // active lanes, or upper bound
  std::vector<GuardTest> guards;
  std::vector<std::byte> bytes;
  OpId op;
};

size_t register_bytes(ValueType type) {
  return static_cast<size_t>(type.lanes) * static_cast<size_t>(size_bytes(type.dtype));
}

}  // namespace
}  // namespace interpreter

using interpreter::GuardTest;
using interpreter::Linear;
using interpreter::Step;
using interpreter::StepKind;

struct Interpreter::Tape {
  std::vector<Atom> atoms;          // a copy, so that the tape outlives the kernel
  std::vector<Linear> expressions;  // by IndexId
  std::vector<Step> steps;
  std::vector<uint32_t> register_offsets;  // by ValueId
  std::vector<std::vector<int64_t>> immediates;
  size_t register_file_bytes = 0;
  size_t scratch_offset = 0;
  std::vector<int> parameter_of_buffer;  // -1 for a local
  std::vector<int64_t> local_bytes;
  std::vector<std::string> buffer_names;
  uint32_t tile_atom = 0;
};

namespace interpreter {

// Fills a tape. A template, because the tape's type is private to Interpreter.
template <class Tape>
class Maker {
 public:
  Maker(const Kernel& kernel, Tape& tape) : kernel_(kernel), tape_(tape) {}

  void make() {
    const IndexTable& table = kernel_.indices();
    for (size_t i = 0; i < table.num_atoms(); ++i) tape_.atoms.push_back(table.atom(AtomId(i)));
    for (size_t i = 0; i < table.num_indices(); ++i) {
      const Affine& affine = table.affine(IndexId(i));
      tape_.expressions.push_back({affine.constant, affine.terms});
    }
    size_t offset = 0, widest = 64;
    for (const ValueInfo& value : kernel_.values) {
      tape_.register_offsets.push_back(static_cast<uint32_t>(offset));
      offset += (register_bytes(value.type) + 63) / 64 * 64;
      widest = std::max(widest, register_bytes(value.type));
    }
    size_t most_yields = 1;
    for (const Op& op : kernel_.ops) most_yields = std::max(most_yields, op.operands.size());
    scratch_stride_ = (widest + 63) / 64 * 64;
    tape_.scratch_offset = offset;
    tape_.register_file_bytes = offset + most_yields * scratch_stride_;
    int position = 0;
    for (const Buffer& buffer : kernel_.buffers) {
      const bool is_local = buffer.kind == BufferKind::local;
      tape_.parameter_of_buffer.push_back(is_local ? -1 : position++);
      tape_.local_bytes.push_back(is_local ? buffer.span_bytes() : 0);
      tape_.buffer_names.push_back(buffer.name);
    }
    tape_.tile_atom = table.variable_atom(kernel_.tile_variable).index;
    tape_.immediates.reserve(kernel_.ops.size());
    add_block(kernel_.body);
  }

 private:
  uint32_t reg(ValueId id) const { return tape_.register_offsets[id.index]; }
  Linear linear(IndexId id) const { return tape_.expressions[id.index]; }

  Step& add(StepKind kind, OpId op) {
    tape_.steps.emplace_back();
    tape_.steps.back().kind = kind;
    tape_.steps.back().op = op;
    return tape_.steps.back();
  }

  void add_copy(uint32_t to, uint32_t from, size_t bytes, OpId op) {
    if (to == from) return;
    Step& step = add(StepKind::copy, op);
    step.lanes.result = to;
    step.lanes.operands[0] = from;
    step.lanes.lanes = static_cast<int32_t>(bytes);
  }

  // Copies as if at once: through scratch, since a yield may permute the carried values.
  void add_parallel_copy(const std::vector<ValueId>& to, const std::vector<ValueId>& from,
                         OpId op) {
    for (size_t i = 0; i < to.size(); ++i) {
      add_copy(scratch(i), reg(from[i]), register_bytes(kernel_.type(to[i])), op);
    }
    for (size_t i = 0; i < to.size(); ++i) {
      add_copy(reg(to[i]), scratch(i), register_bytes(kernel_.type(to[i])), op);
    }
  }
  uint32_t scratch(size_t i) const {
    return static_cast<uint32_t>(tape_.scratch_offset + i * scratch_stride_);
  }

  void add_block(BlockId block) {
    for (OpId id : kernel_.block(block).ops) add_op(id);
  }

  const std::vector<ValueId>& yields(BlockId block) const {
    return kernel_.op(kernel_.block(block).ops.back()).operands;
  }

  void add_op(OpId id) {
    const Op& op = kernel_.op(id);
    switch (op.code) {
      case OpCode::yield:
      case OpCode::prefetch:
        return;
      case OpCode::for_:
        return add_for(op, id);
      case OpCode::if_:
      case OpCode::if_true:
        return add_if(op, id);
      case OpCode::load:
      case OpCode::store:
      case OpCode::store_masked:
      case OpCode::matrix_load:
      case OpCode::matrix_store:
        return add_access(op, id);
      case OpCode::constant:
        return add_constant(op, id);
      case OpCode::index_value: {
        Step& step = add(StepKind::index_value, id);
        step.first = linear(op.indices[0]);
        step.lanes.result = reg(op.results[0]);
        return;
      }
      case OpCode::check_index: {
        Step& step = add(StepKind::check_index, id);
        step.dtype = kernel_.type(op.operands[0]).dtype;
        step.lanes.operands[0] = reg(op.operands[0]);
        step.lanes.result = reg(op.results[0]);
        step.step = op.immediates[0];
        step.atom = data_atom(op.results[0]);
        return;
      }
      default:
        return add_lanes(op, id);
    }
  }

  uint32_t data_atom(ValueId value) const {
    for (size_t i = 0; i < tape_.atoms.size(); ++i) {
      if (tape_.atoms[i].kind == AtomKind::data && tape_.atoms[i].value == value) {
        return static_cast<uint32_t>(i);
      }
    }
    return IndexId::kNone;
  }

  void add_lanes(const Op& op, OpId id) {
    Step& step = add(StepKind::lanes, id);
    const ValueType result = kernel_.type(op.results[0]);
    LaneStep& s = step.lanes;
    s.result = reg(op.results[0]);
    s.lanes = result.lanes;
    for (size_t i = 0; i < op.operands.size(); ++i) s.operands[i] = reg(op.operands[i]);
    const ValueType first = op.operands.empty() ? result : kernel_.type(op.operands[0]);
    const ValueType second = op.operands.size() < 2 ? first : kernel_.type(op.operands[1]);
    s.operand_lanes = first.lanes;
    s.select_lanes = first.lanes;
    tape_.immediates.push_back(op.immediates);
    s.immediates = tape_.immediates.back().data();
    s.num_immediates = op.immediates.size();
    step.function = lane_function(op.code, first.dtype, second.dtype, result.dtype);
  }

  void add_constant(const Op& op, OpId id) {
    const ValueType type = kernel_.type(op.results[0]);
    const size_t size = static_cast<size_t>(size_bytes(type.dtype));
    Step& step = add(StepKind::constant, id);
    step.lanes.result = reg(op.results[0]);
    step.bytes.resize(register_bytes(type));
    for (size_t i = 0; i < static_cast<size_t>(type.lanes); ++i) {
      const int64_t bits = op.immediates.size() == 1 ? op.immediates[0] : op.immediates[i];
      const int64_t lane = type.dtype == DType::boolean ? bits & 1 : bits;
      std::memcpy(step.bytes.data() + i * size, &lane, size);
    }
  }

  void add_access(const Op& op, OpId id) {
    const Buffer& buffer = kernel_.buffer(op.buffer);
    const int64_t size = size_bytes(buffer.dtype);
    const bool is_load = op.code == OpCode::load || op.code == OpCode::matrix_load;
    Step& step = add(is_load ? StepKind::load : StepKind::store, id);
    const ValueId value = is_load ? op.results[0] : op.operands[0];
    step.dtype = buffer.dtype;
    step.buffer = op.buffer.index;
    step.lanes.result = reg(value);
    step.lanes.lanes = kernel_.type(value).lanes;
    for (size_t d = 0; d < buffer.extents.size(); ++d) {
      const Linear part = linear(op.indices[d]);
      step.first.constant += part.constant * buffer.strides[d] * size;
      for (const Term& t : part.terms) {
        step.first.terms.push_back({t.atom, t.coefficient * buffer.strides[d] * size});
      }
    }
    step.lane_step_bytes = size;
    if (is_matrix(kernel_.type(value))) {
      step.lanes.lanes /= kMatrixRows;
      step.num_rows = kMatrixRows;
      step.row_step_bytes = buffer.strides[static_cast<size_t>(op.row_dim)] * size;
    }
    if (op.has_active) {
      step.has_active = true;
      step.second = linear(op.indices.back());
    }
    if (op.code == OpCode::store_masked) {
      step.has_mask = true;
      step.mask = reg(op.operands[1]);
    }
  }

  void add_for(const Op& op, OpId id) {
    const std::vector<ValueId>& arguments = kernel_.block(op.blocks[0]).arguments;
    add_parallel_copy(arguments, op.operands, id);
    const uint32_t begin = static_cast<uint32_t>(tape_.steps.size());
    const uint32_t atom = kernel_.indices().variable_atom(op.variable).index;
    {
      Step& step = add(StepKind::loop_begin, id);
      step.atom = atom;
      step.first = linear(op.indices[0]);
      step.second = linear(op.indices[1]);
    }
    add_block(op.blocks[0]);
    add_parallel_copy(arguments, yields(op.blocks[0]), id);
    {
      Step& step = add(StepKind::loop_end, id);
      step.atom = atom;
      step.second = linear(op.indices[1]);
      step.step = op.immediates[0];
      step.target = begin + 1;
    }
    tape_.steps[begin].target = static_cast<uint32_t>(tape_.steps.size());
    add_parallel_copy(op.results, arguments, id);
  }

  void add_if(const Op& op, OpId id) {
    const uint32_t branch = static_cast<uint32_t>(tape_.steps.size());
    if (op.code == OpCode::if_) {
      Step& step = add(StepKind::branch_unless_guards, id);
      for (const Guard& g : op.guards) step.guards.push_back({linear(g.expr), g.lo, g.hi});
    } else {
      add(StepKind::branch_unless_true, id).lanes.operands[0] = reg(op.operands[0]);
    }
    add_block(op.blocks[0]);
    add_parallel_copy(op.results, yields(op.blocks[0]), id);
    if (!op.blocks[1]) {
      tape_.steps[branch].target = static_cast<uint32_t>(tape_.steps.size());
      return;
    }
    const uint32_t jump = static_cast<uint32_t>(tape_.steps.size());
    add(StepKind::jump, id);
    tape_.steps[branch].target = static_cast<uint32_t>(tape_.steps.size());
    add_block(op.blocks[1]);
    add_parallel_copy(op.results, yields(op.blocks[1]), id);
    tape_.steps[jump].target = static_cast<uint32_t>(tape_.steps.size());
  }

  const Kernel& kernel_;
  Tape& tape_;
  size_t scratch_stride_ = 64;
};

// One run over a range of tiles.
template <class Tape>
class Runner {
 public:
  Runner(const Tape& tape, void* const* buffers, std::span<const int64_t> sizes_bytes,
         bool is_checked, StoredNumbers* stored = nullptr)
      : tape_(tape), is_checked_(is_checked), stored_(stored) {
    registers_ =
        static_cast<std::byte*>(::operator new(tape.register_file_bytes, std::align_val_t{64}));
    atoms_.resize(tape.atoms.size());
    for (size_t i = 0; i < tape.parameter_of_buffer.size(); ++i) {
      const int parameter = tape.parameter_of_buffer[i];
      if (parameter >= 0) {
        bases_.push_back(static_cast<std::byte*>(buffers[parameter]));
        sizes_.push_back(is_checked ? sizes_bytes[static_cast<size_t>(parameter)] : 0);
      } else {
        // Contents that nobody wrote should not look like good data.
        locals_.emplace_back(static_cast<size_t>(tape.local_bytes[i]), std::byte{0xa5});
        bases_.push_back(locals_.back().data());
        sizes_.push_back(tape.local_bytes[i]);
      }
    }
  }
  ~Runner() { ::operator delete(registers_, std::align_val_t{64}); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  int32_t run(int64_t tile_begin, int64_t tile_end) {
    for (int64_t t = tile_begin; t < tile_end; ++t) {
      atoms_[tape_.tile_atom] = t;
      const int32_t status = run_tile();
      if (status != kStatusOk || !violation_.empty()) return status;
    }
    return kStatusOk;
  }
  const std::string& violation() const { return violation_; }

 private:
  int64_t evaluate(const Linear& linear) const {
    int64_t sum = linear.constant;
    for (const Term& t : linear.terms) sum += t.coefficient * atom(t.atom);
    return sum;
  }

  int64_t atom(AtomId id) const {
    const Atom& a = tape_.atoms[id.index];
    switch (a.kind) {
      case AtomKind::variable:
      case AtomKind::data:
        return atoms_[id.index];
      case AtomKind::floor_div:
        return kernel::floor_div(evaluate(a.a), a.constant);
      case AtomKind::mod:
        return kernel::floor_mod(evaluate(a.a), a.constant);
      case AtomKind::min:
        return std::min(evaluate(a.a), evaluate(a.b));
      case AtomKind::max:
        return std::max(evaluate(a.a), evaluate(a.b));
    }
    NEURONC_UNREACHABLE("atom kind");
  }
  int64_t evaluate(IndexId id) const { return evaluate(tape_.expressions[id.index]); }

  bool guards_hold(const Step& step) const {
    return std::all_of(step.guards.begin(), step.guards.end(), [&](const GuardTest& g) {
      const int64_t x = evaluate(g.expr);
      return g.lo <= x && x < g.hi;
    });
  }

  bool is_inside(const Step& step, int64_t offset, int64_t lanes) {
    if (!is_checked_ || lanes == 0) return true;
    const int64_t end = offset + lanes * step.lane_step_bytes;
    if (offset >= 0 && end <= sizes_[step.buffer]) return true;
    violation_ =
        fmt::format("bytes [{}, {}) of `{}`, which has {}, are accessed by operation {}", offset,
                    end, tape_.buffer_names[step.buffer], sizes_[step.buffer], step.op.index);
    return false;
  }

  void access(const Step& step) {
    const int64_t offset = evaluate(step.first);
    const int64_t row_bytes = step.lanes.lanes * step.lane_step_bytes;
    for (int64_t row = 0; row < step.num_rows; ++row) {
      access_row(step, offset + row * step.row_step_bytes,
                 registers_ + step.lanes.result + row * row_bytes);
    }
  }

  void access_row(const Step& step, int64_t offset, std::byte* lane) {
    const int64_t lanes = step.has_active
                              ? std::clamp<int64_t>(evaluate(step.second), 0, step.lanes.lanes)
                              : step.lanes.lanes;
    if (!is_inside(step, offset, lanes)) return;
    std::byte* memory = bases_[step.buffer] + offset;
    const size_t size = static_cast<size_t>(step.lane_step_bytes);
    const size_t bytes = static_cast<size_t>(lanes) * size;
    if (step.kind == StepKind::load) {
      std::memcpy(lane, memory, bytes);
      std::memset(lane + bytes, 0, static_cast<size_t>(step.lanes.lanes - lanes) * size);
      if (step.dtype == DType::boolean) {
        for (size_t i = 0; i < bytes; ++i) lane[i] = std::byte{lane[i] != std::byte{0}};
      }
    } else if (step.has_mask) {
      for (int64_t i = 0; i < lanes; ++i) {
        if (registers_[step.mask + i] == std::byte{0}) continue;
        note_stored(step, lane, i, i + 1);
        std::memcpy(memory + i * step.lane_step_bytes, lane + i * step.lane_step_bytes, size);
      }
    } else {
      note_stored(step, lane, 0, lanes);
      std::memcpy(memory, lane, bytes);
    }
  }

  void note_stored(const Step& step, const std::byte* lane, int64_t begin, int64_t end) {
    if (stored_ == nullptr || !is_float(step.dtype) || tape_.parameter_of_buffer[step.buffer] < 0) {
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const double value = load_as_f64(step.dtype, lane, i);
      stored_->has_nan |= std::isnan(value);
      stored_->has_infinity |= std::isinf(value);
    }
  }

  bool check_index(const Step& step) {
    const int64_t x = load_as_i64(step.dtype, registers_ + step.lanes.operands[0], 0);
    if (x < 0 || x >= step.step) return false;
    std::memcpy(registers_ + step.lanes.result, &x, sizeof x);
    if (step.atom != IndexId::kNone) atoms_[step.atom] = x;
    return true;
  }

  int32_t run_tile() {
    const size_t end = tape_.steps.size();
    for (size_t at = 0; at < end; ++at) {
      const Step& step = tape_.steps[at];
      switch (step.kind) {
        case StepKind::lanes:
          step.function(step.lanes, registers_);
          break;
        case StepKind::constant:
          std::memcpy(registers_ + step.lanes.result, step.bytes.data(), step.bytes.size());
          break;
        case StepKind::index_value: {
          const int64_t x = evaluate(step.first);
          std::memcpy(registers_ + step.lanes.result, &x, sizeof x);
          break;
        }
        case StepKind::load:
        case StepKind::store:
          access(step);
          if (!violation_.empty()) return kStatusIndexOutOfRange;
          break;
        case StepKind::loop_begin:
          atoms_[step.atom] = evaluate(step.first);
          if (atoms_[step.atom] >= evaluate(step.second)) at = step.target - 1;
          break;
        case StepKind::loop_end:
          atoms_[step.atom] += step.step;
          if (atoms_[step.atom] < evaluate(step.second)) at = step.target - 1;
          break;
        case StepKind::branch_unless_guards:
          if (!guards_hold(step)) at = step.target - 1;
          break;
        case StepKind::branch_unless_true:
          if (registers_[step.lanes.operands[0]] == std::byte{0}) at = step.target - 1;
          break;
        case StepKind::jump:
          at = step.target - 1;
          break;
        case StepKind::copy:
          std::memcpy(registers_ + step.lanes.result, registers_ + step.lanes.operands[0],
                      static_cast<size_t>(step.lanes.lanes));
          break;
        case StepKind::check_index:
          if (!check_index(step)) return kStatusIndexOutOfRange;
          break;
      }
    }
    return kStatusOk;
  }

  const Tape& tape_;
  bool is_checked_;
  StoredNumbers* stored_;
  std::byte* registers_ = nullptr;
  std::vector<int64_t> atoms_;
  std::vector<std::byte*> bases_;
  std::vector<int64_t> sizes_;
  std::vector<std::vector<std::byte>> locals_;
  std::string violation_;
};

}  // namespace interpreter

Interpreter::Interpreter(const Kernel& kernel) {
  auto tape = std::make_unique<Tape>();
  interpreter::Maker<Tape>(kernel, *tape).make();
  tape_ = std::move(tape);
}
Interpreter::Interpreter(Interpreter&&) noexcept = default;
Interpreter& Interpreter::operator=(Interpreter&&) noexcept = default;
Interpreter::~Interpreter() = default;

int32_t Interpreter::run(void* const* buffers, int64_t tile_begin, int64_t tile_end) const {
  return interpreter::Runner<Tape>(*tape_, buffers, {}, false).run(tile_begin, tile_end);
}

OrRefusal<int32_t> Interpreter::run_checked(void* const* buffers,
                                            std::span<const int64_t> sizes_bytes,
                                            int64_t tile_begin, int64_t tile_end,
                                            StoredNumbers* stored) const {
  interpreter::Runner<Tape> runner(*tape_, buffers, sizes_bytes, true, stored);
  const int32_t status = runner.run(tile_begin, tile_end);
  if (!runner.violation().empty()) return refuse(runner.violation());
  return status;
}

}  // namespace neuronc::kernel
