// What the files of the public API share: messages as callers see them, options of any version, and
// how a caller learns of progress.
#pragma once

#include <string>

#include "compiler/driver.h"
#include "compiler/include/neuronc/compiler.h"
#include "ir/base/diagnostics.h"

namespace neuronc {

Message to_message(const Diagnostic& diagnostic);

// The options that a caller knows, in a structure of today's size: fields beyond the caller's have
// their defaults.
CompileOptions current_options(const CompileOptions& given);

// The stack that compiling and reading take; nested as deep as the limits allow they need a third of it.
inline constexpr size_t kCompilerRoomBytes = size_t{2} << 20;

// Passes progress and messages on to the callbacks of `options`.
class Monitor {
 public:
  Monitor(const CompileOptions& options, Diagnostics& diagnostics)
      : options_(options), diagnostics_(diagnostics) {}

  // False once the caller wants the compile to end.
  bool tick(const Progress& progress);
  // Logs the messages that are new.
  void flush();
  // Leaves nothing but that the compile was cancelled: what the end in the middle made of unfinished
  // work is no message of the model's.
  void say_cancelled();
  // Where the compile was cancelled; empty: it was not.
  const std::string& cancelled_in() const { return cancelled_in_; }

 private:
  const CompileOptions& options_;
  Diagnostics& diagnostics_;
  size_t num_logged_ = 0;
  std::string cancelled_in_;
};

}  // namespace neuronc
