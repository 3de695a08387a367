// Implements elf_object.h.
#include "backend/llvm/elf_object.h"

#include <cstring>

namespace neuronc::llvm_backend {
namespace {

// The Ts that fill `bytes`; a rest that is no whole T is left out.
template <class T>
std::vector<T> array_of(std::span<const char> bytes) {
  std::vector<T> result(bytes.size() / sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
  return result;
}

bool is_inside(std::span<const char> bytes, uint64_t offset, uint64_t size) {
  return offset <= bytes.size() && size <= bytes.size() - offset;
}

// The text at `offset` of a string table, up to its zero byte.
std::string_view text_at(std::string_view table, uint64_t offset) {
  if (offset >= table.size()) return {};
  const std::string_view rest = table.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

}  // namespace

std::string_view ElfObject::name(const Elf64_Sym& symbol) const {
  return text_at(names, symbol.st_name);
}

std::vector<Elf64_Rela> ElfObject::relocations(const ElfSection& section) const {
  return array_of<Elf64_Rela>(section.bytes);
}

OrRefusal<ElfObject> read_elf_object(std::span<const char> bytes) {
  Elf64_Ehdr header;
  if (bytes.size() < sizeof(header)) return refuse("an object is truncated");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_REL ||
      header.e_machine != EM_X86_64) {
    return refuse("an object is not relocatable code for x86-64");
  }
  uint64_t count = header.e_shnum;
  if (!is_inside(bytes, header.e_shoff, sizeof(Elf64_Shdr)))
    return refuse("an object has no table");
  if (count == 0) {  // more sections than the field holds: the first one's size is their number
    count = array_of<Elf64_Shdr>(bytes.subspan(header.e_shoff, sizeof(Elf64_Shdr)))[0].sh_size;
  }
  if (count > bytes.size() / sizeof(Elf64_Shdr) ||
      !is_inside(bytes, header.e_shoff, count * sizeof(Elf64_Shdr))) {
    return refuse("an object's section table is truncated");
  }
  ElfObject object;
  uint64_t names_index = header.e_shstrndx;
  for (const Elf64_Shdr& section :
       array_of<Elf64_Shdr>(bytes.subspan(header.e_shoff, count * sizeof(Elf64_Shdr)))) {
    if (object.sections.empty() && names_index == SHN_XINDEX) names_index = section.sh_link;
    std::span<const char> content;
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL) {
      if (!is_inside(bytes, section.sh_offset, section.sh_size)) {
        return refuse("an object's section is truncated");
      }
      content = bytes.subspan(section.sh_offset, section.sh_size);
    }
    object.sections.push_back({{}, section, content});
  }
  if (names_index >= count) return refuse("an object's sections have no names");
  const auto text_of = [&](uint64_t index) {
    const std::span<const char> content = object.sections[index].bytes;
    return std::string_view(content.data(), content.size());
  };
  for (ElfSection& section : object.sections) {
    section.name = text_at(text_of(names_index), section.header.sh_name);
    if (section.header.sh_type != SHT_SYMTAB) continue;
    if (section.header.sh_link >= count) return refuse("an object's symbols have no names");
    object.symbols = array_of<Elf64_Sym>(section.bytes);
    object.names = text_of(section.header.sh_link);
  }
  return object;
}

}  // namespace neuronc::llvm_backend
