// Implements step.h.
#include "backend/variants/product/step.h"

#include "ir/base/check.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;
using kernel::ValueType;

int k_group(DType b) {
  if (b == DType::bf16) return 2;
  return size_bytes(b) == 1 ? 4 : 1;
}

int ProductStep::k_step() const { return k_group(b); }

namespace {

// A matrix of fewer rows takes as long as one of 16, and fma as long as it has rows.
constexpr int64_t kMinMatrixRows = 4;

}  // namespace

OrRefusal<ProductStep> choose_step(const Machine& machine, DType a, DType b, int64_t rows) {
  const Isa& isa = machine.isa;
  ProductStep step;
  step.b = b;
  switch (b) {
    case DType::f32:
    case DType::f16:
      if (carrier_of(a) != DType::f32) break;
      return step;
    case DType::f64:
      if (a != DType::f64) break;
      step.a = step.accumulator = DType::f64;
      return step;
    case DType::bf16:
      if (carrier_of(a) != DType::f32) break;
      step.kind = StepKind::widen_bf16;
      if (a != DType::bf16) return step;
      if (isa.has_amx_bf16 && rows >= kMinMatrixRows) {
        step.kind = StepKind::matrix_bf16;
        step.a = DType::bf16;
      } else if (isa.has_avx512_bf16 && !isa.has_amx_bf16) {
        // Processors with AMX have vdpbf16ps too, at half the speed of two fma.
        step.kind = StepKind::dot_bf16;
        step.a = DType::bf16;
      }
      return step;
    case DType::i8:
      if (a != DType::u8 && a != DType::i8) break;
      step.kind =
          isa.has_amx_int8 && rows >= kMinMatrixRows ? StepKind::matrix_bytes : StepKind::dot_bytes;
      step.a = a;
      step.accumulator = DType::i32;
      return step;
    default:
      break;
  }
  return refuse("products of " + std::string(name(a)) + " and " + std::string(name(b)) +
                " have no step");
}

Values prepare_b(Builder& b, const ProductStep& step, const Values& rows) {
  Values prepared;
  for (const Register& row : rows) {
    if (step.kind == StepKind::fma) {
      prepared.push_back(b.convert(row, step.accumulator));
    } else if (step.kind == StepKind::widen_bf16) {
      const Register words = b.bitcast(row, DType::u32);
      prepared.push_back(b.bf16_low_to_f32(words));
      prepared.push_back(b.bf16_high_to_f32(words));
    } else {
      prepared.push_back(row);
    }
  }
  return prepared;
}

namespace {

// `count` of the 2 or 4 elements of a word, the others 0.
Register load_word(Builder& b, const ProductStep& step, BufferId buffer,
                   const std::vector<Index>& index, int lane_dim, int count) {
  const int k_step = step.k_step();
  if (count == k_step) {
    return b.bitcast(b.load(buffer, index, kernel::Lanes{k_step, lane_dim}), DType::u32);
  }
  Register word;
  for (int j = 0; j < count; ++j) {
    std::vector<Index> at = index;
    at[static_cast<size_t>(lane_dim)] += Index(j);
    const DType bits = step.a == DType::bf16 ? DType::u16 : DType::u8;
    Register part = b.convert(b.bitcast(b.load(buffer, at), bits), DType::u32);
    if (j > 0) part = b.shl(part, j * 8 * size_bytes(step.a));
    word = j == 0 ? part : b.bit_or(word, part);
  }
  return word;
}

}  // namespace

Values load_a(Builder& b, const ProductStep& step, BufferId buffer, std::vector<Index> index,
              int lane_dim, int count, int lanes) {
  if (step.reads_a_in_groups()) {
    const Register word = load_word(b, step, buffer, index, lane_dim, count);
    Register words = b.splat(word, lanes);
    DType dtype = step.a;
    if (dtype == DType::i8) {
      // Plus 128, where there is a byte.
      words = b.bit_xor(words, b.constant(words.type, 0x80808080u >> (8 * (4 - count))));
      dtype = DType::u8;
    }
    return {b.bitcast(words, ValueType{dtype, lanes * step.k_step()})};
  }
  Values values;
  for (int j = 0; j < count; ++j) {
    values.push_back(b.splat(b.convert(b.load(buffer, index), step.accumulator), lanes));
    index[static_cast<size_t>(lane_dim)] += Index(1);
  }
  return values;
}

Register multiply(Builder& b, const ProductStep& step, const Values& a, const Values& prepared,
                  size_t v, Register acc) {
  switch (step.kind) {
    case StepKind::fma:
      return b.fma(a[0], prepared[v], acc);
    case StepKind::widen_bf16:
      if (a.size() > 1) acc = b.fma(a[1], prepared[2 * v + 1], acc);
      return b.fma(a[0], prepared[2 * v], acc);
    case StepKind::dot_bf16:
    case StepKind::dot_bytes:
      return b.dot(acc, a[0], prepared[v]);
    case StepKind::matrix_bf16:
    case StepKind::matrix_bytes:
      break;
  }
  NEURONC_UNREACHABLE("no such step");
}

}  // namespace neuronc
