// Implements host_features.h.
#include "backend/llvm/host_features.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/TargetParser/Host.h>

namespace neuronc {

bool host_has_feature(std::string_view feature) {
  static const llvm::StringMap<bool> kHost = llvm::sys::getHostCPUFeatures();
  return kHost.lookup(llvm::StringRef(feature.data(), feature.size()));
}

bool host_multiplies_bf16_fast() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_is("intel") == 0;
}

std::string llvm_library_version() { return LLVM_VERSION_STRING; }

}  // namespace neuronc
