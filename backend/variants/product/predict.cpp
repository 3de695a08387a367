// Implements predict.h.
#include "backend/variants/product/predict.h"

#include <algorithm>

namespace neuronc {
namespace {

// The part of the peak that the register tile reaches on whole tiles (measured on Zen 4).
constexpr double kTileEfficiency = 0.92;
// TDPBF16PS against fma on one core of Emerald Rapids: 2,400 GFLOP/s from registers and 175; a
// quarter of it is lost to loads.
constexpr double kMatrixBf16 = 10;
// A copied element passes through a register twice.
constexpr double kCopyFlopsPerElement = 4;

// Rates are those of the hardware model for the step's dtype; a step that widens works in f32.
double flops_per_ns(const Machine& machine, const ProductStep& step) {
  switch (step.kind) {
    case StepKind::dot_bf16:
      return machine.hardware.bf16_flops_per_s * 1e-9;
    case StepKind::matrix_bf16:
      return machine.hardware.f32_flops_per_s * kMatrixBf16 * 1e-9;
    case StepKind::matrix_bytes:
      return 2 * machine.hardware.f32_flops_per_s * kMatrixBf16 * 1e-9;
    case StepKind::dot_bytes:
      // Multiplied as words, they are as fast as f32.
      return (machine.isa.has_avx512_vnni ? machine.hardware.i8_flops_per_s
                                          : machine.hardware.f32_flops_per_s) *
             1e-9;
    default:
      return machine.hardware.f32_flops_per_s * 1e-9 / (step.accumulator == DType::f64 ? 2 : 1);
  }
}

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

}  // namespace

double predict_product_ns(const Machine& machine, const ProductStep& step, const RegisterTile& tile,
                          const ProductWork& work) {
  const auto count = static_cast<double>(work.count);
  const auto n = static_cast<double>(round_up(work.n, tile.lanes));
  const auto k = static_cast<double>(work.k);
  const int64_t m = step.is_matrix() ? round_up(work.m, kernel::kMatrixRows) : work.m;
  const double flops = 2 * static_cast<double>(m) * n * k * count;
  const double compute_ns = flops / (flops_per_ns(machine, step) * kTileEfficiency);
  const double weight_ns =
      n * k * count * size_bytes(step.b) / (machine.hardware.on_chip_bytes_per_s * 1e-9);
  const double copy_ns =
      work.copied_elements * kCopyFlopsPerElement / (machine.hardware.vector_flops_per_s * 1e-9);
  return machine.hardware.launch_ns + std::max(compute_ns, weight_ns) + copy_ns;
}

}  // namespace neuronc
