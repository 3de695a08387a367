// Implements shared_object.h.
#include "backend/llvm/shared_object.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace neuronc::llvm_backend {
namespace {

constexpr uint64_t kPage = 4096;
constexpr std::string_view kSoname = "code.so";
constexpr uint64_t kNumSegments = 5;
constexpr uint64_t kNumDynamicEntries = 7;

uint64_t aligned(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

const RegionBytes& region(const SharedObject& object, Region which) {
  return object.regions[static_cast<size_t>(which)];
}

uint64_t num_buckets(const SharedObject& object) {
  return std::max<uint64_t>(object.functions.size(), 1);
}

// The hash of the System V ABI, which dynamic linkers look symbols up by.
uint32_t sysv_hash(std::string_view name) {
  uint32_t hash = 0;
  for (const char c : name) {
    hash = (hash << 4) + static_cast<unsigned char>(c);
    const uint32_t top = hash & 0xf0000000;
    hash = (hash ^ (top >> 24)) & ~top;
  }
  return hash;
}

// A table of names, of which the first is empty.
class Names {
 public:
  uint32_t add(std::string_view name) {
    const auto at = static_cast<uint32_t>(text_.size());
    text_ += name;
    text_ += '\0';
    return at;
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(text_)); }

 private:
  std::string text_ = std::string(1, '\0');
};

class Writer {
 public:
  Writer(const SharedObject& object, const ObjectLayout& layout)
      : object_(object), layout_(layout) {}

  std::vector<std::byte> write() {
    section(0, SHT_NULL, {});
    write_symbols();
    write_region(".rodata", Region::rodata, SHF_ALLOC);
    write_region(".eh_frame", Region::unwind, SHF_ALLOC);
    write_region(".text", Region::text, SHF_ALLOC | SHF_EXECINSTR);
    write_dynamic();
    for (const UnloadedSection& unloaded : object_.unloaded) write_unloaded(unloaded);
    write_headers();
    return std::move(bytes_);
  }

