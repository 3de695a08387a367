// Constants, arithmetic, comparison, and fma where the processor has none.
#include <llvm/IR/Intrinsics.h>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {

using llvm::Intrinsic::ID;
namespace Intrinsic = llvm::Intrinsic;

llvm::Type* KernelEmitter::element_type(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return ir_.getInt1Ty();
    case DType::f32:
      return ir_.getFloatTy();
    case DType::f64:
      return ir_.getDoubleTy();
    default:
      return ir_.getIntNTy(static_cast<unsigned>(kernel::lane_bits(dtype)));
  }
}

llvm::Type* KernelEmitter::type(ValueType t) {
  if (kernel::is_matrix(t)) return llvm::Type::getX86_AMXTy(context_);
  llvm::Type* element = element_type(t.dtype);
  if (t.lanes == 1) return element;
  return llvm::FixedVectorType::get(element, static_cast<unsigned>(t.lanes));
}

llvm::Type* KernelEmitter::with_element(llvm::Type* shape, llvm::Type* element) {
  if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(shape)) {
    return llvm::FixedVectorType::get(element, vector->getNumElements());
  }
  return element;
}

llvm::Constant* KernelEmitter::integer(llvm::Type* shape, int64_t value) {
  return llvm::ConstantInt::get(shape, static_cast<uint64_t>(value), /*IsSigned=*/true);
}

llvm::Constant* KernelEmitter::real(llvm::Type* shape, double value) {
  return llvm::ConstantFP::get(shape, value);
}

llvm::Value* KernelEmitter::constant(const Op& op, ValueType t) {
  llvm::Type* element = element_type(t.dtype);
  const auto lane = [&](int64_t bits) -> llvm::Constant* {
    const auto pattern = static_cast<uint64_t>(bits);
    if (t.dtype == DType::f32) {
      return llvm::ConstantFP::get(context_, llvm::APFloat(llvm::APFloat::IEEEsingle(),
                                                           llvm::APInt(32, pattern & 0xffffffffu)));
    }
    if (t.dtype == DType::f64) {
      return llvm::ConstantFP::get(
          context_, llvm::APFloat(llvm::APFloat::IEEEdouble(), llvm::APInt(64, pattern)));
    }
    const unsigned bits_wide = element->getIntegerBitWidth();
    const uint64_t mask = bits_wide == 64 ? ~uint64_t{0} : (uint64_t{1} << bits_wide) - 1;
    return llvm::ConstantInt::get(element, pattern & mask);
  };
  if (t.lanes == 1) return lane(op.immediates[0]);
  if (op.immediates.size() == 1) {
    return llvm::ConstantVector::getSplat(
        llvm::ElementCount::getFixed(static_cast<unsigned>(t.lanes)), lane(op.immediates[0]));
  }
  std::vector<llvm::Constant*> lanes;
  for (int64_t bits : op.immediates) lanes.push_back(lane(bits));
  return llvm::ConstantVector::get(lanes);
}

llvm::Value* KernelEmitter::integer_divide(OpCode code, llvm::Value* a, llvm::Value* b,
                                           bool is_signed) {
  llvm::Type* shape = a->getType();
  llvm::Constant* zero = integer(shape, 0);
  llvm::Value* is_zero = ir_.CreateICmpEQ(b, zero);
  if (!is_signed) {
    llvm::Value* safe = ir_.CreateSelect(is_zero, integer(shape, 1), b);
    if (code == OpCode::div) return ir_.CreateSelect(is_zero, zero, ir_.CreateUDiv(a, safe));
    return ir_.CreateSelect(is_zero, a, ir_.CreateURem(a, safe));
  }
  llvm::Value* is_minus_one = ir_.CreateICmpEQ(b, integer(shape, -1));
  llvm::Value* safe = ir_.CreateSelect(ir_.CreateOr(is_zero, is_minus_one), integer(shape, 1), b);
  if (code == OpCode::div) {
    llvm::Value* quotient =
        ir_.CreateSelect(is_minus_one, ir_.CreateNeg(a), ir_.CreateSDiv(a, safe));
    return ir_.CreateSelect(is_zero, zero, quotient);
  }
  return ir_.CreateSelect(is_zero, a, ir_.CreateSRem(a, safe));
}

