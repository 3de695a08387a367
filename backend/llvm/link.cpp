// Every section that is used gets a place in a region of the shared object; the layout gives the
// regions addresses; then each relocation is a difference of two addresses.
//
// Constants of the same size and value (SHF_MERGE) get one place: most kernels use the same ones.
#include "backend/llvm/link.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "backend/llvm/elf_object.h"
#include "backend/llvm/shared_object.h"

namespace neuronc::llvm_backend {
namespace {

struct Done {};

// Where an input section lies.
struct Place {
  enum class Kind : uint8_t { left_out, region, merged, unloaded };
  Kind kind = Kind::left_out;
  Region region = Region::rodata;
  size_t unloaded = 0;            // of SharedObject::unloaded
  uint64_t offset_bytes = 0;      // of the section in its region or unloaded section
  std::vector<uint64_t> entries;  // merged: where each entry lies in .rodata
};

uint64_t append(RegionBytes& region, std::span<const char> bytes, uint64_t alignment,
                std::byte filler) {
  alignment = std::max<uint64_t>(alignment, 1);
  region.alignment = std::max(region.alignment, alignment);
  const uint64_t offset = (region.bytes.size() + alignment - 1) / alignment * alignment;
  region.bytes.resize(offset, filler);
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  region.bytes.insert(region.bytes.end(), data, data + bytes.size());
  return offset;
}

// int3: what is between functions is never run.
constexpr std::byte kTextFiller{0xcc};

class Linker {
 public:
  OrRefusal<Done> add(std::span<const char> bytes) {
    NEURONC_ASSIGN(ElfObject object, read_elf_object(bytes));
    std::vector<Place> places(object.sections.size());
    for (size_t i = 0; i < object.sections.size(); ++i) {
      NEURONC_ASSIGN(places[i], place(object.sections[i]));
    }
    inputs_.push_back({std::move(object), std::move(places)});
    return add_functions(inputs_.back());
  }

  OrRefusal<std::vector<std::byte>> finish() {
    layout_ = lay_out(output_);
    for (const Input& input : inputs_) {
      for (const ElfSection& section : input.object.sections) {
        if (section.header.sh_type != SHT_RELA) continue;
        NEURONC_TRY(relocate(input, section));
      }
    }
    return write_shared_object(output_, layout_);
  }

 private:
  struct Input {
    ElfObject object;
    std::vector<Place> places;  // of the object's sections
  };

  OrRefusal<Place> place(const ElfSection& section) {
    Place place;
    const Elf64_Shdr& header = section.header;
    const bool is_unwind = header.sh_type == SHT_X86_64_UNWIND || section.name == ".eh_frame";
    const bool is_loaded = (header.sh_flags & SHF_ALLOC) != 0;
    if (header.sh_size == 0) return place;
    if (!is_loaded && section.name.starts_with(".debug_")) return place_unloaded(section);
    if (!is_loaded) return place;
    if ((header.sh_flags & (SHF_WRITE | SHF_TLS)) != 0 || header.sh_type == SHT_NOBITS) {
      return refuse("the code has writable data in `" + std::string(section.name) + "`");
    }
    if (header.sh_type != SHT_PROGBITS && !is_unwind) return place;
    if (header.sh_addralign > kMaxAlignment || (header.sh_flags & SHF_STRINGS) != 0) {
      return refuse("section `" + std::string(section.name) + "` cannot be placed");
    }
    const bool is_code = (header.sh_flags & SHF_EXECINSTR) != 0;
    const uint64_t entry_bytes = header.sh_entsize;
    if (!is_code && (header.sh_flags & SHF_MERGE) != 0 && entry_bytes > 0 &&
        header.sh_size % entry_bytes == 0) {
      return merge(section);
    }
    place.kind = Place::Kind::region;
    place.region = is_code ? Region::text : is_unwind ? Region::unwind : Region::rodata;
    place.offset_bytes = append(output_.regions[static_cast<size_t>(place.region)], section.bytes,
                                header.sh_addralign, is_code ? kTextFiller : std::byte{0});
    return place;
  }

  OrRefusal<Place> place_unloaded(const ElfSection& section) {
    const auto [it, is_new] = unloaded_.emplace(std::string(section.name), output_.unloaded.size());
    if (is_new) {
      output_.unloaded.push_back({std::string(section.name),
                                  section.header.sh_type,
                                  section.header.sh_flags,
                                  section.header.sh_entsize,
                                  {}});
    }
    Place place;
    place.kind = Place::Kind::unloaded;
    place.unloaded = it->second;
    place.offset_bytes = append(output_.unloaded[it->second].content, section.bytes,
                                section.header.sh_addralign, std::byte{0});
    return place;
  }

  Place merge(const ElfSection& section) {
    Place place;
    place.kind = Place::Kind::merged;
    const uint64_t size = section.header.sh_entsize;
    // The alignment belongs to the key: equal bytes may be wanted on stricter boundaries.
    const uint64_t alignment = std::max<uint64_t>(section.header.sh_addralign, 1);
    for (uint64_t at = 0; at < section.bytes.size(); at += size) {
      const std::span<const char> entry = section.bytes.subspan(at, size);
      auto [it, is_new] =
          merged_.try_emplace({alignment, std::string(entry.data(), entry.size())}, 0);
      if (is_new) {
        it->second = append(output_.regions[static_cast<size_t>(Region::rodata)], entry, alignment,
                            std::byte{0});
      }
      place.entries.push_back(it->second);
    }
    return place;
  }

