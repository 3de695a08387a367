// Operations that move values between lanes: shuffles, reductions, widening dot products.
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {

int num_lanes(llvm::Value* v) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return vector == nullptr ? 1 : static_cast<int>(vector->getNumElements());
}

// `count` lanes from `first` on; a scalar for one.
llvm::Value* KernelEmitter::lanes_of(llvm::Value* a, int first, int count) {
  if (num_lanes(a) == count) return a;
  if (count == 1) return ir_.CreateExtractElement(a, static_cast<uint64_t>(first));
  std::vector<int> mask;
  for (int i = 0; i < count; ++i) mask.push_back(first + i);
  return ir_.CreateShuffleVector(a, mask);
}

llvm::Value* KernelEmitter::every_other(llvm::Value* a, int first, int step) {
  std::vector<int> mask;
  for (int i = first; i < num_lanes(a); i += step) mask.push_back(i);
  if (mask.size() == 1) return ir_.CreateExtractElement(a, static_cast<uint64_t>(first));
  return ir_.CreateShuffleVector(a, mask);
}

llvm::Value* KernelEmitter::shuffle(const Op& op) {
  const ValueType result = kernel_.type(op.results[0]);
  llvm::Value* a = operand(op, 0);
  switch (op.code) {
    case OpCode::splat:
      return ir_.CreateVectorSplat(static_cast<unsigned>(result.lanes), a);
    case OpCode::extract:
      return lanes_of(a, static_cast<int>(op.immediates[0]), 1);
    case OpCode::slice:
      return lanes_of(a, static_cast<int>(op.immediates[0]), result.lanes);
    case OpCode::insert:
      if (result.lanes == 1) return operand(op, 1);
      return ir_.CreateInsertElement(a, operand(op, 1), static_cast<uint64_t>(op.immediates[0]));
    default:
      break;
  }
  llvm::Value* b = operand(op, 1);
  if (num_lanes(a) == 1) {
    a = ir_.CreateVectorSplat(1, a);
    b = ir_.CreateVectorSplat(1, b);
  }
  const int lanes = num_lanes(a);
  std::vector<int> mask;
  bool has_zero = false;
  if (op.code == OpCode::concat) {
    for (int i = 0; i < 2 * lanes; ++i) mask.push_back(i);
  } else {
    for (int64_t lane : op.immediates) {
      mask.push_back(static_cast<int>(lane));
      has_zero |= lane < 0;
    }
  }
  llvm::Value* shuffled = ir_.CreateShuffleVector(a, b, mask);
  if (has_zero) {
    // A lane of -1 is poison to LLVM; it is taken from zero instead.
    std::vector<int> choice;
    for (size_t i = 0; i < mask.size(); ++i) {
      choice.push_back(static_cast<int>(mask[i] < 0 ? mask.size() + i : i));
    }
    shuffled = ir_.CreateShuffleVector(shuffled, llvm::Constant::getNullValue(shuffled->getType()),
                                       choice);
  }
  return result.lanes == 1 ? ir_.CreateExtractElement(shuffled, uint64_t{0}) : shuffled;
}

// `a` with lanes of no value behind it.
llvm::Value* KernelEmitter::padded_to(llvm::Value* a, int lanes) {
  if (num_lanes(a) == 1) a = ir_.CreateVectorSplat(1, a);
  std::vector<int> mask(static_cast<size_t>(lanes), -1);
  for (int i = 0; i < num_lanes(a); ++i) mask[static_cast<size_t>(i)] = i;
  return ir_.CreateShuffleVector(a, mask);
}

// 16 bytes at a time by pshufb, which gives 0 where an index has its top bit: that is where another
// row of the table has the entry.
llvm::Value* KernelEmitter::permuted_bytes(llvm::Value* indices, llvm::Value* low,
                                           llvm::Value* high) {
  constexpr int kRow = 16;
  const int lanes = num_lanes(indices);
  const auto id = lanes == 16   ? llvm::Intrinsic::x86_ssse3_pshuf_b_128
                  : lanes == 32 ? llvm::Intrinsic::x86_avx2_pshuf_b
                                : llvm::Intrinsic::x86_avx512_pshuf_b_512;
  llvm::Type* type = indices->getType();
  llvm::Value* entries = ir_.CreateAnd(indices, integer(type, 2 * kernel::kTableLanes - 1));
  llvm::Value* found = nullptr;
  for (int row = 0; row < 2 * kernel::kTableLanes / kRow; ++row) {
    const int first = row * kRow;
    std::vector<int> mask;
    for (int i = 0; i < lanes; ++i) mask.push_back(first % kernel::kTableLanes + i % kRow);
    llvm::Value* table = ir_.CreateShuffleVector(first < kernel::kTableLanes ? low : high, mask);
    llvm::Value* place = ir_.CreateSub(entries, integer(type, first));
    place = ir_.CreateBinaryIntrinsic(llvm::Intrinsic::uadd_sat, place, integer(type, 0x70));
    llvm::Value* part = ir_.CreateIntrinsic(id, {}, {table, place});
    found = found == nullptr ? part : ir_.CreateOr(found, part);
  }
  return found;
}

