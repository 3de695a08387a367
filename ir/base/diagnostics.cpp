// Implements diagnostics.h.
#include "ir/base/diagnostics.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include "ir/base/text.h"

namespace neuronc {

int exit_code(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::none:
      return 0;
    case ErrorClass::input:
      return 1;
    case ErrorClass::usage:
      return 2;
    case ErrorClass::unsupported:
      return 3;
    case ErrorClass::gate:
      return 5;
    case ErrorClass::internal:
      return 70;
  }
  return 70;
}

namespace {

// Of an argument or a note: lists of names may be long, but not without end.
constexpr size_t kLongestText = 2000;

constexpr DiagnosticInfo kAll[] = {
#define DIAGNOSTIC(code, name, severity, error_class, args, format, explain) \
  {#code, #name, Severity::severity, ErrorClass::error_class, format, explain},
#include "ir/base/diagnostics.def"
#undef DIAGNOSTIC
};

std::string_view severity_text(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "error";
}

}  // namespace

std::span<const DiagnosticInfo> all_diagnostics() { return kAll; }

std::string to_text(const Diagnostic& d) {
  std::string text;
  if (!d.location.file.empty()) {
    text += printable(d.location.file);
    if (d.location.line > 0) text += fmt::format(":{}:{}", d.location.line, d.location.column);
    text += ": ";
  }
  text += fmt::format("{}[{}]: {}", severity_text(d.severity), d.code, d.message);
  if (!d.location.node.empty() || !d.location.op.empty()) {
    text += fmt::format("\n  at node \"{}\"", printable(d.location.node));
    if (!d.location.op.empty() && d.location.opset > 0) {
      text += fmt::format(" ({}, opset {})", printable(d.location.op), d.location.opset);
    } else if (!d.location.op.empty()) {
      text += fmt::format(" ({})", printable(d.location.op));
    }
    if (!d.location.tensor.empty()) text += ", " + printable(d.location.tensor);
  } else if (!d.location.tensor.empty()) {
    text += "\n  at " + printable(d.location.tensor);
  }
  for (const std::string& note : d.notes) text += "\n  note: " + printable(note, kLongestText);
  return text;
}

ErrorClass Diagnostics::worst() const {
  // The order in which exit codes win when several apply.
  constexpr ErrorClass kOrder[] = {ErrorClass::internal, ErrorClass::usage, ErrorClass::input,
                                   ErrorClass::unsupported, ErrorClass::gate};
  for (ErrorClass candidate : kOrder) {
    for (const Diagnostic& d : diagnostics_) {
      if (d.severity == Severity::error && d.error_class == candidate) return candidate;
    }
  }
  return ErrorClass::none;
}

std::string Diagnostics::to_text() const {
  std::string text;
  for (const Diagnostic& d : diagnostics_) text += neuronc::to_text(d) + "\n";
  return text;
}

void Diagnostics::append(Diagnostic diagnostic) {
  if (diagnostic.severity == Severity::error) ++num_errors_;
  diagnostics_.push_back(std::move(diagnostic));
}

void Diagnostics::clear() {
  diagnostics_.clear();
  num_errors_ = 0;
}

std::string Diagnostics::argument_text(double number) { return fmt::format("{:g}", number); }

Diagnostic& Diagnostics::add(std::string_view code, Severity severity, ErrorClass error_class,
                             std::string_view format, std::span<const std::string> args,
                             Location location) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  // LLVM's words come in lines; everything else may hold names of a model.
  for (const std::string& arg : args) {
    store.push_back(error_class == ErrorClass::internal ? printable_lines(arg)
                                                        : printable(arg, kLongestText));
  }
  if (severity == Severity::error) ++num_errors_;
  diagnostics_.push_back(
      {code, severity, error_class, fmt::vformat(format, store), std::move(location), {}});
  return diagnostics_.back();
}

}  // namespace neuronc
