// Names of processors, and what they have.
#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/TargetParser/Host.h>

#include <array>

#include "backend/llvm/codegen.h"

namespace neuronc {
namespace {

struct Level {
  std::string_view name;
  std::string_view features;  // what a machine must have to run it, separated by commas
};

// Best last.
constexpr std::array<Level, 3> kLevels = {{
    {"x86-64-v2", "cx16,sahf,popcnt,sse3,ssse3,sse4.1,sse4.2"},
    {"x86-64-v3", "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,xsave"},
    {"x86-64-v4", "avx512f,avx512bw,avx512cd,avx512dq,avx512vl"},
}};

// Features beyond the levels that the emitter makes use of.
constexpr std::array<std::string_view, 1> kExtras = {"avx512vnni"};

bool has_all(const llvm::StringMap<bool>& host, std::string_view features) {
  while (!features.empty()) {
    const size_t comma = features.find(',');
    const std::string_view one = features.substr(0, comma);
    if (!host.lookup(llvm::StringRef(one.data(), one.size()))) return false;
    features = comma == std::string_view::npos ? std::string_view() : features.substr(comma + 1);
  }
  return true;
}

OrRefusal<TargetIsa> describe_level(std::string_view cpu) {
  TargetIsa isa;
  isa.cpu = cpu;
  if (cpu == "x86-64-v2") {
    isa.vector_bytes = 16;
    isa.has_fma = false;
    isa.has_f16c = false;
  } else if (cpu == "x86-64-v4") {
    isa.vector_bytes = 64;
    isa.num_vector_registers = 32;
    isa.has_avx512 = true;
  } else if (cpu != "x86-64-v3") {
    return refuse("unknown target processor `" + std::string(cpu) +
                  "`; handled are x86-64-v2, x86-64-v3, x86-64-v4 and native");
  }
  return isa;
}

OrRefusal<TargetIsa> describe_native() {
  const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  std::string_view best;
  for (const Level& level : kLevels) {
    if (!has_all(host, level.features)) break;
    best = level.name;
  }
  if (best.empty()) return refuse("this machine has less than x86-64-v2");
  std::string cpu(best);
  if (best == "x86-64-v4") {
    for (std::string_view extra : kExtras) {
      if (has_all(host, extra)) cpu += ",+" + std::string(extra);
    }
  }
  return describe(cpu);
}

}  // namespace

OrRefusal<TargetIsa> describe(std::string_view cpu) {
  if (cpu == "native") return describe_native();
  const size_t comma = cpu.find(',');
  NEURONC_ASSIGN(TargetIsa isa, describe_level(cpu.substr(0, comma)));
  if (comma == std::string_view::npos) return isa;
  isa.features = cpu.substr(comma + 1);
  std::string_view rest = isa.features;
  while (!rest.empty()) {
    const size_t next = rest.find(',');
    const std::string_view one = rest.substr(0, next);
    if ((one != "+avx512vnni" && one != "avx512vnni") || !isa.has_avx512) {
      return refuse("unknown processor feature `" + std::string(one) + "` for `" + isa.cpu + "`");
    }
    isa.has_avx512_vnni = true;
    rest = next == std::string_view::npos ? std::string_view() : rest.substr(next + 1);
  }
  return isa;
}

std::string llvm_library_version() { return LLVM_VERSION_STRING; }

}  // namespace neuronc