llvm::Value* KernelEmitter::lookup(const Op& op) {
  llvm::Value* indices = operand(op, 0);
  llvm::Value* low = operand(op, 1);
  llvm::Value* high = operand(op, 2);
  const int lanes = kernel_.type(op.results[0]).lanes;
  if (isa_.has_avx512_vbmi) {
    llvm::Value* all = ir_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_vpermi2var_qi_512, {},
                                           {low, padded_to(indices, kernel::kTableLanes), high});
    return lanes_of(all, 0, lanes);
  }
  const int widest = isa_.has_avx512 ? 64 : isa_.vector_bytes >= 32 ? 32 : 16;
  int step = 16;
  while (step < widest && step < lanes) step *= 2;
  const int padded = (lanes + step - 1) / step * step;
  if (num_lanes(indices) != padded) indices = padded_to(indices, padded);
  llvm::Value* all = nullptr;
  for (int first = 0; first < padded; first += step) {
    llvm::Value* part = permuted_bytes(lanes_of(indices, first, step), low, high);
    if (padded == step) return lanes_of(part, 0, lanes);
    part = padded_to(part, padded);
    std::vector<int> mask;
    for (int i = 0; i < padded; ++i) {
      mask.push_back(i >= first && i < first + step ? padded + i - first : i);
    }
    all = all == nullptr ? part : ir_.CreateShuffleVector(all, part, mask);
  }
  return lanes_of(all, 0, lanes);
}

llvm::Value* KernelEmitter::reduce(const Op& op) {
  const DType dtype = operand_type(op, 0).dtype;
  llvm::Value* v = operand(op, 0);
  while (num_lanes(v) > 1) {
    const int half = num_lanes(v) / 2;
    llvm::Value* low = lanes_of(v, 0, half);
    llvm::Value* high = lanes_of(v, half, half);
    switch (op.code) {
      case OpCode::reduce_add:
        v = is_float(dtype) ? ir_.CreateFAdd(low, high) : ir_.CreateAdd(low, high);
        break;
      case OpCode::reduce_mul:
        v = is_float(dtype) ? ir_.CreateFMul(low, high) : ir_.CreateMul(low, high);
        break;
      case OpCode::reduce_min:
        v = minmax(OpCode::min, low, high, dtype);
        break;
      default:
        v = minmax(OpCode::max, low, high, dtype);
        break;
    }
  }
  return v;
}

// Sums of products of neighbouring i16: pmaddwd of the widest registers there are. Its only
// overflow, twice the product of -32768, wraps as the semantics say.
llvm::Value* KernelEmitter::dot_pairs_i16(llvm::Value* a, llvm::Value* b) {
  const int lanes = num_lanes(a);
  const int widest = isa_.has_avx512 ? 32 : isa_.vector_bytes >= 32 ? 16 : 8;
  if (lanes > widest && lanes % 2 == 0) {
    const int half = lanes / 2;
    llvm::Value* low = dot_pairs_i16(lanes_of(a, 0, half), lanes_of(b, 0, half));
    llvm::Value* high = dot_pairs_i16(lanes_of(a, half, half), lanes_of(b, half, half));
    std::vector<int> mask;
    for (int i = 0; i < half; ++i) mask.push_back(i);
    return ir_.CreateShuffleVector(low, high, mask);
  }
  switch (lanes) {
    case 8:
      return ir_.CreateIntrinsic(llvm::Intrinsic::x86_sse2_pmadd_wd, {}, {a, b});
    case 16:
      return ir_.CreateIntrinsic(llvm::Intrinsic::x86_avx2_pmadd_wd, {}, {a, b});
    case 32:
      return ir_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_pmaddw_d_512, {}, {a, b});
    default:
      break;
  }
  const auto product = [&](int first) {
    llvm::Value* x = every_other(a, first, 2);
    llvm::Value* y = every_other(b, first, 2);
    llvm::Type* wide = with_element(x->getType(), ir_.getInt32Ty());
    return ir_.CreateMul(ir_.CreateSExt(x, wide), ir_.CreateSExt(y, wide));
  };
  return ir_.CreateAdd(product(0), product(1));
}

