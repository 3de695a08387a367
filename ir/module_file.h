// Modules as files: the text form `NAME.nir` and, where it names constants by hash, the sidecar
// `NAME.nirc` beside it.
//
// The sidecar is little-endian: magic "NIRC0001", u64 count, then per constant: 16-byte hash (low
// half first), u32 dtype code, u32 rank, u64 offset, u64 size in bytes, rank x i64 extents. The
// bytes of each tensor start at its offset, a multiple of 64.
#pragma once

#include <string>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/parser.h"

namespace neuronc {

// Reads `path` and, if there is one, the sidecar beside it. Errors: NEU0001, NEU0401 to NEU0409.
Expected<Module> read_module_file(const std::string& path, Diagnostics& diagnostics);

// Writes `path` (ending in .nir) and, if it needs one, the sidecar. Errors: NEU0002.
Expected<void> write_module_file(const Module& module, const std::string& path,
                                 Diagnostics& diagnostics);

// The sidecar alone, as bytes.
std::string constants_to_bytes(const Module& module, const std::vector<ConstantId>& constants);
Expected<ConstantPool> constants_from_bytes(std::string_view bytes, std::string_view file,
                                            Diagnostics& diagnostics);

// The whole of a file. Errors: NEU0001.
Expected<std::string> read_file(const std::string& path, Diagnostics& diagnostics);
// Writes to a temporary name beside `path` and renames it. Errors: NEU0002.
Expected<void> write_file(const std::string& path, std::string_view bytes,
                          Diagnostics& diagnostics);

}  // namespace neuronc
