// How a matrix product multiplies: what one step of k takes from a row of a and a row of b.
//
//   acc[l] = acc[l] + sum over j < k_step of a[j] * b[l][j]        in the order stated at each kind
//
// b is packed in panels of 16 columns by groups of k_step k's, 16 * k_step elements a row, which is
// 64 bytes for f32, bf16 and bytes, 128 for f64: whatever the instruction set, a row is read as it stands.
#pragma once

#include <span>

#include "backend/lower/emitter.h"
#include "backend/machine.h"

namespace neuronc {

inline constexpr int kPanelColumns = 16;

enum class StepKind : uint8_t {
  fma,           // f32 a, b of f32 or f16 (widened), or all f64: one fused multiply-add
  widen_bf16,    // f32 a, bf16 b: fma of the odd k, then of the even one
  dot_bf16,      // bf16 a and b: kernel IR's dot, the same order with denormals as zeros
  dot_bytes,     // u8 a (i8 plus 128), i8 b: kernel IR's dot, exact
  matrix_bf16,   // bf16 a and b: kernel IR's matrix_dot (matrix.h)
  matrix_bytes,  // u8 a (i8 plus 128), i8 b: kernel IR's matrix_dot, exact
};

struct ProductStep {
  StepKind kind = StepKind::fma;
  DType a = DType::f32;            // as rows of a are read
  DType b = DType::f32;            // as panels hold it
  DType accumulator = DType::f32;  // f32, f64 or i32

  int k_step() const;
  bool is_matrix() const { return kind == StepKind::matrix_bf16 || kind == StepKind::matrix_bytes; }
  // Elements of a panel's row.
  int row_elements() const { return kPanelColumns * k_step(); }
  // Whether a row of a must have neighbouring k's in neighbouring elements.
  bool reads_a_in_groups() const { return k_step() > 1 && kind != StepKind::widen_bf16; }
};

// The step for operands of `a` and `b` on this machine; bf16 and f16 are multiplied as such only
// where both operands are. `rows` of a: enough of them go by matrices where the machine has them; a
// caller that cannot (matrix.h) says none.
OrRefusal<ProductStep> choose_step(const Machine& machine, DType a, DType b, int64_t rows = 0);

// k's of one element of `b` in memory order: what packing and every kernel agree on. 1, 2 or 4.
int k_group(DType b);

// The registers that rows multiply with, made once per row of a panel: one per vector, or two where
// bf16 is widened.
kernel::Values prepare_b(kernel::Builder& b, const ProductStep& step, const kernel::Values& rows);

// `count` (<= k_step) elements of a at `index`, spread over all lanes: one register, or two.
kernel::Values load_a(kernel::Builder& b, const ProductStep& step, kernel::BufferId buffer,
                      std::vector<kernel::Index> index, int lane_dim, int count, int lanes);

// acc + a * b for vector `v`.
Register multiply(kernel::Builder& b, const ProductStep& step, const kernel::Values& a,
                  const kernel::Values& prepared, size_t v, Register acc);

}  // namespace neuronc