  OrRefusal<Done> add_functions(const Input& input) {
    for (const Elf64_Sym& symbol : input.object.symbols) {
      if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || symbol.st_shndx == SHN_UNDEF) continue;
      const std::string_view name = input.object.name(symbol);
      if (symbol.st_shndx >= input.places.size() ||
          input.places[symbol.st_shndx].kind != Place::Kind::region ||
          input.places[symbol.st_shndx].region != Region::text) {
        return refuse("symbol `" + std::string(name) + "` is no function");
      }
      output_.functions.push_back({std::string(name),
                                   input.places[symbol.st_shndx].offset_bytes + symbol.st_value,
                                   symbol.st_size});
    }
    return Done{};
  }

  uint64_t region_address(Region region) const {
    return layout_.addresses[static_cast<size_t>(region)];
  }

  // The address of a symbol; of one in a section that is not loaded, its offset there.
  OrRefusal<uint64_t> address(const Input& input, const Elf64_Sym& symbol) const {
    if (symbol.st_shndx == SHN_ABS) return symbol.st_value;
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= input.places.size()) {
      return refuse("undefined symbol `" + std::string(input.object.name(symbol)) + "`");
    }
    const Place& place = input.places[symbol.st_shndx];
    switch (place.kind) {
      case Place::Kind::region:
        return region_address(place.region) + place.offset_bytes + symbol.st_value;
      case Place::Kind::unloaded:
        return place.offset_bytes + symbol.st_value;
      case Place::Kind::merged: {
        const uint64_t size = input.object.sections[symbol.st_shndx].header.sh_entsize;
        if (symbol.st_value / size >= place.entries.size()) break;
        return region_address(Region::rodata) + place.entries[symbol.st_value / size] +
               symbol.st_value % size;
      }
      case Place::Kind::left_out:
        break;
    }
    return refuse("symbol `" + std::string(input.object.name(symbol)) + "` lies in no section");
  }

  OrRefusal<Done> relocate(const Input& input, const ElfSection& section) {
    const uint32_t target = section.header.sh_info;
    if (target >= input.places.size()) return refuse("relocations of no section");
    const Place& place = input.places[target];
    if (place.kind == Place::Kind::left_out) return Done{};
    if (place.kind == Place::Kind::merged) return refuse("a merged constant has relocations");
    const bool is_loaded = place.kind == Place::Kind::region;
    RegionBytes& region = is_loaded ? output_.regions[static_cast<size_t>(place.region)]
                                    : output_.unloaded[place.unloaded].content;
    const uint64_t base = is_loaded ? region_address(place.region) : 0;
    const uint64_t size = input.object.sections[target].bytes.size();
    for (const Elf64_Rela& relocation : input.object.relocations(section)) {
      const uint64_t index = ELF64_R_SYM(relocation.r_info);
      if (index >= input.object.symbols.size() || relocation.r_offset >= size) {
        return refuse("a relocation lies outside its section");
      }
      NEURONC_ASSIGN(const uint64_t symbol, address(input, input.object.symbols[index]));
      const uint64_t at = place.offset_bytes + relocation.r_offset;
      NEURONC_TRY(apply(relocation, symbol, base + at, is_loaded,
                        std::span(region.bytes).subspan(at, size - relocation.r_offset)));
    }
    return Done{};
  }

  static OrRefusal<Done> apply(const Elf64_Rela& relocation, uint64_t symbol, uint64_t position,
                               bool is_loaded, std::span<std::byte> bytes) {
    const auto type = ELF64_R_TYPE(relocation.r_info);
    const uint64_t value = symbol + static_cast<uint64_t>(relocation.r_addend);
    const auto store = [&](auto number) -> OrRefusal<Done> {
      if (bytes.size() < sizeof(number)) return refuse("a relocation lies outside its section");
      std::memcpy(bytes.data(), &number, sizeof(number));
      return Done{};
    };
    const auto difference = static_cast<int64_t>(value - position);
    if (type == R_X86_64_PC64) return store(difference);
    if (type == R_X86_64_PC32 || type == R_X86_64_PLT32) {
      if (difference != static_cast<int32_t>(difference)) return refuse("the code is too large");
      return store(static_cast<int32_t>(difference));
    }
    // Addresses are known only where the code is loaded; in DWARF they are those of the ELF.
    if (!is_loaded && type == R_X86_64_64) return store(value);
    if (!is_loaded && type == R_X86_64_32 && value <= std::numeric_limits<uint32_t>::max()) {
      return store(static_cast<uint32_t>(value));
    }
    return refuse("the code has a relocation of type " + std::to_string(type) +
                  ", which only a dynamic linker could apply");
  }

  static constexpr uint64_t kMaxAlignment = 4096;

  std::vector<Input> inputs_;
  SharedObject output_;
  ObjectLayout layout_;
  std::map<std::string, size_t> unloaded_;
  std::map<std::pair<uint64_t, std::string>, uint64_t> merged_;
};

}  // namespace

OrRefusal<std::vector<std::byte>> link_shared_object(
    std::span<const std::span<const char>> objects) {
  Linker linker;
  for (std::span<const char> object : objects) NEURONC_TRY(linker.add(object));
  return linker.finish();
}

}  // namespace neuronc::llvm_backend