 private:
  template <class T>
  void put(uint64_t offset, const T& value) {
    put_bytes(offset, std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(uint64_t offset, std::span<const std::byte> bytes) {
    if (bytes_.size() < offset + bytes.size()) bytes_.resize(offset + bytes.size());
    if (!bytes.empty()) std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
  }

  void section(uint32_t name, uint32_t type, Elf64_Shdr header) {
    header.sh_name = name;
    header.sh_type = type;
    sections_.push_back(header);
  }

  void write_symbols() {
    Names names;
    const auto buckets = static_cast<uint32_t>(num_buckets(object_));
    const auto count = static_cast<uint32_t>(object_.functions.size() + 1);
    std::vector<uint32_t> hash(2 + buckets + count);
    hash[0] = buckets;
    hash[1] = count;
    std::vector<Elf64_Sym> symbols(1);
    for (const ExportedFunction& function : object_.functions) {
      Elf64_Sym symbol{};
      symbol.st_name = names.add(function.name);
      symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
      symbol.st_shndx = kTextSection;
      symbol.st_value =
          layout_.addresses[static_cast<size_t>(Region::text)] + function.offset_bytes;
      symbol.st_size = function.size_bytes;
      const auto index = static_cast<uint32_t>(symbols.size());
      uint32_t& bucket = hash[2 + sysv_hash(function.name) % buckets];
      hash[2 + buckets + index] = std::exchange(bucket, index);
      symbols.push_back(symbol);
    }
    soname_ = names.add(kSoname);
    put_table(".hash", SHT_HASH, layout_.hash_offset, std::as_bytes(std::span(hash)), 4,
              kSymbolSection);
    put_table(".dynsym", SHT_DYNSYM, layout_.symbols_offset, std::as_bytes(std::span(symbols)),
              sizeof(Elf64_Sym), kNamesSection);
    sections_.back().sh_info = 1;  // the first global symbol
    put_table(".dynstr", SHT_STRTAB, layout_.names_offset, names.bytes(), 0, 0);
  }

  void put_table(std::string_view name, uint32_t type, uint64_t offset,
                 std::span<const std::byte> bytes, uint64_t entry_bytes, uint32_t link) {
    put_bytes(offset, bytes);
    Elf64_Shdr header{};
    header.sh_flags = SHF_ALLOC;
    header.sh_addr = header.sh_offset = offset;
    header.sh_size = bytes.size();
    header.sh_link = link;
    header.sh_addralign = type == SHT_STRTAB ? 1 : 8;
    header.sh_entsize = entry_bytes;
    section(section_names_.add(name), type, header);
  }

  void write_region(std::string_view name, Region which, uint64_t flags) {
    const RegionBytes& content = region(object_, which);
    Elf64_Shdr header{};
    header.sh_flags = flags;
    header.sh_offset = layout_.offsets[static_cast<size_t>(which)];
    header.sh_addr = layout_.addresses[static_cast<size_t>(which)];
    header.sh_size = content.bytes.size();
    header.sh_addralign = content.alignment;
    put_bytes(header.sh_offset, content.bytes);
    section(section_names_.add(name), SHT_PROGBITS, header);
  }

  void write_dynamic() {
    const Elf64_Dyn entries[kNumDynamicEntries] = {{DT_SONAME, {soname_}},
                                                   {DT_HASH, {layout_.hash_offset}},
                                                   {DT_STRTAB, {layout_.names_offset}},
                                                   {DT_SYMTAB, {layout_.symbols_offset}},
                                                   {DT_STRSZ, {layout_.names_bytes}},
                                                   {DT_SYMENT, {sizeof(Elf64_Sym)}},
                                                   {DT_NULL, {0}}};
    Elf64_Shdr header{};
    header.sh_flags = SHF_ALLOC | SHF_WRITE;
    header.sh_offset = layout_.dynamic_offset;
    header.sh_addr = layout_.dynamic_address;
    header.sh_size = sizeof(entries);
    header.sh_link = kNamesSection;
    header.sh_addralign = 8;
    header.sh_entsize = sizeof(Elf64_Dyn);
    put(header.sh_offset, entries);
    section(section_names_.add(".dynamic"), SHT_DYNAMIC, header);
  }

  void write_unloaded(const UnloadedSection& unloaded) {
    Elf64_Shdr header{};
    header.sh_flags = unloaded.flags;
    header.sh_offset = aligned(bytes_.size(), unloaded.content.alignment);
    header.sh_size = unloaded.content.bytes.size();
    header.sh_addralign = unloaded.content.alignment;
    header.sh_entsize = unloaded.entry_bytes;
    put_bytes(header.sh_offset, unloaded.content.bytes);
    section(section_names_.add(unloaded.name), static_cast<uint32_t>(unloaded.type), header);
  }

  void write_headers() {
    Elf64_Shdr names{};
    const uint32_t own_name = section_names_.add(".shstrtab");
    names.sh_offset = bytes_.size();
    names.sh_size = section_names_.bytes().size();
    names.sh_addralign = 1;
    put_bytes(names.sh_offset, section_names_.bytes());
    section(own_name, SHT_STRTAB, names);
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_shoff = aligned(bytes_.size(), 8);
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = kNumSegments;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(sections_.size());
    header.e_shstrndx = static_cast<uint16_t>(sections_.size() - 1);
    put(0, header);
    write_segments();
    put_bytes(header.e_shoff, std::as_bytes(std::span(sections_)));
  }

  void write_segments() {
    const auto text = static_cast<size_t>(Region::text);
    const uint64_t text_bytes = object_.regions[text].bytes.size();
    const uint64_t dynamic_bytes = kNumDynamicEntries * sizeof(Elf64_Dyn);
    const Elf64_Phdr segments[kNumSegments] = {
        {PT_LOAD, PF_R, 0, 0, 0, layout_.readable_end, layout_.readable_end, kPage},
        {PT_LOAD, PF_R | PF_X, layout_.offsets[text], layout_.addresses[text],
         layout_.addresses[text], text_bytes, text_bytes, kPage},
        {PT_LOAD, PF_R | PF_W, layout_.dynamic_offset, layout_.dynamic_address,
         layout_.dynamic_address, dynamic_bytes, dynamic_bytes, kPage},
        {PT_DYNAMIC, PF_R | PF_W, layout_.dynamic_offset, layout_.dynamic_address,
         layout_.dynamic_address, dynamic_bytes, dynamic_bytes, 8},
        {PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16},
    };
    put(sizeof(Elf64_Ehdr), segments);
  }

  // In the order in which write() makes them.
  static constexpr uint32_t kSymbolSection = 2;
  static constexpr uint32_t kNamesSection = 3;
  static constexpr uint16_t kTextSection = 6;

  const SharedObject& object_;
  const ObjectLayout& layout_;
  std::vector<std::byte> bytes_;
  std::vector<Elf64_Shdr> sections_;
  Names section_names_;
  uint32_t soname_ = 0;
};

}  // namespace

ObjectLayout lay_out(const SharedObject& object) {
  ObjectLayout layout;
  uint64_t at = sizeof(Elf64_Ehdr) + kNumSegments * sizeof(Elf64_Phdr);
  layout.hash_offset = aligned(at, 8);
  const uint64_t num_symbols = object.functions.size() + 1;
  layout.symbols_offset =
      aligned(layout.hash_offset + sizeof(uint32_t) * (2 + num_buckets(object) + num_symbols), 8);
  layout.names_offset = layout.symbols_offset + num_symbols * sizeof(Elf64_Sym);
  layout.names_bytes = 1 + kSoname.size() + 1;
  for (const ExportedFunction& function : object.functions) {
    layout.names_bytes += function.name.size() + 1;
  }
  at = layout.names_offset + layout.names_bytes;
  const auto place = [&](Region which) {
    const RegionBytes& content = region(object, which);
    at = aligned(at, content.alignment);
    layout.offsets[static_cast<size_t>(which)] = at;
    at += content.bytes.size();
  };
  // The next page, at the place in it that the offset in the file has.
  const auto address_behind = [](uint64_t end, uint64_t offset) {
    return aligned(end, kPage) + offset % kPage;
  };
  place(Region::rodata);
  place(Region::unwind);
  layout.addresses = layout.offsets;
  layout.readable_end = at;
  place(Region::text);
  const auto text = static_cast<size_t>(Region::text);
  layout.addresses[text] = address_behind(layout.readable_end, layout.offsets[text]);
  const uint64_t text_end = layout.addresses[text] + object.regions[text].bytes.size();
  layout.dynamic_offset = aligned(at, 8);
  layout.dynamic_address = address_behind(text_end, layout.dynamic_offset);
  return layout;
}

std::vector<std::byte> write_shared_object(const SharedObject& object, const ObjectLayout& layout) {
  return Writer(object, layout).write();
}

}  // namespace neuronc::llvm_backend
