// Loads the ELF that compile_kernels makes, without a dynamic linker, so that tests call kernels
// natively. It also says whether the object keeps its promise to need nothing from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/llvm/codegen.h"

namespace neuronc::testing {

using KernelFunction = int32_t (*)(void* const* buffers, int64_t tile_begin, int64_t tile_end);

class LoadedCode {
 public:
  // Maps the load segments, executable ones read-only. Fails the running test on a malformed ELF.
  explicit LoadedCode(std::span<const std::byte> elf);
  ~LoadedCode();
  LoadedCode(const LoadedCode&) = delete;
  LoadedCode& operator=(const LoadedCode&) = delete;

  KernelFunction function(const std::string& name) const;
  size_t num_symbols() const { return symbols_.size(); }

  // Empty, or what the object needs from outside: undefined symbols, dynamic relocations,
  // needed libraries, writable segments.
  const std::string& needs() const { return needs_; }

 private:
  std::byte* base_ = nullptr;
  size_t size_bytes_ = 0;
  std::map<std::string, uint64_t> symbols_;
  std::string needs_;
};

// Compiles one kernel under its own name.
std::vector<std::byte> compile_one(const kernel::Kernel& kernel, std::string_view cpu,
                                   int opt_level);

// Whether this machine runs code for `cpu`.
bool runs_here(std::string_view cpu);

}  // namespace neuronc::testing
