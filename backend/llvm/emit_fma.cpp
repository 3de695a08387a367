// f64 fma for processors without it: an internal function in integer arithmetic, made on demand.
#include <llvm/IR/Intrinsics.h>

#include "backend/llvm/emit.h"

namespace neuronc::llvm_backend {
namespace {

// Emits the body of the helper; one object so that the steps share builder and types.
class SoftFma {
 public:
  SoftFma(llvm::Module& module, llvm::Function* function)
      : ir_(llvm::BasicBlock::Create(module.getContext(), "entry", function)),
        function_(function),
        i64_(ir_.getInt64Ty()),
        i128_(ir_.getInt128Ty()) {}

  void emit() {
    llvm::Value* a = function_->getArg(0);
    llvm::Value* b = function_->getArg(1);
    llvm::Value* c = function_->getArg(2);
    const Parts pa = split(a), pb = split(b), pc = split(c);
    llvm::LLVMContext& context = ir_.getContext();
    llvm::Value* is_ab_finite = ir_.CreateAnd(finite(pa), finite(pb));
    llvm::Value* product = ir_.CreateFMul(a, b);
    llvm::Value* plain = ir_.CreateFAdd(product, c);
    // An infinite or NaN c decides alone, also where a*b overflows.
    plain = ir_.CreateSelect(ir_.CreateAnd(is_ab_finite, ir_.CreateNot(finite(pc))),
                             ir_.CreateFAdd(c, llvm::ConstantFP::get(c->getType(), 0.0)), plain);
    llvm::Value* is_ab_zero = ir_.CreateOr(zero(pa), zero(pb));
    // A product that underflows keeps its sign whatever the sign of a zero c.
    llvm::Value* is_ab_alone =
        ir_.CreateAnd(ir_.CreateAnd(is_ab_finite, zero(pc)), ir_.CreateNot(is_ab_zero));
    plain = ir_.CreateSelect(is_ab_alone, product, plain);
    llvm::Value* is_general = ir_.CreateAnd(ir_.CreateAnd(is_ab_finite, finite(pc)),
                                            ir_.CreateNot(ir_.CreateOr(is_ab_zero, zero(pc))));
    auto* general = llvm::BasicBlock::Create(context, "general", function_);
    auto* special = llvm::BasicBlock::Create(context, "special", function_);
    ir_.CreateCondBr(is_general, general, special);
    ir_.SetInsertPoint(special);
    ir_.CreateRet(plain);
    ir_.SetInsertPoint(general);
    ir_.CreateRet(sum(pa, pb, pc));
  }

 private:
  struct Parts {
    llvm::Value* sign;         // i64, 0 or 1
    llvm::Value* exponent;     // i64, 1..2047; value = significand * 2^(exponent - 1075)
    llvm::Value* significand;  // i64
  };

  llvm::Value* word(int64_t x) { return ir_.getInt64(static_cast<uint64_t>(x)); }
  llvm::Value* wide(int64_t x) {
    return llvm::ConstantInt::get(i128_, static_cast<uint64_t>(x), /*IsSigned=*/true);
  }
  llvm::Value* min(llvm::Value* a, llvm::Value* b) {
    return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
  }
  llvm::Value* max(llvm::Value* a, llvm::Value* b) {
    return ir_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
  }

  Parts split(llvm::Value* x) {
    llvm::Value* bits = ir_.CreateBitCast(x, i64_);
    llvm::Value* field = ir_.CreateAnd(ir_.CreateLShr(bits, 52), word(0x7ff));
    llvm::Value* fraction = ir_.CreateAnd(bits, word((int64_t{1} << 52) - 1));
    llvm::Value* is_denormal = ir_.CreateICmpEQ(field, word(0));
    return {
        ir_.CreateLShr(bits, 63), ir_.CreateSelect(is_denormal, word(1), field),
        ir_.CreateSelect(is_denormal, fraction, ir_.CreateOr(fraction, word(int64_t{1} << 52)))};
  }
  llvm::Value* finite(const Parts& p) { return ir_.CreateICmpNE(p.exponent, word(0x7ff)); }
  llvm::Value* zero(const Parts& p) { return ir_.CreateICmpEQ(p.significand, word(0)); }

  llvm::Value* leading_zeros(llvm::Value* x) {
    return ir_.CreateTrunc(ir_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, x, ir_.getFalse()),
                           i64_);
  }
  llvm::Value* shl(llvm::Value* x, llvm::Value* amount) {
    return ir_.CreateShl(x, ir_.CreateZExt(amount, i128_));
  }
  llvm::Value* lshr(llvm::Value* x, llvm::Value* amount) {
    return ir_.CreateLShr(x, ir_.CreateZExt(amount, i128_));
  }
  // Shifts right; a lost bit stays behind as the lowest one. Amounts of 0..127.
  llvm::Value* shift_jam(llvm::Value* x, llvm::Value* amount) {
    llvm::Value* shifted = lshr(x, amount);
    llvm::Value* lost = ir_.CreateICmpNE(shl(shifted, amount), x);
    return ir_.CreateOr(shifted, ir_.CreateZExt(lost, i128_));
  }

