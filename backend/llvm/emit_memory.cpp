// Index expressions, addresses, loads and stores.
#include <llvm/IR/Intrinsics.h>

#include <bit>
#include <map>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {

using kernel::Atom;
using kernel::AtomId;
using kernel::AtomKind;

// The verifier has shown that no index overflows, hence nsw everywhere here.
llvm::Value* KernelEmitter::index(IndexId id) {
  const kernel::Affine& affine = kernel_.indices().affine(id);
  llvm::Value* sum = nullptr;
  for (const kernel::Term& term : affine.terms) {
    llvm::Value* x = atom(term.atom);
    if (term.coefficient != 1) {
      x = ir_.CreateNSWMul(x, ir_.getInt64(static_cast<uint64_t>(term.coefficient)));
    }
    sum = sum == nullptr ? x : ir_.CreateNSWAdd(sum, x);
  }
  llvm::Value* constant = ir_.getInt64(static_cast<uint64_t>(affine.constant));
  if (sum == nullptr) return constant;
  return affine.constant == 0 ? sum : ir_.CreateNSWAdd(sum, constant);
}

llvm::Value* KernelEmitter::atom(AtomId id) {
  if (atoms_[id.index] == nullptr) {
    llvm::Value* made = make_atom(id);
    atoms_[id.index] = made;
    scoped_atoms_.push_back(id);
  }
  return atoms_[id.index];
}

llvm::Value* KernelEmitter::floor_divide(llvm::Value* x, int64_t d, kernel::Interval range) {
  llvm::Value* divisor = ir_.getInt64(static_cast<uint64_t>(d));
  if (std::has_single_bit(static_cast<uint64_t>(d))) {
    return ir_.CreateAShr(x, static_cast<uint64_t>(std::countr_zero(static_cast<uint64_t>(d))));
  }
  if (range.lo >= 0) return ir_.CreateUDiv(x, divisor);
  // floor(x/d) for negative x is -1 - trunc((-1-x)/d), and -1-x is ~x.
  llvm::Value* sign = ir_.CreateAShr(x, 63);
  return ir_.CreateXor(ir_.CreateUDiv(ir_.CreateXor(x, sign), divisor), sign);
}

llvm::Value* KernelEmitter::make_atom(AtomId id) {
  const Atom a = kernel_.indices().atom(id);
  switch (a.kind) {
    case AtomKind::variable:
      NEURONC_UNREACHABLE("loop variable out of scope");
    case AtomKind::data:
      return values_[a.value.index];
    case AtomKind::floor_div:
      return floor_divide(index(a.a), a.constant, kernel_.indices().interval(a.a));
    case AtomKind::mod: {
      llvm::Value* x = index(a.a);
      llvm::Value* d = ir_.getInt64(static_cast<uint64_t>(a.constant));
      if (std::has_single_bit(static_cast<uint64_t>(a.constant))) {
        return ir_.CreateAnd(x, ir_.getInt64(static_cast<uint64_t>(a.constant - 1)));
      }
      const kernel::Interval range = kernel_.indices().interval(a.a);
      if (range.lo >= 0) return ir_.CreateURem(x, d);
      return ir_.CreateNSWSub(x, ir_.CreateNSWMul(floor_divide(x, a.constant, range), d));
    }
    case AtomKind::min:
      return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, index(a.a), index(a.b));
    case AtomKind::max:
      return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, index(a.a), index(a.b));
  }
  NEURONC_UNREACHABLE("atom kind");
}

int KernelEmitter::atom_depth(AtomId id) const {
  const Atom& a = kernel_.indices().atom(id);
  if (a.kind == AtomKind::variable) return atom_depths_[id.index];
  if (a.kind == AtomKind::data) return 1000;
  int depth = 0;
  for (IndexId operand : {a.a, a.b}) {
    if (!operand) continue;
    for (const kernel::Term& term : kernel_.indices().affine(operand).terms) {
      depth = std::max(depth, atom_depth(term.atom));
    }
  }
  return depth;
}

// One step per term, outermost loop first and the constant last: prefixes are invariant in inner
// loops and shared by neighbouring accesses, the constant becomes a displacement.
llvm::Value* KernelEmitter::address(BufferId buffer_id, std::span<const IndexId> indices) {
  const kernel::Buffer& buffer = kernel_.buffer(buffer_id);
  const int64_t element_bytes = size_bytes(buffer.dtype);
  int64_t constant = 0;
  std::map<AtomId, int64_t> coefficients;
  for (size_t d = 0; d < buffer.extents.size(); ++d) {
    const kernel::Affine& affine = kernel_.indices().affine(indices[d]);
    const int64_t stride = buffer.strides[d] * element_bytes;
    constant += affine.constant * stride;
    for (const kernel::Term& term : affine.terms) {
      coefficients[term.atom] += term.coefficient * stride;
    }
  }
  std::map<std::pair<int, AtomId>, int64_t> ordered;
  for (const auto& [atom_id, coefficient] : coefficients) {
    if (coefficient != 0) ordered[{atom_depth(atom_id), atom_id}] = coefficient;
  }
  llvm::Value* pointer = bases_[buffer_id.index];
  for (const auto& [key, coefficient] : ordered) {
    llvm::Value* offset = atom(key.second);
    if (coefficient != 1) {
      offset = ir_.CreateNSWMul(offset, ir_.getInt64(static_cast<uint64_t>(coefficient)));
    }
    pointer = ir_.CreateGEP(ir_.getInt8Ty(), pointer, offset);
  }
  if (constant != 0) {
    pointer =
        ir_.CreateGEP(ir_.getInt8Ty(), pointer, ir_.getInt64(static_cast<uint64_t>(constant)));
  }
  return pointer;
}

