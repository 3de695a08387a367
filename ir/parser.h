// Reads the text form of modules (printer.h). Any input gives a module or located diagnostics,
// never a crash: nesting, sizes and numbers are checked. The parser knows no operator.
//
// Comments run from `//` to the end of the line.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"

namespace neuronc {

// Tensors of a sidecar by the hexadecimal text of their hash.
using ConstantPool = std::unordered_map<std::string, Tensor>;

// `file` names the text in messages. Errors: NEU0401 to NEU0408.
Expected<Module> parse_module(std::string_view text, std::string_view file,
                              const ConstantPool& constants, Diagnostics& diagnostics);

}  // namespace neuronc
