// Generated code in memory: copies the load segments of an ELF shared object, without a dynamic
// linker. The object has no relocations, no undefined symbols and no writable data, which is
// checked; no page is ever both writable and executable. Code is small: a copy makes it independent
// of what happens to the file.
//
// The format is bounds-checked like everything else in a NEFF. The instructions themselves are
// trusted: loading a NEFF means running its code.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ir/plan/kernel_abi.h"
#include "runtime/status.h"

namespace neuronc::runtime {

class CodeImage {
 public:
  // `elf` is the whole object.
  // Errors: NRT_INVALID (not an object this loader runs), NRT_RESOURCE (mapping failed).
  static Result<std::unique_ptr<CodeImage>> load(std::span<const std::byte> elf);
  ~CodeImage();
  CodeImage(const CodeImage&) = delete;
  CodeImage& operator=(const CodeImage&) = delete;

  // The function of that name, or nullptr.
  plan::KernelFunction find(std::string_view symbol) const;

  size_t size_bytes() const { return size_bytes_; }

  // Appends one line per function to /tmp/perf-PID.map, which perf reads. Errors are ignored: a
  // profile is a convenience.
  void write_perf_map() const;

 private:
  struct Function {
    const std::byte* address;
    uint64_t size_bytes;
  };

  CodeImage() = default;

  std::byte* base_ = nullptr;
  size_t size_bytes_ = 0;
  std::unordered_map<std::string, Function> functions_;
};

}  // namespace neuronc::runtime