llvm::Value* KernelEmitter::shift(OpCode code, llvm::Value* a, llvm::Value* b) {
  llvm::Type* shape = a->getType();
  const int width = static_cast<int>(shape->getScalarSizeInBits());
  llvm::Value* is_inside = ir_.CreateICmpULT(b, integer(shape, width));
  if (code == OpCode::ashr) {
    llvm::Value* amount = ir_.CreateSelect(is_inside, b, integer(shape, width - 1));
    return ir_.CreateAShr(a, amount);
  }
  llvm::Value* amount = ir_.CreateSelect(is_inside, b, integer(shape, 0));
  llvm::Value* shifted = code == OpCode::shl ? ir_.CreateShl(a, amount) : ir_.CreateLShr(a, amount);
  return ir_.CreateSelect(is_inside, shifted, integer(shape, 0));
}

llvm::Value* KernelEmitter::minmax(OpCode code, llvm::Value* a, llvm::Value* b, DType dtype) {
  const bool is_min = code == OpCode::min || code == OpCode::min_num;
  if (dtype == DType::boolean) return is_min ? ir_.CreateAnd(a, b) : ir_.CreateOr(a, b);
  if (!is_float(dtype)) {
    const ID id = is_signed_integer(dtype) ? (is_min ? Intrinsic::smin : Intrinsic::smax)
                                           : (is_min ? Intrinsic::umin : Intrinsic::umax);
    return ir_.CreateBinaryIntrinsic(id, a, b);
  }
  if (code == OpCode::min_num || code == OpCode::max_num) {
    llvm::Value* test = is_min ? ir_.CreateFCmpOLT(a, b) : ir_.CreateFCmpOGT(a, b);
    return ir_.CreateSelect(test, a, b);
  }
  return ir_.CreateBinaryIntrinsic(is_min ? Intrinsic::minimum : Intrinsic::maximum, a, b);
}

llvm::Value* KernelEmitter::compare(OpCode code, llvm::Value* a, llvm::Value* b, DType dtype) {
  using P = llvm::CmpInst::Predicate;
  const int k = static_cast<int>(code) - static_cast<int>(OpCode::cmp_eq);
  constexpr P kFloat[] = {P::FCMP_OEQ, P::FCMP_UNE, P::FCMP_OLT,
                          P::FCMP_OLE, P::FCMP_OGT, P::FCMP_OGE};
  constexpr P kSigned[] = {P::ICMP_EQ,  P::ICMP_NE,  P::ICMP_SLT,
                           P::ICMP_SLE, P::ICMP_SGT, P::ICMP_SGE};
  constexpr P kUnsigned[] = {P::ICMP_EQ,  P::ICMP_NE,  P::ICMP_ULT,
                             P::ICMP_ULE, P::ICMP_UGT, P::ICMP_UGE};
  if (is_float(dtype)) return ir_.CreateFCmp(kFloat[k], a, b);
  return ir_.CreateICmp(is_signed_integer(dtype) ? kSigned[k] : kUnsigned[k], a, b);
}

llvm::Value* KernelEmitter::arithmetic(const Op& op, ValueType result) {
  if (op.code == OpCode::constant) return constant(op, result);
  if (op.code == OpCode::iota) {
    if (result.lanes == 1) return integer(type(result), 0);
    std::vector<llvm::Constant*> lanes;
    for (int i = 0; i < result.lanes; ++i) {
      lanes.push_back(integer(element_type(result.dtype), i));
    }
    return llvm::ConstantVector::get(lanes);
  }
  const DType dtype = operand_type(op, 0).dtype;
  const bool is_real = is_float(dtype);
  llvm::Value* a = operand(op, 0);
  llvm::Value* b = op.operands.size() > 1 ? operand(op, 1) : nullptr;
  switch (op.code) {
    case OpCode::add:
      return is_real ? ir_.CreateFAdd(a, b) : ir_.CreateAdd(a, b);
    case OpCode::sub:
      return is_real ? ir_.CreateFSub(a, b) : ir_.CreateSub(a, b);
    case OpCode::mul:
      return is_real ? ir_.CreateFMul(a, b) : ir_.CreateMul(a, b);
    case OpCode::div:
      if (is_real) return ir_.CreateFDiv(a, b);
      return integer_divide(op.code, a, b, is_signed_integer(dtype));
    case OpCode::rem:
      return integer_divide(op.code, a, b, is_signed_integer(dtype));
    case OpCode::neg:
      return is_real ? ir_.CreateFNeg(a) : ir_.CreateNeg(a);
    case OpCode::abs:
      if (is_real) return ir_.CreateUnaryIntrinsic(Intrinsic::fabs, a);
      if (is_unsigned_integer(dtype)) return a;
      return ir_.CreateBinaryIntrinsic(Intrinsic::abs, a, ir_.getFalse());
    case OpCode::min:
    case OpCode::max:
    case OpCode::min_num:
    case OpCode::max_num:
      return minmax(op.code, a, b, dtype);
    case OpCode::fma:
      return fma(a, b, operand(op, 2));
    case OpCode::sqrt:
      return ir_.CreateUnaryIntrinsic(Intrinsic::sqrt, a);
    case OpCode::floor:
      return ir_.CreateUnaryIntrinsic(Intrinsic::floor, a);
    case OpCode::ceil:
      return ir_.CreateUnaryIntrinsic(Intrinsic::ceil, a);
    case OpCode::trunc:
      return ir_.CreateUnaryIntrinsic(Intrinsic::trunc, a);
    case OpCode::round_even:
      return ir_.CreateUnaryIntrinsic(Intrinsic::roundeven, a);
    case OpCode::and_:
      return ir_.CreateAnd(a, b);
    case OpCode::or_:
      return ir_.CreateOr(a, b);
    case OpCode::xor_:
      return ir_.CreateXor(a, b);
    case OpCode::not_:
      return ir_.CreateNot(a);
    case OpCode::shl:
    case OpCode::lshr:
    case OpCode::ashr:
      return shift(op.code, a, b);
    case OpCode::cmp_eq:
    case OpCode::cmp_ne:
    case OpCode::cmp_lt:
    case OpCode::cmp_le:
    case OpCode::cmp_gt:
    case OpCode::cmp_ge:
      return compare(op.code, a, b, dtype);
    case OpCode::select:
      return ir_.CreateSelect(a, b, operand(op, 2));
    default:
      NEURONC_UNREACHABLE("not an arithmetic operation");
  }
}

