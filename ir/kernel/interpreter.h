// Runs kernels without native code, bit for bit as native code does. The kernel is flattened once
// into a tape of steps on dense registers.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ir/base/expected.h"
#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

// What a run has written to its parameters.
struct StoredNumbers {
  bool has_nan = false;
  bool has_infinity = false;
};

class Interpreter {
 public:
  explicit Interpreter(const Kernel& kernel);
  Interpreter(Interpreter&&) noexcept;
  Interpreter& operator=(Interpreter&&) noexcept;
  ~Interpreter();

  // As the ABI: one pointer per parameter, the tiles [tile_begin, tile_end); returns a status.
  // Safe to call from several threads at once.
  int32_t run(void* const* buffers, int64_t tile_begin, int64_t tile_end) const;

  // The same, with every access checked against the sizes in bytes of the actual buffers. A
  // violation is refused with the operation's text. `stored` may be null.
  OrRefusal<int32_t> run_checked(void* const* buffers, std::span<const int64_t> sizes_bytes,
                                 int64_t tile_begin, int64_t tile_end,
                                 StoredNumbers* stored = nullptr) const;

 private:
  struct Tape;
  std::unique_ptr<const Tape> tape_;
};

}  // namespace neuronc::kernel
