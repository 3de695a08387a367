// Matrices as AMX tiles. All have one shape, 16 rows of 64 bytes, so that one configuration serves a
// whole function; LLVM loads it in front of the first use and releases the tiles behind the last.
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include "backend/llvm/emit.h"
#include "ir/base/check.h"

namespace neuronc::llvm_backend {
namespace {

llvm::Value* rows(llvm::IRBuilder<>& ir) { return ir.getInt16(kernel::kMatrixRows); }
llvm::Value* row_bytes(llvm::IRBuilder<>& ir) { return ir.getInt16(kernel::kMatrixRowBytes); }

}  // namespace

llvm::Value* KernelEmitter::row_stride_bytes(const Op& op) {
  const kernel::Buffer& buffer = kernel_.buffer(op.buffer);
  const int64_t stride = buffer.strides[static_cast<size_t>(op.row_dim)];
  return ir_.getInt64(static_cast<uint64_t>(stride * size_bytes(buffer.dtype)));
}

llvm::Value* KernelEmitter::matrix(const Op& op) {
  switch (op.code) {
    case OpCode::matrix_zero:
      return ir_.CreateIntrinsic(llvm::Intrinsic::x86_tilezero_internal, {},
                                 {rows(ir_), row_bytes(ir_)});
    case OpCode::matrix_load:
      return ir_.CreateIntrinsic(
          llvm::Intrinsic::x86_tileloadd64_internal, {},
          {rows(ir_), row_bytes(ir_), address(op.buffer, op.indices), row_stride_bytes(op)});
    case OpCode::matrix_dot: {
      const DType a = operand_type(op, 1).dtype;
      const llvm::Intrinsic::ID id = a == DType::bf16 ? llvm::Intrinsic::x86_tdpbf16ps_internal
                                     : a == DType::u8 ? llvm::Intrinsic::x86_tdpbusd_internal
                                                      : llvm::Intrinsic::x86_tdpbssd_internal;
      // Rows of the result, and the bytes of a row of it and of a.
      return ir_.CreateIntrinsic(id, {},
                                 {rows(ir_), row_bytes(ir_), row_bytes(ir_), operand(op, 0),
                                  operand(op, 1), operand(op, 2)});
    }
    default:
      NEURONC_UNREACHABLE("not an operation on matrices");
  }
}

void KernelEmitter::matrix_store(const Op& op) {
  ir_.CreateIntrinsic(llvm::Intrinsic::x86_tilestored64_internal, {},
                      {rows(ir_), row_bytes(ir_), address(op.buffer, op.indices),
                       row_stride_bytes(op), operand(op, 0)});
}

}  // namespace neuronc::llvm_backend