llvm::Value* KernelEmitter::fma(llvm::Value* a, llvm::Value* b, llvm::Value* c) {
  if (isa_.has_fma) {
    return ir_.CreateIntrinsic(Intrinsic::fma, {a->getType()}, {a, b, c});
  }
  if (a->getType()->getScalarType()->isFloatTy()) return fma_through_f64(a, b, c);
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(a->getType());
  if (vector == nullptr) return fma_f64_in_integers(a, b, c);
  llvm::Value* result = llvm::PoisonValue::get(vector);
  for (uint64_t i = 0; i < vector->getNumElements(); ++i) {
    llvm::Value* lane =
        fma_f64_in_integers(ir_.CreateExtractElement(a, i), ir_.CreateExtractElement(b, i),
                            ir_.CreateExtractElement(c, i));
    result = ir_.CreateInsertElement(result, lane, i);
  }
  return result;
}

// The product of two f32 is exact in f64. Their sum with c is rounded to odd there (the error of
// the sum, by two-sum, says whether and to which side it was inexact), which makes the second
// rounding to f32 right.
llvm::Value* KernelEmitter::fma_through_f64(llvm::Value* a, llvm::Value* b, llvm::Value* c) {
  llvm::Type* wide = with_element(a->getType(), ir_.getDoubleTy());
  llvm::Type* bits = with_element(a->getType(), ir_.getInt64Ty());
  llvm::Value* p = ir_.CreateFMul(ir_.CreateFPExt(a, wide), ir_.CreateFPExt(b, wide));
  llvm::Value* z = ir_.CreateFPExt(c, wide);
  llvm::Value* s = ir_.CreateFAdd(p, z);
  llvm::Value* pp = ir_.CreateFSub(s, z);
  llvm::Value* zz = ir_.CreateFSub(s, pp);
  llvm::Value* error = ir_.CreateFAdd(ir_.CreateFSub(p, pp), ir_.CreateFSub(z, zz));
  // The ordered comparison is false for the NaN error of an infinite or NaN sum.
  llvm::Value* is_inexact = ir_.CreateFCmpONE(error, real(wide, 0));
  llvm::Value* s_bits = ir_.CreateBitCast(s, bits);
  llvm::Value* is_even =
      ir_.CreateICmpEQ(ir_.CreateAnd(s_bits, integer(bits, 1)), integer(bits, 0));
  // Away from zero when the error has the sign of the sum, towards zero otherwise.
  llvm::Value* differs = ir_.CreateXor(s_bits, ir_.CreateBitCast(error, bits));
  llvm::Value* step = ir_.CreateSelect(ir_.CreateICmpSLT(differs, integer(bits, 0)),
                                       integer(bits, -1), integer(bits, 1));
  llvm::Value* adjust =
      ir_.CreateSelect(ir_.CreateAnd(is_inexact, is_even), step, integer(bits, 0));
  llvm::Value* odd = ir_.CreateBitCast(ir_.CreateAdd(s_bits, adjust), wide);
  return ir_.CreateFPTrunc(odd, a->getType());
}

}  // namespace neuronc::llvm_backend
