// Writes a NEFF from compiled parts; the container stands in runtime/neff_format.h.
//
// The same contents always give the same bytes: no time, no path and no owner is stored, and the
// uuid is derived from the content. Constants are streamed, so that writing takes no second copy of
// the weights.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/expected.h"
#include "ir/base/hash.h"
#include "ir/plan/plan.h"

namespace neuronc {

// The bytes of a constant that plans name by hash (hash_bytes of the content). They must live
// until writing is done.
struct NeffConstant {
  Hash128 hash;
  std::span<const std::byte> bytes;
};

// One instruction set the model was compiled for, for example "x86-64-v3". All of a NEFF have the
// same inputs, outputs and lanes; which one runs is decided by the list in neff.json (neff_json.h).
struct NeffVariant {
  std::string isa;
  std::span<const std::byte> code;  // an ELF shared object
  plan::Plan plan;                  // constants' offsets are filled in by the writer
  std::string_view kernels{};       // the text of kernels.nki; empty: none
};

struct NeffMember {
  std::string name;
  std::span<const std::byte> bytes;
};

struct NeffContents {
  std::string name;  // of the model
  std::string compiler_version;
  std::string json;              // neff.json
  std::string host_nir;          // empty: no host nodes
  std::vector<NeffMember> more;  // further members: host.nirc
  std::vector<NeffVariant> variants;
  std::vector<NeffConstant> constants;  // any order, duplicates allowed; unused ones are left out
};

// Writes to a temporary file beside `path` and renames it; on failure no file is left behind.
// Errors: a constant without bytes, variants that contradict each other, input/output errors.
OrRefusal<std::monostate> write_neff(const std::string& path, const NeffContents& contents);

// The same bytes in memory.
OrRefusal<std::vector<std::byte>> build_neff(const NeffContents& contents);

}  // namespace neuronc
