// Conversions between element types, with bf16 and f16 expanded to integer operations where the
// processor does not convert as kernel IR says (the AVX-512 bf16 instructions flush denormals).
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/MDBuilder.h>

#include <limits>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {

namespace {

constexpr int kDenormalClass = 0x20;  // of vfpclassps

}  // namespace

llvm::Value* KernelEmitter::f32_to_bf16(llvm::Value* a) {
  const int lanes = num_lanes(a);
  if (!isa_.has_avx512_bf16 || (lanes != 8 && lanes != 16 && lanes != 32)) {
    return f32_to_bf16_in_integers(a);
  }
  // vcvtneps2bf16 takes a denormal for zero and is right for all else, NaN included. Denormals are
  // rare: asking for them takes half the time of the seven instructions that need not ask.
  llvm::Value* fast = nullptr;
  llvm::Value* is_denormal = nullptr;
  if (lanes == 32) {
    llvm::Value* low = lanes_of(a, 0, 16);
    llvm::Value* high = lanes_of(a, 16, 16);
    fast = ir_.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_cvtne2ps2bf16_512, {}, {high, low});
    is_denormal =
        ir_.CreateOr(are_of_class(low, kDenormalClass), are_of_class(high, kDenormalClass));
  } else {
    const auto id = lanes == 16 ? llvm::Intrinsic::x86_avx512bf16_cvtneps2bf16_512
                                : llvm::Intrinsic::x86_avx512bf16_cvtneps2bf16_256;
    fast = ir_.CreateIntrinsic(id, {}, {a});
    is_denormal = are_of_class(a, kDenormalClass);
  }
  fast = ir_.CreateBitCast(fast, with_element(a->getType(), ir_.getInt16Ty()));
  llvm::BasicBlock* before = ir_.GetInsertBlock();
  llvm::BasicBlock* denormal = llvm::BasicBlock::Create(context_, "denormal", function_);
  llvm::BasicBlock* rounded = llvm::BasicBlock::Create(context_, "rounded", function_);
  ir_.CreateCondBr(ir_.CreateOrReduce(is_denormal), denormal, rounded,
                   llvm::MDBuilder(context_).createUnlikelyBranchWeights());
  ir_.SetInsertPoint(denormal);
  llvm::Value* slow = f32_to_bf16_in_integers(a);
  ir_.CreateBr(rounded);
  ir_.SetInsertPoint(rounded);
  llvm::PHINode* result = ir_.CreatePHI(fast->getType(), 2);
  result->addIncoming(fast, before);
  result->addIncoming(slow, denormal);
  return result;
}

llvm::Value* KernelEmitter::are_of_class(llvm::Value* a, int classes) {
  const auto id = num_lanes(a) == 16 ? llvm::Intrinsic::x86_avx512_fpclass_ps_512
                                     : llvm::Intrinsic::x86_avx512_fpclass_ps_256;
  return ir_.CreateIntrinsic(id, {}, {a, ir_.getInt32(static_cast<uint32_t>(classes))});
}

llvm::Value* KernelEmitter::f32_to_bf16_in_integers(llvm::Value* a) {
  llvm::Type* u32 = with_element(a->getType(), ir_.getInt32Ty());
  llvm::Value* bits = ir_.CreateBitCast(a, u32);
  llvm::Value* lowest = ir_.CreateAnd(ir_.CreateLShr(bits, 16), integer(u32, 1));
  llvm::Value* sum = ir_.CreateAdd(ir_.CreateAdd(bits, integer(u32, 0x7fff)), lowest);
  llvm::Value* quiet = ir_.CreateOr(bits, integer(u32, 0x00400000));
  llvm::Value* chosen = ir_.CreateSelect(ir_.CreateFCmpUNO(a, a), quiet, sum);
  return ir_.CreateTrunc(ir_.CreateLShr(chosen, 16), with_element(u32, ir_.getInt16Ty()));
}

llvm::Value* KernelEmitter::f16_to_f32(llvm::Value* a) {
  llvm::Type* f32 = with_element(a->getType(), ir_.getFloatTy());
  if (isa_.has_f16c) {
    return ir_.CreateFPExt(ir_.CreateBitCast(a, with_element(f32, ir_.getHalfTy())), f32);
  }
  // The magnitude's bits, moved to f32's place, are the value times 2^-112, denormals included; one
  // exact multiplication corrects that. Infinity and NaN get f32's exponent.
  llvm::Type* u32 = with_element(f32, ir_.getInt32Ty());
  llvm::Value* wide = ir_.CreateZExt(a, u32);
  llvm::Value* sign = ir_.CreateShl(ir_.CreateAnd(wide, integer(u32, 0x8000)), 16);
  llvm::Value* magnitude = ir_.CreateShl(ir_.CreateAnd(wide, integer(u32, 0x7fff)), 13);
  llvm::Value* scaled =
      ir_.CreateBitCast(ir_.CreateFMul(ir_.CreateBitCast(magnitude, f32), real(f32, 0x1p112)), u32);
  llvm::Value* special = ir_.CreateOr(magnitude, integer(u32, 0x7f800000));
  llvm::Value* is_special = ir_.CreateICmpUGE(magnitude, integer(u32, 0x7c00 << 13));
  llvm::Value* quiet = ir_.CreateSelect(ir_.CreateICmpUGT(magnitude, integer(u32, 0x7c00 << 13)),
                                        integer(u32, 0x00400000), integer(u32, 0));
  special = ir_.CreateOr(special, quiet);
  return ir_.CreateBitCast(ir_.CreateOr(ir_.CreateSelect(is_special, special, scaled), sign), f32);
}