// Nothing is assumed of a caller's pointer; x86 has no faster form for more.
llvm::Align KernelEmitter::alignment(BufferId id) const {
  const kernel::Buffer& buffer = kernel_.buffer(id);
  if (buffer.kind == kernel::BufferKind::local) {
    return llvm::Align(static_cast<uint64_t>(size_bytes(buffer.dtype)));
  }
  return llvm::Align(1);
}

void KernelEmitter::make_alias_scopes() {
  llvm::MDNode* domain = llvm::MDNode::getDistinct(context_, {nullptr});
  domain->replaceOperandWith(0, domain);
  std::vector<llvm::Metadata*> scopes(kernel_.buffers.size());
  for (size_t i = 0; i < kernel_.buffers.size(); ++i) {
    if (!kernel_.buffers[i].is_noalias) continue;
    llvm::MDNode* scope = llvm::MDNode::getDistinct(context_, {nullptr, domain});
    scope->replaceOperandWith(0, scope);
    scopes[i] = scope;
    scopes_[i] = llvm::MDNode::get(context_, {scope});
  }
  for (size_t i = 0; i < kernel_.buffers.size(); ++i) {
    std::vector<llvm::Metadata*> others;
    for (size_t j = 0; j < scopes.size(); ++j) {
      if (j != i && scopes[j] != nullptr) others.push_back(scopes[j]);
    }
    if (!others.empty()) not_scopes_[i] = llvm::MDNode::get(context_, others);
  }
}

llvm::Instruction* KernelEmitter::mark(llvm::Instruction* access, BufferId buffer) {
  if (scopes_[buffer.index] != nullptr) {
    access->setMetadata(llvm::LLVMContext::MD_alias_scope, scopes_[buffer.index]);
  }
  if (not_scopes_[buffer.index] != nullptr) {
    access->setMetadata(llvm::LLVMContext::MD_noalias, not_scopes_[buffer.index]);
  }
  const kernel::Buffer& b = kernel_.buffer(buffer);
  if (llvm::isa<llvm::LoadInst>(access) && b.access == kernel::Access::read && b.is_noalias) {
    access->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
  }
  return access;
}

llvm::Type* KernelEmitter::memory_type(ValueType t) {
  if (t.dtype == DType::boolean) return type({DType::u8, t.lanes});
  return type(t);
}

llvm::Value* KernelEmitter::active_mask(IndexId active, int lanes) {
  const kernel::Affine& affine = kernel_.indices().affine(active);
  std::vector<llvm::Constant*> numbers;
  const bool is_constant = affine.terms.empty();
  for (int i = 0; i < lanes; ++i) {
    numbers.push_back(is_constant ? static_cast<llvm::Constant*>(ir_.getInt1(i < affine.constant))
                                  : ir_.getInt32(static_cast<uint32_t>(i)));
  }
  if (is_constant) return llvm::ConstantVector::get(numbers);
  llvm::Value* count = ir_.CreateTrunc(index(active), ir_.getInt32Ty());
  return ir_.CreateICmpSLT(llvm::ConstantVector::get(numbers),
                           ir_.CreateVectorSplat(static_cast<unsigned>(lanes), count));
}

// Before AVX-512 there are masked instructions for 32- and 64-bit lanes alone, and none before AVX;
// LLVM makes a branch per lane of the others. A constant count is better taken apart.
bool KernelEmitter::goes_by_pieces(const Op& op, ValueType t) const {
  if (!op.has_active || t.lanes == 1 || isa_.has_avx512) return false;
  if (!kernel_.indices().affine(op.indices.back()).terms.empty()) return false;
  return isa_.vector_bytes < 32 || size_bytes(t.dtype) < 4;
}

