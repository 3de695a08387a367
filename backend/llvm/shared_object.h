// Private to backend/llvm: writes the ELF shared object of code that is laid out.
//
// In the file: header and program headers, .hash, .dynsym, .dynstr, .rodata, .eh_frame (readable);
// .text (executable); .dynamic (writable for dynamic linkers, which nrt is not); sections that are
// not loaded (DWARF); names and section headers. Addresses and offsets are equal modulo the page,
// and no two kinds of memory share a page.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace neuronc::llvm_backend {

enum class Region : uint8_t { rodata, unwind, text };
inline constexpr size_t kNumRegions = 3;

struct RegionBytes {
  std::vector<std::byte> bytes;
  uint64_t alignment = 1;
};

struct ExportedFunction {
  std::string name;
  uint64_t offset_bytes = 0;  // in .text
  uint64_t size_bytes = 0;
};

struct UnloadedSection {
  std::string name;
  uint64_t type = 0;   // sh_type
  uint64_t flags = 0;  // sh_flags
  uint64_t entry_bytes = 0;
  RegionBytes content;
};

struct SharedObject {
  std::array<RegionBytes, kNumRegions> regions;
  std::vector<ExportedFunction> functions;
  std::vector<UnloadedSection> unloaded;
};

// Where everything comes to lie; a function of sizes, alignments and names alone.
struct ObjectLayout {
  std::array<uint64_t, kNumRegions> offsets{};  // in the file
  std::array<uint64_t, kNumRegions> addresses{};
  uint64_t hash_offset = 0;
  uint64_t symbols_offset = 0;
  uint64_t names_offset = 0;
  uint64_t names_bytes = 0;
  uint64_t readable_end = 0;
  uint64_t dynamic_offset = 0;
  uint64_t dynamic_address = 0;
};

ObjectLayout lay_out(const SharedObject& object);
std::vector<std::byte> write_shared_object(const SharedObject& object, const ObjectLayout& layout);

}  // namespace neuronc::llvm_backend
