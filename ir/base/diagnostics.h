// Located, coded, collected diagnostics. Every message a user can meet is a line of
// diagnostics.def: a code, typed arguments, a text and an explanation.
//
//   diagnostics.report(diag::unknown_operator, location, "Foo", 13);
//
// prints
//   model.onnx: error[NEU0203]: unknown operator `Foo` ...
//     at node "n1" (Foo, opset 13), output "y": f32[1,2]
//     note: ...
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace neuronc {

enum class Severity : uint8_t { note, warning, error };

// Decides the exit code; when several apply the order is internal, usage, input, unsupported, gate.
enum class ErrorClass : uint8_t {
  none,         // warnings: exit 0
  input,        // 1: wrong in model, data, files or memory
  usage,        // 2
  unsupported,  // 3
  gate,         // 5: verification or gate failed
  internal,     // 70
};
int exit_code(ErrorClass error_class);

// Where something is wrong; empty fields are not printed.
struct Location {
  std::string file;
  std::string node;  // the ONNX node's name
  std::string op;    // ONNX operator, or the IR's operator for text input
  int64_t opset = 0;
  std::string tensor;  // `output "y": f32[1,64,56,56]`
  int64_t line = 0;    // of a text file, from 1
  int64_t column = 0;
};

template <class... Args>
struct DiagnosticDef {
  std::string_view code;  // "NEU0204"
  std::string_view name;
  Severity severity;
  ErrorClass error_class;
  std::string_view format;   // {0}, {1}... for the typed arguments
  std::string_view explain;  // the page behind `neuronc explain CODE`
};

struct Diagnostic {
  std::string_view code;
  Severity severity;
  ErrorClass error_class;
  std::string message;
  Location location;
  std::vector<std::string> notes;
};

// One row per diagnostic, for list-errors and explain.
struct DiagnosticInfo {
  std::string_view code;
  std::string_view name;
  Severity severity;
  ErrorClass error_class;
  std::string_view format;
  std::string_view explain;
};
std::span<const DiagnosticInfo> all_diagnostics();

// Text with the position, as printed; no trailing newline.
std::string to_text(const Diagnostic& diagnostic);

class Diagnostics {
 public:
  template <class... Args>
  Diagnostic& report(const DiagnosticDef<Args...>& def, Location location,
                     const std::type_identity_t<Args>&... args) {
    const std::string texts[] = {argument_text(args)..., std::string()};
    return add(def.code, def.severity, def.error_class, def.format,
               std::span(texts, sizeof...(Args)), std::move(location));
  }

  const std::vector<Diagnostic>& all() const { return diagnostics_; }
  bool has_errors() const { return num_errors_ > 0; }
  size_t num_errors() const { return num_errors_; }

  // The class that decides the exit code; `none` when there is no error.
  ErrorClass worst() const;

  // Adds one that was made elsewhere.
  void append(Diagnostic diagnostic);

  // All diagnostics in order, each followed by a newline.
  std::string to_text() const;
  void clear();

 private:
  static std::string argument_text(std::string_view text) { return std::string(text); }
  static std::string argument_text(int64_t number) { return std::to_string(number); }
  static std::string argument_text(double number);

  Diagnostic& add(std::string_view code, Severity severity, ErrorClass error_class,
                  std::string_view format, std::span<const std::string> args, Location location);

  std::vector<Diagnostic> diagnostics_;
  size_t num_errors_ = 0;
};

namespace diag {
#define DIAGNOSTIC(code, name, severity, error_class, args, format, explain) \
  inline constexpr DiagnosticDef<NEURONC_DIAG_ARGS args> name{               \
      #code, #name, Severity::severity, ErrorClass::error_class, format, explain};
#define NEURONC_DIAG_ARGS(...) __VA_ARGS__
using Text = std::string_view;
using Int = int64_t;
using Real = double;
#include "ir/base/diagnostics.def"
#undef NEURONC_DIAG_ARGS
#undef DIAGNOSTIC
}  // namespace diag

}  // namespace neuronc
