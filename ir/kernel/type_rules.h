// Private to the builder and the verifier: which element types an operation takes.
#pragma once

#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

inline bool is_wide_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }
inline bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
inline bool is_arithmetic(DType dtype) { return is_wide_float(dtype) || is_integer(dtype); }
inline bool is_compare(OpCode code) { return code >= OpCode::cmp_eq && code <= OpCode::cmp_ge; }

// For arithmetic, bit, comparison operations.
bool accepts(OpCode code, DType dtype);

// Whether convert takes `from` to `to`.
bool is_convertible(DType from, DType to);

// Empty, or what is wrong with the types of an operation's operands, results and immediates.
std::string type_problem(const Kernel& kernel, const Op& op);

}  // namespace neuronc::kernel
