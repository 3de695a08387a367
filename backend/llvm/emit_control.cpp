// Function shell, loops and conditions.
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/MDBuilder.h>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {

using llvm::BasicBlock;
using llvm::PHINode;

llvm::Function* emit_kernel(llvm::Module& module, const kernel::Kernel& kernel,
                            std::string_view name, const Isa& isa) {
  return KernelEmitter(module, kernel, isa).emit(name);
}

KernelEmitter::KernelEmitter(llvm::Module& module, const kernel::Kernel& kernel, const Isa& isa)
    : module_(module),
      context_(module.getContext()),
      kernel_(kernel),
      isa_(isa),
      ir_(module.getContext()),
      values_(kernel.values.size()),
      bases_(kernel.buffers.size()),
      scopes_(kernel.buffers.size()),
      not_scopes_(kernel.buffers.size()),
      atoms_(kernel.indices().num_atoms()),
      atom_depths_(kernel.indices().num_atoms()) {}

llvm::Function* KernelEmitter::emit(std::string_view name) {
  llvm::Type* pointer = ir_.getPtrTy();
  llvm::FunctionType* type =
      llvm::FunctionType::get(ir_.getInt32Ty(), {pointer, ir_.getInt64Ty(), ir_.getInt64Ty()},
                              /*isVarArg=*/false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage,
                                     llvm::StringRef(name.data(), name.size()), module_);
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  function_->addFnAttr("no-builtins");
  ir_.SetInsertPoint(BasicBlock::Create(context_, "entry", function_));
  make_alias_scopes();
  emit_prologue();
  emit_tile_loop();
  if (out_of_range_ != nullptr) {
    out_of_range_->insertInto(function_);
    ir_.SetInsertPoint(out_of_range_);
    ir_.CreateRet(ir_.getInt32(kernel::kStatusIndexOutOfRange));
  }
  return function_;
}

// Buffer pointers are read once; locals live in the frame.
void KernelEmitter::emit_prologue() {
  int64_t position = 0;
  for (size_t i = 0; i < kernel_.buffers.size(); ++i) {
    const kernel::Buffer& buffer = kernel_.buffers[i];
    if (buffer.kind == kernel::BufferKind::parameter) {
      llvm::Value* slot = ir_.CreateConstInBoundsGEP1_64(ir_.getPtrTy(), function_->getArg(0),
                                                         static_cast<uint64_t>(position++));
      llvm::LoadInst* pointer = ir_.CreateLoad(ir_.getPtrTy(), slot, buffer.name);
      pointer->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
      bases_[i] = pointer;
    } else {
      const int64_t size = std::max<int64_t>(buffer.span_bytes(), 1);
      llvm::AllocaInst* tile = ir_.CreateAlloca(
          llvm::ArrayType::get(ir_.getInt8Ty(), static_cast<uint64_t>(size)), nullptr, buffer.name);
      tile->setAlignment(llvm::Align(kernel::kLocalAlignmentBytes));
      bases_[i] = tile;
    }
  }
}

void KernelEmitter::emit_tile_loop() {
  llvm::Value* begin = function_->getArg(1);
  llvm::Value* end = function_->getArg(2);
  BasicBlock* entry = ir_.GetInsertBlock();
  BasicBlock* body = BasicBlock::Create(context_, "tile", function_);
  BasicBlock* done = BasicBlock::Create(context_, "done");
  ir_.CreateCondBr(ir_.CreateICmpSLT(begin, end), body, done);
  ir_.SetInsertPoint(body);
  PHINode* t = ir_.CreatePHI(ir_.getInt64Ty(), 2, "t");
  t->addIncoming(begin, entry);
  const kernel::AtomId atom = kernel_.indices().variable_atom(kernel_.tile_variable);
  atoms_[atom.index] = t;
  depth_ = 1;
  atom_depths_[atom.index] = depth_;
  emit_block(kernel_.body);
  llvm::Value* next = ir_.CreateAdd(t, ir_.getInt64(1), "", /*HasNUW=*/true, /*HasNSW=*/true);
  t->addIncoming(next, ir_.GetInsertBlock());
  llvm::BranchInst* latch = ir_.CreateCondBr(ir_.CreateICmpSLT(next, end), body, done);
  latch->setMetadata(llvm::LLVMContext::MD_loop, loop_metadata(1));
  done->insertInto(function_);
  ir_.SetInsertPoint(done);
  ir_.CreateRet(ir_.getInt32(kernel::kStatusOk));
}

void KernelEmitter::emit_block(BlockId block) {
  const size_t mark = scoped_atoms_.size();
  for (OpId op : kernel_.block(block).ops) emit_op(kernel_.op(op));
  while (scoped_atoms_.size() > mark) {
    atoms_[scoped_atoms_.back().index] = nullptr;
    scoped_atoms_.pop_back();
  }
}

void KernelEmitter::emit_op(const Op& op) {
  const ValueType result = op.results.empty() ? ValueType{} : kernel_.type(op.results[0]);
  llvm::Value* value = nullptr;
  switch (op.code) {
    case OpCode::for_:
      return emit_for(op);
    case OpCode::if_:
    case OpCode::if_true:
      return emit_if(op);
    case OpCode::check_index:
      return emit_check_index(op);
    case OpCode::store:
    case OpCode::store_masked:
      return store(op);
    case OpCode::prefetch:
      return prefetch(op);
    case OpCode::matrix_store:
      return matrix_store(op);
    case OpCode::yield: {
      std::vector<llvm::Value*> values;
      for (ValueId v : op.operands) values.push_back(values_[v.index]);
      pending_yields_.push_back(std::move(values));
      return;
    }
    case OpCode::load:
      value = load(op, result);
      break;
    case OpCode::index_value:
      value = index(op.indices[0]);
      break;
    case OpCode::convert:
      value = convert(operand(op, 0), operand_type(op, 0), result.dtype);
      break;
    case OpCode::bitcast:
      value = ir_.CreateBitCast(operand(op, 0), type(result));
      break;
    case OpCode::splat:
    case OpCode::shuffle:
    case OpCode::extract:
    case OpCode::insert:
    case OpCode::concat:
    case OpCode::slice:
      value = shuffle(op);
      break;
    case OpCode::lookup:
      value = lookup(op);
      break;
    case OpCode::reduce_add:
    case OpCode::reduce_mul:
    case OpCode::reduce_min:
    case OpCode::reduce_max:
      value = reduce(op);
      break;
    case OpCode::dot:
      value = dot(op);
      break;
    case OpCode::matrix_zero:
    case OpCode::matrix_load:
    case OpCode::matrix_dot:
      value = matrix(op);
      break;
    default:
      value = arithmetic(op, result);
      break;
  }
  values_[op.results[0].index] = value;
}

std::vector<llvm::Value*> KernelEmitter::yields_of(BlockId block) {
  NEURONC_CHECK(!pending_yields_.empty());
  std::vector<llvm::Value*> values = std::move(pending_yields_.back());
  pending_yields_.pop_back();
  return values;
}

// Loops are rotated: the test stands at the end, and before the first iteration only where the
// bounds do not show that there is one.
void KernelEmitter::emit_for(const Op& op) {
  llvm::Value* lower = index(op.indices[0]);
  llvm::Value* upper = index(op.indices[1]);
  const kernel::Facts facts(kernel_.indices());
  const bool may_be_empty = facts.interval(op.indices[0]).hi >= facts.interval(op.indices[1]).lo;
  BasicBlock* before = ir_.GetInsertBlock();
  BasicBlock* body = BasicBlock::Create(context_, "for", function_);
  BasicBlock* done = BasicBlock::Create(context_, "end");
  if (may_be_empty) {
    ir_.CreateCondBr(ir_.CreateICmpSLT(lower, upper), body, done);
  } else {
    ir_.CreateBr(body);
  }
  ir_.SetInsertPoint(body);
  const kernel::Block& block = kernel_.block(op.blocks[0]);
  PHINode* variable = ir_.CreatePHI(ir_.getInt64Ty(), 2);
  variable->addIncoming(lower, before);
  std::vector<PHINode*> carried;
  for (size_t i = 0; i < block.arguments.size(); ++i) {
    PHINode* phi = ir_.CreatePHI(type(kernel_.type(block.arguments[i])), 2);
    phi->addIncoming(operand(op, i), before);
    values_[block.arguments[i].index] = phi;
    carried.push_back(phi);
  }
  const kernel::AtomId atom = kernel_.indices().variable_atom(op.variable);
  atoms_[atom.index] = variable;
  ++depth_;
  atom_depths_[atom.index] = depth_;
  emit_block(op.blocks[0]);
  --depth_;
  const std::vector<llvm::Value*> next = yields_of(op.blocks[0]);
  llvm::Value* stepped =
      ir_.CreateAdd(variable, ir_.getInt64(static_cast<uint64_t>(op.immediates[0])), "",
                    /*HasNUW=*/false, /*HasNSW=*/true);
  BasicBlock* latch = ir_.GetInsertBlock();
  variable->addIncoming(stepped, latch);
  for (size_t i = 0; i < carried.size(); ++i) carried[i]->addIncoming(next[i], latch);
  llvm::BranchInst* branch = ir_.CreateCondBr(ir_.CreateICmpSLT(stepped, upper), body, done);
  branch->setMetadata(llvm::LLVMContext::MD_loop, loop_metadata(op.immediates[1]));
  done->insertInto(function_);
  ir_.SetInsertPoint(done);
  for (size_t i = 0; i < op.results.size(); ++i) {
    PHINode* phi = ir_.CreatePHI(next[i]->getType(), 2);
    phi->addIncoming(next[i], latch);
    if (may_be_empty) phi->addIncoming(operand(op, i), before);
    values_[op.results[i].index] = phi;
  }
}

llvm::MDNode* KernelEmitter::loop_metadata(int64_t unroll) {
  const auto text = [&](const char* name) {
    return llvm::MDNode::get(context_, {llvm::MDString::get(context_, name)});
  };
  llvm::Metadata* hint = nullptr;
  if (unroll == 0) {
    hint = text("llvm.loop.unroll.full");
  } else if (unroll == 1) {
    hint = text("llvm.loop.unroll.disable");
  } else {
    hint = llvm::MDNode::get(
        context_, {llvm::MDString::get(context_, "llvm.loop.unroll.count"),
                   llvm::ConstantAsMetadata::get(ir_.getInt32(static_cast<uint32_t>(unroll)))});
  }
  llvm::MDNode* node = llvm::MDNode::getDistinct(context_, {nullptr, hint});
  node->replaceOperandWith(0, node);
  return node;
}

llvm::Value* KernelEmitter::guard_condition(const Op& op) {
  if (op.code == OpCode::if_true) return ir_.CreateFreeze(operand(op, 0));
  llvm::Value* all = nullptr;
  const auto also = [&](llvm::Value* test) {
    all = all == nullptr ? test : ir_.CreateAnd(all, test);
  };
  for (const kernel::Guard& guard : op.guards) {
    const kernel::Interval range = kernel_.indices().interval(guard.expr);
    const bool has_lo = range.lo < guard.lo, has_hi = range.hi >= guard.hi;
    llvm::Value* x = index(guard.expr);
    if (has_lo && has_hi && guard.hi < kernel::kIndexLimit && guard.lo > -kernel::kIndexLimit) {
      // One unsigned comparison of the distance from lo.
      llvm::Value* distance = ir_.CreateSub(x, ir_.getInt64(static_cast<uint64_t>(guard.lo)));
      const int64_t width = std::max<int64_t>(guard.hi - guard.lo, 0);
      also(ir_.CreateICmpULT(distance, ir_.getInt64(static_cast<uint64_t>(width))));
      continue;
    }
    if (has_lo) also(ir_.CreateICmpSGE(x, ir_.getInt64(static_cast<uint64_t>(guard.lo))));
    if (has_hi) also(ir_.CreateICmpSLT(x, ir_.getInt64(static_cast<uint64_t>(guard.hi))));
  }
  return all == nullptr ? ir_.getTrue() : all;
}

void KernelEmitter::emit_if(const Op& op) {
  llvm::Value* condition = guard_condition(op);
  const bool has_else = static_cast<bool>(op.blocks[1]);
  BasicBlock* then = BasicBlock::Create(context_, "then", function_);
  BasicBlock* otherwise = has_else ? BasicBlock::Create(context_, "else") : nullptr;
  BasicBlock* done = BasicBlock::Create(context_, "endif");
  ir_.CreateCondBr(condition, then, has_else ? otherwise : done);
  ir_.SetInsertPoint(then);
  emit_block(op.blocks[0]);
  const std::vector<llvm::Value*> first = yields_of(op.blocks[0]);
  BasicBlock* then_end = ir_.GetInsertBlock();
  ir_.CreateBr(done);
  std::vector<llvm::Value*> second;
  BasicBlock* else_end = nullptr;
  if (has_else) {
    otherwise->insertInto(function_);
    ir_.SetInsertPoint(otherwise);
    emit_block(op.blocks[1]);
    second = yields_of(op.blocks[1]);
    else_end = ir_.GetInsertBlock();
    ir_.CreateBr(done);
  }
  done->insertInto(function_);
  ir_.SetInsertPoint(done);
  for (size_t i = 0; i < op.results.size(); ++i) {
    PHINode* phi = ir_.CreatePHI(first[i]->getType(), 2);
    phi->addIncoming(first[i], then_end);
    phi->addIncoming(second[i], else_end);
    values_[op.results[i].index] = phi;
  }
}

void KernelEmitter::emit_check_index(const Op& op) {
  const ValueType from = operand_type(op, 0);
  llvm::Value* x = ir_.CreateFreeze(operand(op, 0));
  // A u64 above the signed range turns negative, which is out of range as well.
  x = is_unsigned_integer(from.dtype) ? ir_.CreateZExt(x, ir_.getInt64Ty())
                                      : ir_.CreateSExt(x, ir_.getInt64Ty());
  if (out_of_range_ == nullptr) out_of_range_ = BasicBlock::Create(context_, "out_of_range");
  BasicBlock* next = BasicBlock::Create(context_, "checked", function_);
  llvm::Value* is_inside =
      ir_.CreateICmpULT(x, ir_.getInt64(static_cast<uint64_t>(op.immediates[0])));
  ir_.CreateCondBr(is_inside, next, out_of_range_,
                   llvm::MDBuilder(context_).createBranchWeights(1u << 20, 1));
  ir_.SetInsertPoint(next);
  values_[op.results[0].index] = x;
}

}  // namespace neuronc::llvm_backend
