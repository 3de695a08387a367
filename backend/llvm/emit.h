// Private to backend/llvm: turns one kernel into one LLVM function. The parts stand by topic in
// emit_control.cpp, emit_memory.cpp, emit_arith.cpp, emit_convert.cpp, emit_lanes.cpp and
// emit_matrix.cpp.
//
// Storage types f16 and bf16 are i16 in LLVM IR, bool is i1 (a byte in memory). Nothing emitted
// here may become a call: what LLVM would turn into one is expanded.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <span>
#include <vector>

#include "backend/llvm/codegen.h"
#include "ir/kernel/kernel.h"

namespace neuronc::llvm_backend {

using kernel::BlockId;
using kernel::BufferId;
using kernel::IndexId;
using kernel::Op;
using kernel::OpCode;
using kernel::OpId;
using kernel::ValueId;
using kernel::ValueType;

// Emits `kernel` as the function `name`.
llvm::Function* emit_kernel(llvm::Module& module, const kernel::Kernel& kernel,
                            std::string_view name, const Isa& isa);

int num_lanes(llvm::Value* v);  // 1 for a scalar

class KernelEmitter {
 public:
  KernelEmitter(llvm::Module& module, const kernel::Kernel& kernel, const Isa& isa);
  llvm::Function* emit(std::string_view name);

 private:
  // Control (emit_control.cpp).
  void emit_prologue();
  void emit_tile_loop();
  void emit_block(BlockId block);
  void emit_op(const Op& op);
  void emit_for(const Op& op);
  void emit_if(const Op& op);
  void emit_check_index(const Op& op);
  llvm::Value* guard_condition(const Op& op);
  std::vector<llvm::Value*> yields_of(BlockId block);
  llvm::MDNode* loop_metadata(int64_t unroll);

  // Memory and index expressions (emit_memory.cpp).
  llvm::Value* index(IndexId id);
  llvm::Value* atom(kernel::AtomId id);
  llvm::Value* make_atom(kernel::AtomId id);
  llvm::Value* floor_divide(llvm::Value* x, int64_t d, kernel::Interval range);
  int atom_depth(kernel::AtomId id) const;
  llvm::Value* address(BufferId buffer, std::span<const IndexId> indices);
  llvm::Value* load(const Op& op, ValueType type);
  void store(const Op& op);
  void prefetch(const Op& op);
  bool goes_by_pieces(const Op& op, ValueType t) const;
  llvm::Value* load_pieces(const Op& op, ValueType t, llvm::Value* pointer, int64_t active);
  void store_pieces(const Op& op, llvm::Value* value, llvm::Value* pointer, int64_t active);
  llvm::Value* active_mask(IndexId active, int lanes);
  llvm::Type* memory_type(kernel::ValueType type);
  llvm::Instruction* mark(llvm::Instruction* access, BufferId buffer);
  llvm::Align alignment(BufferId buffer) const;
  void make_alias_scopes();

  // Arithmetic (emit_arith.cpp).
  llvm::Value* arithmetic(const Op& op, ValueType type);
  llvm::Value* integer_divide(OpCode code, llvm::Value* a, llvm::Value* b, bool is_signed);
  llvm::Value* shift(OpCode code, llvm::Value* a, llvm::Value* b);
  llvm::Value* minmax(OpCode code, llvm::Value* a, llvm::Value* b, DType dtype);
  llvm::Value* compare(OpCode code, llvm::Value* a, llvm::Value* b, DType dtype);
  llvm::Value* fma(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* fma_through_f64(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* fma_f64_in_integers(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* constant(const Op& op, ValueType type);

  // Conversions (emit_convert.cpp).
  llvm::Value* convert(llvm::Value* a, ValueType from, DType to);
  llvm::Value* float_to_narrow_integer(llvm::Value* a, DType to);
  llvm::Value* float_to_integer(llvm::Value* a, ValueType from, DType to);
  llvm::Value* f32_to_bf16(llvm::Value* a);
  llvm::Value* f32_to_bf16_in_integers(llvm::Value* a);
  llvm::Value* are_of_class(llvm::Value* a, int classes);  // vfpclassps of 8 or 16 lanes
  llvm::Value* f32_to_f16(llvm::Value* a);
  llvm::Value* f16_to_f32(llvm::Value* a);
  llvm::Value* f64_to_f32_odd(llvm::Value* a);

  // Lanes (emit_lanes.cpp).
  llvm::Value* shuffle(const Op& op);
  llvm::Value* lookup(const Op& op);
  llvm::Value* padded_to(llvm::Value* a, int lanes);
  llvm::Value* permuted_bytes(llvm::Value* indices, llvm::Value* low, llvm::Value* high);
  llvm::Value* reduce(const Op& op);
  llvm::Value* dot(const Op& op);
  llvm::Value* dot_bf16(llvm::Value* acc, llvm::Value* a, llvm::Value* b);
  llvm::Value* flushed(llvm::Value* x);  // f32 denormals as zeros
  llvm::Value* dot_pairs_i16(llvm::Value* a, llvm::Value* b);
  llvm::Value* dot_quads(llvm::Value* a, llvm::Value* b, bool a_is_signed);
  llvm::Value* every_other(llvm::Value* a, int first, int step);
  llvm::Value* lanes_of(llvm::Value* a, int first, int count);

  // Matrices (emit_matrix.cpp).
  llvm::Value* matrix(const Op& op);
  void matrix_store(const Op& op);
  llvm::Value* row_stride_bytes(const Op& op);

  // Types and constants in the shape of a value.
  llvm::Type* element_type(DType dtype);
  llvm::Type* type(ValueType type);
  llvm::Type* with_element(llvm::Type* shape, llvm::Type* element);
  llvm::Constant* integer(llvm::Type* shape, int64_t value);
  llvm::Constant* real(llvm::Type* shape, double value);
  llvm::Value* operand(const Op& op, size_t i) { return values_[op.operands[i].index]; }
  ValueType operand_type(const Op& op, size_t i) { return kernel_.type(op.operands[i]); }

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const kernel::Kernel& kernel_;
  const Isa& isa_;
  llvm::IRBuilder<> ir_;
  llvm::Function* function_ = nullptr;
  llvm::BasicBlock* out_of_range_ = nullptr;

  std::vector<llvm::Value*> values_;          // by ValueId
  std::vector<llvm::Value*> bases_;           // by BufferId
  std::vector<llvm::MDNode*> scopes_;         // by BufferId: its alias scope, or null
  std::vector<llvm::MDNode*> not_scopes_;     // by BufferId: the scopes it never meets, or null
  std::vector<llvm::Value*> atoms_;           // by AtomId, where one is at hand
  std::vector<int> atom_depths_;              // loop depth of variables and data atoms
  std::vector<kernel::AtomId> scoped_atoms_;  // made in open blocks, to be forgotten at their end
  std::vector<std::vector<llvm::Value*>> pending_yields_;
  int depth_ = 0;
};

}  // namespace neuronc::llvm_backend
