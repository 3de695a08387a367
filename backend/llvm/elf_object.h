// Private to backend/llvm: a relocatable ELF object as tables, bounds-checked once when read.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/base/expected.h"

namespace neuronc::llvm_backend {

struct ElfSection {
  std::string_view name;
  Elf64_Shdr header{};
  std::span<const char> bytes;  // none for SHT_NOBITS
};

// The tables point into the bytes that the object was read from.
struct ElfObject {
  std::vector<ElfSection> sections;
  std::vector<Elf64_Sym> symbols;
  std::string_view names;  // of the symbols

  std::string_view name(const Elf64_Sym& symbol) const;
  // Of a SHT_RELA section.
  std::vector<Elf64_Rela> relocations(const ElfSection& section) const;
};

OrRefusal<ElfObject> read_elf_object(std::span<const char> bytes);

}  // namespace neuronc::llvm_backend
