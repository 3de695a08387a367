// Native code from kernels: one ELF shared object with one symbol per kernel. The only door to
// LLVM; it shows none of its types.
//
// The object calls nothing: no undefined symbol, no dynamic relocation, no writable data. Equal
// kernels and options give equal bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/isa.h"
#include "ir/base/expected.h"
#include "ir/kernel/kernel.h"

namespace neuronc {

struct CodegenOptions {
  Isa isa = common_isa();
  int opt_level = 2;         // 0: no optimisation, 2: the pipeline
  int num_threads = 0;       // 0: as many as the process may use; without effect on the bytes
  bool is_verified = false;  // the caller has verified the kernels
  // Called on the calling thread with the kernels that are done; false: compile_kernels refuses.
  std::function<bool(int64_t done, int64_t total)> progress;
};

// A kernel and the further names under which the object exports it.
struct KernelSymbol {
  const kernel::Kernel* kernel = nullptr;
  std::string name;  // the symbol; [A-Za-z0-9_.$]+
  std::vector<std::string> aliases;
};

// How long the parts of compile_kernels took.
struct CodegenTimes {
  int64_t verify_ns = 0;
  int64_t llvm_ns = 0;
  int64_t link_ns = 0;
};

// The bytes of the ELF. A kernel that the verifier does not accept (verify.h) is refused.
OrRefusal<std::vector<std::byte>> compile_kernels(std::span<const KernelSymbol> kernels,
                                                  const CodegenOptions& options,
                                                  CodegenTimes* times = nullptr);

// For people: LLVM IR before optimisation, and the assembly of the result.
OrRefusal<std::string> emit_llvm_text(std::span<const KernelSymbol> kernels,
                                      const CodegenOptions& options);
OrRefusal<std::string> emit_assembly(std::span<const KernelSymbol> kernels,
                                     const CodegenOptions& options);

// Makes LLVM's fatal errors refusals of compile_kernels, and memory that its arrays cannot get
// std::bad_alloc, by handlers that LLVM keeps for the whole process: a command calls it, a library
// leaves the process as it is.
void throw_llvm_errors();

}  // namespace neuronc