// The active lanes as loads of 64, 32, 16... lanes, put together over zeros.
llvm::Value* KernelEmitter::load_pieces(const Op& op, ValueType t, llvm::Value* pointer,
                                        int64_t active) {
  const int64_t size = size_bytes(t.dtype);
  llvm::Value* result = llvm::Constant::getNullValue(memory_type(t));
  int64_t first = 0;
  for (int count = kernel::kMaxLanes; count >= 1; count /= 2) {
    if (active - first < count) continue;
    llvm::Value* at =
        ir_.CreateConstGEP1_64(ir_.getInt8Ty(), pointer, static_cast<uint64_t>(first * size));
    llvm::Instruction* piece =
        ir_.CreateAlignedLoad(memory_type({t.dtype, count}), at, alignment(op.buffer));
    mark(piece, op.buffer);
    if (count == 1) {
      result = ir_.CreateInsertElement(result, piece, static_cast<uint64_t>(first));
    } else {
      std::vector<int> widen, choose;
      for (int i = 0; i < t.lanes; ++i) {
        widen.push_back(i < count ? i : -1);
        const bool is_new = i >= first && i < first + count;
        choose.push_back(is_new ? t.lanes + i - static_cast<int>(first) : i);
      }
      result = ir_.CreateShuffleVector(result, ir_.CreateShuffleVector(piece, widen), choose);
    }
    first += count;
  }
  return result;
}

void KernelEmitter::store_pieces(const Op& op, llvm::Value* value, llvm::Value* pointer,
                                 int64_t active) {
  const int64_t size = size_bytes(operand_type(op, 0).dtype);
  int64_t first = 0;
  for (int count = kernel::kMaxLanes; count >= 1; count /= 2) {
    if (active - first < count) continue;
    llvm::Value* at =
        ir_.CreateConstGEP1_64(ir_.getInt8Ty(), pointer, static_cast<uint64_t>(first * size));
    llvm::Value* piece = lanes_of(value, static_cast<int>(first), count);
    mark(ir_.CreateAlignedStore(piece, at, alignment(op.buffer)), op.buffer);
    first += count;
  }
}

llvm::Value* KernelEmitter::load(const Op& op, ValueType result) {
  const std::span<const IndexId> indices(op.indices);
  const size_t rank = kernel_.buffer(op.buffer).extents.size();
  llvm::Value* pointer = address(op.buffer, indices.first(rank));
  llvm::Type* in_memory = memory_type(result);
  llvm::Instruction* loaded = nullptr;
  llvm::Value* value = nullptr;
  if (goes_by_pieces(op, result)) {
    value = load_pieces(op, result, pointer, kernel_.indices().affine(indices[rank]).constant);
  } else if (op.has_active && result.lanes == 1) {
    // A branch-free form of "load if active" does not exist for one lane; use a vector of one.
    llvm::Type* vector = llvm::FixedVectorType::get(in_memory, 1);
    llvm::Value* mask = active_mask(indices[rank], 1);
    loaded = ir_.CreateMaskedLoad(vector, pointer, alignment(op.buffer), mask,
                                  llvm::Constant::getNullValue(vector));
    value = ir_.CreateExtractElement(loaded, uint64_t{0});
  } else if (op.has_active) {
    llvm::Value* mask = active_mask(indices[rank], result.lanes);
    loaded = ir_.CreateMaskedLoad(in_memory, pointer, alignment(op.buffer), mask,
                                  llvm::Constant::getNullValue(in_memory));
    value = loaded;
  } else {
    loaded = ir_.CreateAlignedLoad(in_memory, pointer, alignment(op.buffer));
    value = loaded;
  }
  if (loaded != nullptr) mark(loaded, op.buffer);
  if (result.dtype == DType::boolean) {
    value = ir_.CreateICmpNE(value, llvm::Constant::getNullValue(in_memory));
  }
  return value;
}

void KernelEmitter::store(const Op& op) {
  const std::span<const IndexId> indices(op.indices);
  const size_t rank = kernel_.buffer(op.buffer).extents.size();
  llvm::Value* pointer = address(op.buffer, indices.first(rank));
  const ValueType t = operand_type(op, 0);
  llvm::Value* value = operand(op, 0);
  if (t.dtype == DType::boolean) value = ir_.CreateZExt(value, memory_type(t));
  if (goes_by_pieces(op, t)) {
    return store_pieces(op, value, pointer, kernel_.indices().affine(indices[rank]).constant);
  }
  llvm::Value* mask = nullptr;
  if (op.code == OpCode::store_masked) mask = operand(op, 1);
  if (op.has_active) mask = active_mask(indices[rank], t.lanes);
  llvm::Instruction* stored = nullptr;
  if (mask == nullptr) {
    stored = ir_.CreateAlignedStore(value, pointer, alignment(op.buffer));
  } else {
    if (t.lanes == 1) {
      if (!mask->getType()->isVectorTy()) mask = ir_.CreateVectorSplat(1, mask);
      value = ir_.CreateVectorSplat(1, value);
    }
    stored = ir_.CreateMaskedStore(value, pointer, alignment(op.buffer), mask);
  }
  mark(stored, op.buffer);
}

void KernelEmitter::prefetch(const Op& op) {
  llvm::Value* pointer = address(op.buffer, op.indices);
  ir_.CreateIntrinsic(llvm::Intrinsic::prefetch, {ir_.getPtrTy()},
                      {pointer, ir_.getInt32(0), ir_.getInt32(2), ir_.getInt32(1)});
}

}  // namespace neuronc::llvm_backend
