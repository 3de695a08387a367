// Instruction sets that kernels are compiled for: the one table of processor features, and the
// targets made of them.
//
// Everything that depends on a feature asks the fields of `Isa`; no other file lists features. The
// names are those of LLVM and of the runtime's cpuid test (runtime/cpu_features.h), which a test
// compares with this table.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc {

// What a lowering and the emitter want to know of the processor that they work for.
struct Isa {
  std::string name;                        // "x86-64-v4-bf16", "x86-64-v4+avx512vnni"
  std::string_view llvm_cpu;               // the level that LLVM takes as its processor
  std::vector<std::string_view> features;  // all that a machine must have, the level's included

  int vector_bytes = 16;  // of the widest register that is worth using
  int num_vector_registers = 16;
  bool has_fma = false;
  bool has_f16c = false;
  bool has_avx512 = false;
  bool has_avx512_vnni = false;  // vpdpbusd: four products of bytes a lane
  bool has_avx512_bf16 = false;  // vdpbf16ps: two products of bf16 a lane
  bool has_avx512_vbmi = false;  // vpermi2b: any of 128 bytes a lane
  bool has_avx512_fp16 = false;
  bool has_amx_bf16 = false;  // TDPBF16PS on tiles of 16 rows of 64 bytes
  bool has_amx_int8 = false;

  bool has(std::string_view feature) const;
  // For LLVM, on top of `llvm_cpu`: "+avx512bf16,+avx512vnni".
  std::string llvm_features() const;
};

// `text` is the name of a target, features behind it ("x86-64-v4+avx512vnni", or with ",+" as LLVM
// writes it), or `native`, which gives the best target that this machine runs.
OrRefusal<Isa> describe(std::string_view text);

// x86-64-v3, which nearly every server has.
Isa common_isa();

// "A,B,...", `default` or `native`, without repetitions, the least demanding first.
OrRefusal<std::vector<Isa>> describe_list(std::string_view text);

// The names of all targets, the least demanding first.
std::vector<std::string_view> target_names();

// Every feature name that a target can ask for.
std::vector<std::string_view> known_features();

}  // namespace neuronc
