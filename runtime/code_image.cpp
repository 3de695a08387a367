// Reads program headers, dynamic section and section headers, in that order; the dynamic section
// decides whether the object may be loaded, the sections only give names.
#include "runtime/code_image.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

namespace neuronc::runtime {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMaxImageBytes = uint64_t{1} << 32;

uint64_t page_floor(uint64_t value) { return value / kPage * kPage; }
uint64_t page_ceil(uint64_t value) { return (value + kPage - 1) / kPage * kPage; }

// A copy of the T at `offset`, if it lies inside.
template <class T>
std::optional<T> read_at(std::span<const std::byte> bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// What loading needs to know of an object; all ranges in it are checked.
struct Object {
  std::vector<Elf64_Phdr> segments;  // PT_LOAD, by address, on pages of their own
  uint64_t image_bytes = 0;
};

tl::unexpected<Status> bad(std::string_view what) {
  return fail(NRT_INVALID, "the NEFF's code cannot be loaded: {}", what);
}

Result<Elf64_Ehdr> read_header(std::span<const std::byte> elf) {
  const auto header = read_at<Elf64_Ehdr>(elf, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return bad("it is not an ELF object");
  }
  const bool is_right_kind = header->e_ident[EI_CLASS] == ELFCLASS64 &&
                             header->e_ident[EI_DATA] == ELFDATA2LSB &&
                             header->e_machine == EM_X86_64 && header->e_type == ET_DYN;
  if (!is_right_kind) return bad("it is not a shared object for x86-64");
  if (header->e_phentsize != sizeof(Elf64_Phdr)) return bad("its program headers are odd");
  return *header;
}

Result<Done> add_segment(Object& object, const Elf64_Phdr& segment, uint64_t elf_bytes) {
  if (segment.p_memsz == 0) return Done{};
  if ((segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0) {
    return bad("a segment is both writable and executable");
  }
  if (segment.p_filesz > segment.p_memsz || segment.p_offset > elf_bytes ||
      segment.p_filesz > elf_bytes - segment.p_offset || segment.p_vaddr > kMaxImageBytes ||
      segment.p_memsz > kMaxImageBytes) {
    return bad("a segment lies outside the object");
  }
  if (page_floor(segment.p_vaddr) < object.image_bytes) return bad("segments share a page");
  object.image_bytes = page_ceil(segment.p_vaddr + segment.p_memsz);
  object.segments.push_back(segment);
  return Done{};
}

// Whether [address, address + size) is code that the file holds.
bool is_code(const Object& object, uint64_t address, uint64_t size) {
  return std::any_of(
      object.segments.begin(), object.segments.end(), [&](const Elf64_Phdr& segment) {
        return (segment.p_flags & PF_X) != 0 && address >= segment.p_vaddr &&
               size <= segment.p_filesz && address - segment.p_vaddr <= segment.p_filesz - size;
      });
}

Result<Done> check_dynamic(std::span<const std::byte> elf, const Elf64_Phdr& segment) {
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= segment.p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = read_at<Elf64_Dyn>(elf, segment.p_offset + at);
    if (!entry) return bad("its dynamic section lies outside the object");
    switch (entry->d_tag) {
      case DT_NULL:
        return Done{};
      case DT_NEEDED:
        return bad("it needs another library");
      case DT_RELA:
      case DT_REL:
      case DT_JMPREL:
      case DT_RELR:
        return bad("it has relocations");
      case DT_TEXTREL:
        return bad("it has relocations in its code");
      case DT_INIT:
      case DT_FINI:
      case DT_INIT_ARRAY:
      case DT_FINI_ARRAY:
        return bad("it has initialisers");
      default:
        break;
    }
  }
  return Done{};
}

Result<Object> read_object(std::span<const std::byte> elf, const Elf64_Ehdr& header) {
  Object object;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(elf, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (header.e_phoff > elf.size() || !segment) return bad("its program headers are truncated");
    switch (segment->p_type) {
      case PT_LOAD:
        NEURONC_TRY(add_segment(object, *segment, elf.size()));
        break;
      case PT_DYNAMIC:
        NEURONC_TRY(check_dynamic(elf, *segment));
        break;
      case PT_INTERP:
        return bad("it is a program");
      case PT_TLS:
        return bad("it has thread-local data");
      default:
        break;
    }
  }
  if (object.segments.empty()) return bad("it has nothing to load");
  return object;
}

struct Symbol {
  std::string name;
  Elf64_Sym entry;
};

// The named symbols of the first section of `type`; an absent section gives none.
Result<std::vector<Symbol>> read_symbols(std::span<const std::byte> elf, const Elf64_Ehdr& header,
                                         uint32_t type) {
  std::vector<Symbol> symbols;
  const auto section = [&](uint64_t index) {
    return read_at<Elf64_Shdr>(elf, header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const auto table = section(i);
    if (header.e_shoff > elf.size() || !table) return bad("its section headers are truncated");
    if (table->sh_type != type) continue;
    const auto names = section(table->sh_link);
    if (table->sh_link >= header.e_shnum || !names || names->sh_offset > elf.size() ||
        names->sh_size > elf.size() - names->sh_offset || table->sh_offset > elf.size() ||
        table->sh_size > elf.size() - table->sh_offset) {
      return bad("its symbol table lies outside the object");
    }
    const char* strings = reinterpret_cast<const char*>(elf.data() + names->sh_offset);
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = *read_at<Elf64_Sym>(elf, table->sh_offset + at);
      if (symbol.st_name >= names->sh_size) return bad("a symbol's name lies outside the object");
      const uint64_t room = names->sh_size - symbol.st_name;
      const std::string_view name(strings + symbol.st_name,
                                  strnlen(strings + symbol.st_name, room));
      if (!name.empty()) symbols.push_back({std::string(name), symbol});
    }
    break;
  }
  return symbols;
}

int protection(const Elf64_Phdr& segment) {
  // Writable segments hold only what a dynamic linker would write; none is at work here.
  return PROT_READ | ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

bool copy_segment(std::byte* base, const Elf64_Phdr& segment, std::span<const std::byte> elf) {
  std::byte* at = base + page_floor(segment.p_vaddr);
  const size_t size = page_ceil(segment.p_vaddr + segment.p_memsz) - page_floor(segment.p_vaddr);
  if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    return false;
  }
  std::memcpy(base + segment.p_vaddr, elf.data() + segment.p_offset, segment.p_filesz);
  return mprotect(at, size, protection(segment)) == 0;
}

}  // namespace

Result<std::unique_ptr<CodeImage>> CodeImage::load(std::span<const std::byte> elf) {
  NEURONC_ASSIGN(const Elf64_Ehdr header, read_header(elf));
  NEURONC_ASSIGN(const Object object, read_object(elf, header));
  NEURONC_ASSIGN(const std::vector<Symbol> symbols, read_symbols(elf, header, SHT_DYNSYM));
  std::unique_ptr<CodeImage> image(new CodeImage());
  void* base = mmap(nullptr, object.image_bytes, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return fail(NRT_RESOURCE, "cannot map {} bytes of code", object.image_bytes);
  }
  image->base_ = static_cast<std::byte*>(base);
  image->size_bytes_ = object.image_bytes;
  for (const Elf64_Phdr& segment : object.segments) {
    if (!copy_segment(image->base_, segment, elf)) {
      return fail(NRT_RESOURCE, "cannot map the NEFF's code: {}", std::strerror(errno));
    }
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.entry.st_shndx == SHN_UNDEF) {
      return bad(fmt::format("`{}` is undefined", symbol.name));
    }
    if (ELF64_ST_TYPE(symbol.entry.st_info) != STT_FUNC) continue;
    const uint64_t address = symbol.entry.st_value;
    const uint64_t size = std::max<uint64_t>(symbol.entry.st_size, 1);
    if (!is_code(object, address, size)) {
      return bad(fmt::format("`{}` lies outside the code", symbol.name));
    }
    image->functions_[symbol.name] = {image->base_ + address, symbol.entry.st_size};
  }
  return image;
}

CodeImage::~CodeImage() {
  if (base_ != nullptr) munmap(base_, size_bytes_);
}

plan::KernelFunction CodeImage::find(std::string_view symbol) const {
  const auto it = functions_.find(std::string(symbol));
  if (it == functions_.end()) return nullptr;
  return reinterpret_cast<plan::KernelFunction>(reinterpret_cast<uintptr_t>(it->second.address));
}

void CodeImage::write_perf_map() const {
  const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
  std::FILE* file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) return;
  for (const auto& [name, function] : functions_) {
    fmt::print(file, "{:x} {:x} {}\n", reinterpret_cast<uintptr_t>(function.address),
               function.size_bytes, name);
  }
  std::fclose(file);
}

}  // namespace neuronc::runtime