llvm::Value* KernelEmitter::f32_to_f16(llvm::Value* a) {
  llvm::Type* f32 = a->getType();
  llvm::Type* u16 = with_element(f32, ir_.getInt16Ty());
  if (isa_.has_f16c) {
    return ir_.CreateBitCast(ir_.CreateFPTrunc(a, with_element(f32, ir_.getHalfTy())), u16);
  }
  llvm::Type* u32 = with_element(f32, ir_.getInt32Ty());
  llvm::Value* bits = ir_.CreateBitCast(a, u32);
  llvm::Value* magnitude = ir_.CreateAnd(bits, integer(u32, 0x7fffffff));
  llvm::Value* sign = ir_.CreateAnd(ir_.CreateLShr(bits, 16), integer(u32, 0x8000));
  // Normal results: rebias, and carry as in f32_to_bf16.
  llvm::Value* lowest = ir_.CreateAnd(ir_.CreateLShr(magnitude, 13), integer(u32, 1));
  llvm::Value* rounded =
      ir_.CreateAdd(ir_.CreateAdd(magnitude, integer(u32, 0xfff - (int64_t{112} << 23))), lowest);
  llvm::Value* normal = ir_.CreateLShr(rounded, 13);
  // Denormal results: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
  llvm::Value* shifted = ir_.CreateFAdd(ir_.CreateBitCast(magnitude, f32), real(f32, 0.5));
  llvm::Value* denormal = ir_.CreateSub(ir_.CreateBitCast(shifted, u32), integer(u32, 0x3f000000));
  llvm::Value* result =
      ir_.CreateSelect(ir_.CreateICmpULT(magnitude, integer(u32, 113 << 23)), denormal, normal);
  // 65520 and above round to infinity; NaN keeps its leading payload bits and is made quiet.
  result = ir_.CreateSelect(ir_.CreateICmpUGE(magnitude, integer(u32, 0x477ff000)),
                            integer(u32, 0x7c00), result);
  llvm::Value* nan = ir_.CreateOr(
      integer(u32, 0x7e00), ir_.CreateAnd(ir_.CreateLShr(magnitude, 13), integer(u32, 0x3ff)));
  result = ir_.CreateSelect(ir_.CreateICmpUGT(magnitude, integer(u32, 0x7f800000)), nan, result);
  return ir_.CreateTrunc(ir_.CreateOr(result, sign), u16);
}

// Rounds to odd: a second rounding to f16 or bf16 is then as good as a single one.
llvm::Value* KernelEmitter::f64_to_f32_odd(llvm::Value* a) {
  llvm::Type* f64 = a->getType();
  llvm::Type* f32 = with_element(f64, ir_.getFloatTy());
  llvm::Type* u32 = with_element(f64, ir_.getInt32Ty());
  llvm::Value* nearest = ir_.CreateFPTrunc(a, f32);
  llvm::Value* back = ir_.CreateFPExt(nearest, f64);
  llvm::Value* bits = ir_.CreateBitCast(nearest, u32);
  llvm::Value* is_even = ir_.CreateICmpEQ(ir_.CreateAnd(bits, integer(u32, 1)), integer(u32, 0));
  llvm::Value* is_inexact = ir_.CreateFCmpONE(a, back);
  llvm::Value* is_above = ir_.CreateFCmpOGT(ir_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, back),
                                            ir_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a));
  llvm::Value* step = ir_.CreateSelect(is_above, integer(u32, -1), integer(u32, 1));
  llvm::Value* adjust = ir_.CreateSelect(ir_.CreateAnd(is_even, is_inexact), step, integer(u32, 0));
  return ir_.CreateBitCast(ir_.CreateAdd(bits, adjust), f32);
}

