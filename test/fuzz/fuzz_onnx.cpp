// The importer: any bytes are a module or diagnosed, never a crash.
#include <cstdlib>

#include "compiler/onnx/import.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  neuronc::Diagnostics diagnostics;
  const auto imported = neuronc::onnx::import_bytes(std::as_bytes(std::span(data, size)),
                                                    "fuzz.onnx", "", {}, diagnostics);
  if (!imported && !diagnostics.has_errors()) std::abort();  // an error that nobody was told of
  return 0;
}
