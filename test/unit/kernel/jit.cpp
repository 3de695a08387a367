// A loader for the tests alone; the runtime has its own, with more checks.
#include "jit.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

namespace neuronc::testing {
namespace {

template <class T>
T read_at(std::span<const std::byte> bytes, uint64_t offset) {
  REQUIRE(offset + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string text_at(std::span<const std::byte> bytes, uint64_t offset) {
  std::string text;
  for (; offset < bytes.size() && bytes[offset] != std::byte{0}; ++offset) {
    text += static_cast<char>(bytes[offset]);
  }
  return text;
}

}  // namespace

LoadedCode::LoadedCode(std::span<const std::byte> elf) {
  const auto header = read_at<Elf64_Ehdr>(elf, 0);
  REQUIRE(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
  std::vector<Elf64_Phdr> segments;
  for (int i = 0; i < header.e_phnum; ++i) {
    segments.push_back(
        read_at<Elf64_Phdr>(elf, header.e_phoff + static_cast<uint64_t>(i) * sizeof(Elf64_Phdr)));
    if (segments.back().p_type == PT_LOAD) {
      size_bytes_ =
          std::max<size_t>(size_bytes_, segments.back().p_vaddr + segments.back().p_memsz);
    }
  }
  size_bytes_ = (size_bytes_ + 4095) / 4096 * 4096;
  base_ = static_cast<std::byte*>(
      mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(base_ != MAP_FAILED);
  for (const Elf64_Phdr& s : segments) {
    if (s.p_type != PT_LOAD) continue;
    REQUIRE(s.p_offset + s.p_filesz <= elf.size());
    std::memcpy(base_ + s.p_vaddr, elf.data() + s.p_offset, s.p_filesz);
    if ((s.p_flags & PF_W) != 0 && (s.p_flags & PF_X) != 0) needs_ += "writable code; ";
  }
  for (const Elf64_Phdr& s : segments) {
    if (s.p_type != PT_LOAD) continue;
    const int protection = PROT_READ | ((s.p_flags & PF_X) != 0 ? PROT_EXEC : 0) |
                           ((s.p_flags & PF_W) != 0 ? PROT_WRITE : 0);
    const uint64_t begin = s.p_vaddr & ~uint64_t{4095};
    REQUIRE(mprotect(base_ + begin, s.p_vaddr + s.p_memsz - begin, protection) == 0);
  }
  for (int i = 0; i < header.e_shnum; ++i) {
    const auto section =
        read_at<Elf64_Shdr>(elf, header.e_shoff + static_cast<uint64_t>(i) * sizeof(Elf64_Shdr));
    if ((section.sh_type == SHT_RELA || section.sh_type == SHT_REL) && section.sh_size != 0) {
      needs_ += "relocations; ";
    }
    if (section.sh_type == SHT_DYNAMIC) {
      for (uint64_t at = 0; at < section.sh_size; at += sizeof(Elf64_Dyn)) {
        if (read_at<Elf64_Dyn>(elf, section.sh_offset + at).d_tag == DT_NEEDED) {
          needs_ += "a library; ";
        }
      }
    }
    if (section.sh_type != SHT_DYNSYM) continue;
    const auto strings =
        read_at<Elf64_Shdr>(elf, header.e_shoff + uint64_t{section.sh_link} * sizeof(Elf64_Shdr));
    for (uint64_t at = sizeof(Elf64_Sym); at < section.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = read_at<Elf64_Sym>(elf, section.sh_offset + at);
      const std::string name = text_at(elf, strings.sh_offset + symbol.st_name);
      if (symbol.st_shndx == SHN_UNDEF) {
        needs_ += "symbol " + name + "; ";
      } else {
        symbols_[name] = symbol.st_value;
      }
    }
  }
}

LoadedCode::~LoadedCode() {
  if (base_ != nullptr) munmap(base_, size_bytes_);
}

KernelFunction LoadedCode::function(const std::string& name) const {
  INFO("symbol " << name);
  REQUIRE(symbols_.count(name) == 1);
  return reinterpret_cast<KernelFunction>(base_ + symbols_.at(name));
}

std::vector<std::byte> compile_one(const kernel::Kernel& kernel, std::string_view cpu,
                                   int opt_level) {
  const KernelSymbol symbol{&kernel, kernel.name, {}};
  auto elf = compile_kernels({&symbol, 1}, CodegenOptions{*describe(cpu), opt_level, 1});
  if (!elf) FAIL(elf.error().reason);
  return *std::move(elf);
}

bool runs_here(std::string_view cpu) {
  __builtin_cpu_init();
  if (cpu == "x86-64-v2") return __builtin_cpu_supports("sse4.2");
  if (cpu == "x86-64-v3") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (cpu == "x86-64-v4") return has_v4;
  if (cpu == "x86-64-v4-bf16") {
    return has_v4 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vbmi");
  }
  if (cpu == "x86-64-v4-amx") {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;
    return runs_here("x86-64-v4-bf16") && __builtin_cpu_supports("amx-bf16") &&
           __builtin_cpu_supports("amx-int8") && __builtin_cpu_supports("avx512fp16") &&
           syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }
  return cpu == "native";
}

}  // namespace neuronc::testing