  // a*b + c for finite operands other than zero.
  llvm::Value* sum(const Parts& a, const Parts& b, const Parts& c) {
    // Both summands get their leading bit at place 125, which leaves room for a carry and a sign.
    llvm::Value* p =
        ir_.CreateMul(ir_.CreateZExt(a.significand, i128_), ir_.CreateZExt(b.significand, i128_));
    llvm::Value* p_shift = ir_.CreateSub(leading_zeros(p), word(2));
    p = shl(p, p_shift);
    llvm::Value* p_exponent =
        ir_.CreateSub(ir_.CreateSub(ir_.CreateAdd(a.exponent, b.exponent), word(1075)), p_shift);
    llvm::Value* q = ir_.CreateZExt(c.significand, i128_);
    llvm::Value* q_shift = ir_.CreateSub(leading_zeros(q), word(2));
    q = shl(q, q_shift);
    llvm::Value* q_exponent = ir_.CreateSub(c.exponent, q_shift);
    // The smaller one is aligned. What it loses cannot matter beyond being there: cancellation of
    // more than one bit happens only at a distance of 0 or 1, where nothing is lost.
    llvm::Value* exponent = max(p_exponent, q_exponent);
    p = shift_jam(p, min(ir_.CreateSub(exponent, p_exponent), word(127)));
    q = shift_jam(q, min(ir_.CreateSub(exponent, q_exponent), word(127)));
    llvm::Value* p_sign = ir_.CreateTrunc(ir_.CreateXor(a.sign, b.sign), ir_.getInt1Ty());
    llvm::Value* q_sign = ir_.CreateTrunc(c.sign, ir_.getInt1Ty());
    llvm::Value* total = ir_.CreateAdd(ir_.CreateSelect(p_sign, ir_.CreateNeg(p), p),
                                       ir_.CreateSelect(q_sign, ir_.CreateNeg(q), q));
    llvm::Value* is_negative = ir_.CreateICmpSLT(total, wide(0));
    llvm::Value* magnitude = ir_.CreateSelect(is_negative, ir_.CreateNeg(total), total);
    llvm::Value* rounded = round(magnitude, exponent);
    llvm::Value* bits = ir_.CreateOr(rounded, ir_.CreateShl(ir_.CreateZExt(is_negative, i64_), 63));
    return ir_.CreateBitCast(bits, ir_.getDoubleTy());
  }

  // The f64 bits nearest to magnitude * 2^(exponent - 1075).
  llvm::Value* round(llvm::Value* magnitude, llvm::Value* exponent) {
    llvm::Value* lead = ir_.CreateSub(word(127), leading_zeros(magnitude));
    llvm::Value* to_normal = ir_.CreateSub(lead, word(52));
    llvm::Value* to_denormal = ir_.CreateSub(word(1), exponent);
    llvm::Value* right = max(to_normal, to_denormal);
    llvm::Value* field = ir_.CreateAdd(exponent, right);
    llvm::Value* amount = min(max(right, word(0)), word(127));
    llvm::Value* kept = lshr(magnitude, amount);
    llvm::Value* rest = ir_.CreateSub(magnitude, shl(kept, amount));
    llvm::Value* half = ir_.CreateLShr(shl(wide(1), amount), wide(1));
    llvm::Value* is_tie = ir_.CreateICmpEQ(rest, half);
    llvm::Value* is_odd = ir_.CreateTrunc(kept, ir_.getInt1Ty());
    llvm::Value* up = ir_.CreateOr(ir_.CreateICmpUGT(rest, half), ir_.CreateAnd(is_tie, is_odd));
    // Nothing is lost by a shift of 0, and half is 0 there.
    up = ir_.CreateAnd(up, ir_.CreateICmpNE(rest, wide(0)));
    kept = ir_.CreateAdd(kept, ir_.CreateZExt(up, i128_));
    llvm::Value* left = min(max(ir_.CreateNeg(right), word(0)), word(127));
    llvm::Value* significand = ir_.CreateTrunc(shl(kept, left), i64_);
    // The leading bit adds one to the exponent field; a denormal has none.
    llvm::Value* base = ir_.CreateShl(ir_.CreateSub(field, word(1)), 52);
    llvm::Value* bits = ir_.CreateAdd(base, significand);
    llvm::Value* is_overflow = ir_.CreateOr(ir_.CreateICmpSGE(field, word(0x7ff)),
                                            ir_.CreateICmpUGE(bits, word(int64_t{0x7ff} << 52)));
    bits = ir_.CreateSelect(is_overflow, word(int64_t{0x7ff} << 52), bits);
    return ir_.CreateSelect(ir_.CreateICmpEQ(magnitude, wide(0)), word(0), bits);
  }

  llvm::IRBuilder<> ir_;
  llvm::Function* function_;
  llvm::Type* i64_;
  llvm::Type* i128_;
};

}  // namespace

llvm::Value* KernelEmitter::fma_f64_in_integers(llvm::Value* a, llvm::Value* b, llvm::Value* c) {
  constexpr const char* kName = "neuronc.fma_f64";
  llvm::Function* helper = module_.getFunction(kName);
  if (helper == nullptr) {
    llvm::Type* f64 = ir_.getDoubleTy();
    helper =
        llvm::Function::Create(llvm::FunctionType::get(f64, {f64, f64, f64}, /*isVarArg=*/false),
                               llvm::Function::InternalLinkage, kName, module_);
    helper->addFnAttr(llvm::Attribute::NoUnwind);
    helper->addFnAttr(llvm::Attribute::WillReturn);
    helper->setMemoryEffects(llvm::MemoryEffects::none());
    helper->addFnAttr("no-builtins");
    SoftFma(module_, helper).emit();
  }
  return ir_.CreateCall(helper, {a, b, c});
}

}  // namespace neuronc::llvm_backend