// Bytes at even and odd places become i16 by shifts, so that pmaddwd sums two of four products.
llvm::Value* KernelEmitter::dot_quads(llvm::Value* a, llvm::Value* b, bool a_is_signed) {
  const unsigned pairs = static_cast<unsigned>(num_lanes(a) / 2);
  llvm::Type* i16 = llvm::FixedVectorType::get(ir_.getInt16Ty(), pairs);
  llvm::Value* x = ir_.CreateBitCast(a, i16);
  llvm::Value* y = ir_.CreateBitCast(b, i16);
  const auto even = [&](llvm::Value* v, bool is_signed) {
    if (!is_signed) return ir_.CreateAnd(v, integer(i16, 0xff));
    return ir_.CreateAShr(ir_.CreateShl(v, 8), 8);
  };
  const auto odd = [&](llvm::Value* v, bool is_signed) {
    return is_signed ? ir_.CreateAShr(v, 8) : ir_.CreateLShr(v, 8);
  };
  return ir_.CreateAdd(dot_pairs_i16(even(x, a_is_signed), even(y, true)),
                       dot_pairs_i16(odd(x, a_is_signed), odd(y, true)));
}

llvm::Value* KernelEmitter::flushed(llvm::Value* x) {
  llvm::Type* bits = with_element(x->getType(), ir_.getInt32Ty());
  llvm::Value* word = ir_.CreateBitCast(x, bits);
  llvm::Value* exponent = ir_.CreateAnd(word, integer(bits, 0x7f800000));
  llvm::Value* sign = ir_.CreateAnd(word, integer(bits, -0x80000000ll));
  llvm::Value* is_tiny = ir_.CreateICmpEQ(exponent, integer(bits, 0));
  return ir_.CreateBitCast(ir_.CreateSelect(is_tiny, sign, word), x->getType());
}

// vdpbf16ps, or what it does where the processor lacks it: odd elements first, denormal operands
// and results as zeros.
llvm::Value* KernelEmitter::dot_bf16(llvm::Value* acc, llvm::Value* a, llvm::Value* b) {
  const int lanes = num_lanes(acc);
  if (isa_.has_avx512_bf16 && (lanes == 4 || lanes == 8 || lanes == 16)) {
    const auto id = lanes == 4   ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_128
                    : lanes == 8 ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_256
                                 : llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512;
    auto* halves = llvm::FixedVectorType::get(ir_.getBFloatTy(), static_cast<unsigned>(2 * lanes));
    return ir_.CreateIntrinsic(id, {},
                               {acc, ir_.CreateBitCast(a, halves), ir_.CreateBitCast(b, halves)});
  }
  const ValueType half{DType::bf16, lanes};
  acc = flushed(acc);
  for (int first : {1, 0}) {
    llvm::Value* x = flushed(convert(every_other(a, first, 2), half, DType::f32));
    llvm::Value* y = flushed(convert(every_other(b, first, 2), half, DType::f32));
    acc = flushed(fma(x, y, acc));
  }
  return acc;
}

llvm::Value* KernelEmitter::dot(const Op& op) {
  llvm::Value* acc = operand(op, 0);
  llvm::Value* a = operand(op, 1);
  llvm::Value* b = operand(op, 2);
  const DType dtype = operand_type(op, 1).dtype;
  if (dtype == DType::bf16) return dot_bf16(acc, a, b);
  if (dtype == DType::i16) return ir_.CreateAdd(acc, dot_pairs_i16(a, b));
  const int lanes = num_lanes(a);
  if (dtype == DType::u8 && isa_.has_avx512_vnni && (lanes == 16 || lanes == 32 || lanes == 64)) {
    const auto id = lanes == 16   ? llvm::Intrinsic::x86_avx512_vpdpbusd_128
                    : lanes == 32 ? llvm::Intrinsic::x86_avx512_vpdpbusd_256
                                  : llvm::Intrinsic::x86_avx512_vpdpbusd_512;
    const auto words =
        llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes / 4));
    return ir_.CreateIntrinsic(id, {},
                               {acc, ir_.CreateBitCast(a, words), ir_.CreateBitCast(b, words)});
  }
  return ir_.CreateAdd(acc, dot_quads(a, b, dtype == DType::i8));
}

}  // namespace neuronc::llvm_backend