// To fewer than 32 bits: clamped to what the integer holds, by the two instructions that give their
// second operand on NaN, then through i32, whose conversion the vector units have.
llvm::Value* KernelEmitter::float_to_narrow_integer(llvm::Value* a, DType to) {
  llvm::Type* shape = a->getType();
  const int bits = kernel::lane_bits(to);
  const bool is_signed = is_signed_integer(to);
  const double upper = static_cast<double>((uint64_t{1} << (is_signed ? bits - 1 : bits)) - 1);
  const double lower = is_signed ? -upper - 1 : 0.0;
  if (is_signed) a = ir_.CreateSelect(ir_.CreateFCmpORD(a, a), a, real(shape, 0.0));
  a = ir_.CreateSelect(ir_.CreateFCmpOGT(a, real(shape, lower)), a, real(shape, lower));
  a = ir_.CreateSelect(ir_.CreateFCmpOLT(a, real(shape, upper)), a, real(shape, upper));
  llvm::Value* wide = ir_.CreateFPToSI(a, with_element(shape, ir_.getInt32Ty()));
  return ir_.CreateTrunc(wide, with_element(shape, element_type(to)));
}

// Out-of-range operands of fptosi are poison, so they are replaced first; f64 and f32 hold the
// limits that are compared with exactly (powers of two).
llvm::Value* KernelEmitter::float_to_integer(llvm::Value* a, ValueType from, DType to) {
  if (kernel::lane_bits(to) < 32) return float_to_narrow_integer(a, to);
  llvm::Type* shape = a->getType();
  llvm::Type* result_type = with_element(shape, element_type(to));
  const int bits = kernel::lane_bits(to);
  const bool is_signed = is_signed_integer(to);
  const double upper = is_signed ? static_cast<double>(uint64_t{1} << (bits - 1))
                                 : 2.0 * static_cast<double>(uint64_t{1} << (bits - 1));
  const double lower = is_signed ? -upper : 0.0;
  llvm::Value* is_high = ir_.CreateFCmpOGE(a, real(shape, upper));
  llvm::Value* is_inside =
      is_signed ? ir_.CreateFCmpOGE(a, real(shape, lower)) : ir_.CreateFCmpOGT(a, real(shape, 0.0));
  llvm::Value* is_low = ir_.CreateFCmpOLT(a, real(shape, lower));
  llvm::Value* is_safe = ir_.CreateAnd(is_inside, ir_.CreateNot(is_high));
  llvm::Value* safe = ir_.CreateSelect(is_safe, a, real(shape, 0.0));
  llvm::Value* x =
      is_signed ? ir_.CreateFPToSI(safe, result_type) : ir_.CreateFPToUI(safe, result_type);
  const int64_t max = is_signed ? static_cast<int64_t>((uint64_t{1} << (bits - 1)) - 1) : -1;
  const int64_t min = is_signed ? static_cast<int64_t>(~uint64_t{0} << (bits - 1)) : 0;
  x = ir_.CreateSelect(is_high, integer(result_type, max), x);
  if (!is_signed) return x;
  return ir_.CreateSelect(is_low, integer(result_type, min), x);
}

llvm::Value* KernelEmitter::convert(llvm::Value* a, ValueType from, DType to) {
  const DType dtype = from.dtype;
  llvm::Type* shape = a->getType();
  llvm::Type* result = with_element(shape, element_type(to));
  llvm::Type* f32 = with_element(shape, ir_.getFloatTy());
  if (dtype == DType::f16) {
    llvm::Value* x = f16_to_f32(a);
    return to == DType::f64 ? ir_.CreateFPExt(x, result) : x;
  }
  if (dtype == DType::bf16) {
    llvm::Type* u32 = with_element(shape, ir_.getInt32Ty());
    llvm::Value* x = ir_.CreateBitCast(ir_.CreateShl(ir_.CreateZExt(a, u32), 16), f32);
    return to == DType::f64 ? ir_.CreateFPExt(x, result) : x;
  }
  if (to == DType::f16 || to == DType::bf16) {
    llvm::Value* x = dtype == DType::f64 ? f64_to_f32_odd(a) : a;
    return to == DType::f16 ? f32_to_f16(x) : f32_to_bf16(x);
  }
  if (to == DType::boolean) {
    if (is_float(dtype)) return ir_.CreateFCmpUNE(a, real(shape, 0.0));
    return ir_.CreateICmpNE(a, integer(shape, 0));
  }
  if (is_float(dtype)) {
    if (to == DType::f64) return ir_.CreateFPExt(a, result);
    if (to == DType::f32) return ir_.CreateFPTrunc(a, result);
    return float_to_integer(a, from, to);
  }
  if (is_float(to)) {
    return is_signed_integer(dtype) ? ir_.CreateSIToFP(a, result) : ir_.CreateUIToFP(a, result);
  }
  return is_signed_integer(dtype) ? ir_.CreateSExtOrTrunc(a, result)
                                  : ir_.CreateZExtOrTrunc(a, result);
}

}  // namespace neuronc::llvm_backend
