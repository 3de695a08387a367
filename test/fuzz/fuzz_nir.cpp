// The text form of modules: what parses prints to a text that parses to the same.
#include <cstdlib>
#include <string>

#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/verifier.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  neuronc::Diagnostics diagnostics;
  const auto module = neuronc::parse_module(text, "fuzz.nir", {}, diagnostics);
  if (!module) {
    if (!diagnostics.has_errors()) std::abort();
    return 0;
  }
  if (!neuronc::verify(*module, diagnostics, "fuzz.nir")) return 0;
  const std::string printed = neuronc::to_text(*module);
  const auto again = neuronc::parse_module(printed, "again.nir", {}, diagnostics);
  if (again && neuronc::to_text(*again) != printed) std::abort();
  return 0;
}
